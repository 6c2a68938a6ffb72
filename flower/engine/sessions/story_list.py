"""Keeps every client's list of stories fresh, however many of them begin or end at once.

The list grows with the stories and goes to every client: told for each change, a hundred clients that begin a story at
the same moment would cost ten thousand lists, in the way of their first words. Each gets the stories that its user may
see; those of one user are read once.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

import trio

from flower.engine.sessions import snapshot
from flower.engine.sessions.session import Client
from flower.engine.store import stories
from flower.engine.store.connection import Store
from flower.engine.tasks import guarded
from flower.errors import StoreError
from flower.protocol.messages import SessionOption, State, SystemUpdate

log = logging.getLogger(__name__)

INTERVAL_S = 1.0  # the list of stories goes to every client, at most so often


async def lists_for(database: Store, clients: Iterable[Client]) -> dict[int, tuple[SessionOption, ...]]:
    """Returns the stories that each of the clients' users may see, by user. Raises ``StoreError``."""
    return {
        user: snapshot.session_options(await database.read(stories.sessions, user=user))
        for user in {client.visitor.id for client in clients}
    }


class StoryList:
    """Tells ``clients`` which stories there are, at most once in ``INTERVAL_S``."""

    def __init__(self, database: Store, clients: Collection[Client], nursery: trio.Nursery) -> None:
        self._database = database
        self._clients = clients
        self._nursery = nursery
        self._changed = False
        self._publishing = False

    def changed(self) -> None:
        """Notes that stories came, went or changed their names; it is told soon."""
        self._changed = True
        if not self._publishing:
            self._publishing = True
            self._nursery.start_soon(guarded, "the list of stories", self._publish)

    async def _publish(self) -> None:
        try:
            while self._changed:
                self._changed = False
                await self._publish_once()
                await trio.sleep(INTERVAL_S)
        finally:
            self._publishing = False

    async def _publish_once(self) -> None:
        try:
            listed = await lists_for(self._database, self._clients)
        except StoreError as error:  # told to whoever meets it next
            log.warning("the list of stories could not be read: %s", error)
            return
        events = {
            user: SystemUpdate("", State(available_sessions=options))
            for user, options in listed.items()
        }
        for client in self._clients:
            if client.visitor.id in events:  # else it came meanwhile, and has its list
                client.send(events[client.visitor.id])
