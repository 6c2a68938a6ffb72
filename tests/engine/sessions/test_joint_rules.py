"""Small rules of text on its way, one by one: how long words of a continuation wait, what of a queue is one event."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from trio.testing import MockClock

from flower.engine.sessions.joint import REPEATED_CHARS, Joint
from flower.engine.sessions.outbox import (
    CHUNK_MERGE_CHARS,
    ENTRY_CHARS,
    RESYNC,
    Outbox,
    _size,
)
from flower.protocol.messages import (
    ChatChunk,
    ChatHistory,
    ChatReasoning,
    ChunkMeta,
    HistoryItem,
    HistoryMeta,
    Recall,
    RecallItem,
    RecallMeta,
    SheetRow,
    State,
    StoryTree,
    SyncState,
    SystemUpdate,
    TreeNode,
)
from tests.engine.sessions.test_turn_rules import words

# --- a continuation -----------------------------------------------------------------------------


def waits(before: str, text: str) -> int:
    """How many characters of a continuation come before the first of it is let through."""
    joint = Joint(before)
    return next((size for size, one in enumerate(text, 1) if joint.feed(one)), 0)


def test_words_that_may_be_a_repetition_wait_longer_where_a_sentence_is_open() -> None:
    prose = words(100)[:-1]
    tail = prose[-396:]  # begins with a word
    assert waits(f"{prose}.", tail) == 60
    assert waits(prose, tail + " and") == len(tail) + 2  # all that may be said again
    for before in (f"{prose}.", prose):  # what comes at once and is long waits for nothing
        held = Joint(before).feed((prose + " ") * 3)
        assert held.endswith(prose + " ")
    assert waits("The gate opens. ", "  \n" + words(1)) == 3 + 6
    assert waits("The gate op", " " * 1_200) == 1_000
    assert waits("The gate op", "z" * (REPEATED_CHARS + 9)) == REPEATED_CHARS


def test_a_whole_sentence_that_comes_once_more_is_meant_and_an_open_one_is_not() -> None:
    for before, new in (("The gate opens.", " The gate opens."), ("The gate opens", "")):
        joint = Joint(before)
        assert joint.feed("The gate opens" + before[14:]) + joint.end() == new
        assert joint.end() == ""
    quoted = Joint("“The gate opens.” ")
    assert quoted.feed("The gate opens.” ") + quoted.end() == "The gate opens.” "


def test_only_the_end_of_a_long_text_is_looked_for() -> None:
    prose = words(200)[:-1]
    joint = Joint(prose)
    assert joint.feed(prose[-353:] + " and then ") + joint.end() == " and then "
    far = Joint(prose)
    assert far.feed(prose[-449:] + " and then ").startswith(f" {prose[-449:]}"[:20])


def test_a_server_that_goes_on_exactly_needs_no_guess() -> None:
    echoed = Joint("The gate op")
    echoed.goes_on_exactly("gate op \n")
    assert [echoed.feed(part) for part in ("ga", "te o", "pens.", " Opens.")] == [
        "",
        "",
        "ens.",
        " Opens.",
    ]
    plain = Joint("The gate op")
    plain.goes_on_exactly("gate op")
    assert plain.feed("ens") == "ens"
    spaced = Joint("The gate ")
    spaced.goes_on_exactly("The gate ")
    assert spaced.feed(" opens") == "opens"
    cut = Joint("The gate op")
    cut.goes_on_exactly("gate op")
    assert [cut.feed("gat"), cut.end(), cut.end()] == ["", "gat", ""]


@pytest.mark.parametrize(
    ("before", "text", "due"),
    [
        ("The gate ", "opens", False),
        ("He says (", "so", False),
        ("The gate", ", so", False),
        ("門", "開", False),
        ("門", "gate", False),
        ("gate", "門", False),
        ("Room 1", "2", False),
        ("Room 1", "is", True),
        ("The gate", "1 of", True),
        ("Room.", "1 of", True),
        ("The end.", "She", True),
    ],
)
def test_a_space_is_due_between_words_and_nowhere_else(before: str, text: str, due: bool) -> None:
    assert Joint(before)._space_due(text) == due


@pytest.mark.parametrize(
    ("before", "end", "start", "known", "inside"),
    [
        ("A lan", "lan", "tern", "lantern tern", True),
        ("A LAN", "LAN", "TERN", "", True),
        ("A lan", "lan", "Tern", "lantern", False),  # a name begins
        ("A off", "off", "ice", "office", True),
        ("A off", "off", "ice", "office ice", False),  # both are words, and the first is whole
        ("off", "off", "ice", "office ice", True),  # all there is may be a piece
        ("A gate", "gate", "way", "gate", False),
        ("gate", "gate", "way", "gate", True),
        ("A gate", "gate", "wayside", "", True),  # a short end is a piece of a word
        ("A gates", "gates", "way", "", True),  # and so is a short beginning
        ("A gates", "gates", "ways", "", False),
        ("A gat", "gat", "the", "", False),
        ("A gat", "gat", "the", "GATTHE", True),
    ],
)
def test_a_word_was_cut_when_both_parts_make_one(
    before: str, end: str, start: str, known: str, inside: bool
) -> None:
    joint = Joint(before)
    joint.know([known])
    assert joint._in_a_word(end, start) == inside


# --- the queue of one client --------------------------------------------------------------------


def chunk(text: str, offset: int) -> ChatChunk:
    return ChatChunk(text, ChunkMeta("m", 1.0, "w", "t", offset))


async def taken(*events: ChatChunk | ChatReasoning) -> list[object]:
    outbox = Outbox()
    for event in events:
        outbox.put_nowait(event)
    return [await outbox.get() for _ in range(len(outbox))]


async def test_merged_chunks_begin_like_the_first_and_are_as_fast_as_the_last() -> None:
    first = ChatChunk("a", ChunkMeta("m", 1.0, "w", "t", 3, replace=True))
    last = ChatChunk("b", ChunkMeta("other", 2.0, "v", "t", 4))
    assert await taken(first, last) == [
        ChatChunk("ab", ChunkMeta("other", 2.0, "v", "t", 3, replace=True))
    ]
    assert (await taken(first))[0] is first


async def test_chunks_stay_apart_that_are_of_two_kinds_or_take_something_back() -> None:
    text, thought = chunk("a", 0), ChatReasoning("b", chunk("b", 1).metadata)
    assert await taken(text, thought) == [text, thought]
    back = replace(chunk("b", 1), metadata=replace(chunk("b", 1).metadata, replace=True))
    assert await taken(text, back) == [text, back]
    for offset in (0, 2):
        assert await taken(text, chunk("b", offset)) == [text, chunk("b", offset)]


async def test_a_merged_chunk_has_a_greatest_length() -> None:
    first = chunk("a" * (CHUNK_MERGE_CHARS - 1), 0)
    assert len(await taken(first, chunk("b", CHUNK_MERGE_CHARS - 1))) == 1
    assert len(await taken(first, chunk("bc", CHUNK_MERGE_CHARS - 1))) == 2


async def test_after_a_resync_the_queue_is_empty_and_counts_anew() -> None:
    outbox = Outbox(size=10)
    outbox.put_nowait(SystemUpdate("0123456789"))
    outbox.resync_nowait()
    outbox.put_nowait(SystemUpdate("it will hear of it"))
    assert len(outbox) == 1
    assert await outbox.get() is RESYNC
    outbox.put_nowait(SystemUpdate("0123456789"))
    assert await outbox.get() == SystemUpdate("0123456789")
    outbox.close()
    outbox.put_nowait(SystemUpdate("too late"))
    assert await outbox.get() is None


async def test_a_queue_knows_since_when_the_event_waited_that_was_taken_last(
    mock_clock: MockClock,
) -> None:
    outbox, began = Outbox(), mock_clock.current_time()
    mock_clock.jump(5.0)
    for text in ("one", "two"):
        outbox.put_nowait(SystemUpdate(text))
        mock_clock.jump(1.0)
    await outbox.get()
    assert outbox.taken_since - began == 5.0
    mock_clock.jump(3.0)
    await outbox.get()
    assert outbox.taken_since - began == 7.0  # since it was the next one


def test_an_event_weighs_what_it_says() -> None:
    nodes = (TreeNode(1, text="abc"), TreeNode(2, text="de"))
    rows = (SheetRow("a", "b"),) * 2
    page = (HistoryItem("user", "abc"), HistoryItem("assistant", "d"))
    items = (RecallItem("lore", "t", "abcd"), RecallItem("memory", "t", "e"))
    assert _size(ChatHistory("not sent", HistoryMeta(page))) == 4
    assert _size(Recall("not sent", RecallMeta("t", items))) == 5
    assert _size(chunk("abc", 0)) == 3
    assert _size(SystemUpdate("abc", State())) == 3
    assert _size(SystemUpdate("abc", State(sheet=rows, active_rules=("x",)))) == 3 + 3 * ENTRY_CHARS
    assert _size(SystemUpdate("abc", State(tree=StoryTree("s", 1, 2, 2, nodes)))) == 3 + 5
    assert _size(SyncState("a", State(active_rules=("x",)))) == 1 + ENTRY_CHARS
