"""A thread of low priority that does one piece of work at a time for another one. Knows nothing of what it does."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

# Added to the thread's nice value: on a busy core words of a reply go before what nobody waits for.
POLITENESS = 10

T = TypeVar("T")


class NiceThread:
    """A thread for what nobody waits for: on a busy core the rest of the engine goes before it.

    A thread that has once stepped back cannot step forward again, so what a line waits for runs elsewhere.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], T]) -> T:
        """Returns what ``work`` returns in that thread, and raises what it raises; waits for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="embedder-later", daemon=True)
            self._thread.start()
        self._work.put(work)
        result, error = self._done.get()
        if error is not None:
            raise error
        return cast("T", result)

    def end(self) -> None:
        """Ends the thread, if there is one."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()

    def _serve(self) -> None:
        _step_back()
        while (work := self._work.get()) is not None:
            try:
                done = (work(), None)
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                self._done.put((None, error))
            else:
                self._done.put(done)


def _step_back() -> None:
    """Lets the rest of the machine go before this thread; where that is forbidden it works as any other.

    Linux alone has a nice value for each thread; elsewhere the whole engine would become slow.
    """
    if sys.platform == "linux":
        me = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, me, os.getpriority(os.PRIO_PROCESS, me) + POLITENESS)
