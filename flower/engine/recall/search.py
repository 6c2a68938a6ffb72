"""One recall: from a query to the passages a prompt gets, by meaning and by words.

``Searcher`` asks the vector indexes and the keyword index, and leaves every decision to the pure
functions of ``ranking`` and ``query``. It embeds nothing and writes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from flower import limits
from flower.engine.recall import ranking
from flower.engine.recall.base import Found, Passage, Query
from flower.engine.recall.chunking import estimate_tokens
from flower.engine.recall.indexes import Indexes
from flower.engine.recall.query import words_found
from flower.engine.store import passages, vector_rows
from flower.engine.store.database import Database

if TYPE_CHECKING:
    from flower.engine.recall.base import Vectors


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
    db: sqlite3.Connection, scope: str, asked: Asked, near: Sequence[int], model_id: str, dimension: int
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
