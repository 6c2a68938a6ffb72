"""Nearest neighbours: exact and graph answer alike, damaged files are never loaded."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flower.engine.recall import hnsw
from flower.engine.recall.hnsw import Marks
from flower.engine.recall.scope_index import Exact, ScopeIndex
from flower.errors import EmbedError, StoreError

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors

DIMENSION = 32


def make_vectors(count: int, seed: int = 0) -> Vectors:
    """Vectors in clusters, as text has them: purely random ones are no one's neighbours."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(40, DIMENSION))
    found = centres[rng.integers(40, size=count)] + 0.7 * rng.normal(size=(count, DIMENSION))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def ids_of(count: int, start: int = 1) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(start, start + count, dtype=np.int64)


def open_index(folder: Path, model_id: str = "m") -> ScopeIndex:
    return ScopeIndex("lore:vael", model_id, DIMENSION, folder)


@pytest.fixture
def small_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.engine.recall.scope_index.EXACT_ROWS", 500)
    monkeypatch.setattr("flower.engine.recall.scope_index.INDEX_TAIL_ROWS", 100)


def built(folder: Path, count: int = 1000) -> ScopeIndex:
    index = open_index(folder)
    index.add(ids_of(count), ids_of(count) * 7, make_vectors(count))
    index.build()
    return index


def marks_of(count: int) -> Marks:
    return Marks(ids_of(count), ids_of(count) * 7)


def test_exact_search_is_brute_force() -> None:
    exact, vectors = Exact(DIMENSION), make_vectors(300)
    exact.add(ids_of(300), ids_of(300), vectors)
    hits = exact.search(vectors[17], 5)
    expected = np.argsort(-(vectors @ vectors[17]), kind="stable")[:5] + 1
    assert hits.ids.tolist() == expected.tolist()
    assert hits.similarities[0] == pytest.approx(1.0, abs=1e-5)


def test_rows_taken_out_leave_the_others_with_their_vectors_and_marks() -> None:
    """Holes are filled with the last rows, whichever of those go, too."""
    random = np.random.default_rng(3)
    exact, vectors = Exact(DIMENSION), make_vectors(200)
    exact.add(ids_of(200), ids_of(200) * 7, vectors)
    exact.add(np.array([5]), np.array([1]), vectors[:1])  # is here already
    left = set(range(1, 201))
    for _ in range(8):
        gone = random.choice(201, 60)
        assert set(exact.remove(gone).tolist()) == left & set(gone.tolist())
        left -= set(gone.tolist())
        assert set(exact.ids.tolist()) == left
        assert exact.marks.tolist() == (exact.ids * 7).tolist()
        assert np.array_equal(exact.vectors, vectors[exact.ids - 1])


def test_asking_for_more_than_there_is_gives_what_there_is(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    assert len(index.search(make_vectors(1)[0], 5).ids) == 0
    index.add(ids_of(3), ids_of(3), make_vectors(3))
    assert len(index.search(make_vectors(1)[0], 5).ids) == 3
    index.build()
    assert len(index.search(make_vectors(1)[0], 5).ids) == 3
    index.remove(ids_of(3))
    assert len(index.search(make_vectors(1)[0], 5).ids) == 0


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    """hnswlib would take NaN and give it back for every query."""
    vectors = make_vectors(3)
    vectors[0, 0], vectors[1] = np.nan, 0.0
    index = open_index(tmp_path)
    index.add(ids_of(3), ids_of(3), vectors)
    assert index.search(vectors[2], 5).ids.tolist() == [3]


def test_a_graph_is_wanted_above_the_threshold_only(tmp_path: Path, small_threshold: None) -> None:
    index = open_index(tmp_path)
    index.add(ids_of(500), ids_of(500), make_vectors(500))
    assert [index.wants_build, len(index)] == [False, 500]
    index.add(ids_of(1, 501), ids_of(1, 501), make_vectors(1, seed=5))
    assert [index.wants_build, index.wants_save] == [True, False]
    index.build()
    assert [index.wants_build, index.wants_save] == [False, True]


def test_recall_stays_high_after_ten_thousand_random_changes(
    tmp_path: Path, small_threshold: None
) -> None:
    """Adds and deletes in any order, graph and matrix mixed: recall@10 against brute force >= 0.98."""
    rng = random.Random(4)
    pool = make_vectors(8000, seed=3)
    index, alive = open_index(tmp_path), set[int]()
    fresh = iter(range(8000))
    done = 0
    while done < 10_000:
        size = rng.randint(1, 60)
        done += size
        if rng.random() < 0.55 or len(alive) < 800:
            new = [number for number, _ in zip(fresh, range(size), strict=False)]
            index.add(np.array(new), np.array(new), pool[new])
            alive.update(new)
        else:
            gone = rng.sample(sorted(alive), min(size, len(alive)))
            index.remove(np.array(gone))
            alive.difference_update(gone)
        if index.wants_build:
            index.build()
    assert len(index) == len(alive)
    kept = np.array(sorted(alive))
    hits = 0
    for query in make_vectors(100, seed=8):
        expected = kept[np.argsort(-(pool[kept] @ query))[:10]]
        found = index.search(query, 10).ids.tolist()
        assert set(found) <= alive
        hits += len(set(found) & set(expected.tolist()))
    assert hits / 1000 >= 0.98


def test_a_saved_graph_answers_the_same_after_loading(tmp_path: Path) -> None:
    index = built(tmp_path)
    index.save()
    again = open_index(tmp_path)
    assert again.open_graph(marks_of(1000)) == ""
    for query in make_vectors(20, seed=2):
        assert again.search(query, 10).ids.tolist() == index.search(query, 10).ids.tolist()
    assert not again.wants_save


def test_rows_gone_or_changed_since_the_save_are_taken_out(tmp_path: Path) -> None:
    """The file may be older than the database, or newer when a backup of it was restored."""
    built(tmp_path).save()
    again = open_index(tmp_path)
    current = marks_of(1000)
    current.remove(np.array([18]))
    current.marks[current.ids == 19] += 1
    assert again.open_graph(current) == ""
    for number in (17, 18):
        assert number + 1 not in again.search(make_vectors(1000)[number], 5).ids.tolist()
    assert set(again.marks().ids.tolist()) == set(current.ids.tolist()) - {19}
    assert again.wants_save


def test_no_saved_graph_is_no_fault(tmp_path: Path) -> None:
    assert open_index(tmp_path).open_graph(Marks()) == ""


@pytest.mark.parametrize("part", ["hnsw", "marks", "json"])
def test_a_damaged_file_is_never_loaded(tmp_path: Path, part: str) -> None:
    """hnswlib crashes on some and answers wrongly on others: any changed byte means a rebuild."""
    index = built(tmp_path, 300)
    rng = random.Random(7)
    for round_number in range(60):
        index._saved = False
        index.save()
        (path,) = tmp_path.glob(f"*.{part}")
        data = bytearray(path.read_bytes())
        if round_number % 3 == 0:
            del data[rng.randrange(len(data)) :]
        else:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        again = open_index(tmp_path)
        reason = again.open_graph(marks_of(300))
        if reason == "" and part == "json":
            continue  # a changed space or a lost bit of a number that means the same
        assert reason
        assert len(again) == 0
        assert not list(tmp_path.glob("*.hnsw"))


def test_a_graph_of_another_model_is_not_used(tmp_path: Path) -> None:
    built(tmp_path).save()
    assert "another model" in open_index(tmp_path, "other").open_graph(marks_of(1000))


def test_a_crash_while_loading_means_a_rebuild(tmp_path: Path) -> None:
    built(tmp_path).save()
    (graph,) = tmp_path.glob("*.hnsw")
    graph.with_suffix(".loading").touch()
    assert "did not end" in open_index(tmp_path).open_graph(marks_of(1000))


def test_a_full_disk_keeps_the_index_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hnswlib's save returns normally then; only the size tells."""
    index = built(tmp_path)

    def write_half(path: str) -> None:
        Path(path).write_bytes(b"x" * 100)

    monkeypatch.setattr(index, "_graph", _Patched(index._graph, write_half))
    with pytest.raises(StoreError, match="disk is full"):
        index.save()
    assert index.wants_save
    assert not list(tmp_path.glob("*.json"))


class _Patched:
    """A graph whose save does not do what it says."""

    def __init__(self, graph: object, save_index: object) -> None:
        self._graph = graph
        self.save_index = save_index

    def __getattr__(self, name: str) -> object:
        return getattr(self._graph, name)


def test_without_hnswlib_search_stays_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = open_index(tmp_path)
    index.add(ids_of(50), ids_of(50), make_vectors(50))

    def refuse(*args: object) -> None:
        raise EmbedError("hnswlib cannot run on this processor (SIGILL)")

    monkeypatch.setattr(hnsw, "check_native", refuse)
    with pytest.raises(EmbedError, match="SIGILL"):
        index.build()
    assert index.search(make_vectors(50)[3], 1).ids.tolist() == [4]


def test_giving_up_a_build_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    index.add(ids_of(600), ids_of(600), make_vectors(600))
    calls = iter(range(10))

    def give_up() -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.build(give_up)
    assert index.search(make_vectors(600)[5], 1).ids.tolist() == [6]
    assert len(index) == 600
    index.build()
    assert index.search(make_vectors(600)[5], 1).ids.tolist() == [6]


def test_rows_that_come_and_go_during_a_build_are_kept_and_dropped(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    index.add(ids_of(600), ids_of(600), make_vectors(600))
    newer = make_vectors(1, seed=77)

    def meanwhile() -> None:
        if 601 not in index.marks().ids:
            index.add(np.array([601]), np.array([601]), newer)
            index.remove(np.array([6]))

    index.build(meanwhile)
    assert index.search(newer[0], 1).ids.tolist() == [601]
    assert 6 not in index.search(make_vectors(600)[5], 20).ids.tolist()
    assert len(index) == 600
