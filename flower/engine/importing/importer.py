"""Reads files of other programs and takes them over, one after the other.

A file is read in a thread and stored in one transaction, so that stories go on meanwhile and a broken file
leaves nothing behind. One file at a time: its content and its values are what an import costs in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from functools import partial
from pathlib import Path

import trio

from flower import file_io, limits
from flower.engine.importing import library_archive, take
from flower.engine.importing.take import File, Taken, TakeOutcome
from flower.engine.interchange import reader
from flower.engine.interchange.fields import stem_of
from flower.engine.store.connection import Store
from flower.engine.store.library import originals
from flower.errors import ImportFileError

log = logging.getLogger(__name__)


class Importer:
    """Imports into one home, for everybody or into the library of one user."""

    def __init__(
        self,
        database: Store,
        *,
        written: Callable[[], Container[str]],
        changed: Callable[[TakeOutcome, int], None],
        now: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        """``written``: ids of characters that files of the home have; ``changed`` hears what is new, and whose."""
        self._database = database
        self._written = written
        self._changed = changed
        self._now = now
        self._new_id = new_id
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def take(
        self, path: Path, name: str, me: str = "", *, scripts_allowed: bool = False, user: int = 0
    ) -> Taken:
        """Returns what became of the file at ``path``, which is called ``name`` where it came from.

        ``me`` is the player's name in a chat that does not tell; ``scripts_allowed``: the scripts of cards
        may act at once; ``user`` is whose it will be, 0 for everybody's. Raises ``ImportFileError`` with one
        sentence for a file that cannot be imported, ``StoreError``; then nothing of it was taken over.
        """
        async with self._one_at_a_time:
            if not await trio.to_thread.run_sync(_is_library, path):
                outcome = await self._take_file(path, name, me, scripts_allowed, user)
            elif user:
                raise ImportFileError(
                    "it is the archive of a whole home, which only whoever keeps this one can take over"
                )
            else:
                outcome = await self._take_library(path, name, scripts_allowed)
        if outcome.report.state == "already here":
            return outcome.report
        log.info("imported kind=%s state=%s", outcome.report.kind, outcome.report.state)
        self._changed(outcome, user)
        return outcome.report

    async def _take_file(
        self, path: Path, name: str, me: str, scripts_allowed: bool, user: int
    ) -> TakeOutcome:
        data, hash_ = await trio.to_thread.run_sync(_content, path)
        before = await self._database.read(take.already_here, hash_, user, stem_of(name))
        if before is not None:
            return TakeOutcome(before)
        stem = stem_of(name)
        imported = await trio.to_thread.run_sync(reader.read, data, stem, me)
        file = File(stem, data, hash_, imported)
        return await self._database.write(
            take.take, file, self._now(), self._new_id(), self._written(), scripts_allowed, user
        )

    async def _take_library(self, path: Path, name: str, scripts_allowed: bool) -> TakeOutcome:
        assets = self._database.path.parent / "assets"
        return await self._database.write(
            partial(library_archive.take, scripts_allowed=scripts_allowed), path, stem_of(name), assets
        )


def _is_library(path: Path) -> bool:
    try:
        return path.is_file() and library_archive.is_library(path)
    except OSError as error:
        raise ImportFileError(f"the file cannot be read ({error.strerror or error})") from error


def _content(path: Path) -> tuple[bytes, bytes]:
    """Returns what is in a file, and its hash. Raises ``ImportFileError``."""
    try:
        data = file_io.read(path, limits.IMPORT_BYTES + 1)
    except OSError as error:
        raise ImportFileError(f"the file cannot be read ({error.strerror or error})") from error
    if len(data) > limits.IMPORT_BYTES:
        raise ImportFileError(f"the file is larger than {limits.IMPORT_BYTES // limits.MIB} MiB")
    return data, originals.digest(data)
