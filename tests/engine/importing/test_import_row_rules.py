"""Small rules of what came from elsewhere and of what was chosen, one by one: chats, presets, replies, selections."""

from __future__ import annotations

import pytest

from flower import limits
from flower.engine.store import (
    allowances,
    audit,
    exchanges,
    imported_chats,
    outline,
    selections,
    stories,
    trash,
    tree,
    users,
    whispers,
)
from flower.engine.store.connection import Connection
from flower.engine.store.extra import (
    MessageExtra,
    SessionExtra,
    dump_extra,
    load_extra,
    load_without_manifest,
    part,
)
from flower.engine.store.imported_chats import Begun, ChatNode
from flower.engine.store.library import originals, presets, quick_replies
from flower.errors import CommandError
from tests.engine.store.test_tree import S, retry, say


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    users.add(db, "ned", 1.0)
    return db


# --- chats --------------------------------------------------------------------------------------


CHAT = [ChatNode(None, "assistant", "Day.", 1.0), ChatNode(0, "user", "a", 2.0, hidden=True),
        ChatNode(1, "assistant", "b", 3.0, speaker="Ada"), ChatNode(1, "assistant", "c", 3.0, shown=False)]  # fmt: skip


def chat(db: Connection, story: str, owner: int = 0, file: str = "a.jsonl") -> None:
    imported_chats.begin(db, Begun(story, "Title", "", 1.0, 5.0), owner)
    kept = originals.keep(db, file.encode(), originals.digest(file.encode()), file, "chat", 1.0)
    imported_chats.mark(db, story, [b"mark " + story.encode()], kept, "Ada", "bells")


def told(db: Connection, story: str) -> list[str]:
    return [message.content for message in stories.active_path(db, story)]


def test_a_chat_is_grafted_once_and_stands_at_its_end(db: Connection) -> None:
    chat(db, "c")
    assert imported_chats.graft(db, "c", CHAT, 2, branch=False) == 4
    assert told(db, "c") == ["Day.", "a", "b"]
    assert [(m.extra.imported, m.extra.hidden, m.extra.name) for m in stories.active_path(db, "c")] == [
        (True, False, ""), (True, True, ""), (True, False, "Ada")
    ]  # fmt: skip
    assert imported_chats.graft(db, "c", CHAT, 3, branch=False) == 0
    assert told(db, "c") == ["Day.", "a", "b"]  # nothing new: it stays where it is
    line = stories.active_path(db, "c")[1].id
    assert tree.leaf_below(db, line) == stories.active_leaf(db, "c")  # the variant that was shown
    assert stories.sessions(db)[0].updated == 5.0


def test_more_of_a_chat_moves_the_story_unless_it_is_a_branch_or_was_played_on(db: Connection) -> None:
    more = [*CHAT, ChatNode(2, "user", "d", 4.0)]
    for story in ("c", "branch", "played", "damaged"):
        chat(db, story)
        imported_chats.graft(db, story, CHAT, 2, branch=False)
    say(db, "x", "y")
    stories.append(
        db, "played", stories.active_leaf(db, "played"), "user", "Mine.", "complete", now=6.0
    )
    db.execute("UPDATE messages SET extra = '{' WHERE id = ?", (stories.active_leaf(db, "damaged"),))
    for story in ("c", "branch", "played"):
        assert imported_chats.graft(db, story, more, 4, branch=story == "branch") == 1
    ends = [told(db, story)[-1] for story in ("c", "branch", "played")]
    assert ends == ["d", "b", "Mine."]
    assert imported_chats.graft(db, "damaged", more, 4, branch=False) == 1


def test_a_file_belongs_to_a_story_that_is_not_in_the_trash(db: Connection) -> None:
    chat(db, "c")
    chat(db, "theirs", 1, "b.jsonl")
    marks = [b"none", b"mark c", b"mark theirs"]
    assert imported_chats.story_of(db, marks) == "c"
    assert imported_chats.files_of(db, "c") == [("a.jsonl", b"a.jsonl")]
    assert [imported_chats.of_file(db, name) for name in ("a.jsonl", "b.jsonl")] == [["c"], []]
    assert [imported_chats.with_book(db, "Bells", owner) for owner in (0, 1)] == [["c"], ["theirs"]]
    assert imported_chats.give_character(db, "ada", "x.png", "ada", 1) == ["theirs"]
    assert imported_chats.give_character(db, "Nobody", "Ada", "ada") == ["c"]
    assert [imported_chats.character_of(db, story) for story in ("c", "none")] == ["ada", ""]
    assert imported_chats.give_character(db, "Ada", "", "other") == []  # it has one
    trash.delete(db, "c", 2.0)
    assert imported_chats.story_of(db, marks) == "theirs"
    assert imported_chats.of_file(db, "a.jsonl") == []


# --- presets and replies ------------------------------------------------------------------------


def test_sampler_settings_are_each_users_and_templates_everybodys(db: Connection) -> None:
    for user in (0, 1):
        for name in ("b", "a"):
            presets.put(db, presets.SAMPLERS, name, {"user": user}, 1.0, user)
    presets.put(db, presets.INSTRUCT, "a", {"user": "all"}, 1.0, 1)
    presets.put(db, presets.SAMPLERS, "a", {"user": "new"}, 2.0, 1)
    assert presets.listed(db, presets.SAMPLERS) == {"a": {"user": 0}, "b": {"user": 0}}
    assert presets.listed(db, presets.SAMPLERS, 1) == {"a": {"user": "new"}, "b": {"user": 1}}
    assert presets.names(db, presets.SAMPLERS, 1) == ("a", "b")
    assert presets.find(db, presets.SAMPLERS, "a") == ("a", {"user": 0})
    assert presets.find(db, presets.INSTRUCT, "a", 2) == ("a", {"user": "all"})
    db.execute("UPDATE presets SET data = '[' WHERE kind = 'instruct'")
    assert presets.find(db, presets.INSTRUCT, "a") == ("a", {})


def test_a_set_of_replies_is_one_by_its_name_in_the_order_of_its_file(db: Connection) -> None:
    quick_replies.put(db, "b", [("1", "one"), ("2", "two")])
    quick_replies.put(db, "a", [("x", "old")])
    quick_replies.put(db, "a", [("z", "last"), ("y", "first")])
    assert quick_replies.sets(db) == {
        "a": [("z", "last"), ("y", "first")],
        "b": [("1", "one"), ("2", "two")],
    }
    assert quick_replies.listed(db, 3) == [("z", "last"), ("y", "first"), ("1", "one")]


# --- what was chosen ----------------------------------------------------------------------------


def test_a_new_client_begins_where_the_last_of_its_user_left_off(db: Connection) -> None:
    for key, model, now in (
        ("a", "first", 1.0),
        ("b", "last", 3.0),
        ("@1/a", "theirs", 9.0),
        ("@12/a", "12", 9.0),
    ):
        selections.change(
            db, selections.Selection(key, model=model, rules=(key,)), ("model", "rules"), now
        )
    assert [selections.load(db, client).model for client in ("a", "b", "new")] == [
        "first",
        "last",
        "last",
    ]
    assert [selections.load(db, f"@{user}/new", user).model for user in (1, 12, 2)] == [
        "theirs",
        "12",
        "",
    ]
    selections.change(db, selections.Selection("a", model="again", nsfw=True), ("nsfw",), 4.0)
    found = selections.load(db, "new")
    assert (found.model, found.nsfw, found.rules) == ("first", True, ("a",))
    whole = selections.Selection("c", "m", "w", "p", S, ("r",), True)
    selections.change(db, whole, ("model",), 5.0)
    assert selections.load(db, "c") == whole


@pytest.mark.parametrize(
    ("user", "client", "key", "whose"),
    [
        (0, "tui", "tui", 0),
        (0, "@1/tui", "1/tui", 0),
        (0, "@1", "@1", 0),
        (7, "tui", "@7/tui", 7),
        (7, "@1/x", "@7/@1/x", 7),
    ],
)
def test_no_client_can_have_the_key_of_another_users(
    user: int, client: str, key: str, whose: int
) -> None:
    assert selections.client_key(user, client) == key
    assert selections.user_of(key) == whose


def test_settings_of_a_story_win_over_those_of_its_model(db: Connection) -> None:
    for name, value in (("top_k", 5), ("seed", 1)):
        selections.set_of_model(db, "m", name, value)
    selections.set_of_story(db, S, "seed", 2)
    assert selections.of_story(db, S, "m") == {"top_k": 5, "seed": 2}
    assert selections.of_story(db, S, "n") == {"seed": 2}
    selections.set_all_of_story(db, S, {"top_p": 0.5})
    selections.set_of_model(db, "m", "seed", None)
    assert selections.of_story(db, S, "m") == {"top_k": 5, "top_p": 0.5}
    trash.delete(db, S, 2.0)
    assert selections.of_story(db, S, "m") == {"top_k": 5}


# --- what rows keep beside their columns --------------------------------------------------------


def test_what_is_strange_in_a_row_is_kept_and_what_is_damaged_is_nothing() -> None:
    data = '{"speaker":"ada","hidden":"yes","new":[1],"manifest":[["x"]]}'
    extra = load_extra(data, MessageExtra)
    assert (extra.speaker, extra.hidden, extra.manifest) == ("ada", False, ())
    assert extra.others == {"hidden": "yes", "new": [1], "manifest": [["x"]]}
    assert load_extra(dump_extra(extra), MessageExtra) == extra
    assert load_without_manifest(data).others == {"hidden": "yes", "new": [1]}
    for damaged in ("{", "[1]", "1", ""):
        assert load_extra(damaged, SessionExtra) == SessionExtra()
        assert load_without_manifest(damaged + '"manifest"') == MessageExtra()
        assert part(damaged, "a") is None
    found = [part('{"a": {"b": 1}, "c": "d", "n": null}', key) for key in ("a", "c", "n", "x")]
    assert found == ['{"b": 1}', "d", None, None]


# --- counts -------------------------------------------------------------------------------------


def test_what_a_user_wrote_is_the_length_of_their_texts(db: Connection) -> None:
    assert allowances.written_bytes(db, 1) == 0
    stories.create_session(db, "t", "harbour", "mara", "12345", 1.0, 1)
    assert allowances.written_bytes(db, 1) == 5
    assert allowances.written_bytes(db, 0) == len("Hello.")
    for _ in range(3):
        allowances.spend(db, 1, 2, 0.5, 1.0)
    used = db.execute("SELECT prompts, tokens, cost FROM user_days WHERE user_id = 1").fetchone()
    assert used == (3, 6, 1.5)


def test_the_audit_log_keeps_so_many_of_all_and_of_each(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower.engine.store.audit.AUDIT_ROWS", 4)
    monkeypatch.setattr("flower.engine.store.audit.AUDIT_ROWS_USER", 2)
    monkeypatch.setattr("flower.engine.store.audit.AUDIT_CHARS", 3)
    for number, user in enumerate((1, 1, 0, 1, 2)):
        audit.note(db, user, "login", f"{number}abcd", float(number))
    assert [(one.name, one.about) for one in audit.newest(db, 9)] == [
        ("", "4ab"), ("ned", "3ab"), ("", "2ab"), ("ned", "1ab")
    ]  # fmt: skip
    audit.note(db, 0, "login", "5", 5.0)
    assert [one.about for one in audit.newest(db, 9)] == ["5", "4ab", "3ab", "2ab"]
    assert [one.about for one in audit.newest(db, 1)] == ["5"]


def test_whispers_are_told_to_those_two_in_the_order_in_which_they_were_said(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.add(db, "ada", 1.0)
    leaf = stories.active_path(db, S)[0].id
    for sender, other, text in ((1, 2, "a"), (2, 1, "b"), (0, 1, "c")):
        whispers.add(db, S, leaf, sender, other, text, 1.0)
    assert [one.text for one in whispers.between(db, S, 1, 9)] == ["a", "b", "c"]
    assert [one.text for one in whispers.between(db, S, 2, 9)] == ["a", "b"]
    assert [one.text for one in whispers.between(db, S, 1, 2)] == ["b", "c"]
    assert [one.text for one in whispers.after(db, [leaf])[leaf]] == ["a", "b", "c"]
    assert whispers.after(db, [leaf + 1]) == {}
    monkeypatch.setattr("flower.engine.store.whispers.WHISPERS", 2)  # fewer than there are
    with pytest.raises(CommandError, match="2 whispers"):
        whispers.add(db, S, leaf, 1, 2, "d", 1.0)


# --- the outline --------------------------------------------------------------------------------


def test_an_outline_tells_where_the_story_is_and_what_it_is_asked_about(db: Connection) -> None:
    say(db, "One.", "a" * 2_000)
    retry(db, "Two.")
    end = stories.active_leaf(db, S)
    found = outline.read(db, S, None)
    assert (found.focus, found.leaf, found.messages) == (end, end, 4)
    first = stories.active_path(db, S)[0].id
    assert outline.read(db, S, first).focus == first
    assert {len(words.beginning) for words in found.words.values()} <= {6, 4, limits.PREVIEW_CHARS * 4}
    stories.create_session(db, "t", "harbour", "mara", "Hello.", 1.0)
    other = stories.active_path(db, "t")[0].id
    for asked in (other, 999):
        with pytest.raises(CommandError, match="There is no message"):
            outline.read(db, S, asked)
        with pytest.raises(CommandError, match="There is no message"):
            outline.message(db, S, asked if asked == 999 else other)
    assert end is not None
    trash.discard(db, S, end, 5.0)
    assert [outline.message(db, S, number)[1] for number in (first, end)] == [False, True]
    made = exchanges.begin_exchange(db, "t", "I go.", "m", None, 2.0)
    assert outline.read(db, "t", None).words[made.reply_id].status == "streaming"
