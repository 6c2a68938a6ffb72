"""Small rules of the tree, one by one: what changes on one way and on no other, in one story and no other."""

from __future__ import annotations

from typing import Any

import pytest

from flower import limits
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Persona
from flower.engine.store import (
    branches,
    exchanges,
    hiding,
    search,
    states,
    stories,
    streaming_text,
    trash,
    tree,
)
from flower.engine.store.connection import Connection
from flower.engine.store.extra import MessageExtra
from flower.engine.store.paths import Ids, way
from flower.errors import CommandError
from tests.engine.store.test_tree import S, edit, retry, say

OTHER = "other"


@pytest.fixture
def db(db: Connection) -> Connection:
    """Two stories; the numbers of their messages are no small ones, of which Python has one object each."""
    stories.create_session(db, "long", "harbour", "mara", "Hello.", 1.0)
    columns = "session_id, parent_id, role, content, status, model, created"
    for _ in range(8):
        db.execute(f"INSERT INTO messages ({columns}) SELECT {columns} FROM messages")
    trash.delete(db, "long", 1.0)
    for story in (OTHER, S):
        stories.create_session(db, story, "harbour", "mara", "Hello.", 1.0)
    return db


def ids(db: Connection) -> list[int]:
    return [message.id for message in stories.active_path(db, S)]


def told(db: Connection) -> list[str]:
    return [message.content for message in stories.active_path(db, S)]


# --- hiding -------------------------------------------------------------------------------------


def test_hiding_drops_the_summaries_from_there_on_and_the_window(db: Connection) -> None:
    say(db, "One.", "Two.")
    say(db, "Three.", "Four.")
    way_there = ids(db)
    for number in way_there[:4]:
        search.add(db, number, f"up to {number}", 2.0)
    stories.set_session_extra(db, S, {"window_start": way_there[0]})
    assert hiding.set_hidden(db, S, way_there[2], way_there[3], True) == 2
    hidden = [message.id for message in stories.active_path(db, S) if message.extra.hidden]
    assert hidden == way_there[2:4]
    left = db.execute("SELECT last_id FROM summaries ORDER BY last_id").fetchall()
    assert [number for (number,) in left] == way_there[:2]
    assert tree.window_start(db, S) is None
    search.add(db, way_there[4], "all", 3.0)
    assert hiding.set_hidden(db, S, way_there[2], way_there[2], True) == 0  # it is hidden already
    assert search.newest(db, way_there[4]) is not None
    assert hiding.set_hidden(db, S, way_there[0], way_there[4], False) == 2
    for first, last in ((way_there[4] + 1, 999), (way_there[1], way_there[0])):
        with pytest.raises(CommandError, match="No such message"):
            hiding.set_hidden(db, S, first, last, True)


def test_what_is_taken_out_is_gone_from_a_new_branch_alone(db: Connection) -> None:
    say(db, "One.", "Two.")
    say(db, "Three.", "Four.")
    before = ids(db)
    stories.set_message_extra(db, before[3], {"recalled": "Ned rang.", "name": "Ada", "told": "3"})
    stories.set_session_extra(db, S, {"window_start": before[0]})
    assert hiding.without(db, S, before[2], 5.0).content == "Two."
    assert tree.window_start(db, S) is None
    assert tree.leaf_below(db, before[0]) == ids(db)[-1]  # forth again after going back
    assert told(db) == ["Hello.", "One.", "Three.", "Four."]
    assert ids(db)[:2] == before[:2]
    assert set(ids(db)[2:]).isdisjoint(before)
    copy = stories.active_path(db, S)[2].extra
    assert (copy.recalled, copy.name, copy.told) == ("", "Ada", "3")
    assert branches.named(db, S)[0].leaf == before[-1]
    with pytest.raises(CommandError, match="not on this branch"):
        hiding.without(db, S, before[2], 6.0)


def test_the_last_message_can_be_taken_out(db: Connection) -> None:
    say(db, "One.", "Two.")
    hiding.without(db, S, ids(db)[-1], 5.0)
    assert told(db)[:2] == ["Hello.", "One."]


# --- the trash of messages ----------------------------------------------------------------------


def test_the_nearest_reply_takes_the_place_of_one_in_the_trash_older_ones_first(db: Connection) -> None:
    say(db, "One.", "a")
    for text in ("b", "c", "d"):
        retry(db, text)
    a, b, c, d = (message.id for message in tree.siblings(db, tree.find(db, S, None)))
    branches.choose_variant(db, S, None, 3)
    assert trash.discard(db, S, c, 5.0) == 1
    assert ids(db)[-1] == b
    trash.discard(db, S, d, 6.0)  # the story does not stand there
    assert ids(db)[-1] == b
    branches.goto(db, S, a, 7.0)
    trash.discard(db, S, a, 7.0)
    assert ids(db)[-1] == b
    trash.discard(db, S, b, 8.0)
    assert told(db) == ["Hello.", "One."]
    assert [(one.id, one.messages) for one in trash.list_messages(db, S)] == [
        (b, 1),
        (a, 1),
        (d, 1),
        (c, 1),
    ]
    assert trash.list_messages(db, OTHER) == []
    assert trash.restore_messages(db, S, d) == 1
    assert ids(db)[-1] == d
    for number in (d, 999):
        with pytest.raises(CommandError, match="not in the trash"):
            trash.restore_messages(db, S, number)


def test_what_expires_goes_with_all_below_it_and_branches_end_above(db: Connection) -> None:
    made = say(db, "One.", "Two.")
    greeting = ids(db)[0]
    branches.begin(db, S, None, "east", 2.0)
    below = say(db, "Three.", "Four.")
    branches.goto(db, S, greeting, 3.0)
    later = say(db, "Five.", "Six.")
    assert trash.discard(db, S, made.user_id, 5.0) == 4
    trash.discard(db, S, later.user_id, 6.0)
    assert trash.expired_messages(db, 5.0) == []
    gone = trash.expired_messages(db, 6.0)
    assert gone == [made.user_id, made.reply_id, below.user_id, below.reply_id]
    trash.purge_messages(db, gone)
    assert [stories.message(db, one) is not None for one in (greeting, made.user_id, later.user_id)] == [
        True, False, True
    ]  # fmt: skip
    assert {tip.leaf for tip in branches.named(db, S)} == {greeting}


# --- branches and variants ----------------------------------------------------------------------


def test_a_branch_is_gone_to_by_its_name_however_it_is_written(db: Connection) -> None:
    with pytest.raises(CommandError, match="/branch NAME makes one"):
        branches.checkout(db, S, "east", 2.0)
    branches.begin(db, S, None, "East", 2.0)
    say(db, "One.", "Two.")
    branches.begin(db, OTHER, None, "west", 2.0)
    assert branches.checkout(db, S, "MAIN", 3.0) == "main"
    assert (told(db), branches.current(db, S)) == (["Hello."], "main")
    for name, says in (("main", "already"), ("west", "There is: main, East")):
        with pytest.raises(CommandError, match=says):
            branches.checkout(db, S, name, 4.0)
    assert branches.checkout(db, S, "east", 5.0) == "East"
    assert told(db)[-1] == "Two."
    assert branches.current(db, OTHER) == "west"


def test_a_reply_is_opened_to_a_line_and_counts_those_before_it(db: Connection) -> None:
    made = say(db, "One.", "Two.")
    opened = branches.open_variant(db, S, made.user_id, "n", 7.0)
    assert (opened.line_id, opened.line, opened.variant) == (made.user_id, "One.", 1)
    assert stories.sessions(db)[0].updated == 7.0
    with pytest.raises(CommandError, match="no reply to anything"):
        branches.open_variant(db, S, ids(db)[0], "n", 8.0)
    again = branches.open_again(db, S)
    assert (again.reply_id, again.line, again.variant) == (opened.reply_id, "One.", 1)
    changed = edit(db, made.user_id, "One, then.", "Three.")
    assert (changed.line, changed.variant) == ("One, then.", 0)
    with pytest.raises(CommandError, match="says already"):
        branches.edit_reply(db, S, changed.reply_id, "Three.", 9.0)
    branches.edit_reply(db, S, changed.reply_id, "Four.", 10.0)
    assert [(one.id, one.updated) for one in stories.sessions(db, 1)] == [(S, 10.0)]
    stories.create_session(db, "empty", "harbour", "mara", "", 1.0)
    with pytest.raises(CommandError, match="no reply to continue"):
        branches.open_again(db, "empty")
    assert branches.open_again(db, OTHER).line == ""  # a greeting


def test_ends_without_a_name_are_listed_newest_first_so_many(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(db, "One.", "a")
    for text in ("b", "c"):
        retry(db, text)
    found = [(end.last.content if end.last else "", end.active) for end in branches.ends(db, S)]
    assert found == [("c", True), ("b", False), ("a", False)]
    monkeypatch.setattr(limits, "BRANCHES_LISTED", 1)
    branches.choose_variant(db, S, None, 1)
    found = [(end.last.content if end.last else "", end.active) for end in branches.ends(db, S)]
    assert found == [("a", True), ("c", False)]  # where the story stands is always there


def test_a_story_begins_again_with_the_greeting_it_had(db: Connection) -> None:
    others = [("Evening.", None), ("Night.", None)]
    states.begin_story(
        db, "t", "harbour", "mara", "Morning.", Persona(), 1.0, StoryState(), None, others
    )
    first = stories.active_leaf(db, "t")
    exchanges.begin_exchange(db, "t", "I go.", "m", None, 2.0)
    tree.go(db, "t", None)
    assert stories.active_leaf(db, "t") == first
    stories.create_session(db, "u", "harbour", "mara", "", 1.0)
    made = exchanges.begin_exchange(db, "u", "I begin.", "m", None, 2.0)
    streaming_text.end(db, made.reply_id, "You do.", "complete")
    tree.undo(db, "u")
    assert stories.active_leaf(db, "u") is None
    assert tree.redo(db, "u").id == made.user_id
    assert stories.active_leaf(db, "u") == made.reply_id


def test_at_a_line_the_story_stands_at_the_answer_shown_last_else_the_newest(db: Connection) -> None:
    line = say(db, "One.", "a").user_id
    for text in ("b", "c"):
        retry(db, text)
    branches.choose_variant(db, S, None, 1)
    tree.go(db, S, line)
    assert told(db)[-1] == "a"
    stories.append(db, S, line, "system", "A note.", "complete", now=3.0)
    tree.go(db, S, line)
    assert told(db)[-1] == "c"
    bare = stories.append(db, S, stories.active_leaf(db, S), "user", "Two.", "complete", now=3.0)
    tree.go(db, S, bare)
    assert told(db)[-1] == "Two."


# --- ways ---------------------------------------------------------------------------------------


def test_a_way_without_some_of_its_messages(db: Connection) -> None:
    for n in range(3):
        say(db, f"Line {n}.", "Yes.")
    path = ids(db)
    found = way(db, path[-1]).ids
    assert isinstance(found, Ids)
    less = found.but({path[1], path[4]})
    assert (len(found), len(less)) == (7, 5)
    assert [number in less for number in path] == [True, False, True, True, False, True, True]
    assert [found.last(most) for most in (None, 2, 0, 99)] == [path, path[-2:], [], path]
    assert less.last(3) == [path[3], *path[5:]]
    assert [one in found for one in (0, path[-1] + 1, "x", path[0])] == [False, False, False, True]
    assert found.but(()) is found


def test_a_row_that_is_damaged_keeps_nobody_from_its_way(db: Connection) -> None:
    made = say(db, "One.", "Two.")
    for data in ('{"state"', '["hidden"]', '{"state": 7, "stage": 1}'):
        db.execute("UPDATE messages SET extra = ? WHERE id = ?", (data, made.user_id))
        assert (way(db, made.reply_id).state, len(way(db, made.reply_id).remembered)) == (None, 3)


def test_a_summary_is_the_nearest_above_and_of_its_own_way(db: Connection) -> None:
    first, second = say(db, "One.", "Two."), say(db, "Three.", "Four.")
    assert search.newest(db, second.reply_id) is None
    for number, text in ((first.reply_id, "a"), (second.user_id, "b")):
        search.add(db, number, text, 2.0)
    search.add(db, first.reply_id, "A", 3.0)
    asked = [(second.reply_id, None), (second.reply_id, second.user_id), (first.reply_id, None),
             (first.user_id, None), (second.reply_id, first.reply_id), (None, None)]  # fmt: skip
    found = [search.newest(db, leaf, before=before) for leaf, before in asked]
    assert [one.text if one else None for one in found] == ["b", "A", "A", None, None, None]
    other = retry(db, "Other.", first.reply_id)
    assert search.newest(db, other.reply_id) is None


def test_words_are_looked_for_in_what_one_may_see_the_newest_first(db: Connection) -> None:
    stories.create_session(db, "theirs", "harbour", "mara", "The bell.", 1.0, 1)
    for story in (S, OTHER):
        stories.append(db, story, None, "assistant", f"A bell of {story}.", "complete", now=1.0)
    assert [hit.session_id for hit in search.search(db, "bell")] == [OTHER, S]
    assert [hit.session_id for hit in search.search(db, "bell", 1)] == [OTHER]
    assert [hit.session_id for hit in search.search(db, "bell", user=1)] == ["theirs"]
    assert search.search(db, "  ") == []
    assert search.search(db, 'bell "of', 9)[0].excerpt == f"A bell of {OTHER}."
    trash.delete(db, OTHER, 2.0)
    assert [hit.session_id for hit in search.search(db, "bell")] == [S]


# --- what is a reply ----------------------------------------------------------------------------


def note(db: Connection, role: str, **extra: Any) -> int:
    """Adds dice or the player's own narration."""
    made = exchanges.add_message(db, S, role, lambda _: ("A note.", MessageExtra(**extra)), None, 5.0)
    assert made is not None
    return made.id


def test_dice_are_no_reply_and_the_next_one_answers_them(db: Connection) -> None:
    say(db, "One.", "Two.")
    with pytest.raises(CommandError, match="Tell what"):
        exchanges.open_answer(db, S, "m", 6.0)  # the narrator has the last word
    for role, by in (("system", ""), ("assistant", "player")):
        dice = note(db, role, by=by)
        with pytest.raises(CommandError, match="no reply to anything"):
            branches.open_variant(db, S, dice, "m", 6.0)
        opened = exchanges.open_answer(db, S, "m", 6.0)
        assert (opened.line_id, opened.line, opened.variant) == (dice, branches.GO_ON, 0)
        with pytest.raises(CommandError, match="A reply is being written"):
            note(db, role, by=by)
        streaming_text.end(db, opened.reply_id, "Three.", "complete")
        again = branches.open_variant(db, S, opened.reply_id, "m", 7.0)
        assert (again.line_id, again.line, again.variant) == (dice, branches.GO_ON, 1)
        streaming_text.end(db, again.reply_id, "Four.", "complete")
    with pytest.raises(CommandError, match="was not written by anybody"):
        branches.edit_reply(db, S, note(db, "system"), "Other.", 8.0)
    assert tree.find(db, S, None).content == "Four."  # dice are passed over
    assert tree.last_line(db, S).content == "One."
    line = exchanges.begin_exchange(db, S, "Five.", "m", None, 9.0)
    db.execute("UPDATE sessions SET active_leaf = ? WHERE id = ?", (line.user_id, S))
    assert exchanges.open_answer(db, S, "m", 9.0).line == "Five."


def test_a_greeting_that_goes_on_answers_nothing_and_is_the_first(db: Connection) -> None:
    (greeting,) = stories.active_path(db, S)
    again = branches.open_again(db, S)
    assert again == branches.Continued(greeting.id, "", "Hello.", 0)
    streaming_text.end(db, greeting.id, "Hello. More.", "complete", {}, "")
    with pytest.raises(CommandError, match="There is no branch 'x' in this story"):
        branches.checkout(db, S, "x", 1.0)
    stories.append(db, S, greeting.id, "user", "I look.", "complete", now=1.0)
    with pytest.raises(CommandError, match="There is no reply to continue"):
        branches.open_again(db, S)
