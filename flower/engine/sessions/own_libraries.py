"""The libraries of users in memory: read when their owner comes or a story of theirs is opened, and let go again.

What a home has is at hand for everybody, always; what one user has is needed while they or their stories are here.
``read`` has to have returned before prompts and lists of that user are made.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import trio

from flower.engine.assets.kinds import Assets, Rule, World
from flower.engine.assets.shelves import CharacterList, ImportedCharacter, OwnShelf, Shelf
from flower.engine.assets.yaml_files import FOLDERS, Asset
from flower.engine.store.connection import Store
from flower.engine.store.library import characters, own_assets
from flower.engine.store.library.characters import Stored

KEPT = 64  # libraries of people who have left


class OwnLibrary(NamedTuple):
    """What one user has; changed in place."""

    worlds: dict[str, World]
    characters: CharacterList
    rules: dict[str, Rule]


def _empty() -> OwnLibrary:
    return OwnLibrary({}, CharacterList({}, ImportedCharacter(characters.unpacked)), {})


EMPTY = _empty()


class OwnLibraries:
    """``in_use`` returns the users whose library must stay."""

    def __init__(
        self,
        database: Store,
        now: Callable[[], float],
        in_use: Callable[[], Collection[int]],
    ) -> None:
        self._database = database
        self._now = now
        self._in_use = in_use
        self._read: OrderedDict[int, OwnLibrary] = OrderedDict()
        self._one_at_a_time = trio.Lock()

    def of(self, user: int) -> OwnLibrary:
        """Returns what a user has, nothing where it was not read."""
        return self._read.get(user, EMPTY)

    async def read(self, user: int) -> None:
        """Has a user's library at hand. Raises ``StoreError``."""
        if not user:
            return
        if user in self._read:
            self._read.move_to_end(user)
            return
        async with self._one_at_a_time:
            if user not in self._read:
                await self._fetch(user)
        if len(self._read) > KEPT:
            self._let_go()

    async def read_again(self, user: str) -> Iterable[int]:
        """Reads what is at hand anew, all of it for "" or that of one user; returns whose was.

        Raises ``StoreError``.
        """
        meant = [one for one in self._read if user in ("", str(one))]
        async with self._one_at_a_time:
            for one in meant:
                await self._fetch(one)
        return meant

    async def _fetch(self, user: int) -> None:
        rows = await self._database.read(own_assets.of_user, user)
        imported = ImportedCharacter(characters.unpacked)
        for stored in rows.imported:
            imported.put(stored.brief, stored.packed)
        self._read[user] = OwnLibrary(
            dict(rows.worlds), CharacterList(dict(rows.characters), imported), dict(rows.rules)
        )

    def _let_go(self) -> None:
        in_use = self._in_use()
        for user in [one for one in self._read if one not in in_use]:
            if len(self._read) <= KEPT:
                return
            del self._read[user]

    # --- as it is seen ----------------------------------------------------------------------------

    def added_to(self, assets: Assets) -> Assets:
        """Returns the home's assets with those of users, which are found by their id and listed nowhere."""
        return assets._replace(
            worlds=Shelf(_shared(assets.worlds), lambda user: self.of(user).worlds),
            characters=Shelf(_shared(assets.characters), lambda user: self.of(user).characters),
            rules=Shelf(_shared(assets.rules), lambda user: self.of(user).rules),
        )

    def seen_by(self, user: int, assets: Assets) -> Assets:
        """Returns the assets as a user sees them: their own, then the home's; nobody else's, whatever the id."""
        if not user:
            return shared_of(assets)
        mine, shared = self.of(user), shared_of(assets)
        return assets._replace(
            worlds=OwnShelf(user, mine.worlds, shared.worlds),
            characters=OwnShelf(user, mine.characters, shared.characters),
            rules=OwnShelf(user, mine.rules, shared.rules),
        )

    # --- changed ----------------------------------------------------------------------------------

    async def write(self, user: int, asset: Asset) -> None:
        """Stores something of a user's and plays with it from now on. Raises ``StoreError``."""
        await self.read(user)
        kind = FOLDERS[type(asset)]
        await self._database.write(own_assets.put, user, kind, asset, self._now())
        self._written(user, kind)[asset.id] = asset

    async def remove(self, user: int, asset: Asset) -> bool:
        """Deletes something of a user's; returns whether an imported one of its id is there again.

        Raises ``StoreError``.
        """
        await self.read(user)
        kind = FOLDERS[type(asset)]
        if await self._database.write(own_assets.remove, user, kind, asset.id):
            self._written(user, kind).pop(asset.id, None)
            return kind == "characters" and asset.id in self.of(user).characters
        await self._database.write(characters.remove, asset.id)
        self.of(user).characters.imported.drop(asset.id)
        return False

    def put_imported(self, user: int, imported: Iterable[Stored]) -> None:
        """Takes over the cards that a user has imported."""
        if user in self._read:
            for stored in imported:
                self.of(user).characters.imported.put(stored.brief, stored.packed)

    def _written(self, user: int, kind: str) -> dict[str, Any]:
        mine = self.of(user)
        if kind == "characters":
            written = mine.characters.written
            assert isinstance(written, dict)
            return written
        assets: dict[str, Any] = getattr(mine, kind)
        return assets


def _shared(kind: Mapping[str, Any]) -> Mapping[str, Any]:
    return kind.shared if isinstance(kind, Shelf) else kind


def shared_of(assets: Assets) -> Assets:
    """Returns what the home has for everybody."""
    return assets._replace(
        worlds=_shared(assets.worlds),
        characters=_shared(assets.characters),
        rules=_shared(assets.rules),
    )
