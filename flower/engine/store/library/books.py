"""Lorebooks and to whom they belong, as functions over a connection.

A book belongs to any number of owners: a world, a character, a persona (by their ids), a story, or to
everything. Every function that writes expects to run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from flower.engine.lorebook.book import Book, Scope
from flower.engine.store.packing import pack, unpack
from flower.errors import StoreError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


class Owner(StrEnum):
    """What a book may belong to."""

    WORLD = "world"
    CHARACTER = "character"
    PERSONA = "persona"
    STORY = "story"
    ALL = "all"  # everything; the owner's id is ""


SCOPES = {
    Owner.WORLD: Scope.GLOBAL,
    Owner.CHARACTER: Scope.CHARACTER,
    Owner.PERSONA: Scope.PERSONA,
    Owner.STORY: Scope.CHAT,
    Owner.ALL: Scope.GLOBAL,
}


# With the place that its owner has among those that are asked for.
_OF_OWNER = (
    "SELECT ?, b.id, b.name, b.updated, b.owner FROM book_owners o JOIN books b ON b.id = o.book_id"
    " WHERE o.kind = ? AND o.owner = ? AND b.owner IN"
    " (0, coalesce((SELECT owner FROM sessions WHERE id = ?), ?))"
)


class StoredBook(Struct, frozen=True):
    """A book's row. ``updated`` is another one whenever the book is: (id, updated) may key a cache.

    ``library``: the number of whose library it is in, 0 for the home's.
    """

    id: int
    name: str
    updated: float
    library: int = 0


class OwnedBook(Struct, frozen=True):
    """A book that holds in a story, and through whom."""

    stored: StoredBook
    owner: Owner
    owner_id: str

    @property
    def scope(self) -> Scope:
        """Which word the book has among others; see ``lorebook.book.Scope``."""
        return SCOPES[self.owner]


def add(
    db: Connection,
    book: Book,
    now: float,
    *,
    file: str = "",
    original: int | None = None,
    library: int = 0,
) -> int:
    """Stores a book that belongs to nobody yet; returns its id. ``file`` is the name others point to."""
    cursor = db.execute(
        "INSERT INTO books (name, file, original, updated, packed, owner) VALUES (?, ?, ?, ?, ?, ?)",
        (book.name, file or book.name, original, now, pack(book), library),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def replace(
    db: Connection, book_id: int, book: Book, now: float, *, original: int | None = None
) -> None:
    """Stores another text for a book; its owners stay. Without ``original`` it keeps the one it has."""
    db.execute(
        "UPDATE books SET name = ?, updated = max(?, updated + 0.001), packed = ?,"
        " original = coalesce(?, original) WHERE id = ?",
        (book.name, now, pack(book), original, book_id),
    )


def remove(db: Connection, book_id: int) -> None:
    """Deletes a book for everybody."""
    db.execute("DELETE FROM books WHERE id = ?", (book_id,))


def give(db: Connection, book_id: int, owner: Owner, owner_id: str = "") -> None:
    """Lets a book belong to somebody, beside whoever has it already."""
    db.execute(
        "INSERT INTO book_owners (kind, owner, book_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (owner.value, owner_id, book_id),
    )


def take(db: Connection, book_id: int, owner: Owner, owner_id: str = "") -> bool:
    """Lets a book belong to somebody no longer; returns whether it did."""
    cursor = db.execute(
        "DELETE FROM book_owners WHERE book_id = ? AND kind = ? AND owner = ?",
        (book_id, owner.value, owner_id),
    )
    return cursor.rowcount > 0


def read(db: Connection, book_id: int) -> Book:
    """Returns a book. Raises ``StoreError`` if there is none of that id, or it is damaged."""
    row = db.execute("SELECT packed FROM books WHERE id = ?", (book_id,)).fetchone()
    if row is None:
        raise StoreError(f"there is no lorebook {book_id}")
    return unpack(row[0], Book)


def listed(db: Connection, user: int = 0) -> list[StoredBook]:
    """Returns the books that somebody sees, the home's and their own, by name."""
    rows = db.execute(
        "SELECT id, name, updated, owner FROM books WHERE owner IN (0, ?) ORDER BY name, id", (user,)
    )
    return [StoredBook(*row) for row in rows]


def find(db: Connection, book_id: int, user: int = 0) -> StoredBook | None:
    """Returns a book that somebody sees; None when there is none of that id."""
    row = db.execute(
        "SELECT id, name, updated, owner FROM books WHERE id = ? AND owner IN (0, ?)", (book_id, user)
    ).fetchone()
    return StoredBook(*row) if row else None


def of_file(db: Connection, name: str, library: int = 0) -> list[int]:
    """Returns the ids of the books of a library that files of this name brought, or that have this name."""
    rows = db.execute(
        "SELECT id FROM books"
        " WHERE (file = :name OR (name = :name AND substr(file, 1, 5) != 'card:')) AND owner = :library"
        " ORDER BY file = :name DESC, id LIMIT 20",
        {"name": name, "library": library},
    )
    return [row[0] for row in rows]


def owners(db: Connection, book_id: int) -> list[tuple[Owner, str]]:
    """Returns to whom a book belongs."""
    rows = db.execute("SELECT kind, owner FROM book_owners WHERE book_id = ?", (book_id,))
    return [(Owner(kind), owner) for kind, owner in rows]


def original(db: Connection, book_id: int) -> bytes | None:
    """Returns the file a book came from."""
    row = db.execute(
        "SELECT o.data FROM books b JOIN originals o ON o.id = b.original WHERE b.id = ?", (book_id,)
    ).fetchone()
    return row[0] if row else None


def are_owned(db: Connection) -> bool:
    """Returns whether any book belongs to anybody: where none does, none holds in any story."""
    return db.execute("SELECT 1 FROM book_owners WHERE book_id > 0 LIMIT 1").fetchone() is not None


def holding(
    db: Connection,
    *,
    story: str = "",
    world: str = "",
    characters: Sequence[str] = (),
    persona: int | None = None,
    user: int = 0,
) -> list[OwnedBook]:
    """Returns the books that hold in a story, each once: its own first, then those of the persona, of the
    characters, of the world, of everything. ``read`` gives what is in them.

    Books of users hold in their own stories alone; ``user`` is whose it is where there is no story yet.
    """
    owners = [(Owner.STORY, story)] if story else []
    owners += [(Owner.PERSONA, str(persona))] if persona is not None else []
    owners += [(Owner.CHARACTER, character) for character in characters if character]
    owners += [(Owner.WORLD, world)] if world else []
    owners.append((Owner.ALL, ""))
    rows = db.execute(
        " UNION ALL ".join([_OF_OWNER] * len(owners)) + " ORDER BY 1, 3, 2",
        [
            value
            for place, (owner, owner_id) in enumerate(owners)
            for value in (place, owner, owner_id, story, user)
        ],
    )
    books: dict[int, OwnedBook] = {}
    for place, *columns in rows:
        stored = StoredBook(*columns)
        books.setdefault(stored.id, OwnedBook(stored, *owners[place]))
    return list(books.values())
