"""Indexes and whole recalls at 1,000 to 100,000 passages: build, open, memory, latency, restart.

python -m tests.bench.recall recall index
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trio

from flower.engine.recall.base import Encoded, Query
from flower.engine.recall.candidates import RECALL_CANDIDATES
from flower.engine.recall.hnsw import Marks
from flower.engine.recall.library import PassageLibrary
from flower.engine.recall.minilm import TOKEN_WIDTH, MiniLM
from flower.engine.recall.scope_index import EXACT_ROWS, Exact, ScopeIndex
from flower.engine.recall.vector_indexes import VECTORS_PAGE
from flower.engine.store import passages, vector_rows
from flower.engine.store.passages import Chunk
from flower.engine.store.sqlite.database import Database
from tests.bench.recall.measure import (
    MODELS,
    in_child,
    make_texts,
    make_vectors,
    memory_mib,
    percentile_ms,
    table,
)

SCOPE = "lore:bench"
TOKENS = 110  # of a passage of make_texts
SIZES = (1_000, 10_000, 100_000)
SMALL_SIZES = (1_000, 10_000, 20_000, 40_000)  # around where the graph takes over
QUESTIONS = (
    "Where does the captain keep the second ledger?",
    "Who tends the northern lighthouse?",
    "I lean an oar against the pillar and wait.",
    "What happened in the night the sea rose?",
    "The bell under the water rings again.",
)


class CountingMiniLM(MiniLM):
    """The shipped model; counts the background's texts."""

    embedded = 0

    async def encode(self, texts: Sequence[str], *, urgent: bool = False) -> Encoded:
        self.embedded += 0 if urgent else len(texts)
        return await super().encode(texts, urgent=urgent)


def index_child(size: int, folder: str) -> dict[str, float]:
    """Builds, saves and asks one index."""
    ids, vectors = np.arange(1, size + 1), make_vectors(size)
    index = ScopeIndex(SCOPE, "bench", 384, Path(folder))
    started = time.perf_counter()
    for start in range(0, size, VECTORS_PAGE):
        part = slice(start, start + VECTORS_PAGE)
        index.add(ids[part], ids[part], vectors[part])
    if index.wants_build:
        index.build()
    built = time.perf_counter()
    index.save()
    saved = time.perf_counter()
    queries = make_vectors(200, seed=5)
    good = 0
    for query in queries[:50]:
        exact = ids[np.argsort(-(vectors @ query))[:10]]
        good += len(set(exact.tolist()) & set(index.search(query, 10).ids.tolist()))
    return {"build": built - started, "save": saved - built, "recall": good / 500}


def kinds_child(size: int, folder: str) -> dict[str, float]:
    """Asks one set of vectors in three ways: our matrix, hnswlib's brute force, hnswlib's graph."""
    import hnswlib

    ids, vectors = np.arange(1, size + 1), make_vectors(size)
    matrix = Exact(384)
    matrix.add(ids, ids, vectors)
    brute = hnswlib.BFIndex("ip", 384)
    brute.init_index(max_elements=size)
    brute.add_items(vectors, ids)
    graph = hnswlib.Index("ip", 384)
    graph.init_index(max_elements=size, ef_construction=200, M=16)
    started = time.perf_counter()
    graph.add_items(vectors, ids, num_threads=1)
    built = time.perf_counter() - started
    graph.set_ef(200)
    ways = {
        "matrix": lambda query: matrix.search(query, RECALL_CANDIDATES),
        "brute": lambda query: brute.knn_query(query, RECALL_CANDIDATES),
        "graph": lambda query: graph.knn_query(query, RECALL_CANDIDATES, num_threads=1),
    }
    found = {"build": built}
    for name, ask in ways.items():
        times = []
        for query in make_vectors(300, seed=5):
            started = time.perf_counter()
            ask(query)
            times.append(time.perf_counter() - started)
        found[name] = percentile_ms(times, 50)
    return found


def open_child(size: int, folder: str) -> dict[str, float]:
    """Opens the saved index as a new engine does, and asks it."""
    make_vectors(VECTORS_PAGE)  # what this benchmark itself needs is there before
    before = memory_mib()
    index = ScopeIndex(SCOPE, "bench", 384, Path(folder))
    numbers = np.arange(1, size + 1)
    current = Marks(numbers, numbers)
    started = time.perf_counter()
    reason = index.open_graph(current)
    opened = time.perf_counter() - started
    if not len(index):
        index.reserve(size)
        for start in range(0, size, VECTORS_PAGE):
            ids = np.arange(start + 1, min(start + VECTORS_PAGE, size) + 1)
            index.add(ids, ids, make_vectors(len(ids), seed=start))
    times = []
    for query in make_vectors(300, seed=5):
        started = time.perf_counter()
        index.search(query, RECALL_CANDIDATES)
        times.append(time.perf_counter() - started)
    return {
        "open": opened,
        "broken": bool(reason),
        "memory": memory_mib() - before,
        "p50": percentile_ms(times, 50),
        "p99": percentile_ms(times, 99),
    }


def recall_child(size: int, folder: str) -> dict[str, float]:
    """Starts an engine's library over ``size`` stored passages and recalls."""
    return trio.run(_recall, size, Path(folder))


async def _recall(size: int, folder: Path) -> dict[str, float]:
    database = await Database.open(folder / "flower.db")
    embedder = CountingMiniLM([MODELS], state_dir=folder)
    async with trio.open_nursery() as nursery:
        library = PassageLibrary(
            database, embedder, folder / "index", notify=lambda line, progress: None
        )
        started = time.perf_counter()
        nursery.start_soon(library.run)
        await library.recall(Query(QUESTIONS[0], lore_scope=SCOPE))
        first = time.perf_counter() - started
        times: dict[str, list[float]] = {name: [] for name in ("plain", "cpu", "wide", "wide cpu")}
        context = "The rain had not stopped for three days. The captain closes the book and looks up."
        for number in range(60):
            question = f"{QUESTIONS[number % len(QUESTIONS)]} {number}"
            for name, around in (("plain", ""), ("wide", context)):
                started, worked = time.perf_counter(), time.process_time()
                await library.recall(Query(question, context=around, lore_scope=SCOPE))
                times[name].append(time.perf_counter() - started)
                cpu = "cpu" if name == "plain" else "wide cpu"
                times[cpu].append(time.process_time() - worked)
        await trio.sleep(0.2)
        nursery.cancel_scope.cancel()
    await database.aclose()
    embedder.close()
    return {
        "first": first,
        "p50": percentile_ms(times["plain"], 50),
        "p99": percentile_ms(times["plain"], 99),
        "cpu50": percentile_ms(times["cpu"], 50),
        "cpu99": percentile_ms(times["cpu"], 99),
        "wide50": percentile_ms(times["wide"], 50),
        "wide99": percentile_ms(times["wide"], 99),
        "widecpu50": percentile_ms(times["wide cpu"], 50),
        "widecpu99": percentile_ms(times["wide cpu"], 99),
        "embedded": embedder.embedded,
        "memory": memory_mib("VmHWM"),
    }


def report() -> None:
    rows = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            built = in_child("index", str(size), folder)
            opened = in_child("open", str(size), folder)
        rows.append(
            [
                size,
                "exact" if size <= EXACT_ROWS else "graph",
                f"{built['build']:.1f}",
                f"{built['save']:.2f}",
                f"{opened['open']:.2f}",
                f"{opened['memory'] / size * 10_000:.1f}",
                f"{opened['p50']:.2f}",
                f"{opened['p99']:.2f}",
                f"{built['recall']:.3f}",
            ]
        )
    table(
        "Index (made vectors in 200 clusters)",
        ["rows", "kind", "build s", "save s", "open s", "MiB per 10k", "p50 ms", "p99 ms", "recall@10"],
        rows,
    )

    rows = []
    for size in SMALL_SIZES:
        found = in_child("kinds", str(size), "")
        rows.append(
            [
                size,
                *(f"{found[name]:.2f}" for name in ("matrix", "brute", "graph")),
                f"{found['build']:.1f}",
            ]
        )
    table(
        "Ways to search a scope, p50 ms",
        ["rows", "matrix", "hnswlib BFIndex", "hnswlib graph", "graph's build s"],
        rows,
    )


def report_recall() -> None:
    rows = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            trio.run(_prepare, size, Path(folder))
            found = in_child("recall", str(size), folder)
        rows.append(
            [
                size,
                f"{found['first']:.2f}",
                f"{found['embedded']:.0f}",
                f"{found['p50']:.1f}",
                f"{found['p99']:.1f}",
                f"{found['cpu50']:.1f}",
                f"{found['cpu99']:.1f}",
                f"{found['wide50']:.1f}",
                f"{found['wide99']:.1f}",
                f"{found['widecpu50']:.1f}",
                f"{found['widecpu99']:.1f}",
                f"{found['memory']:.0f}",
            ]
        )
    table(
        "Restart and recall, embedding of the query included",
        [
            "passages",
            "first recall s",
            "embedded anew",
            "p50 ms",
            "p99 ms",
            "of it CPU p50",
            "p99",
            "with context p50",
            "p99",
            "of it CPU p50",
            "p99",
            "peak MiB",
        ],
        rows,
    )


async def _prepare(size: int, folder: Path) -> None:
    database = await Database.open(folder / "flower.db")
    drafts = [Chunk(f"Part {number}", text) for number, text in enumerate(make_texts(size))]
    hashes = [passages.content_hash(draft.title, draft.text) for draft in drafts]
    vectors = make_vectors(size)
    embedder = MiniLM([MODELS], state_dir=folder)
    await embedder.embed(["the native modules run here"])
    embedder.close()
    model_id = embedder.model_id
    tokens = np.random.default_rng(0).bytes(TOKENS * TOKEN_WIDTH // 8)

    def store(db: sqlite3.Connection) -> None:
        passages.replace_source(db, "lore", SCOPE, "bench", drafts, digest=b"", created=0.0)
        vector_rows.store_vectors(db, model_id, hashes, vectors, [tokens] * size)

    await database.write(store)
    await database.aclose()
