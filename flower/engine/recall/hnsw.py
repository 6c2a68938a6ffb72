"""Graphs of vectors (hnswlib) for large sets: making one, asking one, and its files.

Files are derived data: they are written atomically with a manifest, and loaded only when the manifest's
checksum fits, because hnswlib crashes on damaged files. Labels are passage ids; every label's 64-bit
mark of the content hash is kept beside the graph, so a file that is older or newer than the database
gives no wrong answer. Never reads the database; locks nothing, its caller does.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from flower.engine.recall.native_check import check_native
from flower.errors import StoreError
from flower.file_io import write_whole

if TYPE_CHECKING:
    import hnswlib

    from flower.engine.store.vector_rows import Vectors

FORMAT = 1
LINKS = 16  # hnswlib's M: 32 links at the ground level, 136 bytes per row
BUILD_BREADTH = 200  # ef_construction
SEARCH_BREADTH = 200  # ef: not saved in the file, so it is set after every load


def new_graph(dimension: int, capacity: int, marker_dir: Path) -> hnswlib.Index:
    """Returns an empty graph; raises ``EmbedError`` when hnswlib cannot be used here."""
    graph = _hnswlib(marker_dir).Index(space="ip", dim=dimension)
    graph.init_index(max_elements=capacity, M=LINKS, ef_construction=BUILD_BREADTH, random_seed=1)
    return _ready(graph)


def _ready(graph: hnswlib.Index) -> hnswlib.Index:
    graph.set_ef(SEARCH_BREADTH)
    graph.set_num_threads(1)
    return graph


def _hnswlib(marker_dir: Path) -> ModuleType:
    """Returns hnswlib once a child process has shown that it runs here; raises ``EmbedError``."""
    check_native(("hnswlib",), _PROBE, marker_dir)
    return importlib.import_module("hnswlib")


_PROBE = (
    "import hnswlib, numpy; i = hnswlib.Index('ip', 32); i.init_index(8);"
    " i.add_items(numpy.eye(8, 32, dtype='f')); i.knn_query(numpy.ones((1, 32), 'f'), k=3)"
)


def query(graph: hnswlib.Index, vector: Vectors, count: int) -> Hits:
    """Returns up to ``count`` nearest rows that are not deleted."""
    # hnswlib raises when it finds fewer than it was asked for, which deleted rows can cause.
    while count:
        try:
            labels, distances = graph.knn_query(vector, k=count, num_threads=1)
        except RuntimeError:
            count //= 2
        else:
            return Hits(labels[0].astype(np.int64), (1.0 - distances[0]).astype(np.float32))
    return Hits(np.empty(0, np.int64), np.empty(0, np.float32))


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


class GraphFiles:
    """The files of one scope's graph; their name says nothing about the scope."""

    def __init__(self, index_dir: Path, scope: str, model_id: str, dimension: int) -> None:
        name = hashlib.blake2b(scope.encode("utf-8", "replace"), digest_size=12).hexdigest()
        self._folder = index_dir
        self._scope, self._model_id, self._dimension = scope, model_id, dimension
        self._graph = index_dir / f"{name}.hnsw"
        self._draft = index_dir / f"{name}.new"
        self._marks = index_dir / f"{name}.marks"
        self._manifest = index_dir / f"{name}.json"
        self._loading = index_dir / f"{name}.loading"

    @property
    def exist(self) -> bool:
        """Whether a graph was saved, whole or not."""
        return self._manifest.exists() or self._graph.exists()

    def write_draft(self, graph: hnswlib.Index) -> None:
        """Writes a graph beside the one that is in use; raises ``OSError`` or hnswlib's ``RuntimeError``."""
        expected = int(graph.index_file_size())
        self._folder.mkdir(parents=True, exist_ok=True)
        graph.save_index(str(self._draft))  # returns normally on a full disk: the size tells
        if self._draft.stat().st_size != expected:
            self._draft.unlink()
            raise OSError(errno.ENOSPC, "the disk is full")

    def publish_draft(self, marks: Marks) -> None:
        """Puts what was written in place; at every moment the manifest fits its files or is not there."""
        data = np.stack([marks.ids, marks.marks], axis=1).tobytes()
        manifest = Manifest(
            FORMAT,
            self._scope,
            self._model_id,
            self._dimension,
            len(marks),
            self._draft.stat().st_size,
            _sha256(self._draft),
            hashlib.sha256(data).hexdigest(),
        )
        self._manifest.unlink(missing_ok=True)
        _sync(self._draft)
        self._draft.replace(self._graph)
        write_whole(self._marks, [data])
        write_whole(self._manifest, [msgspec.json.encode(manifest)])
        _sync(self._folder)

    def load(self) -> tuple[hnswlib.Index, Marks]:
        """Returns the saved graph and the marks of its rows; raises ``StoreError`` with why it cannot be used.

        What reading a file or hnswlib raises passes through.
        """
        if self._loading.exists():
            raise StoreError("loading it did not end the last time")
        saved = self._checked_marks()
        self._loading.touch()  # stays behind if hnswlib takes the process down
        graph = _hnswlib(self._folder).Index(space="ip", dim=self._dimension)
        graph.load_index(str(self._graph))
        self._loading.unlink()
        return _ready(graph), Marks(saved[0::2], saved[1::2])

    def _checked_marks(self) -> NDArray[np.int64]:
        manifest = msgspec.json.decode(self._manifest.read_bytes(), type=Manifest)
        saved = np.frombuffer(self._marks.read_bytes(), np.int64)
        expected = (FORMAT, self._scope, self._model_id, self._dimension)
        if (manifest.format, manifest.scope, manifest.model_id, manifest.dimension) != expected:
            raise StoreError("it was made by another model or version")
        if len(saved) != 2 * manifest.rows or manifest.size_bytes != self._graph.stat().st_size:
            raise StoreError("it is incomplete")
        if hashlib.sha256(saved.tobytes()).hexdigest() != manifest.marks_sha256:
            raise StoreError("it is damaged")
        if _sha256(self._graph) != manifest.sha256:
            raise StoreError("it is damaged")
        return saved

    def discard(self) -> None:
        """Deletes the files."""
        for path in (self._manifest, self._graph, self._marks, self._loading):
            path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


Ids = NDArray[np.int64]


class Hits(Struct, frozen=True):
    """Labels and cosines, best first."""

    ids: Ids
    similarities: NDArray[np.float32]


class Marks:
    """The marks of rows by their ids, in two sorted arrays: a dictionary would take 100 bytes a row more."""

    def __init__(self, ids: Ids | None = None, marks: Ids | None = None) -> None:
        self.ids = np.empty(0, np.int64)
        self.marks = np.empty(0, np.int64)
        if ids is not None and marks is not None:
            self.add(ids, marks)

    def __len__(self) -> int:
        return len(self.ids)

    def has(self, ids: Ids) -> NDArray[np.bool_]:
        """Returns for each id whether it is here."""
        return np.isin(ids, self.ids)

    def fit(self, other: Marks) -> NDArray[np.bool_]:
        """Returns for each of these rows whether ``other`` has it with the same mark."""
        if not len(other):
            return np.zeros(len(self), bool)
        places = np.minimum(np.searchsorted(other.ids, self.ids), len(other) - 1)
        same: NDArray[np.bool_] = (other.ids[places] == self.ids) & (other.marks[places] == self.marks)
        return same

    def add(self, ids: Ids, marks: Ids) -> None:
        """Adds rows that are not here."""
        ids, marks = np.append(self.ids, ids), np.append(self.marks, marks)
        order = np.argsort(ids, kind="stable")
        self.ids, self.marks = ids[order], marks[order]

    def remove(self, ids: Ids) -> Ids:
        """Takes rows out; returns the ids that were here."""
        gone = np.isin(self.ids, ids)
        removed = self.ids[gone]
        if len(removed):
            self.ids, self.marks = self.ids[~gone], self.marks[~gone]
        return removed
