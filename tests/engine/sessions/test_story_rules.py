"""Small rules of stories and their watchers, one by one: when one is in use, who hears of what, what is done ahead."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from flower import limits, machine
from flower.engine.provider.base import Completion, ModelInfo
from flower.engine.sessions import imports, turn_outcome
from flower.engine.sessions.engine import PROBLEMS_TOLD
from flower.engine.sessions.open_stories import COME_BACK_S
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.preparing import Preparer
from flower.engine.sessions.rights import Need, StoryRole
from flower.engine.sessions.session import Client, FinishedReply, Session, WaitingLine
from flower.engine.store import prompts
from flower.errors import CommandError
from flower.protocol.messages import ChatEnd, State, SystemUpdate
from tests.engine.sessions.test_preparing import LocalProvider
from tests.engine.sessions.test_side_rules import CHOSEN
from tests.engine.sessions.test_user_rules import client_of, said
from tests.engine_world import engine_world
from tests.fakes import ComposingProvider, OneModelRegistry, ScriptedProvider

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
    story.prepared = (one, SimpleNamespace(provider=provider, completion=asked))
    same = story.prepared[1]
    assert story.take_prepared(provider, asked) is one
    assert story.prepared == (same,)


async def test_a_speaker_is_told_when_it_is_another() -> None:
    story, outbox = Session("s", "w", "c"), Outbox()
    story.subscribe(outbox)
    for name in ("", "mara", "".join(("ma", "ra")), ""):
        story.tell_speaker(name)
    told = [await outbox.get() for _ in range(len(outbox))]
    assert told == [SystemUpdate("", State(speaker=name)) for name in ("mara", "")]


async def test_a_client_hears_of_a_reply_that_died_once_and_soon(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        await trio.sleep(3)
        for later, heard in ((COME_BACK_S + 1, 0), (COME_BACK_S, 1)):
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


async def test_a_new_engine_takes_lines_and_works_for_nobody_yet(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        turns = world.engine.turns
        assert (turns._stopping, turns._draining, turns.running) == (False, False, 0)
        assert turns._nothing_runs()
        assert (turns.preparer._scope, turns.preparer._typing) == (None, False)
        assert not world.engine.drain.begun
        with trio.fail_after(5):
            await turns.wait_idle()


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
