"""The keyword index of one scope in memory: which passages hold a stem, and how much that tells (BM25).

What a word tells follows from the scope alone: a name that is in every passage of this story tells nothing
here, whatever other stories hold. BM25 after Robertson and Zaragoza (2009), with the inverse document
frequency of Lucene, which is never negative.

Pure; owns its arrays: 3 bytes a posting and 21 bytes a passage, no Python object for either. Newly added
passages make small parts, which are merged into larger ones as they become many, so that adding a passage
costs little and a search looks into few parts. A part has a bound, so that merging needs little memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from flower.engine.store.term_rows import Terms

SATURATION = 1.2  # k1: how soon more of the same word tells nothing new
LENGTH_SHARE = 0.5  # b: how much a longer passage pays for its length
_DEAD_SHARE = 0.3  # of removed passages from which the arrays are made anew without them
_PART_PASSAGES = (
    1 << 13
)  # at most in one part: places are kept in 16 bits, and a merge takes about 10 MiB

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]


class QueryTerm(Struct, frozen=True):
    """A word of a query: its stems' hashes (one for each language of the scope) and its weight."""

    hashes: tuple[int, ...]
    weight: float = 1.0


class _Part(Struct, frozen=True):
    """Postings of passages that stand one after the other, sorted by term and then by passage."""

    first: int  # place of the first passage, in the arrays of the index
    passages: int
    terms: NDArray[np.uint32]  # each once
    starts: NDArray[np.uint32]  # of the postings of each term; one more at the end
    places: NDArray[np.uint16]  # counted from ``first``
    counts: NDArray[np.uint8]

    def postings(self, key: int) -> slice:
        row = int(np.searchsorted(self.terms, np.uint32(key)))
        if row == len(self.terms) or int(self.terms[row]) != key:
            return slice(0, 0)
        return slice(int(self.starts[row]), int(self.starts[row + 1]))

    @property
    def packed(self) -> NDArray[np.uint64]:
        """Returns the postings as numbers that sort by term and then by passage."""
        terms = np.repeat(self.terms, np.diff(self.starts))
        return _pack(terms, self.places, self.counts)


class KeywordIndex:
    """Passages of one scope by their stems."""

    def __init__(self) -> None:
        self.ids: Ids = np.empty(0, np.int64)
        self.messages: Ids = np.empty(0, np.int64)  # the reply a memory ends with, 0 for lore
        self._lengths = np.empty(0, np.float32)
        self._alive = np.empty(0, bool)
        self._language_of = np.empty(0, np.uint8)  # of each place, as its number in the names
        self._language_names: list[str] = []
        self._codes: dict[str, int] = {}
        # Ids come in order but for changes that were carried over the other way round.
        self._sorter: NDArray[np.int64] | None = None
        self._living = 0
        self._parts: list[_Part] = []

    def __len__(self) -> int:
        return self._living

    @property
    def languages(self) -> list[str]:
        """Returns the languages of the scope, the most frequent first; rare ones (under 2 %) are left out."""
        counts = np.bincount(self._language_of[self._alive], minlength=len(self._language_names))
        best = np.argsort(-counts, kind="stable")[:3]
        return [self._language_names[code] for code in best if counts[code] >= max(1, 0.02 * len(self))]

    def __contains__(self, passage_id: int) -> bool:
        return self.place(passage_id) is not None

    def place(self, passage_id: int) -> int | None:
        """Returns where a passage is in ``ids``, None for one that is not here."""
        row = int(np.searchsorted(self.ids, passage_id, sorter=self._sorter))
        if row == len(self.ids):
            return None
        place = row if self._sorter is None else int(self._sorter[row])
        return place if int(self.ids[place]) == passage_id and self._alive[place] else None

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Returns for each place whether its passage was not removed."""
        return self._alive

    def add(self, rows: Sequence[Terms]) -> None:
        """Adds passages; those that are here already are left out."""
        # Read in order, as at the first use of a scope, all are behind the last: no search for each.
        behind = self._sorter is None and (
            not len(self.ids) or min((row.passage_id for row in rows), default=0) > self.ids[-1]
        )
        fresh = rows if behind else [row for row in rows if row.passage_id not in self]
        for start in range(0, len(fresh), _PART_PASSAGES):
            self._add(fresh[start : start + _PART_PASSAGES])

    def _add(self, fresh: Sequence[Terms]) -> None:
        first = len(self.ids)
        self.ids = np.append(self.ids, np.array([row.passage_id for row in fresh], np.int64))
        self.messages = np.append(self.messages, np.array([row.message_id for row in fresh], np.int64))
        self._alive = np.append(self._alive, np.ones(len(fresh), bool))
        codes = np.array([self._code_of(row.language) for row in fresh], np.uint8)
        self._language_of = np.append(self._language_of, codes)
        self._living += len(fresh)
        self._sort()
        sizes = np.array([len(row.hashes) for row in fresh], np.int64)
        places = np.repeat(np.arange(len(fresh), dtype=np.uint16), sizes)
        hashes = np.concatenate([row.hashes for row in fresh])
        counts = np.concatenate([row.counts for row in fresh])
        # The length of a passage is the sum of its counts: differences of a running sum, as one may have none.
        sums = np.append(0, np.cumsum(counts, dtype=np.int64))
        ends = np.cumsum(sizes)
        self._lengths = np.append(self._lengths, (sums[ends] - sums[ends - sizes]).astype(np.float32))
        self._parts.append(_part(first, len(fresh), _pack(hashes, places, counts)))
        self._merge_last()

    def _code_of(self, language: str) -> int:
        code = self._codes.get(language)
        if code is None:
            code = self._codes[language] = len(self._language_names)
            self._language_names.append(language)
        return code

    def _sort(self) -> None:
        ordered = bool(np.all(self.ids[1:] > self.ids[:-1]))
        self._sorter = None if ordered else np.argsort(self.ids, kind="stable")

    def _merge_last(self) -> None:
        # Like the carry of a binary counter: two parts of about one size become one of twice the size, so that a
        # passage is copied log(n) times in all, and there are never more than log(n) small parts to look into.
        while len(self._parts) > 1:
            before, last = self._parts[-2:]
            if before.passages >= 2 * last.passages or before.passages + last.passages > _PART_PASSAGES:
                return
            del self._parts[-2:]
            self._parts.append(_merged(before, last))

    def remove(self, ids: Iterable[int]) -> None:
        """Takes passages out; ids that are not here are ignored."""
        for passage_id in ids:
            place = self.place(passage_id)
            if place is not None:
                self._alive[place] = False
                self._living -= 1
        if len(self.ids) - self._living > _DEAD_SHARE * len(self.ids):
            self._compact()

    def _compact(self) -> None:
        # Places behind a removed passage move up by as many as were removed before them: the running count of
        # what is alive is each one's new place. Parts stay sorted, since the order of places does not change.
        parts, self._parts = self._parts, []
        first = 0
        for part in parts:
            alive = self._alive[part.first : part.first + part.passages]
            living = int(np.count_nonzero(alive))
            moved = (np.cumsum(alive) - 1).astype(np.uint16)
            packed = part.packed[alive[part.places]]
            places = moved[part.places[alive[part.places]]]
            packed = (packed & ~_PLACE_MASK) | (places.astype(np.uint64) << _PLACE_SHIFT)
            if living:
                self._parts.append(_part(first, living, packed))
                self._merge_last()
            first += living
        for name in ("ids", "messages", "_lengths", "_language_of"):
            setattr(self, name, getattr(self, name)[self._alive])
        self._alive = np.ones(len(self.ids), bool)
        self._sort()

    def weights(self, terms: Sequence[QueryTerm]) -> list[float]:
        """Returns what each word tells in this scope: its weight times its inverse document frequency."""
        total = len(self)
        weights = []
        for term in terms:
            holders = self._holders(term)
            weights.append(term.weight * math.log(1 + (total - holders + 0.5) / (holders + 0.5)))
        return weights

    def _holders(self, term: QueryTerm) -> int:
        sizes = 0
        for part in self._parts:
            for key in term.hashes:
                rows = part.postings(key)
                sizes += rows.stop - rows.start
        return min(sizes, len(self))

    def scores(self, terms: Sequence[QueryTerm]) -> tuple[Scores, Scores]:
        """Returns for each place in ``ids`` its BM25 score and the share of the query's weight it holds.

        0 to 1 for the share, which is of the terms of the greatest weight, the question itself: words that
        stand around it say nothing about whether a passage answers. Removed passages have 0 in both.
        """
        scores, held = np.zeros(len(self.ids), np.float32), np.zeros(len(self.ids), np.float32)
        if not len(self):
            return scores, held
        weights = self.weights(terms)
        mean = float(self._lengths[self._alive].mean()) or 1.0
        most = max((term.weight for term in terms), default=0.0)
        for term, weight in zip(terms, weights, strict=True):
            for part in self._parts:
                for key in term.hashes:
                    rows = part.postings(key)
                    if rows.stop == rows.start:
                        continue
                    places = part.places[rows].astype(np.int64) + part.first
                    counts = part.counts[rows].astype(np.float32)
                    lengths = self._lengths[places] / mean
                    norms = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * lengths)
                    scores[places] += weight * (SATURATION + 1) * counts / (counts + norms)
                    if term.weight == most:
                        held[places] += weight
        scores[~self._alive] = 0.0
        held[~self._alive] = 0.0
        total = sum(weight for term, weight in zip(terms, weights, strict=True) if term.weight == most)
        return scores, np.minimum(held / total, 1.0) if total else held


# A posting as one number: term, place, count.
_TERM_SHIFT = np.uint64(24)
_PLACE_SHIFT = np.uint64(8)
_PLACE_MASK = np.uint64(0xFFFF00)


def _pack(
    terms: NDArray[np.uint32], places: NDArray[np.uint16], counts: NDArray[np.uint8]
) -> NDArray[np.uint64]:
    packed = terms.astype(np.uint64)
    packed <<= _TERM_SHIFT
    packed |= places.astype(np.uint64) << _PLACE_SHIFT
    packed |= counts
    return packed


def _part(first: int, passages: int, packed: NDArray[np.uint64]) -> _Part:
    """Returns a part of postings, which are sorted in place: an order beside them would be as large."""
    packed.sort()
    terms = (packed >> _TERM_SHIFT).astype(np.uint32)
    firsts = (
        np.flatnonzero(np.append(True, terms[1:] != terms[:-1])) if len(terms) else np.empty(0, int)
    )
    starts = np.append(firsts, len(terms)).astype(np.uint32)
    places = ((packed >> _PLACE_SHIFT) & np.uint64(0xFFFF)).astype(np.uint16)
    return _Part(first, passages, terms[firsts], starts, places, packed.astype(np.uint8))


def _merged(before: _Part, last: _Part) -> _Part:
    moved = last.packed + (np.uint64(before.passages) << _PLACE_SHIFT)
    packed = np.concatenate([before.packed, moved])
    return _part(before.first, before.passages + last.passages, packed)
