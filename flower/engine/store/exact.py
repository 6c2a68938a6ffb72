"""Nearest neighbours of a vector among few: every vector in one matrix. Pure; owns its arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

if TYPE_CHECKING:
    from flower.engine.recall.base import Vectors

Ids = NDArray[np.int64]


class Hits(Struct, frozen=True):
    """Labels and cosines, best first."""

    ids: Ids
    similarities: NDArray[np.float32]


class Exact:
    """Every vector in one matrix: no build, no file, nothing to go wrong."""

    def __init__(self, dimension: int) -> None:
        self._ids = np.empty(0, np.int64)
        self._vectors = np.empty((0, dimension), np.float32)
        self._rows: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, passage_id: int) -> bool:
        return passage_id in self._rows

    @property
    def ids(self) -> Ids:
        return self._ids[: len(self)]

    @property
    def vectors(self) -> Vectors:
        return self._vectors[: len(self)]

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Adds rows; ids that are here already are left as they are."""
        fresh = [row for row, passage_id in enumerate(ids.tolist()) if passage_id not in self._rows]
        start, end = len(self), len(self) + len(fresh)
        self._grow(end)
        self._ids[start:end] = ids[fresh]
        self._vectors[start:end] = vectors[fresh]
        self._rows.update(zip(ids[fresh].tolist(), range(start, end), strict=True))

    def remove(self, passage_id: int) -> bool:
        """Returns whether it was here; the last row takes its place."""
        row = self._rows.pop(passage_id, None)
        if row is None:
            return False
        last = len(self)
        if row != last:
            self._ids[row], self._vectors[row] = self._ids[last], self._vectors[last]
            self._rows[int(self._ids[row])] = row
        return True

    def search(self, vector: Vectors, count: int) -> Hits:
        similarities = self.vectors @ vector
        if count < len(similarities):
            top = np.argpartition(similarities, -count)[-count:]
        else:
            top = np.arange(len(similarities))
        order = top[np.argsort(-similarities[top], kind="stable")]
        return Hits(self.ids[order], similarities[order])

    def reserve(self, rows: int) -> None:
        """Makes room for so many rows in all."""
        if rows > len(self._ids):
            self._resize(rows)

    def _grow(self, rows: int) -> None:
        if rows > len(self._ids):
            # Half as much again: a doubling would cost 75 MiB at 50,000 rows for nothing.
            self._resize(max(rows, len(self._ids) + len(self._ids) // 2, 64))

    def _resize(self, capacity: int) -> None:
        ids = np.empty(capacity, np.int64)
        vectors = np.empty((capacity, self._vectors.shape[1]), np.float32)
        ids[: len(self)], vectors[: len(self)] = self.ids, self.vectors
        self._ids, self._vectors = ids, vectors
