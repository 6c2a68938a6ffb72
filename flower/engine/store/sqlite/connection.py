"""The connections behind a database: how its file is opened and migrated, and what SQLite's errors mean.

Knows no thread and no transaction of anybody's; ``database`` says when which connection is used.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from flower import file_io, limits
from flower.engine.store import paths, schema
from flower.errors import StoreError
from flower.installation import as_typed

P = ParamSpec("P")
T = TypeVar("T")

# The log is folded into the database at about 4 MiB; pages that change often are written once
WAL_PAGES = 4000
# Larger databases keep the pages they were made with: rewriting takes too long
CONVERTED_BYTES = 32 * limits.MIB


class translated:  # noqa: N801 - reads as the phrase `with translated(path)`
    """Turns every SQLite error into one sentence about the database at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise StoreError(_sentence(error, self._path)) from error


def _sentence(error: sqlite3.Error, path: Path) -> str:
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith("SQLITE_FULL"):
        return f"not saved: the disk with {path} is full; free some space and try again"
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM")):
        return f"not saved: {path} is read-only; check its permissions and the disk"
    if code.startswith("SQLITE_IOERR"):
        return (
            f"not saved: the disk with {path} reports an error ({error}); copy the story elsewhere soon"
        )
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return as_typed(
            f"{path} is damaged ({error}); stop the engine, then `flower check` mends what can be mended"
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{path} is locked by another program; close it and try again"
    if code.startswith("SQLITE_CANTOPEN"):
        return f"{path} cannot be opened ({error}); check that its folder exists and is yours"
    return f"the database {path} refused: {error}"


def open_reader(path: Path) -> sqlite3.Connection:
    """Returns a connection that cannot write and sees one state of the database: a transaction is open in it."""
    uri = f"file:{quote(str(path))}?mode=ro"
    connection = sqlite3.connect(
        uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("BEGIN")
    except BaseException:
        connection.close()
        raise
    return connection


class StoryConnection(sqlite3.Connection):
    """The connection of an engine: it alone writes, so that it may keep in memory how stories lie."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.paths = paths.Paths()


def connect(path: Path, before_migration: Callable[[int], None]) -> sqlite3.Connection:
    """Opens a database, or makes one, with the current schema. Raises ``StoreError``."""
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} cannot be opened: {file_io.IRREGULAR}; move it away")
    with translated(path):
        connection = sqlite3.connect(
            path,
            timeout=5.0,  # a backup tool may hold the lock for a moment
            isolation_level=None,  # transactions are ours alone
            check_same_thread=False,  # one thread at a time, but not always the same one
            cached_statements=256,
            factory=StoryConnection,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")  # the player's words survive a power cut
            connection.execute(f"PRAGMA page_size = {limits.PAGE_BYTES}")  # of a new database
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -2000")  # KiB: a Pi has better uses for memory
            migrate(connection, before_migration)
            _convert_pages(connection)
            connection.execute("PRAGMA temp_store = MEMORY")  # only now: converting copies everything
        except BaseException:
            connection.close()
            raise
        return connection


def migrate(
    connection: sqlite3.Connection, before_migration: Callable[[int], None] = lambda _: None
) -> None:
    """Brings the schema up to date, one transaction per step; raises ``StoreError`` if it is newer."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    newest = len(schema.MIGRATIONS)
    if version > newest:
        raise StoreError(
            f"the database was made by a newer Flower (schema {version}, this one knows {newest}); update Flower"
        )
    if 0 < version < newest:
        before_migration(version)
    for number, script in enumerate(schema.MIGRATIONS[version:], start=version + 1):
        in_transaction(connection, _run_script, script, number)


def _convert_pages(connection: sqlite3.Connection) -> None:
    """Rewrites a database of larger pages, unless that would take long; it is whole at every moment."""
    (size,), (pages,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "page_count")
    )
    if size == limits.PAGE_BYTES or size * pages > CONVERTED_BYTES:
        return
    # The disk is too full, another program reads, a page is damaged: the database goes on as it is.
    with contextlib.suppress(sqlite3.DatabaseError):
        try:
            connection.execute("PRAGMA journal_mode = DELETE")  # the log would keep the old size
            connection.execute(f"PRAGMA page_size = {limits.PAGE_BYTES}")
            connection.execute("VACUUM")
        finally:
            connection.execute("PRAGMA journal_mode = WAL")


def _run_script(connection: sqlite3.Connection, script: str, number: int) -> None:
    for statement in schema.statements(script):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {number}")


def in_transaction(
    connection: sqlite3.Connection,
    function: Callable[Concatenate[sqlite3.Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Returns what a function does in a transaction, which is rolled back when that raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = function(connection, *args, **kwargs)
        connection.execute("COMMIT")
    except BaseException:
        paths.forgotten(connection)
        if connection.in_transaction:  # SQLite rolls back by itself on some errors
            connection.execute("ROLLBACK")
        raise
    return result
