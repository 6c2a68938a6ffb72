"""One connection to the server that is made anew when it is lost, and transactions on it.

What an error means is decided by its kind: what another transaction was in the way of is done once more, a lost
connection is made anew, and a commit whose answer was lost is looked up by its transaction's number, so that nothing
is done twice. Every call blocks: it belongs into a worker thread.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
from psycopg.pq import ConnStatus, ExecStatus

from flower.engine.store import paths
from flower.engine.store.connection import Connection
from flower.engine.store.postgres import definitions, engines, errors, fences
from flower.engine.store.postgres.connection import PostgresConnection, connect
from flower.engine.store.postgres.errors import Failure
from flower.errors import ElsewhereError, StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")
Way = Callable[[PostgresConnection, Callable[[Connection], T]], T]

TRIES = 4  # of a transaction that others are in the way of
AGAIN_S = 0.02  # before the second try, then twice as long each time
AWAY_S = 0.5  # a server that did not answer is not asked again for so long
UNSURE_S = 2.0  # to learn what became of a commit whose answer was lost


class _UnsureError(Exception):
    """The connection was lost after COMMIT had been sent."""


class ServerLink:
    """A connection of the engine with this ``number``, made when it is needed; 0: it only reads."""

    def __init__(self, url: str, number: int, *, keeps_paths: bool = False, **settings: str) -> None:
        self._url = url
        self._number = number
        engine = {"flower.engine": str(number)} if number else {}
        self._settings = {**definitions.SETTINGS, **engine, **settings}
        self._keeps_paths = keeps_paths  # else others write meanwhile
        self._made: PostgresConnection | None = None
        self._at_once: list[Callable[[PostgresConnection], None]] = []  # with every new connection
        self._due: list[Callable[[PostgresConnection], None]] = []  # of these, with the present one
        self._away_until = 0.0
        self.commits = 0

    def held(self) -> PostgresConnection:
        """Returns the connection. Raises ``StoreError`` at once while the server is known to be away."""
        if self._made is None or self._made.raw.closed:
            if time.monotonic() < self._away_until:
                raise StoreError(f"not saved: {errors.AWAY}")
            try:
                self._made = PostgresConnection(connect(self._url, self._settings))
                self._made.paths = paths.Paths() if self._keeps_paths else None
            except psycopg.Error:
                self._away_until = time.monotonic() + AWAY_S
                raise
            self._due = list(self._at_once)
        while self._due:
            self._due[0](self._made)
            self._due.pop(0)
        return self._made

    def at_once(self, function: Callable[[PostgresConnection], None]) -> None:
        """Has ``function`` called with every connection, before anything else is asked on it."""
        self._at_once.append(function)
        self._due.append(function)

    def hear(self, receive: Callable[[str], None]) -> None:
        """Has ``receive`` called with what other engines say, while something is asked; "": some of it was missed."""

        def listen(db: PostgresConnection) -> None:
            db.raw.add_notify_handler(lambda notify: receive(notify.payload))
            db.raw.execute(f"LISTEN {fences.CHANNEL}".encode())
            receive("")

        self.at_once(listen)

    def close(self) -> None:
        """Ends the connection; the next call makes another one."""
        if self._made is not None:
            self._made.raw.close()
            self._made = None

    def read(self, function: Callable[[Connection], T]) -> T:
        """Returns ``function(connection)``; raises ``StoreError``."""
        return self._trying(function, _plainly)

    def write(self, function: Callable[[Connection], T], beginning: str = "") -> T:
        """Returns ``function(connection)`` run in one transaction, at the server's disk when this returns.

        ``beginning``: what begins it, instead of ``engines.beginning``. Raises ``StoreError``, also when this engine
        may not write any more.
        """
        begin = beginning or engines.beginning(self._number)
        return self._trying(function, lambda db, what: self._in_transaction(db, what, begin))

    def _trying(self, function: Callable[[Connection], T], way: Way[T]) -> T:
        """Returns ``way(connection, function)``, done again where the kind of error allows that."""
        wait_s, lost = AGAIN_S, False
        for left in reversed(range(TRIES)):
            try:
                return way(self.held(), function)
            except _UnsureError:
                self.close()
                raise StoreError(f"it is not known whether this was saved: {errors.AWAY}") from None
            except psycopg.Error as error:
                kind = errors.kind_of(error)
                if error.sqlstate == fences.ELSEWHERE:
                    raise ElsewhereError(errors.sentence(error)) from error
                if kind is Failure.LOST:
                    self.close()
                    log.warning("the database: %s", errors.sentence(error))
                if kind is Failure.REFUSED or not left or (kind is Failure.LOST and lost):
                    raise StoreError(errors.sentence(error)) from error
                lost = lost or kind is Failure.LOST
                if kind is Failure.AGAIN:
                    time.sleep(wait_s)
                    wait_s *= 2
        raise AssertionError("the last try returns or raises")

    def _in_transaction(
        self, db: PostgresConnection, function: Callable[[Connection], T], begin: str
    ) -> T:
        number = _ask(db, begin)
        try:
            if not number:
                raise StoreError(engines.TAKEN)
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
        self.close()
        end = time.monotonic() + UNSURE_S
        while time.monotonic() < end:
            with contextlib.suppress(psycopg.Error, StoreError):
                row = self.held().execute("SELECT pg_xact_status(?::xid8)", (number,)).fetchone()
                if row[0] in {"committed", "aborted"}:
                    return bool(row[0] == "committed")
            time.sleep(AGAIN_S * 5)
        raise _UnsureError


def _plainly(db: PostgresConnection, function: Callable[[Connection], T]) -> T:
    return function(db)


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
