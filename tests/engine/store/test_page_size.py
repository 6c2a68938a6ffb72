"""Small pages: a new database has them, an older one gets them at a start."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flower import limits
from flower.engine.store import schema, stories
from flower.engine.store.sqlite import connection as sqlite_connection
from flower.engine.store.sqlite.database import Database

S = "s"


def old_pages(path: Path) -> None:
    """Makes a database as the first Flower did, with SQLite's own size of pages."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        for statement in schema.statements(schema.MIGRATIONS[0]):
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
        db.execute(
            "INSERT INTO sessions (id, world_id, character_id, created, updated) VALUES ('s', 'w', '', 1, 1)"
        )
        db.execute(
            "INSERT INTO messages (session_id, role, content, status, created)"
            " VALUES ('s', 'user', ?, 'complete', 1)",
            ("word " * 2000,),
        )


def page_bytes(db: sqlite3.Connection) -> int:
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    return int(db.execute("PRAGMA page_size").fetchone()[0])


async def test_a_new_database_has_small_pages_and_a_log_of_many(path: Path) -> None:
    database = await Database.open(path)
    assert await database.read(page_bytes) == limits.PAGE_BYTES
    log = await database.read(lambda db: db.execute("PRAGMA wal_autocheckpoint").fetchone())
    assert log == (sqlite_connection.WAL_PAGES,)
    await database.aclose()


async def test_an_older_database_gets_small_pages(path: Path) -> None:
    old_pages(path)
    database = await Database.open(path)
    assert await database.read(page_bytes) == limits.PAGE_BYTES
    (found,) = await database.read(stories.tree, S)
    assert found.content == "word " * 2000
    await database.aclose()


async def test_pages_stay_as_they_are_where_changing_them_takes_long_or_fails(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large database, and one that another program is reading."""
    old_pages(path)
    other = tmp_path / "other.db"
    shutil.copy(path, other)
    with closing(sqlite3.connect(other, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM messages").fetchall()
        database = await Database.open(other)
        assert await database.read(page_bytes) != limits.PAGE_BYTES
        assert len(await database.read(stories.tree, S)) == 1
        reader.execute("COMMIT")
        await database.aclose()
    database = await Database.open(other)
    assert await database.read(page_bytes) == limits.PAGE_BYTES, "the next start does it"
    await database.aclose()
    monkeypatch.setattr(sqlite_connection, "CONVERTED_BYTES", 1000)
    database = await Database.open(path)
    assert await database.read(page_bytes) != limits.PAGE_BYTES
    await database.aclose()
