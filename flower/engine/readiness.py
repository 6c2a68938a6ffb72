"""Whether an engine can do its work: the store answers, recall has its model, the disk has room."""

from __future__ import annotations

import shutil
import sqlite3

from msgspec import Struct

from flower import limits
from flower.engine.engine import Engine
from flower.errors import FlowerError


class Report(Struct, frozen=True):
    """A line per part, ``OK`` or what is wrong. ``ready`` is False when stories cannot be saved."""

    ready: bool
    lines: tuple[str, ...]


async def look(engine: Engine) -> Report:
    """Tries the store; of the embedding model tells what its last use has shown. Raises nothing."""
    store = await _store(engine)
    recall = engine.services.library.trouble
    lines = [f"store: {store or 'OK'}", f"recall: {recall or 'OK'}"]
    unsaved = sum(len(session.unsaved) for session in engine.sessions)
    if unsaved:
        lines.append(f"replies: {unsaved} wait for the disk")
    return Report(not store and not unsaved, tuple(lines))


async def _store(engine: Engine) -> str:
    database = engine.services.database
    try:
        await database.read(_answers)
        free = shutil.disk_usage(database.path.parent).free
    except (FlowerError, OSError) as error:
        return str(error)
    if free < limits.DISK_LOW_BYTES:
        return f"only {free // limits.MIB} MiB are free on the disk"
    return ""


def _answers(db: sqlite3.Connection) -> None:
    db.execute("SELECT count(*) FROM sessions").fetchone()
