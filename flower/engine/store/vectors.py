"""Nearest neighbours of a vector within one scope: exact for small sets, a graph for large ones.

``ScopeIndex`` is the one interface. It holds vectors in an ``Exact`` matrix; above a size a hnswlib
graph takes over and the matrix keeps only what is newer. Graph files are derived: they are written
atomically with a manifest, and loaded only when the manifest's checksum fits, because hnswlib crashes
on damaged files. Labels are passage ids; every label's 64-bit mark of the content hash is kept beside
the graph, so a file that is older or newer than the database gives no wrong answer.

All methods block and may be called from any thread: one lock guards an index. Never reads the
database; never decides when to build or save.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from flower import limits
from flower.engine.recall.probe import check_native
from flower.errors import EmbedError, StoreError

if TYPE_CHECKING:
    from flower.engine.recall.base import Vectors

if TYPE_CHECKING:
    import hnswlib

Ids = NDArray[np.int64]

FORMAT = 1
LINKS = 16  # hnswlib's M: 32 links at the ground level, 136 bytes per row
BUILD_BREADTH = 200  # ef_construction
SEARCH_BREADTH = 200  # ef: not saved in the file, so it is set after every load
BUILD_SLICE = 250  # rows added under the lock at once, so that a search waits for one slice only


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


class Manifest(Struct, frozen=True):
    """What a graph file is, checked before hnswlib sees it."""

    format: int
    scope: str
    model_id: str
    dimension: int
    rows: int
    size_bytes: int
    sha256: str
    marks_sha256: str


class ScopeIndex:
    """The vectors of one scope. ``open_graph``, ``build`` and ``save`` are slow."""

    def __init__(self, scope: str, model_id: str, dimension: int, index_dir: Path) -> None:
        self.scope = scope
        self._model_id = model_id
        self._dimension = dimension
        self._files = _Files(index_dir, scope)
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
            near = _query(self._graph, vector, min(count, len(self._marks)))
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
        graph = self._new_graph(max(len(ids), 1))
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

    def _new_graph(self, capacity: int) -> hnswlib.Index:
        graph = _hnswlib(self._files.graph.parent).Index(space="ip", dim=self._dimension)
        graph.init_index(max_elements=capacity, M=LINKS, ef_construction=BUILD_BREADTH, random_seed=1)
        graph.set_ef(SEARCH_BREADTH)
        graph.set_num_threads(1)
        return graph

    def save(self) -> None:
        """Writes the graph, its marks and last its manifest; raises ``StoreError``, nothing half-done."""
        with self._lock:
            if self._graph is None:
                return
            marks = np.array([*self._marks.items()], np.int64).reshape(-1, 2)
            expected = int(self._graph.index_file_size())
            fresh = self._files.graph.with_suffix(".new")
            try:
                fresh.parent.mkdir(parents=True, exist_ok=True)
                self._graph.save_index(str(fresh))  # returns normally on a full disk: the size tells
                written = fresh.stat().st_size
            except (OSError, RuntimeError) as error:
                raise StoreError(f"the index of {self.scope} could not be saved: {error}") from error
            self._saved = True
        try:
            if written != expected:
                fresh.unlink()
                raise OSError(errno.ENOSPC, "the disk is full")
            self._publish(fresh, marks, expected)
        except OSError as error:
            self._saved = False
            raise StoreError(
                f"the index of {self.scope} could not be saved: {error.strerror}"
            ) from error

    def _publish(self, fresh: Path, marks: NDArray[np.int64], size: int) -> None:
        """Puts the files in place; at every moment the manifest fits its files or is not there."""
        manifest = Manifest(
            FORMAT,
            self.scope,
            self._model_id,
            self._dimension,
            len(marks),
            size,
            _sha256(fresh),
            hashlib.sha256(marks.tobytes()).hexdigest(),
        )
        self._files.manifest.unlink(missing_ok=True)
        _sync(fresh)
        fresh.replace(self._files.graph)
        _write(self._files.marks, marks.tobytes())
        _write(self._files.manifest, msgspec.json.encode(manifest))
        _sync(self._files.manifest.parent)

    def open_graph(self, current: Mapping[int, int]) -> str:
        """Loads the saved graph; returns why it cannot be used, or "" if it is in use or was never made.

        ``current`` is id -> mark of the rows in the database: rows of the graph that are gone or of
        another text are taken out. Rows the graph does not know yet must be added by the caller.
        """
        if not self._files.manifest.exists() and not self._files.graph.exists():
            return ""
        try:
            reason = self._load(current)
        except (OSError, ValueError, RuntimeError, MemoryError, EmbedError) as error:
            reason = str(error)
        if reason:
            self.discard()
        return reason

    def _load(self, current: Mapping[int, int]) -> str:
        files = self._files
        if files.loading.exists():
            return "loading it did not end the last time"
        manifest = msgspec.json.decode(files.manifest.read_bytes(), type=Manifest)
        saved = np.frombuffer(files.marks.read_bytes(), np.int64)
        asked = (FORMAT, self.scope, self._model_id, self._dimension)
        if (manifest.format, manifest.scope, manifest.model_id, manifest.dimension) != asked:
            return "it was made by another model or version"
        if len(saved) != 2 * manifest.rows or manifest.size_bytes != files.graph.stat().st_size:
            return "it is incomplete"
        if hashlib.sha256(saved.tobytes()).hexdigest() != manifest.marks_sha256:
            return "it is damaged"
        if _sha256(files.graph) != manifest.sha256:
            return "it is damaged"
        files.loading.touch()  # stays behind if hnswlib takes the process down
        graph = _hnswlib(files.graph.parent).Index(space="ip", dim=self._dimension)
        graph.load_index(str(files.graph))
        files.loading.unlink()
        graph.set_ef(SEARCH_BREADTH)
        graph.set_num_threads(1)
        marks = dict(zip(saved[0::2].tolist(), saved[1::2].tolist(), strict=True))
        alive = {i: mark for i, mark in marks.items() if current.get(i) == mark}
        for passage_id in marks.keys() - alive.keys():
            graph.mark_deleted(passage_id)
        with self._lock:
            self._graph, self._marks = graph, alive
            self._dead = graph.get_current_count() - len(alive)
            self._saved = len(alive) == len(marks)
        return ""

    def discard(self) -> None:
        """Deletes the files; what is in memory stays."""
        for path in (self._files.manifest, self._files.graph, self._files.marks, self._files.loading):
            path.unlink(missing_ok=True)


class _Files:
    """Where the parts of a graph are kept; the name says nothing about the scope."""

    def __init__(self, index_dir: Path, scope: str) -> None:
        name = hashlib.blake2b(scope.encode("utf-8", "replace"), digest_size=12).hexdigest()
        self.graph = index_dir / f"{name}.hnsw"
        self.marks = index_dir / f"{name}.marks"
        self.manifest = index_dir / f"{name}.json"
        self.loading = index_dir / f"{name}.loading"


def _query(graph: hnswlib.Index, vector: Vectors, count: int) -> Hits:
    # hnswlib raises when it finds fewer than it was asked for, which deleted rows can cause.
    while count:
        try:
            labels, distances = graph.knn_query(vector, k=count, num_threads=1)
        except RuntimeError:
            count //= 2
        else:
            return Hits(labels[0].astype(np.int64), (1.0 - distances[0]).astype(np.float32))
    return Hits(np.empty(0, np.int64), np.empty(0, np.float32))


def _hnswlib(marker_dir: Path) -> ModuleType:
    """Returns hnswlib once a child process has shown that it runs here; raises ``EmbedError``."""
    check_native(("hnswlib",), _PROBE, marker_dir)
    return importlib.import_module("hnswlib")


_PROBE = (
    "import hnswlib, numpy; i = hnswlib.Index('ip', 32); i.init_index(8);"
    " i.add_items(numpy.eye(8, 32, dtype='f')); i.knn_query(numpy.ones((1, 32), 'f'), k=3)"
)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
