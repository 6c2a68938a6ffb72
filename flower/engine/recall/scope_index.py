"""Nearest neighbours of a vector within one scope: exact for small sets, a graph for large ones.

``ScopeIndex`` is the one interface. It holds vectors in an ``Exact`` matrix; above ``EXACT_ROWS`` a hnswlib
graph takes over and the matrix keeps only what is newer.

All methods block and may be called from any thread: one lock guards an index. Never reads the
database; never decides when to build or save.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flower.engine.recall.hnsw import GraphFiles, Hits, Ids, Marks, new_graph, query
from flower.errors import FlowerError, StoreError

if TYPE_CHECKING:
    import hnswlib

    from flower.engine.store.vector_rows import Vectors

EXACT_ROWS = 20_000  # up to here exact search takes under 3 ms, so no graph is kept
INDEX_TAIL_ROWS = 2_000  # vectors newer than the graph, searched exactly, before they join it
INDEX_DEAD_SHARE = 0.3  # deleted rows in a graph before it is built anew

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
        self._marks = Marks()  # of the rows in the graph that are alive
        self._dead = 0
        self._saved = True

    def __len__(self) -> int:
        return len(self._marks) + len(self._exact)

    def __repr__(self) -> str:
        return f"<ScopeIndex {self.scope} graph={len(self._marks)} matrix={len(self._exact)}>"

    @property
    def wants_build(self) -> bool:
        """True when a graph should be made, enlarged, or made anew without its deleted rows."""
        if self._graph is None:
            return len(self._exact) > EXACT_ROWS
        return self._is_worn or len(self._exact) > INDEX_TAIL_ROWS

    @property
    def wants_save(self) -> bool:
        return self._graph is not None and not self._saved

    def marks(self) -> Marks:
        """Returns the marks of everything here."""
        with self._lock:
            whole = Marks(self._marks.ids, self._marks.marks)
            whole.add(self._exact.ids, self._exact.marks)
            return whole

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
            rows = np.flatnonzero(good & ~self._marks.has(ids))
            self._exact.add(ids[rows], marks[rows], vectors[rows])

    def reserve(self, rows: int) -> None:
        """Makes room for so many rows in the matrix, so that filling it copies nothing."""
        with self._lock:
            self._exact.reserve(rows)

    def remove(self, ids: Ids) -> None:
        with self._lock:
            self._exact.remove(ids)
            if self._graph is None:
                return
            for passage_id in self._marks.remove(ids).tolist():
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
        return self._dead > INDEX_DEAD_SHARE * (self._dead + len(self._marks))

    def _build_anew(self, checkpoint: Callable[[], None]) -> None:
        with self._lock:
            built = Marks(self._exact.ids, self._exact.marks)
            ids, vectors = self._exact.ids.copy(), self._exact.vectors.copy()
        # Without the lock: minutes for 100,000 rows, in which the matrix goes on answering.
        graph = new_graph(self._dimension, max(len(ids), 1), self._index_dir)
        for start in range(0, len(ids), BUILD_SLICE):
            checkpoint()
            part = slice(start, start + BUILD_SLICE)
            graph.add_items(vectors[part], ids[part], num_threads=1)
        with self._lock:
            # What came meanwhile stays in the matrix; what was removed meanwhile is marked as deleted in the graph.
            exact, newer = self._exact, Exact(self._dimension)
            rows = np.flatnonzero(~built.has(exact.ids))
            newer.add(exact.ids[rows], exact.marks[rows], exact.vectors[rows])
            removed = built.remove(built.ids[~np.isin(built.ids, exact.ids)])
            for passage_id in removed.tolist():
                graph.mark_deleted(passage_id)
            self._dead = len(removed)
            self._marks = built
            self._graph, self._exact, self._saved = graph, newer, False

    def _absorb(self, graph: hnswlib.Index, checkpoint: Callable[[], None]) -> None:
        while len(self._exact):
            checkpoint()
            with self._lock:
                ids, marks = (
                    self._exact.ids[:BUILD_SLICE].copy(),
                    self._exact.marks[:BUILD_SLICE].copy(),
                )
                needed = graph.get_current_count() + len(ids)
                if needed > graph.get_max_elements():
                    graph.resize_index(needed + needed // 4)
                graph.add_items(self._exact.vectors[:BUILD_SLICE], ids, num_threads=1)
                self._exact.remove(ids)
                self._marks.add(ids, marks)
                self._saved = False

    def _thaw(self) -> None:
        """Takes the living rows out of the graph, back into the matrix."""
        with self._lock:
            assert self._graph is not None
            alive = self._marks
            if len(alive):
                vectors = np.asarray(self._graph.get_items(alive.ids), np.float32)
                self._exact.add(alive.ids, alive.marks, vectors)
            self._graph, self._marks, self._dead = None, Marks(), 0

    def save(self) -> None:
        """Writes the graph, its marks and last its manifest; raises ``StoreError``, nothing half-done."""
        with self._lock:
            if self._graph is None:
                return
            marks = Marks(self._marks.ids, self._marks.marks)
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

    def open_graph(self, current: Marks) -> str:
        """Loads the saved graph; returns why it cannot be used, or "" if it is in use or was never made.

        ``current`` has the marks of the rows in the database: rows of the graph that are gone or of
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

    def _take(self, graph: hnswlib.Index, marks: Marks, current: Marks) -> None:
        fit = marks.fit(current)
        for passage_id in marks.ids[~fit].tolist():
            graph.mark_deleted(passage_id)
        alive = Marks(marks.ids[fit], marks.marks[fit])
        with self._lock:
            self._graph, self._marks = graph, alive
            self._dead = graph.get_current_count() - len(alive)
            self._saved = len(alive) == len(marks)

    def discard(self) -> None:
        """Deletes the files; what is in memory stays."""
        self._files.discard()


class Exact:
    """Every vector in one matrix: no build, no file, nothing to go wrong.

    Not hnswlib's ``BFIndex``, which would do the same: it is as fast only from 20,000 rows on (10,000:
    0.27 ms, here 0.19; 1,000: 0.04 and 0.02), takes the same memory, gives no vector back that a graph could
    be made of, and hnswlib may be missing. ``python -m tests.bench.recall index`` prints these columns.
    """

    def __init__(self, dimension: int) -> None:
        self._count = 0
        self._ids = np.empty(0, np.int64)
        self._marks = np.empty(0, np.int64)
        self._vectors = np.empty((0, dimension), np.float32)

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> Ids:
        return self._ids[: self._count]

    @property
    def marks(self) -> Ids:
        """Returns what ``add`` was given with each of ``ids``."""
        return self._marks[: self._count]

    @property
    def vectors(self) -> Vectors:
        return self._vectors[: self._count]

    def add(self, ids: Ids, marks: Ids, vectors: Vectors) -> None:
        """Adds rows; ids that are here already are left as they are."""
        fresh = np.flatnonzero(~np.isin(ids, self.ids))
        end = self._count + len(fresh)
        self._grow(end)
        rows = slice(self._count, end)
        self._ids[rows], self._marks[rows], self._vectors[rows] = (
            ids[fresh],
            marks[fresh],
            vectors[fresh],
        )
        self._count = end

    def remove(self, ids: Ids) -> Ids:
        """Returns those ids that were here; the last rows take their places."""
        gone = np.isin(self.ids, ids)
        removed = self.ids[gone].copy()
        count = self._count - len(removed)
        holes = np.flatnonzero(gone[:count])
        moved = count + np.flatnonzero(~gone[count:])
        for rows in (self._ids, self._marks, self._vectors):
            rows[holes] = rows[moved]
        self._count = count
        return removed

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
        for name in ("_ids", "_marks", "_vectors"):
            old = getattr(self, name)
            larger = np.empty((capacity, *old.shape[1:]), old.dtype)
            larger[: self._count] = old[: self._count]
            setattr(self, name, larger)
