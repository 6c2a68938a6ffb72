"""A reply while it grows: its new text is appended, and made one with the rest when it ends.

Rewriting the whole text twice a second would wear out an SD card, so a flush writes a row with only what
is new. ``content`` of a message whose status is ``streaming`` is the text it was opened with: nothing, or
what ``/continue`` goes on from. Whoever reads messages takes ``text_of`` for their text.

Functions over a connection that expect to run inside ``Database.write``. Owns the table ``growth``, in
which no row outlives the growing of its reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

# ruff: noqa: S608 - only constants are put into statements, values never


AT_BITS = 20  # of a place: more than any reply has characters, see the schema


def text_of(message: str) -> str:
    """Returns the SQL expression for the whole text of a message; ``message`` is its table's name there."""
    grown = f"SELECT text FROM growth WHERE {_parts_of(f'{message}.id')} ORDER BY place"
    return (
        f"CASE {message}.status WHEN 'streaming'"
        f" THEN {message}.content || coalesce((SELECT group_concat(text, '') FROM ({grown}) AS parts), '')"
        f" ELSE {message}.content END"
    )


def _parts_of(message_id: str) -> str:
    """Returns the SQL condition for the rows of a message, whose id an expression gives."""
    return f"place BETWEEN {message_id} << {AT_BITS} AND ({message_id} << {AT_BITS}) + {(1 << AT_BITS) - 1}"


def append(db: Connection, message_id: int, at: int, text: str, model: str) -> None:
    """Adds text to a growing reply. ``at``: how many characters of it there are before.

    Text that was added at this place before is replaced: a disk may fail after it has written.
    """
    if text:
        # Message and offset in one integer key: parts are in order, and what was flushed twice has one row.
        place = (message_id << AT_BITS) + at
        db.execute(
            "INSERT INTO growth VALUES (?, ?) ON CONFLICT (place) DO UPDATE SET text = excluded.text",
            (place, text),
        )
    # Another model answers when the chosen one fails; the row is written only then.
    db.execute("UPDATE messages SET model = ? WHERE id = ? AND model != ?", (model, message_id, model))


def withdraw(db: Connection, message_id: int, at: int) -> None:
    """Takes back what a growing reply was given from its character ``at`` on."""
    first, last = (message_id << AT_BITS) + at, (message_id << AT_BITS) + (1 << AT_BITS) - 1
    # The part that begins before ``at`` and may reach over it is cut; all that begin later go.
    db.execute(
        "UPDATE growth SET text = substr(text, 1, :first - place) WHERE place = ("
        " SELECT max(place) FROM growth WHERE place >= :begin AND place < :first)",
        {"first": first, "begin": message_id << AT_BITS},
    )
    db.execute("DELETE FROM growth WHERE place BETWEEN ? AND ?", (first, last))


def end(
    db: Connection,
    message_id: int,
    content: str,
    status: str,
    usage: Mapping[str, Any] | None = None,
    model: str | None = None,
) -> None:
    """Writes the whole text of a reply that has ended."""
    db.execute(f"DELETE FROM growth WHERE {_parts_of(':id')}", {"id": message_id})
    db.execute(
        "UPDATE messages SET content = ?, status = ?, usage = coalesce(?, usage), model = coalesce(?, model)"
        " WHERE id = ?",
        (content, status, json.dumps(usage) if usage is not None else None, model, message_id),
    )


def reopen(db: Connection, message_id: int) -> None:
    """Lets a reply that has ended grow again."""
    db.execute("UPDATE messages SET status = 'streaming' WHERE id = ?", (message_id,))


def recover(db: Connection) -> int:
    """Ends the replies that a dead engine left growing, with all that was flushed; returns how many."""
    ended = db.execute(
        f"UPDATE messages SET content = {text_of('messages')}, status = 'interrupted'"
        " WHERE status = 'streaming'"
    ).rowcount
    db.execute("DELETE FROM growth")
    return ended


def recover_story(db: Connection, session_id: str) -> tuple[int, ...]:
    """As ``recover``, for one story; returns the replies that were ended."""
    replies = db.execute(
        f"SELECT m.id, {text_of('m')} FROM messages m WHERE m.session_id = ? AND m.status = 'streaming'",
        (session_id,),
    ).fetchall()
    for message_id, text in replies:
        end(db, message_id, text, "interrupted")
    return tuple(message_id for message_id, _ in replies)
