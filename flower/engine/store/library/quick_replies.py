"""Imported sets of quick replies, as functions over a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


MOST = 10_000


def put(db: Connection, name: str, replies: Sequence[tuple[str, str]]) -> None:
    """Stores a set of labels and texts, in the place of the one with its name."""
    db.execute("DELETE FROM quick_replies WHERE name = ?", (name,))
    db.executemany(
        "INSERT INTO quick_replies VALUES (?, ?, ?, ?)",
        [(name, place, label, text) for place, (label, text) in enumerate(replies)],
    )


def sets(db: Connection) -> dict[str, list[tuple[str, str]]]:
    """Returns labels and texts of each set by its name."""
    replies: dict[str, list[tuple[str, str]]] = {}
    rows = db.execute(
        "SELECT name, label, text FROM quick_replies ORDER BY name, place LIMIT ?", (MOST,)
    )
    for name, label, text in rows:
        replies.setdefault(name, []).append((label, text))
    return replies


def listed(db: Connection, most: int) -> list[tuple[str, str]]:
    """Returns labels and texts of the first so many, set by set."""
    return db.execute(
        "SELECT label, text FROM quick_replies ORDER BY name, place LIMIT ?", (most,)
    ).fetchall()
