"""The stories in PostgreSQL: a connection that writes, one that reads long, one that shows that this engine lives.

Keeps the promises of ``sqlite.database``: transactions in the order in which they were asked for, each one call in a
worker thread, on disk at the server when ``write`` returns. What happens when the server is away is in ``link``, who
may write what in ``engines``, signs of life in ``pulse``.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
import trio

from flower.engine.store import paths, streaming_text
from flower.engine.store.connection import Connection
from flower.engine.store.postgres import definitions, engines, errors, upgrade
from flower.engine.store.postgres.connection import PostgresConnection, connect
from flower.engine.store.postgres.link import ServerLink
from flower.engine.store.postgres.pulse import Pulse
from flower.engine.store.postgres.search_index import SearchIndex
from flower.engine.store.transactions import Inline, OneThread, change_alongside, with_alongside
from flower.errors import ElsewhereError, StoreError

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

FLUSH_S = 0.5  # the growing replies of one engine are written together, so often
GATHER_S = 0.005  # between the first reply of a batch and its transaction
ORPHANS_S = 30.0  # whoever was reading a story whose engine died is back before, and is notified
ALONE_POLL_S = 0.5  # while an engine that may have died is in the way of one that must be alone

Write = Callable[[Connection], Any]


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

    shared = True

    def __init__(self, url: str, path: Path, run: OneThread | Inline, number: int) -> None:
        self._path = path
        self._run = run
        self._run_slow = Inline() if isinstance(run, Inline) else OneThread()
        self._number = number
        self._link = ServerLink(url, number, keeps_paths=True)
        self._slow = ServerLink(url, 0)
        self._pulse = Pulse(url, number)
        self._batch: _Batch | None = None
        self._index = SearchIndex(path.with_name("index") / "search.db")
        self._played: Counter[str] = Counter()  # stories whose leases are not to be given back
        self._opened: set[str] = set()  # those of them that were brought up to date
        self._heard: Callable[[str, str], None] = lambda kind, place: None
        self._orphans_at = time.monotonic() + ORPHANS_S

    @property
    def path(self) -> Path:
        """Where the home's own database would be."""
        return self._path

    @property
    def commits(self) -> int:
        """How many transactions there were."""
        return self._link.commits

    @classmethod
    async def open(
        cls,
        url: str,
        path: Path,
        run: OneThread | Inline | None = None,
        *,
        address: str = "",
        alone: bool = False,
    ) -> PostgresDatabase:
        """Connects, brings the schema up to date and becomes one of the engines, at ``address``.

        ``alone``: nobody else may play; waits for an engine that may have died. Raises ``StoreError``.
        """
        run = run if run is not None else OneThread()

        def register() -> int:
            with (
                _as_store_error(),
                contextlib.closing(connect(url, {"search_path": definitions.SCHEMA})) as raw,
            ):
                upgrade.bring_up_to_date(raw)
                with raw.transaction():
                    db = PostgresConnection(raw)
                    return engines.register(db, engines.name_of(path), address, alone=alone)

        end = trio.current_time() + (engines.LEASE_S + engines.BEAT_S if alone else 0.0)
        while True:
            try:
                return cls(url, path, run, await run(register))
            except StoreError:
                if trio.current_time() >= end:
                    raise
            await trio.sleep(ALONE_POLL_S)

    # --- which stories this engine plays --------------------------------------------------------

    def show_life(self) -> None:
        """Begins to show the others that this engine lives: soon after it was opened, or it counts as dead."""
        self._pulse.start()

    async def keep_alive(self) -> None:
        """Shows that this engine lives and looks after its stories; returns when it counts as dead."""
        self.show_life()
        while not self._pulse.is_dead:
            self._pulse.awake()
            await trio.sleep(engines.BEAT_S)
            await self._look_after()
        log.error("%s", engines.TAKEN)

    async def _look_after(self) -> None:
        """Passes on what others have changed, and gives back what nobody here plays."""
        for what, place in self._pulse.news():
            self._heard(what, place)
        try:
            if self._pulse.leases != len(self._played):
                await self._give_back()
            if self._pulse.is_steady and time.monotonic() > self._orphans_at:
                self._orphans_at = time.monotonic() + ORPHANS_S
                await self._end_orphans()
        except StoreError as error:
            log.warning("stories were not given back: %s", error)

    async def _give_back(self) -> None:
        played = list(self._played)  # leases are taken in the same thread, after they were noted here
        await self._run(lambda: self._link.write(lambda db: engines.release(db, self._number, played)))

    async def _end_orphans(self) -> None:
        """Ends the replies of dead engines in stories that nobody has opened since."""
        for story in await self.read(engines.orphans):
            with contextlib.suppress(ElsewhereError):  # somebody has opened it in this moment
                ended = await self.write(streaming_text.recover_story, story)
                log.info("session=%s: %d interrupted replies of a dead engine", story, len(ended))

    def follow(self, notify: Callable[[str, str], None]) -> None:
        """Has ``notify`` called with what other engines have changed of what is everybody's, see ``fences``."""
        self._heard = notify
        self._pulse.hear()

    async def lease(self, story: str, *, opens: bool = True) -> tuple[int, ...]:
        """Makes this engine the one that plays a story; returns the replies in it that a dead one left.

        Not ``opens``: whoever is notified of those replies comes with the next one that does. Raises ``ElsewhereError``
        while another one plays it, ``StoreError`` when the server is away.
        """
        self._played[story] += 1
        try:
            ended = await self._run(lambda: self._link.write(lambda db: self._take(db, story, opens)))
            if opens:
                self._opened.add(story)
            return ended
        except BaseException:
            self.leave(story)
            raise

    def _take(self, db: Connection, story: str, opens: bool) -> tuple[int, ...]:
        holder = engines.holder(db, story)
        if holder is not None and holder.dead and self._pulse.is_steady and engines.bury(db):
            holder = engines.holder(db, story)
        mine = (
            holder is not None and holder.number == self._number
        )  # also by a change before it was opened
        if mine and story in self._opened:
            return ()
        if holder is None and self._pulse.draining:
            raise ElsewhereError("this engine is about to stop", engines.elsewhere(db, self._number))
        if not mine and (holder is not None or not engines.take(db, self._number, story)):
            name, address = (holder.name, holder.address) if holder is not None else ("", "")
            raise ElsewhereError(f"the engine {name} plays this story", address)
        paths.forget(db, story)  # another engine may have gone on with it
        return streaming_text.recover_story(db, story) if opens else ()

    def leave(self, story: str) -> None:
        """Lets others play a story, soon, if it was left as often as leased."""
        self._played[story] -= 1
        if self._played[story] <= 0:
            del self._played[story]
            self._opened.discard(story)

    async def drain(self) -> None:
        """Takes no more stories, and tells the others to send nobody here."""
        self._pulse.draining = True
        await self.read(self._pulse.show)

    async def others(self) -> tuple[str, ...]:
        """Returns the addresses of all other engines that are alive."""
        return await self.read(engines.others, self._number)

    async def elsewhere(self) -> str:
        """Returns the address of another engine that takes clients, "" when there is none."""
        return await self.read(engines.elsewhere, self._number)

    # --- what the engine asks -------------------------------------------------------------------

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns ``function(connection, ...)``; raises ``StoreError`` if the server refuses or is away."""

        def call(db: Connection) -> T:
            return function(db, *args, **kwargs)

        return await self._run(lambda: self._link.read(call))

    async def read_slowly(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns ``function(connection, ...)`` over one state of the database that no turn waits for."""

        def call() -> T:
            with _as_store_error():
                db = self._slow.held()
                db.search_index = self._index.of_one_state()
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
        return await self._run(
            with_alongside(self._link.write, lambda db: function(db, *args, **kwargs))
        )

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
            await self._run(lambda: self._write_alive(lambda db: _do_all(db, batch.jobs)))
        except ElsewhereError:  # one of them: the others are ours
            for job in batch.jobs:
                await self._write_alone(job)
        except StoreError as error:
            for job in batch.jobs:
                job.error = StoreError(str(error))
        except Exception:  # noqa: BLE001 - a bug in one of them: the others must not pay for it
            for job in batch.jobs:
                await self._write_alone(job)
        finally:
            batch.done.set()

    def _write_alive(self, function: Write) -> None:
        """Writes what is short; it is a sign of life as well, so that the engine need not commit another one."""
        begun = time.monotonic()
        self._link.write(function, self._pulse.beginning())
        self._pulse.showed(begun)

    async def _write_alone(self, job: _Job) -> None:
        try:
            job.result = await self._run(lambda: self._link.write(job.function))
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
        if not await self.read(engines.is_there, self._number):
            raise StoreError(engines.TAKEN)

    async def aclose(self) -> None:
        """Ends the connections."""

        def close() -> None:
            self._pulse.stop()
            with contextlib.suppress(StoreError):  # away: the leases end by themselves
                self._link.read(lambda db: engines.leave(db, self._number))
            for link in (self._link, self._slow):
                link.close()
            self._index.close()

        with trio.CancelScope(shield=True):
            await self._run(close)


def _do_all(db: Connection, jobs: list[_Job]) -> None:
    for job in jobs:
        job.result = job.function(db)


class _as_store_error:  # noqa: N801 - reads as the phrase `with _as_store_error()`
    """Turns every error of the driver into one sentence."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, psycopg.Error):
            raise StoreError(errors.sentence(error)) from error
