"""Backups and trash with a wall clock that jumps: the newest backup stays, nothing goes for good unseen."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flower.engine.admin import backup, maintenance
from flower.home import Home
from tests.engine_world import engine_world

DAY = 24 * 3600.0
NOW = 1_780_000_000.0


@pytest.fixture
def database(home: Home) -> Path:
    with closing(sqlite3.connect(home.database)) as db:
        db.execute("CREATE TABLE messages (number INTEGER)")
        db.commit()
    return home.database


def back_up(home: Home, now: float) -> Path:
    """Makes a daily backup at ``now``, with the file's time that goes with it."""
    path = backup.make_kept(home, backup.DAILY, now)
    os.utime(path, (now, now))
    return path


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=12))
def test_the_newest_backups_stay_whatever_the_clock_says(
    home: Home, database: Path, times: list[int]
) -> None:
    """Names sort in the order of making, so that rotation and lists mean what they say."""
    for path in backup.folder(home).glob("*"):
        path.unlink()
    made = [back_up(home, float(now)) for now in times]
    assert backup.listed(home) == made[::-1][: backup.BACKUPS_DAILY]


@pytest.mark.parametrize("jump", [-3600.0, -NOW + 60, 365 * DAY, 4_070_908_800.0 - NOW])
def test_a_jump_and_its_end_cost_at_most_a_backup_each(home: Home, database: Path, jump: float) -> None:
    def changed_at(now: float) -> None:
        os.utime(database, (now, now))

    changed_at(NOW - 10)
    back_up(home, NOW)
    changed_at(NOW + 100)
    assert not backup.is_due(home, NOW + 200), "less than a day ago"
    for wrong in (jump, 0.0):  # there, and back again
        made = 0
        for hour in range(1, 6):
            now = NOW + wrong + hour * 3600.0
            changed_at(now - 1)
            if backup.is_due(home, now):
                back_up(home, now)
                made += 1
        assert made <= 1, "not one an hour: they would push the older ones out"
    changed_at(NOW + 3 * DAY)
    assert backup.is_due(home, NOW + 3 * DAY + 1), "and afterwards they go on"


async def test_what_a_jump_ahead_takes_out_of_the_trash_is_in_a_backup(
    autojump_clock: MockClock, home: Home
) -> None:
    """The trash forgets after a month; a clock that jumps a year ahead must not make that a loss."""
    async with engine_world(home.database) as world:
        face = await world.playing()
        session = face.client.chosen.session_id
        await face.say_and_wait("I look around.")
        await face.say(f"/session delete {session}")
        await maintenance.once(world.engine, home, world.engine.now() + 365 * DAY)
        (newest,) = backup.listed(home)
    with closing(sqlite3.connect(newest)) as db:
        lines = db.execute("SELECT content FROM messages WHERE session_id = ?", (session,)).fetchall()
    assert ("I look around.",) in lines
