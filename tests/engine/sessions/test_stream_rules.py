"""Small rules of a turn, one by one: what of a stream is its text, what it took, what follows when it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from flower import limits
from flower.engine.game.state import StoryState
from flower.engine.prompt.model import ChosenModel
from flower.engine.provider.base import Finish, Proposal, Spent, Text, Withdrawn
from flower.engine.recall.base import memory_scope
from flower.engine.sessions import after_turn, turn_outcome
from flower.engine.sessions.after_turn import AfterTurn
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.session import FinishedReply, GrowingReply, Session
from flower.engine.sessions.turn import Turn
from flower.engine.sessions.turn_outcome import ReplyMeter, ReplyStorage
from flower.engine.sessions.turns import _finished
from flower.engine.store import branches, exchanges, states, stories
from flower.engine.token_counter import TokenCounter
from flower.errors import ProviderError, StoreError
from flower.protocol.messages import (
    ChatEnd,
    ErrorEvent,
    ErrorMeta,
    Progress,
    Recall,
    RecallItem,
    RecallMeta,
    State,
    SystemUpdate,
    Usage,
)
from tests.engine.sessions.test_reply_rules import prompt_of
from tests.engine.sessions.test_side_rules import CHOSEN, OUTCOME
from tests.engine.sessions.test_user_rules import Rows
from tests.fakes import ComposingProvider

# --- what comes of a stream ---------------------------------------------------------------------


class Written:
    """A turn whose pieces a test hands over, and what its watchers get."""

    def __init__(self, *, updates: bool = False) -> None:
        self.story, self.outbox = Session("s", "harbour", "mara"), Outbox()
        self.story.subscribe(self.outbox)
        self.reply = GrowingReply("t", 1, "line", "scripted/one", "w")
        services: Any = SimpleNamespace(database=None, narrator_updates=updates)
        task: Any = SimpleNamespace(selection=SimpleNamespace(client="laptop"))
        self.turn = Turn(self.story, self.reply, task, services=services, models=None)  # type: ignore[arg-type]

    def take(self, *pieces: Any, by: str = "one") -> None:
        stream: Any = SimpleNamespace(provider=CHOSEN.provider, model=by)
        for piece in pieces:
            self.turn._take(piece, stream, CHOSEN)

    async def notices(self) -> list[str]:
        events = [await self.outbox.get() for _ in range(len(self.outbox))]
        return [one.content for one in events if isinstance(one, SystemUpdate)]


async def test_progress_is_told_twice_a_second_and_that_it_is_over(mock_clock: MockClock) -> None:
    mock_clock.jump(10.0)
    for progress in (True, False):
        written = Written()
        for _ in range(4 * progress):
            written.turn._show_progress(Progress("loading", 1, 9))
            mock_clock.jump(limits.PROGRESS_INTERVAL_S / 2)
        written.take(Text("Fog."))
        told = ["loading …", "loading …", "✓ The narrator begins."] if progress else []
        assert await written.notices() == told


async def test_a_reply_is_of_the_model_that_wrote_it() -> None:
    own, other = Written(), Written()
    own.take(Text("Fog."))
    other.take(Text("Fog."), by="two")
    assert (own.reply.model, other.reply.model) == ("scripted/one", "scripted/two")


async def test_what_is_no_text_is_noted_and_what_is_withdrawn_is_gone() -> None:
    written = Written()
    written.take(Text("Fog. Rain."), Proposal("+ rope"), Spent(7, 5), Withdrawn(), Text("Sun. "))
    assert (written.reply.text, written.reply.proposed) == ("Sun. ", "+ rope")
    assert written.turn._meter.spent == Spent(7, 5)
    assert written.turn._meter.tokens == 3 + 1
    written.take(Finish("done"))
    assert "ended at" not in repr(written.turn._storage._ending)
    written.take(Finish("done", cut="Mara:"))
    assert "ended at 'Mara:'" in repr(written.turn._storage._ending)


async def test_a_loop_in_a_continuation_is_taken_back_to_where_it_was_worth_it() -> None:
    written = Written()
    written.take(Text("Fog. Rain. Rain."))
    written.turn._begins = 3
    written.turn._end_loop(5)
    assert written.reply.text == "Fog. Rai"
    assert (await written.notices())[-1].startswith("✗ The model went round in circles")
    assert "ended in a loop" in repr(written.turn._storage._ending)


@pytest.mark.parametrize(
    ("role", "by", "exactly", "known"),
    [
        ("assistant", "one", True, True),
        ("assistant", "one", False, False),
        ("assistant", "two", True, False),  # a fallback has its own words
        ("user", "one", True, False),
        ("system", "one", True, False),
    ],
)
async def test_a_model_that_is_sent_the_end_of_its_reply_goes_on_exactly(
    monkeypatch: pytest.MonkeyPatch, role: str, by: str, exactly: bool, known: bool
) -> None:
    monkeypatch.setattr("flower.engine.sessions.turn.goes_on_exactly", lambda *_: exactly)
    sent: list[str] = []
    written, stream = Written(), SimpleNamespace(provider=CHOSEN.provider, model=by)
    turn: Any = written.turn
    monkeypatch.setattr(written.reply, "goes_on_exactly", sent.append)
    turn._join_exactly(stream, CHOSEN)  # there is no prompt yet
    turn._prompt = prompt_of("user", role)
    turn._join_exactly(stream, CHOSEN)
    assert sent == [turn._prompt.completion.messages[-1].content] * known


async def test_a_block_of_changes_that_is_withdrawn_is_none_of_the_reply() -> None:
    block = "\n\n```update\n+ rope\n```"
    written = Written(updates=True)
    written.take(Text(f"Fog.{block}"), Withdrawn(), Text("Sun."))
    written.turn._publish_rest()
    assert (written.reply.text, written.reply.proposed) == ("Sun.", "")
    plain = Written()
    plain.take(Text("Fog."), Withdrawn())
    assert plain.turn._update_filter is None


async def test_no_more_is_read_than_is_worth_it() -> None:
    written = Written()
    turn: Any = written.turn
    assert not turn._has_enough(last_try=False)
    turn._watch.phrase = "a shiver"
    assert turn._has_enough(last_try=False)
    assert not turn._has_enough(last_try=True)
    updating: Any = Written(updates=True).turn
    assert not updating._has_enough(last_try=True)
    updating._update_filter.full = True
    assert updating._has_enough(last_try=True)
    full = Written()
    full.reply.length = limits.REPLY_CHARS
    assert full.turn._has_enough(last_try=True)


def test_phrases_of_the_offline_narrator_are_sampled_by_nobody() -> None:
    turn = Turn.__new__(Turn)
    turn._session = Session("s", "harbour", "mara")
    prompt = prompt_of(*("assistant",) * 3)
    model = ChosenModel(id="offline/one", provider=ComposingProvider(), name="one")
    assert turn._against_loops(prompt, model) is prompt
    assert turn._session.looped == ""


# --- what a turn took ---------------------------------------------------------------------------


def test_a_counter_learns_from_what_the_provider_counted() -> None:
    meter, counter = ReplyMeter(0.0), TokenCounter(1.1, checked=True)
    prompt: Any = SimpleNamespace(counter=counter, assembled=SimpleNamespace(tokens=100))
    model = replace(CHOSEN, counter=TokenCounter(1.2))
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


# --- what goes before a stream ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "trouble", "items", "scripts", "told"),
    [
        (False, "", 0, 0, []),
        (True, "", 0, 0, ["✗ Recall took too long; this reply does without it."]),
        (False, "A bad key.", 0, 2, ["✗ A bad key."]),
        (False, "", 1, 0, []),
    ],
)
async def test_what_was_recalled_is_told_and_what_was_not(
    monkeypatch: pytest.MonkeyPatch,
    late: bool,
    trouble: str,
    items: int,
    scripts: int,
    told: list[str],
) -> None:
    context = SimpleNamespace(
        acted=SimpleNamespace(scripts=("s",) * scripts),
        recall_late=late,
        entries=SimpleNamespace(trouble=trouble),
        direction=SimpleNamespace(speaker="mara"),
        hits=(),
    )
    recalled = Recall("recalled", RecallMeta("t", (RecallItem("lore", "t", "text"),) * items))

    async def gather(*_: object) -> object:
        return context

    monkeypatch.setattr("flower.engine.sessions.turn.gather", gather)
    monkeypatch.setattr("flower.engine.sessions.turn.recall_event", lambda *_, **__: recalled)
    written = Written()
    for _ in range(2):  # what would be the same in every turn is told once
        await written.turn._gather_context()
    events = [await written.outbox.get() for _ in range(len(written.outbox))]
    assert events.count(recalled) == 2 * items
    notices = [one for one in events if isinstance(one, SystemUpdate)]
    assert [one.content for one in notices if one.content] == told * (2 if late else 1)
    assert [one for one in notices if not one.content] == [SystemUpdate("", State(speaker="mara"))]
    assert written.reply.scripted == bool(scripts)


@pytest.mark.parametrize(
    ("before", "start", "leaves_out", "embeds"),
    [(None, 3, True, 1), (3, 3, True, 0), (2, 3, False, 0), (2, 3, True, 1)],
)
async def test_memories_get_their_vectors_when_a_prompt_begins_to_leave_some_out(
    monkeypatch: pytest.MonkeyPatch, before: int | None, start: int, leaves_out: bool, embeds: int
) -> None:
    calls: list[int] = []
    prepared = replace(
        prompt_of("user"), assembled=SimpleNamespace(window_start=start), record="record"
    )  # type: ignore[arg-type]

    async def build(*args: Any) -> object:
        assert args[-1] == before
        return prepared

    monkeypatch.setattr("flower.engine.sessions.turn.build_prompt", build)
    written = Written()
    turn: Any = written.turn
    turn._services.library = SimpleNamespace(embed_soon=lambda: calls.append(1))
    written.story.move_window(before)
    assert (
        await turn._build_prompt(SimpleNamespace(leaves_out=lambda _: leaves_out), CHOSEN) is prepared
    )
    assert (len(calls), written.story.window_start) == (embeds, start)
    assert (turn._prompt, turn._storage.record) == (prepared, "record")


async def test_an_end_that_failed_is_told_before_it_has_ended() -> None:
    written = Written()
    written.turn._announce("error", ProviderError("auth", "No key."), Usage(7, 5), "The disk is full")
    first, second, end = [await written.outbox.get() for _ in range(len(written.outbox))]
    assert first == ErrorEvent(
        "The disk is full. The reply stays on screen and is tried again.", ErrorMeta("store")
    )
    assert second == ErrorEvent("No key.", ErrorMeta("auth", "t"))
    assert isinstance(end, ChatEnd)
    assert (end.metadata.reason, end.metadata.total_tokens) == ("error", 12)


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
