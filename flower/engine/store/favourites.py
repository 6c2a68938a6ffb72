"""What the player keeps at the top of lists, as functions over a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


MOST = 1000  # of one kind: a list of more is no choice


def of(db: Connection, kind: str) -> frozenset[str]:
    """Returns the ids of the favourites of a kind: characters, worlds or books."""
    rows = db.execute("SELECT id FROM favourites WHERE kind = ? LIMIT ?", (kind, MOST))
    return frozenset(row[0] for row in rows)


def switch(db: Connection, kind: str, wanted: str) -> bool | None:
    """Makes something a favourite, or one no longer; returns whether it is one now, None if there are too many."""
    if db.execute("DELETE FROM favourites WHERE kind = ? AND id = ?", (kind, wanted)).rowcount:
        return False
    if db.execute("SELECT count(*) FROM favourites WHERE kind = ?", (kind,)).fetchone()[0] >= MOST:
        return None
    db.execute("INSERT INTO favourites (kind, id) VALUES (?, ?)", (kind, wanted))
    return True
