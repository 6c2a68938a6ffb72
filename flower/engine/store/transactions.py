"""What transactions have in common, whichever database they are in: what goes along with one, and where they run.

``alongside`` puts a change into the next transaction that a task writes. ``OneThread`` and ``Inline`` run a
transaction: one call, never spread over awaits, so that it is atomic to cancellation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

import trio

from flower.engine.store.connection import Connection

T = TypeVar("T")


class Alongside:
    """A change that goes with the next transaction, whichever it is; ``done`` when that is on disk."""

    def __init__(self, function: Callable[[Connection], None]) -> None:
        self.function = function
        self.done = False
        self.closed = False  # its block has ended; a task that goes on has nothing to do with it

    @property
    def due(self) -> bool:
        """Whether the next transaction has to take it along."""
        return not self.done and not self.closed


_ALONGSIDE: ContextVar[Alongside | None] = ContextVar("alongside", default=None)


@contextlib.contextmanager
def alongside(function: Callable[[Connection], None]) -> Iterator[Alongside]:
    """Lets ``function`` run inside the next transaction that this block writes, or a task it starts.

    What it raises keeps that transaction from happening.
    """
    change = Alongside(function)
    token = _ALONGSIDE.set(change)
    try:
        yield change
    finally:
        change.closed = True
        _ALONGSIDE.reset(token)


def change_alongside() -> Alongside | None:
    """Returns the change that goes with what this task writes next."""
    return _ALONGSIDE.get()


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Keeps what is written in this block from being the change that ``alongside`` waits for."""
    token = _ALONGSIDE.set(None)
    try:
        yield
    finally:
        _ALONGSIDE.reset(token)


class OneThread:
    """Runs calls in a worker thread, one at a time and in order; a started call always finishes."""

    def __init__(self) -> None:
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def __call__(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, limiter=self._one_at_a_time)


class Inline:
    """Runs calls on the spot: for tests on virtual time, which passes while a thread works."""

    async def __call__(self, call: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        return call()


def with_alongside(
    transaction: Callable[[Callable[[Connection], T]], T], function: Callable[[Connection], T]
) -> Callable[[], T]:
    """Returns a call of ``transaction(function)`` that takes along what goes with the next one of this task."""
    along = change_alongside()

    def both(db: Connection) -> T:
        if along is not None and along.due:
            along.function(db)
        return function(db)

    def call() -> T:
        result = transaction(both)
        if along is not None and not along.closed:
            along.done = True
        return result

    return call
