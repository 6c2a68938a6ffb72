"""Keeps every client's list of stories fresh, however many of them begin or end at once.

The list grows with the stories and goes to every client: told for each change, a hundred clients that
begin a story at the same moment would cost ten thousand lists, in the way of their first words.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

import trio

from flower import limits
from flower.engine import snapshot
from flower.engine.background import guarded
from flower.engine.client import Client
from flower.engine.store import stories
from flower.engine.store.database import Database
from flower.errors import StoreError
from flower.protocol import State, SystemUpdate

log = logging.getLogger(__name__)


class StoryList:
    """Tells ``clients`` which stories there are, at most once in ``limits.STORY_LIST_INTERVAL_S``."""

    def __init__(self, database: Database, clients: Collection[Client], nursery: trio.Nursery) -> None:
        self._database = database
        self._clients = clients
        self._nursery = nursery
        self._changed = False
        self._telling = False

    def changed(self) -> None:
        """Notes that stories came, went or changed their names; it is told soon."""
        self._changed = True
        if not self._telling:
            self._telling = True
            self._nursery.start_soon(guarded, "the list of stories", self._tell)

    async def _tell(self) -> None:
        try:
            while self._changed:
                self._changed = False
                await self._tell_once()
                await trio.sleep(limits.STORY_LIST_INTERVAL_S)
        finally:
            self._telling = False

    async def _tell_once(self) -> None:
        try:
            listed = await self._database.read(stories.sessions)
        except StoreError as error:  # told to whoever meets it next
            log.warning("the list of stories could not be read: %s", error)
            return
        event = SystemUpdate("", State(available_sessions=snapshot.session_options(listed)))
        for client in self._clients:
            client.send(event)
