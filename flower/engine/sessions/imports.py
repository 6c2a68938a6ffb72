"""Imported characters of one engine: kept at hand, added to as files come, sent to every client."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping

import trio
from msgspec.structs import replace

from flower.engine.assets.kinds import Assets, Character
from flower.engine.assets.shelves import CharacterList, ImportedCharacter, written_of
from flower.engine.importing.importer import Importer
from flower.engine.importing.take import TakeOutcome
from flower.engine.prompt.turn_input import Services
from flower.engine.sessions import snapshot
from flower.engine.sessions.own_libraries import OwnLibraries
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import Client
from flower.engine.store.connection import Connection
from flower.engine.store.library import characters
from flower.engine.tasks import guarded
from flower.errors import StoreError
from flower.protocol.messages import State, SystemUpdate

log = logging.getLogger(__name__)

TELL_INTERVAL_S = 1.0  # between two lists of characters: five hundred cards may come in a minute


class Imports:
    """Has ``imported`` in memory, and ``importer`` for more."""

    def __init__(
        self,
        runtime: Runtime,
        clients: Collection[Client],
        nursery: trio.Nursery,
        now: Callable[[], float],
        new_id: Callable[[], str],
        libraries: OwnLibraries,
    ) -> None:
        self._runtime = runtime
        self._libraries = libraries
        self._clients = clients
        self._nursery = nursery
        self._changed = self._telling = self._stories = False
        self.stories_changed: Callable[[], None] = lambda: None  # to be called when stories came
        self.imported = ImportedCharacter(characters.unpacked)
        self.importer = Importer(
            runtime.services.database,
            written=lambda: self._written,
            changed=self._on_change,
            now=now,
            new_id=new_id,
        )
        runtime.services = self.added_to(runtime.services)

    @property
    def _written(self) -> Collection[str]:
        return self._files.keys()

    def added_to(self, services: Services) -> Services:
        """Returns ``services`` with the imported characters among those of the files, and users' own by id."""
        written = written_of(services.assets.characters)
        whole = services.assets._replace(characters=CharacterList(written, self.imported))
        return replace(services, assets=self._libraries.added_to(whole))

    async def start(self) -> None:
        """Reads what was imported before. Raises ``StoreError``."""
        for stored in await self._runtime.services.database.read(_everybody):
            self.imported.put(stored.brief, stored.packed)

    def look_again(self, user: str) -> None:
        """Reads a library anew, soon: another engine has changed it. ``user``: the number of whose; "": all."""
        self._nursery.start_soon(guarded, "the imported characters", self._look, user)

    async def _look(self, user: str) -> None:
        try:
            for number in await self._libraries.read_again(user):
                self.tell_user(number)
            if user not in ("", "0"):
                return
            rows = await self._runtime.services.database.read(_everybody)
        except StoreError as error:
            log.warning("the imported characters could not be read: %s", error)
            return
        for character_id in self.imported.briefs.keys() - {one.brief.id for one in rows}:
            self.imported.drop(character_id)
        for stored in rows:
            self.imported.put(stored.brief, stored.packed)
        self._announce()

    def write(self, character: Character) -> None:
        """Takes over a character as its file says it now."""
        self._rewrite({**self._files, character.id: character})

    def unwrite(self, character_id: str) -> None:
        """Forgets a character whose file is gone; an imported one of its id is there again."""
        self._rewrite({key: value for key, value in self._files.items() if key != character_id})

    def drop(self, character_id: str) -> None:
        """Forgets an imported character that is no longer stored."""
        self.imported.drop(character_id)
        self._announce()

    @property
    def _files(self) -> Mapping[str, Character]:
        return written_of(self._runtime.services.assets.characters)

    def _rewrite(self, written: Mapping[str, Character]) -> None:
        services = self._runtime.services
        whole = services.assets._replace(characters=CharacterList(written, self.imported))
        self._runtime.services = replace(services, assets=self._libraries.added_to(whole))
        self._announce()

    def _on_change(self, outcome: TakeOutcome, user: int) -> None:
        if not user:
            for stored in outcome.characters:
                self.imported.put(stored.brief, stored.packed)
        elif outcome.characters:
            self._libraries.put_imported(user, outcome.characters)
        self._stories = self._stories or bool(outcome.stories)
        self._announce()

    def tell_user(self, user: int) -> None:
        """Sends a user's clients the lists that are another one now."""
        assets = self._libraries.seen_by(user, self._runtime.services.assets)
        state = State(
            available_characters=snapshot.character_options(assets),
            available_worlds=snapshot.world_options(assets),
            available_rules=snapshot.rule_options(assets),
        )
        for client in self._clients:
            if client.visitor.id == user:
                client.send(SystemUpdate("", state))

    def tell_everybody(self, made: Callable[[Assets], State]) -> None:
        """Sends every client what ``made`` returns of the assets as it sees them."""
        for user, clients in _by_user(self._clients):
            seen = self._libraries.seen_by(user, self._runtime.services.assets)
            event = SystemUpdate("", made(seen))
            for client in clients:
                client.send(event)

    def _announce(self) -> None:
        self._changed = True
        if not self._telling:
            self._telling = True
            self._nursery.start_soon(guarded, "the list of characters", self._tell)

    async def _tell(self) -> None:
        try:
            while self._changed:
                self._changed = False
                await self._tell_once()
                await trio.sleep(TELL_INTERVAL_S)
        finally:
            self._telling = False

    async def _tell_once(self) -> None:
        if self._stories:
            self._stories = False
            self.stories_changed()
        self.tell_everybody(
            lambda assets: State(available_characters=snapshot.character_options(assets))
        )


def _by_user(clients: Iterable[Client]) -> Iterable[tuple[int, list[Client]]]:
    by_user: dict[int, list[Client]] = {}
    for client in clients:
        by_user.setdefault(client.visitor.id, []).append(client)
    return by_user.items()


def _everybody(db: Connection) -> list[characters.Stored]:
    return list(characters.everybody(db))
