"""Many engines that start at once on one home, and a file system on which nobody can tell who was first."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
import trio
import trio.testing

from flower.errors import LaunchError
from flower.home import Home
from flower.launch import Launcher, claim, find
from tests.engine_process import Process, connected, kill, make_home, output, start

ENGINES = 10
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO)


@pytest.mark.timeout(120)
async def test_of_ten_engines_one_serves_and_nine_say_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home)
    engines: list[Process] = [await start(home) for _ in range(ENGINES)]
    try:
        with trio.fail_after(90):
            while sum(engine.process.poll() is None for engine in engines) > 1:
                await trio.testing.wait_all_tasks_blocked(0.05)
            (winner,) = [engine for engine in engines if engine.process.poll() is None]
            while not winner.announced:
                await trio.testing.wait_all_tasks_blocked(0.05)
        losers = [engine.process.returncode for engine in engines if engine is not winner]
        assert losers == [LaunchError.exit_code] * (ENGINES - 1)
        said = [line for line in output(home).splitlines() if line.startswith("flower: ")]
        assert len(said) == ENGINES - 1
        assert all("an engine already runs on" in line for line in said)
        assert "Traceback" not in output(home)
        async with connected(winner) as wire:
            with trio.fail_after(10):
                assert await wire.until("sync_state")
    finally:
        for engine in engines:
            await kill(engine)


@pytest.mark.parametrize("code", NO_LOCKS)
def test_where_locks_fail_nobody_writes(home: Home, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """It is said in a sentence, to the engine, to a command that repairs, and to a screen."""

    def refuse(descriptor: int, mode: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    started: list[Home] = []

    def spawn(home: Home) -> int:
        started.append(home)
        return 0

    attempts = (
        lambda: claim(home, wait_s=0),
        lambda: find(home),
        Launcher(home, spawn=spawn).url,
    )
    for attempt in attempts:
        with pytest.raises(LaunchError, match="cannot lock files"):
            attempt()
    assert not started, "a second writer"
    monkeypatch.undo()
    with claim(home, wait_s=0):
        pass  # and no claim of those attempts is left
