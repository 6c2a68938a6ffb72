"""Which engines there are and who plays which story: rows in the database, by the database's clock.

An engine has a row with its address, which it renews every ``BEAT_S``, by itself or with a flush; ``LEASE_S`` after the
last time it counts as dead and any other may delete the row. ``GONE_S`` is enough when its connection has ended too, as
with a process that was killed: an advisory lock of that connection says whether it lasts. The stories it plays are
leases that point to that row and go with it. Its number is the epoch of them all: every process gets a higher one, and
no transaction that writes begins without its row. So an engine that was paused for a minute and comes back can change
nothing any more.

Functions over a connection. Owns the tables ``engines`` and ``leases``; that a story is written by its engine alone is
checked by triggers (``definitions``).
"""

from __future__ import annotations

import logging
import socket
from pathlib import Path

from msgspec import Struct

from flower.engine.store.connection import Connection
from flower.errors import StoreError

log = logging.getLogger(__name__)

BEAT_S = 1.0
LEASE_S = 4.0  # after the last sign of life
GONE_S = 2.0  # the same, of an engine whose connection has ended
_PRESENCE = 0x666C  # the class of the advisory locks that connections of living engines hold
ORPHANS = 1000  # interrupted replies that are ended in one round
TAKEN = "not saved: this engine was silent for too long and others play its stories now; it ends"

# ruff: noqa: S608 - only constants and a number are put into statements

_DEAD = "until < clock_timestamp()"
# The silence of one whose connection has ended. Engines of a version without such locks are not ``present``.
_GONE = (
    f"present AND until < clock_timestamp() + {LEASE_S - GONE_S} * interval '1 second' AND NOT EXISTS"
    f" (SELECT 1 FROM pg_catalog.pg_locks p WHERE p.locktype = 'advisory' AND p.classid = {_PRESENCE}"
    " AND p.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())"
    " AND p.objid::bigint = number % 2147483648)"
)
_UNTIL = "clock_timestamp() + ? * interval '1 second'"


class Holder(Struct, frozen=True):
    """The engine that plays a story. ``dead``: its time has run out, and nobody has noticed yet."""

    number: int
    name: str
    address: str
    dead: bool


def name_of(path: Path) -> str:
    """Returns the name of the engine whose home has its database at ``path``; a home has one engine at most."""
    return f"{socket.gethostname()}:{path.parent.resolve()}"


def register(db: Connection, name: str, address: str, *, alone: bool) -> int:
    """Returns the number of a new engine; whoever had its name before is no more. To be called in a transaction.

    ``alone``: nobody else may be there, or come while it is. Raises ``StoreError`` when somebody is.
    """
    db.execute("LOCK TABLE engines IN SHARE ROW EXCLUSIVE MODE")
    db.execute("DELETE FROM engines WHERE name = ?", (name,))
    others = db.execute(
        f"SELECT name FROM engines WHERE NOT ({_DEAD}) AND (alone OR ?::int = 1)",
        (int(alone),),
    ).fetchall()
    if others:
        raise StoreError(f"the engine {others[0][0]} has these stories open; stop it first")
    if alone:
        db.execute("DELETE FROM engines")  # the dead
    same = db.execute(
        f"SELECT name FROM engines WHERE address = ? AND address != '' AND NOT ({_DEAD})", (address,)
    ).fetchone()
    if same:
        log.error(
            "the engine %s says that it listens at %s too, so nobody can be sent to either; set engine.advertise",
            same[0],
            address,
        )
    row = db.execute(
        f"INSERT INTO engines (name, address, alone, until) VALUES (?, ?, ?::int = 1, {_UNTIL}) RETURNING number",
        (name, address, int(alone), LEASE_S),
    ).fetchone()
    return int(row[0])


def beat(db: Connection, number: int, *, draining: bool) -> int | None:
    """Makes an engine's row last; returns how many leases it has, None when the row is gone."""
    row = db.execute(
        f"UPDATE engines SET until = {_UNTIL}, draining = (?::int = 1), present = true WHERE number = ?"
        " RETURNING (SELECT count(*) FROM leases WHERE engine = number)",
        (LEASE_S, int(draining), number),
    ).fetchone()
    return int(row[0]) if row else None


def leases_of(db: Connection, number: int) -> int | None:
    """Returns how many leases an engine has, None when its row is gone."""
    row = db.execute(
        "SELECT (SELECT count(*) FROM leases WHERE engine = number) FROM engines WHERE number = ?",
        (number,),
    ).fetchone()
    return int(row[0]) if row else None


def be_present(db: Connection, number: int) -> None:
    """Lets everybody see whether this connection, that of an engine's signs of life, lasts."""
    db.execute(
        f"SELECT pg_advisory_lock_shared({_PRESENCE}, ?::bigint::int)::text", (number % 2147483648,)
    )


def is_there(db: Connection, number: int) -> bool:
    """Whether an engine still has its row."""
    return db.execute("SELECT 1 FROM engines WHERE number = ?", (number,)).fetchone() is not None


def leave(db: Connection, number: int) -> None:
    """Ends an engine in good order: its stories are free at once."""
    db.execute("DELETE FROM engines WHERE number = ?", (number,))


def bury(db: Connection, *, gone: bool = False) -> list[str]:
    """Deletes the rows of engines that are dead, with their leases; returns their names.

    ``gone``: also of those that were silent for ``GONE_S`` and have no connection; to be asked for by one that would
    know if the server had ended all connections. One that is in the middle of a transaction is left for the next time.
    """
    dead = f"({_DEAD} OR ({_GONE}))" if gone else _DEAD
    rows = db.execute(
        "DELETE FROM engines WHERE number IN"
        f" (SELECT number FROM engines WHERE {dead} FOR UPDATE SKIP LOCKED) RETURNING name"
    ).fetchall()
    return [str(name) for (name,) in rows]


def elsewhere(db: Connection, number: int) -> str:
    """Returns the address of another engine that takes clients, "" when there is none."""
    row = db.execute(
        f"SELECT address FROM engines WHERE number != ? AND NOT draining AND NOT ({_DEAD})"
        " AND address != '' ORDER BY random() LIMIT 1",
        (number,),
    ).fetchone()
    return str(row[0]) if row else ""


def others(db: Connection, number: int) -> tuple[str, ...]:
    """Returns the addresses of all other engines that are alive."""
    rows = db.execute(
        f"SELECT address FROM engines WHERE number != ? AND NOT ({_DEAD}) AND address != '' ORDER BY number",
        (number,),
    )
    return tuple(str(address) for (address,) in rows)


def holder(db: Connection, story: str) -> Holder | None:
    """Returns the engine that plays a story."""
    row = db.execute(
        f"SELECT e.number, e.name, e.address, ({_DEAD})::int"
        " FROM leases l JOIN engines e ON e.number = l.engine WHERE l.story = ?",
        (story,),
    ).fetchone()
    return Holder(row[0], row[1], row[2], bool(row[3])) if row else None


def take(db: Connection, number: int, story: str) -> bool:
    """Gives a story that nobody plays to an engine; returns whether it got it."""
    return (
        db.execute(
            "INSERT INTO leases (story, engine) VALUES (?, ?) ON CONFLICT (story) DO NOTHING",
            (story, number),
        ).rowcount
        > 0
    )


def release(db: Connection, number: int, played: list[str]) -> None:
    """Frees all stories of an engine but those that are ``played``."""
    db.execute("DELETE FROM leases WHERE engine = ? AND story != ALL (?::text[])", (number, played))


def orphans(db: Connection) -> list[str]:
    """Returns stories in which a reply grows that nobody writes any more."""
    rows = db.execute(
        "SELECT DISTINCT m.session_id FROM messages m WHERE m.status = 'streaming'"
        " AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.story = m.session_id) LIMIT ?",
        (ORPHANS,),
    ).fetchall()
    return [str(story) for (story,) in rows]


def beginning(number: int) -> str:
    """Returns what begins a transaction that writes: its number, or nothing when the engine's row is gone.

    The row stays locked until the transaction ends, so that nobody takes its stories over in the middle of it; it
    can still be made to last.
    """
    return (
        f"BEGIN; SELECT pg_current_xact_id()::text FROM engines WHERE number = {number:d} FOR KEY SHARE"
    )


def beginning_alive(number: int, *, draining: bool) -> str:
    """As ``beginning``, and the engine's row is made to last: the transaction is a sign of life, once it is committed.

    First of all, not at the end: an engine that registers has the table locked and may wait for this row. For short
    transactions only, as the other signs of life wait for the row meanwhile.
    """
    return (
        f"BEGIN; UPDATE engines SET until = clock_timestamp() + {LEASE_S:f} * interval '1 second',"
        f" draining = {draining} WHERE number = {number:d} RETURNING pg_current_xact_id()::text"
    )
