"""The folder ``import/`` of a home: what is put there is imported, then moved out of the way.

A file is imported once it has stopped growing, since ``scp`` writes for a while. Then it is in ``done/``, or in
``failed/`` with a text beside it that says why.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import trio

from flower.engine.folder_events import FolderEvents
from flower.engine.importing.importer import Importer
from flower.engine.importing.take import Taken
from flower.errors import FlowerError, ImportFileError, UnknownPlayerError

log = logging.getLogger(__name__)

DONE, FAILED = "done", "failed"
SETTLED_S = 2.0  # a file that has not changed for so long is whole
RESCAN_S = 60.0  # changes that the system did not tell of are seen then
FILES_MOST = 20_000  # of one look
FOLDERS_MOST = 500  # watched; what comes into further ones is seen at the next rescan

Stamp = tuple[int, int]  # size and time of change


class ImportFolder:
    """One home's folder; ``notify`` gets a sentence when files were imported or could not be."""

    def __init__(self, importer: Importer, root: Path, notify: Callable[[str], None]) -> None:
        self._importer = importer
        self._root = root
        self._notify = notify
        self._seen: dict[Path, Stamp] = {}

    async def follow(self) -> NoReturn:
        """Imports what comes until cancelled. Raises ``OSError`` if the folder cannot be used."""
        await trio.to_thread.run_sync(self._make)
        with FolderEvents() as events:
            while True:
                if not events.watch(await trio.to_thread.run_sync(self._folders)):
                    await events.wait(RESCAN_S)
                await self.take_all()

    def _make(self) -> None:
        for folder in (self._root, self._root / DONE, self._root / FAILED):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def take_all(self) -> None:
        """Imports what is there, and waits for what still grows."""
        good, bad = 0, 0
        while True:
            files = await trio.to_thread.run_sync(self._files)
            ready = [path for path, stamp in files.items() if self._seen.get(path) == stamp]
            self._seen = files
            for path in ready:
                failed = await self._take(path)
                good, bad = good + (not failed), bad + failed
            if len(ready) == len(files):
                break
            await trio.sleep(SETTLED_S)
        if good or bad:
            failures = f", {bad} not: see import/{FAILED}/" if bad else ""
            self._notify(f"{'✗' if bad else '✓'} From the folder import/: {good} imported{failures}.")

    def _folders(self) -> list[Path]:
        """Returns the folders that files may come into."""
        folders: list[Path] = []
        for folder, names, _ in os.walk(self._root):
            if Path(folder) == self._root:
                names[:] = [name for name in names if name not in (DONE, FAILED)]
            folders.append(Path(folder))
            if len(folders) == FOLDERS_MOST:
                break
        return folders

    def _files(self) -> dict[Path, Stamp]:
        """Returns what is in the folder and below it, outside ``done`` and ``failed``."""
        stamps: dict[Path, Stamp] = {}
        for folder, folders, names in os.walk(self._root):
            if Path(folder) == self._root:
                folders[:] = [name for name in folders if name not in (DONE, FAILED)]
            for name in names:
                path = Path(folder, name)
                if name.startswith(".") or path.is_symlink():
                    continue
                try:
                    status = path.stat()
                except OSError:
                    continue  # it is gone again
                stamps[path] = (status.st_size, status.st_mtime_ns)
                if len(stamps) == FILES_MOST:
                    return stamps
        return stamps

    async def _take(self, path: Path) -> bool:
        """Imports a file and moves it; returns whether it could not be imported."""
        why = ""
        try:
            report: Taken | None = await self._importer.take(path, path.name)
        except UnknownPlayerError as error:
            report = None
            why = f"{error}.\nImport it with: flower import --me NAME {path.name}"
        except ImportFileError as error:
            report, why = None, f"{error}."
        # A full disk is no fault of the file: ``StoreError`` leaves it where it is, for the next look.
        await trio.to_thread.run_sync(self._move, path, why)
        log.info("import folder: %s", "failed" if report is None else report.state)
        return report is None

    def _move(self, path: Path, why: str) -> None:
        place = self._root / (FAILED if why else DONE) / path.relative_to(self._root)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = 1
        while place.exists():
            number += 1
            place = place.with_name(f"{path.stem} {number}{path.suffix}")
        os.replace(path, place)
        if why:
            place.with_name(f"{place.name}.txt").write_text(why[:1].upper() + why[1:] + "\n")
        self._seen.pop(path, None)
        for folder in path.parents:  # of a folder that was put here, once it is empty
            if folder == self._root:
                break
            try:
                folder.rmdir()
            except OSError:
                break


async def follow(importer: Importer, root: Path, notify: Callable[[str], None]) -> None:
    """Imports what comes into ``root`` until cancelled; trouble with the folder is reported once."""
    last_reason = ""
    while True:
        try:
            await ImportFolder(importer, root, notify).follow()
        except* (OSError, FlowerError) as group:
            reason = str(_first(group))
            if reason != last_reason:
                last_reason = reason
                notify(f"✗ The folder import/ cannot be followed: {reason}")
        await trio.sleep(RESCAN_S)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
