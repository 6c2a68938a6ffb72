"""Lets clients go, and tidies up after them.

Users go whose token was revoked or has ended while they are in; everybody goes when the engine drains, each as soon as
the story it watches rests; and when many have left, the memory that they needed is given back to the system.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Collection

import trio

from flower.engine.sessions.session import Client
from flower.engine.sessions.turns import Turns
from flower.engine.store import users
from flower.engine.store.connection import Store
from flower.engine.tasks import guarded
from flower.errors import ElsewhereError, StoreError
from flower.machine import give_back

log = logging.getLogger(__name__)

USERS_LOOK_S = 5.0  # between two looks whether the tokens of those who are in still hold

TRIM_CLIENTS = 20  # so many have left before free memory is given back: fewer leave next to nothing
TRIM_AFTER_S = 20.0  # after that: a crowd leaves within seconds, and some come back

DRAIN_S = 600.0  # for replies to end by themselves
LEAVE_S = 5.0  # for clients to be gone then
DRAIN_POLL_S = 0.1


class UserWatch:
    """Lets those users among ``clients`` go whose tokens hold no longer.

    Runs only while a user is connected; an engine without users never wakes for it. Tokens are changed by another
    process, or by another engine: the database is where that shows.
    """

    def __init__(
        self,
        database: Store,
        clients: Collection[Client],
        nursery: trio.Nursery,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._clients = clients
        self._nursery = nursery
        self._now = now
        self._watching = False

    def client_joined(self, client: Client) -> None:
        """Notes that a client is in."""
        if client.visitor.id and not self._watching:
            self._watching = True
            self._nursery.start_soon(guarded, "looking whether tokens hold", self._watch)

    async def _watch(self) -> None:
        try:
            while marks := {one.visitor.mark for one in self._clients if one.visitor.id}:
                await trio.sleep(USERS_LOOK_S)
                await self._look(marks)
        finally:
            self._watching = False

    async def _look(self, marks: set[str]) -> None:
        try:
            hold = await self._database.read(users.in_force, marks, self._now())
        except StoreError as error:  # looked at again soon
            log.warning("tokens could not be looked at: %s", error)
            return
        for client in tuple(self._clients):
            if client.visitor.mark in marks - hold:
                client.visitor.expel()


class Drain:
    """Ends an engine gently: it takes nobody any more, and its clients go to others when their stories rest."""

    def __init__(self, database: Store, turns: Turns, clients: Collection[Client]) -> None:
        self._database = database
        self._turns = turns
        self._clients = clients
        self._begun = trio.Event()

    @property
    def begun(self) -> bool:
        """Whether the engine takes nobody any more."""
        return self._begun.is_set()

    async def wait_begun(self) -> None:
        """Waits until the engine takes nobody any more."""
        await self._begun.wait()

    async def run(self) -> None:
        """Lets replies end, hands the stories over and sends clients to other engines; returns when all that is done.

        Lines that wait stay in the database: whoever plays the story next answers them.
        """
        self._begun.set()
        self._turns.begin_no_more()
        other = ""
        try:
            await self._database.drain()
            other = await self._database.elsewhere()
        except StoreError as error:
            log.warning("the other engines are not notified: %s", error)
        with trio.move_on_after(DRAIN_S):
            while self._send_away(other) or self._turns.running:  # noqa: ASYNC110 - many things end
                await trio.sleep(DRAIN_POLL_S)
        with trio.move_on_after(LEAVE_S):
            while self._send_away(other) or self._clients:  # noqa: ASYNC110
                await trio.sleep(DRAIN_POLL_S)

    def _send_away(self, address: str) -> int:
        """Lets clients go whose story rests; returns how many there are whose story does not."""
        left = 0
        for client in self._clients:
            if client.answering or (client.session is not None and client.session.is_working):
                left += 1
            elif client.elsewhere is None:
                client.leave_for(ElsewhereError("this engine is about to stop", address))
        return left


class HeapTrimmer:
    """Counts the clients that leave, and gives memory back when it was many and others had time to come.

    What a crowd needed is free then, but the C library keeps it for the next one: on a small machine others
    need it more. Measured after 100 clients: 4 of 20 MiB go back; the rest is mostly Python's own, pages with
    a few living objects in each, which the next crowd uses again (a second one adds nothing).
    """

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
