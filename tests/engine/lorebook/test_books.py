"""Lorebooks in the database, and to whom they belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from flower.engine.lorebook.book import Book, Entry, Scope
from flower.engine.store.library import books
from flower.engine.store.library.books import Owner
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline
from flower.errors import StoreError

BOOK = Book(
    name="Harbour",
    entries=(Entry(uid="1", keys=("bell",), content="It rings by itself.", source={"x": [1, None]}),),
    source={"extensions": {"a": True}},
)


async def test_a_book_comes_back_as_it_was(tmp_path: Path) -> None:
    """What other programs said beside the entries is kept."""
    database = await Database.open(tmp_path / "flower.db", Inline())
    number = await database.write(books.add, BOOK, 1.0)
    assert await database.read(books.read, number) == BOOK
    await database.aclose()


async def test_books_hold_through_their_owners(tmp_path: Path) -> None:
    """A story has its own books first, and each book once, by the nearest owner."""
    database = await Database.open(tmp_path / "flower.db", Inline())
    first = await database.write(books.add, BOOK, 1.0)
    second = await database.write(books.add, Book(name="Everywhere"), 1.0)
    third = await database.write(books.add, Book(name="Elsewhere"), 1.0)
    for book, owner, owner_id in (
        (first, Owner.CHARACTER, "mara"),
        (first, Owner.ALL, ""),
        (second, Owner.ALL, ""),
        (third, Owner.WORLD, "forest"),
    ):
        await database.write(books.give, book, owner, owner_id)
    found = await database.read(books.holding, story="s", world="harbour", characters=("mara",))
    assert [(one.stored.id, one.scope) for one in found] == [
        (first, Scope.CHARACTER),
        (second, Scope.GLOBAL),
    ]
    assert await database.write(books.take, first, Owner.CHARACTER, "mara")
    assert not await database.write(books.take, first, Owner.CHARACTER, "mara")
    await database.aclose()


async def test_another_text_is_told_by_another_time(tmp_path: Path) -> None:
    """(id, updated) tells a cache that a book has changed, also when the clock has not moved."""
    database = await Database.open(tmp_path / "flower.db", Inline())
    number = await database.write(books.add, BOOK, 1.0)
    before = await database.read(books.listed)
    await database.write(books.replace, number, Book(name="Harbour"), 1.0)
    after = await database.read(books.listed)
    assert before != after
    assert (await database.read(books.read, number)).entries == ()
    await database.write(books.remove, number)
    with pytest.raises(StoreError, match="no lorebook"):
        await database.read(books.read, number)
    await database.aclose()
