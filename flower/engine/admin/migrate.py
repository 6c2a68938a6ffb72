"""``python -m flower.engine.admin.migrate HOME``: brings a home's stories into this version's form.

For an update, which has claimed the home and kept a copy. Looks through what has come of it. Exits with 0, or
with 1 and a sentence.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from flower.engine.store.sqlite import recovery
from flower.engine.store.sqlite.database import Database
from flower.errors import FlowerError, StoreError, printable


def main(root: Path) -> int:
    """Migrates ``flower.db`` in ``root`` if there is one; returns the exit code."""
    path = root / "flower.db"
    if not path.exists():
        return 0
    try:
        trio.run(_migrate, path)
        report = recovery.look(path)
        if not report.sound:
            raise StoreError("; ".join(report.lines))
    except FlowerError as error:
        print(f"flower: {printable(error)}", file=sys.stderr)
        return 1
    return 0


async def _migrate(path: Path) -> None:
    database = await Database.open(path)
    await database.aclose()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
