"""A model file on its way into the models folder, beside everything else the engine does: one at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

import trio

from flower.engine.provider.llamacpp.fetch import Fetched, Report
from flower.engine.tasks import guarded
from flower.errors import CommandError, FlowerError

log = logging.getLogger(__name__)

STEP_PERCENT = 5  # between two lines about it
STEP_S = 2.0

Fetch = Callable[[Report], Awaitable[Fetched]]


class Fetches:
    """The fetch that is under way, if any."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._scope: trio.CancelScope | None = None

    def start(
        self, name: str, fetch: Fetch, tell: Callable[[str], None], done: Callable[[], Awaitable[None]]
    ) -> None:
        """Begins to fetch ``name``; ``tell`` gets lines about it, ``done`` is called when it is there.

        Raises ``CommandError`` while another one is under way.
        """
        if self._scope is not None:
            raise CommandError("One file is being fetched already; /models get stop ends that.")
        self._scope = trio.CancelScope()
        self._nursery.start_soon(guarded, "fetching a model", self._run, name, fetch, tell, done)

    def stop(self) -> bool:
        """Ends the fetch; what has come is kept. Returns whether there was one."""
        if self._scope is None:
            return False
        self._scope.cancel()
        return True

    async def _run(
        self, name: str, fetch: Fetch, tell: Callable[[str], None], done: Callable[[], Awaitable[None]]
    ) -> None:
        assert self._scope is not None
        try:
            with self._scope as scope:
                fetched = await fetch(Reporter(name, tell).report)
                await done()
                size = fetched.size_bytes / 1e9
                tell(
                    f"✓ {name} is there ({size:.1f} GB, SHA-256 {fetched.sha256}). "
                    f"Play with it: /model local/{name.removesuffix('.gguf')}"
                )
            if scope.cancelled_caught:
                tell(
                    f"✓ {name} is no longer being fetched; the same command goes on with what has come."
                )
        except FlowerError as error:
            log.info("fetching a model failed")
            tell(f"✗ {error}")
        finally:
            self._scope = None


class Reporter:
    """Turns bytes into a line now and then."""

    def __init__(
        self, name: str, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._tell = tell
        self._clock = clock
        self._begun = self._said_at = clock()
        self._from: int | None = None
        self._percent = 0

    def report(self, done: int, total: int) -> None:
        """Notes how many bytes are here; says so when it is news."""
        now = self._clock()
        if self._from is None:
            self._from = done
        percent = done * 100 // total if total else 0
        if now - self._said_at < STEP_S or (total and percent < self._percent + STEP_PERCENT):
            return
        self._said_at, self._percent = now, percent
        rate = (done - self._from) / max(now - self._begun, 0.001)
        left = f", {_time((total - done) / rate)} left" if total and rate else ""
        share = f"{percent}% of {total / 1e9:.1f} GB" if total else f"{done / 1e6:.0f} MB"
        self._tell(f"Fetching {self._name}: {share}{left}; /models get stop ends it.")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
