"""Imported sets of quick replies, as functions over a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


def put(db: sqlite3.Connection, name: str, replies: Sequence[tuple[str, str]]) -> None:
    """Stores a set of labels and texts, in the place of the one with its name."""
    db.execute("DELETE FROM quick_replies WHERE name = ?", (name,))
    db.executemany(
        "INSERT INTO quick_replies VALUES (?, ?, ?, ?)",
        [(name, place, label, text) for place, (label, text) in enumerate(replies)],
    )


def listed(db: sqlite3.Connection, most: int) -> list[tuple[str, str]]:
    """Returns labels and texts of the first so many, set by set."""
    return db.execute(
        "SELECT label, text FROM quick_replies ORDER BY name, place LIMIT ?", (most,)
    ).fetchall()
