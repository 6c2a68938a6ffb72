"""kill -9 at every file operation of a repair: every row that was there is there, or in what was kept of it.

The child is the real ``flower check`` on a damaged home. An audit hook counts what it opens, renames and deletes
below the home, and kills the process at the n-th; n grows until a run gets to its end.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
import trio

from flower.engine.admin import backup, home_cli
from flower.engine.store.sqlite import recovery
from flower.engine.store.sqlite.database import Database
from flower.home import Home
from tests.engine.admin.test_backup import fill
from tests.engine.admin.test_repair import PAGE, change
from tests.engine_process import REPOSITORY
from tests.faults.test_restore_kills import CHILD, KILLED, OPERATIONS_MOST

MESSAGES = 123
CHECK = CHILD.replace('"restore", sys.argv[3]', '"check"')


def links(home: Home) -> None:
    change(home, "UPDATE sessions SET active_leaf = 999999", "DELETE FROM messages_fts_docsize")


def page(home: Home) -> None:
    """Overwrites a page with messages on it: what cannot be mended in place is carried over row by row."""
    with closing(sqlite3.connect(home.database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(home.database.read_bytes())
    start = data.index(b"s1 line 5 ") // PAGE * PAGE
    data[start : start + PAGE] = b"\x55" * PAGE
    home.database.write_bytes(data)


def texts(path: Path) -> set[tuple[str]]:
    """Returns what can be read of the messages."""
    found: set[tuple[str]] = set()
    with closing(sqlite3.connect(path)) as db:
        for number in range(1, MESSAGES + 1):
            with suppress(sqlite3.DatabaseError):
                found |= set(db.execute("SELECT content FROM messages WHERE id = ?", (number,)))
    return found


@pytest.mark.parametrize("damage", [links, page])
async def test_a_repair_that_is_killed_anywhere_loses_nothing(
    home: Home, tmp_path: Path, damage: Callable[[Home], None]
) -> None:
    database = await Database.open(home.database)
    await database.write(fill, 3)
    await database.aclose()
    damage(home)
    assert not recovery.look(home.database).sound
    readable = texts(home.database)
    assert len(readable) > MESSAGES / 2
    for last in range(1, OPERATIONS_MOST):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(home.root, copy)
        done = await trio.run_process(
            [sys.executable, "-c", CHECK, str(copy), str(last)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        assert done.returncode in (0, 1, KILLED), done.stderr
        report = home_cli.repair(Home(copy), 2.0)  # whoever was killed is asked again
        assert report.sound, (last, report.lines)
        assert readable <= texts(copy / "flower.db"), f"killed at operation {last}"
        kept = list(backup.folder(Home(copy)).glob("*.damaged"))
        assert any(readable <= texts(path) for path in kept) or done.returncode == KILLED
        assert not list(copy.glob("flower.db.*")), "no draft is left"
        if done.returncode != KILLED:
            break
    else:
        raise AssertionError("the repair never ended")
    assert last > 5, "else the hook counts nothing"
