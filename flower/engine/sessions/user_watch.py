"""Lets users go whose token was revoked or has ended, while they are in.

Runs only while a user is connected; an engine without users never wakes for it. Tokens are changed by another process,
or by another engine: the database is where that shows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

import trio

from flower import limits
from flower.engine.sessions.session import Client
from flower.engine.store import users
from flower.engine.store.connection import Store
from flower.engine.tasks import guarded
from flower.errors import StoreError

log = logging.getLogger(__name__)


class UserWatch:
    """Looks after the users among ``clients``."""

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

    def came(self, client: Client) -> None:
        """Notes that a client is in."""
        if client.visitor.id and not self._watching:
            self._watching = True
            self._nursery.start_soon(guarded, "looking whether tokens hold", self._watch)

    async def _watch(self) -> None:
        try:
            while marks := {one.visitor.mark for one in self._clients if one.visitor.id}:
                await trio.sleep(limits.USERS_LOOK_S)
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
