"""Who may ask a model now, and who waits: only where its server has said that it is full.

Owns the number of requests under way for one model at one endpoint, and the line of those that wait, first
come first served. Nobody waits until a server refuses a request while others of ours are answered (429, 503),
or is known to have so many places (llama.cpp's slots); then as many go on as were answered. Grows by one
after a while without a refusal, and forgets what it learned when it has had peace for long. Never sends
anything and knows no clock but trio's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import trio

from flower import limits
from flower.errors import ProviderError

GATE_FORGET_S = 600.0  # without a request, before what a full server said is forgotten


class Ticket:
    """A request's place: ``admitted``, or in the line. ``moved`` is set when that has changed."""

    def __init__(self) -> None:
        self.admitted = False
        self.moved = trio.Event()

    def _move(self) -> None:
        self.moved.set()
        self.moved = trio.Event()


class Gate:
    """The way to one model. ``measure`` asks the server how many requests it takes at once, None: unknown."""

    def __init__(self, measure: Callable[[], Awaitable[int | None]] | None = None) -> None:
        self.limit: int | None = None
        self.active = 0
        self._measure = measure
        self._measuring = trio.Lock()
        self._waiting: deque[Ticket] = deque()
        self._closed_until = 0.0  # the server asked to be left alone
        self._changed_at = 0.0  # when the limit was last found or tried
        self._fixed = False  # the server itself said how many

    def __repr__(self) -> str:
        return f"<Gate {self.active} of {self.limit}, {len(self._waiting)} waiting>"

    async def enter(self) -> Ticket:
        """Returns a place; the server is asked how many it has when a second request comes."""
        if self._measure is not None and self.active:
            async with self._measuring:
                await self._learn()
        ticket = Ticket()
        self._waiting.append(ticket)
        self._admit()
        return ticket

    async def _learn(self) -> None:
        if self._measure is None:
            return
        try:
            slots = await self._measure()
        except ProviderError:
            return  # it is asked again with the next request
        self._measure = None
        if slots is not None:
            self.limit, self._fixed = slots, True

    def place(self, ticket: Ticket) -> int:
        """Returns how many places from the front of the line a ticket is, 1 for the next; 0: it is not in it."""
        return self._waiting.index(ticket) + 1 if ticket in self._waiting else 0

    def wait_s(self) -> float:
        """Returns the seconds for which the server asked to be left alone still."""
        return max(0.0, self._closed_until - trio.current_time())

    def leave(self, ticket: Ticket) -> None:
        """Gives a place back."""
        if ticket.admitted:
            ticket.admitted = False
            self.active -= 1
        elif ticket in self._waiting:
            self._waiting.remove(ticket)
            self._tell()
        self._admit()

    def refused(self, ticket: Ticket, after_s: float) -> bool:
        """Takes a refusal: the ticket is next in line, and as many go on as are answered.

        Returns False when nobody else of ours is answered: then it is not we who fill the server.
        """
        others = self.active - 1  # as many as are answered at this moment: the best guess at what fits
        if not ticket.admitted or others < 1:
            return False
        self.limit = others
        self._changed_at = trio.current_time()
        self._closed_until = max(self._closed_until, self._changed_at + after_s)
        ticket.admitted = False
        self.active -= 1
        self._waiting.appendleft(ticket)  # it was here before those who wait already
        self._tell()
        return True

    def reopen(self) -> None:
        """Lets the next one try, after the time the server asked for."""
        self._admit()

    def _admit(self) -> None:
        self._grow()
        moved = False
        while self._waiting and (self.limit is None or self.active < self.limit) and not self.wait_s():
            ticket = self._waiting.popleft()
            ticket.admitted = moved = True
            self.active += 1
            ticket._move()  # a ticket is this module's
        if moved:
            self._tell()

    def _grow(self) -> None:
        """Tries one more at once after a while, and forgets the limit after long."""
        if self.limit is None or self._fixed:
            return
        peace_s = trio.current_time() - self._changed_at
        if not self._waiting and not self.active and peace_s > GATE_FORGET_S:
            self.limit = None
        elif self._waiting and self.active >= self.limit and peace_s > limits.GATE_GROW_S:
            self.limit += 1
            self._changed_at = trio.current_time()

    def _tell(self) -> None:
        for ticket in self._waiting:
            ticket._move()
