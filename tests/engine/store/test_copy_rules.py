"""Small rules of copying between databases, one by one: pages, numbers that go on, and what counts as the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flower.engine.store import stories, users
from flower.engine.store.connection import Connection
from flower.engine.store.transfer import copying
from flower.errors import StoreError
from tests.engine.store.test_tree import S
from tests.stores import connected


class Direct:
    """A store that asks its connection on the spot."""

    def __init__(self, db: Connection) -> None:
        self.db = db

    async def read(self, function: Any, *args: Any) -> Any:
        return function(self.db, *args)

    async def write(self, function: Any, *args: Any) -> Any:
        return function(self.db, *args)


@pytest.fixture
def source() -> Iterator[Any]:
    """A home with a story of five messages, its last at the second of them, and two users."""
    with connected("sqlite") as db:
        stories.create_session(db, S, "harbour", "mara", "Hel\0lo.", 1.0)
        for number in range(1, 5):
            stories.append(db, S, number, "user", f"text {number}", "complete", now=1.0)
        db.execute("UPDATE sessions SET active_leaf = 2")
        for name in ("olaf", "brand"):
            users.add(db, name, 1.0)
        yield Direct(db)


@pytest.fixture
def target() -> Iterator[Any]:
    with connected("sqlite") as db:
        yield Direct(db)


@pytest.fixture
def messages() -> copying.Table:
    return copying.Table("messages", "id", paged=True, page=2)


def count(store: Any, table: str) -> int:
    return int(store.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


async def test_everything_is_copied_once_and_said(source: Any, target: Any) -> None:
    said: list[str] = []
    target.db.execute("PRAGMA foreign_keys = OFF")
    copied = await copying.copy(source, target, said.append)
    assert said == [f"{table.name}: copied" for table in copying.TABLES]
    rows = {name: number for name, number in copied.rows.items() if number}
    assert rows == {"sessions": 1, "messages": 5, "users": 2}
    assert set(copied.rows) == {table.name for table in copying.TABLES}
    assert (
        await copying.copy(source, target, said.append) == copied
    )  # goes on where it was, with nothing
    row = target.db.execute("SELECT active_leaf FROM sessions").fetchone()
    assert row == (2,)
    text = target.db.execute("SELECT content FROM messages WHERE id = 1").fetchone()
    assert text == ("Hel\N{REPLACEMENT CHARACTER}lo.",)


async def test_a_copy_goes_on_behind_the_last_row_that_is_there(
    source: Any, target: Any, messages: copying.Table
) -> None:
    target.db.execute("PRAGMA foreign_keys = OFF")
    page = copying._page(source.db, messages, None)
    assert [row[0] for row in page] == [1, 2]
    assert [row[0] for row in copying._page(source.db, messages, (2,))] == [3, 4]
    assert copying._page(source.db, messages, (5,)) == []
    copying._insert(target.db, messages, page)
    assert copying._last(target.db, messages) == (2,)
    await copying._copy_table(source, target, messages)
    assert count(target, "messages") == 5
    assert copying._key_of(messages, page[1]) == (2,)


async def test_rows_are_counted_and_compared_page_by_page(
    source: Any, target: Any, messages: copying.Table
) -> None:
    target.db.execute("PRAGMA foreign_keys = OFF")
    await copying._copy_table(source, target, messages)
    number, digest = await copying._hashed(source, messages)
    assert (number, digest) == await copying._hashed(target, messages)
    assert number == 5
    target.db.execute("UPDATE messages SET content = 'other' WHERE id = 4")
    assert (await copying._hashed(target, messages))[1] != digest
    whole = copying.Table("messages", "id")
    assert (await copying._hashed(source, whole))[0] == 5
    assert await copying._hashed(source, whole) != await copying._hashed(target, whole)
    with pytest.raises(StoreError, match="sessions has 1 rows here and 0 there"):
        await copying.compare(source, target)


async def test_a_short_table_is_copied_where_there_is_nothing_of_it(source: Any, target: Any) -> None:
    table = copying.Table("users", "id")
    await copying._copy_table(source, target, table)
    await copying._copy_table(source, target, table)
    assert count(target, "users") == 2


def test_a_copy_begins_in_an_empty_database_or_goes_on_with_its_own(target: Any) -> None:
    assert copying.is_empty(target.db)
    target.db.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT)")
    copying.begin(target.db, "mine")
    users.add(target.db, "olaf", 1.0)
    assert not copying.is_empty(target.db)
    copying.begin(target.db, "mine")
    for other in ("a", "z"):
        with pytest.raises(StoreError, match="an unfinished copy of mine"):
            copying.begin(target.db, other)
    copying.end(target.db)
    with pytest.raises(StoreError, match="there are stories in that database already"):
        copying.begin(target.db, "mine")


def test_numbers_go_on_behind_those_of_rows_that_are_gone(source: Any, target: Any) -> None:
    users.add(source.db, "tove", 1.0)
    source.db.execute("DELETE FROM users WHERE name = 'tove'")
    numbers = copying.counted(source.db)
    assert (numbers["users"], numbers["messages"], numbers["books"]) == (3, 5, 0)
    assert set(numbers) == {*copying.NUMBERED, "originals", "books", "personas", "scripts"}
    copying.go_on_counting(target.db, numbers)
    assert users.add(target.db, "ulf", 1.0) == 4
