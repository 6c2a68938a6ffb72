"""Worlds, characters and rules of one engine, written as files of its home and in effect at once.

Whoever edits holds ``one_at_a_time`` from looking at what is there until the new one is written, so that of two
clients who change the same thing the second is notified. Nothing outside the home's ``assets`` folder is ever written:
what comes with Flower is copied there under its id, and is back when that file is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import trio
from msgspec.structs import replace

from flower.engine.assets import yaml_files
from flower.engine.assets.kinds import Assets, Character, Rule, World
from flower.engine.assets.loader import SHIPPED, load_assets
from flower.engine.assets.shelves import owned, owner_of, plain
from flower.engine.assets.yaml_files import Asset, WrittenAsset
from flower.engine.sessions import snapshot
from flower.engine.sessions.create import WorldLore
from flower.engine.sessions.imports import Imports
from flower.engine.sessions.own_libraries import OwnLibraries
from flower.engine.sessions.runtime import Runtime
from flower.protocol.messages import State


class AssetEdits:
    """Changes what ``runtime`` plays with, and tells ``clients`` of it."""

    def __init__(
        self, runtime: Runtime, imports: Imports, lore: WorldLore, libraries: OwnLibraries
    ) -> None:
        self._runtime = runtime
        self._imports = imports
        self._lore = lore
        self._libraries = libraries
        self.one_at_a_time = trio.Lock()

    @property
    def _folder(self) -> Path:
        return self._runtime.services.database.path.parent / "assets"

    async def write(self, asset: Asset) -> WrittenAsset | None:
        """Stores an asset and plays with it from now on; returns its file, None for one of a user's own.

        Raises ``AssetError``, ``StoreError``.
        """
        user = owner_of(asset.id)
        if user:
            asset = yaml_files.as_read(replace(asset, id=plain(asset.id)))
            asset = replace(asset, id=owned(asset.id, user))
            await self._libraries.write(user, asset)
            self._imports.tell_user(user)
            if isinstance(asset, World):
                await self._lore.sync(asset.id, again=True)
            return None
        asset = yaml_files.as_read(asset)
        written = await trio.to_thread.run_sync(yaml_files.write, self._folder, asset)
        await self._take(asset)
        return written

    async def remove_own(self, user: int, asset: Asset) -> bool:
        """Deletes something of a user's; returns whether the imported one that it was written over is back."""
        back = await self._libraries.remove(user, asset)
        self._imports.tell_user(user)
        return back

    async def put_aside(self, kind: type[Asset], asset_id: str) -> Path | None:
        """Makes an asset's file none; returns where its text is, None if the home has no file of it.

        What came with Flower or was imported under this id is there again. Raises ``AssetError``.
        """
        folder = yaml_files.FOLDERS[kind]
        aside = await trio.to_thread.run_sync(yaml_files.put_aside, self._folder, asset_id, folder)
        if aside is None:
            return None
        shipped = await trio.to_thread.run_sync(load_assets, (SHIPPED,))
        before: Asset | None = getattr(shipped, folder).get(asset_id)
        if before is not None:
            await self._take(before)
        elif kind is Character:
            self._imports.unwrite(asset_id)
        elif kind is World:
            worlds = self._runtime.services.assets.worlds
            self._put_worlds({key: one for key, one in worlds.items() if key != asset_id})
        else:
            rules = self._runtime.services.assets.rules
            self._put_rules({key: one for key, one in rules.items() if key != asset_id})
        return aside

    async def _take(self, asset: Asset) -> None:
        if isinstance(asset, Character):
            self._imports.write(asset)
            return
        if isinstance(asset, World):
            self._put_worlds({**self._runtime.services.assets.worlds, asset.id: asset})
            await self._lore.sync(asset.id)
        else:
            self._put_rules({**self._runtime.services.assets.rules, asset.id: asset})

    def _put_worlds(self, worlds: Mapping[str, World]) -> None:
        assets = self._runtime.services.assets._replace(worlds=worlds)
        self._use(assets, lambda seen: State(available_worlds=snapshot.world_options(seen)))

    def _put_rules(self, rules: Mapping[str, Rule]) -> None:
        assets = self._runtime.services.assets._replace(rules=rules)
        self._use(assets, lambda seen: State(available_rules=snapshot.rule_options(seen)))

    def _use(self, assets: Assets, made: Callable[[Assets], State]) -> None:
        whole = self._libraries.added_to(assets)
        self._runtime.services = replace(self._runtime.services, assets=whole)
        self._imports.tell_everybody(made)
