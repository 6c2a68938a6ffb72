"""The lore of worlds, brought into the library when somebody plays there."""

from __future__ import annotations

from flower.engine.preparation import Services, lore_scope
from flower.engine.store import attached


class WorldLore:
    """Knows which worlds' lore is in the library as their files say it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._synced: set[str] = set()

    def use(self, services: Services) -> None:
        """Goes on with other assets: a world's lore may be another now."""
        self._services = services
        self._synced.clear()

    async def sync(self, world_id: str, *, again: bool = False) -> None:
        """Brings a world's lore into the library, once per run of the engine. Raises ``StoreError``.

        Cheap when nothing changed: the library compares texts and embeds only what is new.
        """
        world = self._services.assets.worlds.get(world_id)
        if world is None or (world_id in self._synced and not again):
            return
        self._synced.add(world_id)
        scope, library = lore_scope(world_id), self._services.library
        try:
            await library.sync_source(scope, "world", world.name, world.lore)
            for number, text in await self._services.database.read(attached.listed, world_id):
                await library.sync_source(scope, f"attached:{number}", world.name, text)
        except BaseException:
            self._synced.discard(world_id)  # not all of it: the next one tries again
            raise
