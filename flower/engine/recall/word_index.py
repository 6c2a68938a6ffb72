"""The keyword index of one scope in memory: which passages hold a stem, and how much that tells (BM25).

What a word tells follows from the scope alone: a name that is in every passage of this story tells nothing
here, whatever other stories hold. BM25 after Robertson and Zaragoza (2009), with the inverse document
frequency of Lucene, which is never negative.

Pure; owns its arrays. Newly added passages make small parts, which are merged into larger ones as they
become many, so that adding a passage costs little and a search looks into few parts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from flower.engine.store.term_rows import Terms

SATURATION = 1.2  # k1: how soon more of the same word tells nothing new
LENGTH_SHARE = 0.5  # b: how much a longer passage pays for its length
_DEAD_SHARE = 0.3  # of removed passages from which a part is made anew without them

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]


class Term(Struct, frozen=True):
    """A word of a query: its stems' hashes (one for each language of the scope) and its weight."""

    hashes: tuple[int, ...]
    weight: float = 1.0


class _Part(Struct, frozen=True):
    """Postings, sorted by term and then by passage."""

    terms: NDArray[np.uint32]  # each once
    starts: NDArray[np.int64]  # of the postings of each term; one more at the end
    places: NDArray[np.int32]  # of the passage, in the arrays of the index
    counts: NDArray[np.uint8]

    def postings(self, key: int) -> slice:
        row = int(np.searchsorted(self.terms, np.uint32(key)))
        if row == len(self.terms) or int(self.terms[row]) != key:
            return slice(0, 0)
        return slice(int(self.starts[row]), int(self.starts[row + 1]))


class WordIndex:
    """Passages of one scope by their stems."""

    def __init__(self) -> None:
        self.ids: Ids = np.empty(0, np.int64)
        self.messages: Ids = np.empty(0, np.int64)  # the reply a memory ends with, 0 for lore
        self._lengths = np.empty(0, np.float32)
        self._alive = np.empty(0, bool)
        self._languages: Counter[str] = Counter()
        self._language_of: dict[int, str] = {}
        self._place: dict[int, int] = {}  # of the living, by id
        self._parts: list[_Part] = []

    def __len__(self) -> int:
        return len(self._place)

    @property
    def languages(self) -> list[str]:
        """Returns the languages of the scope, the most frequent first; rare ones (under 2 %) are left out."""
        least = 0.02 * len(self)
        return [language for language, count in self._languages.most_common(3) if count >= least]

    def __contains__(self, passage_id: int) -> bool:
        return passage_id in self._place

    def place(self, passage_id: int) -> int | None:
        """Returns where a passage is in ``ids``, None for one that is not here."""
        return self._place.get(passage_id)

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Returns for each place whether its passage was not removed."""
        return self._alive

    def add(self, rows: Sequence[Terms]) -> None:
        """Adds passages; those that are here already are left out."""
        fresh = [row for row in rows if row.passage_id not in self._place]
        if not fresh:
            return
        first = len(self.ids)
        self.ids = np.concatenate([self.ids, np.array([row.passage_id for row in fresh], np.int64)])
        self.messages = np.concatenate(
            [self.messages, np.array([row.message_id for row in fresh], np.int64)]
        )
        lengths = np.array([int(row.counts.sum(dtype=np.int64)) for row in fresh], np.float32)
        self._lengths = np.concatenate([self._lengths, lengths])
        self._alive = np.concatenate([self._alive, np.ones(len(fresh), bool)])
        for place, row in enumerate(fresh, first):
            self._place[row.passage_id] = place
            self._language_of[row.passage_id] = row.language
            self._languages[row.language] += 1
        sizes = [len(row.hashes) for row in fresh]
        places = np.repeat(np.arange(first, first + len(fresh), dtype=np.int32), sizes)
        hashes = np.concatenate([row.hashes for row in fresh])
        counts = np.concatenate([row.counts for row in fresh])
        self._parts.append(_part(hashes, places, counts))
        while len(self._parts) > 1 and len(self._parts[-2].places) < 2 * len(self._parts[-1].places):
            self._parts[-2:] = [_merged(self._parts[-2:])]

    def remove(self, ids: Iterable[int]) -> None:
        """Takes passages out; ids that are not here are ignored."""
        for passage_id in ids:
            place = self._place.pop(passage_id, None)
            if place is not None:
                self._alive[place] = False
                self._languages[self._language_of.pop(passage_id)] -= 1
        if len(self.ids) - len(self._place) > _DEAD_SHARE * len(self.ids):
            self._compact()

    def _compact(self) -> None:
        moved = np.cumsum(self._alive, dtype=np.int32) - 1
        whole = _merged(self._parts)
        terms = np.repeat(whole.terms, np.diff(whole.starts))
        kept = self._alive[whole.places]
        self._parts = [_part(terms[kept], moved[whole.places[kept]], whole.counts[kept])]
        for name in ("ids", "messages", "_lengths"):
            setattr(self, name, getattr(self, name)[self._alive])
        self._alive = np.ones(len(self.ids), bool)
        self._place = {passage_id: place for place, passage_id in enumerate(self.ids.tolist())}

    def weights(self, terms: Sequence[Term]) -> list[float]:
        """Returns what each word tells in this scope: its weight times its inverse document frequency."""
        total = len(self)
        found = []
        for term in terms:
            holders = self._holders(term)
            found.append(term.weight * math.log(1 + (total - holders + 0.5) / (holders + 0.5)))
        return found

    def _holders(self, term: Term) -> int:
        sizes = 0
        for part in self._parts:
            for key in term.hashes:
                rows = part.postings(key)
                sizes += rows.stop - rows.start
        return min(sizes, len(self))

    def scores(self, terms: Sequence[Term]) -> tuple[Scores, Scores]:
        """Returns for each place in ``ids`` its BM25 score and the share of the query's weight it holds.

        0 to 1 for the share; removed passages have 0 in both.
        """
        scores, held = np.zeros(len(self.ids), np.float32), np.zeros(len(self.ids), np.float32)
        if not len(self):
            return scores, held
        weights = self.weights(terms)
        mean = float(self._lengths[self._alive].mean()) or 1.0
        for term, weight in zip(terms, weights, strict=True):
            for part in self._parts:
                for key in term.hashes:
                    rows = part.postings(key)
                    if rows.stop == rows.start:
                        continue
                    places = part.places[rows]
                    counts = part.counts[rows].astype(np.float32)
                    lengths = self._lengths[places] / mean
                    norms = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * lengths)
                    scores[places] += weight * (SATURATION + 1) * counts / (counts + norms)
                    held[places] += weight
        scores[~self._alive] = 0.0
        held[~self._alive] = 0.0
        total = sum(weights)
        return scores, np.minimum(held / total, 1.0) if total else held


def _part(hashes: NDArray[np.uint32], places: NDArray[np.int32], counts: NDArray[np.uint8]) -> _Part:
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    firsts = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]]) if len(hashes) else hashes[:0]
    starts = np.append(firsts, len(hashes)).astype(np.int64)
    return _Part(hashes[starts[:-1]], starts, places[order], counts[order])


def _merged(parts: Sequence[_Part]) -> _Part:
    return _part(
        np.concatenate([np.repeat(part.terms, np.diff(part.starts)) for part in parts]),
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )
