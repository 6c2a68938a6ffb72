"""Worlds, characters and rules that users wrote for themselves, as functions over a connection. Owns ``own_assets``.

What they imported is in ``characters`` and ``books``, with the number of whose it is. Functions that write expect to
run inside ``Database.write``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flower.engine.assets.kinds import Character, Rule, World
from flower.engine.store.library import characters
from flower.engine.store.library.characters import Stored
from flower.engine.store.packing import pack, unpack
from flower.errors import StoreError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

Asset = World | Character | Rule
KINDS: Mapping[str, type[Asset]] = {"worlds": World, "characters": Character, "rules": Rule}
MOST = 1_000  # of one user: written, imported and books together


class OwnRows(Struct, frozen=True):
    """What one user has: written assets by kind and id, and imported characters."""

    worlds: dict[str, World]
    characters: dict[str, Character]
    rules: dict[str, Rule]
    imported: tuple[Stored, ...] = ()


def put(db: Connection, user: int, kind: str, asset: Asset, now: float) -> None:
    """Stores something a user wrote, in the place of what had its id."""
    db.execute(
        "INSERT INTO own_assets (owner, kind, id, updated, packed) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (owner, kind, id) DO UPDATE SET updated = excluded.updated, packed = excluded.packed",
        (user, kind, asset.id, now, pack(asset)),
    )


def remove(db: Connection, user: int, kind: str, asset_id: str) -> bool:
    """Deletes something a user wrote; returns whether there was such a thing."""
    gone = db.execute(
        "DELETE FROM own_assets WHERE owner = ? AND kind = ? AND id = ?", (user, kind, asset_id)
    )
    return gone.rowcount > 0


def of_user(db: Connection, user: int) -> OwnRows:
    """Returns everything in a user's library but the books, and what is damaged."""
    values: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    rows = db.execute(
        "SELECT kind, id, packed FROM own_assets WHERE owner = ? ORDER BY kind, id LIMIT ?",
        (user, MOST),
    )
    for kind, asset_id, packed in rows:
        with contextlib.suppress(StoreError):
            values[kind][asset_id] = unpack(packed, KINDS[kind])
    return OwnRows(**values, imported=tuple(characters.everybody(db, user)))


def count(db: Connection, user: int) -> int:
    """Returns how many things a user has in their library."""
    (number,) = db.execute(
        "SELECT (SELECT count(*) FROM own_assets WHERE owner = :user)"
        " + (SELECT count(*) FROM characters WHERE owner = :user)"
        " + (SELECT count(*) FROM books WHERE owner = :user)",
        {"user": user},
    ).fetchone()
    return int(number)


def size(db: Connection, user: int) -> int:
    """Returns the bytes of a user's library, the files that it came from included."""
    (packed,) = db.execute(
        "SELECT (SELECT coalesce(sum(length(packed)), 0) FROM own_assets WHERE owner = :user)"
        " + (SELECT coalesce(sum(length(packed)), 0) FROM characters WHERE owner = :user)"
        " + (SELECT coalesce(sum(length(packed)), 0) FROM books WHERE owner = :user)",
        {"user": user},
    ).fetchone()
    (files,) = db.execute(
        "SELECT coalesce(sum(length(o.data)), 0) FROM (SELECT original FROM characters WHERE owner = :user"
        " UNION SELECT original FROM books WHERE owner = :user) mine"
        " CROSS JOIN originals o ON o.id = mine.original",
        {"user": user},
    ).fetchone()
    return int(packed) + int(files)


def remove_all(db: Connection, user: int) -> None:
    """Deletes a user's library, with the lore and scripts of what is in it."""
    for world_id in _ids(db, user, "worlds"):
        _drop_lore(db, f"lore:{world_id}")
        db.execute("DELETE FROM attached_lore WHERE world_id = ?", (world_id,))
    imported = [row[0] for row in db.execute("SELECT id FROM characters WHERE owner = ?", (user,))]
    for character_id in dict.fromkeys([*_ids(db, user, "characters"), *imported]):
        _drop_lore(db, f"lore:cast/{character_id}")
        characters.remove(db, character_id)
    for (number,) in db.execute("SELECT id FROM books WHERE owner = ?", (user,)).fetchall():
        _drop_lore(db, f"lore:book/{number}")
    db.execute("DELETE FROM books WHERE owner = ?", (user,))
    db.execute("DELETE FROM own_assets WHERE owner = ?", (user,))


def _drop_lore(db: Connection, scope: str) -> None:
    db.execute("DELETE FROM passages WHERE scope = ?", (scope,))
    db.execute("DELETE FROM sources WHERE scope = ?", (scope,))


def _ids(db: Connection, user: int, kind: str) -> Iterator[str]:
    rows = db.execute("SELECT id FROM own_assets WHERE owner = ? AND kind = ?", (user, kind)).fetchall()
    yield from (row[0] for row in rows)
