"""Lore that a player attached to a world, text by text. Functions over a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


def attach(db: sqlite3.Connection, world_id: str, text: str, now: float) -> int:
    """Stores a text of lore for a world; returns its id."""
    cursor = db.execute(
        "INSERT INTO attached_lore (world_id, text, created) VALUES (?, ?, ?)", (world_id, text, now)
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def detach(db: sqlite3.Connection, number: int) -> None:
    db.execute("DELETE FROM attached_lore WHERE id = ?", (number,))


def listed(db: sqlite3.Connection, world_id: str) -> Sequence[tuple[int, str]]:
    """Returns (id, text) of everything attached to a world."""
    return db.execute(
        "SELECT id, text FROM attached_lore WHERE world_id = ? ORDER BY id", (world_id,)
    ).fetchall()
