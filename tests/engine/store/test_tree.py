"""The story tree as rows: any order of commands keeps every word and exactly one way through it."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import ExitStack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flower import limits
from flower.engine.store import (
    branches,
    exchanges,
    schema,
    search,
    stories,
    streaming_text,
    trash,
    tree,
)
from flower.engine.store.connection import Connection
from flower.engine.store.extra import MessageExtra
from flower.engine.store.sqlite.connection import migrate
from flower.errors import CommandError
from tests.postgres_cluster import needed
from tests.stores import connected

S = "s"


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    return db


def say(db: Connection, line: str, reply: str) -> exchanges.Exchange:
    made = exchanges.begin_exchange(db, S, line, "m", None, 2.0)
    streaming_text.end(db, made.reply_id, reply, "complete")
    return made


def retry(db: Connection, text: str, message: int | None = None) -> branches.Opened:
    opened = branches.open_variant(db, S, message, "m", 3.0)
    streaming_text.end(db, opened.reply_id, text, "complete")
    return opened


def edit(db: Connection, message: int, text: str, reply: str) -> branches.Opened:
    opened = branches.open_edit(db, S, message, text, "m", 3.0)
    streaming_text.end(db, opened.reply_id, reply, "complete")
    return opened


def told(db: Connection) -> list[str]:
    return [m.content for m in stories.active_path(db, S)]


# --- variants and edits -------------------------------------------------------------------------


def test_a_retry_is_a_sibling_and_the_old_reply_can_be_shown_again(db: Connection) -> None:
    first = say(db, "I knock.", "Nobody.")
    opened = retry(db, "A voice.")
    assert (opened.line_id, opened.line, opened.variant) == (first.user_id, "I knock.", 1)
    assert told(db) == ["Hello.", "I knock.", "A voice."]
    assert tree.variants(db, [first.reply_id, opened.reply_id]) == {
        first.reply_id: (1, 2),
        opened.reply_id: (2, 2),
    }
    assert branches.choose_variant(db, S, None, 1) == (1, 2)
    assert told(db) == ["Hello.", "I knock.", "Nobody."]
    assert branches.choose_variant(db, S, None, -1, step=True) == (2, 2)


def test_a_variant_comes_back_with_everything_that_followed_it(db: Connection) -> None:
    first = say(db, "I knock.", "Nobody.")
    say(db, "I wait.", "Steps.")
    say(db, "I hide.", "Dark.")
    retry(db, "A voice.", first.reply_id)
    assert told(db) == ["Hello.", "I knock.", "A voice."]
    branches.choose_variant(db, S, None, 1)
    assert told(db)[-1] == "Dark."


def test_a_message_of_another_way_can_be_named_as_the_variant_to_go_on_with(
    db: Connection,
) -> None:
    first = say(db, "I knock.", "Nobody.")
    retry(db, "A voice.")
    assert branches.choose_variant(db, S, first.reply_id, 1) == (1, 2)
    assert told(db)[-1] == "Nobody."


def test_an_edited_line_is_a_branch_and_an_edited_reply_says_that_it_was(
    db: Connection,
) -> None:
    first = say(db, "I knock.", "Nobody.")
    say(db, "I wait.", "Steps.")
    opened = edit(db, first.user_id, "I shout.", "Echo.")
    assert told(db) == ["Hello.", "I shout.", "Echo."]
    made = branches.edit_reply(db, S, opened.reply_id, "An echo.", 4.0)
    assert told(db) == ["Hello.", "I shout.", "An echo."]
    assert (made.status, made.extra) == ("complete", MessageExtra(edited=True))
    assert branches.choose_variant(db, S, opened.line_id, 1) == (1, 2)
    assert told(db) == ["Hello.", "I knock.", "Nobody.", "I wait.", "Steps."]


def test_what_belongs_to_a_message_stays_with_its_edit_but_not_its_prompt(
    db: Connection,
) -> None:
    first = say(db, "I knock.", "Nobody.")
    stories.set_message_extra(
        db,
        first.reply_id,
        {"sheet": {"hp": 3}, "manifest": [{"section": "a", "source": "b", "tokens": 1}]},
    )
    made = branches.edit_reply(db, S, first.reply_id, "No one.", 4.0)
    assert made.extra == MessageExtra(edited=True, others={"sheet": {"hp": 3}})


def test_another_greeting_is_another_beginning(db: Connection) -> None:
    branches.edit_reply(db, S, 1, "Welcome.", 2.0)
    say(db, "Hi.", "Ho.")
    assert told(db) == ["Welcome.", "Hi.", "Ho."]
    branches.choose_variant(db, S, stories.active_path(db, S)[0].id, 1)
    assert told(db) == ["Hello."]
    assert tree.variants(db, [1]) == {1: (1, 2)}


def test_a_seed_counts_replies_in_the_trash_too(db: Connection) -> None:
    say(db, "I knock.", "Nobody.")
    second = retry(db, "A voice.")
    trash.discard(db, S, second.reply_id, 5.0)
    assert retry(db, "Steps.").variant == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda db: branches.open_variant(db, S, None, "m", 1.0), "no reply to anything"),
        (lambda db: branches.open_variant(db, S, 99, "m", 1.0), "no message 99"),
        (lambda db: branches.choose_variant(db, S, None, 1), "no other variants"),
        (lambda db: tree.undo(db, S), "nothing to undo"),
        (lambda db: tree.redo(db, S), "nothing to redo"),
        (lambda db: tree.last_line(db, S), "not written a line"),
        (lambda db: trash.restore_messages(db, S, 1), "not in the trash"),
        (lambda db: branches.checkout(db, S, "east", 1.0), "no branch 'east'"),
        (lambda db: branches.begin(db, S, None, "12", 1.0), "no number"),
        (lambda db: branches.edit_reply(db, S, 1, "Hello.", 1.0), "says already"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(db: Connection, change, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CommandError) as caught:
        change(db)
    assert says in str(caught.value)


def test_a_reply_to_the_dice_can_be_written_anew_and_the_dice_stay(db: Connection) -> None:
    say(db, "One.", "First.")
    stories.append(db, S, stories.active_leaf(db, S), "system", "Roll: 17", "complete", now=3.0)
    exchanges.open_answer(db, S, "m", 3.0)
    opened = retry(db, "It holds.")
    assert (opened.line, opened.variant) == (branches.GO_ON, 1)
    assert told(db)[-2:] == ["Roll: 17", "It holds."]
    tree.undo(db, S)
    assert told(db)[-1] == "Roll: 17"


# --- back and forth -----------------------------------------------------------------------------


def test_undo_goes_back_by_exchanges_and_redo_forth(db: Connection) -> None:
    say(db, "One.", "First.")
    say(db, "Two.", "Second.")
    assert tree.undo(db, S).content == "Two."
    assert told(db) == ["Hello.", "One.", "First."]
    tree.undo(db, S)
    assert told(db) == ["Hello."]
    tree.redo(db, S)
    assert tree.redo(db, S).content == "Two."
    assert told(db)[-1] == "Second."


def test_a_note_between_the_lines_is_a_step_of_its_own(db: Connection) -> None:
    say(db, "One.", "First.")
    leaf = stories.active_leaf(db, S)
    stories.append(db, S, leaf, "system", "Roll 1d20: 17", "complete", now=3.0)
    say(db, "Two.", "Second.")
    tree.undo(db, S)
    assert told(db)[-1] == "Roll 1d20: 17"
    tree.undo(db, S)
    assert told(db)[-1] == "First."
    tree.redo(db, S)
    tree.redo(db, S)
    assert told(db)[-2:] == ["Two.", "Second."]


def test_after_going_back_a_new_line_is_a_branch_and_there_is_nothing_to_redo(
    db: Connection,
) -> None:
    one = say(db, "Left.", "Door.")
    tree.undo(db, S)
    two = say(db, "Right.", "Stairs.")
    with pytest.raises(CommandError):
        tree.redo(db, S)
    assert tree.variants(db, [one.user_id, two.user_id]) == {
        one.user_id: (1, 2),
        two.user_id: (2, 2),
    }


def test_a_story_without_a_greeting_can_be_undone_to_nothing_and_back(db: Connection) -> None:
    stories.create_session(db, "bare", "harbour", "", "", 1.0)
    exchanges.begin_exchange(db, "bare", "Hi.", "m", None, 1.0)
    tree.undo(db, "bare")
    assert stories.active_path(db, "bare") == []
    tree.redo(db, "bare")
    assert len(stories.active_path(db, "bare")) == 2


def test_a_note_in_the_place_of_an_answer_goes_back_and_forth_with_its_line(
    db: Connection,
) -> None:
    first = say(db, "One.", "First.")
    trash.discard(db, S, first.reply_id, 3.0)
    note = stories.append(db, S, first.user_id, "system", "Roll 1d20: 17", "complete", now=3.0)
    trash.restore_messages(db, S, first.reply_id)
    branches.goto(db, S, note, 4.0)
    tree.undo(db, S)
    assert told(db) == ["Hello."]
    tree.redo(db, S)
    assert told(db) == ["Hello.", "One.", "Roll 1d20: 17"]


def test_a_branch_that_is_in_the_trash_from_its_root_on_leads_to_the_greeting_that_is_left(
    db: Connection,
) -> None:
    branches.begin(db, S, None, "east", 1.0)
    branches.edit_reply(db, S, 1, "Welcome.", 2.0)
    branches.begin(db, S, None, "west", 3.0)
    trash.discard(db, S, 1, 4.0)
    branches.checkout(db, S, "main", 5.0)
    assert told(db) == ["Welcome."]


# --- the trash ----------------------------------------------------------------------------------


def test_a_message_goes_into_the_trash_with_all_below_it_and_comes_back(db: Connection) -> None:
    say(db, "One.", "First.")
    two = say(db, "Two.", "Second.")
    say(db, "Three.", "Third.")
    before = told(db)
    assert trash.discard(db, S, two.user_id, 5.0) == 4
    assert told(db) == ["Hello.", "One.", "First."]
    assert [(d.id, d.messages) for d in trash.list_messages(db, S)] == [(two.user_id, 4)]
    assert search.search(db, "Third") == []
    assert trash.restore_messages(db, S, two.user_id) == 4
    assert told(db) == before


def test_in_the_place_of_a_deleted_variant_another_one_is_shown(db: Connection) -> None:
    say(db, "I knock.", "Nobody.")
    second = retry(db, "A voice.")
    trash.discard(db, S, second.reply_id, 5.0)
    assert told(db)[-1] == "Nobody."


def test_below_what_is_in_the_trash_nothing_can_be_taken_back_first(db: Connection) -> None:
    one = say(db, "One.", "First.")
    two = say(db, "Two.", "Second.")
    trash.discard(db, S, two.user_id, 5.0)
    trash.discard(db, S, one.user_id, 6.0)
    with pytest.raises(CommandError, match=f"/restore {one.reply_id} first"):
        trash.restore_messages(db, S, two.user_id)
    trash.restore_messages(db, S, one.user_id)
    assert told(db)[-1] == "First."
    trash.restore_messages(db, S, two.user_id)
    assert told(db)[-1] == "Second."


def test_the_trash_is_emptied_whole_even_if_the_clock_went_back(db: Connection) -> None:
    one = say(db, "One.", "First.")
    two = say(db, "Two.", "Second.")
    trash.discard(db, S, two.user_id, 50.0)
    trash.discard(db, S, one.user_id, 5.0)
    ids = trash.expired_messages(db, 10.0)
    assert ids == [one.user_id, one.reply_id, two.user_id, two.reply_id]
    trash.purge_messages(db, ids)
    assert [m.content for m in stories.tree(db, S)] == ["Hello."]
    if isinstance(db, sqlite3.Connection):
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


# --- branches -----------------------------------------------------------------------------------


def test_a_branch_is_a_place_to_come_back_to(db: Connection) -> None:
    one = say(db, "One.", "First.")
    say(db, "Two.", "Second.")
    assert branches.begin(db, S, one.reply_id, "East Door", 5.0) == "East Door"
    say(db, "East.", "A wall.")
    assert [(e.name, e.active) for e in branches.ends(db, S)] == [("main", False), ("East Door", True)]
    branches.checkout(db, S, "main", 6.0)
    assert told(db)[-1] == "Second."
    say(db, "Three.", "Third.")
    branches.checkout(db, S, "east door", 7.0)
    assert told(db)[-1] == "A wall."
    branches.checkout(db, S, "MAIN", 8.0)
    assert told(db)[-1] == "Third."


def test_going_to_a_message_leaves_the_branch_where_it_was(db: Connection) -> None:
    one = say(db, "One.", "First.")
    say(db, "Two.", "Second.")
    branches.begin(db, S, None, "", 5.0)
    assert branches.goto(db, S, one.user_id, 6.0).content == "First."
    assert branches.current(db, S) == ""
    branches.checkout(db, S, "branch-2", 7.0)
    assert told(db)[-1] == "Second."


def test_a_branch_whose_end_is_in_the_trash_ends_above_it(db: Connection) -> None:
    one = say(db, "One.", "First.")
    two = say(db, "Two.", "Second.")
    branches.begin(db, S, one.reply_id, "east", 5.0)
    trash.discard(db, S, two.user_id, 6.0)
    trash.purge_messages(db, trash.expired_messages(db, 7.0))
    branches.checkout(db, S, "main", 8.0)
    assert told(db)[-1] == "First."


# --- pages and search ---------------------------------------------------------------------------


def test_a_page_says_which_messages_have_siblings(db: Connection) -> None:
    first = say(db, "I knock.", "Nobody.")
    opened = retry(db, "A voice.")
    page = tree.page(db, S)
    assert page is not None
    assert page.variants == {opened.reply_id: (2, 2)}
    assert first.reply_id not in [m.id for m in page.messages]
    assert tree.page(db, "nowhere") is None


def test_a_page_above_a_message_of_another_story_is_empty(db: Connection) -> None:
    stories.create_session(db, "other", "harbour", "", "Secret.", 1.0)
    made = exchanges.begin_exchange(db, "other", "Hi.", "m", None, 1.0)
    assert tree.page(db, S, made.user_id) == tree.Page(())


def test_words_are_found_on_every_branch_once_their_reply_has_ended(db: Connection) -> None:
    say(db, "I knock at the river door.", "The otter sleeps.")
    opened = branches.open_variant(db, S, None, "m", 3.0)
    streaming_text.append(db, opened.reply_id, 0, "A heron", "m")
    assert search.search(db, "heron") == []
    streaming_text.end(db, opened.reply_id, "A heron watches.", "complete")
    assert [h.excerpt for h in search.search(db, "heron watched")] == ["A heron watches."]
    assert [h.role for h in search.search(db, "OTTER")] == ["assistant"]
    assert search.search(db, '"door" NOT river OR') == []
    streaming_text.reopen(db, opened.reply_id)
    streaming_text.end(db, opened.reply_id, "A crane.", "complete")
    assert search.search(db, "heron") == []
    db.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)")


def test_a_deleted_story_is_not_found(db: Connection) -> None:
    say(db, "The heron.", "Gone.")
    trash.delete(db, S, 5.0)
    assert search.search(db, "heron") == []
    trash.purge(db, S)
    db.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)")


def test_pinned_stories_come_first_and_archived_ones_are_put_away(db: Connection) -> None:
    for number, session_id in enumerate(("a", "b", "c")):
        stories.create_session(db, session_id, "harbour", "", "", 10.0 + number)
    stories.set_pinned(db, "a", True)
    stories.set_archived(db, "c", True)
    assert [s.id for s in stories.sessions(db)] == ["a", "b", S]
    assert [s.id for s in stories.sessions(db, archived=True)] == ["a", "c", "b", S]


def test_a_story_from_before_there_was_a_tree_can_be_searched_and_walked() -> None:
    old = sqlite3.connect(":memory:", isolation_level=None)
    for script in schema.MIGRATIONS[:2]:
        old.executescript(script)
    old.execute("PRAGMA user_version = 2")
    old.execute("INSERT INTO sessions VALUES ('s', 'w', 'c', 'Old', NULL, 1.0, 1.0, '{}', NULL)")
    for number, (role, text) in enumerate(
        [("assistant", "Hello."), ("user", "A heron."), ("assistant", "Yes.")]
    ):
        old.execute(
            "INSERT INTO messages (session_id, parent_id, role, content, status, created)"
            " VALUES ('s', ?, ?, ?, 'complete', 1.0)",
            (number or None, role, text),
        )
    old.execute("UPDATE sessions SET active_leaf = 3")
    migrate(old)
    assert [hit.message_id for hit in search.search(old, "heron")] == [2]
    tree.undo(old, S)
    assert told(old) == ["Hello."]
    tree.redo(old, S)
    assert told(old) == ["Hello.", "A heron.", "Yes."]
    old.close()


# --- the law ------------------------------------------------------------------------------------


class AnyCommands(RuleBasedStateMachine):
    """Whatever is done in whatever order: one way through the tree, and no word is lost."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.resources = ExitStack()
        self.db = self.resources.enter_context(connected(self.kind))
        self.written: dict[int, str] = {}
        self.clock = 2.0

    @initialize(greeting=st.sampled_from(["Hello.", ""]))
    def begin(self, greeting: str) -> None:
        stories.create_session(self.db, S, "harbour", "", greeting, 1.0)
        if greeting:
            self.keep(1)
        else:
            self.say()

    def teardown(self) -> None:
        self.resources.close()

    def tick(self) -> float:
        self.clock += 1
        return self.clock

    def pick(self, data: st.DataObject) -> int:
        """Any message there ever was, in the trash or not."""
        return data.draw(st.sampled_from(sorted(self.written)))

    def keep(self, *ids: int) -> None:
        for message_id in ids:
            (text,) = self.db.execute(
                "SELECT content FROM messages WHERE id = ?", (message_id,)
            ).fetchone()
            assert self.written.setdefault(message_id, text) == text

    def answer(self, opened: branches.Opened) -> None:
        streaming_text.end(self.db, opened.reply_id, f"Reply {opened.reply_id}.", "complete")
        self.keep(opened.line_id, opened.reply_id)

    def attempt(self, change) -> object:  # type: ignore[no-untyped-def]
        """A refusal is fine; what was refused changed nothing."""
        self.db.execute("SAVEPOINT before")
        try:
            result = change()
        except CommandError:
            self.db.execute("ROLLBACK TO before")
            self.db.execute("RELEASE before")
            return None
        self.db.execute("RELEASE before")
        return result

    @rule()
    def say(self) -> None:
        made = say(self.db, f"Line {len(self.written)}.", f"Reply {len(self.written)}.")
        self.keep(made.user_id, made.reply_id)

    @rule()
    def roll(self) -> None:
        leaf = stories.active_leaf(self.db, S)
        self.keep(stories.append(self.db, S, leaf, "system", "Roll.", "complete", now=self.tick()))

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        message = self.pick(data)
        opened = self.attempt(lambda: branches.open_variant(self.db, S, message, "m", self.tick()))
        if isinstance(opened, branches.Opened):
            self.answer(opened)

    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        message = stories.visible(self.db, S, self.pick(data))
        if message is None:
            return
        text = f"Edit {len(self.written)}."
        if message.role == "user":
            opened = branches.open_edit(self.db, S, message.id, text, "m", self.tick())
            self.answer(opened)
            return
        made = self.attempt(lambda: branches.edit_reply(self.db, S, message.id, text, self.tick()))
        if isinstance(made, stories.Message):
            self.keep(made.id)

    @rule(data=st.data(), number=st.integers(-1, 4), step=st.booleans())
    def variant(self, data: st.DataObject, number: int, step: bool) -> None:
        message = self.pick(data)
        self.attempt(lambda: branches.choose_variant(self.db, S, message, number, step=step))

    @rule(data=st.data())
    def goto(self, data: st.DataObject) -> None:
        message = self.pick(data)
        self.attempt(lambda: branches.goto(self.db, S, message, self.tick()))

    @rule(data=st.data(), name=st.sampled_from(["", "east", "west"]))
    def branch(self, data: st.DataObject, name: str) -> None:
        message = data.draw(st.sampled_from([None, *sorted(self.written)]))
        self.attempt(lambda: branches.begin(self.db, S, message, name, self.tick()))

    @rule(name=st.sampled_from(["main", "east", "west"]))
    def checkout(self, name: str) -> None:
        self.attempt(lambda: branches.checkout(self.db, S, name, self.tick()))

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        message = self.pick(data)
        self.attempt(lambda: trash.discard(self.db, S, message, self.tick()))

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        message = self.pick(data)
        self.attempt(lambda: trash.restore_messages(self.db, S, message))

    @rule()
    def delete_and_restore_is_no_change(self) -> None:
        leaf = stories.active_leaf(self.db, S)
        if leaf is not None and tree.chosen_child(self.db, leaf) is None:
            shown = stories.tree(self.db, S)
            trash.discard(self.db, S, leaf, self.tick())
            trash.restore_messages(self.db, S, leaf)
            assert stories.active_leaf(self.db, S) == leaf
            assert stories.tree(self.db, S) == shown

    @rule()
    def undo(self) -> None:
        """undo, then redo, is where one was."""
        leaf = stories.active_leaf(self.db, S)
        if self.attempt(lambda: tree.undo(self.db, S)) is not None:
            above = stories.active_leaf(self.db, S)
            tree.redo(self.db, S)
            assert stories.active_leaf(self.db, S) == leaf
            tree.undo(self.db, S)
            assert stories.active_leaf(self.db, S) == above

    @rule()
    def redo(self) -> None:
        """redo, then undo, is where one was."""
        leaf = stories.active_leaf(self.db, S)
        if self.attempt(lambda: tree.redo(self.db, S)) is not None:
            below = stories.active_leaf(self.db, S)
            tree.undo(self.db, S)
            assert stories.active_leaf(self.db, S) == leaf
            tree.redo(self.db, S)
            assert stories.active_leaf(self.db, S) == below

    @precondition(lambda self: len(self.written) > 4)
    @rule()
    def walk_up_and_down(self) -> None:
        """All undos, then as many redos, lead back to the same end."""
        leaf, steps = stories.active_leaf(self.db, S), 0
        while self.attempt(lambda: tree.undo(self.db, S)) is not None:
            steps += 1
        for _ in range(steps):
            tree.redo(self.db, S)
        assert stories.active_leaf(self.db, S) == leaf

    @invariant()
    def no_word_is_lost(self) -> None:
        rows = self.db.execute("SELECT id, content FROM messages ORDER BY id").fetchall()
        assert dict(rows) == self.written

    @invariant()
    def one_active_path_of_visible_messages(self) -> None:
        path = stories.active_path(self.db, S)
        leaf = stories.active_leaf(self.db, S)
        assert [m.id for m in path] == sorted(stories.path_ids(self.db, leaf))
        assert all(stories.visible(self.db, S, m.id) for m in path)
        assert not path or path[0].parent_id is None
        for above, below in itertools.pairwise(path):
            assert below.parent_id == above.id
            assert tree.chosen_child(self.db, above.id) == below.id
        if path and path[-1].role == "user":
            assert all(m.role != "assistant" for m in stories.children(self.db, S, path[-1].id))

    @invariant()
    def everything_visible_hangs_below_a_visible_root(self) -> None:
        visible = {m.id: m.parent_id for m in stories.tree(self.db, S)}
        assert all(parent is None or parent in visible for parent in visible.values())
        thrown = {d.id for d in trash.list_messages(self.db, S)}
        hidden = self.db.execute("SELECT deleted_with FROM messages WHERE deleted IS NOT NULL")
        assert {top for (top,) in hidden} == thrown


AnyCommands.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyCommands = AnyCommands.TestCase


class AnyCommandsInPostgres(AnyCommands):
    """The same over rows of a server."""

    kind = "postgres"


AnyCommandsInPostgres.TestCase.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None
)
TestAnyCommandsInPostgres = needed(AnyCommandsInPostgres.TestCase)


def test_a_long_story_moves_fast_enough(db: Connection) -> None:
    """No part of a move may grow faster than the path: a thousand exchanges are walked, not sorted."""
    for number in range(limits.PROMPT_MESSAGES):
        say(db, f"Line {number}.", "Yes.")
    first = stories.active_path(db, S)[1]
    retry(db, "No.", first.id)
    branches.choose_variant(db, S, None, 1)
    assert len(told(db)) == 1 + 2 * limits.PROMPT_MESSAGES
