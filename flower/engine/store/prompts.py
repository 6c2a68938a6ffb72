"""What clients have asked for: prompts that were carried out, and lines that wait for their turn.

A client repeats a prompt when the connection broke before its answer came. The id that it made for the prompt is
stored in the transaction that does what was asked, so the second time is known for what it is. A line that was
accepted while a reply streams is stored before it is acknowledged, and goes when its own reply begins. Functions
over a connection that expect to run inside a transaction.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from msgspec import Struct

from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

REMEMBERED_S = 7 * 24 * 3600.0  # longer than anybody's client waits to send a prompt again


class AlreadyDoneError(CommandError):
    """The prompt was carried out before; nothing has been changed."""


class UnansweredLine(Struct, frozen=True):
    """A line that was accepted and has no reply yet."""

    id: int
    line: str
    request: str | None


def note_request(db: Connection, client: str, request: str, prompt: str, now: float) -> None:
    """Stores that a client's prompt is being carried out. ``now`` is Unix time in seconds.

    Raises ``AlreadyDoneError`` when it was before, ``CommandError`` when its id was another prompt's.
    """
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()
    answered = db.execute(
        "SELECT prompt FROM requests WHERE client = ? AND request = ?", (client, request)
    ).fetchone()
    if answered is not None:
        if answered[0] != digest:
            raise CommandError(
                "This was not carried out: its id was used for another prompt before; send it with an id of its own."
            )
        raise AlreadyDoneError("This was carried out already, before the connection was lost.")
    db.execute("DELETE FROM requests WHERE created < ?", (now - REMEMBERED_S,))
    db.execute(
        "INSERT INTO requests (client, request, prompt, created) VALUES (?, ?, ?, ?)",
        (client, request, digest, now),
    )


def keep_waiting(db: Connection, session_id: str, line: str, request: str | None, now: float) -> int:
    """Stores a line that waits for the running reply; returns its id."""
    row = db.execute(
        "INSERT INTO waiting_lines (session_id, line, request, created) VALUES (?, ?, ?, ?)",
        (session_id, line, request, now),
    )
    assert row.lastrowid is not None
    return row.lastrowid


def waiting(db: Connection, session_id: str) -> list[UnansweredLine]:
    """Returns the lines that wait in a story, the oldest first."""
    rows = db.execute(
        "SELECT id, line, request FROM waiting_lines WHERE session_id = ? ORDER BY id", (session_id,)
    )
    return [UnansweredLine(*row) for row in rows]


def drop_waiting(db: Connection, line_id: int) -> None:
    """Forgets a line whose reply begins."""
    db.execute("DELETE FROM waiting_lines WHERE id = ?", (line_id,))


def give_back(db: Connection, line_id: int, request: str | None) -> None:
    """Forgets a line that got no reply, and that its prompt was carried out: it may be sent again."""
    drop_waiting(db, line_id)
    if request is not None:
        db.execute("DELETE FROM requests WHERE request = ?", (request,))


def drop_all_waiting(db: Connection, session_id: str) -> None:
    """Forgets the lines of a story that is deleted."""
    db.execute("DELETE FROM waiting_lines WHERE session_id = ?", (session_id,))
