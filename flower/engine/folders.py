"""Which folders worlds follow, and the tasks that follow them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import trio

from flower.engine.background import guarded
from flower.engine.preparation import lore_scope
from flower.engine.recall.folder import PREFIX, Folder
from flower.engine.recall.library import Library
from flower.engine.store.database import Database
from flower.errors import CommandError


class Folders:
    """One task per world that follows a folder; survives restarts through the database."""

    def __init__(
        self, database: Database, library: Library, nursery: trio.Nursery, notify: Callable[[str], None]
    ) -> None:
        self._database = database
        self._library = library
        self._nursery = nursery
        self._notify = notify
        self._following: dict[str, trio.CancelScope] = {}
        self._changing = trio.Lock()  # one folder of a world at a time

    async def start(self) -> None:
        """Follows every folder that was followed before."""
        for world_id, path in await self._database.read(_load):
            self._follow(world_id, Path(path))

    async def sync(self, world_id: str, text: str) -> Path:
        """Makes a world follow a folder instead of the one before; returns its full path.

        Raises ``CommandError`` if it is no folder that can be read.
        """
        path = await trio.to_thread.run_sync(_folder, text)
        async with self._changing:
            await self._unsync(world_id)
            await self._database.write(_save, world_id, str(path))
            self._follow(world_id, path)
        return path

    async def unsync(self, world_id: str) -> bool:
        """Stops following and deletes what came from the folder; returns whether there was one."""
        async with self._changing:
            return await self._unsync(world_id)

    async def _unsync(self, world_id: str) -> bool:
        scope = self._following.pop(world_id, None)
        if scope is not None:
            scope.cancel()
        await self._database.write(_forget, world_id)
        for source in await self._library.sources(lore_scope(world_id)):
            if source.startswith(PREFIX):
                await self._library.drop_source(lore_scope(world_id), source)
        return scope is not None

    def _follow(self, world_id: str, path: Path) -> None:
        scope = self._following[world_id] = trio.CancelScope()
        folder = Folder(self._library, lore_scope(world_id), path, self._notify)

        async def follow() -> None:
            with scope:
                await folder.follow()

        self._nursery.start_soon(guarded, f"following {path}", follow)


def _folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise CommandError("Give the whole path of the folder, for example /home/me/lore.")
    if not path.is_dir():
        raise CommandError(f"There is no folder {path} on the engine's machine.")
    return path


def _load(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return db.execute("SELECT world_id, path FROM synced_folders").fetchall()


def _save(db: sqlite3.Connection, world_id: str, path: str) -> None:
    db.execute("INSERT OR REPLACE INTO synced_folders VALUES (?, ?)", (world_id, path))


def _forget(db: sqlite3.Connection, world_id: str) -> None:
    db.execute("DELETE FROM synced_folders WHERE world_id = ?", (world_id,))
