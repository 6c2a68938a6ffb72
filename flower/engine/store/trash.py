"""The trash of whole stories; that of single messages is ``discarded``. Functions over a connection."""

from __future__ import annotations

import sqlite3

from flower import limits
from flower.engine.store import stories
from flower.engine.store.stories import StoredSession


def delete(db: sqlite3.Connection, session_id: str, now: float) -> bool:
    """Puts a story into the trash; returns whether there was one."""
    deleted = db.execute(
        "UPDATE sessions SET deleted = ? WHERE id = ? AND deleted IS NULL", (now, session_id)
    ).rowcount
    db.execute("UPDATE selections SET session_id = '' WHERE session_id = ?", (session_id,))
    return deleted > 0


def restore(db: sqlite3.Connection, session_id: str) -> bool:
    """Takes a story out of the trash; returns whether it was there."""
    taken = "UPDATE sessions SET deleted = NULL WHERE id = ? AND deleted IS NOT NULL"
    return db.execute(taken, (session_id,)).rowcount > 0


def listed(db: sqlite3.Connection, most: int = limits.SESSIONS_LISTED) -> list[StoredSession]:
    """Returns the stories in the trash, the one deleted last first."""
    return stories.where(db, "s.deleted IS NOT NULL ORDER BY s.deleted DESC LIMIT ?", (most,))


def expired(db: sqlite3.Connection, before: float) -> list[str]:
    """Returns the ids of the stories that were put into the trash before that time."""
    rows = db.execute("SELECT id FROM sessions WHERE deleted < ?", (before,))
    return [session_id for (session_id,) in rows]


def purge(db: sqlite3.Connection, session_id: str) -> bool:
    """Deletes a story in the trash for good, with all its messages; returns whether it was there."""
    thrown = "FROM sessions WHERE id = ? AND deleted IS NOT NULL"
    if db.execute(f"SELECT 1 {thrown}", (session_id,)).fetchone() is None:
        return False
    db.execute("UPDATE sessions SET active_leaf = NULL WHERE id = ?", (session_id,))
    db.execute(f"DELETE {thrown}", (session_id,))
    return True
