"""What an engine does for its home from time to time: drafts of killed writers, the daily backup, the trash.

Runs beside the stories and never in their way: first a while after the start, and what fails is tried
again an hour later. It writes nothing when nothing has changed.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio

from flower import limits
from flower.engine.admin import backup
from flower.engine.export import files
from flower.engine.prompt.turn_input import Services
from flower.engine.recall.base import memory_scope
from flower.engine.sessions.engine import Engine
from flower.engine.store import passages, trash, users
from flower.engine.store.connection import Connection
from flower.errors import FlowerError
from flower.file_io import sweep
from flower.home import Home
from flower.protocol.messages import State

log = logging.getLogger(__name__)

UPKEEP_FIRST_S = 30.0  # after a start: nobody waits for a backup
UPKEEP_INTERVAL_S = 3600.0
DRAFT_KEPT_S = 3600.0  # by when any writer is done, or was killed


async def run(engine: Engine, home: Home, clock: Callable[[], float] = time.time) -> None:
    """Keeps the home in order until cancelled; ``clock`` is Unix time in seconds."""
    last_sentence = ""
    await trio.sleep(UPKEEP_FIRST_S)
    while True:
        try:
            await once(engine, home, clock())
            last_sentence = ""
        except FlowerError as error:
            log.warning("upkeep: %s", error)
            if str(error) != last_sentence:  # once, not every hour
                last_sentence = str(error)
                engine.broadcast(f"✗ {error}", State())
        await trio.sleep(UPKEEP_INTERVAL_S)


def sweep_drafts(home: Home, now: float) -> int:
    """Deletes what writers that were killed left in the folders of the home; returns how many files."""
    folders = [home.root, home.run]
    folders += [Path(path) for top in (home.assets, home.index) for path, _, _ in os.walk(top)]
    count = sum(sweep(folder, now - DRAFT_KEPT_S) for folder in folders)
    if count:
        log.info("upkeep: %d half-written files of killed processes deleted", count)
    return count


async def once(engine: Engine, home: Home, now: float) -> None:
    """Does what is due at ``now``; raises ``FlowerError`` if something could not be done."""
    await trio.to_thread.run_sync(sweep_drafts, home, now, abandon_on_cancel=True)
    database = engine.services.database
    user_ids = {user.id for user in await database.read(users.listed)}
    before = now - limits.EXPORT_KEPT_S
    await trio.to_thread.run_sync(
        files.drop_old, database.path, user_ids, before, abandon_on_cancel=True
    )
    if await trio.to_thread.run_sync(backup.is_due, home, now):
        # Given up at a stop: what is half done has no name yet and is swept up next time.
        path = await trio.to_thread.run_sync(
            partial(backup.make_kept, home, backup.DAILY, now), abandon_on_cancel=True
        )
        log.info("upkeep: backup %s", path.name)
    # Only now: whatever leaves the trash is in the newest backup, so a clock that jumps ahead by a year
    # takes nothing that cannot be brought back.
    emptied = await empty(engine.services, now)
    if emptied:
        log.info("upkeep: %d stories left the trash for good", emptied)


# --- Deletes for good what has been in the trash for long enough.


async def empty(services: Services, now: float) -> int:
    """Deletes stories and messages whose time in the trash is over; returns how many stories.

    Raises ``StoreError``.
    """
    database, library = services.database, services.library
    expired = await database.read(trash.expired, now - limits.TRASH_KEPT_S)
    for session_id in expired:
        # Rows and memories at once: it may be taken back from the trash until then.
        if await database.write(_purge, session_id):
            await library.drop_scope(memory_scope(session_id))
    messages = await database.read(trash.expired_messages, now - limits.TRASH_KEPT_S)
    if messages:
        await library.forget_messages(messages)
        await database.write(trash.purge_messages, messages)
    return len(expired)


def _purge(db: Connection, session_id: str) -> bool:
    purged = trash.purge(db, session_id)
    if purged:
        passages.drop_scope(db, memory_scope(session_id))
    return purged
