"""Nearest neighbours of a vector within one scope: exact for small sets, a graph for large ones.

``ScopeIndex`` is the one interface. It holds vectors in an ``Exact`` matrix; above a size a hnswlib
graph takes over and the matrix keeps only what is newer.

All methods block and may be called from any thread: one lock guards an index. Never reads the
database; never decides when to build or save.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flower import limits
from flower.engine.recall.hnsw import Exact, GraphFiles, Hits, Ids, new_graph, query
from flower.errors import FlowerError, StoreError

if TYPE_CHECKING:
    import hnswlib

    from flower.engine.store.vector_rows import Vectors

BUILD_SLICE = 250  # rows added under the lock at once, so that a search waits for one slice only


class ScopeIndex:
    """The vectors of one scope. ``open_graph``, ``build`` and ``save`` are slow."""

    def __init__(self, scope: str, model_id: str, dimension: int, index_dir: Path) -> None:
        self.scope = scope
        self._dimension = dimension
        self._index_dir = index_dir
        self._files = GraphFiles(index_dir, scope, model_id, dimension)
        self._lock = threading.Lock()
        self._exact = Exact(dimension)
        self._graph: hnswlib.Index | None = None
        self._marks: dict[int, int] = {}  # of the rows in the graph that are alive
        self._dead = 0
        self._new_marks: dict[int, int] = {}  # of the rows in the matrix
        self._saved = True

    def __len__(self) -> int:
        return len(self._marks) + len(self._exact)

    def __repr__(self) -> str:
        return f"<ScopeIndex {self.scope} graph={len(self._marks)} matrix={len(self._exact)}>"

    @property
    def wants_build(self) -> bool:
        """True when a graph should be made, enlarged, or made anew without its deleted rows."""
        if self._graph is None:
            return len(self._exact) > limits.EXACT_ROWS
        return self._is_worn or len(self._exact) > limits.INDEX_TAIL_ROWS

    @property
    def wants_save(self) -> bool:
        return self._graph is not None and not self._saved

    def marks(self) -> dict[int, int]:
        """Returns id -> mark of everything here."""
        with self._lock:
            return {**self._marks, **self._new_marks}

    def search(self, vector: Vectors, count: int) -> Hits:
        """Returns up to ``count`` nearest rows; fewer only when fewer are alive."""
        with self._lock:
            hits = self._exact.search(vector, count)
            if self._graph is None or not self._marks:
                return hits
            near = query(self._graph, vector, min(count, len(self._marks)))
        ids = np.concatenate([near.ids, hits.ids])
        similarities = np.concatenate([near.similarities, hits.similarities])
        order = np.argsort(-similarities, kind="stable")[:count]
        return Hits(ids[order], similarities[order])

    def add(self, ids: Ids, marks: Ids, vectors: Vectors) -> None:
        """Adds rows; those whose id is here already, or that are no numbers, are left out."""
        good = np.isfinite(vectors).all(axis=1) & (np.abs(vectors).sum(axis=1) > 0)
        with self._lock:
            rows = [row for row in np.flatnonzero(good) if int(ids[row]) not in self._marks]
            self._exact.add(ids[rows], vectors[rows])
            self._new_marks.update(zip(ids[rows].tolist(), marks[rows].tolist(), strict=True))

    def reserve(self, rows: int) -> None:
        """Makes room for so many rows in the matrix, so that filling it copies nothing."""
        with self._lock:
            self._exact.reserve(rows)

    def remove(self, ids: Ids) -> None:
        with self._lock:
            for passage_id in ids.tolist():
                if self._exact.remove(passage_id):
                    del self._new_marks[passage_id]
                elif self._graph is not None and self._marks.pop(passage_id, None) is not None:
                    self._graph.mark_deleted(passage_id)
                    self._dead += 1
                    self._saved = False

    def build(self, checkpoint: Callable[[], None] = lambda: None) -> None:
        """Moves the matrix into the graph, or makes it anew without its deleted rows.

        Searches go on meanwhile: they wait for one slice of rows at most. ``checkpoint`` is called
        between slices; what it raises ends the work and leaves the index as able as before. Raises
        ``EmbedError`` when hnswlib cannot be used here; searches stay exact then.
        """
        if self._graph is not None and self._is_worn:
            self._thaw()
        if self._graph is None:
            self._build_anew(checkpoint)
        else:
            self._absorb(self._graph, checkpoint)

    @property
    def _is_worn(self) -> bool:
        return self._dead > limits.INDEX_DEAD_SHARE * (self._dead + len(self._marks))

    def _build_anew(self, checkpoint: Callable[[], None]) -> None:
        with self._lock:
            ids, vectors = self._exact.ids.copy(), self._exact.vectors.copy()
        graph = new_graph(self._dimension, max(len(ids), 1), self._index_dir)
        for start in range(0, len(ids), BUILD_SLICE):
            checkpoint()
            part = slice(start, start + BUILD_SLICE)
            graph.add_items(vectors[part], ids[part], num_threads=1)
        with self._lock:
            built = set(ids.tolist())
            newer = Exact(self._dimension)
            rows = [row for row, i in enumerate(self._exact.ids.tolist()) if i not in built]
            newer.add(self._exact.ids[rows], self._exact.vectors[rows])
            removed = built - self._new_marks.keys()
            for passage_id in removed:
                graph.mark_deleted(passage_id)
            self._dead = len(removed)
            self._marks = {i: mark for i, mark in self._new_marks.items() if i in built}
            self._new_marks = {i: mark for i, mark in self._new_marks.items() if i not in built}
            self._graph, self._exact, self._saved = graph, newer, False

    def _absorb(self, graph: hnswlib.Index, checkpoint: Callable[[], None]) -> None:
        while len(self._exact):
            checkpoint()
            with self._lock:
                ids = self._exact.ids[:BUILD_SLICE].copy()
                needed = graph.get_current_count() + len(ids)
                if needed > graph.get_max_elements():
                    graph.resize_index(needed + needed // 4)
                graph.add_items(self._exact.vectors[:BUILD_SLICE], ids, num_threads=1)
                for passage_id in ids.tolist():
                    self._exact.remove(passage_id)
                    self._marks[passage_id] = self._new_marks.pop(passage_id)
                self._saved = False

    def _thaw(self) -> None:
        """Takes the living rows out of the graph, back into the matrix."""
        with self._lock:
            assert self._graph is not None
            ids = np.fromiter(self._marks, np.int64, len(self._marks))
            if len(ids):
                self._exact.add(ids, np.asarray(self._graph.get_items(ids), np.float32))
            self._new_marks.update(self._marks)
            self._graph, self._marks, self._dead = None, {}, 0

    def save(self) -> None:
        """Writes the graph, its marks and last its manifest; raises ``StoreError``, nothing half-done."""
        with self._lock:
            if self._graph is None:
                return
            marks = dict(self._marks)
            try:
                self._files.write_draft(self._graph)
            except (OSError, RuntimeError) as error:
                raise self._unsaved(error) from error
            self._saved = True
        try:
            self._files.publish_draft(marks)
        except OSError as error:
            self._saved = False
            raise self._unsaved(error) from error

    def _unsaved(self, error: Exception) -> StoreError:
        reason = getattr(error, "strerror", None) or error
        return StoreError(f"the index of {self.scope} could not be saved: {reason}")

    def open_graph(self, current: Mapping[int, int]) -> str:
        """Loads the saved graph; returns why it cannot be used, or "" if it is in use or was never made.

        ``current`` is id -> mark of the rows in the database: rows of the graph that are gone or of
        another text are taken out. Rows the graph does not know yet must be added by the caller.
        """
        if not self._files.exist:
            return ""
        try:
            self._take(*self._files.load(), current)
        except (OSError, ValueError, RuntimeError, MemoryError, FlowerError) as error:
            self._files.discard()
            return str(error)
        return ""

    def _take(self, graph: hnswlib.Index, marks: Mapping[int, int], current: Mapping[int, int]) -> None:
        alive = {i: mark for i, mark in marks.items() if current.get(i) == mark}
        for passage_id in marks.keys() - alive.keys():
            graph.mark_deleted(passage_id)
        with self._lock:
            self._graph, self._marks = graph, alive
            self._dead = graph.get_current_count() - len(alive)
            self._saved = len(alive) == len(marks)

    def discard(self) -> None:
        """Deletes the files; what is in memory stays."""
        self._files.discard()
