"""What recall asks, and the background in which it becomes able to: passages get their vectors, indexes are kept.

``Background`` gives every text its vector a few at a time, so that a turn that waits always goes first. It owns which
model is asked: that of before until every passage has a vector of the new one. A model that fails is said once
and tried again after a while; recall goes by words until then. ``ModelRecall`` is what recall has of one model.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flower import limits
from flower.engine.recall import ranking
from flower.engine.recall.base import Embedder, Query, TokenEmbedder
from flower.engine.recall.candidates import Finder
from flower.engine.recall.keyword_indexes import KeywordIndexes
from flower.engine.recall.native_check import NoNumpyError, load_numpy
from flower.engine.recall.query import Question
from flower.engine.recall.query_encoder import QueryEncoder, as_passages, encode
from flower.engine.recall.ranking import Tuning
from flower.engine.recall.search import Searcher
from flower.engine.recall.vector_indexes import Say, VectorIndexes
from flower.engine.store import passages, vector_rows
from flower.engine.store.connection import Store
from flower.engine.store.passages import Changed
from flower.errors import EmbedError, StoreError
from flower.protocol.messages import Progress
from flower.text import counted

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Pending, Vectors

log = logging.getLogger(__name__)

EMBED_RETRY_S = 600.0  # a model that failed is tried again after so long
INDEX_SAVE_IDLE_S = 20.0  # a graph file is 1.7 KiB per row: written when idle, never per turn
WARM_PASSAGES = 5_000  # scopes with more are read as soon as a story is opened: fewer take 0.1 s

Notify = Callable[[str, Progress | None], None]


class Background:
    """Gives passages their vectors; ``current`` is what answers now.

    ``previous`` is the model of before, which is asked until every passage has a vector of ``embedder``;
    ``settled`` is called then.
    """

    def __init__(
        self,
        database: Store,
        embedder: Embedder,
        keywords: KeywordIndexes,
        index_dir: Path,
        *,
        notify: Notify,
        clock: Callable[[], float],
        tuning: Tuning,
        previous: Embedder | None,
        settled: Callable[[], None],
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._keywords = keywords
        self._index_dir = index_dir
        self._notify = notify
        self._clock = clock
        self._tuning = tuning
        self._settled = settled
        self.current = self._model_recall(previous or embedder)
        self._refused = ""  # why a new model cannot take over
        self._work = trio.Event()
        self._rest_until = -math.inf  # trio time before which new memories wait for their vectors
        self._failed_at = -math.inf  # trio time at which the embedder failed last
        self._failure = ""
        self._to_warm: dict[str, None] = {}  # scopes, in order
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
                await self.current.indexes.maintain()
                resting = self._resting_s
                with trio.move_on_after(resting or self._pause()) as idle:
                    await self._work.wait()
                if idle.cancelled_caught and not resting:
                    await self.current.indexes.save()
        finally:
            with trio.move_on_after(limits.SAVE_SHIELD_S, shield=True):
                await self.current.indexes.save()

    @property
    def _resting_s(self) -> float:
        """Returns for how many seconds memories still wait for their vectors."""
        return max(0.0, self._rest_until - trio.current_time())

    def _pause(self) -> float:
        if self._failure or self._refused:
            return EMBED_RETRY_S
        return INDEX_SAVE_IDLE_S if self.current.indexes.wants_save else math.inf

    @property
    def trouble(self) -> str:
        """Why recall goes by words only at the moment, "" if it does not."""
        return self._failure

    def wake(self, rest_s: float = -math.inf) -> None:
        """Tells of new passages, which may wait for their vectors for ``rest_s``; what cannot takes them along."""
        self._rest_until = trio.current_time() + rest_s
        self._work.set()

    def embed_soon(self) -> None:
        """Gives what waits its vectors now."""
        if self._resting_s:
            self._rest_until = -math.inf
            self._work.set()

    def expect(self, context: str) -> None:
        """Gets ready for a line that follows upon ``context``, while nobody waits."""
        if not self._failure and self.current.encoder.expect(context):
            self._work.set()

    def warm(self, scopes: Iterable[str]) -> None:
        """Reads the indexes of large scopes soon, if they are not open."""
        closed = [scope for scope in scopes if scope and not self.current.is_open(scope)]
        if closed:
            self._to_warm.update(dict.fromkeys(closed))
            self._work.set()

    async def _warm(self) -> None:
        """Opens what ``warm`` was asked for. A small scope is opened by its first question in no time."""
        while self._to_warm:
            scope = next(iter(self._to_warm))
            del self._to_warm[scope]
            if await self._database.read(passages.has_more_than, scope, WARM_PASSAGES):
                await load_numpy(self._index_dir)
                await self.current.open(scope)

    async def ask(self, query: Query) -> tuple[Question, ...]:
        """Returns what the query asks, made ready; by its words only while the model fails."""
        if self._failure and trio.current_time() < self._failed_at + EMBED_RETRY_S:
            await trio.lowlevel.checkpoint()
            return self.current.encoder.by_words(query)
        try:
            questions = await self.current.encoder.ask(query)
        except EmbedError as error:
            self.fail(error)
            return self.current.encoder.by_words(query)
        if self._failure:
            self._failure = ""
            self._work.set()  # what waits for a vector can have it now
        return questions

    async def ask_in(self, scopes: Sequence[str], query: Query) -> tuple[Question, ...]:
        """Returns what ``ask`` does; indexes of the scopes that are not open are read meanwhile."""
        # While the model fails recall goes by words, and nothing but those is read: by the search.
        closed = [] if self._failure else [one for one in scopes if not self.current.is_open(one)]
        if len(scopes) > limits.INDEXES_OPEN:
            closed = []  # they would close each other before the search, which reads one after the other
        async with trio.open_nursery() as nursery:
            for scope in closed:
                nursery.start_soon(self._open_early, scope)
            return await self.ask(query)

    async def _open_early(self, scope: str) -> None:
        try:
            await self.current.open(scope)
        except StoreError as error:
            log.info("a scope could not be read early: %s", error)  # the search that follows says it

    async def _ingest(self) -> None:
        """Embeds every text without a vector, oldest first; stops quietly when the model fails."""
        try:
            await self._warm()
            await self.current.encoder.prepare()  # somebody may be about to speak
            if not self._resting_s and await self._embed_pending():
                self._take_over()
        except EmbedError as error:
            self.fail(error)
        except StoreError as error:
            self._failure = self._failure or str(error)  # tried again after a pause
            self._notify(f"✗ {error}", None)

    def _take_over(self) -> None:
        """Asks the new model from now on: every passage has a vector of it."""
        if self.current.embedder is not self._embedder:
            self.current = self._model_recall(self._embedder)
            self._notify("✓ Recall goes by the new embedding model now.", None)
        self._refused = ""
        settled, self._settled = self._settled, lambda: None
        settled()

    async def _embed_pending(self) -> bool:
        """Returns whether every passage has a vector now."""
        report = _Report(self._notify)
        while True:
            await self._warm()
            await self.current.encoder.prepare()  # somebody may be about to speak
            pending, last_id = await self._database.read(
                vector_rows.list_pending,
                self._embedder.model_id,
                limit=limits.EMBED_REQUEST_TEXTS,
                after=self._embedded_to,
                tokens=makes_tokens(self._embedder),
            )
            if not pending:
                # Else every reply would look through all passages again. Where several engines write, an id may
                # become visible after higher ones.
                if not self._database.shared:
                    self._embedded_to = last_id
                report.end()
                return True
            if not await self._embed(pending):
                return False
            self._embedded_to = last_id
            if report.is_due(len(pending)):
                report.say(await self._count_left() if report.wants_total else 0)

    async def _embed(self, pending: Sequence[Pending]) -> bool:
        """Stores the vectors of some texts; returns False where a new model cannot make them, and says so."""
        try:
            texts = as_passages(self._embedder, [item.text for item in pending])
            vectors, tokens = await encode(self._embedder, texts)
        except EmbedError as error:
            if self.current.embedder is self._embedder:
                raise
            self._refuse(error)
            return False
        self._failure = ""
        packed = [ranking.pack_tokens(of_text) for of_text in tokens if of_text is not None]
        await self._store([item.hash for item in pending], vectors, packed)
        return True

    async def _count_left(self) -> int:
        return await self._database.read(
            vector_rows.count_pending,
            self._embedder.model_id,
            after=self._embedded_to,
            tokens=makes_tokens(self._embedder),
        )

    async def _store(self, hashes: Sequence[bytes], vectors: Vectors, tokens: Sequence[bytes]) -> None:
        model_id = self._embedder.model_id
        scopes = await self._database.write(
            vector_rows.store_vectors, model_id, hashes, vectors, tokens
        )
        async with self.current.indexes.changing(scopes):
            for scope, ids in scopes.items():
                await self.current.indexes.changed(scope, Changed(added=ids))

    def _refuse(self, error: EmbedError) -> None:
        """Goes on with the model of before."""
        if self._refused != str(error):
            self._refused = str(error)
            self._notify(f"✗ Recall stays with the embedding model of before: {error}", None)

    def fail(self, error: EmbedError) -> None:
        """Says once why recall goes by words only, or not at all."""
        self._failed_at = trio.current_time()
        if self._failure != str(error):
            self._failure = str(error)
            left = "is off" if isinstance(error, NoNumpyError) else "goes by words only"
            self._notify(f"✗ Recall {left}: {error}", None)


class _Report:
    """How far the reading of lore is, said every ``limits.PROGRESS_INTERVAL_S``; what is short is not mentioned."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._started = self._last = trio.current_time()
        self._done = self._total = 0

    def is_due(self, more: int) -> bool:
        """Counts ``more`` passages as done; returns whether it is time to say so."""
        self._done += more
        return trio.current_time() >= self._last + limits.PROGRESS_INTERVAL_S

    @property
    def wants_total(self) -> bool:
        """True the first time, and when lore was added meanwhile."""
        return self._done >= self._total

    def say(self, left: int) -> None:
        """Says how far it is; ``left`` is how many passages there are still, where ``wants_total``."""
        self._last = now = trio.current_time()
        if self.wants_total:
            self._total = self._done + left
        rate = self._done / (now - self._started)
        line = f"Reading lore: {self._done} of {counted(self._total, 'passage')}, {rate:.0f} a second."
        self._notify(line, Progress("lore", self._done, self._total))

    def end(self) -> None:
        if self._last > self._started:
            self._notify(f"✓ Read {counted(self._done, 'passage')}.", None)


class ModelRecall:
    """The indexes, the searcher and the encoder of queries over one embedder."""

    def __init__(
        self,
        database: Store,
        embedder: Embedder,
        keywords: KeywordIndexes,
        index_dir: Path,
        *,
        say: Say,
        clock: Callable[[], float],
        tuning: Tuning,
    ) -> None:
        self.embedder = embedder
        model_id, dimension = embedder.model_id, embedder.dimension
        self.indexes = VectorIndexes(database, model_id, dimension, index_dir, say)
        finder = Finder(database, self.indexes, keywords, model_id, dimension)
        self.searcher = Searcher(finder, clock, tuning)
        self._keywords = keywords
        self.encoder = QueryEncoder(embedder, tuning)

    def is_open(self, scope: str) -> bool:
        """Returns whether a question finds both indexes of a scope in memory."""
        return self.indexes.is_open(scope) and self._keywords.is_open(scope)

    async def open(self, scope: str) -> None:
        """Reads both indexes of a scope side by side: files in one thread, rows in another; raises ``StoreError``."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.indexes.open, scope)
                nursery.start_soon(self._keywords.index, scope)
        except* StoreError as group:
            raise group.exceptions[0] from None


def makes_tokens(embedder: Embedder) -> bool:
    """Returns whether passages are to have token vectors of this embedder."""
    return isinstance(embedder, TokenEmbedder)
