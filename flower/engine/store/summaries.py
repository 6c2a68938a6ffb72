"""Summaries of the older parts of stories, as functions over a connection.

A summary belongs to the message it ends with. In a tree all that is above a message never changes, so
a summary is right for every branch that its message is on, and for no other.
"""

from __future__ import annotations

import sqlite3

from msgspec import Struct


class Summary(Struct, frozen=True):
    """What happened from the beginning of a story to message ``last_id``."""

    last_id: int
    text: str


def add(db: sqlite3.Connection, last_id: int, text: str, now: float) -> None:
    db.execute(
        "INSERT OR REPLACE INTO summaries (last_id, text, created) VALUES (?, ?, ?)",
        (last_id, text, now),
    )


def newest(db: sqlite3.Connection, leaf: int | None, *, before: int | None = None) -> Summary | None:
    """Returns the summary that reaches furthest on the way to ``leaf``, ending above ``before``."""
    row = db.execute(
        """
        WITH RECURSIVE up(id) AS (
            SELECT ? UNION ALL SELECT m.parent_id FROM messages m JOIN up ON m.id = up.id
            WHERE m.parent_id IS NOT NULL
        )
        SELECT s.last_id, s.text FROM up JOIN summaries s ON s.last_id = up.id
        WHERE s.last_id < coalesce(?, s.last_id + 1) ORDER BY s.last_id DESC LIMIT 1
        """,
        (leaf, before),
    ).fetchone()
    return Summary(*row) if row else None
