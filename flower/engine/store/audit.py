"""What happened at the door and at tables, for whoever keeps the home: logins, invites, refusals. Bounded.

Functions over a connection; those that write expect to run inside ``Database.write``. Names and words of ours only:
never a token, nor a word of a story.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

AUDIT_ROWS = 10_000  # kept of logins, invites and refusals
AUDIT_ROWS_USER = 200  # of them about what one user did, so that nobody pushes out the rest
AUDIT_CHARS = 120


class AuditEntry(Struct, frozen=True):
    """One thing that happened. ``name``: of the user, "" for the home's owner or somebody who is gone."""

    at: float
    name: str
    event: str
    about: str


def note(db: Connection, user_id: int, event: str, about: str, now: float) -> None:
    """Adds an entry; of more than ``AUDIT_ROWS``, or ``AUDIT_ROWS_USER`` of one user, the oldest goes."""
    number = db.execute(
        "INSERT INTO audit (at, user_id, event, about) VALUES (?, ?, ?, ?)",
        (now, user_id, event, about[:AUDIT_CHARS]),
    ).lastrowid
    assert number is not None
    db.execute("DELETE FROM audit WHERE id <= ?", (number - AUDIT_ROWS,))
    if user_id:
        db.execute(
            "DELETE FROM audit WHERE user_id = :user AND id <= coalesce((SELECT id FROM audit"
            " WHERE user_id = :user ORDER BY id DESC LIMIT 1 OFFSET :most), 0)",
            {"user": user_id, "most": AUDIT_ROWS_USER},
        )


def newest(db: Connection, most: int) -> list[AuditEntry]:
    """Returns the last entries, the newest first."""
    rows = db.execute(
        "SELECT a.at, coalesce(u.name, ''), a.event, a.about FROM audit a"
        " LEFT JOIN users u ON u.id = a.user_id ORDER BY a.id DESC LIMIT ?",
        (most,),
    )
    return [AuditEntry(*row) for row in rows]
