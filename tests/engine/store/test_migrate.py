"""``flower migrate``: all stories from the home's file to a server and back, row by row the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from flower.engine.admin import transfer
from flower.engine.store import passages, schema, stories, trash
from flower.engine.store.connection import Connection, Store
from flower.engine.store.passages import Chunk
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline
from flower.engine.store.transfer import copying
from flower.errors import StoreError
from flower.home import Home
from tests import postgres_cluster, stores
from tests.engine.store.test_tree import S, say

pytestmark = postgres_cluster.needed


def fill(db: Connection) -> None:
    """Rows of every kind, with what is hard to carry: forks, trash, texts of any sign, numbers that are gone."""
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    for number in range(30):
        say(db, f"Line {number} \u2603 'quoted' \\ ", "Reply\n\twith \U0001f9dc and \u0301.")
    stories.append(db, S, 5, "user", "Another way.", "complete", now=2.0)
    trash.discard(db, S, 20, 3.0)
    stories.create_session(db, "empty", "", "", "", 2.5)
    last = stories.append(db, S, None, "system", "Gone for good.", "complete", now=2.0)
    db.execute("UPDATE sessions SET active_leaf = 5 WHERE id = ?", (S,))
    db.execute("DELETE FROM messages WHERE id = ?", (last,))
    chunks = [Chunk("Places", f"Passage {number}.") for number in range(40)]
    passages.replace_source(db, "lore", "lore:harbour", "world", chunks, digest=b"\0\xff", created=1.0)
    for table in copying.TABLES:
        _one_row(db, table.name)


def _one_row(db: Connection, table: str) -> None:
    """Adds a row to a table that still has none, with something in every column."""
    if db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None:
        return
    with closing(sqlite3.connect(":memory:")) as reference:
        for script in schema.MIGRATIONS:
            for statement in schema.statements(script):
                reference.execute(statement)
        kinds = {row[1]: row[2] for row in reference.execute(f"PRAGMA table_info({table})")}
        pointing = {row[3]: row[2] for row in reference.execute(f"PRAGMA foreign_key_list({table})")}
    values: dict[str, Any] = {}
    for column, kind in kinds.items():
        if column in pointing:
            _one_row(db, pointing[column])
            key = "rowid" if pointing[column] == "originals" else "id"
            values[column] = db.execute(f"SELECT {key} FROM {pointing[column]} LIMIT 1").fetchone()[0]
        elif column == "kind":
            values[column] = {
                "book_owners": "all",
                "persona_owners": "story",
                "favourites": "books",
                "presets": "samplers",
                "own_assets": "worlds",
            }.get(table, "x")
        else:
            values[column] = {"INTEGER": 7, "REAL": 0.1, "BLOB": b"\0\xfe", "TEXT": "Text"}[kind]
    marks = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


@pytest.fixture
def full(home: Home) -> Home:
    trio.run(_filled, home.database)
    return home


async def _filled(path: Path) -> None:
    database = await Database.open(path, Inline())
    await database.write(fill)
    await database.aclose()


async def rows_of(store: Store, table: str) -> list[tuple[Any, ...]]:
    names = ", ".join(copying.columns(table))
    return sorted(
        await store.read(lambda db: db.execute(f"SELECT {names} FROM {table}").fetchall()), key=repr
    )


def all_rows(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    async def read() -> dict[str, list[tuple[Any, ...]]]:
        database = await Database.open(home.database, Inline())
        found = {table.name: await rows_of(database, table.name) for table in copying.TABLES}
        await database.aclose()
        return found

    return trio.run(read)


def test_every_table_is_copied() -> None:
    with stores.connected("sqlite") as db:
        tables = {
            name
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if "_fts" not in name and not name.startswith("sqlite_")
        }
    assert {table.name for table in copying.TABLES} == tables


def test_there_and_back_is_the_same(
    full: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = all_rows(full)
    assert all(before.values()), "every table has a row"
    url = stores.new_url()
    assert transfer.run(full, url) == 0
    assert "2 stories" in capsys.readouterr().out
    with pytest.raises(StoreError, match="not overwritten"):
        transfer.run(full, url)
    full.database.rename(full.database.with_name("before.db"))
    monkeypatch.setenv("FLOWER_STORE", url)
    assert transfer.run(full, transfer.HOME) == 0
    with pytest.raises(StoreError, match="not overwritten"):
        transfer.run(full, transfer.HOME)
    assert all_rows(full) == before
    with closing(sqlite3.connect(full.database)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_numbers_go_on_where_they_were(full: Home) -> None:
    """The number of a message that was deleted for good is given to nobody."""
    with closing(sqlite3.connect(full.database)) as db:
        (last,) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
    url = stores.new_url()
    transfer.run(full, url)

    async def add() -> int:
        store = await stores.opened("postgres", full.database, Inline(), url)
        number = await store.write(stories.append, S, 5, "user", "On.", "complete", now=9.0)
        await store.aclose()
        return number

    assert trio.run(add) == last + 1


@pytest.mark.parametrize("at", [1, 2, 5, 9, 14, 22])
def test_a_copy_that_was_cut_off_goes_on(full: Home, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Whichever step is the last one: what is there stays, and nothing comes twice."""
    monkeypatch.setattr(copying, "TABLES", tuple(_small_pages()))
    url, steps = stores.new_url(), 0
    insert = copying._insert

    def cut_off(db: Connection, table: copying.Table, rows: Any) -> None:
        nonlocal steps
        steps += 1
        insert(db, table, rows)
        if steps == at:
            raise StoreError("cut off")

    monkeypatch.setattr(copying, "_insert", cut_off)
    with pytest.raises(StoreError, match="cut off"):
        transfer.run(full, url)
    monkeypatch.setattr(copying, "_insert", insert)
    assert transfer.run(full, url) == 0


def _small_pages() -> Iterator[copying.Table]:
    for table in copying.TABLES:
        yield copying.Table(table.name, table.key, table.paged, 9)


async def test_a_difference_is_named(tmp_path: Path) -> None:
    """One letter of one text is enough."""
    one, other = (
        await Database.open(tmp_path / "a", Inline()),
        await Database.open(tmp_path / "b", Inline()),
    )
    for store in (one, other):
        await store.write(fill)
    await copying.compare(one, other)
    await other.write(
        lambda db: db.execute("UPDATE messages SET content = content || '.' WHERE id = 7")
    )
    with pytest.raises(StoreError, match="messages"):
        await copying.compare(one, other)
    for store in (one, other):
        await store.aclose()


@pytest.mark.parametrize("target", ["mysql://x", "flower.db", ""])
def test_other_targets_are_refused(full: Home, target: str) -> None:
    with pytest.raises(StoreError, match="--to takes"):
        transfer.run(full, target)
