"""The library: lore and memory that a narrator can be reminded of.

``PassageLibrary`` is the ``Library`` of an engine. Text that comes in is cut and stored at once and found by its
words from then on; a background task gives it vectors, a few texts at a time, so that a turn that
waits always goes first. What has a vector keeps it over restarts: nothing is embedded twice.

Owns the background task and the sentences about it. Without a model recall goes by words only, which
is said once.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flower import limits
from flower.counting import counted
from flower.engine.recall import late
from flower.engine.recall.base import Considered, Embedder, Found, Query, Ranked
from flower.engine.recall.chunking import chunk
from flower.engine.recall.keywords import Keywords
from flower.engine.recall.model_recall import ModelRecall, makes_tokens
from flower.engine.recall.numpy_check import NoNumpyError, load_numpy
from flower.engine.recall.query import Asked
from flower.engine.recall.questions import as_passages, encode
from flower.engine.recall.ranking import Tuning
from flower.engine.store import passages, vector_rows
from flower.engine.store.connection import Connection, Store
from flower.engine.store.passages import Changed, Chunk, Kind, Passage
from flower.errors import EmbedError, StoreError
from flower.protocol.messages import Progress

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors

CHUNKER = b"2"  # changes when the same text would be cut another way

Notify = Callable[[str, Progress | None], None]


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
        self._embedder = embedder
        self._index_dir = index_dir
        self._notify = notify
        self._clock = clock
        self._tuning = tuning
        self._settled = settled
        self._keywords = Keywords(database)
        self._asked = self._model_recall(previous or embedder)
        self._refused = ""  # why a new model cannot take over
        self._work = trio.Event()
        self._rest_until = -math.inf  # trio time before which new memories wait for their vectors
        self._failed_at = -math.inf  # trio time at which the embedder failed last
        self._failure = ""
        self._embedded_to = 0  # up to this id nothing is pending; newer rows have higher ids

    def _model_recall(self, embedder: Embedder) -> ModelRecall:
        return ModelRecall(
            self._database,
            embedder,
            self._keywords,
            self._index_dir,
            say=lambda line: self._notify(line, None),
            clock=self._clock,
            tuning=self._tuning,
        )

    async def run(self) -> None:
        """Gives new passages their vectors and keeps the indexes, until cancelled.

        Cancelled, it saves the indexes within ``limits.SAVE_SHIELD_S``; what is not saved then is made
        anew from the rows.
        """
        try:
            while True:
                self._work = trio.Event()
                await self._ingest()
                await self._asked.indexes.maintain()
                resting = self._resting_s
                with trio.move_on_after(resting or self._pause()) as idle:
                    await self._work.wait()
                if idle.cancelled_caught and not resting:
                    await self._asked.indexes.save()
        finally:
            with trio.move_on_after(limits.SAVE_SHIELD_S, shield=True):
                await self._asked.indexes.save()

    @property
    def _resting_s(self) -> float:
        """Returns for how many seconds memories still wait for their vectors."""
        return max(0.0, self._rest_until - trio.current_time())

    def _pause(self) -> float:
        if self._failure or self._refused:
            return limits.EMBED_RETRY_S
        return limits.INDEX_SAVE_IDLE_S if self._asked.indexes.wants_save else math.inf

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
        if len(text) <= limits.INLINE_CHARS:
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
                await self._asked.indexes.changed(scope, change)
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

        Its words are found at once. Its vectors come when nobody has played for ``limits.MEMORY_REST_S``, or with
        ``embed_soon``: until then the exchange itself is in front of the narrator. Raises ``StoreError``.
        """
        pieces = chunk(text, title, budget=limits.EMBED_TOKENS)
        source = f"message:{message_id}" if message_id is not None else "told"
        now = self._clock()
        memories = [
            Passage(
                0, "memory", scope, source, piece.title, piece.text, message_id, now, pinned, importance
            )
            for piece in pieces
        ]
        async with self._changing([scope], rest_s=limits.MEMORY_REST_S):
            change = await self._database.write(passages.add_memories, memories)
            await self._changed(scope, change)

    async def title_memories(self, scope: str, title: str, *, after: int = 0) -> int:
        """Gives some memories that have no title one; returns the id to go on after, 0 at the end.

        They are found by their words at once, and by meaning when their new vectors are made. Raises ``StoreError``.
        """
        async with self._changing([scope], rest_s=limits.MEMORY_REST_S):
            change, last = await self._database.write(
                partial(
                    passages.title_memories,
                    scope=scope,
                    title=title,
                    after=after,
                    limit=limits.MEMORIES_TITLED,
                )
            )
            await self._changed(scope, change)
        return last

    def embed_soon(self) -> None:
        """Gives memories their vectors now: the history of a prompt does not reach back to them any more."""
        if self._resting_s:
            self._rest_until = -math.inf
            self._work.set()

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
            self._fail(error)  # its files stay: they are of a scope that never comes again
        else:
            self._asked.indexes.forget(scope)
        return len(change.removed)

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
        async with self._changing([passage.scope], rest_s=limits.MEMORY_REST_S):
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
            async with self._asked.indexes.changing(names), self._keywords.changing(names):
                yield
        finally:
            self._rest_until = trio.current_time() + rest_s
            self._work.set()

    async def _changed(self, scope: str, change: Changed) -> None:
        """Carries a change of rows over to both indexes."""
        await self._keywords.changed(scope, change)
        await self._asked.indexes.changed(scope, change)

    @property
    def trouble(self) -> str:
        """Why recall goes by words only at the moment, "" if it does not."""
        return self._failure

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

    async def search(self, scope: str, words: str, *, limit: int = 10) -> tuple[Found, ...]:
        """Returns the passages of a scope that fit best, whatever their length.

        Raises ``StoreError``, and ``EmbedError`` where nothing can be recalled at all.
        """
        await load_numpy(self._index_dir)
        return await self._asked.searcher.search(scope, await self._ask(Query(words)), limit)

    async def explain(
        self, scope: str, words: str, *, limit: int = 10, visible: Container[int] | None = None
    ) -> tuple[Ranked, ...]:
        """Returns what ``search`` does, with what each place in the ranking is made of; raises the same.

        ``visible``: messages whose memories count, None for all.
        """
        await load_numpy(self._index_dir)
        query = Query(words, visible_messages=visible)
        return await self._asked.searcher.explain(scope, await self._ask(query), limit, query)

    async def recall(self, query: Query) -> tuple[Found, ...]:
        """Returns what ``consider`` found."""
        return (await self.consider(query)).found

    async def consider(self, query: Query) -> Considered:
        """Returns what a turn should be reminded of, within the query's budget, and what nearly was.

        Raises ``StoreError``. Without a model it goes by words, and says so once; without numpy nothing
        is recalled, which is said once, too.
        """
        try:
            await load_numpy(self._index_dir)
        except NoNumpyError as error:
            self._fail(error)
            return Considered()
        return await self._asked.searcher.recall(query, await self._ask(query))

    def expect(self, context: str) -> None:
        """Gets ready for a line that follows upon ``context``, while nobody waits."""
        if not self._failure and self._asked.questions.expect(context):
            self._work.set()

    async def _ask(self, query: Query) -> Asked:
        """Returns the query made ready; by its words only while the model fails."""
        if self._failure and trio.current_time() < self._failed_at + limits.EMBED_RETRY_S:
            await trio.lowlevel.checkpoint()
            return self._asked.questions.by_words(query)
        try:
            asked = await self._asked.questions.ask(query)
        except EmbedError as error:
            self._fail(error)
            return self._asked.questions.by_words(query)
        if self._failure:
            self._failure = ""
            self._work.set()  # what waits for a vector can have it now
        return asked

    # --- the background -------------------------------------------------------------------------

    async def _ingest(self) -> None:
        """Embeds every text without a vector, oldest first; stops quietly when the model fails."""
        try:
            await self._asked.questions.prepare()  # somebody may be about to speak
            if not self._resting_s and await self._embed_pending():
                self._take_over()
        except EmbedError as error:
            self._fail(error)
        except StoreError as error:
            self._failure = self._failure or str(error)  # tried again after a pause
            self._notify(f"✗ {error}", None)

    def _take_over(self) -> None:
        """Asks the new model from now on: every passage has a vector of it."""
        if self._asked.embedder is not self._embedder:
            self._asked = self._model_recall(self._embedder)
            self._notify("✓ Recall goes by the new embedding model now.", None)
        self._refused = ""
        settled, self._settled = self._settled, lambda: None
        settled()

    async def _embed_pending(self) -> bool:
        """Returns whether every passage has a vector now."""
        started = said = trio.current_time()
        model_id = self._embedder.model_id
        done = total = 0
        while True:
            await self._asked.questions.prepare()  # somebody may be about to speak
            pending, last_id = await self._database.read(
                vector_rows.list_pending,
                model_id,
                limit=limits.EMBED_REQUEST_TEXTS,
                after=self._embedded_to,
                tokens=makes_tokens(self._embedder),
            )
            if not pending:
                break
            try:
                read = as_passages(self._embedder, [item.text for item in pending])
                vectors, tokens = await encode(self._embedder, read)
            except EmbedError as error:
                if self._asked.embedder is self._embedder:
                    raise
                self._refuse(error)
                return False
            self._failure = ""
            hashes = [item.hash for item in pending]
            packed = [late.pack(of_text) for of_text in tokens if of_text is not None]
            await self._store(hashes, vectors, packed)
            self._embedded_to = last_id
            done += len(pending)
            now = trio.current_time()
            if now >= said + limits.PROGRESS_INTERVAL_S:
                said = now
                if done >= total:  # the first time, and when lore was added meanwhile
                    total = done + await self._database.read(
                        vector_rows.count_pending,
                        model_id,
                        after=self._embedded_to,
                        tokens=makes_tokens(self._embedder),
                    )
                rate = done / (now - started)
                line = f"Reading lore: {done} of {counted(total, 'passage')}, {rate:.0f} a second."
                self._notify(line, Progress("lore", done, total))
        if said > started:
            self._notify(f"✓ Read {counted(done, 'passage')}.", None)
        return True

    async def _store(self, hashes: Sequence[bytes], vectors: Vectors, tokens: Sequence[bytes]) -> None:
        model_id = self._embedder.model_id
        scopes = await self._database.write(
            vector_rows.store_vectors, model_id, hashes, vectors, tokens
        )
        async with self._asked.indexes.changing(scopes):
            for scope, ids in scopes.items():
                await self._asked.indexes.changed(scope, Changed(added=ids))

    def _refuse(self, error: EmbedError) -> None:
        """Goes on with the model of before."""
        if self._refused != str(error):
            self._refused = str(error)
            self._notify(f"✗ Recall stays with the embedding model of before: {error}", None)

    def _fail(self, error: EmbedError) -> None:
        self._failed_at = trio.current_time()
        if self._failure != str(error):
            self._failure = str(error)
            left = "is off" if isinstance(error, NoNumpyError) else "goes by words only"
            self._notify(f"✗ Recall {left}: {error}", None)


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
