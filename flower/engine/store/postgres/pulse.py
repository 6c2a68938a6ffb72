"""The signs of life of one engine, given from a thread of its own, and what it learns of the others by them.

A sign of life waits for no busy moment of the engine; when its tasks do not move at all any more, it is not given. An
engine that flushes growing replies gives one with each flush, and the thread only looks at the others meanwhile.
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
        self.signs = 0  # that were given in transactions of their own
        self._beat_at = self._awake_at = self.steady_since = time.monotonic()
        self._looked_at = self._tried_at = self._beat_at
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
        self._link.hear(lambda text: self._news.add(text))

    def news(self) -> list[tuple[str, str]]:
        """Returns what others have changed since it was asked last, and where (``fences``); "" for who knows what."""
        news, self._news = self._news, set()
        others = [text.split(" ", 2) for text in news if not text.startswith(f"{self._number} ")]
        return [(part[1], part[2]) if len(part) == 3 else ("", "") for part in others]

    def show(self, db: Connection) -> int | None:
        """Gives one sign of life; returns how many leases the engine has, None when it counts as dead."""
        return engines.beat(db, self._number, draining=self.draining)

    def _connected(self, db: Connection) -> None:
        """A new connection: the server may have ended those of all engines, so that none of them is judged yet."""
        self.steady_since = time.monotonic()
        engines.be_present(db, self._number)

    def beginning(self) -> str:
        """Returns what begins a short transaction of the engine, so that it is a sign of life; see ``showed``."""
        if not self.signs:  # only then the others see by a connection whether this engine lasts
            return engines.beginning(self._number)
        return engines.beginning_alive(self._number, draining=self.draining)

    def showed(self, at: float) -> None:
        """Notes that a sign of life that was begun ``at`` (``time.monotonic``) has been given."""
        if not self.signs:
            return  # a flush was none yet, see ``beginning``: else flushes from the start on would put off the first
        if at - self._beat_at > engines.LEASE_S * GAP:
            self.steady_since = at
        self._beat_at = max(self._beat_at, at)

    def _run(self) -> None:
        while not self.is_dead and not self._stop.wait(max(self._due_at() - time.monotonic(), 0.0)):
            try:
                self.turn(time.monotonic())
            except StoreError as error:  # away: nobody else can show that it lives either
                log.warning("this engine's sign of life is missing: %s", error)
            except Exception:  # an edge: without signs of life the engine would be dead
                log.exception("a sign of life crashed")

    def _sign_due_at(self) -> float:
        return max(self._beat_at, self._tried_at) + engines.BEAT_S

    def _due_at(self) -> float:
        # Not the later of both: the flushes may end at any moment, and a second after the last one a sign is due.
        return min(self._sign_due_at(), self._looked_at + engines.BEAT_S)

    def turn(self, now: float) -> None:
        """Does what is due at ``now`` (``time.monotonic``): gives a sign of life if no flush did, looks at others."""
        is_sign = now >= self._sign_due_at()
        if not is_sign and now < self._looked_at + engines.BEAT_S:
            return  # a flush came in between
        self._looked_at = now
        if is_sign:
            self._tried_at = now
        if now - self._awake_at > HUNG_S:
            return  # the engine hangs: let others have its stories
        leases = self._link.read(self.show if is_sign else self._look)
        if leases is None:
            self.is_dead = True
            return
        self.leases = leases
        if is_sign:
            self.signs += 1
            self.showed(time.monotonic())
        if self.is_steady:
            self._link.read(_bury)

    def _look(self, db: Connection) -> int | None:
        return engines.leases_of(db, self._number)


def _bury(db: Connection) -> None:
    for name in engines.bury(db, gone=True):
        log.warning("the engine %s is dead; its stories are free", name)
