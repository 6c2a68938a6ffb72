"""The search as it was before it was measured on many kinds of text, kept to compare with: FTS5's BM25 over
all scopes together, similarity and words scaled and blended 0.7 to 0.3, diversity by maximal marginal relevance.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flower.engine.recall.chunking import word_pieces
from flower.engine.store.words import COMMON
from tests.bench.recall.collections.base import Collection, Document

CANDIDATES = 60
TERMS = 16
SIMILARITY_SHARE = 0.7
SAME, DIVERSITY = 0.95, 0.15
RRF_K = 60
Vectors = NDArray[np.float32]


class Baseline:
    """Everything of one collection in one keyword index, and its vectors."""

    def __init__(self, collection: Collection, vectors: Vectors) -> None:
        self._documents = collection.documents
        self._vectors = vectors
        self._db = sqlite3.connect(":memory:")
        self._db.execute(
            "CREATE VIRTUAL TABLE fts USING fts5 (scope_key, title, text,"
            " tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        self._keys: dict[str, str] = {}
        for number, document in enumerate(collection.documents):
            self._add(number, document)
        self._db.execute("INSERT INTO fts (fts, rank) VALUES ('rank', 'bm25(0.0, 2.0, 1.0)')")
        self._own: dict[str, list[int]] = {}
        for number, document in enumerate(collection.documents):
            self._own.setdefault(document.scope, []).append(number)

    def _add(self, number: int, document: Document) -> None:
        key = self._keys.setdefault(document.scope, f"s{len(self._keys)}")
        self._db.execute(
            "INSERT INTO fts (rowid, scope_key, title, text) VALUES (?, ?, ?, ?)",
            (number, key, document.title, document.text),
        )

    def by_words(self, scope: str, text: str, count: int = CANDIDATES) -> dict[int, float]:
        """Returns the best by BM25 and their scores, best first."""
        split = "".join(char if char.isalnum() else " " for char in text.casefold()).split()
        words = [word for word in dict.fromkeys(split) if word not in COMMON["english"]][:TERMS]
        if not words:
            return {}
        either = " OR ".join(f'"{word}"' for word in words)
        rows = self._db.execute(
            "SELECT rowid, -rank FROM fts WHERE fts MATCH ? ORDER BY rank LIMIT ?",
            (f"scope_key : {self._keys[scope]} AND {{title text}} : ({either})", count),
        )
        return dict(rows.fetchall())

    def by_vectors(self, scope: str, vector: Vectors, count: int = CANDIDATES) -> dict[int, float]:
        """Returns the nearest and their cosines, nearest first."""
        own = np.array(self._own[scope])
        cosines = self._vectors[own] @ vector
        order = np.argsort(-cosines, kind="stable")[:count]
        return dict(zip(own[order].tolist(), cosines[order].tolist(), strict=True))

    def by_ranks(self, scope: str, text: str, vector: Vectors) -> list[int]:
        """Returns both lists fused by reciprocal ranks."""
        scores: dict[int, float] = {}
        for ranked in (self.by_words(scope, text), self.by_vectors(scope, vector)):
            for rank, number in enumerate(ranked, 1):
                scores[number] = scores.get(number, 0.0) + 1 / (RRF_K + rank)
        return sorted(scores, key=lambda number: -scores[number])

    def search(self, scope: str, text: str, vector: Vectors, count: int) -> list[int]:
        """Returns what the search found before, best first."""
        words, near = self.by_words(scope, text), self.by_vectors(scope, vector)
        ids = list({**near, **words})
        cosines = self._vectors[ids] @ vector
        low, high = cosines.min(), cosines.max()
        scaled = (cosines - low) / (high - low) if high > low else np.ones(len(ids))
        best = max(words.values(), default=1.0)
        held = np.array([words.get(number, 0.0) / best for number in ids])
        scores = SIMILARITY_SHARE * scaled + (1 - SIMILARITY_SHARE) * held
        return [ids[place] for place in _diverse(scores, self._vectors[ids], count)]

    def recall(self, scope: str, text: str, vector: Vectors, budget: int) -> list[int]:
        """Returns what a turn was given before: four memories or six pieces of lore, if they fit."""
        found, room = [], budget
        for number in self.search(scope, text, vector, 4 if scope.startswith("memory:") else 6):
            document = self._documents[number]
            tokens = word_pieces(f"{document.title}\n{document.text}")
            if tokens <= room:
                room -= tokens
                found.append(number)
        return found


def _diverse(scores: NDArray[np.float64], vectors: Vectors, count: int) -> Sequence[int]:
    likeness, left = np.zeros(len(scores)), np.ones(len(scores), bool)
    picked: list[int] = []
    while left.any() and len(picked) < count:
        best = int(np.argmax(np.where(left, scores * (1 - DIVERSITY * likeness), -np.inf)))
        picked.append(best)
        same = np.maximum(vectors @ vectors[best], 0.0)
        same[best] = 1.0
        likeness = np.maximum(likeness, same)
        left &= same < SAME
    return picked
