"""Imported scripts, as functions over a connection: those of characters, and those for everything.

A script of a card is off until somebody says yes to it, whatever its card says. Every function that writes
expects to run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.scripts.script import Script
from flower.engine.store.packing import pack, unpack

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

_COLUMNS = "id, character_id, is_on, packed"


class StoredScript(Struct, frozen=True):
    """A script's row. ``character_id`` is "" for one that is for everything."""

    id: int
    character_id: str
    is_on: bool
    script: Script


def _stored(row: tuple[int, str, int, bytes]) -> StoredScript:
    return StoredScript(row[0], row[1], bool(row[2]), unpack(row[3], Script))


def put_of_character(
    db: Connection,
    character_id: str,
    scripts: Sequence[Script],
    original: int,
    *,
    allowed: bool,
) -> None:
    """Stores the scripts of a card in the place of those it had; a yes holds for those that are the same."""
    rows = db.execute(
        "SELECT packed FROM scripts WHERE character_id = ? AND is_on = 1", (character_id,)
    ).fetchall()
    agreed = {row[0] for row in rows}
    remove_of_character(db, character_id)
    for place, script in enumerate(scripts):
        packed = pack(script)
        on = packed in agreed or (allowed and not script.off)
        _insert(db, character_id, place, script, packed, on, original)


def put_for_all(db: Connection, script: Script, original: int) -> bool:
    """Stores a script for everything, in the place of the one with its name; returns whether that was there.

    It is on or off as its file says, unless it was switched here.
    """
    row = db.execute(
        "SELECT id FROM scripts WHERE character_id = '' AND name = ?", (script.name,)
    ).fetchone()
    if row is not None:
        db.execute(
            "UPDATE scripts SET packed = ?, original = ? WHERE id = ?", (pack(script), original, row[0])
        )
        return True
    (place,) = db.execute(
        "SELECT coalesce(max(place), -1) + 1 FROM scripts WHERE character_id = ''"
    ).fetchone()
    _insert(db, "", place, script, pack(script), not script.off, original)
    return False


def _insert(
    db: Connection,
    character_id: str,
    place: int,
    script: Script,
    packed: bytes,
    on: bool,
    original: int,
) -> None:
    db.execute(
        "INSERT INTO scripts (character_id, place, name, is_on, original, packed)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (character_id, place, script.name, on, original, packed),
    )


def listed(db: Connection, character_ids: Sequence[str]) -> list[StoredScript]:
    """Returns the scripts for everything, then those of the characters, in the order they are carried out."""
    all_rows = []
    for character_id in dict.fromkeys(["", *character_ids]):
        all_rows += db.execute(
            f"SELECT {_COLUMNS} FROM scripts WHERE character_id = ? ORDER BY place",  # noqa: S608 - constants
            (character_id,),
        ).fetchall()
    return [_stored(row) for row in all_rows]


def holding(db: Connection, character_ids: Sequence[str]) -> tuple[Script, ...]:
    """Returns the scripts that are on, ready to be carried out in this order."""
    return tuple(replace(one.script, off=False) for one in listed(db, character_ids) if one.is_on)


def switch(db: Connection, script_id: int, *, on: bool) -> None:
    """Lets a script act, or keeps it from that."""
    db.execute("UPDATE scripts SET is_on = ? WHERE id = ?", (on, script_id))


def remove_of_character(db: Connection, character_id: str) -> None:
    """Deletes the scripts of a character."""
    db.execute("DELETE FROM scripts WHERE character_id = ? AND character_id != ''", (character_id,))
