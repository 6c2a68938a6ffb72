"""The two databases that stories can be in, for tests that hold for both."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from flower.engine.store.connection import Connection, Store
from flower.engine.store.paths import Paths
from flower.engine.store.sqlite.connection import StoryConnection, connect, migrate
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline, OneThread
from tests import postgres_cluster
from tests.postgres_cluster import Cluster

KINDS = ["sqlite", pytest.param("postgres", marks=postgres_cluster.needed)]
TEMPLATE = "flower_template"
_numbers = itertools.count(1)


@cache
def empty_file() -> bytes:
    """Returns the file of a database without stories: making one takes ten times as long as copying it."""
    with tempfile.TemporaryDirectory(prefix="flower-empty-") as folder:
        path = Path(folder, "flower.db")
        connect(path, lambda _: None).close()
        return path.read_bytes()


@cache
def _in_memory() -> bytes:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        return connection.serialize()


@cache
def cluster() -> Cluster:
    """The one server of this run; ``conftest`` ends it."""
    made = Cluster()
    made.make()
    made.sql(f"CREATE DATABASE {TEMPLATE}")
    from flower.engine.store.postgres import definitions, upgrade
    from flower.engine.store.postgres.connection import connect

    raw = connect(made.url(TEMPLATE), {"search_path": definitions.SCHEMA})
    upgrade.bring_up_to_date(raw)
    raw.close()
    return made


def end() -> None:
    """Ends the server if one was started."""
    if cluster.cache_info().currsize:
        _shared().raw.close()
        cluster().remove()


def new_url() -> str:
    """Returns the URL of a database without stories."""
    name = f"flower_{next(_numbers)}"
    cluster().sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return cluster().url(name)


@cache
def _shared() -> Any:
    from flower.engine.store.postgres import definitions
    from flower.engine.store.postgres.connection import PostgresConnection, connect

    return PostgresConnection(connect(new_url(), definitions.SETTINGS))


@contextlib.contextmanager
def connected(kind: str) -> Iterator[Connection]:
    """A connection to a database without stories, of which nothing stays."""
    if kind == "sqlite":
        connection = sqlite3.connect(":memory:", isolation_level=None, factory=StoryConnection)
        connection.deserialize(_in_memory())
        connection.execute("PRAGMA foreign_keys = ON")
        with contextlib.closing(connection):
            yield connection
        return
    from flower.engine.store.postgres import dialect
    from flower.engine.store.postgres.search_index import SearchIndex

    db = _shared()
    db.raw.execute("BEGIN")
    for table in sorted(dialect.NUMBERED):
        db.raw.execute(f"ALTER TABLE {table} ALTER COLUMN id RESTART".encode())
    with tempfile.TemporaryDirectory(prefix="flower-words-") as folder:
        index = SearchIndex(Path(folder, "search.db"))
        db.search_index = index.fresh
        db.paths = Paths()
        try:
            yield db
        finally:
            index.close()
            db.raw.execute("ROLLBACK")


def changes(db: Connection) -> object:
    """Returns something that is another after rows were changed."""
    if isinstance(db, sqlite3.Connection):
        return db.total_changes
    columns = "n_tup_ins, n_tup_upd, n_tup_del"
    return db.execute(
        f"SELECT sum({'+'.join(columns.split(', '))}) FROM pg_stat_xact_user_tables"
    ).fetchone()


async def opened(kind: str, path: Path, run: Inline | OneThread | None = None, url: str = "") -> Store:
    """Opens a database; ``url``: that of PostgreSQL, a new one without it."""
    if kind == "sqlite":
        return await Database.open(path, run)
    from flower.engine.store.postgres.database import PostgresDatabase

    return await PostgresDatabase.open(url or new_url(), path, run)
