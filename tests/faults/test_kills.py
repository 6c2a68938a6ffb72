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
from tests.engine_process import Process, kill, make_home, output, start, wait_announced
from tests.kill_story import Player, judge

CONFIG = "narrator:\n  seed: 7\n  words_per_s: 120\n"


async def one_life(home: Path, player: Player, lives_s: float, *, at_work: bool) -> tuple[str, float]:
    """Starts an engine, plays, kills it after ``lives_s``; returns what it was doing and when it died.

    ``at_work``: that long after it is ready, however long its start takes on a busy machine.
    """
    running = await start(home)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_play_when_ready, running, player)
            if at_work:
                await wait_announced(running)
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


async def survive(folder: Path, kills: int, seed: int, *, migrated: bool) -> Counter[str]:
    """Kills ``kills`` engines on one new home; returns what they were doing."""
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    home = folder / "home"
    folder.mkdir()
    make_home(home, CONFIG)
    if migrated:
        old_database(home)
    player, last_id = Player(rng), 0
    for number in range(kills):
        at_work = number % 3 == 2
        lives_s = rng.uniform(0.3, 1.6 if at_work else 3.5) if number else rng.uniform(0, 0.6)
        doing, at = await one_life(home, player, lives_s, at_work=at_work)
        started_by = last_id if doing != "starting" else 0  # it may not have come to marking them
        last_id = judge(home, folder / "copy", player, at, started_by)
        player.engine_died()
        seen[doing] += 1
    seen["lines acknowledged"] += len(player.lines)
    seen["replies ended"] += len(player.ended)
    return seen


@pytest.mark.timeout(120)
async def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    """Of two homes side by side, as an engine mostly waits: a new one, and one of the first schema."""
    seen: Counter[str] = Counter()

    async def one(migrated: bool) -> None:
        seen.update(await survive(tmp_path / f"{migrated}", 3, 1 + migrated, migrated=migrated))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, False)
        nursery.start_soon(one, True)
    assert seen["streaming"] + seen["playing"] >= 2, "each was killed at work"


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_nothing_acknowledged_is_lost_by_kill_9_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: Counter[str] = Counter()
    for number in range(11):
        seen += await survive(tmp_path / f"{number}", 20, 3 + number, migrated=bool(number % 2))
    with capsys.disabled():
        print(
            f"\nkill -9 survived: {sum(seen[k] for k in ('starting', 'playing', 'streaming'))}, while {dict(seen)}"
        )
