"""Files as they came from other programs, as functions over a connection; each content once.

Every function that writes expects to run inside ``Database.write``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


class Original(Struct, frozen=True):
    """A file's row without its content. ``kind`` is what a person reads."""

    id: int
    name: str
    kind: str
    imported: float


def digest(data: bytes) -> bytes:
    """Returns what tells contents apart."""
    return hashlib.sha256(data).digest()


def find(db: Connection, hash_: bytes) -> Original | None:
    """Returns the file with this content, if it is here already and something of it is still in use."""
    row = db.execute(
        "SELECT id, name, kind, imported FROM originals WHERE hash = ?", (hash_,)
    ).fetchone()
    return Original(*row) if row else None


def keep(
    db: Connection, data: bytes, hash_: bytes, name: str, kind: str, now: float, user: int = 0
) -> int:
    """Stores a file as it is; returns its id, the one it has if its content is here already.

    What a user brings gives no new name to what others may have brought.
    """
    if user and (stored := find(db, hash_)) is not None:
        return stored.id
    db.execute(
        "INSERT INTO originals (hash, name, kind, imported, data) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (hash) DO UPDATE SET name = excluded.name, imported = excluded.imported",
        (hash_, name, kind, now, data),
    )
    (number,) = db.execute("SELECT id FROM originals WHERE hash = ?", (hash_,)).fetchone()
    return int(number)


def data(db: Connection, number: int) -> tuple[str, bytes] | None:
    """Returns a file's name and content."""
    row = db.execute("SELECT name, data FROM originals WHERE id = ?", (number,)).fetchone()
    return (row[0], row[1]) if row else None


def of_kind(db: Connection, kind: str, most: int) -> list[tuple[str, bytes]]:
    """Returns name and content of the newest files of a kind."""
    rows = db.execute(
        "SELECT name, data FROM originals WHERE kind = ? ORDER BY id DESC LIMIT ?", (kind, most)
    )
    return [(name, data) for name, data in rows]


_USED_BY = (
    "SELECT original FROM characters WHERE original = :id AND owner = :user",
    "SELECT original FROM books WHERE original = :id AND owner = :user",
    "SELECT original FROM personas WHERE original = :id AND owner = :user",
    "SELECT c.original FROM chat_files c JOIN sessions s ON s.id = c.session_id"
    " WHERE c.original = :id AND s.deleted IS NULL AND s.owner = :user",
)
_USED_BY_HOME = (
    *_USED_BY,
    "SELECT original FROM scripts WHERE original = :id AND character_id NOT LIKE '%~%'",
)
_ALWAYS = ("SillyTavern quick replies", "SillyTavern group")  # nothing else keeps such files


def in_use(db: Connection, original: Original, user: int = 0) -> bool:
    """Whether something of somebody's that came from a file is still here, outside the trash."""
    if original.kind in _ALWAYS and not user:
        return True
    used = " UNION ALL ".join(_USED_BY if user else _USED_BY_HOME) + " LIMIT 1"
    row = db.execute(used, {"id": original.id, "user": user}).fetchone()
    return row is not None


def drop_unused(db: Connection, but: int) -> None:
    """Deletes the files that nothing has come from any more, all of them but one."""
    db.execute(
        """
        DELETE FROM originals WHERE id != ? AND kind NOT IN (?, ?) AND id NOT IN (
            SELECT original FROM characters WHERE original IS NOT NULL
            UNION SELECT original FROM books WHERE original IS NOT NULL
            UNION SELECT original FROM personas WHERE original IS NOT NULL
            UNION SELECT original FROM scripts WHERE original IS NOT NULL
            UNION SELECT original FROM chat_files
        )
        """,
        (but, *_ALWAYS),
    )
