"""The library: lore and memory that a narrator can be reminded of.

``PassageLibrary`` is the ``Library`` of an engine. Text that comes in is cut and stored at once and found by its
words from then on; ``Background`` gives it vectors. What has a vector keeps it over restarts: nothing is
embedded twice.

Without a model recall goes by words only, which is said once.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from flower import limits
from flower.engine.recall.background import Background, Notify
from flower.engine.recall.base import Considered, Embedder, Hit, Query, Ranked, scopes_of
from flower.engine.recall.chunking import chunk
from flower.engine.recall.keyword_indexes import KeywordIndexes
from flower.engine.recall.native_check import NoNumpyError, load_numpy
from flower.engine.recall.ranking import Tuning
from flower.engine.store import passages
from flower.engine.store.connection import Connection, Store
from flower.engine.store.passages import Changed, Chunk, Kind, Passage

MEMORIES_TITLED = 8  # of an older version, that get the speakers' names with every new exchange
MEMORY_REST_S = 30.0  # without a new exchange, until memories get vectors that no prompt needs yet
INLINE_CHARS = 50_000  # up to here text is cut into passages on the spot, 10 ms

CHUNKER = b"2"  # changes when the same text would be cut another way


class PassageLibrary:
    """Stores passages, keeps them searchable, recalls them.

    ``notify`` gets one line for the user and, while something long runs, how far it is. ``previous`` is the
    model of before, which is asked until every passage has a vector of ``embedder``; ``settled`` is called then.
    """

    def __init__(
        self,
        database: Store,
        embedder: Embedder,
        index_dir: Path,
        *,
        notify: Notify,
        clock: Callable[[], float] = time.time,
        tuning: Tuning = Tuning(),  # noqa: B008 - frozen
        previous: Embedder | None = None,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._index_dir = index_dir
        self._clock = clock
        self._keywords = KeywordIndexes(database)
        self._background = Background(
            database,
            embedder,
            self._keywords,
            index_dir,
            notify=notify,
            clock=clock,
            tuning=tuning,
            previous=previous,
            settled=settled,
        )

    async def run(self) -> None:
        """Gives new passages their vectors and keeps the indexes, until cancelled."""
        await self._background.run()

    # --- changes --------------------------------------------------------------------------------

    async def sync_source(self, scope: str, source: str, title: str, text: str) -> int:
        """Makes the passages of one source equal to ``text``; returns how many came or went.

        Fast, and nothing at all when the text is the same as last time: vectors come later, from
        ``run``. Raises ``StoreError``.
        """
        digest = hashlib.sha256(
            b"\0".join([CHUNKER, title.encode("utf-8", "replace"), text.encode("utf-8", "replace")])
        ).digest()
        if await self._database.read(passages.source_digest, scope, source) == digest:
            return 0
        if len(text) <= INLINE_CHARS:
            drafts = chunk(text, title)
        else:
            drafts = await trio.to_thread.run_sync(chunk, text, title)
        kind: Kind = "memory" if scope.startswith("memory:") else "lore"
        async with self._changing([scope]):
            change = await self._database.write(
                passages.replace_source,
                kind,
                scope,
                source,
                drafts,
                digest=digest,
                created=self._clock(),
            )
            await self._changed(scope, change)
        return len(change.added) + len(change.removed)

    async def sync_sources(self, scope: str, texts: Mapping[str, tuple[str, str]]) -> int:
        """Makes a scope equal to some short sources, each a title and a text; returns what came or went.

        All in one transaction. Raises ``StoreError``.
        """
        async with self._changing([scope]):
            changes = await self._database.write(
                _replace_sources, scope, await trio.to_thread.run_sync(_drafts, texts), self._clock()
            )
            for change in changes:
                await self._background.current.indexes.changed(scope, change)
        return sum(len(change.added) + len(change.removed) for change in changes)

    async def remember(
        self,
        scope: str,
        message_id: int | None,
        title: str,
        text: str,
        *,
        importance: float = 0.0,
        pinned: bool = False,
    ) -> None:
        """Stores the memory that ends with a message, in place of an earlier one; long ones are cut.

        Its words are found at once. Its vectors come when nobody has played for ``MEMORY_REST_S``, or with
        ``embed_soon``: until then the exchange itself is in front of the narrator. Raises ``StoreError``.
        """
        names, _, scene = title.partition("\n")
        pieces = chunk(text, names, budget=limits.EMBED_TOKENS)
        source = f"message:{message_id}" if message_id is not None else "told"
        now = self._clock()
        memories = [
            Passage(
                0,
                "memory",
                scope,
                source,
                f"{piece.title}\n{scene}" if scene else piece.title,
                piece.text,
                message_id,
                now,
                pinned,
                importance,
            )
            for piece in pieces
        ]
        async with self._changing([scope], rest_s=MEMORY_REST_S):
            change = await self._database.write(passages.add_memories, memories)
            await self._changed(scope, change)

    async def title_memories(self, scope: str, title: str, *, after: int = 0) -> int:
        """Gives some memories that have no title one; returns the id to go on after, 0 at the end.

        They are found by their words at once, and by meaning when their new vectors are made. Raises ``StoreError``.
        """
        async with self._changing([scope], rest_s=MEMORY_REST_S):
            change, last = await self._database.write(
                partial(
                    passages.title_memories,
                    scope=scope,
                    title=title,
                    after=after,
                    limit=MEMORIES_TITLED,
                )
            )
            await self._changed(scope, change)
        return last

    def embed_soon(self) -> None:
        """Gives memories their vectors now: the history of a prompt does not reach back to them any more."""
        self._background.embed_soon()

    async def drop_source(self, scope: str, source: str) -> int:
        """Deletes the passages of one source; returns how many there were. Raises ``StoreError``."""
        async with self._changing([scope]):
            change = await self._database.write(passages.drop_source, scope, source)
            await self._changed(scope, change)
        return len(change.removed)

    async def drop_scope(self, scope: str) -> int:
        """Deletes a world's lore or a session's memory; returns how many there were."""
        change = await self._database.write(passages.drop_scope, scope)
        self._keywords.forget(scope)
        try:
            await load_numpy(self._index_dir)
        except NoNumpyError as error:
            self._background.fail(error)  # its files stay: they are of a scope that never comes again
        else:
            self._background.current.indexes.forget(scope)
        return len(change.removed)

    def doubt(self, scope: str) -> None:
        """Lets the next recall look at the rows of a scope, or of all, again: another engine may have changed them."""
        self._keywords.doubt(scope)
        self._background.current.indexes.doubt(scope)

    async def forget(self, passage_id: int) -> bool:
        """Deletes one passage; returns whether there was one. Raises ``StoreError``."""
        passage = await self.get(passage_id)
        if passage is None:
            return False
        async with self._changing([passage.scope]):
            change = await self._database.write(passages.drop_passage, passage_id)
            await self._changed(passage.scope, change)
        return bool(change.removed)

    async def rewrite(self, passage_id: int, text: str) -> int:
        """Gives a passage another text; returns its new number, 0 if there is none. Raises ``StoreError``."""
        passage = await self.get(passage_id)
        if passage is None:
            return 0
        async with self._changing([passage.scope], rest_s=MEMORY_REST_S):
            change = await self._database.write(passages.rewrite, passage_id, text)
            await self._changed(passage.scope, change)
        return change.added[0] if change.added else 0

    async def forget_messages(self, message_ids: Iterable[int]) -> int:
        """Deletes the memories that end with these messages; returns how many there were."""
        changes = await self._database.write(passages.drop_messages, tuple(message_ids))
        async with self._changing(changes):
            for scope, change in changes.items():
                await self._changed(scope, change)
        return sum(len(change.removed) for change in changes.values())

    async def pin(self, passage_id: int, pinned: bool = True) -> bool:
        """Makes a passage come first in every recall; returns whether there is such a passage."""
        return await self._database.write(passages.set_pinned, passage_id, pinned)

    @asynccontextmanager
    async def _changing(
        self, scopes: Iterable[str], *, rest_s: float = -math.inf
    ) -> AsyncIterator[None]:
        """Wakes the background at the end, also of a change that was cancelled after its commit.

        What it embeds then may wait for ``rest_s``; whatever cannot wait takes along what can.
        """
        try:
            names = tuple(scopes)
            async with self._background.current.indexes.changing(names), self._keywords.changing(names):
                yield
        finally:
            self._background.wake(rest_s)

    async def _changed(self, scope: str, change: Changed) -> None:
        """Carries a change of rows over to both indexes."""
        await self._keywords.changed(scope, change)
        await self._background.current.indexes.changed(scope, change)

    @property
    def trouble(self) -> str:
        """Why recall goes by words only at the moment, "" if it does not."""
        return self._background.trouble

    # --- questions ------------------------------------------------------------------------------

    async def get(self, passage_id: int) -> Passage | None:
        """Returns one passage, or None."""
        return (await self._database.read(passages.get, [passage_id])).get(passage_id)

    async def list(
        self, scope: str, *, limit: int = limits.PASSAGES_LISTED, after: int = 0
    ) -> tuple[Passage, ...]:
        """Returns a page of a scope by id; ``after`` is the last id of the page before."""
        return await self._database.read(passages.list_passages, scope, limit=limit, after=after)

    async def sources(self, scope: str) -> dict[str, int]:
        """Returns how many passages each source of a scope has."""
        return await self._database.read(passages.list_sources, scope)

    async def search(self, scope: str, words: str, *, limit: int = 10) -> tuple[Hit, ...]:
        """Returns the passages of a scope that fit best, whatever their length.

        Raises ``StoreError``, and ``EmbedError`` where nothing can be recalled at all.
        """
        await load_numpy(self._index_dir)
        return await self._background.current.searcher.search(
            scope, await self._background.ask(Query(words)), limit
        )

    async def explain(
        self, scope: str, words: str, *, limit: int = 10, visible: Container[int] | None = None
    ) -> tuple[Ranked, ...]:
        """Returns what ``search`` does, with what each place in the ranking is made of; raises the same.

        ``visible``: messages whose memories count, None for all.
        """
        await load_numpy(self._index_dir)
        query = Query(words, visible_messages=visible)
        return await self._background.current.searcher.explain(
            scope, await self._background.ask(query), limit, query
        )

    async def recall(self, query: Query) -> tuple[Hit, ...]:
        """Returns what ``consider`` found."""
        return (await self.consider(query)).hits

    async def consider(self, query: Query) -> Considered:
        """Returns what a turn should be reminded of, within the query's budget, and what nearly was.

        Raises ``StoreError``. Without a model it goes by words, and says so once; without numpy nothing
        is recalled, which is said once, too.
        """
        try:
            await load_numpy(self._index_dir)
        except NoNumpyError as error:
            self._background.fail(error)
            return Considered()
        questions = await self._background.ask_in(scopes_of(query), query)
        return await self._background.current.searcher.recall(query, questions)

    def warm(self, scopes: Iterable[str]) -> None:
        """Reads the indexes of large scopes while nobody waits: lines will be asked about them."""
        self._background.warm(scopes)

    def expect(self, context: str) -> None:
        """Gets ready for a line that follows upon ``context``, while nobody waits."""
        self._background.expect(context)


def _drafts(texts: Mapping[str, tuple[str, str]]) -> dict[str, tuple[bytes, Sequence[Chunk]]]:
    """Returns sources as digest and passages."""
    return {
        source: (
            hashlib.sha256(f"{title}\0{text}".encode("utf-8", "replace")).digest(),
            chunk(text, title),
        )
        for source, (title, text) in texts.items()
    }


def _replace_sources(
    db: Connection, scope: str, sources: Mapping[str, tuple[bytes, Sequence[Chunk]]], now: float
) -> list[Changed]:
    """Makes the passages of a scope equal to those of some sources; what did not change is not written."""
    changes = [
        passages.drop_source(db, scope, source)
        for source in passages.list_sources(db, scope)
        if source not in sources
    ]
    for source, (digest, drafts) in sources.items():
        if passages.source_digest(db, scope, source) != digest:
            changes.append(
                passages.replace_source(db, "lore", scope, source, drafts, digest=digest, created=now)
            )
    return changes
