"""The vector indexes in memory: opened on first use, at most so many, rebuilt and saved when idle.

Owns which indexes are open and when they are built, saved and closed. The rows in the database are
the truth: an index is made equal to them when it is opened, and every change of rows is carried
over by ``changed``. A change that was interrupted in between marks the scope as stale, which makes
the next use compare again.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import trio

from flower import limits
from flower.engine.store import vector_rows
from flower.engine.store.connection import Store
from flower.engine.store.passages import Changed
from flower.errors import FlowerError

if TYPE_CHECKING:
    from flower.engine.recall.hnsw import Hits, Marks
    from flower.engine.recall.scope_index import ScopeIndex
    from flower.engine.store.vector_rows import Vectors

MARKS_PAGE = 5_000  # marks of rows read at once, which takes 12 ms
VECTORS_PAGE = 2_000  # rows read at once into an index, so that the database answers others too
INLINE_ROWS = 10_000  # up to here a search takes 0.4 ms: less than a thread switch is worth

# numpy is imported with the first index: it costs a start time, and it may be broken.

Say = Callable[[str], None]


def is_installed() -> bool:
    """Whether there is an hnswlib by now: it may be compiled while an engine already runs."""
    importlib.invalidate_caches()
    return importlib.util.find_spec("hnswlib") is not None


class VectorIndexes:
    """Nearest neighbours by scope. ``say`` gets a sentence for the user when something is wrong."""

    def __init__(
        self, database: Store, model_id: str, dimension: int, index_dir: Path, say: Say
    ) -> None:
        self._database = database
        self._model_id = model_id
        self._dimension = dimension
        self._index_dir = index_dir
        self._say = say
        self._open: dict[str, ScopeIndex] = {}  # least recently used first
        self._stale: set[str] = set()
        # While somebody has one: a lock for every story that was ever played would be kept for nothing.
        self._locks: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()
        self._cannot_build: set[str] = set()

    async def open(self, scope: str) -> None:
        """Reads the index of a scope, if it is not open; raises ``StoreError``."""
        await self._index(scope)

    def is_open(self, scope: str) -> bool:
        """Whether the index of a scope is in memory; it may still have to be compared with the rows."""
        return scope in self._open

    async def search(self, scope: str, vector: Vectors, count: int) -> Hits:
        """Returns the nearest rows of a scope; raises ``StoreError``."""
        index = await self._index(scope)
        if len(index) <= INLINE_ROWS:
            return index.search(vector, count)
        return await trio.to_thread.run_sync(index.search, vector, count)

    @asynccontextmanager
    async def changing(self, scopes: Iterable[str]) -> AsyncIterator[None]:
        """Marks scopes as stale if the block, which changes rows and calls ``changed``, ends badly."""
        names = set(scopes)
        try:
            yield
        except BaseException:
            self._stale |= names
            raise

    async def changed(self, scope: str, change: Changed) -> None:
        """Carries a change of rows over to the index, if it is open."""
        async with self._lock(scope):
            index = self._open.get(scope)
            if index is None:
                return
            import numpy as np

            index.remove(np.array(change.removed, np.int64))
            if change.added:
                await self._add(index, change.added)

    def forget(self, scope: str) -> None:
        """Closes the index of a scope that is gone, and deletes its files."""
        index = self._open.pop(scope, None) or self._new(scope)
        index.discard()
        self._locks.pop(scope, None)

    def doubt(self, scope: str) -> None:
        """Compares a scope, or all, with its rows before the next search: another engine may have changed them."""
        self._stale.update([scope] if scope else {*self._open, *self._locks})  # also what is being read

    async def maintain(self) -> None:
        """Builds and enlarges the graphs that want it; raises nothing but cancellation.

        While hnswlib is not installed, which may happen beside this very process, searches stay exact.
        """
        for index in tuple(self._open.values()):
            if index.wants_build and index.scope not in self._cannot_build and is_installed():
                try:
                    await trio.to_thread.run_sync(index.build, trio.from_thread.check_cancelled)
                except FlowerError as error:
                    self._cannot_build.add(index.scope)
                    self._say(f"✗ Large lore is searched slowly: {error}")

    @property
    def wants_save(self) -> bool:
        return any(index.wants_save for index in self._open.values())

    async def save(self) -> None:
        """Writes the graphs that have changed."""
        for index in tuple(self._open.values()):
            await self._save(index)

    async def _save(self, index: ScopeIndex) -> None:
        if not index.wants_save:
            return
        try:
            await trio.to_thread.run_sync(index.save)
        except FlowerError as error:
            self._say(f"✗ {error}")

    async def _index(self, scope: str) -> ScopeIndex:
        async with self._lock(scope):
            index = self._open.get(scope)
            if index is None or scope in self._stale:
                self._stale.discard(
                    scope
                )  # before rows are read: another engine may change some meanwhile
                async with self.changing([scope]):
                    if index is None:
                        index = await self._load(scope)
                    else:
                        await self._reconcile(index, await self._marks(scope))
            self._open.pop(scope, None)
            self._open[scope] = index  # now the most recently used
        while len(self._open) > limits.INDEXES_OPEN:
            oldest = next(iter(self._open))
            await self._save(self._open.pop(oldest))
        return index

    async def _load(self, scope: str) -> ScopeIndex:
        index = self._new(scope)
        current = await self._marks(scope)
        reason = await trio.to_thread.run_sync(index.open_graph, current)
        if reason:
            self._say(f"✗ The index of {scope} is rebuilt in the background: {reason}.")
        if len(index):
            await self._reconcile(index, current)
        else:
            index.reserve(len(current))
            await self._fill(index)
        return index

    async def _fill(self, index: ScopeIndex) -> None:
        after, size = 0, VECTORS_PAGE
        while size == VECTORS_PAGE:
            rows = await self._database.read(
                vector_rows.page_of_vectors,
                self._model_id,
                index.scope,
                self._dimension,
                after=after,
                limit=VECTORS_PAGE,
            )
            index.add(rows.ids, rows.marks, rows.vectors)
            size = len(rows.ids)
            after = int(rows.ids[-1]) if size else after

    async def _reconcile(self, index: ScopeIndex, current: Marks) -> None:
        """Makes an index equal to the rows of its scope, which have the marks ``current``.

        The scope is locked: what changes rows after they were read carries that over when this has ended.
        """
        indexed = index.marks()
        index.remove(indexed.ids[~indexed.fit(current)])
        missing = current.ids[~current.fit(indexed)].tolist()
        for start in range(0, len(missing), VECTORS_PAGE):
            await self._add(index, missing[start : start + VECTORS_PAGE])

    async def _marks(self, scope: str) -> Marks:
        """Returns the marks of the rows of a scope, which is locked: what changes meanwhile is carried over then."""
        import numpy as np

        from flower.engine.recall.hnsw import Marks

        pages, after, size = [], 0, MARKS_PAGE
        while size == MARKS_PAGE:
            page = await self._database.read(
                vector_rows.page_of_marks, self._model_id, scope, after=after, limit=MARKS_PAGE
            )
            pages.append(page)
            size = len(page[0])
            after = int(page[0][-1]) if size else after
        return Marks(*(np.concatenate(column) for column in zip(*pages, strict=True)))

    async def _add(self, index: ScopeIndex, ids: Iterable[int]) -> None:
        rows = await self._database.read(vector_rows.vectors_of, self._model_id, ids, self._dimension)
        index.add(rows.ids, rows.marks, rows.vectors)

    def _new(self, scope: str) -> ScopeIndex:
        from flower.engine.recall.scope_index import ScopeIndex

        return ScopeIndex(scope, self._model_id, self._dimension, self._index_dir)

    def _lock(self, scope: str) -> trio.Lock:
        return self._locks.setdefault(scope, trio.Lock())  # held by whoever got it
