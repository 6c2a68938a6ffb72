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
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import trio

from flower.engine.store.connection import Connection
from flower.engine.store.sqlite.connection import connect, in_transaction, open_reader, translated
from flower.engine.store.transactions import Inline, OneThread, with_alongside
from flower.errors import StoreError
from flower.installation import as_typed

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


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
        return cls(await run(lambda: connect(path, before_migration)), path, run)

    async def read(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Returns ``function(connection, ...)``; raises ``StoreError`` if SQLite refuses."""

        def call() -> T:
            with translated(self._path):
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
            with translated(self._path), contextlib.closing(open_reader(self._path)) as connection:
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

        transaction = with_alongside(
            lambda both: in_transaction(self._connection, both),
            lambda db: function(db, *args, **kwargs),
        )

        def call() -> T:
            with translated(self._path):
                result = transaction()
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

    async def lease(self, story: str, *, opens: bool = True) -> tuple[int, ...]:
        """Nobody else has this file: nothing to be done."""
        return ()

    def leave(self, story: str) -> None:
        """Nobody waits for it."""

    def follow(self, notify: Callable[[str, str], None]) -> None:
        """Nobody else changes anything."""

    async def drain(self) -> None:
        """The stories stay where they are."""

    async def others(self) -> tuple[str, ...]:
        """None: a file has one engine."""
        return ()

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
