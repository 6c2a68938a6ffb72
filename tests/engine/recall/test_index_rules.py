"""Small rules of the model and the indexes of recall, one by one: which files are taken, what waits, what is saved."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from flower import limits
from flower.engine.recall import minilm, scope_index
from flower.engine.recall.background import EMBED_RETRY_S, INDEX_SAVE_IDLE_S, Background
from flower.engine.recall.base import Hit, Query
from flower.engine.recall.hnsw import Marks
from flower.engine.recall.keyword_indexes import KeywordIndexes
from flower.engine.recall.minilm import EMBED_CHARS
from flower.engine.recall.query import RECALL_CONTEXT_CHARS, RECALL_PARTS, context_of, split_parts
from flower.engine.recall.query_encoder import VectorCache
from flower.engine.recall.scope_index import ScopeIndex
from flower.engine.recall.tokenizers import PieceTable
from flower.engine.recall.vector_indexes import VectorIndexes
from flower.errors import EmbedError, StoreError
from tests.engine.recall.test_vectors import ids_of, make_vectors, open_index

# --- files of the model -------------------------------------------------------------------------


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = {name: hashlib.sha256(name.encode()).hexdigest() for name in minilm.SHA256}
    monkeypatch.setattr(minilm, "SHA256", sums)


def model_in(folder: Path, **instead: str) -> Path:
    """Writes the files of a model, some with other contents."""
    (folder / minilm.NAME).mkdir(parents=True)
    for name in minilm.SHA256:
        (folder / minilm.NAME / name).write_text(instead.get(name.partition(".")[0], name))
    return folder


def test_the_first_whole_model_is_taken(tmp_path: Path, sums: None) -> None:
    none, damaged = tmp_path / "none", model_in(tmp_path / "damaged", tokenizer="other")
    first, second = model_in(tmp_path / "first"), model_in(tmp_path / "second")
    assert minilm.find_model([none, damaged, first, second]) == first / minilm.NAME
    assert minilm.find_model([second, first]) == second / minilm.NAME


def test_of_several_damaged_models_the_first_is_named(tmp_path: Path, sums: None) -> None:
    damaged, missing = model_in(tmp_path / "damaged", tokenizer="other"), model_in(tmp_path / "missing")
    (missing / minilm.NAME / "model.onnx.data").unlink()
    with pytest.raises(EmbedError, match=r"damaged/.*tokenizer\.json is damaged"):
        minilm.find_model([damaged, missing])
    with pytest.raises(EmbedError, match=r"missing/.*model\.onnx\.data is missing"):
        minilm.find_model([missing, damaged])


def test_a_model_that_is_nowhere_is_named_with_its_places(tmp_path: Path) -> None:
    with pytest.raises(EmbedError, match=r"is not in \S+/a or \S+/b; copy"):
        minilm.find_model([tmp_path / "a", tmp_path / "b"])


def test_a_token_tells_when_it_has_a_letter_or_a_digit() -> None:
    words = {"[CLS]": 0, "[unused1]": 1, "##s": 2, "7": 3, "!": 4, "...": 5, "é": 6}
    tokenizer = SimpleNamespace(vocabulary=PieceTable(words))
    tells = minilm._tells(tokenizer)  # type: ignore[arg-type] # asked for its vocabulary alone
    assert tells.tolist() == [False, False, True, True, False, False, True]


def test_what_the_model_reads_is_bounded_and_whole() -> None:
    assert minilm.clean("a" * (EMBED_CHARS + 1)) == "a" * EMBED_CHARS
    assert minilm.clean("a\ud800b") == "a?b"


# --- several engines ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["lore:quay", ""])
async def test_what_another_engine_changes_while_an_index_is_read_is_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    """Both indexes of a scope that is doubted during its first reading are compared with the rows once more."""
    reads: list[str] = []

    async def load(self: VectorIndexes | KeywordIndexes, scope: str) -> object:
        reads.append(f"{type(self).__name__} {scope}")
        if len(reads) < 3:
            self.doubt(what)
        return SimpleNamespace()

    async def marks(self: VectorIndexes, scope: str) -> None:
        reads.append(f"marks {scope}")

    async def reconcile(self: VectorIndexes, index: object, current: None) -> None:
        pass

    for kind in (VectorIndexes, KeywordIndexes):
        monkeypatch.setattr(kind, "_load", load)
    monkeypatch.setattr(VectorIndexes, "_marks", marks)
    monkeypatch.setattr(VectorIndexes, "_reconcile", reconcile)
    database: Any = SimpleNamespace()
    vectors = VectorIndexes(database, "model", 8, tmp_path, reads.append)
    keywords = KeywordIndexes(database)
    for _ in range(3):
        await vectors.open("lore:quay")
        await keywords.index("lore:quay")
    assert reads == [
        "VectorIndexes lore:quay",
        "KeywordIndexes lore:quay",
        "marks lore:quay",
        "KeywordIndexes lore:quay",
    ]


async def test_an_index_that_could_not_be_compared_is_compared_the_next_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tries: list[str] = []

    async def marks(self: VectorIndexes, scope: str) -> None:
        tries.append(scope)
        if len(tries) == 1:
            raise StoreError("the server is away")

    async def nothing(*_: object) -> object:
        return SimpleNamespace()

    monkeypatch.setattr(VectorIndexes, "_load", nothing)
    monkeypatch.setattr(VectorIndexes, "_marks", marks)
    monkeypatch.setattr(VectorIndexes, "_reconcile", nothing)
    vectors = VectorIndexes(SimpleNamespace(), "model", 8, tmp_path, tries.append)  # type: ignore[arg-type]
    await vectors.open("s")
    vectors.doubt("")
    with pytest.raises(StoreError, match="away"):
        await vectors.open("s")
    await vectors.open("s")
    await vectors.open("s")
    assert tries == ["s", "s"]


@pytest.mark.parametrize(("count", "early"), [(limits.INDEXES_OPEN, 3), (limits.INDEXES_OPEN + 1, 0)])
async def test_indexes_are_read_early_where_all_have_room(count: int, early: int) -> None:
    """More than can be open at once would close each other before the search, and be read twice."""
    scopes = [f"cast:{number}" for number in range(count)]
    opened: list[str] = []

    async def open_index(scope: str) -> None:
        opened.append(scope)

    async def ask(_: Query) -> tuple[()]:
        return ()

    work = resting()
    work._failure = ""
    work.current = SimpleNamespace(  # type: ignore[assignment]
        is_open=lambda scope: scope == scopes[0], open=open_index, encoder=SimpleNamespace(ask=ask)
    )
    assert await work.ask_in(scopes, Query("the bell")) == ()
    assert sorted(opened) == scopes[1:][:early]


# --- memories that wait for their vectors ----------------------------------------------------------


def resting() -> Background:
    found = Background.__new__(Background)
    found._work, found._rest_until = trio.Event(), -math.inf
    return found


async def test_new_memories_wait_for_so_long_and_what_cannot_takes_them_along(
    mock_clock: MockClock,
) -> None:
    work = resting()
    assert work._resting_s == 0.0
    work.wake(5.0)
    assert (work._work.is_set(), work._resting_s) == (True, 5.0)
    mock_clock.jump(2.0)
    assert work._resting_s == 3.0
    mock_clock.jump(4.0)
    assert work._resting_s == 0.0
    work.wake(5.0)
    work.wake()
    assert work._resting_s == 0.0


async def test_only_what_waits_is_hurried(mock_clock: MockClock) -> None:
    work = resting()
    work.embed_soon()
    assert not work._work.is_set()
    work.wake(5.0)
    work._work = trio.Event()
    work.embed_soon()
    assert (work._work.is_set(), work._resting_s) == (True, 0.0)


@pytest.mark.parametrize(
    ("failure", "refused", "unsaved", "pause"),
    [
        ("", "", False, math.inf),
        ("", "", True, INDEX_SAVE_IDLE_S),
        ("no", "", True, EMBED_RETRY_S),
        ("", "no", False, EMBED_RETRY_S),
    ],
)
def test_a_failed_model_is_asked_again_and_an_index_saved_when_idle(
    failure: str, refused: str, unsaved: bool, pause: float
) -> None:
    work = Background.__new__(Background)
    work._failure, work._refused = failure, refused
    work.current = SimpleNamespace(indexes=SimpleNamespace(wants_save=unsaved))  # type: ignore[assignment]
    assert work._pause() == pause


# --- the graph of a scope -----------------------------------------------------------------------


def filled(index: ScopeIndex, count: int, start: int = 1) -> None:
    ids = ids_of(count, start)
    index.add(ids, ids, make_vectors(count, start))


def test_a_graph_grows_when_more_come_than_it_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scope_index, "BUILD_SLICE", 8)
    index = open_index(tmp_path)
    filled(index, 20)
    index.build()
    assert index._graph is not None
    assert (len(index._exact), len(index._marks)) == (0, 20)
    room = index._graph.get_max_elements()
    filled(index, room - 20, 21)
    index.build()
    assert index._graph.get_max_elements() == room
    filled(index, 1, room + 1)
    index.build()
    assert index._graph.get_max_elements() == room + 1 + (room + 1) // 4
    assert (len(index), len(index._exact)) == (room + 1, 0)
    assert sorted(index.search(make_vectors(1)[0], 99).ids.tolist()) == list(range(1, room + 2))


def test_an_index_is_saved_once_after_each_change(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    filled(index, 20)
    assert not index.wants_save
    index.build()
    assert index.wants_save
    index.save()
    assert not index.wants_save
    index.remove(ids_of(1, 99))
    assert not index.wants_save
    index.remove(ids_of(2))
    assert (index.wants_save, index._dead, len(index)) == (True, 2, 18)
    index.save()
    filled(index, 3, 30)
    assert not index.wants_save  # they are in the matrix, and rows of the database
    index.build()
    assert index.wants_save


@pytest.mark.parametrize(("gone", "wants_save"), [(0, False), (3, True)])
def test_rows_that_are_gone_since_the_save_are_counted(
    tmp_path: Path, gone: int, wants_save: bool
) -> None:
    index = open_index(tmp_path)
    filled(index, 20)
    index.build()
    index.save()
    found = open_index(tmp_path)
    left = ids_of(20 - gone)
    assert found.open_graph(Marks(left, left)) == ""
    assert (len(found), found._dead, found.wants_save) == (20 - gone, gone, wants_save)


def test_what_is_left_of_a_graph_is_no_graph_and_goes(tmp_path: Path) -> None:
    """As without its manifest nobody knows what it is."""
    for suffix, reason in (
        ("json", "No such file"),
        ("hnsw", "No such file"),
        ("marks", "No such file"),
    ):
        index = open_index(tmp_path / suffix)
        filled(index, 20)
        index.build()
        index.save()
        next((tmp_path / suffix).glob(f"*.{suffix}")).unlink()
        assert reason in open_index(tmp_path / suffix).open_graph(Marks())
        assert [path.name for path in (tmp_path / suffix).iterdir() if path.suffix != ".ok"] == []
        assert open_index(tmp_path / suffix).open_graph(Marks()) == ""


def test_a_worn_graph_is_made_anew_of_what_lives(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    filled(index, 20)
    index.build()
    index.remove(ids_of(10))
    assert index.wants_build
    index.build()
    assert (len(index), index._dead, len(index._exact), index.wants_build) == (10, 0, 0, False)
    assert sorted(index.marks().ids.tolist()) == list(range(11, 21))


def test_a_matrix_grows_by_half_and_keeps_what_it_has() -> None:
    matrix, rooms = scope_index.Exact(32), []
    vectors = make_vectors(150)
    for start, count in ((1, 1), (2, 62), (64, 1), (65, 1), (66, 80)):
        ids = ids_of(count, start)
        matrix.add(ids, ids * 7, vectors[start - 1 : start - 1 + count])
        rooms.append(len(matrix._ids))
    assert rooms == [64, 64, 64, 96, 145]
    matrix.add(ids_of(3, 144), ids_of(3), vectors[:3])
    assert (matrix.ids.tolist(), len(matrix._ids)) == ([*range(1, 147)], 217)
    matrix.remove(ids_of(100))
    assert sorted(matrix.ids.tolist()) == [*range(101, 147)]
    for place, number in enumerate(matrix.ids.tolist()):
        row = vectors[2] if number == 146 else vectors[number - 1]
        assert matrix.vectors[place].tolist() == row.tolist()
    matrix.reserve(300)
    matrix.reserve(10)
    assert (len(matrix._ids), len(matrix._marks), matrix._vectors.shape) == (300, 300, (300, 32))


@pytest.mark.parametrize(("rows", "wants"), [(3, False), (4, True)])
def test_a_graph_is_made_above_a_number_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, wants: bool
) -> None:
    monkeypatch.setattr(scope_index, "EXACT_ROWS", 3)
    index = open_index(tmp_path)
    filled(index, rows)
    assert index.wants_build is wants


@pytest.mark.parametrize(("newer", "wants"), [(2, False), (3, True)])
def test_a_graph_is_enlarged_when_more_than_a_number_of_rows_are_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newer: int, wants: bool
) -> None:
    monkeypatch.setattr(scope_index, "INDEX_TAIL_ROWS", 2)
    index = open_index(tmp_path)
    filled(index, 5)
    index.build()
    filled(index, newer, 6)
    assert index.wants_build is wants


def test_what_is_in_the_graph_and_what_is_newer_is_found_together(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    vectors = make_vectors(30)
    index.add(ids_of(20), ids_of(20), vectors[:20])
    index.build()
    index.add(ids_of(10, 21), ids_of(10, 21), vectors[20:])
    index.add(ids_of(2, 20), ids_of(2, 20), vectors[:2])  # they are here already
    assert len(index) == 30
    hits = index.search(vectors[24], 7)
    similarities = vectors @ vectors[24]
    expected = sorted(range(1, 31), key=lambda number: -similarities[number - 1])[:7]
    assert hits.ids.tolist() == expected
    assert hits.similarities.tolist() == pytest.approx(
        [similarities[n - 1] for n in expected], abs=1e-5
    )
    assert index.marks().ids.tolist() == [*range(1, 31)]


# --- questions ----------------------------------------------------------------------------------


def test_the_vectors_asked_for_last_are_kept() -> None:
    kept, vector = VectorCache(most=2), make_vectors(1)[0]
    for text in "ab":
        kept.put(text, vector)
    assert kept.get("a") == (vector, None)
    kept.put("c", vector)
    assert [text in kept for text in "abc"] == [True, False, True]
    assert kept.get("b") is None
    kept.put("a", vector)
    kept.put("d", vector)
    assert [text in kept for text in "acd"] == [True, False, True]


def test_a_context_is_cut_at_a_word_and_its_end_is_kept() -> None:
    most = RECALL_CONTEXT_CHARS
    assert context_of(Query("?", context=f" {'a' * most} ")) == "a" * most
    found = context_of(Query("?", context="word " * most + "end"))
    assert found.endswith(" end")
    assert found.startswith("word ")
    assert most - 5 <= len(found) <= most


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "Where is the brass key, and who rang the bell?",
            ["Where is the brass key?", "who rang the bell?"],
        ),
        ("Where is the brass key and the lamp?", ["Where is the brass key and the lamp?"]),
        ('"Where is the brass key?" I ask Dov.', ['"Where is the brass key?" I ask Dov.']),
        ("Where is the brass key? Why?", ["Where is the brass key? Why?"]),
        ("Why? Where is the brass key?", ["Why? Where is the brass key?"]),
        (
            "I know where the brass key is and who has it.",
            ["I know where the brass key is and who has it."],
        ),
        (
            "Where is the brass key? Who rang the bell?",
            ["Where is the brass key?", "Who rang the bell?"],
        ),
    ],
)
def test_a_line_that_asks_two_things_is_two_questions(question: str, parts: list[str]) -> None:
    assert split_parts(question, "english") == parts


def test_a_line_has_so_many_parts() -> None:
    asked = [
        f"Where did {who} hide {what}?"
        for who, what in zip(
            ("Ines", "Brand", "Mara", "Olaf", "Ned", "Wren", "Dov", "Tam"),
            ("keys", "lamps", "ropes", "bells", "coins", "maps", "boots", "rings"),
            strict=True,
        )
    ]
    parts = split_parts(" ".join(asked), "english")
    assert len(parts) == RECALL_PARTS
    assert " ".join(parts) == " ".join(asked)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({}, "recent"),
        ({"beside": 7}, "stands beside 7"),
        ({"similarity": 0.625}, "similar 0.62"),
        ({"similarity": 0.0, "keywords": ("a", "b", "c", "d", "e")}, "similar 0.00, words: a, b, c, d"),
        ({"pinned": True, "keywords": ("a",)}, "pinned, words: a"),
    ],
)
def test_why_a_passage_was_chosen_is_told_in_a_few_words(found: dict[str, Any], why: str) -> None:
    passage = SimpleNamespace(pinned=found.pop("pinned", False))
    values = {"similarity": None, "keywords": (), **found}
    told = Hit(passage, 1.0, tokens=1, **values)  # type: ignore[arg-type]
    assert told.why == why
