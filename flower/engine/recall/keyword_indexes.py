"""The keyword indexes in memory: made from the rows on first use, kept equal to them, at most so many open.

Owns which are open. The rows are the truth; a change that was interrupted closes its index, and the next
use reads the rows again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import trio

from flower import limits
from flower.engine.store import term_rows
from flower.engine.store.connection import Store
from flower.engine.store.passages import Changed

if TYPE_CHECKING:
    from flower.engine.recall.keyword_index import KeywordIndex

TERMS_PAGE = 500  # passages whose words are counted or read at once


class KeywordIndexes:
    """Keyword indexes by scope."""

    def __init__(self, database: Store) -> None:
        self._database = database
        self._open: dict[str, KeywordIndex] = {}  # least recently used first
        self._locks: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()
        self._doubted: set[str] = set()  # while they were being read

    async def index(self, scope: str) -> KeywordIndex:
        """Returns the index of a scope, equal to its rows; raises ``StoreError``."""
        async with self._lock(scope):
            index = self._open.pop(scope, None)
            if index is None:
                self._doubted.discard(scope)
                index = await self._load(scope)
            if scope not in self._doubted:
                self._open[scope] = index  # now the most recently used
        while len(self._open) > limits.INDEXES_OPEN:
            del self._open[next(iter(self._open))]
        return index

    def is_open(self, scope: str) -> bool:
        """Whether the index of a scope is in memory."""
        return scope in self._open

    @asynccontextmanager
    async def changing(self, scopes: Iterable[str]) -> AsyncIterator[None]:
        """Closes the indexes of scopes if the block, which changes rows and calls ``changed``, ends badly."""
        try:
            yield
        except BaseException:
            for scope in tuple(scopes):
                self._open.pop(scope, None)
            raise

    async def changed(self, scope: str, change: Changed) -> None:
        """Carries a change of rows over to the index, if it is open."""
        async with self._lock(scope):
            index = self._open.get(scope)
            if index is None:
                return
            index.remove(change.removed)
            for start in range(0, len(change.added), TERMS_PAGE):
                part = change.added[start : start + TERMS_PAGE]
                index.add(await self._database.read(term_rows.terms_of_ids, part))

    def forget(self, scope: str) -> None:
        """Closes the index of a scope that is gone."""
        self._open.pop(scope, None)

    def doubt(self, scope: str) -> None:
        """Reads a scope, or all, anew at the next question: another engine may have changed the rows."""
        for name in [scope] if scope else {*self._open, *self._locks}:
            self._open.pop(name, None)
            if name in self._locks:
                self._doubted.add(name)

    async def _load(self, scope: str) -> KeywordIndex:
        from flower.engine.recall.keyword_index import KeywordIndex

        while await self._database.read(term_rows.count_missing, scope):
            # Of an older version of Flower: once for each scope, 0.3 ms a passage.
            await self._database.write(term_rows.store_missing, scope, limit=TERMS_PAGE)
        index = KeywordIndex()
        after, size = 0, TERMS_PAGE
        while size == TERMS_PAGE:
            rows = await self._database.read(
                term_rows.page_of_terms, scope, after=after, limit=TERMS_PAGE
            )
            index.add(rows)
            size = len(rows)
            after = rows[-1].passage_id if rows else after
        return index

    def _lock(self, scope: str) -> trio.Lock:
        return self._locks.setdefault(scope, trio.Lock())  # held by whoever got it
