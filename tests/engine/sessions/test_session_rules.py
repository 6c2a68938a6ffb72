"""Small rules of a running story, one by one: what watchers are told, and what is kept for how long."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
from msgspec import UNSET
from msgspec.structs import replace
from trio.testing import MockClock

from flower import limits
from flower.engine.game.clocks import Clock, Now
from flower.engine.game.proposals import Proposed
from flower.engine.game.sheet import Sheet
from flower.engine.game.state import StoryState
from flower.engine.provider.base import Finish, ModelInfo, Spent
from flower.engine.sessions import after_turn, snapshot, summaries
from flower.engine.sessions.outbox import OUTBOX_EVENTS, RESYNC, Outbox
from flower.engine.sessions.rights import Visitor
from flower.engine.sessions.session import (
    ANSWERS_KEPT,
    Answers,
    Client,
    FinishedReply,
    GrowingReply,
    Session,
)
from flower.engine.sessions.summaries import SUMMARY_FAILURES_KEPT, Summariser
from flower.engine.sessions.turn_outcome import ReplyMeter, complaint_of, cost_of
from flower.engine.store.extra import MessageExtra
from flower.engine.store.selections import Selection
from flower.engine.store.stories import Message
from flower.engine.store.tree import Page
from flower.errors import CommandError, StoreError
from flower.protocol.messages import ErrorEvent, SystemUpdate, Usage
from tests.engine_world import engine_world

PAGE_BYTES = 256 * 1024
PRICED = ModelInfo("m", "m", prompt_price=1.0, completion_price=2.0)


def test_the_newest_answers_are_kept_and_the_oldest_forgotten() -> None:
    answers = Answers()
    for number in range(ANSWERS_KEPT + 3):
        answers.keep(("c", str(number)), (f"said {number}",))
    known = [number for number in range(ANSWERS_KEPT + 3) if answers.of(("c", str(number)))]
    assert known == list(range(3, ANSWERS_KEPT + 3))


async def test_a_client_that_is_too_far_behind_begins_anew() -> None:
    outbox = Outbox()
    for number in range(OUTBOX_EVENTS):
        outbox.put_nowait(SystemUpdate(str(number)))
    assert len(outbox) == OUTBOX_EVENTS
    outbox.put_nowait(SystemUpdate("one too many"))
    assert [await outbox.get()] == [RESYNC]


@pytest.mark.parametrize(
    ("refused", "told"), [(1, "l0."), (3, "l0; l1; l2."), (5, "l0; l1; l2, and 2 more.")]
)
def test_three_refused_proposals_are_named_and_others_counted(refused: int, told: str) -> None:
    (line,) = after_turn._shown(Proposed(Sheet(), refused=tuple(f"l{n}" for n in range(refused))))
    assert line.endswith(f"left out: {told}")


def test_a_clock_is_told_with_the_lines_that_move_it() -> None:
    state = StoryState(clocks=(Clock("Flood", 2, every=2, then="The dam breaks"),))
    told = [after_turn._ticks(state, Now(lines, 0.0)) for lines in range(1, 7)]
    assert [bool(news) for news in told] == [False, True, False, True, False, False]
    assert told[1] == ["Clock: Flood [#.] 1/2"]
    assert told[3] == ["Clock: Flood [##] 2/2 - The dam breaks"]


def test_a_reply_ends_at_its_bound() -> None:
    reply = GrowingReply("t", 1, "line", "m", "w")
    whole = "a" * (limits.REPLY_CHARS - 5)
    assert reply.append(whole, 1.0) is not None
    last = reply.append("0123456789", 1.0)
    assert last is not None
    assert (last.content, last.metadata.offset) == ("01234", limits.REPLY_CHARS - 5)
    assert reply.append("more", 1.0) is None
    assert len(reply.text) == limits.REPLY_CHARS


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ("too grim", "The provider blocked this reply: too grim."),
        ("", "The provider blocked this reply: no reason given."),
    ],
)
def test_a_blocked_reply_says_why(detail: str, told: str) -> None:
    event = complaint_of("t", "blocked", None, Finish("blocked", detail))
    assert event is not None
    assert event.content == told
    assert complaint_of("t", "complete", None, Finish("stop")) is None


@pytest.mark.parametrize(
    ("info", "spent", "elsewhere", "cost"),
    [
        (PRICED, Spent(5, 5, cost=0.25), True, 0.25),  # what the provider says
        (PRICED, None, False, 0.0007),
        (PRICED, None, True, None),  # the price of another model
        (replace(PRICED, price_varies=True), None, False, None),
        (replace(PRICED, prompt_price=None), None, False, None),
        (replace(PRICED, completion_price=None), None, False, None),
        (replace(PRICED, prompt_price=0.0, completion_price=0.0), None, False, 0.0),
        (None, None, False, None),
    ],
)
def test_a_cost_is_what_was_spent_or_tokens_times_price(
    info: ModelInfo | None, spent: Spent | None, elsewhere: bool, cost: float | None
) -> None:
    assert cost_of(info, Usage(300, 200), spent, elsewhere=elsewhere) == pytest.approx(cost)


def test_tokens_are_the_providers_or_marked_as_guessed() -> None:
    meter = ReplyMeter(0.0)
    meter.tokens = 9
    assert meter.usage(None) == Usage(0, 9, estimated=True)
    meter.spent = Spent(7, 5, 3)
    assert meter.usage(None) == Usage(7, 5, 3)


def test_a_page_says_where_the_next_one_begins() -> None:
    def page(count: int, words: int = 1) -> Page:
        return Page([message(number, "w" * words) for number in range(1, count + 1)])

    session = Session("s", "harbour", "mara")
    whole = snapshot.chat_history(session, page(limits.HISTORY_PAGE_MESSAGES), None).metadata
    assert (len(whole.history), whole.more, whole.before) == (
        limits.HISTORY_PAGE_MESSAGES,
        UNSET,
        UNSET,
    )
    longer = snapshot.chat_history(session, page(limits.HISTORY_PAGE_MESSAGES + 1), 99).metadata
    assert (len(longer.history), longer.more, longer.before) == (limits.HISTORY_PAGE_MESSAGES, 2, 99)
    large = snapshot.chat_history(session, page(9, PAGE_BYTES // 3), None).metadata
    assert (len(large.history), large.more) == (3, 7)
    huge = snapshot.chat_history(session, page(2, PAGE_BYTES * 2), None).metadata
    assert (len(huge.history), huge.more) == (1, 2)


def message(number: int, content: str) -> Message:
    return Message(number, "s", None, "user", content, "complete", "", None, 0.0, MessageExtra())


# --- summaries that fail ------------------------------------------------------------------------


def summariser() -> Summariser:
    return Summariser(None, None)  # type: ignore[arg-type] # neither is asked for a record here


def test_a_story_whose_summaries_fail_waits_longer_each_time() -> None:
    """Not after the first time, and not for ever."""
    failing, story = summariser(), Session("s", "harbour", "mara")
    waits = []
    for _ in range(9):
        failing._failed(story, CommandError("no."))
        turns = 0
        while failing._waits("s"):
            turns += 1
        waits.append(turns)
    assert waits == [0, 8, 16, 32, 64, 128, 128, 128, 128]
    assert not failing._waits("other")


async def test_a_failing_summary_is_said_once_from_the_second_time_on() -> None:
    failing, story, outbox = summariser(), Session("s", "harbour", "mara"), Outbox()
    story.subscribe(outbox)
    counts = []
    for _ in range(4):
        failing._failed(story, CommandError("no."))
        counts.append(len(outbox))
    assert counts == [0, 1, 1, 1]


def test_the_failures_of_so_many_stories_are_remembered() -> None:
    failing = summariser()
    for number in range(SUMMARY_FAILURES_KEPT + 3):
        failing._failed(Session(f"s{number}", "harbour", "mara"), CommandError("no."))
    assert len(failing._failures) == SUMMARY_FAILURES_KEPT
    assert next(iter(failing._failures)) == "s3"


# --- what a disk does not take ------------------------------------------------------------------


async def test_an_outbox_holds_so_many_characters_and_not_one_more() -> None:
    outbox = Outbox(size=10)
    outbox.put_nowait(SystemUpdate("0123456789"))
    outbox.put_nowait(SystemUpdate(""))
    assert len(outbox) == 2
    await outbox.get()
    outbox.put_nowait(SystemUpdate("0123456789"))
    assert len(outbox) == 2
    outbox.put_nowait(SystemUpdate("1"))
    assert [await outbox.get()] == [RESYNC]


async def full(*_: object) -> None:
    raise StoreError("the disk is full")


async def test_an_exchange_that_is_no_memory_is_told(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply itself is there all the same."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        monkeypatch.setattr(world.library, "remember", full)
        await face.say_and_wait("I wait.")
        told = [error.content for error in face.of(ErrorEvent)]
        assert told == ["the disk is full. This exchange is not remembered."]
        assert face.reasons == ["done"]


async def test_a_state_that_cannot_be_brought_up_to_date_is_told() -> None:
    story, outbox = Session("s", "harbour", "mara"), Outbox()
    story.subscribe(outbox)
    services = SimpleNamespace(database=SimpleNamespace(read=full))
    finished = FinishedReply(1, "line", "text", "complete", "m", True)
    await after_turn.settle(services, story, finished, 1.0)  # type: ignore[arg-type]
    error = await outbox.get()
    assert isinstance(error, ErrorEvent)
    assert error.content == "The state could not be brought up to date: the disk is full"


async def test_a_reply_that_no_disk_took_is_tried_until_it_is_saved(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    async def save(_: Session) -> None:
        tries.append(trio.current_time())
        if len(tries) == 1:
            raise StoreError("the disk is full")
        if len(tries) == 2:
            raise ZeroDivisionError  # a bug is no reason to give up either
        story.unsaved.clear()

    async with engine_world(tmp_path / "flower.db") as world:
        after, story = world.engine.turns.after, Session("s", "harbour", "mara")
        story.unsaved[1] = FinishedReply(1, "line", "text", "complete", "m", True)
        monkeypatch.setattr(after, "save_unsaved", save)
        began = trio.current_time()
        await after.save_later(story)
    assert [at - began for at in tries] == [after_turn.SAVE_RETRY_S * times for times in (1, 2, 3)]


async def test_how_far_a_new_summary_is_is_told_by_the_first_message_of_each_part(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def record(*_: object) -> str:
        return "They waited."

    monkeypatch.setattr(summaries, "_fitting", lambda lines, _: lines[:2])
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        for line in ("I wait.", "I look."):
            await face.say_and_wait(line)
        turns, story, told = world.engine.turns, face.client.session, list[str]()
        assert story is not None
        monkeypatch.setattr(turns.summariser, "_record", record)
        model, _ = turns.models.select("scripted/one")
        found = await turns.summariser.remake(story, model, told.append)
        assert turns.summariser.running == 0
    assert told == [f"Summarising message {number} of 5 …" for number in (1, 3, 5)]
    assert found is not None
    assert found.text == "They waited."


@pytest.mark.parametrize(
    ("user", "client", "name"),
    [(0, "laptop", "laptop"), (0, "a/b", "a/b"), (2, "2/laptop", "laptop"), (2, "2/", "")],
)
def test_a_client_has_the_name_it_gave_itself(user: int, client: str, name: str) -> None:
    found = Client(Outbox(), Selection(client), lambda: None, visitor=Visitor(user, "ned", "mark"))
    assert found.name == name
    assert (found.key == client) == bool(name)
