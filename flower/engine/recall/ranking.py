"""From candidates to what a prompt gets: fusion, diversity, recency, budget. Pure.

Similarity and BM25 are blended by their scaled values, after Bruch, Gai and Ingber (2023): how much
better the first is than the second counts, which reciprocal ranks throw away. Diversity is maximal
marginal relevance after Carbonell and Goldstein (1998).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from flower.engine.recall.base import Found
from flower.engine.store.passages import Passage

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors

SIMILARITY_SHARE = (
    0.7  # of the score; the rest is words. 0.6 to 0.8 measure alike, see tests/bench/recall
)
SAME = 0.95  # cosine from which two passages say the same thing
DIVERSITY = 0.15  # share of a pick's worth that likeness to earlier picks can take
RECENCY_HALF_LIFE_S = 3 * 24 * 3600.0
RECENCY_SHARE = 0.15  # how much a memory of this minute gains over an old one
IMPORTANCE_SHARE = 0.25


class Signals(Struct, frozen=True):
    """What is known about the candidates of a query, by passage id; a missing id has no such signal."""

    similarity: Mapping[int, float]  # cosine to the query
    words: Mapping[int, float]  # BM25 for the words of the line
    context_words: Mapping[int, float]  # BM25 for the words that only its context has
    context_weight: float = 0.0  # share of the context, from 0 to 1


def blend(signals: Signals) -> dict[int, float]:
    """Returns a score for every id: 1 is the best in every respect, 0 the worst."""
    similarity = _scaled(signals.similarity)
    words, context = _of_best(signals.words), _of_best(signals.context_words)
    weight = signals.context_weight
    share = SIMILARITY_SHARE if similarity else 0.0
    return {
        i: share * similarity.get(i, 0.0)
        + (1 - share) * ((1 - weight) * words.get(i, 0.0) + weight * context.get(i, 0.0))
        for i in {*similarity, *words, *context}
    }


def _scaled(values: Mapping[int, float]) -> dict[int, float]:
    """Returns values moved to 0 ... 1; all are 1 when they are equal."""
    low, high = min(values.values(), default=0.0), max(values.values(), default=0.0)
    return {i: (value - low) / (high - low) if high > low else 1.0 for i, value in values.items()}


def _of_best(values: Mapping[int, float]) -> dict[int, float]:
    """Returns values as shares of the largest; BM25 has a true zero, so the smallest stays above it."""
    best = max(values.values(), default=0.0)
    return {i: value / best for i, value in values.items()} if best > 0 else {}


def weigh_memory(score: float, passage: Passage, now: float) -> float:
    """Returns the score of a memory raised by its importance and by how recent it is."""
    age_s = max(0.0, now - passage.created)
    recency = math.exp2(-age_s / RECENCY_HALF_LIFE_S)
    return score * (1 + RECENCY_SHARE * recency + IMPORTANCE_SHARE * passage.importance)


def diversify(found: Sequence[Found], vectors: Mapping[int, Vectors], count: int) -> list[Found]:
    """Returns up to ``count`` passages: the best, then the best that say something else.

    Of passages that say the same only the best stays; without vectors only equal text is the same.
    """
    import numpy as np

    rest = sorted(found, key=lambda item: -item.score)
    scores = np.array([item.score for item in rest])
    rows = _rows([item.passage.id for item in rest], vectors)
    likeness, left = np.zeros(len(rest)), np.ones(len(rest), bool)
    picked: list[Found] = []
    while left.any() and len(picked) < count:
        best = int(np.argmax(np.where(left, scores * (1 - DIVERSITY * likeness), -np.inf)))
        picked.append(rest[best])
        # All at once: one by one these products were most of a recall's time outside the database.
        same = np.maximum(rows @ rows[best], 0.0)
        same[[item.passage.text == rest[best].passage.text for item in rest]] = 1.0
        likeness = np.maximum(likeness, same)
        left &= same < SAME
    return picked


def _rows(ids: Sequence[int], vectors: Mapping[int, Vectors]) -> Vectors:
    """Returns a row for each id, of zeros where there is no vector: like nothing else."""
    import numpy as np

    nothing = np.zeros(len(next(iter(vectors.values()), ())), np.float32)
    return np.array([vectors.get(i, nothing) for i in ids], np.float32)


def cut(found: Sequence[Found], budget_tokens: int) -> tuple[Found, ...]:
    """Returns what fits the budget, in order; one that is too long lets later ones in."""
    kept = []
    room = budget_tokens
    for item in found:
        if item.tokens <= room:
            room -= item.tokens
            kept.append(item)
    return tuple(kept)
