"""Lore that players give to worlds: texts, and folders that worlds follow. Functions over a connection.

Owns the tables ``attached_lore`` and ``synced_folders``; the passages cut from them are in ``passages``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


def attach(db: Connection, world_id: str, text: str, now: float) -> int:
    """Stores a text of lore for a world; returns its id."""
    cursor = db.execute(
        "INSERT INTO attached_lore (world_id, text, created) VALUES (?, ?, ?)", (world_id, text, now)
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def detach(db: Connection, number: int) -> None:
    """Deletes an attached text."""
    db.execute("DELETE FROM attached_lore WHERE id = ?", (number,))


def listed(db: Connection, world_id: str) -> Sequence[tuple[int, str]]:
    """Returns (id, text) of everything attached to a world."""
    return db.execute(
        "SELECT id, text FROM attached_lore WHERE world_id = ? ORDER BY id", (world_id,)
    ).fetchall()


def folders(db: Connection) -> list[tuple[str, str]]:
    """Returns (world id, path) of every world that follows a folder."""
    return db.execute("SELECT world_id, path FROM synced_folders").fetchall()


def follow(db: Connection, world_id: str, path: str) -> None:
    """Makes a world follow a folder instead of the one before."""
    db.execute(
        "INSERT INTO synced_folders VALUES (?, ?) ON CONFLICT (world_id) DO UPDATE SET path = excluded.path",
        (world_id, path),
    )


def unfollow(db: Connection, world_id: str) -> None:
    """Makes a world follow no folder."""
    db.execute("DELETE FROM synced_folders WHERE world_id = ?", (world_id,))
