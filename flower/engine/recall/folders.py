"""Keeps the lore of a world equal to a folder of text files.

``Folder.follow`` compares once, then watches. Every change leads to a look at the whole folder, by
size and time of change: moves, renames and lost events need no rules of their own, and only files that
changed are read. A folder that is gone or empty, such as an unmounted disk, takes no lore along.

Owns nothing but its memory of file times. Never writes to the folder.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import trio

from flower import limits
from flower.engine.lorebook.book import Entry
from flower.engine.recall.base import Library, lore_scope
from flower.engine.recall.lore_files import (
    Stamp,
    book_of,
    entry_of,
    is_remote,
    is_text,
    list_files,
    mounts,
    printable_name,
    read_text,
)
from flower.engine.store import world_lore
from flower.engine.store.connection import Connection, Store
from flower.engine.store.library import books
from flower.engine.store.library.books import Owner
from flower.engine.tasks import guarded
from flower.errors import CommandError, ConfigError, StoreError
from flower.home import expanded

FOLDER_RETRY_S = 30.0  # between two looks for a synced folder that is gone, such as an unmounted disk
FOLDER_STEP_MS = 400  # of the watching thread: wakes twice a second, ends so fast at shutdown
FOLDER_SETTLE_S = 2.0  # until the system surely tells of changes in a folder
FOLDER_RESCAN_MS = 60_000  # a look at the times of all files, in case a notification was lost
FOLDER_POLL_MS = 5_000  # between two looks into a folder on a network mount

PREFIX = "file:"  # of the sources of a synced folder


class Folder:
    """A folder and the scope that follows it; ``notify`` gets one line for each fault, once.

    ``keep`` gets the entries of the files that have keys, by file, after every look at which they changed.
    """

    def __init__(
        self,
        library: Library,
        scope: str,
        root: Path,
        notify: Callable[[str], None],
        keep: Callable[[Mapping[str, Entry]], Awaitable[None]] | None = None,
    ) -> None:
        self._keep = keep
        self._keyed: dict[str, Entry] = {}
        self._saved: dict[str, Entry] | None = None
        self._library = library
        self._scope = scope
        self._root = root
        self._notify = notify
        self._seen: dict[str, Stamp] = {}
        self._notified: set[str] = set()
        self._looking = trio.Lock()  # one look at a time

    async def follow(self) -> None:
        """Keeps the scope equal to the folder until cancelled."""
        while True:
            try:
                await self.compare()
                await self._watch()
            except* FileNotFoundError:
                self._notify_once(f"✗ The lore folder {self._root} is gone; its lore stays as it is.")
            except* (OSError, StoreError) as group:
                reasons = "; ".join(str(error) for error in _leaves(group))
                self._notify_once(f"✗ The lore folder {self._root} cannot be followed: {reasons}")
            self._seen.clear()
            await trio.sleep(FOLDER_RETRY_S)

    async def compare(self) -> int:
        """Makes the scope equal to the folder; returns how many passages came or went.

        Raises ``OSError`` when the folder cannot be read and ``StoreError``; single files that cannot
        be read are reported and skipped.
        """
        async with self._looking:
            return await self._compare()

    async def _compare(self) -> int:
        files = await trio.to_thread.run_sync(list_files, self._root)
        if not files and await self._had_files():
            self._notify_once(
                f"✗ The lore folder {self._root} is empty, as when its disk is not there; its lore stays as it is. "
                "If you emptied it, /world unsync lets the lore go."
            )
            return 0
        changes = 0
        for name, stamp in files.items():
            if not is_text(name):
                self._notify_once(
                    f"✗ {printable_name(name)} is skipped: its name is not UTF-8; rename it."
                )
            elif self._seen.get(name) != stamp:
                changes += await self._read(name)
                self._seen[name] = stamp
        changes += await self._drop_all_but(files)
        self._keyed = {name: entry for name, entry in self._keyed.items() if name in files}
        if self._keep is not None and self._saved != self._keyed:
            await self._keep(self._keyed)
            self._saved = dict(self._keyed)
        if len(files) == limits.SOURCES_FOLDER:
            self._notify_once(
                f"✗ Only the first {limits.SOURCES_FOLDER} files of {self._root} are read."
            )
        return changes

    async def _read(self, name: str) -> int:
        """Takes in a file that is new or has changed; returns how many passages came or went."""
        text, fault = await trio.to_thread.run_sync(read_text, self._root / name)
        self._keyed.pop(name, None)
        if fault:
            self._notify_once(f"✗ {name} is skipped: {fault}.")
            return await self._library.drop_source(self._scope, PREFIX + name)
        title = " > ".join(Path(name).with_suffix("").parts)
        entry, text = entry_of(PREFIX + name, title, text)
        if entry is not None:
            self._keyed[name] = entry
        return await self._library.sync_source(self._scope, PREFIX + name, title, text)

    async def _drop_all_but(self, files: Container[str]) -> int:
        """Deletes the passages of files that are gone; returns how many there were."""
        changes = 0
        for source in await self._library.sources(self._scope):
            name = source.removeprefix(PREFIX)
            if source.startswith(PREFIX) and name not in files:
                changes += await self._library.drop_source(self._scope, source)
                self._seen.pop(name, None)
        return changes

    async def _had_files(self) -> bool:
        return any(source.startswith(PREFIX) for source in await self._library.sources(self._scope))

    async def _watch(self) -> None:
        from watchfiles import (
            awatch,  # brings multiprocessing along: only whoever has such a folder pays
        )

        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_when_cancelled, stop)
            nursery.start_soon(self._look_again)
            looks = awatch(
                self._root,
                stop_event=stop,
                step=FOLDER_STEP_MS,
                force_polling=is_remote(self._root, mounts()) or None,
                poll_delay_ms=FOLDER_POLL_MS,
                rust_timeout=FOLDER_RESCAN_MS,
                yield_on_timeout=True,  # what changed before the watch began, or got lost, is seen then
            )
            async with aclosing(looks):
                async for _ in looks:
                    await self.compare()

    async def _look_again(self) -> None:
        """Sees what changed after the first look and before the system began to tell of changes."""
        await trio.sleep(FOLDER_SETTLE_S)
        await self.compare()

    def _notify_once(self, line: str) -> None:
        if line not in self._notified:
            self._notified.add(line)
            self._notify(line)


async def _set_when_cancelled(stop: trio.Event) -> None:
    # The watch sits in a thread that trio cannot cancel; it looks at this event after every step.
    try:
        await trio.sleep_forever()
    finally:
        stop.set()


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


# --- Which folders worlds follow, and the tasks that follow them.


class Folders:
    """One task per world that follows a folder; survives restarts through the database."""

    def __init__(
        self,
        database: Store,
        library: Library,
        nursery: trio.Nursery,
        notify: Callable[[str], None],
        *,
        roots: Callable[[], Sequence[Path]],
    ) -> None:
        self._roots = roots  # folders of the owner's below which lore may lie
        self._database = database
        self._library = library
        self._nursery = nursery
        self._notify = notify
        self._following: dict[str, trio.CancelScope] = {}
        self._changing = trio.Lock()  # one folder of a world at a time

    async def start(self) -> None:
        """Follows every folder that was followed before."""
        for world_id, path in await self._database.read(world_lore.folders):
            self._follow(world_id, Path(path))

    async def sync(self, world_id: str, text: str) -> Path:
        """Makes a world follow a folder instead of the one before; returns its full path.

        Raises ``CommandError`` if it is no folder that can be read.
        """
        path = await trio.to_thread.run_sync(_folder, text, self._roots())
        async with self._changing:
            await self._unsync(world_id)
            await self._database.write(world_lore.follow, world_id, str(path))
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
        await self._database.write(world_lore.unfollow, world_id)
        await self._database.write(_keep_book, world_id, {}, 0.0)
        for source in await self._library.sources(lore_scope(world_id)):
            if source.startswith(PREFIX):
                await self._library.drop_source(lore_scope(world_id), source)
        return scope is not None

    def _follow(self, world_id: str, path: Path) -> None:
        scope = self._following[world_id] = trio.CancelScope()

        async def keep(entries: Mapping[str, Entry]) -> None:
            await self._database.write(_keep_book, world_id, entries, time.time())

        folder = Folder(self._library, lore_scope(world_id), path, self._notify, keep)

        async def follow() -> None:
            with scope:
                await folder.follow()

        self._nursery.start_soon(guarded, f"following {path}", follow)


def _keep_book(db: Connection, world_id: str, entries: Mapping[str, Entry], now: float) -> None:
    """Makes the book of a world's folder equal to some entries; without any there is none."""
    book = book_of(world_id, entries)
    numbers = books.of_file(db, book.name)
    if not entries:
        for number in numbers:
            books.remove(db, number)
    elif not numbers:
        books.give(db, books.add(db, book, now), Owner.WORLD, world_id)
    elif books.read(db, numbers[0]) != book:
        books.replace(db, numbers[0], book, now)


def _folder(text: str, roots: Sequence[Path]) -> Path:
    try:
        path = expanded(text, "The folder")
    except ConfigError as error:
        raise CommandError(f"{error}.") from error
    if not path.is_absolute():
        raise CommandError("Give the whole path of the folder, for example /home/me/lore.")
    if not path.is_dir():
        raise CommandError(f"There is no folder {path} on the engine's machine.")
    if not any(path.resolve().is_relative_to(root.resolve()) for root in roots):
        allowed = " and ".join(str(root) for root in roots) or "nowhere"
        raise CommandError(
            f"{path} is none of the places for lore ({allowed}); add it to lore.roots in config.yaml."
        )
    return path
