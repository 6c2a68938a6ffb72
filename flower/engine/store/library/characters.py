"""Imported characters, as functions over a connection.

A character is kept packed; the card it came from is its original. Every function that writes expects to
run inside ``Database.write``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from flower import limits
from flower.engine.assets.kinds import Character
from flower.engine.assets.shelves import Brief, brief_of, owned
from flower.engine.store.library import scripts
from flower.engine.store.packing import pack, unpack
from flower.errors import StoreError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

_NOT_ID = re.compile(r"[^a-z0-9]+")
NO_LATIN = "character"  # the id of a name without a letter that ids may have
_UNIQUE_CHARS = 8
_AFTER_IDS = "~~"  # sorts behind whatever an id has


class Stored(Struct, frozen=True):
    """An imported character as it is in memory: what lists show, and the rest packed."""

    brief: Brief
    packed: bytes


class Source(Struct, frozen=True):
    """Where a card was: the name of its file, the file itself, the card's number in it, its linked book."""

    file: str
    original: int
    place: int = 0
    linked_book: str = ""


def unpacked(packed: bytes) -> Character:
    """Returns the character. Raises ``StoreError`` if it is damaged."""
    return unpack(packed, Character)


def id_of(name: str) -> str:
    """Returns what commands may call somebody of this name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    short = _NOT_ID.sub("-", plain).strip("-")[: limits.ID_CHARS - _UNIQUE_CHARS].strip("-")
    return short or NO_LATIN


def free_id(db: Connection, name: str, in_use: Container[str], owner: int = 0) -> str:
    """Returns an id for somebody's new character that neither an imported one has nor is in ``in_use``."""
    id_ = id_of(name)
    rows = db.execute("SELECT id FROM characters WHERE id >= ? AND id < ?", (id_, f"{id_}{_AFTER_IDS}"))
    used = {row[0] for row in rows}
    number, free = 1, owned(id_, owner)
    while free in used or free in in_use:
        number += 1
        free = owned(f"{id_}-{number}", owner)
    return free


def earlier(db: Connection, new: Character, file: str, owner: int = 0) -> Character | None:
    """Returns the owner's character of whom ``new`` is another version, None if it is somebody new.

    Names alone say little, so one more thing must agree: the creator, the file's name, or the greeting or
    the description word for word.
    """
    rows = db.execute(
        "SELECT file, packed FROM characters WHERE name = ? AND owner = ? ORDER BY updated DESC LIMIT 50",
        (new.name, owner),
    )
    for old_file, packed in rows:
        old = unpacked(packed)
        if old.creator != new.creator and old.creator and new.creator:
            continue
        same = (
            (old.creator and old.creator == new.creator)
            or (file and old_file.casefold() == file.casefold())
            or (new.greeting and old.greeting == new.greeting)
            or (new.persona and old.persona == new.persona)
        )
        if same:
            return old
    return None


def put(db: Connection, character: Character, source: Source, now: float, owner: int = 0) -> Stored:
    """Stores somebody's character under its id, in the place of what was there."""
    packed = pack(character)
    db.execute(
        "INSERT INTO characters"
        " (id, name, creator, file, linked_book, original, place, updated, packed, owner)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
        " creator = excluded.creator, file = excluded.file, linked_book = excluded.linked_book,"
        " original = excluded.original, place = excluded.place, updated = excluded.updated,"
        " packed = excluded.packed",
        (
            character.id,
            character.name,
            character.creator,
            source.file,
            source.linked_book,
            source.original,
            source.place,
            now,
            packed,
            owner,
        ),
    )
    return Stored(brief_of(character), packed)


def everybody(db: Connection, owner: int = 0) -> Iterator[Stored]:
    """Yields all imported characters of somebody by name; a damaged one is left out."""
    for (packed,) in db.execute(
        "SELECT packed FROM characters WHERE owner = ? ORDER BY name, id", (owner,)
    ):
        try:
            brief = brief_of(unpacked(packed))
        except StoreError:  # one card is missing, and everybody can come in
            continue
        yield Stored(brief, packed)


def one(db: Connection, character_id: str) -> Character | None:
    """Returns an imported character of the home, None if it has none of that id. Raises ``StoreError``."""
    row = db.execute(
        "SELECT packed FROM characters WHERE id = ? AND owner = 0", (character_id,)
    ).fetchone()
    return unpacked(row[0]) if row else None


def named(db: Connection, name: str, owner: int = 0) -> str:
    """Returns the id of the imported character of that name, or of that file; "" for none.

    One of the owner's own comes before one of the home's.
    """
    row = db.execute(
        "SELECT id FROM characters WHERE (name = :name OR file = :name) AND owner IN (0, :owner)"
        " ORDER BY owner DESC, file = :name DESC, updated DESC LIMIT 1",
        {"name": name, "owner": owner},
    ).fetchone()
    return row[0] if row else ""


def file_of(db: Connection, character_id: str) -> str:
    """Returns what the file of an imported character was called, without its ending; "" for none."""
    row = db.execute("SELECT file FROM characters WHERE id = ?", (character_id,)).fetchone()
    return row[0] if row else ""


def with_book(db: Connection, book_file: str, owner: int = 0) -> list[str]:
    """Returns the ids of somebody's characters whose cards point to a lorebook of this name."""
    rows = db.execute(
        "SELECT id FROM characters WHERE linked_book = ? AND linked_book != '' AND owner = ?",
        (book_file, owner),
    )
    return [row[0] for row in rows]


def remove(db: Connection, character_id: str) -> bool:
    """Deletes an imported character; returns whether there was one."""
    db.execute("DELETE FROM book_owners WHERE kind = 'character' AND owner = ?", (character_id,))
    scripts.remove_of_character(db, character_id)
    return db.execute("DELETE FROM characters WHERE id = ?", (character_id,)).rowcount > 0


def source(db: Connection, character_id: str) -> tuple[str, bytes, int] | None:
    """Returns the file a character came from: its name, its content, and the card's number in it."""
    row = db.execute(
        "SELECT c.file, o.data, c.place FROM characters c JOIN originals o ON o.id = c.original"
        " WHERE c.id = ?",
        (character_id,),
    ).fetchone()
    return (row[0], row[1], row[2]) if row else None


def notes_to_show(db: Connection, character_id: str) -> str:
    """Returns the author's notes the first time they are asked for, "" ever after."""
    row = db.execute(
        "SELECT packed FROM characters WHERE id = ? AND notes_shown = 0", (character_id,)
    ).fetchone()
    if row is None:
        return ""
    db.execute("UPDATE characters SET notes_shown = 1 WHERE id = ?", (character_id,))
    return unpacked(row[0]).notes
