"""Who sits at whose story, and the codes that let somebody sit down, as functions over a connection.

Every function that writes expects to run inside ``Database.write``.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from msgspec import Struct

from flower.engine.store import allowances, selections
from flower.engine.store.extra import MessageExtra, load_extra
from flower.engine.store.users import NewToken, User, add_guest, by_token, hash_of, parts
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

SEATS = 16  # of one table
TABLE_CODES = 8  # of one table that hold at once
GUEST_DISK_MIB = 50  # of what a guest may export

PLAYER, READER = "player", "reader"
ROLES = (PLAYER, READER)
_NONE = b"\0" * 32
_COLUMNS = "s.user_id, coalesce(u.name, ''), s.role, s.name, s.about"


class Seat(Struct, frozen=True):
    """A seat. ``user_name``: "" for the home's owner. ``name`` and ``about``: who they play there."""

    user: int
    user_name: str
    role: str
    name: str
    about: str


def find(db: Connection, session_id: str, user: int) -> Seat | None:
    """Returns the seat that somebody has at a story."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM seats s LEFT JOIN users u ON u.id = s.user_id"  # noqa: S608 - our own words
        " WHERE s.session_id = ? AND s.user_id = ?",
        (session_id, user),
    ).fetchone()
    return Seat(*row) if row else None


def at(db: Connection, session_id: str) -> list[Seat]:
    """Returns everybody at a story, in the order in which they came."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM seats s LEFT JOIN users u ON u.id = s.user_id"  # noqa: S608 - our own words
        " WHERE s.session_id = ? ORDER BY s.created, s.user_id",
        (session_id,),
    )
    return [Seat(*row) for row in rows]


def owner_of(db: Connection, session_id: str) -> tuple[int, str] | None:
    """Returns number and name of who made a story; "" for the home's owner."""
    row = db.execute(
        "SELECT s.owner, coalesce(u.name, '') FROM sessions s LEFT JOIN users u ON u.id = s.owner"
        " WHERE s.id = ?",
        (session_id,),
    ).fetchone()
    return (int(row[0]), str(row[1])) if row else None


def give(db: Connection, session_id: str, user: int, role: str, now: float) -> None:
    """Gives somebody a seat, or the one they have another role. Raises ``CommandError`` when the table is full."""
    seats = at(db, session_id)
    if len(seats) >= SEATS and all(seat.user != user for seat in seats):
        raise CommandError(f"{SEATS} sit at this table, the most there can be.")
    db.execute(
        "INSERT INTO seats (session_id, user_id, role, created) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (session_id, user_id) DO UPDATE SET role = excluded.role",
        (session_id, user, role, now),
    )


def take(db: Connection, session_id: str, user: int) -> bool:
    """Takes somebody's seat away; returns whether they had one."""
    done = db.execute("DELETE FROM seats WHERE session_id = ? AND user_id = ?", (session_id, user))
    return done.rowcount > 0


def play(db: Connection, session_id: str, user: int, name: str, about: str) -> bool:
    """Stores who somebody plays at a story; returns whether they sit there."""
    done = db.execute(
        "UPDATE seats SET name = ?, about = ? WHERE session_id = ? AND user_id = ?",
        (name, about, session_id, user),
    )
    return done.rowcount > 0


def said_before(db: Connection, session_id: str, request: str | None) -> str | None:
    """Returns the line of a request that is in a story already."""
    statement = "SELECT content FROM messages WHERE session_id = ? AND request = ?"
    row = db.execute(statement, (session_id, request)).fetchone() if request is not None else None
    return str(row[0]) if row is not None else None


def unwitnessed(db: Connection, session_id: str, user: int) -> frozenset[int]:
    """Returns the messages of a story that were said while somebody was away."""
    rows = db.execute(
        "SELECT id, extra FROM messages WHERE session_id = ? AND instr(extra, '\"there\"')",
        (session_id,),
    )
    witnesses = ((number, load_extra(data, MessageExtra).there) for number, data in rows)
    return frozenset(number for number, there in witnesses if there and user not in there)


# --- codes ------------------------------------------------------------------------------------------


def add_code(
    db: Connection, session_id: str, secret: NewToken, role: str, ends: float, now: float
) -> None:
    """Stores a code for a story's table; those that have ended go. Raises ``CommandError`` for too many."""
    db.execute("DELETE FROM table_codes WHERE session_id = ? AND ends <= ?", (session_id, now))
    (count,) = db.execute(
        "SELECT count(*) FROM table_codes WHERE session_id = ?", (session_id,)
    ).fetchone()
    if count >= TABLE_CODES:
        raise CommandError(
            f"{TABLE_CODES} codes of this table hold, the most; /table code off ends them all."
        )
    db.execute(
        "INSERT INTO table_codes (mark, hash, session_id, role, ends) VALUES (?, ?, ?, ?, ?)",
        (secret.mark, secret.hash, session_id, role, ends),
    )


def end_codes(db: Connection, session_id: str) -> int:
    """Ends the codes of a story's table, for guests who came in with them too; returns how many there were."""
    mine = "SELECT mark FROM table_codes WHERE session_id = ?"
    db.execute(f"DELETE FROM user_tokens WHERE mark IN ({mine})", (session_id,))  # noqa: S608
    return db.execute("DELETE FROM table_codes WHERE session_id = ?", (session_id,)).rowcount


def seat_guest(db: Connection, text: str, now: float) -> User | None:
    """Gives who has nothing but a code a seat, and the code as their token; None when it holds for none."""
    seated = by_token(db, text, now)
    if seated is not None:
        return seated  # they came twice at once
    invitation, halves = by_code(db, text, now), parts(text)
    if invitation is None or halves is None:
        return None
    session_id, role = invitation
    (ends,) = db.execute("SELECT ends FROM table_codes WHERE mark = ?", (halves[0],)).fetchone()
    token = NewToken(text.strip(), halves[0], hash_of(halves[1]))
    guest = add_guest(db, token, now, ends)
    allowances.limit(db, guest.id, allowances.UserLimits(stories=0, library=0, disk=GUEST_DISK_MIB))
    give(db, session_id, guest.id, role, now)
    chosen = selections.Selection(selections.client_key(guest.id, ""), session_id=session_id)
    selections.change(db, chosen, ("session_id",), now)
    return guest


def by_code(db: Connection, text: str, now: float) -> tuple[str, str] | None:
    """Returns story and role that a code gives, None when it holds for none."""
    halves = parts(text)
    row = (
        db.execute(
            "SELECT c.hash, c.session_id, c.role FROM table_codes c JOIN sessions s ON s.id = c.session_id"
            " WHERE c.mark = ? AND c.ends > ? AND s.deleted IS NULL",
            (halves[0], now),
        ).fetchone()
        if halves is not None
        else None
    )
    same = hmac.compare_digest(hash_of(halves[1] if halves else ""), bytes(row[0]) if row else _NONE)
    return (str(row[1]), str(row[2])) if row is not None and same else None


def seen_ids(db: Connection, user: int) -> list[str]:
    """Returns the ids of the stories that a user may see."""
    return [session_id for session_id, _ in seen(db, user)]


def seen(db: Connection, user: int) -> list[tuple[str, int]]:
    """Returns the stories that a user may see: the id of each, and who made it."""
    rows = db.execute(
        "SELECT id, owner FROM sessions WHERE owner = ? AND deleted IS NULL"
        " UNION SELECT t.session_id, s.owner FROM seats t CROSS JOIN sessions s ON s.id = t.session_id"
        " WHERE t.user_id = ?",
        (user, user),
    )
    return [(session_id, owner) for session_id, owner in rows]
