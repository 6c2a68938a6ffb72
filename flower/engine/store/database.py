"""One SQLite database, one connection, one worker thread; one more of each for what reads long.

Owns the connection and its transactions; knows no table. Functions over a ``sqlite3.Connection``
(``stories``, ``passages``) say what to do, ``read`` and ``write`` run them off the event loop.

A transaction is one call in the thread, never spread over awaits: trio cannot cancel it half way
(a started thread call always finishes), so it is atomic to cancellation. A cancelled caller whose
call had to wait for its turn has written nothing.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

import trio

from flower import limits, regular_file
from flower.command_name import as_typed
from flower.engine.store import paths, schema
from flower.engine.store.connection import Connection
from flower.errors import StoreError

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# The log is folded into the database at about 4 MiB; pages that change often are written once
WAL_PAGES = 4000
# Larger databases keep the pages they were made with: rewriting takes too long
CONVERTED_BYTES = 32 * limits.MIB


class Alongside:
    """A change that goes with the next transaction, whichever it is; ``done`` when that is on disk."""

    def __init__(self, function: Callable[[Connection], None]) -> None:
        self.function = function
        self.done = False
        self.closed = False  # its block has ended; a task that goes on has nothing to do with it

    @property
    def due(self) -> bool:
        """Whether the next transaction has to take it along."""
        return not self.done and not self.closed


_ALONGSIDE: ContextVar[Alongside | None] = ContextVar("alongside", default=None)


@contextlib.contextmanager
def alongside(function: Callable[[Connection], None]) -> Iterator[Alongside]:
    """Lets ``function`` run inside the next transaction that this block writes, or a task it starts.

    What it raises keeps that transaction from happening.
    """
    change = Alongside(function)
    token = _ALONGSIDE.set(change)
    try:
        yield change
    finally:
        change.closed = True
        _ALONGSIDE.reset(token)


def change_alongside() -> Alongside | None:
    """Returns the change that goes with what this task writes next."""
    return _ALONGSIDE.get()


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Keeps what is written in this block from being the change that ``alongside`` waits for."""
    token = _ALONGSIDE.set(None)
    try:
        yield
    finally:
        _ALONGSIDE.reset(token)


class OneThread:
    """Runs calls in a worker thread, one at a time and in order; a started call always finishes."""

    def __init__(self) -> None:
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def __call__(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, limiter=self._one_at_a_time)


class Inline:
    """Runs calls on the spot: for tests on virtual time, which passes while a thread works."""

    async def __call__(self, call: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        return call()


class Database:
    """Runs functions over the one connection, in order, off the event loop."""

    shared = False

    def __init__(self, connection: sqlite3.Connection, path: Path, run: OneThread | Inline) -> None:
        self._connection = connection
        self._path = path
        self._run = run
        self._run_slow = Inline() if isinstance(run, Inline) else OneThread()
        self._identity = _identity(path)
        self._rescued: Path | None = None

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._path

    @classmethod
    async def open(
        cls,
        path: Path,
        run: OneThread | Inline | None = None,
        *,
        before_migration: Callable[[int], None] = lambda _: None,
    ) -> Database:
        """Opens or creates the database and migrates it to the newest schema.

        ``before_migration`` is called with the schema's number when stories are about to be migrated;
        what it raises leaves them as they are. Raises ``StoreError`` if the database cannot be opened,
        is damaged, or was made by a newer Flower.
        """
        run = run if run is not None else OneThread()
        return cls(await run(lambda: _connect(path, before_migration)), path, run)

    async def read(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Returns ``function(connection, ...)``; raises ``StoreError`` if SQLite refuses."""

        def call() -> T:
            with _translated(self._path):
                return function(self._connection, *args, **kwargs)

        return await self._run(call)

    async def read_slowly(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Returns ``function(connection, ...)`` on a connection and a thread that no turn waits for.

        For what reads much: searches, whole stories. It sees everything that has been written, and nothing that is
        written meanwhile. Raises ``StoreError`` if SQLite refuses.
        """

        def call() -> T:
            with _translated(self._path), contextlib.closing(_reader(self._path)) as connection:
                return function(connection, *args, **kwargs)

        return await self._run_slow(call)

    async def write(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Returns ``function(connection, ...)`` run in one transaction, on disk when this returns.

        Whatever ``function`` raises rolls everything back. Raises ``StoreError`` if SQLite refuses, or when
        the file is no longer where the next start will look for it.
        """

        along = _ALONGSIDE.get()

        def both(connection: Connection) -> T:
            if along is not None and not along.done and not along.closed:
                along.function(connection)
            return function(connection, *args, **kwargs)

        def call() -> T:
            with _translated(self._path):
                result = _in_transaction(self._connection, both)
                if along is not None and not along.closed:
                    along.done = True
                self._check_place()
                return result

        return await self._run(call)

    async def write_batched(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As ``write``: a commit to a file is shared with nobody."""
        return await self.write(function, *args, **kwargs)

    def until_flush(self, interval_s: float) -> float:
        """Returns after how many seconds a growing reply is to be written again."""
        return interval_s

    async def lease(self, story: str) -> tuple[int, ...]:
        """Nobody else has this file: nothing to be done."""
        return ()

    def leave(self, story: str) -> None:
        """Nobody waits for it."""

    def follow(self, heard: Callable[[str, str], None]) -> None:
        """Nobody else changes anything."""

    async def drain(self) -> None:
        """The stories stay where they are."""

    async def elsewhere(self) -> str:
        """Returns "": there is no other engine."""
        return ""

    async def check_place(self) -> None:
        """Raises ``StoreError`` when the file is no longer at its path, where words would be lost."""
        await self._run(self._check_place)

    def _check_place(self) -> None:
        """A file that was deleted or exchanged goes on taking rows, and takes them along when we end."""
        if _identity(self._path) == self._identity:
            return
        if self._rescued is None:
            self._rescued = _rescue(self._connection, self._path)
        where = (
            f"everything up to now is kept in {self._rescued}"
            if self._rescued
            else "no copy could be made"
        )
        raise StoreError(
            f"not saved: {self._path} was moved or deleted while the engine runs; {where}. Stop the engine,"
            + as_typed(" put the file back or use `flower restore FILE`, and start again")
        )

    async def aclose(self) -> None:
        """Folds the write-ahead log into the file and closes it."""

        def close() -> None:
            # On a full disk the log stays beside the file and the next start reads it.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA optimize")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()

        with trio.CancelScope(shield=True):
            await self._run(close)


def _identity(path: Path) -> tuple[int, int] | None:
    """Returns what tells one file from another that has its name; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _rescue(connection: sqlite3.Connection, path: Path) -> Path | None:
    """Copies a database whose file is gone from its path; returns where to, None if that fails."""
    folder = path.parent / "backups"
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    target = folder / f"flower-{stamp}-rescued.db"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with contextlib.closing(sqlite3.connect(target)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
    except (OSError, sqlite3.Error):
        log.exception("%s is gone, and no copy could be made", path)
        return None
    return target


class _translated:  # noqa: N801 - reads as the phrase `with _translated(path)`
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


def _reader(path: Path) -> sqlite3.Connection:
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


def _connect(path: Path, before_migration: Callable[[int], None]) -> sqlite3.Connection:
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} cannot be opened: {regular_file.IRREGULAR}; move it away")
    with _translated(path):
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
        _in_transaction(connection, _run_script, script, number)


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


def _in_transaction(
    connection: sqlite3.Connection,
    function: Callable[Concatenate[sqlite3.Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
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
