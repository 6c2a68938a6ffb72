"""Small rules of a story at work, one by one: what of a stream is its text, what follows a reply, who hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from flower import limits, machine
from flower.engine.game.state import StoryState
from flower.engine.prompt.model import ChosenModel
from flower.engine.provider.base import Completion, Finish, ModelInfo, Proposal, Spent, Text, Withdrawn
from flower.engine.recall.base import memory_scope
from flower.engine.sessions import after_turn, imports, turn_outcome
from flower.engine.sessions.after_turn import AfterTurn
from flower.engine.sessions.engine import PROBLEMS_TOLD
from flower.engine.sessions.open_stories import COME_BACK_S
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.preparing import Preparer
from flower.engine.sessions.rights import Need, StoryRole
from flower.engine.sessions.session import Client, FinishedReply, GrowingReply, Session, WaitingLine
from flower.engine.sessions.turn import Turn
from flower.engine.sessions.turn_outcome import ReplyMeter, ReplyStorage
from flower.engine.sessions.turns import _finished
from flower.engine.store import branches, exchanges, prompts, states, stories
from flower.engine.token_counter import TokenCounter
from flower.errors import CommandError, ProviderError, StoreError
from flower.protocol.messages import ChatEnd, Progress, State, SystemUpdate, Usage
from tests.engine.sessions.test_preparing import LocalProvider
from tests.engine.sessions.test_reply_rules import prompt_of
from tests.engine.sessions.test_side_rules import CHOSEN, OUTCOME
from tests.engine.sessions.test_user_rules import Rows, client_of, said
from tests.engine_world import engine_world
from tests.fakes import ComposingProvider, OneModelRegistry, ScriptedProvider

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


# --- a story and its watchers -------------------------------------------------------------------


def test_a_story_is_in_use_while_anything_is_on_its_way() -> None:
    def story() -> Session:
        return Session("s", "w", "c")

    waiting = WaitingLine("line", client_of().chosen, None, 1)
    finished = FinishedReply(1, "line", "text", "complete", "m", True)
    assert (story().in_use, story().is_working) == (False, False)
    for change, working in (
        (lambda s: setattr(s, "busy", True), True),
        (lambda s: setattr(s, "expected", 1), True),
        (lambda s: s.unsaved.update({1: finished}), True),
        (lambda s: s.enqueue(waiting), False),
        (lambda s: s.subscribe(Outbox()), False),
    ):
        one = story()
        change(one)
        assert (one.in_use, one.is_working) == (True, working)


def test_so_many_lines_wait_and_the_oldest_is_next() -> None:
    story = Session("s", "w", "c")
    for number in range(limits.PROMPT_QUEUE):
        assert story.has_room
        story.enqueue(WaitingLine(str(number), client_of().chosen, None, number))
    assert (story.has_room, story.waiting) == (False, limits.PROMPT_QUEUE)
    first = story.next_waiting()
    assert first is not None
    assert (first.line, story.has_room) == ("0", True)
    story.drop_waiting()
    assert story.next_waiting() is None


def test_a_prepared_answer_is_for_its_very_request_and_taken_once() -> None:
    provider, other = ScriptedProvider(), ScriptedProvider()
    asked = Completion(model="m", messages=(), max_tokens=9, context_tokens=99)
    one, two = (
        SimpleNamespace(provider=provider, completion=asked),
        SimpleNamespace(provider=other, completion=asked),
    )
    story: Any = Session("s", "w", "c")
    story.prepared = (one, two)
    assert story.take_prepared(provider, replace(asked, max_tokens=8)) is None
    assert story.take_prepared(other, asked) is two
    assert story.prepared == (one,)
    assert story.take_prepared(other, asked) is None


async def test_a_speaker_is_told_when_it_is_another() -> None:
    story, outbox = Session("s", "w", "c"), Outbox()
    story.subscribe(outbox)
    for name in ("", "mara", "mara", ""):
        story.tell_speaker(name)
    told = [await outbox.get() for _ in range(len(outbox))]
    assert told == [SystemUpdate("", State(speaker=name)) for name in ("mara", "")]


async def test_a_client_hears_of_a_reply_that_died_once_and_soon(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        for later, heard in ((COME_BACK_S, 1), (COME_BACK_S + 1, 0)):
            story = Session("s", "w", "c")
            story.opened_at = trio.current_time()
            story.ended_elsewhere = (turn_outcome.interrupted("s", 7),)
            client = client_of(1, story)
            await trio.sleep(later)
            for _ in range(2):
                world.engine.stories.tell_ended(client)
            assert sum(isinstance(one, ChatEnd) for one in await said(client)) == heard


def test_a_client_may_do_in_no_story_what_harms_none() -> None:
    reader = client_of(1)
    reader.check(Need.OWNER)
    elsewhere = [reader.plays_elsewhere]
    for role in (StoryRole.READER, StoryRole.OWNER):
        reader.session, reader.role = Session("s", "w", "c"), role
        elsewhere.append(reader.plays_elsewhere)
    assert elsewhere == [False, True, False]
    reader.role = StoryRole.READER
    with pytest.raises(CommandError):
        reader.check(Need.PLAYER)
    reader.check_own(1, "/copy")
    with pytest.raises(CommandError, match="/copy makes one of your own"):
        reader.check_own(0, "/copy")


async def test_an_answer_names_the_prompt_it_is_for() -> None:
    client = client_of()
    client.notify("of itself")
    client.request = "r1"
    client.notify("an answer", State(status="ok"))
    assert client.answers == ["an answer"]
    assert await said(client) == [
        SystemUpdate("of itself", State()),
        SystemUpdate("an answer", State(status="ok", request="r1")),
    ]


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


# --- working ahead ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prepare", "local", "info", "battery", "wanted"),
    [
        ("never", True, None, False, False),
        ("always", False, None, True, True),
        ("local", True, None, False, True),
        ("local", True, None, True, False),
        ("local", False, None, False, False),
        ("local", True, ModelInfo("m", "m", completion_price=2.0), False, False),
        ("local", True, ModelInfo("m", "m", completion_price=0.0), False, True),
        ("local", True, ModelInfo("m", "m", price_varies=True), False, False),
    ],
)
async def test_work_is_done_ahead_where_it_costs_nobody_anything(
    monkeypatch: pytest.MonkeyPatch,
    prepare: str,
    local: bool,
    info: ModelInfo | None,
    battery: bool,
    wanted: bool,
) -> None:
    monkeypatch.setattr(machine, "on_battery", lambda: battery)
    runtime: Any = SimpleNamespace(services=SimpleNamespace(prepare=prepare))
    model = replace(CHOSEN, provider=LocalProvider() if local else ScriptedProvider(), info=info)
    preparer = Preparer(runtime, None, lambda: True)  # type: ignore[arg-type]
    assert await preparer._wanted(model) == wanted
    assert not await preparer._wanted(replace(model, provider=ComposingProvider()))


def test_nothing_is_prepared_while_anything_else_asks_a_model() -> None:
    idle, story = [True], Session("s", "w", "c")
    preparer = Preparer(None, None, lambda: idle[0])  # type: ignore[arg-type]
    assert preparer._free(story)
    story.busy = True
    assert not preparer._free(story)
    story.busy, idle[0] = False, False
    assert not preparer._free(story)
    idle[0], preparer._scope = True, trio.CancelScope()
    assert not preparer._free(story)
    preparer._release(trio.CancelScope())  # another one's
    assert not preparer._free(story)
    preparer.interrupt(typing=True)
    assert preparer._free(story)
    assert preparer._typing
    preparer.interrupt()  # there is nothing to end
    assert preparer._typing


# --- an engine and its clients ------------------------------------------------------------------


async def test_lines_that_waited_go_on_in_their_order(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        story = Session("s", "w", "c")
        story.busy = True
        lines = [prompts.UnansweredLine(number, f"line {number}", None) for number in (1, 2)]
        world.engine.turns.resume(story, lines, client_of().chosen)
        waiting = [story.next_waiting(), story.next_waiting()]
        assert [one.line for one in waiting if one is not None] == ["line 1", "line 2"]


async def test_problems_are_the_home_owners_and_so_many(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        registry: Any = world.engine.registry
        assert isinstance(registry, OneModelRegistry)
        registry.problems = {"a": "No key."}
        registry.file_problems = tuple(f"File {number}." for number in range(PROBLEMS_TOLD))
        problems = world.engine.problems()
        assert (len(problems), problems[0]) == (PROBLEMS_TOLD, "No key.")
        assert world.engine.problems_for(client_of(1)) == ()
        assert world.engine.problems_for(client_of(0)) == problems


async def test_what_happens_to_the_home_is_told_to_its_owner(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        owner, user = client_of(0), client_of(1)
        world.engine.clients |= {owner, user}
        world.engine.broadcast("Read again.", State())
        world.engine.broadcast("Read again.", State(problems=("one",), nsfw=True))
        assert [one.content for one in await said(owner)] == ["Read again."] * 2
        assert await said(user) == [SystemUpdate("", State(nsfw=True))]
        world.engine.clients -= {owner, user}


@pytest.mark.parametrize(("user", "whose"), [("", "all"), ("0", "all"), ("3", "3")])
async def test_a_library_is_read_again_for_whom_it_changed(
    tmp_path: Path, user: str, whose: str
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        reads: list[str] = []

        async def read(function: Any, *args: Any, **_: Any) -> list[Any]:
            reads.append("all")
            return []

        engine: Any = world.engine
        engine.imports._runtime = SimpleNamespace(
            services=SimpleNamespace(database=SimpleNamespace(read=read))
        )
        announced: list[int] = []
        engine.imports._announce = lambda: announced.append(1)
        await engine.imports._look(user)
        assert (len(reads), len(announced)) == ((1, 1) if whose == "all" else (0, 0))


def test_clients_are_grouped_by_their_user() -> None:
    clients: list[Client] = [client_of(user) for user in (1, 0, 1)]
    grouped = {user: len(group) for user, group in imports._by_user(clients)}
    assert grouped == {1: 2, 0: 1}
