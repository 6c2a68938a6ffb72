"""Small rules of a turn that ends, one by one: what it took, what is saved of it and what follows."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from msgspec import UNSET
from msgspec.structs import replace
from trio.testing import MockClock

from flower import limits
from flower.engine.game.state import StoryState
from flower.engine.provider.base import Spent
from flower.engine.recall.base import memory_scope
from flower.engine.sessions import after_turn, turn_outcome
from flower.engine.sessions.after_turn import AfterTurn
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.session import FinishedReply, GrowingReply, Session
from flower.engine.sessions.turn_outcome import ReplyMeter, ReplyStorage
from flower.engine.sessions.turns import _finished
from flower.engine.store import branches, exchanges, states, stories
from flower.engine.token_counter import TokenCounter
from flower.errors import ProviderError, StoreError
from flower.protocol.messages import (
    SystemUpdate,
    Usage,
)
from tests.engine.sessions.test_side_rules import CHOSEN, OUTCOME
from tests.engine.sessions.test_user_rules import Rows

# --- how a turn begins ----------------------------------------------------------------------------


@pytest.mark.parametrize(("request_id", "answers"), [("r1", "r1"), ("", UNSET), (None, UNSET)])
def test_a_line_that_is_shown_names_the_prompt_it_came_with(
    request_id: str | None, answers: object
) -> None:
    story = Session("s", "w", "c")
    shown = turn_outcome.line_said(story, "I go.", 7, "t", request_id)
    assert (shown.content, shown.metadata.request, shown.metadata.role) == ("I go.", answers, "user")
    assert (shown.metadata.message, shown.metadata.session, shown.metadata.turn) == (7, "s", "t")
    assert shown.metadata.status == "complete"
    begun = turn_outcome.reply_begun(story, GrowingReply("t", 8, "line", "m", "w"))
    assert (begun.content, begun.metadata.role, begun.metadata.model) == ("", "assistant", "m")
    assert (begun.metadata.message, begun.metadata.session, begun.metadata.turn) == (8, "s", "t")
    assert (begun.metadata.status, begun.metadata.request) == ("streaming", UNSET)


# --- what a turn took ---------------------------------------------------------------------------


def test_a_counter_learns_from_what_the_provider_counted() -> None:
    meter, counter = ReplyMeter(0.0), TokenCounter(1.1, checked=True)
    prompt: Any = SimpleNamespace(counter=counter, assembled=SimpleNamespace(tokens=100))
    model = replace(CHOSEN, counter=TokenCounter(1.2))
    unknown = (OUTCOME.rate, OUTCOME.client, OUTCOME.prompt_tokens, OUTCOME.cost, OUTCOME.prepaid)
    assert unknown == (0.0, "", 0, 0.0, False)
    assert meter.counter(None, None) == TokenCounter()
    assert meter.counter(None, model) is model.counter
    assert meter.counter(prompt, None) == TokenCounter()
    assert meter.counter(prompt, model) is counter
    assert meter.usage(prompt) == Usage(100, 0, estimated=True)
    meter.spent = Spent(150, 5)
    assert meter.counter(prompt, model) == counter.calibrated(100, 150) != counter


class Disk:
    """A database that fails as it is told to, and counts what was written well."""

    def __init__(self, *failures: BaseException | None) -> None:
        self._failures: Iterator[BaseException | None] = iter(failures)
        self.tries = 0

    async def write(self, function: Any, *args: Any) -> Any:
        self.tries += 1
        failure = next(self._failures, None)
        if isinstance(failure, trio.Cancelled | TimeoutError):
            await trio.sleep_forever()
        if failure is not None:
            raise failure
        return ""


@pytest.mark.parametrize(
    ("failures", "record", "told", "tries"),
    [
        ((), True, "", 1),
        ((StoreError("full."),), True, "full.", 1),
        ((ZeroDivisionError(),), True, "", 2),  # what goes along costs no words
        (
            (ZeroDivisionError(),),
            False,
            "not saved: the engine failed (ZeroDivisionError); see its log",
            1,
        ),
        ((TimeoutError(),), True, "not saved: the disk does not answer", 1),
    ],
)
async def test_an_end_that_is_not_saved_says_why(
    autojump_clock: MockClock, failures: tuple[BaseException, ...], record: bool, told: str, tries: int
) -> None:
    disk, notes = Disk(*failures), list[str]()
    storage = ReplyStorage(disk, GrowingReply("t", 1, "line", "m", "w"), notes.append)  # type: ignore[arg-type]
    along: Any = object() if record else None
    storage.record = along
    began = trio.current_time()
    assert await storage.save_end("complete", Usage(1, 1)) == told
    assert (disk.tries, notes) == (tries, [])
    assert trio.current_time() - began <= limits.SAVE_SHIELD_S
    assert (storage.record is None) == (told == "" or not record)


def test_text_that_is_taken_back_is_flushed_anew() -> None:
    reply = GrowingReply("t", 1, "line", "m", "w", "The tide")
    storage = ReplyStorage(None, reply, lambda _: None)  # type: ignore[arg-type]
    reply.append(" turns.", 1.0)
    reply.rest(1.0)
    storage.take_back()
    assert (storage._flushed, storage._taken_back) == (8, 1)  # longer than what is on disk
    storage._flushed = 15
    reply.keep(9, 1.0)
    storage.take_back()
    assert (storage._flushed, storage._taken_back) == (9, 2)


@pytest.mark.parametrize(
    ("continues", "variant", "first"), [(False, 0, True), (True, 0, False), (False, 1, False)]
)
def test_a_line_is_answered_first_by_what_is_no_variant(
    continues: bool, variant: int, first: bool
) -> None:
    reply, task = (
        GrowingReply("t", 1, "line", "m", "w", "Fog."),
        SimpleNamespace(continues=continues, variant=variant),
    )
    for reason, status in (("done", "complete"), ("stopped", "stopped")):
        ended = _finished(reply, task, replace(OUTCOME, reason=reason))  # type: ignore[arg-type]
        assert (ended.first, ended.status, ended.text) == (first, status, "Fog.")


def test_the_trouble_of_a_turn_is_the_kind_of_its_error() -> None:
    rest: Any = {
        "saved": True,
        "model": None,
        "prompt": None,
        "client": "c",
        "elsewhere": False,
        "prepaid": False,
    }
    meter = ReplyMeter(1.0)
    ended = meter.outcome("error", ProviderError("auth", "no"), rate=1.0, **rest)
    assert (ended.trouble, ended.cost, ended.first_text_s) == ("auth", 0.0, None)
    assert meter.outcome("done", None, rate=1.0, **rest).trouble == ""
    assert turn_outcome.complaint_of("t", "blocked", None, None) is None


# --- what follows a reply -----------------------------------------------------------------------


class Remembering:
    """A library that notes what it is to remember and to expect."""

    def __init__(self) -> None:
        self.memories: list[tuple[Any, ...]] = []
        self.expected: list[str] = []
        self.titled: list[tuple[Any, ...]] = []
        self.last = 0

    def expect(self, text: str) -> None:
        self.expected.append(text)

    async def remember(self, *memory: Any) -> None:
        self.memories.append(memory)

    async def title_memories(self, scope: str, title: str, *, after: int) -> int:
        self.titled.append((scope, title, after))
        return self.last


def after_of(rows: dict[Any, Any], library: Remembering) -> AfterTurn:
    services = SimpleNamespace(
        database=Rows(rows), library=library, assets=SimpleNamespace(characters={})
    )
    return AfterTurn(SimpleNamespace(services=services), lambda: 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "status", "scripted", "remembered", "shown"),
    [
        ("Fog.", "complete", False, True, False),
        ("Fog.", "stopped", True, True, True),
        ("Fog.", "error", False, False, False),
        ("", "complete", False, False, False),
    ],
)
async def test_an_exchange_with_a_reply_is_remembered_and_shown_again_if_scripts_hold(
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    status: str,
    scripted: bool,
    remembered: bool,
    shown: bool,
) -> None:
    shows: list[str] = []

    async def settle(*_: Any) -> None:
        """Nothing is proposed."""

    async def show(story: Session) -> None:
        shows.append(story.id)

    library = Remembering()
    after = after_of({exchanges.circumstances: ("Ines", "", "")}, library)
    monkeypatch.setattr(after_turn, "settle", settle)
    monkeypatch.setattr(after, "_show_scripted", show)
    reply = FinishedReply(7, "I wait.", text, status, "m", True, scripted=scripted)
    await after.follow(Session("s", "w", "c"), reply)
    assert [one[:2] for one in library.memories] == [(memory_scope("s"), 7)] * remembered
    assert (len(library.expected), shows) == (int(remembered), ["s"] * shown)


async def test_older_memories_get_names_until_all_of_them_have_some() -> None:
    library, story = Remembering(), Session("s", "w", "c")
    after = after_of({exchanges.circumstances: ("Ines", "", "")}, library)
    for library.last, to in ((5, 5), (0, None), (9, None)):
        await after._remember_or_tell(story, 7, "I wait.", "Fog.")
        assert story.titled_to == to
    assert [one[2] for one in library.titled] == [0, 5]
    nameless, fresh = after_of({exchanges.circumstances: ("", "", "")}, library), Session("s", "w", "c")
    await nameless._remember_or_tell(fresh, 7, "I wait.", "Fog.")
    assert (len(library.titled), fresh.titled_to) == (2, 0)


@pytest.mark.parametrize(
    ("above", "line"), [(["user"], "said"), (["assistant"], branches.GO_ON), ([], None)]
)
async def test_an_edited_reply_is_remembered_with_the_line_above_it(
    monkeypatch: pytest.MonkeyPatch, above: list[str], line: str | None
) -> None:
    lines: list[str] = []

    async def remember(story: Session, number: int, line: str, text: str) -> None:
        lines.append(line)

    reply = SimpleNamespace(id=2, role="assistant", content="Fog.")
    path = [SimpleNamespace(role=role, content="said") for role in above] + [reply]
    after = after_of({stories.path: path}, Remembering())
    monkeypatch.setattr(after, "_remember_or_tell", remember)
    await after.remember_edit(Session("s", "w", "c"), reply)  # type: ignore[arg-type]
    assert lines == ([line] if line is not None else [])


@pytest.mark.parametrize(
    ("first", "status", "told"),
    [
        (True, "complete", ["ticked", "proposed"]),
        (False, "complete", ["proposed"]),
        (True, "stopped", ["ticked"]),
        (False, "stopped", []),
    ],
)
async def test_clocks_go_on_with_a_new_line_and_changes_are_those_of_a_whole_reply(
    monkeypatch: pytest.MonkeyPatch, first: bool, status: str, told: list[str]
) -> None:
    state = StoryState()

    class Changed(Rows):
        async def write(self, function: Any, *args: Any) -> Any:
            return state, None

    rows = Changed(
        {states.current_at: SimpleNamespace(state=state, now=SimpleNamespace(lines=1, time=0.0))}
    )
    monkeypatch.setattr(after_turn, "_ticks", lambda *_: ["ticked"])
    monkeypatch.setattr(after_turn, "_shown", lambda _: ["proposed"])
    monkeypatch.setattr(after_turn, "shown_rows", lambda *_: [])
    story, outbox = Session("s", "w", "c"), Outbox()
    story.subscribe(outbox)
    finished = FinishedReply(1, "line", "text", status, "m", first, proposed="+ rope")
    await after_turn.settle(SimpleNamespace(database=rows), story, finished, 1.0)  # type: ignore[arg-type]
    events = [await outbox.get() for _ in range(len(outbox))]
    assert [one.content for one in events if isinstance(one, SystemUpdate)] == (
        ["\n".join(told)] if told else []
    )


async def test_a_reply_that_has_not_grown_is_not_flushed(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    flushes: list[float] = []

    async def write_batched(_: object) -> str:
        flushes.append(trio.current_time())
        return ""

    disk: Any = SimpleNamespace(until_flush=lambda interval: interval, write_batched=write_batched)
    reply = GrowingReply("t", 1, "line", "m", "w", "x" * 1_000)
    storage = ReplyStorage(disk, reply, lambda _: None)
    nursery.start_soon(storage.flush_regularly)
    await trio.sleep(2)
    assert flushes == []
    reply.append(" It is lit, and it burns.", 1.0)
    reply.rest(1.0)
    began = trio.current_time()
    await trio.sleep(2)
    assert len(flushes) == 1
    assert flushes[0] - began <= turn_outcome.FLUSH_INTERVAL_S
