"""Small rules of exchanges, one by one: what is kept of a prompt, what is remembered, what is not added twice."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from flower import limits
from flower.engine.game.sheet import Sheet
from flower.engine.game.steering import Persona
from flower.engine.lorebook.situation import Timed
from flower.engine.store import (
    branches,
    exchanges,
    passages,
    prompts,
    states,
    stories,
    streaming_text,
    trash,
    tree,
)
from flower.engine.store.connection import Connection
from flower.engine.store.exchanges import LineNotes, PromptRecord, memory_of
from flower.engine.store.extra import ManifestEntry, MessageExtra
from flower.engine.store.library import favourites
from flower.errors import CommandError
from tests.engine.store.test_tree import S, retry, say

RULES, LORE = ManifestEntry("rules", "base", 12), ManifestEntry("lore", "bells", 3)


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    return db


def extra_of(db: Connection, number: int) -> MessageExtra:
    found = stories.message(db, number)
    assert found is not None
    return found.extra


# --- what is kept of a prompt -------------------------------------------------------------------


def record(line_id: int, reply_id: int, **more: object) -> PromptRecord:
    fields = {
        "manifest": [RULES],
        "window_start": line_id,
        "speaker": "ada",
        "nearly": [LORE],
        "line": None,
    }
    return PromptRecord(session_id=S, line_id=line_id, reply_id=reply_id, **{**fields, **more})  # type: ignore[arg-type]


def test_what_a_prompt_was_made_of_is_kept_with_its_line_its_reply_and_its_story(
    db: Connection,
) -> None:
    made = say(db, "I look.", "You see.")
    notes = LineNotes(recalled="Ned rang.", private=(), recalled_ids=(7,), stands=(("s", "Rain."),))
    kept = record(made.user_id, made.reply_id, line=notes, variables={"n": "1"}, lore_timed=Timed())
    assert exchanges.store_prompt(db, kept) == ""
    line, reply = extra_of(db, made.user_id), extra_of(db, made.reply_id)
    assert (line.recalled, line.recalled_ids, line.stands) == ("Ned rang.", (7,), (("s", "Rain."),))
    assert (reply.manifest, reply.speaker, reply.nearly) == ((RULES,), "ada", (LORE,))
    assert tree.window_start(db, S) == made.user_id
    assert states.variables_at(db, S, made.reply_id) == {"n": "1"}
    exchanges.store_prompt(db, record(made.user_id, made.reply_id, speaker="mara", nearly=[]))
    assert extra_of(db, made.user_id).recalled == "Ned rang."  # no line was answered by it
    assert (extra_of(db, made.reply_id).speaker, extra_of(db, made.reply_id).nearly) == ("mara", ())


def test_variables_that_are_too_long_are_told_and_the_story_goes_on(db: Connection) -> None:
    made = say(db, "I look.", "You see.")
    told = exchanges.store_prompt(
        db, record(made.user_id, made.reply_id, variables={"n": "x" * 10_000_000})
    )
    assert told.startswith("The variables of your notes are not kept: ")
    assert extra_of(db, made.reply_id).speaker == "ada"
    assert states.variables_at(db, S, made.reply_id) == {}


def test_the_newest_prompt_is_told_unless_one_is_asked_for(db: Connection) -> None:
    assert exchanges.manifest(db, S) is None
    first, second = say(db, "One.", "Two."), say(db, "Three.", "Four.")
    exchanges.store_prompt(db, record(first.user_id, first.reply_id))
    exchanges.add_to_manifest(db, second.reply_id, LORE)  # no prompt of it is known
    assert exchanges.manifest(db, S) == (RULES,)
    exchanges.store_prompt(db, record(second.user_id, second.reply_id, manifest=[LORE], nearly=[]))
    exchanges.add_to_manifest(db, second.reply_id, RULES)
    assert exchanges.manifest(db, S) == (LORE, RULES)
    assert exchanges.manifest(db, S, first.reply_id) == (RULES,)
    assert exchanges.manifest(db, S, first.user_id) is None
    assert exchanges.manifest(db, "other", first.reply_id) is None
    assert [exchanges.nearly_fired(db, S, one) for one in (None, first.reply_id, first.user_id)] == [
        (), (LORE,), None
    ]  # fmt: skip


# --- what is remembered -------------------------------------------------------------------------


def test_where_and_who_a_memory_was_are_those_of_its_reply(db: Connection) -> None:
    made = say(db, "I look.", "You see.")
    assert exchanges.circumstances(db, S, made.reply_id) == ("", "mara", "")
    states.change_steering(db, S, lambda old: replace(old, persona=Persona("Ines")))
    states.change_state(db, S, lambda old: replace(old, sheet=Sheet(place="the quay", time="dusk")))
    exchanges.store_prompt(db, record(made.user_id, made.reply_id))
    later = say(db, "I go.", "You go.")
    states.change_state(db, S, lambda old: replace(old, sheet=Sheet(time="night")))
    assert exchanges.circumstances(db, S, made.reply_id) == ("Ines", "ada", "the quay, dusk")
    assert exchanges.circumstances(db, S, later.reply_id) == ("Ines", "mara", "night")


def remember(db: Connection, reply: int, text: str) -> None:
    piece = passages.Passage(0, "memory", f"memory:{S}", f"message:{reply}", "", text, reply)
    passages.add_memories(db, [piece])


def test_the_last_exchange_is_unremembered_until_all_its_letters_are_kept(db: Connection) -> None:
    assert exchanges.unremembered(db) == []  # a greeting answers nothing
    first, last = say(db, "One.", "Two."), say(db, "I look.", "You see.")
    told = [(S, last.reply_id, "I look.", "You see.")]
    assert exchanges.unremembered(db) == exchanges.unremembered(db, S) == told
    assert exchanges.unremembered(db, "other") == []
    remember(db, last.reply_id, memory_of("I look.", "You see"))
    assert exchanges.unremembered(db) == told
    remember(db, last.reply_id, memory_of("I look.", "You see.").replace(" ", "\n"))
    assert exchanges.unremembered(db) == []
    branches.goto(db, S, first.reply_id, 3.0)  # the one at which it stands counts, too
    assert exchanges.unremembered(db) == [(S, first.reply_id, "One.", "Two.")]
    exchanges.forget(db, first.reply_id)
    assert exchanges.unremembered(db) == []


@pytest.mark.parametrize(
    ("status", "text", "listed"),
    [("complete", "x", True), ("stopped", "x", True), ("interrupted", "x", True), ("error", "x", False),
     ("streaming", "x", False), ("complete", "", False)],
)  # fmt: skip
def test_a_reply_that_came_to_something_is_to_be_remembered(
    db: Connection, status: str, text: str, listed: bool
) -> None:
    reply = exchanges.begin_exchange(db, S, "I go.", "m", None, 2.0).reply_id
    streaming_text.end(db, reply, text, status)
    assert bool(exchanges.unremembered(db)) is listed


def test_the_last_whole_replies_of_a_model_elsewhere_are_read_so_far_back(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(db, "a", "here")
    stories.create_session(db, "t", "harbour", "mara", "Hello.", 1.0)
    for number, status in enumerate(("complete", "complete", "stopped", "complete", "complete")):
        model = "m" if number != 3 else "other"
        reply = exchanges.begin_exchange(db, "t", "line", model, None, 2.0).reply_id
        streaming_text.end(db, reply, f"reply {number}", status)
    assert exchanges.replies_elsewhere(db, S, "m", 9) == ("reply 4", "reply 1", "reply 0")
    assert exchanges.replies_elsewhere(db, S, "m", 2) == ("reply 4", "reply 1")
    assert exchanges.replies_elsewhere(db, "t", "m", 9) == ("here",)
    monkeypatch.setattr(
        "flower.engine.store.exchanges.CUE_LOOK_BACK", 9
    )  # lines and replies: reply 0 is the ninth
    assert exchanges.replies_elsewhere(db, S, "m", 9) == ("reply 4", "reply 1", "reply 0")
    monkeypatch.setattr("flower.engine.store.exchanges.CUE_LOOK_BACK", 8)
    assert exchanges.replies_elsewhere(db, S, "m", 9) == ("reply 4", "reply 1")


# --- what is not added --------------------------------------------------------------------------


def test_a_note_of_one_request_is_added_once_and_never_while_a_reply_grows(db: Connection) -> None:
    def make(number: int) -> tuple[str, MessageExtra]:
        return f"note {number}", MessageExtra(told="told")

    note = exchanges.add_message(db, S, "system", make, "r", 5.0)
    assert note is not None
    assert (note.content, note.extra.told, note.role, note.status) == (
        f"note {note.id}", "told", "system", "complete"
    )  # fmt: skip
    assert stories.active_leaf(db, S) == note.id
    assert stories.sessions(db)[0].updated == 5.0
    assert exchanges.add_message(db, S, "system", make, "r", 6.0) is None
    reply = exchanges.begin_exchange(db, S, "I go.", "m", None, 7.0).reply_id
    with pytest.raises(CommandError, match="being written"):
        exchanges.add_message(db, S, "system", make, "q", 8.0)
    streaming_text.end(db, reply, "You go.", "complete")
    assert exchanges.add_message(db, S, "system", make, "q", 8.0) is not None


def test_a_reply_is_opened_to_what_the_player_told_and_to_no_reply(db: Connection) -> None:
    with pytest.raises(CommandError, match="Tell what"):
        exchanges.open_answer(db, S, "m", 2.0)
    told = exchanges.add_message(
        db, S, "assistant", lambda _: ("It rains.", MessageExtra(by="player")), None, 2.0
    )
    assert told is not None
    opened = exchanges.open_answer(db, S, "m", 3.0)
    assert (opened.line_id, opened.line, opened.variant) == (told.id, branches.GO_ON, 0)
    assert stories.active_leaf(db, S) == opened.reply_id
    stories.create_session(db, "t", "harbour", "mara", "", 1.0)
    with pytest.raises(CommandError, match="Tell what"):
        exchanges.open_answer(db, "t", "m", 2.0)


def test_a_line_goes_into_no_story_of_the_trash_and_notes_who_was_there(db: Connection) -> None:
    made = exchanges.begin_exchange(db, S, "I go.", "m", "r", 2.0, there={2, 1})
    assert [extra_of(db, number).there for number in (made.user_id, made.reply_id)] == [(1, 2)] * 2
    alone = exchanges.begin_exchange(db, S, "I go.", "m", None, 2.0)
    assert extra_of(db, alone.user_id).there == ()
    trash.delete(db, S, 3.0)
    with pytest.raises(CommandError, match="in the trash"):
        exchanges.begin_exchange(db, S, "I stay.", "m", None, 4.0)


def test_lines_wait_in_order_and_one_that_got_no_reply_may_be_sent_again(db: Connection) -> None:
    stories.create_session(db, "t", "harbour", "mara", "Hello.", 1.0)
    for request in ("1", "2"):
        prompts.note_request(db, "c", request, f"line {request}", 1.0)
    ids = [prompts.keep_waiting(db, S, f"line {request}", request, 1.0) for request in ("1", "2", None)]
    other = prompts.keep_waiting(db, "t", "other", "2", 1.0)
    assert [one.line for one in prompts.waiting(db, S)] == ["line 1", "line 2", "line None"]
    prompts.give_back(db, ids[2], None)
    prompts.give_back(db, ids[0], "1")
    prompts.note_request(db, "c", "1", "line 1", 2.0)
    with pytest.raises(prompts.AlreadyDoneError):
        prompts.note_request(db, "c", "2", "line 2", 2.0)
    assert [one.id for one in prompts.waiting(db, S)] == [ids[1]]
    prompts.drop_all_waiting(db, S)
    assert (prompts.waiting(db, S), [one.id for one in prompts.waiting(db, "t")]) == ([], [other])
    assert prompts.REMEMBERED_S > 86_400  # a client may be away for a night


def test_favourites_are_the_homes_where_nobody_is_named(db: Connection) -> None:
    assert favourites.switch(db, "worlds", "a") is True
    assert [favourites.of(db, "worlds"), favourites.of(db, "worlds", 0)] == [{"a"}, {"a"}]
    assert favourites.of(db, "characters") == frozenset()
    assert favourites.switch(db, "worlds", "a", 0) is False


# --- the way through the tree -------------------------------------------------------------------


def test_variants_are_counted_from_the_oldest_and_beginnings_are_variants_too(db: Connection) -> None:
    say(db, "I look.", "One.")
    retry(db, "Two.")
    path = stories.active_path(db, S)
    ids = [message.id for message in path]
    assert tree.variants(db, ids) == {ids[2]: (2, 2)}
    states.greet_anew(db, S, [("Evening.", None)], 5.0)
    assert tree.greeting(db, S, stories.path_ids(db, ids[0])) == 0
    other = stories.append(db, S, None, "assistant", "Night.", "complete", now=5.0)
    assert tree.greeting(db, S, stories.path_ids(db, other)) == 1
    assert tree.variants(db, [ids[0], other]) == {ids[0]: (1, 2), other: (2, 2)}
    line = stories.append(db, S, None, "user", "I begin.", "complete", now=5.0)
    assert tree.greeting(db, S, stories.path_ids(db, line)) is None


def test_a_page_is_one_longer_where_there_is_more(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HISTORY_PAGE_MESSAGES", 2)
    for number in range(2):
        say(db, f"Line {number}.", f"Reply {number}.")
    page = tree.page(db, S)
    assert page is not None
    assert [message.content for message in page.messages] == ["Reply 0.", "Line 1.", "Reply 1."]
    assert page.sheet == ()
    above = tree.page(db, S, page.messages[1].id)
    assert above is not None
    assert [message.content for message in above.messages] == ["Hello.", "Line 0.", "Reply 0."]
    assert above.sheet is None
    assert tree.page(db, S, 99) == tree.Page(())
    assert tree.page(db, "none") is None


# --- the words of a memory ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("player", "speaker", "scene", "title"),
    [
        ("", "", "", ""),
        ("Ines", "", "", "Ines / The narrator"),
        ("", "Mara", "", "The player / Mara"),
        ("Ines", "Mara", "the lock, dusk", "Ines / Mara\nthe lock, dusk"),
        ("", "", "the lock", "\nthe lock"),
    ],
)
def test_a_memory_is_headed_by_who_spoke_and_then_by_where(
    player: str, speaker: str, scene: str, title: str
) -> None:
    assert exchanges.memory_title(player, speaker, scene) == title
    assert exchanges.scene_of(title) == scene


@pytest.mark.parametrize(
    ("title", "text", "words"),
    [
        ("Ines / Mara", exchanges.memory_of("I go.", "You went."), "Ines: I go.\nMara: You went."),
        (
            "Ines / Mara\nnorth / south",
            "The player: I go.\nThe narrator: On.",
            "Ines: I go.\nMara: On.",
        ),
        ("\nthe lock / dusk", "The player: I go.", "The player: I go."),
        ("", "The narrator: You went.", "The narrator: You went."),
        ("Ines / Mara", "The narrator: You went.", "Mara: You went."),  # pieces of a long exchange
        ("Ines / Mara", "and went on.", "and went on."),
        ("Ines / Mara", "and on.\nThe narrator: So be it.", "and on.\nMara: So be it."),
        ("Ines / Mara", "The player: I go.", "Ines: I go."),
    ],
)
def test_a_memory_is_told_with_the_names_of_its_title(title: str, text: str, words: str) -> None:
    assert exchanges.memory_text(title, text) == words
