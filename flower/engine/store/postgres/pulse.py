"""The signs of life of one engine, given from a thread of its own, and what it learns of the others by them.

A sign of life waits for no busy moment of the engine; when its tasks do not move at all any more, it is not given.
Owns that thread and its connection. Declares engines dead that gave no sign, and only if they could have.
"""

from __future__ import annotations

import logging
import threading
import time

from flower.engine.store.connection import Connection
from flower.engine.store.postgres import engines
from flower.engine.store.postgres.link import ServerLink
from flower.errors import StoreError

log = logging.getLogger(__name__)

HUNG_S = 15.0  # an engine whose tasks do not move for so long plays nothing any more
GAP = 0.75  # of a lease: between signs of life that were further apart others may have had no way to give one


class Pulse:
    """The life of engine ``number``, as the others see it. ``leases``: how many it had the last time."""

    def __init__(self, url: str, number: int) -> None:
        # A sign of life need not be on disk: who cannot have seen it judges nobody.
        self._link = ServerLink(url, number, synchronous_commit="off")
        self._number = number
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._news: set[str] = set()  # what other engines have said since it was looked at
        self.leases = 0
        self.is_dead = False
        self.draining = False
        self._beat_at = self._awake_at = self.steady_since = time.monotonic()
        self._link.at_once(self._connected)

    def start(self) -> None:
        """Begins to give signs of life, if it has not begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sign of life", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Gives no more signs of life. Waits for one that is being given; to be called in a worker thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._link.close()

    def awake(self) -> None:
        """Says that the engine's tasks move."""
        self._awake_at = time.monotonic()

    @property
    def is_steady(self) -> bool:
        """Whether the others could have shown that they live: not right after the server was away."""
        now = time.monotonic()
        steady = now - self.steady_since > engines.LEASE_S
        return steady and now - self._beat_at < engines.LEASE_S * GAP

    def hear(self) -> None:
        """Begins to listen to what other engines change."""
        self._link.hear(lambda told: self._news.add(told))

    def news(self) -> list[tuple[str, str]]:
        """Returns what others have changed since it was asked last, and where (``fences``); "" for who knows what."""
        news, self._news = self._news, set()
        others = [told.split(" ", 2) for told in news if not told.startswith(f"{self._number} ")]
        return [(part[1], part[2]) if len(part) == 3 else ("", "") for part in others]

    def show(self, db: Connection) -> int | None:
        """Gives one sign of life; returns how many leases the engine has, None when it counts as dead."""
        return engines.beat(db, self._number, draining=self.draining)

    def _connected(self, db: Connection) -> None:
        """A new connection: the server may have ended those of all engines, so that none of them is judged yet."""
        self.steady_since = time.monotonic()
        engines.be_present(db, self._number)

    def _run(self) -> None:
        while not self.is_dead and not self._stop.wait(engines.BEAT_S):
            if time.monotonic() - self._awake_at > HUNG_S:
                continue  # the engine hangs: let others have its stories
            try:
                self._beat()
            except StoreError as error:  # away: nobody else can show that it lives either
                log.warning("this engine's sign of life is missing: %s", error)
            except Exception:  # an edge: without signs of life the engine would be dead
                log.exception("a sign of life crashed")

    def _beat(self) -> None:
        leases = self._link.read(self.show)
        if leases is None:
            self.is_dead = True
            return
        now = time.monotonic()
        if now - self._beat_at > engines.LEASE_S * GAP:
            self.steady_since = now
        self._beat_at, self.leases = now, leases
        if self.is_steady:
            self._link.read(_bury)


def _bury(db: Connection) -> None:
    for name in engines.bury(db, gone=True):
        log.warning("the engine %s is dead; its stories are free", name)
