"""Turns, deletes, resends and connects that cross: nothing is lost, stranded or told twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower import limits
from flower.engine.admin import maintenance
from flower.engine.store import stories
from flower.engine.store.sqlite.database import Database
from flower.errors import StoreError
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, WordLibrary

T = TypeVar("T")


class BusyDisk:
    """Runs a database's calls in order; the next one takes ``hold_s`` seconds, then it is quick again."""

    def __init__(self, database: Database) -> None:
        self.hold_s = 0.0
        self._one_at_a_time = trio.Lock()
        database._run = self  # type: ignore[assignment] # runs calls like the real ones

    async def __call__(self, call: Callable[[], T]) -> T:
        async with self._one_at_a_time:
            hold_s, self.hold_s = self.hold_s, 0.0
            await trio.sleep(hold_s)
            return call()


class FailingDisk:
    """Runs a database's calls; the one with this number (from 1) fails after a second."""

    def __init__(self, database: Database, number: int) -> None:
        self._left = number
        database._run = self  # type: ignore[assignment] # runs calls like the real ones

    async def __call__(self, call: Callable[[], T]) -> T:
        self._left -= 1
        if self._left == 0:
            await trio.sleep(1)
            raise StoreError("not saved: the disk is full")
        await trio.lowlevel.checkpoint()
        return call()


async def delete_as_a_line_is_sent(world: EngineWorld, face: Face, session_id: str) -> None:
    """Deletes a story whose reply is streaming; a line comes while that reply is being ended."""
    await face.say("One.", "r1")
    await trio.sleep(2.5)
    BusyDisk(world.database).hold_s = 1.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.engine.stories.delete, session_id)
        await trio.sleep(0.5)
        nursery.start_soon(face.say, "Two.", "r2")


async def test_a_line_that_waited_for_a_resend_gets_its_reply(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        first, second = await world.playing(), await world.face()
        await first.say("One.", "r1")
        await world.engine.turns.wait_idle()
        await trio.sleep(1)
        BusyDisk(world.database).hold_s = 1.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.say, "One.", "r1")
            await trio.sleep(0.5)
            nursery.start_soon(second.say, "Two.", "r2")
        await trio.sleep(60)
        assert second.reasons == ["done", "done"]


async def test_a_line_that_waited_for_one_that_was_not_saved_gets_its_reply(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        first, second = await world.playing(), await world.face()
        FailingDisk(world.database, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.say, "One.", "r1")
            await trio.sleep(0.5)
            nursery.start_soon(second.say, "Two.", "r2")
        await trio.sleep(60)
        assert second.reasons == ["done"]


async def test_a_line_sent_again_is_kept_though_it_was_cut_off_before_it_was_saved(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """The connection drops while the line waits for the disk, and a reply streams when it returns."""
    async with engine_world(tmp_path / "db", ScriptedProvider(gap_s=1)) as world:
        first, second = await world.playing(), await world.face()
        await first.say_and_wait("Zero.")
        BusyDisk(world.database).hold_s = 1.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.database.read, stories.count_sessions)
            await trio.sleep(0.1)
            with trio.move_on_after(0.2):
                await first.say("One.", "r1")
        await second.say("/continue")
        await trio.sleep(2)
        await first.say("One.", "r1")
        await trio.sleep(60)
        told = await world.database.read(stories.tree, first.client.chosen.session_id)
        assert "One." in [message.content for message in told if message.role == "user"]


async def test_no_reply_begins_in_a_story_that_is_being_deleted(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db", ScriptedProvider(gap_s=1)) as world:
        face = await world.playing()
        session_id = face.client.chosen.session_id
        BusyDisk(world.database).hold_s = 1.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(face.say, "One.", "r1")
            await trio.sleep(0.5)
            nursery.start_soon(world.engine.stories.delete, session_id)
        await trio.sleep(3)
        assert world.provider.opened == world.provider.closed
        assert world.engine.turns.running == 0


async def test_a_line_sent_while_a_storys_last_reply_is_ended_begins_no_reply(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db", ScriptedProvider(gap_s=1)) as world:
        face = await world.playing()
        await delete_as_a_line_is_sent(world, face, face.client.chosen.session_id)
        await trio.sleep(3)
        assert world.engine.turns.running == 0


async def test_a_story_taken_back_has_one_reply_at_a_time(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db", ScriptedProvider(gap_s=1)) as world:
        face, other = await world.playing(), await world.face("other")
        session_id = face.client.chosen.session_id
        await delete_as_a_line_is_sent(world, face, session_id)
        await other.say(f"/session restore {session_id}")
        await other.say(f"/session continue {session_id}")
        await other.say("Three.", "r3")
        await trio.sleep(1)
        assert world.provider.opened - world.provider.closed == 1
        await trio.sleep(30)
        assert other.reasons[-1] == "done"


async def test_a_story_taken_back_while_the_trash_is_emptied_keeps_its_memories(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    class SlowLibrary(WordLibrary):
        async def drop_scope(self, scope: str) -> None:
            await trio.sleep(1)
            await super().drop_scope(scope)

    library = SlowLibrary()
    async with engine_world(tmp_path / "db", library=library) as world:
        face = await world.playing()
        one = face.client.chosen.session_id
        await face.say_and_wait("I hide the silver coin.")
        await face.say("/session new")
        two = face.client.chosen.session_id
        await face.say_and_wait("I hide the golden crown.")
        await face.say(f"/session delete {one}")
        await face.say(f"/session delete {two}")
        world.engine.now = lambda: limits.TRASH_KEPT_S + 100
        async with trio.open_nursery() as nursery:
            nursery.start_soon(maintenance.empty, world.engine.services, world.engine.now())
            await trio.sleep(0.5)
            await face.say(f"/session restore {two}")
        assert await world.database.read(stories.session, two) is not None
        assert any(passage.scope == f"memory:{two}" for passage in library.passages)


@pytest.mark.parametrize("failing_call", [2, 3])
async def test_a_connect_that_fails_leaves_nobody_behind(
    autojump_clock: MockClock, tmp_path: Path, failing_call: int
) -> None:
    async with engine_world(tmp_path / "db") as world:
        face = await world.playing()
        world.engine.disconnect(face.client)
        FailingDisk(world.database, failing_call)
        with pytest.raises(StoreError):
            await world.face()
        assert (len(world.engine.clients), len(world.engine.stories.sessions)) == (0, 0)


async def test_a_line_saved_while_the_engine_stops_begins_no_reply(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db", ScriptedProvider(gap_s=1)) as world:
        face = await world.playing()
        BusyDisk(world.database).hold_s = 1.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(face.say, "One.", "r1")
            await trio.sleep(0.5)
            await world.engine.stop()
        await trio.sleep(0.5)
        assert world.engine.turns.running == 0


@pytest.mark.parametrize("after", range(8))
async def test_nothing_comes_below_a_reply_that_goes_on(
    autojump_clock: MockClock, tmp_path: Path, after: int
) -> None:
    """What another face adds stands before the reply goes on, or has to wait: never below it while it grows."""
    async with engine_world(tmp_path / "db", ScriptedProvider(gap_s=0.01)) as world:
        first, second = await world.playing(), await world.face()
        await first.say_and_wait("One.")

        async def narrate() -> None:
            for _ in range(after):
                await trio.lowlevel.checkpoint()
            await second.say("/narrate The sun sets.")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.say, "/continue")
            nursery.start_soon(narrate)
        path = await world.database.read(stories.active_path, first.client.chosen.session_id)
        assert path[-1].status == "streaming"
        await world.engine.turns.wait_idle()
