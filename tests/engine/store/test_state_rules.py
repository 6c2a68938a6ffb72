"""Small rules of what holds in a story, one by one: states, names and who was there, each on its own way."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from msgspec.structs import replace

from flower.engine.game.state import StoryState
from flower.engine.game.steering import NARRATOR, Persona
from flower.engine.store import extra, stages, states, stories
from flower.engine.store.connection import Connection
from flower.engine.store.extra import MessageExtra, SessionExtra
from flower.errors import StoreError
from tests.engine.store.test_tree import S, retry, say
from tests.stores import connected

OTHER = "other"


@pytest.fixture
def db(db: Connection) -> Connection:
    for story in (OTHER, S):
        stories.create_session(db, story, "harbour", "mara", "Hello.", 1.0)
    return db


@pytest.fixture
def sqlite_db() -> Iterator[Connection]:
    with connected("sqlite") as made:
        yield made


def ids(db: Connection) -> list[int]:
    return [message.id for message in stories.active_path(db, S)]


def told(db: Connection) -> list[str]:
    return [message.content for message in stories.active_path(db, S)]


# --- who was there ------------------------------------------------------------------------------


def test_who_is_there_is_noted_where_it_changes(db: Connection) -> None:
    replies = [say(db, f"Line {n}.", "Yes.").reply_id for n in range(6)]
    stages.keep(db, S, replies[0], ["mara"])  # alone, as always
    stages.begin(db, S, "mara")
    stages.begin(db, S, "nobody")  # it has begun
    for reply, there in zip(
        replies[1:], (["mara", "ada"], ["mara", "ada"], ["ada"], [], ["ada"]), strict=True
    ):
        stages.keep(db, S, reply, there)
    noted = {m.id: m.extra.stage for m in stories.active_path(db, S) if m.extra.stage}
    assert noted == {
        ids(db)[0]: (NARRATOR, "mara"), replies[1]: (NARRATOR, "mara", "ada"), replies[3]: (NARRATOR, "ada"),
        replies[4]: (NARRATOR,), replies[5]: (NARRATOR, "ada"),
    }  # fmt: skip
    path = ids(db)
    heard = {who: list(stages.witnessed(db, S, path[-1], who)) for who in ("mara", "ada", NARRATOR)}
    assert heard[NARRATOR] == path
    assert heard["mara"] == path[: path.index(replies[3]) - 1]
    one, away, back = (path.index(replies[n]) - 1 for n in (1, 4, 5))
    assert heard["ada"] == path[one:away] + path[back:]
    assert list(stages.witnessed(db, S, replies[0], "ada")) == []


def test_of_very_many_changes_the_last_are_read(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "CHANGES_READ", 1)
    stages.begin(db, S, "")
    reply = say(db, "One.", "Two.").reply_id
    stages.keep(db, S, reply, ["ada"])
    assert list(stages.witnessed(db, S, reply, "mara")) == ids(db)[:1]


# --- states -------------------------------------------------------------------------------------


def pinned(db: Connection, leaf: int | None) -> tuple[str, ...]:
    return states.state_at(db, S, leaf).pins


def test_a_state_holds_below_its_message_until_another_one(db: Connection) -> None:
    first = say(db, "One.", "Two.")
    greeting = ids(db)[0]
    states.change_state(db, S, lambda old: replace(old, pins=("a",)), greeting)
    states.change_state(db, S, lambda old: replace(old, pins=(*old.pins, "b")), first.reply_id)
    other = retry(db, "Other.")
    assert [pinned(db, leaf) for leaf in (None, greeting, first.user_id, first.reply_id, other.reply_id)] == [
        (), ("a",), ("a",), ("a", "b"), ("a",)
    ]  # fmt: skip
    assert [states.nearest_state(db, one) for one in (first.user_id, other.reply_id)] == [greeting] * 2
    assert states.undo_state(db, S)  # on this way the greeting's is the last
    assert [pinned(db, leaf) for leaf in (greeting, first.reply_id)] == [(), ("a", "b")]
    assert not states.undo_state(db, S)


def test_a_damaged_state_is_told_and_can_be_taken_back(db: Connection) -> None:
    (greeting,) = ids(db)
    states.change_state(db, S, lambda old: replace(old, pins=("a",)))
    db.execute(
        "UPDATE messages SET extra = ? WHERE id = ?", ('{"state": {"pins": 7}, "name": "x"}', greeting)
    )
    with pytest.raises(StoreError):
        states.state_at(db, S, greeting)
    assert states.undo_state(db, S)
    assert states.state_at(db, S, greeting) == StoryState()
    assert stories.active_path(db, S)[0].extra.name == "x"


def test_a_new_name_goes_into_the_stories_in_which_one_was_called_so(db: Connection) -> None:
    was, new = Persona("Ines", "A smith."), Persona("Ada", "A queen.")
    stories.create_session(db, "theirs", "harbour", "mara", "Hello.", 1.0, 1)
    for story in (S, OTHER, "theirs"):
        states.change_steering(db, story, lambda old: replace(old, persona=was))
    states.change_steering(db, OTHER, lambda old: replace(old, persona=Persona("Ines", "A thief.")))
    states.change_persona(db, was, new)
    found = [states.steering(db, story).persona for story in (S, OTHER, "theirs")]
    assert found == [new, Persona("Ines", "A thief."), was]
    states.change_persona(db, was, new, 1)
    assert states.steering(db, "theirs").persona == new


def test_a_story_that_goes_on_is_not_greeted_anew(db: Connection) -> None:
    states.change_state(db, S, lambda old: replace(old, pins=("a",)))
    assert not states.greet_anew(db, S, [("Hello.", None)], 2.0)
    assert states.greet_anew(
        db, S, [("Hello.", None), ("Evening.", '{"n": "1"}'), ("Night.", None)], 2.0
    )
    assert told(db) == ["Evening."]
    assert pinned(db, ids(db)[0]) == ("a",)
    assert states.variables_at(db, S, ids(db)[0]) == {"n": "1"}
    assert [one.content for one in stories.children(db, S, None)] == ["Hello.", "Evening.", "Night."]
    assert [one.content for one in stories.children(db, OTHER, None)] == ["Hello."]
    say(db, "One.", "Two.")
    assert not states.greet_anew(db, S, [("Day.", None)], 3.0)


def test_where_a_story_stands_is_read_with_what_holds_there(db: Connection) -> None:
    made = say(db, "One.", "Two.")
    stories.set_message_extra(db, made.reply_id, {"speaker": "ada"})
    found = states.current(db, S, 9.0)
    assert (found.speaker, found.begun, found.now.lines, found.now.time) == ("ada", 1.0, 1, 9.0)
    assert states.current_at(db, S, made.user_id, 9.0).speaker == ""
    assert states.current(db, "none", 9.0).begun == 9.0


# --- how a story begins -------------------------------------------------------------------------


@pytest.mark.parametrize("owner", [0, 7])
@pytest.mark.parametrize("persona", [Persona(), Persona("Ines")])
@pytest.mark.parametrize("state", [StoryState(), StoryState(pins=("It is foggy.",))])
@pytest.mark.parametrize("variables", [None, '{"mood":"low"}'])
@pytest.mark.parametrize("others", [(), (("Good day.", None), ("Well?", '{"mood":"high"}'))])
def test_a_story_begins_with_all_that_it_is_given(
    sqlite_db: Connection,
    owner: int,
    persona: Persona,
    state: StoryState,
    variables: str | None,
    others: tuple[tuple[str, str | None], ...],
) -> None:
    db = sqlite_db
    states.begin_story(
        db, "new", "harbour", "mara", "Hello.", persona, 5.0, state, variables, others, owner
    )
    story = stories.session(db, "new")
    assert story is not None
    (greeting,) = stories.active_path(db, "new")
    assert (greeting.content, story.active_leaf) == ("Hello.", greeting.id)
    assert db.execute("SELECT owner, root FROM sessions WHERE id = 'new'").fetchone() == (
        owner,
        greeting.id,
    )
    assert [one.content for one in stories.children(db, "new", None)] == [
        "Hello.",
        *(text for text, _ in others),
    ]
    for one in stories.children(db, "new", None):
        there = states.current_at(db, "new", one.id, 9.0)
        assert (there.state, there.steering.persona, there.begun) == (state, persona, 5.0)
        own = variables if one.id == greeting.id else dict(others)[one.content]
        inherited = {} if one.id == greeting.id else there.variables
        assert there.variables == (msgspec.json.decode(own) if own is not None else inherited)
    assert not states.undo_state(db, "new")  # what it began with stays


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("{}", None),
        ('{"a": 1}', "1"),
        ('{"a": "text"}', "text"),
        ('{"a": ""}', ""),
        ('{"a": null}', None),
        ('{"a": {"b": [1]}}', '{"b": [1]}'),
        ('{"b": 1}', None),
        ('{"a": ', None),
        ("[]", None),
        ("", None),
    ],
)
def test_one_part_of_a_rows_data_is_read_as_it_is(data: str, value: str | None) -> None:
    assert extra.part(data, "a") == value


def test_what_is_wrong_in_a_rows_data_takes_nothing_else_along() -> None:
    data = '{"recalled": "x", "hidden": "yes", "there": [1, 2], "mine": 3}'
    for message in (extra.load_extra(data, MessageExtra), extra.load_without_manifest(data)):
        assert (message.recalled, message.hidden, message.there) == ("x", False, (1, 2))
        assert message.others == {"hidden": "yes", "mine": 3}
    session = extra.load_extra('{"window_start": 300, "params": 7}', SessionExtra)
    assert (session.window_start, session.params, session.others) == (300, {}, {"params": 7})
