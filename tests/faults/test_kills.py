"""kill -9 at random moments of a story, again and again on the same home.

The short form runs always, the long one with --faults and prints what was survived.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from flower.engine.store import schema
from tests.engine_process import Process, kill, make_home, output, start
from tests.kill_story import Player, judge

CONFIG = "narrator:\n  seed: 7\n  words_per_s: 120\n"


async def one_life(home: Path, player: Player, lives_s: float) -> tuple[str, float]:
    """Starts an engine, plays, kills it after ``lives_s``; returns what it was doing and when it died."""
    running = await start(home)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_play_when_ready, running, player)
            await trio.sleep(lives_s)
            code = running.process.poll()
            assert code is None, f"the engine died by itself ({code}): {output(home)[-3000:]}"
            killed_at = trio.current_time()
            doing = "streaming" if player.growing else "playing" if running.announced else "starting"
            await kill(running)
            nursery.cancel_scope.cancel()
    finally:
        await kill(running)
    return doing, killed_at


async def _play_when_ready(running: Process, player: Player) -> None:
    while not running.announced:
        await trio.testing.wait_all_tasks_blocked(0.01)
    await player.play(running)


def old_database(home: Path) -> None:
    """Makes a database of the first schema with a story in it, for the next start to migrate."""
    make_home(home, CONFIG)
    with closing(sqlite3.connect(home / "flower.db", isolation_level=None)) as db:
        for statement in schema.statements(schema.MIGRATIONS[0]):
            db.execute(statement)
        db.execute(
            "INSERT INTO sessions (id, world_id, character_id, created, updated) VALUES ('old', 'orrinsay', '', 1, 1)"
        )
        db.execute(
            "INSERT INTO messages (session_id, role, content, status, created)"
            " VALUES ('old', 'assistant', 'Once.', 'complete', 1)"
        )
        db.execute("PRAGMA user_version = 1")


async def survive(tmp_path: Path, kills: int, seed: int, *, homes_of: int) -> Counter[str]:
    """Kills ``kills`` engines, on a new home after every ``homes_of``; returns what they were doing."""
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    for number in range(kills):
        if number % homes_of == 0:
            home = tmp_path / f"{number}" / "home"
            home.parent.mkdir()
            make_home(home, CONFIG)
            if number // homes_of % 2:
                old_database(home)
            player, last_id = Player(rng), 0
        first = number % homes_of == 0
        doing, at = await one_life(
            home, player, rng.uniform(0, 0.6) if first else rng.uniform(0.3, 3.5)
        )
        started_by = last_id if doing != "starting" else 0  # it may not have come to marking them
        last_id = judge(home, tmp_path / "copy", player, at, started_by)
        player.engine_died()
        seen[doing] += 1
        if (number + 1) % homes_of == 0 or number + 1 == kills:
            seen["lines acknowledged"] += len(player.lines)
            seen["replies ended"] += len(player.ended)
    return seen


@pytest.mark.timeout(120)
async def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    seen = await survive(tmp_path, 6, seed=1, homes_of=6)
    assert seen["streaming"] + seen["playing"] >= 1, "else it was never killed at work"


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_nothing_acknowledged_is_lost_by_kill_9_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = await survive(tmp_path, 220, seed=2, homes_of=20)
    with capsys.disabled():
        print(
            f"\nkill -9 survived: {sum(seen[k] for k in ('starting', 'playing', 'streaming'))}, while {dict(seen)}"
        )
