"""The stories in PostgreSQL: one connection that writes, one that reads long, what happens when the server is away.

Keeps the promises of ``store.database``: transactions in the order in which they were asked for, each one call in a
worker thread, on disk at the server when ``write`` returns. What an error means is decided by its kind: what another
transaction was in the way of is done once more, a lost connection is made anew, and a commit whose answer was lost is
looked up by its transaction's number, so that nothing is done twice.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
import trio
from psycopg.pq import ConnStatus, ExecStatus

from flower.engine.store import paths
from flower.engine.store.connection import Connection
from flower.engine.store.database import Inline, OneThread, change_alongside
from flower.engine.store.postgres import definitions, errors, lease, upgrade
from flower.engine.store.postgres.connection import PostgresConnection, connect
from flower.engine.store.postgres.errors import Failure
from flower.engine.store.postgres.search_index import SearchIndex
from flower.errors import StoreError

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

TRIES = 4  # of a transaction that others are in the way of
AGAIN_S = 0.02  # before the second try, then twice as long each time
AWAY_S = 0.5  # a server that did not answer is not asked again for so long
UNSURE_S = 2.0  # to learn what became of a commit whose answer was lost
FLUSH_S = 0.5  # the growing replies of one engine are written together, so often
GATHER_S = 0.005  # between the first reply of a batch and its transaction

LEASE_POLL_S = 0.5  # while an engine that may have died has the lease

Write = Callable[[Connection], Any]


class _UnsureError(Exception):
    """The connection was lost after COMMIT had been sent."""


class _Job:
    """One of the writes of a batch, and what became of it."""

    def __init__(self, function: Write) -> None:
        self.function = function
        self.result: Any = None
        self.error: Exception | None = None


class _Batch:
    """Writes that share a transaction."""

    def __init__(self) -> None:
        self.jobs: list[_Job] = []
        self.done = trio.Event()


class PostgresDatabase:
    """Runs functions over connections to a server, in order, off the event loop.

    ``path`` is where the home's own database would be.
    """

    def __init__(self, url: str, path: Path, run: OneThread | Inline) -> None:
        self._url = url
        self._path = path
        self._run = run
        self._run_slow = Inline() if isinstance(run, Inline) else OneThread()
        self._link: PostgresConnection | None = None
        self._slow_link: PostgresConnection | None = None
        self._away_until = 0.0
        self._batch: _Batch | None = None
        self._index = SearchIndex(path.with_name("index") / "search.db")
        self._epoch = 0
        self.commits = 0

    @property
    def path(self) -> Path:
        """Where the home's own database would be."""
        return self._path

    @classmethod
    async def open(
        cls, url: str, path: Path, run: OneThread | Inline | None = None
    ) -> PostgresDatabase:
        """Connects, brings the schema up to date and becomes the engine that writes.

        Waits for an engine that may have died. Raises ``StoreError``, also when another one is alive.
        """
        database = cls(url, path, run if run is not None else OneThread())
        await database._run(database._begin)
        end = trio.current_time() + lease.LEASE_S + lease.RENEWED_S
        while not await database._run(database._take_lease):
            if trio.current_time() > end:
                holder = await database.read(lambda _: lease.holder_of(database._held_link()))
                await database.aclose()
                raise StoreError(f"the engine {holder} has these stories open; stop it first")
            await trio.sleep(LEASE_POLL_S)
        return database

    def _begin(self) -> None:
        with _as_store_error():
            with contextlib.closing(connect(self._url, {"search_path": definitions.SCHEMA})) as raw:
                upgrade.bring_up_to_date(raw)
            self._link = self._connected()

    def _take_lease(self) -> bool:
        with _as_store_error():
            epoch = lease.take(self._held_link(), lease.name_of(self._path))
        self._epoch = epoch or 0
        return epoch is not None

    def _held_link(self) -> PostgresConnection:
        if self._link is None or self._link.raw.closed:
            self._link = self._connected()
        return self._link

    async def keep_lease(self) -> None:
        """Makes the right to write last; returns when another engine has it."""
        while True:
            await trio.sleep(lease.RENEWED_S)
            try:
                kept = await self._run(lambda: self._trying(self._renew, self._plainly))
            except StoreError as error:  # away: by its clock we may have it still when it is back
                log.warning("the lease was not made to last: %s", error)
                continue
            if not kept:
                log.error("%s", lease.TAKEN)
                return

    def _renew(self, _: Connection) -> bool:
        return lease.renew(self._held_link(), self._epoch)

    # --- what the engine asks -------------------------------------------------------------------

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns ``function(connection, ...)``; raises ``StoreError`` if the server refuses or is away."""

        def call(db: Connection) -> T:
            return function(db, *args, **kwargs)

        return await self._run(lambda: self._trying(call, self._plainly))

    async def read_slowly(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns ``function(connection, ...)`` over one state of the database that no turn waits for."""

        def call() -> T:
            with _as_store_error():
                if self._slow_link is None or self._slow_link.raw.closed:
                    self._slow_link = self._connected()
                    self._slow_link.search_index = self._index.fresh
                    self._slow_link.paths = None  # others write meanwhile
                db = self._slow_link
                db.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                try:
                    return function(db, *args, **kwargs)
                finally:
                    if not db.raw.closed:
                        db.raw.execute("ROLLBACK")

        return await self._run_slow(call)

    async def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns ``function(connection, ...)`` run in one transaction, at the server's disk when this returns.

        It may be called more than once: what it did before was rolled back. Raises ``StoreError`` if the server
        refuses or is away.
        """
        along = change_alongside()

        def both(db: Connection) -> T:
            if along is not None and along.due:
                along.function(db)
            return function(db, *args, **kwargs)

        def call() -> T:
            result = self._trying(both, self._in_transaction)
            if along is not None and not along.closed:
                along.done = True
            return result

        return await self._run(call)

    async def write_batched(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As ``write``, in one transaction with whatever else is to be written in this moment."""
        along = change_alongside()
        if along is not None and along.due:
            return await self.write(function, *args, **kwargs)
        job = _Job(lambda db: function(db, *args, **kwargs))
        batch, first = self._batch, False
        if batch is None:
            batch, first = _Batch(), True
            self._batch = batch
        batch.jobs.append(job)
        if first:
            with trio.CancelScope(shield=True):  # the others wait for it
                await self._write_batch(batch)
        else:
            await batch.done.wait()
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    async def _write_batch(self, batch: _Batch) -> None:
        await trio.sleep(GATHER_S)
        self._batch = None
        try:
            await self._run(
                lambda: self._trying(lambda db: _do_all(db, batch.jobs), self._in_transaction)
            )
        except StoreError as error:
            for job in batch.jobs:
                job.error = StoreError(str(error))
        except Exception:  # noqa: BLE001 - a bug in one of them: the others must not pay for it
            for job in batch.jobs:
                await self._write_alone(job)
        finally:
            batch.done.set()

    async def _write_alone(self, job: _Job) -> None:
        try:
            job.result = await self._run(lambda: self._trying(job.function, self._in_transaction))
        except Exception as error:  # noqa: BLE001 - goes to whoever asked for it
            job.error = error

    def until_flush(self, interval_s: float) -> float:
        """Returns the seconds until all growing replies of this engine are written next."""
        del interval_s  # one beat for all
        return FLUSH_S - trio.current_time() % FLUSH_S

    async def check_place(self) -> None:
        """Raises ``StoreError`` when the server does not answer or takes no writes, or not ours any more."""
        (read_only,) = await self.read(
            lambda db: db.execute("SELECT current_setting('transaction_read_only')").fetchone()
        )
        if read_only == "on":
            raise StoreError("not saved: the database server takes no writes; it is no primary")
        if not await self.read(lambda _: lease.is_held(self._held_link(), self._epoch)):
            raise StoreError(lease.TAKEN)

    async def aclose(self) -> None:
        """Ends the connections."""

        def close() -> None:
            if self._link is not None and not self._link.raw.closed:
                with contextlib.suppress(psycopg.Error):  # away: the lease ends by itself
                    lease.give_back(self._link, self._epoch)
            for link in (self._link, self._slow_link):
                if link is not None:
                    link.raw.close()
            self._index.close()

        with trio.CancelScope(shield=True):
            await self._run(close)

    # --- transactions, in the worker thread -----------------------------------------------------

    def _connected(self) -> PostgresConnection:
        """Returns a new connection; raises ``StoreError`` at once while the server is known to be away."""
        if time.monotonic() < self._away_until:
            raise StoreError(f"not saved: {errors.AWAY}")
        try:
            db = PostgresConnection(connect(self._url, definitions.SETTINGS))
        except psycopg.Error:
            self._away_until = time.monotonic() + AWAY_S
            raise
        db.paths = paths.Paths()
        return db

    def _trying(
        self,
        function: Callable[[Connection], T],
        way: Callable[[PostgresConnection, Callable[[Connection], T]], T],
    ) -> T:
        """Returns ``way(connection, function)``, done again where the kind of error allows that."""
        wait_s, lost = AGAIN_S, False
        for left in reversed(range(TRIES)):
            try:
                return way(self._held_link(), function)
            except _UnsureError:
                self._drop()
                raise StoreError(f"it is not known whether this was saved: {errors.AWAY}") from None
            except psycopg.Error as error:
                kind = errors.kind_of(error)
                if kind is Failure.LOST:
                    self._drop()
                    log.warning("the database: %s", errors.sentence(error))
                if kind is Failure.REFUSED or not left or (kind is Failure.LOST and lost):
                    raise StoreError(errors.sentence(error)) from error
                lost = lost or kind is Failure.LOST
                if kind is Failure.AGAIN:
                    time.sleep(wait_s)
                    wait_s *= 2
        raise AssertionError("the last try returns or raises")

    def _drop(self) -> None:
        if self._link is not None:
            self._link.raw.close()
            self._link = None

    def _plainly(self, db: PostgresConnection, function: Callable[[Connection], T]) -> T:
        return function(db)

    def _in_transaction(self, db: PostgresConnection, function: Callable[[Connection], T]) -> T:
        number = _ask(db, lease.beginning(self._epoch))
        try:
            if not number:
                raise StoreError(lease.TAKEN)
            result = function(db)
        except BaseException:
            paths.forgotten(db)
            if not db.raw.closed:
                with contextlib.suppress(psycopg.Error):  # lost: the server rolls back by itself
                    _ask(db, "ROLLBACK")
            raise
        self._commit(db, number)
        self.commits += 1
        return result

    def _commit(self, db: PostgresConnection, number: str) -> None:
        """Commits; when the answer is lost, asks on another connection. Raises what says that it did not."""
        try:
            _ask(db, "COMMIT")
        except psycopg.Error as error:
            paths.forgotten(db)
            if not db.raw.closed and db.raw.pgconn.status != ConnStatus.BAD:
                raise
            if not self._was_committed(number):
                raise psycopg.OperationalError("the connection was lost before the commit") from error

    def _was_committed(self, number: str) -> bool:
        """Whether a transaction was committed; raises ``_UnsureError`` if nobody can tell in time."""
        self._drop()
        end = time.monotonic() + UNSURE_S
        while time.monotonic() < end:
            with contextlib.suppress(psycopg.Error, StoreError):
                self._link = self._connected()
                row = self._link.execute("SELECT pg_xact_status(?::xid8)", (number,)).fetchone()
                if row[0] in {"committed", "aborted"}:
                    return bool(row[0] == "committed")
            time.sleep(AGAIN_S * 5)
        raise _UnsureError


def _do_all(db: Connection, jobs: list[_Job]) -> None:
    for job in jobs:
        job.result = job.function(db)


def _ask(db: PostgresConnection, sql: str) -> str:
    """Sends words of our own in one go; returns the only value of the last answer, "" for none."""
    link = db.raw.pgconn
    answer = link.exec_(sql.encode())
    if answer.status not in {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}:
        if link.status == ConnStatus.BAD:
            db.raw.close()
        raise psycopg.errors.error_from_result(answer)
    if sql == "COMMIT" and answer.command_status == b"ROLLBACK":
        raise psycopg.errors.InFailedSqlTransaction("the transaction had failed")
    value = answer.get_value(0, 0) if answer.ntuples else None
    return value.decode() if value is not None else ""


class _as_store_error:  # noqa: N801 - reads as the phrase `with _as_store_error()`
    """Turns every error of the driver into one sentence."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, psycopg.Error):
            raise StoreError(errors.sentence(error)) from error
