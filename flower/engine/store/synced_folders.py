"""Which worlds follow which folders, as functions over a connection. Owns the table ``synced_folders``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


def load(db: Connection) -> list[tuple[str, str]]:
    """Returns (world id, path) of every world that follows a folder."""
    return db.execute("SELECT world_id, path FROM synced_folders").fetchall()


def save(db: Connection, world_id: str, path: str) -> None:
    """Makes a world follow a folder instead of the one before."""
    db.execute(
        "INSERT INTO synced_folders VALUES (?, ?) ON CONFLICT (world_id) DO UPDATE SET path = excluded.path",
        (world_id, path),
    )


def forget(db: Connection, world_id: str) -> None:
    """Makes a world follow no folder."""
    db.execute("DELETE FROM synced_folders WHERE world_id = ?", (world_id,))
