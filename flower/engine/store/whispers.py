"""What two at a table said to each other alone, as functions over a connection.

Kept apart from the messages of the story: so no page, tree, search, export, memory or summary can tell it to anybody
else. Only the narrator reads it beside the two, at its place in the story. Functions that write expect to run inside
``Database.write``.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from msgspec import Struct

from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

WHISPERS = 10_000  # of one story


class Whisper(Struct, frozen=True):
    """One whisper. ``message``: after which message of the story; ``one`` and ``other`` are users."""

    message: int
    one: int
    other: int
    text: str


def add(
    db: Connection, session_id: str, message: int, one: int, other: int, text: str, now: float
) -> None:
    """Stores what one whispered to the other. Raises ``CommandError`` when a story has too many."""
    (count,) = db.execute(
        "SELECT count(*) FROM whispers WHERE session_id = ?", (session_id,)
    ).fetchone()
    if count >= WHISPERS:
        raise CommandError(f"There are {WHISPERS} whispers in this story, the most there can be.")
    db.execute(
        "INSERT INTO whispers (session_id, message_id, one, other, text, created) VALUES (?, ?, ?, ?, ?, ?)",
        (session_id, message, one, other, text, now),
    )


def between(db: Connection, session_id: str, user: int, most: int) -> list[Whisper]:
    """Returns the last whispers of a story that a user said or heard, the oldest first."""
    rows = db.execute(
        "SELECT message_id, one, other, text FROM whispers"
        " WHERE session_id = ? AND (one = ? OR other = ?) ORDER BY id DESC LIMIT ?",
        (session_id, user, user, most),
    ).fetchall()
    return [Whisper(*row) for row in rows][::-1]


def after(db: Connection, messages: Collection[int]) -> dict[int, list[Whisper]]:
    """Returns all whispers that were said after these messages, for the narrator alone."""
    rows = db.execute(
        "SELECT w.message_id, w.one, w.other, w.text FROM json_each(?) j"
        " CROSS JOIN whispers w ON w.message_id = j.value ORDER BY w.id",
        (json.dumps(sorted(messages)),),
    )
    whispers: dict[int, list[Whisper]] = {}
    for row in rows:
        whisper = Whisper(*row)
        whispers.setdefault(whisper.message, []).append(whisper)
    return whispers


def has_others(db: Connection, session_id: str, user: int) -> bool:
    """Whether there are whispers in a story that a user neither said nor heard."""
    first = db.execute(
        "SELECT 1 FROM whispers WHERE session_id = ? AND one != ? AND other != ? LIMIT 1",
        (session_id, user, user),
    ).fetchone()
    return first is not None
