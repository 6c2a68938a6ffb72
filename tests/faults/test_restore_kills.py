"""kill -9 at every file operation of a restore: the home has the old stories or the new ones, whole.

The child is the real command. An audit hook counts what it opens, renames and deletes below the home, and kills the
process at the n-th; n grows until a run gets to its end.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import trio

from flower.engine.admin import backup
from flower.engine.store.sqlite import file
from flower.engine.store.sqlite.database import Database
from flower.home import Home
from tests.engine.admin.test_backup import fill
from tests.engine.admin.test_backup_targets import titles
from tests.engine_process import REPOSITORY

KILLED = -9
OPERATIONS_MOST = 400
CHILD = """
import os, signal, sys
home, last = sys.argv[1], int(sys.argv[2])
count = 0
def hook(event, arguments):
    global count
    if event == "open" or event == "sqlite3.connect" or event.startswith(("os.r", "os.unlink", "os.chmod", "os.mkdir")):
        if any(isinstance(one, (str, bytes)) and home in os.fsdecode(one) for one in arguments):
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
from flower.cli import main
sys.exit(main(["--home", home, "restore", sys.argv[3]]))
"""


async def test_a_restore_that_is_killed_anywhere_leaves_one_of_both(home: Home, tmp_path: Path) -> None:
    database = await Database.open(home.database)
    await database.write(lambda db: fill(db, 3))
    await database.aclose()
    old = titles(home.database)
    other = tmp_path / "other.db"
    file.copy(home.database, other)
    with closing(sqlite3.connect(other)) as db:
        db.execute("UPDATE sessions SET title = 'From the backup'")
        db.commit()
    new = titles(other)
    assert old != new
    seen = set()
    for last in range(1, OPERATIONS_MOST):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(home.root, copy)
        done = await trio.run_process(
            [sys.executable, "-c", CHILD, str(copy), str(last), str(other)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        found = titles(copy / "flower.db")
        file.check_usable(copy / "flower.db")
        assert found in (old, new), f"killed at operation {last}"
        if found == new:  # what was there before is kept
            assert [titles(path) for path in backup.listed(Home(copy))] == [old]
        seen.add(tuple(found))
        if done.returncode != KILLED:
            assert done.returncode == 0, done.stderr
            break
    else:
        raise AssertionError("the restore never ended")
    assert seen == {tuple(old), tuple(new)}
