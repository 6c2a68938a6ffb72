"""Which engine may write: one at a time, by a row in the database and the database's clock.

An engine takes the lease when it starts, makes it last while it runs and gives it back at its end. One that died
loses it after ``LEASE_S``. Each new holder gets a higher epoch, and every transaction that writes looks for its own:
an engine that was paused for a minute and comes back can change nothing any more.
"""

from __future__ import annotations

import socket
from pathlib import Path

from flower.engine.store.postgres.connection import PostgresConnection

LEASE_S = 15.0  # after the last sign of life
RENEWED_S = 5.0
TAKEN = "not saved: another engine has taken the stories over; this one ends"

_TAKE = """
    UPDATE lease SET epoch = epoch + 1, holder = ?, until = clock_timestamp() + ? * interval '1 second'
    WHERE until < clock_timestamp() OR holder = ? RETURNING epoch
"""
_RENEW = "UPDATE lease SET until = clock_timestamp() + ? * interval '1 second' WHERE epoch = ?"


def name_of(path: Path) -> str:
    """Returns the name of the engine whose home has its database at ``path``; a home has one engine at most."""
    return f"{socket.gethostname()}:{path.parent.resolve()}"


def take(db: PostgresConnection, holder: str) -> int | None:
    """Returns the epoch of the lease, None while another engine has it."""
    row = db.execute(_TAKE, (holder, LEASE_S, holder)).fetchone()
    return int(row[0]) if row else None


def holder_of(db: PostgresConnection) -> str:
    """Returns the name of the engine that has the lease."""
    return str(db.execute("SELECT holder FROM lease").fetchone()[0])


def renew(db: PostgresConnection, epoch: int) -> bool:
    """Makes the lease last; returns whether it still was this engine's."""
    return db.execute(_RENEW, (LEASE_S, epoch)).rowcount > 0


def give_back(db: PostgresConnection, epoch: int) -> None:
    """Lets the next engine begin at once."""
    db.execute(_RENEW, (-1.0, epoch))


def is_held(db: PostgresConnection, epoch: int) -> bool:
    """Whether the lease is still this engine's."""
    return db.execute("SELECT 1 FROM lease WHERE epoch = ?", (epoch,)).fetchone() is not None


def beginning(epoch: int) -> str:
    """Returns what begins a transaction that writes: its number, or nothing when the lease is another's.

    The row stays locked until the transaction ends, so that nobody takes the lease over in the middle of it.
    """
    return f"BEGIN; SELECT pg_current_xact_id()::text FROM lease WHERE epoch = {epoch:d} FOR SHARE"  # noqa: S608 - a number
