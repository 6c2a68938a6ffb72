"""The daily backup and the trash on virtual time, and background tasks that crash."""

from __future__ import annotations

import math
import os
import time
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from flower import limits
from flower.engine import tasks
from flower.engine.admin import backup, maintenance
from flower.engine.provider.registry import ModelRegistry
from flower.engine.recall.library import PassageLibrary
from flower.engine.recall.minilm import MiniLM
from flower.engine.store import stories
from flower.errors import StoreError
from flower.home import Home
from flower.protocol.messages import SystemUpdate
from flower.settings.config import Config
from tests.engine_world import engine_world

DAY = 24 * 3600.0


async def test_what_is_due_is_done_and_nothing_else_is_written(
    autojump_clock: MockClock, home: Home
) -> None:
    now = 1_600_000_000.0  # long ago, so that every real write is newer
    async with engine_world(home.database) as world:
        world.engine.now = lambda: now
        face = await world.playing()
        session = face.client.chosen.session_id
        os.utime(home.database.with_name("flower.db-wal"), (now, now))
        os.utime(home.database, (now, now))
        await maintenance.once(world.engine, home, now)
        (first,) = backup.listed(home)
        os.utime(first, (now + 1, now + 1))
        await maintenance.once(world.engine, home, now + 3 * DAY)
        assert backup.listed(home) == [first], "nothing has changed, so nothing is copied"
        await face.say(f"/session delete {session}")
        now += 2 + limits.TRASH_KEPT_S
        await maintenance.once(world.engine, home, now)
        assert await world.database.read(stories.count_sessions) == 0
        assert len(backup.listed(home)) == 2


async def test_half_written_files_of_killed_processes_go(home: Home) -> None:
    """From the home's own folders; a draft of this hour may be under way, what is to be imported is not ours."""
    now = 1_600_000_000.0
    folders = [home.root, home.run, home.index / "a" / "b", home.assets / "worlds"]
    for folder in (*folders, home.imports):
        folder.mkdir(parents=True, exist_ok=True)
        for name, age in ((".x.0123abcd", 3601), (".y.0123abcd", 3599)):
            (folder / name).write_text("half")
            os.utime(folder / name, (now - age, now - age))
    async with engine_world(home.database) as world:
        await maintenance.once(world.engine, home, now)
        assert not any((folder / ".x.0123abcd").exists() for folder in folders)
        assert all((folder / ".y.0123abcd").exists() for folder in folders)
        assert (home.imports / ".x.0123abcd").exists()


async def test_an_hour_of_nothing_writes_nothing(
    autojump_clock: MockClock, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """A card wears by what is written: no file of the home changes, no line is logged."""

    def files() -> dict[str, tuple[int, int, int]]:
        found = {}
        for path in home.root.rglob("*"):
            status = path.stat()
            found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
        return found

    async with engine_world(home.database) as world, trio.open_nursery() as nursery:
        face = await world.playing()
        await face.say("I look around.")
        start = time.time() - trio.current_time()
        await maintenance.once(world.engine, home, time.time())
        assert backup.listed(home), "the daily backup is behind us"
        nursery.start_soon(maintenance.run, world.engine, home, partial(_unix_time, start))
        embedder = MiniLM(
            (home.models,), state_dir=home.index
        )  # loaded when it is needed, so not at all
        library = PassageLibrary(world.database, embedder, home.index, notify=lambda *_: None)
        nursery.start_soon(library.run)
        registry = ModelRegistry(Config(), home)
        nursery.start_soon(registry.run)
        while not (home.root / "catalogue.json").exists():  # once a day and with a start
            await trio.sleep(1)
        before, lines = files(), len(caplog.records)
        await trio.sleep(3700)
        autojump_clock.autojump_threshold = (
            math.inf
        )  # a thread at work is no reason to leap to the next day
        await maintenance.once(
            world.engine, home, _unix_time(start)
        )  # also waits for what runs in threads
        assert files() == before
        assert caplog.records[lines:] == []
        (home.root / "canary").write_text("")
        assert files() != before, "a write is seen"
        nursery.cancel_scope.cancel()
    await registry.aclose()
    embedder.close()


def _unix_time(start: float) -> float:
    return start + trio.current_time()


async def test_trouble_is_told_once_and_tried_again(
    autojump_clock: MockClock, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    async def fails(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        tries.append(trio.current_time())
        raise StoreError("no backup was made: the disk is full")

    monkeypatch.setattr(maintenance, "once", fails)
    async with engine_world(home.database) as world, trio.open_nursery() as nursery:
        face = await world.face()
        nursery.start_soon(maintenance.run, world.engine, home, lambda: 0.0)
        await trio.sleep(maintenance.UPKEEP_FIRST_S + 3.5 * maintenance.UPKEEP_INTERVAL_S)
        nursery.cancel_scope.cancel()
    assert len(tries) == 4
    assert tries[0] >= maintenance.UPKEEP_FIRST_S
    assert sum("the disk is full" in update.content for update in face.of(SystemUpdate)) == 1


async def test_a_background_task_that_crashes_starts_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    lives = 0

    async def mortal() -> None:
        nonlocal lives
        lives += 1
        await trio.sleep(1)
        if lives < 3:
            raise ZeroDivisionError

    await tasks.keep_running("the mortal", mortal)
    assert lives == 3
    assert trio.current_time() >= 2 * tasks.TASK_RESTART_S
    assert caplog.text.count("the mortal crashed") == 2
