"""Small rules of the database, one by one: what a change must not touch, and where counts begin and end."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace

from flower.engine.assets.kinds import Character
from flower.engine.game.clocks import Clock
from flower.engine.game.people import Person
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Persona
from flower.engine.store import (
    branches,
    exchanges,
    hiding,
    packing,
    schema,
    states,
    stories,
    streaming_text,
)
from flower.engine.store.connection import Connection
from flower.engine.store.library import characters, originals, personas
from flower.engine.store.outline_fold import Shape, fold
from flower.engine.store.sqlite import file, recovery
from flower.engine.store.sqlite.connection import migrate
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline
from flower.engine.store.transfer.library_loader import Loader
from flower.engine.store.words import stem
from flower.errors import CommandError, StoreError
from tests.engine.store.test_tree import S, retry, say
from tests.stores import empty_file


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    return db


def told(db: Connection) -> list[str]:
    return [message.content for message in stories.active_path(db, S)]


# --- messages -----------------------------------------------------------------------------------


def test_the_first_of_several_messages_can_be_taken_out(db: Connection) -> None:
    say(db, "I look.", "You see.")
    assert hiding.without(db, S, stories.active_path(db, S)[0].id, 3.0).content == "Hello."
    assert told(db) == ["I look.", "You see."]


def test_the_only_message_cannot_be_taken_out(db: Connection) -> None:
    with pytest.raises(CommandError, match="only message"):
        hiding.without(db, S, stories.active_path(db, S)[0].id, 3.0)


def test_what_is_taken_back_of_a_reply_is_its_end_alone(db: Connection) -> None:
    replies = [exchanges.begin_exchange(db, S, f"Line {n}.", "m", None, 2.0).reply_id for n in range(3)]
    for reply in replies:
        for at, text in ((0, "One. "), (5, "Two. "), (10, "Three.")):
            streaming_text.append(db, reply, at, text, "m")
    streaming_text.withdraw(db, replies[1], 7)
    texts = {message.id: message.content for message in stories.active_path(db, S)}
    assert [texts[reply] for reply in replies] == ["One. Two. Three.", "One. Tw", "One. Two. Three."]
    streaming_text.withdraw(db, replies[1], 0)
    texts = {message.id: message.content for message in stories.active_path(db, S)}
    assert [texts[reply] for reply in replies] == ["One. Two. Three.", "", "One. Two. Three."]


@pytest.mark.parametrize(
    ("steps", "number"), [(0, 3), (1, 1), (2, 2), (3, 3), (-1, 2), (-2, 1), (-3, 3), (7, 1)]
)
def test_steps_among_variants_go_round(db: Connection, steps: int, number: int) -> None:
    say(db, "I look.", "One.")
    retry(db, "Two.")
    retry(db, "Three.")
    assert branches.choose_variant(db, S, None, steps, step=True) == (number, 3)
    assert told(db)[-1] == ("One.", "Two.", "Three.")[number - 1]


def play(db: Connection, number: int) -> bool:
    """Plays one exchange, and returns whether the story has got a name by it."""

    def title(path: Sequence[stories.Message]) -> str:
        return f"{len(path)} messages"

    made = exchanges.begin_exchange(db, S, f"Line {number}.", "m", None, 2.0, title=title)
    streaming_text.end(db, made.reply_id, "Reply.", "complete")
    return made.titled


def test_a_story_is_named_anew_once_when_six_lines_are_played(db: Connection) -> None:
    assert [number for number in range(12) if play(db, number)] == [0, 6]
    assert db.execute("SELECT title FROM sessions").fetchone() == ("13 messages",)


def test_a_story_that_somebody_named_keeps_its_name(db: Connection) -> None:
    play(db, 0)
    stories.rename(db, S, "Mine")
    assert not any(play(db, number) for number in range(1, 12))


# --- states ---------------------------------------------------------------------------------------


def test_eight_changes_at_one_message_can_be_taken_back(db: Connection) -> None:
    for number in range(10):
        states.change_state(db, S, lambda old, n=number: replace(old, pins=(f"pin {n}",)))
    taken = 0
    while states.undo_state(db, S) and taken < 20:
        taken += 1
    assert taken == 8
    assert states.state_at(db, S, stories.active_leaf(db, S)).pins == ("pin 1",)


def test_the_sheet_shows_clocks_as_they_stood_at_a_message(db: Connection) -> None:
    clocks = (Clock("Flood", 6, every=1), Clock("Dawn", 6, time=0.0, period_s=1.0))
    assert states.rows(db, S, stories.active_leaf(db, S)) == ()
    states.change_state(db, S, lambda old: replace(old, clocks=clocks))
    greeting = stories.active_leaf(db, S)
    made = say(db, "One.", "Two.")
    rows = {
        name: dict(states.rows(db, S, leaf)) for name, leaf in (("a", greeting), ("b", made.reply_id))
    }
    assert list(rows["a"].values()) != list(rows["b"].values())
    assert [str(rows["a"]).count(f"{n}/6") for n in range(3)] == [1, 1, 0]  # made at 1.0, no line yet
    assert [str(rows["b"]).count(f"{n}/6") for n in range(3)] == [0, 1, 1]


def test_a_storys_other_greetings_begin_like_the_first(db: Connection) -> None:
    state = StoryState(people=(Person("Ned"),))
    others = [("Evening.", None), ("Night.", '{"n": "1"}')]
    states.begin_story(
        db, "t", "harbour", "mara", "Morning.", Persona(), 1.0, state, '{"n": "0"}', others
    )
    first = stories.active_leaf(db, "t")
    greetings = [
        row[0] for row in db.execute("SELECT id FROM messages WHERE session_id = 't' ORDER BY id")
    ]
    assert first == greetings[0]
    states_there = [states.current_at(db, "t", leaf, 1.0) for leaf in greetings]
    assert [one.state for one in states_there] == [state] * 3
    assert states_there[0].variables == {"n": "0"}
    assert states_there[2].variables == {"n": "1"}


def test_taking_a_persona_off_says_whether_there_was_one(db: Connection) -> None:
    assert not personas.unbind(db, "session", S)
    assert not personas.remove(db, 9)


# --- values and words -----------------------------------------------------------------------------


class Text(Struct):
    text: str


@pytest.mark.parametrize("length", [0, 50, 190, 300, 5000])
def test_only_what_gains_by_it_is_deflated(length: int) -> None:
    packed = packing.pack(Text("a" * length))
    assert packing.unpack(packed, Text) == Text("a" * length)
    assert len(packed) < 120 if length >= 300 else len(packed) > length


def test_a_damaged_value_is_an_error_that_names_it() -> None:
    with pytest.raises(StoreError, match="text is damaged"):
        packing.unpack(packing.pack(Text("a" * 300))[:-9], Text)


def test_a_stem_has_no_accents_and_keeps_what_is_none() -> None:
    assert stem("café", "english") == "cafe"
    assert stem("été", "french").isascii()
    assert stem("1234", "english") == "1234"


@pytest.mark.parametrize(
    "sql", ["CREATE INDEX {} ON messages (id)", "CREATE INDEX {} ON sessions (title, id)"]
)
def test_an_index_of_ours_made_otherwise_is_refused(sql: str) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db)
        file.check_schema(db, len(schema.MIGRATIONS))
        (name,) = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        ).fetchone()
        db.execute(f"DROP INDEX {name}")
        db.execute(sql.format(name))
        with pytest.raises(StoreError, match=f"the index {name} is not as Flower makes it"):
            file.check_schema(db, len(schema.MIGRATIONS))


# --- the outline ----------------------------------------------------------------------------------


def test_a_node_counts_what_is_below_it_and_says_whether_it_ends() -> None:
    #  1 - 2 - 3, and 4 beside 2
    shape = Shape([(1, 0), (2, 1), (3, 2), (4, 1)], 3, set(), {}.get)
    nodes = {node.message: node for node in fold(shape, 3, (), 9)}
    assert {number: node.below for number, node in nodes.items()} == {1: 3, 2: 1, 3: 0, 4: 0}
    assert {number for number, node in nodes.items() if node.leaf} == {3, 4}
    assert (nodes[4].variant, nodes[4].variants) == (2, 2)
    assert [node.folded for node in nodes.values()] == [0] * 4


@pytest.mark.parametrize(("went_on", "chosen"), [(2, {1, 2, 3}), (4, {1, 3, 4}), (9, {1, 3, 4})])
def test_the_story_goes_on_where_it_went_on_before_else_with_the_newest(
    went_on: int, chosen: set[int]
) -> None:
    shape = Shape([(1, 0), (2, 1), (3, 2), (4, 1)], None, set(), {1: went_on}.get)
    assert {number for number in range(1, 5) if shape.is_chosen(number)} == chosen


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ({"creator": "A"}, {"creator": "A"}, True),
        ({"creator": "A", "greeting": "Hello."}, {"creator": "B", "greeting": "Hello."}, False),
        ({"greeting": "Hello."}, {"greeting": "Hello."}, True),
        ({"greeting": "Hello."}, {"greeting": "Good day."}, False),
        ({"greeting": "Good day."}, {"greeting": "Hello."}, False),
        ({"creator": "B", "greeting": "Hello."}, {"creator": "A", "greeting": "Hello."}, False),
        ({"greeting": "Hello."}, {"creator": "A", "greeting": "Hello."}, True),
        ({"persona": "A."}, {"persona": "B."}, False),
        ({"persona": "B."}, {"persona": "A."}, False),
        ({"creator": "A", "persona": "Old."}, {"persona": "Old."}, True),
        ({}, {"persona": "Old."}, False),
        ({"persona": ""}, {"persona": ""}, False),
    ],
)
def test_a_character_of_the_same_name_is_a_version_if_one_more_thing_agrees(
    db: Connection, old: dict[str, str], new: dict[str, str], same: bool
) -> None:
    kept = Character("mara", "Mara", **{"persona": "Other.", **old})
    file = originals.keep(db, b"", originals.digest(b""), "old.png", "character", 1.0)
    characters.put(db, kept, characters.Source("old.png", file), 1.0)
    for another in ("new.png", "pale.png", ""):  # before and behind it in the alphabet
        found = characters.earlier(db, Character("x", "Mara", **{"persona": "", **new}), another)
        assert found == (kept if same else None)
    assert characters.earlier(db, Character("x", "Mara", "Words."), "OLD.png") == kept
    assert characters.earlier(db, Character("x", "Ned", "Other."), "old.png") is None


# --- branches -----------------------------------------------------------------------------------


def test_each_end_of_the_tree_has_its_last_message_and_its_length(db: Connection) -> None:
    say(db, "I look.", "You see.")
    branches.begin(db, S, None, "East", 2.0)
    say(db, "I go east.", "You go.")
    branches.goto(db, S, stories.active_path(db, S)[0].id, 3.0)
    say(db, "I wait.", "You wait.")
    ends = {
        (end.name, end.last.content if end.last is not None else "", end.messages)
        for end in branches.ends(db, S)
    }
    assert ends == {("main", "You see.", 3), ("East", "You go.", 5), ("", "You wait.", 3)}


# --- files --------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "flower.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db)
        stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
        say(db, "I ring the bell.", "It rings.")
    return path


def test_a_copy_is_told_from_a_database_in_use_by_its_header(database: Path, tmp_path: Path) -> None:
    """Both bytes that say how it is written have to be those of a copy."""
    copy = tmp_path / "copy.db"
    file.copy(database, copy)
    assert file.is_copy(copy)
    data = copy.read_bytes()
    for at, value in ((18, 2), (19, 2), (0, ord("T"))):
        copy.write_bytes(data[:at] + bytes([value]) + data[at + 1 :])
        assert not file.is_copy(copy), at
    copy.write_bytes(data[:20])
    assert not file.is_copy(copy)


def test_every_damage_is_one_whatever_letter_its_name_begins_with(database: Path) -> None:
    """SQLite's words for it begin in capitals, in small letters and with asterisks."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("UPDATE sessions SET active_leaf = NULL")
        db.execute("PRAGMA writable_schema = ON")
        db.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'active_leaf  INTEGER', 'active_leaf INTEGER NOT NULL')"
        )
        db.execute("PRAGMA writable_schema = RESET")
    with pytest.raises(StoreError, match="is damaged: NULL value"):
        file.check_usable(database)


def test_an_index_that_cannot_be_read_keeps_nothing_from_being_mended(database: Path) -> None:
    """A reply that was being written is ended, which changes the row, and so its index."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        reply = exchanges.begin_exchange(db, S, "I wait.", "m", None, 2.0).reply_id
        streaming_text.append(db, reply, 0, "You wait", "m")
        db.execute(
            "DELETE FROM messages_fts_data WHERE id > 10"
        )  # leaves of the tree: its root is read at once
        db.execute("DELETE FROM messages_fts_docsize")
    assert not recovery.look(database).sound
    recovery.mend(database)
    assert recovery.look(database).sound
    with closing(sqlite3.connect(database)) as db:
        found = db.execute(
            "SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'wait'"
        ).fetchone()
        assert found == (2,)


@pytest.mark.parametrize("number", [0, -1, 2**31, True, 1.0, "1", None])
def test_a_row_of_an_archive_has_a_number_that_can_be_one(database: Path, number: object) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        loader = Loader(db, lambda _: None, scripts_allowed=False)
        with pytest.raises(ValueError, match="no number"):
            loader._number("messages", number)
        assert loader._number("messages", 1) == 4
        assert loader._number("messages", 2**31 - 1) == 2**31 + 2


async def test_a_file_that_is_gone_while_it_is_open_is_told_with_its_copy(tmp_path: Path) -> None:
    path = tmp_path / "flower.db"
    path.write_bytes(empty_file())
    database = await Database.open(path, Inline())
    await database.check_place()
    path.rename(tmp_path / "elsewhere.db")
    for _ in range(2):  # one copy, however often it is asked
        with pytest.raises(StoreError, match="was moved or deleted while the engine runs") as told:
            await database.check_place()
        assert str(told.value).endswith("restore FILE`, and start again")
        assert database._rescued is not None
        assert f"everything up to now is kept in {database._rescued}. Stop" in str(told.value)
        assert Path(database._rescued).exists()
    await database.aclose()
