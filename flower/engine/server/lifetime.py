"""How long an engine lives that was started for a client.

The rule, as a person would expect it: quitting the last client ends the engine, a reply that is still
streaming first; a client that just vanishes (the SSH link dropped) leaves an engine that lingers, so
that the next one finds the story where it was. An engine started by hand lives until somebody
stops it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio


class Presence:
    """One connected client, as far as lifetime is concerned."""

    has_left = False

    def leave(self) -> None:
        self.has_left = True


class Lifetime:
    """Counts clients and knows when nobody is expected back."""

    def __init__(self, *, managed: bool, linger_s: float) -> None:
        self._managed = managed
        self._linger_s = linger_s
        self._clients = 0
        self._expected_back = True  # at first: the client that started us is on its way
        self._changed = trio.Event()

    def __repr__(self) -> str:
        return f"<Lifetime {self._clients} clients, expected back: {self._expected_back}>"

    @contextmanager
    def client(self) -> Iterator[Presence]:
        """Counts a client while the block runs; it may say before its end that it leaves for good."""
        presence = Presence()
        self._clients += 1
        self._notify()
        try:
            yield presence
        finally:
            self._clients -= 1
            self._expected_back = not presence.has_left
            self._notify()

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return self._clients

    async def wait_changed(self) -> None:
        """Waits until a client comes or goes."""
        await self._changed.wait()

    async def wait_over(self, wait_idle: Callable[[], Awaitable[None]]) -> None:
        """Waits until the engine should stop by itself; ``wait_idle`` waits for running replies."""
        if not self._managed:
            await trio.sleep_forever()
        while True:
            await self._wait_nobody_expected()
            quiet = self._changed
            await wait_idle()
            if quiet is self._changed and not self._clients:
                return  # else somebody came or went meanwhile, and may be expected back

    async def _wait_nobody_expected(self) -> None:
        while True:
            changed = self._changed
            if not self._clients and not self._expected_back:
                return
            linger_s = self._linger_s if not self._clients else float("inf")
            with trio.move_on_after(linger_s) as lingering:
                await changed.wait()
            if lingering.cancelled_caught:
                return

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
