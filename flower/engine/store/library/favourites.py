"""What the player keeps at the top of lists, as functions over a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


# ruff: noqa: S608 - only constants are put into statements, values never

MOST = 1000  # of one kind: a list of more is no choice


def of(db: Connection, kind: str, user: int = 0) -> frozenset[str]:
    """Returns the ids of a user's favourites of a kind: characters, worlds or books."""
    mine, values = _mine(kind, user)
    rows = db.execute(f"SELECT id FROM {mine} LIMIT ?", (*values, MOST))
    return frozenset(row[0] for row in rows)


def switch(db: Connection, kind: str, item: str, user: int = 0) -> bool | None:
    """Makes something a favourite, or one no longer; returns whether it is one now, None if there are too many."""
    mine, values = _mine(kind, user)
    if db.execute(f"DELETE FROM {mine} AND id = ?", (*values, item)).rowcount:
        return False
    if db.execute(f"SELECT count(*) FROM {mine}", values).fetchone()[0] >= MOST:
        return None
    if user:
        db.execute("INSERT INTO own_favourites (owner, kind, id) VALUES (?, ?, ?)", (user, kind, item))
    else:
        db.execute("INSERT INTO favourites (kind, id) VALUES (?, ?)", (kind, item))
    return True


def _mine(kind: str, user: int) -> tuple[str, tuple[object, ...]]:
    """Returns a table with the condition for a user's rows, and its values."""
    if user:
        return "own_favourites WHERE owner = ? AND kind = ?", (user, kind)
    return "favourites WHERE kind = ?", (kind,)
