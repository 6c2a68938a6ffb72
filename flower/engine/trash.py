"""Deletes for good what has been in the trash for long enough."""

from __future__ import annotations

import sqlite3

from flower import limits
from flower.engine.preparation import Services, memory_scope
from flower.engine.store import discarded, passages, trash


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
    messages = await database.read(discarded.expired, now - limits.TRASH_KEPT_S)
    if messages:
        await library.forget_messages(messages)
        await database.write(discarded.purge, messages)
    return len(expired)


def _purge(db: sqlite3.Connection, session_id: str) -> bool:
    purged = trash.purge(db, session_id)
    if purged:
        passages.drop_scope(db, memory_scope(session_id))
    return purged
