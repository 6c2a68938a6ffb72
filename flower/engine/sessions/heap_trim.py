"""Gives memory back to the system after many clients have left.

What a crowd needed is free then, but the C library keeps it for the next one: on a small machine others
need it more. Measured after 100 clients: 4 of 20 MiB go back; the rest is mostly Python's own, pages with
a few living objects in each, which the next crowd uses again (a second one adds nothing).
"""

from __future__ import annotations

import gc
import logging

import trio

from flower.engine.tasks import guarded
from flower.machine import give_back

log = logging.getLogger(__name__)

TRIM_CLIENTS = 20  # so many have left before free memory is given back: fewer leave next to nothing
TRIM_AFTER_S = 20.0  # after that: a crowd leaves within seconds, and some come back


class HeapTrimmer:
    """Counts the clients that leave, and tidies up when it was many and others had time to come."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._left = 0

    def client_left(self) -> None:
        """Notes that a client is gone."""
        self._left += 1
        if self._left == TRIM_CLIENTS:
            self._nursery.start_soon(guarded, "giving memory back", self._give_back_later)

    async def _give_back_later(self) -> None:
        await trio.sleep(TRIM_AFTER_S)
        self._left = 0
        gc.collect()  # connections are cycles: nothing may happen for long that would collect them
        await trio.to_thread.run_sync(give_back, abandon_on_cancel=True)
