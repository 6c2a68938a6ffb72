"""One recall: from a query to the passages a prompt gets, by meaning and by words.

``Searcher`` asks the vector indexes and the keyword index, and leaves every decision to the pure
functions of ``ranking`` and ``query``. It embeds nothing and writes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.recall import ranking
from flower.engine.recall.base import Embedder, Found, Query
from flower.engine.recall.chunking import estimate_tokens
from flower.engine.recall.index import Indexes
from flower.engine.recall.query import Kept, context_of, context_weight, keywords, words_found
from flower.engine.store import passages, vector_rows
from flower.engine.store.database import Connection, Database
from flower.engine.store.passages import Passage

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors


class Asked(Struct, frozen=True):
    """A query made ready: words of the line, words only its context has, one vector of both.

    ``vector`` is None while there is no model; recall goes by words then. ``context_weight`` is the
    share of the context, from 0 to 1.
    """

    words: tuple[str, ...]
    context_words: tuple[str, ...] = ()
    vector: Vectors | None = None
    context_weight: float = 0.0


class Searcher:
    """Finds passages in the scopes of a query."""

    def __init__(
        self,
        database: Database,
        indexes: Indexes,
        model_id: str,
        dimension: int,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._indexes = indexes
        self._model_id = model_id
        self._dimension = dimension
        self._clock = clock

    async def recall(self, query: Query, asked: Asked) -> tuple[Found, ...]:
        """Returns what fits the query and its budget: pinned first, then best first.

        Raises ``StoreError``.
        """
        own = (query.lore_scope, *query.cast_scopes, query.memory_scope)
        scopes = [scope for scope in own if scope]
        all_of = [await self._candidates(scope, asked) for scope in scopes]
        pinned = [_pinned(p, asked) for some in all_of for p in some.pinned if _is_open(p, query)]
        taken = {item.passage.id for item in pinned}

        def wanted(passage: Passage) -> bool:
            return passage.id not in taken and _is_open(passage, query)

        found, vectors = self._ranked(all_of, asked, wanted)
        best = []
        for kind, count in (
            ("lore", limits.RECALL_LORE_RESULTS),
            ("memory", limits.RECALL_MEMORY_RESULTS),
        ):
            picked = ranking.diversify([f for f in found if f.passage.kind == kind], vectors, count)
            best += [_described(item, asked) for item in picked]
        best.sort(key=lambda item: -item.score)
        return ranking.cut([*pinned, *best], query.budget_tokens or limits.RECALL_TOKENS)

    async def search(self, scope: str, asked: Asked, count: int) -> tuple[Found, ...]:
        """Returns the best passages of one scope, whatever their length; raises ``StoreError``."""
        candidates = await self._candidates(scope, asked)
        found, vectors = self._ranked([candidates], asked, lambda passage: True)
        picked = ranking.diversify(found, vectors, count)
        return tuple(_described(item, asked) for item in picked)

    def _ranked(
        self, all_of: Sequence[Candidates], asked: Asked, wanted: Callable[[Passage], bool]
    ) -> tuple[list[Found], dict[int, Vectors]]:
        """Returns the candidates of all scopes, scored on one scale, and their vectors.

        Words and sizes are left for ``_described``.
        """
        import numpy as np

        rows = {i: p for some in all_of for i, p in some.rows.items() if wanted(p)}
        vectors = {i: vector for some in all_of for i, vector in some.vectors.items() if i in rows}
        similarity = {}
        if asked.vector is not None:
            similarity = {i: float(np.dot(asked.vector, vector)) for i, vector in vectors.items()}
        words = {i: score for some in all_of for i, score in some.words.items() if i in rows}
        context = {i: score for some in all_of for i, score in some.context_words.items() if i in rows}
        scores = ranking.blend(ranking.Signals(similarity, words, context, asked.context_weight))
        near_ranks, word_ranks = _ranks(similarity), _ranks(words)
        found = []
        for passage_id, score in scores.items():
            passage = rows[passage_id]
            if passage.kind == "memory":
                score = ranking.weigh_memory(score, passage, self._clock())
            found.append(
                Found(
                    passage,
                    score,
                    similarity.get(passage_id),
                    near_ranks.get(passage_id),
                    word_ranks.get(passage_id),
                    keywords=(),
                    tokens=0,
                )
            )
        return found, vectors

    async def _candidates(self, scope: str, asked: Asked) -> Candidates:
        near: Sequence[int] = ()
        if asked.vector is not None:
            # Of a story's memories those of other branches and of the window are taken out later.
            count = limits.RECALL_CANDIDATES * (4 if scope.startswith("memory:") else 1)
            near = (await self._indexes.search(scope, asked.vector, count)).ids.tolist()
        return await self._database.read(_look_up, scope, asked, near, self._model_id, self._dimension)


class Candidates(Struct, frozen=True):
    """What one scope offers: what is pinned, rows and vectors by id, BM25 of the two lists of words."""

    pinned: tuple[Passage, ...]

    rows: dict[int, Passage]
    vectors: dict[int, Vectors]
    words: dict[int, float]
    context_words: dict[int, float]


def _look_up(
    db: Connection, scope: str, asked: Asked, near: Sequence[int], model_id: str, dimension: int
) -> Candidates:
    """Returns the candidates of a scope, all in one turn of the database's thread."""
    limit = limits.RECALL_CANDIDATES
    words = dict(passages.search_keywords(db, scope, asked.words, limit=limit))
    context = dict(passages.search_keywords(db, scope, asked.context_words, limit=limit))
    rows = {i: p for i, p in passages.get(db, {*near, *words, *context}).items() if p.scope == scope}
    found = vector_rows.vectors_of(db, model_id, rows, dimension)
    vectors = dict(zip(found.ids.tolist(), found.vectors, strict=True))
    return Candidates(passages.list_pinned(db, scope), rows, vectors, words, context)


def _ranks(scores: Mapping[int, float]) -> dict[int, int]:
    """Returns ids with their rank by score, from 1."""
    return {i: rank for rank, i in enumerate(sorted(scores, key=lambda i: -scores[i]), 1)}


def _pinned(passage: Passage, asked: Asked) -> Found:
    return _described(Found(passage, 1.0, None, None, None, (), 0), asked)


def _described(found: Found, asked: Asked) -> Found:
    """Returns it with its words and size, which are worth counting only for what was picked."""
    text = f"{found.passage.title}\n{found.passage.text}"
    return msgspec.structs.replace(
        found, keywords=words_found(text, asked.words), tokens=estimate_tokens(text)
    )


def _is_open(passage: Passage, query: Query) -> bool:
    """Returns whether a passage may be recalled: of this branch, and not in the window already."""
    if passage.message_id is None:
        return True
    if query.visible_messages is not None and passage.message_id not in query.visible_messages:
        return False
    return passage.message_id not in query.recent_messages


# --- Makes queries ready for the search: their words, and one vector of the line and what it follows upon.
#
# Vectors are kept for a while: a line that is sent again needs no model, and what the next line will
# follow upon is known as soon as a reply has ended, so its vector is made while nobody waits.


class Questions:
    """Turns queries into what the search goes by."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._kept = Kept()
        self._expected: deque[str] = deque(maxlen=limits.QUERY_VECTORS_KEPT)

    def by_words(self, query: Query) -> Asked:
        """Returns the query without a vector."""
        words, context = keywords(query.text), context_of(query)
        weight = context_weight(words) if context else 0.0
        newest = keywords(context, known=words)[-limits.CONTEXT_TERMS :]
        return Asked(words, newest, None, weight)

    async def ask(self, query: Query) -> Asked:
        """Returns the query with its vector; raises ``EmbedError``."""
        asked, context = self.by_words(query), context_of(query)
        vectors = await self._vectors_of([query.text, context] if context else [query.text])
        return replace(asked, vector=_mixed(vectors, asked.context_weight))

    def expect(self, context: str) -> bool:
        """Notes that a line may come which follows upon ``context``; returns whether that is news."""
        text = context_of(Query("", context))
        if not text or text in self._kept or text in self._expected:
            return False
        self._expected.append(text)
        return True

    async def prepare(self) -> None:
        """Makes the vectors of what is expected, without haste; raises ``EmbedError``."""
        while self._expected:
            texts = [
                self._expected.popleft()
                for _ in range(min(len(self._expected), limits.EMBED_REQUEST_TEXTS))
            ]
            for text, vector in zip(texts, await self._embedder.embed(texts), strict=True):
                self._kept.put(text, vector)

    async def _vectors_of(self, texts: list[str]) -> list[Vectors]:
        found = {text: vector for text in texts if (vector := self._kept.get(text)) is not None}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found |= zip(missing, await self._embedder.embed(missing, urgent=True), strict=True)
            for text in missing:
                self._kept.put(text, found[text])
        else:
            await trio.lowlevel.checkpoint()
        return [found[text] for text in texts]


def _mixed(vectors: list[Vectors], context_weight: float) -> Vectors:
    """Returns one vector of length 1 for a line and, if there is a second one, its context."""
    import numpy as np

    if len(vectors) == 1:
        return vectors[0]
    mixed = (1 - context_weight) * vectors[0] + context_weight * vectors[1]
    norm = np.linalg.norm(mixed)
    return np.asarray(mixed / norm if norm else vectors[0], np.float32)
