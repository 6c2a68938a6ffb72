"""Small rules of questions and of indexes in memory, one by one: whose name is meant, what is read page by page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trio

from flower import limits
from flower.engine.recall import keyword_indexes, query, vector_indexes
from flower.engine.recall.base import Query
from flower.engine.recall.candidates import RECALL_CANDIDATES, Finder
from flower.engine.recall.embedder import NiceThread
from flower.engine.recall.keyword_indexes import KeywordIndexes
from flower.engine.recall.query import CONTEXT_TERMS, Question, prepare, split_question, words_found
from flower.engine.recall.query_encoder import _mixed
from flower.engine.recall.vector_indexes import VectorIndexes
from flower.engine.store import term_rows, vector_rows
from flower.engine.store.passages import Changed
from flower.engine.store.term_rows import Terms

# --- words of a line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "language"), [(1, "german"), (59, "german"), (60, "english"), (200, "english")]
)
def test_a_short_line_is_in_the_language_of_its_context(length: int, language: str) -> None:
    context = "Das ist nicht der Weg, den ich mit dir und den anderen ging."
    (question,) = prepare(Query("x" * length, context=context))
    assert question.language == language


def test_words_weigh_by_where_they_are() -> None:
    line = 'The ferry creaks. "Where is the brass key?" I ask Dov.'
    (question,) = prepare(Query(line, context="The brass lantern swings."), by_name=False)
    assert question.words == ("brass", "key", "ask", "dov")
    assert dict(question.weights) == {
        "brass": 1.0, "key": 1.0, "ask": 1.0, "dov": 1.0, "ferry": 0.2, "creaks": 0.2, "lantern": 0.2, "swings": 0.2,
    }  # fmt: skip
    (short,) = prepare(Query("The ferry creaks. Where is the key?", context="A lantern."))
    assert dict(short.weights) == {"key": 1.0, "ferry": 0.5, "creaks": 0.5, "lantern": 0.4}
    assert short.context_weight == 0.4
    (alone,) = prepare(Query("Where is the key?"))
    assert (alone.weights, alone.context_weight) == ((("key", 1.0),), 0.0)


def test_of_a_context_the_last_words_count() -> None:
    words = [f"word{number}" for number in range(CONTEXT_TERMS + 3)]
    (question,) = prepare(Query("Where is the key?", context=" ".join(words)))
    assert [word for word, _ in question.weights] == ["key", *words[3:]]


@pytest.mark.parametrize(
    ("line", "question", "beside"),
    [
        (
            'I wait. "Why?" I ask the old ferryman Dov quietly.',
            '"Why?"',
            "I wait. I ask the old ferryman Dov quietly.",
        ),
        ('I wait. "Why?" I ask the old man.', '"Why?" I ask the old man.', "I wait."),
        ("Why? I ask Dov. It rains.", "Why?", "I ask Dov. It rains."),
        ("Why?", "Why?", ""),
        ("It rains. I wait.", "It rains. I wait.", ""),
    ],
)
def test_who_is_asked_is_said_in_a_few_words_after_what_is_quoted(
    line: str, question: str, beside: str
) -> None:
    assert split_question(line) == (question, beside)


@pytest.mark.parametrize(
    ("sentence", "pieces"),
    [
        ("Where is Dov and who saw him?", ["Where is Dov?", "who saw him?"]),
        ("And who saw him?", ["And who saw him?"]),
        ("Who saw him and who?", ["Who saw him and who?"]),
        ("Where is Dov and who", ["Where is Dov and who"]),
        ("Who came and?", ["Who came and?"]),
        ("Where is it, and when was it, and how?", ["Where is it?", "when was it, and how?"]),
    ],
)
def test_a_sentence_is_cut_before_each_further_question(sentence: str, pieces: Sequence[str]) -> None:
    assert query._pieces(sentence) == pieces


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Mara nods.", ["Mara"]),
        ("Mara waited.", ["Mara"]),
        ("Rain in the hall.", []),  # a word at the beginning, and nobody does anything
        ("We saw Rain in the hall.", ["Rain"]),
        ("Old Tam sat there.", ["Old Tam"]),
        ("We leave the Copper Kettle.", []),
        ("The Copper Kettle is full.", []),
        ("We call for Q now.", []),
        ("We call for DOV now.", []),
        ("We saw Mara. Then Dov ran. We left Mara.", ["Dov", "Mara"]),
        ("We saw Mara's lamp and Dov\u2019s boat.", ["Mara", "Dov"]),
        ("We met Nobody but her.", []),
        ("We met \u201cMara\u201d, (Dov)!", ["Mara Dov"]),
        ("Rain nowhere. We saw Rain.", ["Rain"]),
        ("We saw Rain. Rain nowhere.", ["Rain"]),
    ],
)
def test_names_are_in_a_text_by_their_last_mention(text: str, names: Sequence[str]) -> None:
    assert [name.text for name in query._names(text)] == names


@pytest.mark.parametrize(
    ("question", "before", "name"),
    [
        ("Where is she?", "We saw Mara. She slept. We saw Dov. He ran.", "Mara"),
        ("Where is he?", "We saw Mara. She slept. We saw Dov. He ran.", "Dov"),
        ("Where is he?", "We saw Mara. She slept. We saw Dov.", "Dov"),
        ("Where is her lamp?", "We saw Mara. Her lamp shone. Of Tam his boat.", "Mara"),
        ("Where is she?", "We saw Mara. She slept. We saw Tam. His boat. We saw Mara.", "Mara"),
        ("Did she see him?", "We saw Mara.", ""),
        ("Where is it?", "We saw Mara.", ""),
        ("Did she see old Tam?", "We saw Mara.", ""),
        ("Where is she?", "He slept there.", ""),
    ],
)
def test_she_and_he_mean_the_last_name_that_they_were_said_of(
    question: str, before: str, name: str
) -> None:
    assert query.resolve(question, before) == name


@pytest.mark.parametrize(
    ("question", "order"),
    [
        ("What came first time?", "first"), ("When was the last time?", "last"), ("What was first?", ""),
        ("What was before the storm?", "before"), ("And after that?", "after"), ("What was before?", ""),
        ("The last lamp?", ""), ("What happened time first after it?", "after"),
    ],
)  # fmt: skip
def test_the_order_of_a_story_is_asked_for_by_two_words(question: str, order: str) -> None:
    assert query.order_of(question) == order


def test_words_of_a_question_are_named_as_they_were_asked() -> None:
    assert words_found("Bells ring at dawn.", ("ringing", "tide", "bell"), "english") == (
        "ringing",
        "bell",
    )


def test_a_context_turns_a_vector_by_its_weight() -> None:
    one, other = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
    assert _mixed([one], 0.9).tolist() == [1.0, 0.0]
    assert _mixed([one, other], 0.2).tolist() == pytest.approx([0.8 / 0.68**0.5, 0.2 / 0.68**0.5])
    assert _mixed([one, -one], 0.5).tolist() == [1.0, 0.0]


# --- a thread of low priority -------------------------------------------------------------------


def test_a_thread_that_has_worked_ends_and_one_that_never_did_need_not() -> None:
    thread = NiceThread()
    thread.end()
    assert thread.run(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        thread.run(lambda: 1 // 0)
    assert thread.run(lambda: 6) == 6
    thread.end()
    assert thread._thread is not None
    assert not thread._thread.is_alive()


# --- indexes in memory --------------------------------------------------------------------------


class Rows:
    """A store of some passages of each scope, which notes where each page begins."""

    def __init__(self, count: int) -> None:
        self.ids = list(range(1, count + 1))
        self.pages: list[int] = []
        self.fails = False
        self.unwritten = 0

    async def read(self, function: object, *values: Any, after: int = 0, limit: int = 99) -> Any:
        await trio.lowlevel.checkpoint()
        if function is term_rows.count_missing:
            return self.unwritten
        if function is vector_rows.vectors_of:
            return self.vectors([one for one in values[1] if one in self.ids])
        if function is term_rows.terms_of_ids:
            return self.terms([one for one in values[0] if one in self.ids])
        self.pages.append(after)
        page = [one for one in self.ids if one > after][:limit]
        if function is vector_rows.page_of_marks:
            return np.array(page, np.int64), np.array(page, np.int64) * 7
        return self.vectors(page) if function is vector_rows.page_of_vectors else self.terms(page)

    async def write(self, function: object, *_: object, limit: int) -> None:
        await trio.lowlevel.checkpoint()
        assert function is term_rows.store_missing
        self.unwritten = max(0, self.unwritten - limit)

    def vectors(self, ids: Sequence[int]) -> object:
        angles = np.array(ids, np.float64) / 10
        column = np.array(ids, np.int64)
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        return SimpleNamespace(ids=column, marks=column * 7, vectors=vectors)

    def terms(self, ids: Sequence[int]) -> list[Terms]:
        return [Terms(i, 0, "english", np.array([7], np.uint32), np.array([1], np.uint8)) for i in ids]


def opened(rows: Rows, folder: Path) -> VectorIndexes:
    return VectorIndexes(rows, "m", 2, folder, pytest.fail)  # type: ignore[arg-type]


EAST = np.array([1.0, 0.0], np.float32)


@pytest.mark.parametrize(("count", "pages"), [(0, [0]), (2, [0]), (3, [0, 3]), (7, [0, 3, 6])])
async def test_an_index_is_filled_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, pages: list[int]
) -> None:
    monkeypatch.setattr(vector_indexes, "VECTORS_PAGE", 3)
    monkeypatch.setattr(vector_indexes, "MARKS_PAGE", 3)
    monkeypatch.setattr(keyword_indexes, "TERMS_PAGE", 3)
    rows = Rows(count)
    indexes = opened(rows, tmp_path)
    hits = await indexes.search("lore:a", EAST, 99)
    assert hits.ids.tolist() == rows.ids  # the smaller the number, the nearer
    assert rows.pages == [*pages, *pages]  # marks, then vectors
    words = await KeywordIndexes(rows).index("lore:a")  # type: ignore[arg-type]
    assert words.ids.tolist() == rows.ids
    assert rows.pages[2 * len(pages) :] == pages


async def test_a_doubted_index_is_compared_once_and_another_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_indexes, "VECTORS_PAGE", 2)
    rows = Rows(3)
    indexes = opened(rows, tmp_path)
    for scope in ("lore:a", "lore:b"):
        await indexes.open(scope)
    rows.ids = [2, 3, 5, 6, 8]
    for scope, doubted, ids in (
        ("lore:a", None, [1, 2, 3]), ("lore:a", "lore:b", [1, 2, 3]), ("lore:b", None, [2, 3, 5, 6, 8]),
        ("lore:a", "", [2, 3, 5, 6, 8]),
    ):  # fmt: skip
        if doubted is not None:
            indexes.doubt(doubted)
        assert (await indexes.search(scope, EAST, 99)).ids.tolist() == ids
    rows.pages.clear()
    await indexes.search("lore:a", EAST, 99)
    assert rows.pages == []


async def test_a_change_is_carried_over_and_one_that_ends_badly_is_compared(tmp_path: Path) -> None:
    rows = Rows(3)
    indexes = opened(rows, tmp_path)
    await indexes.changed("lore:a", Changed(added=(4,)))
    assert not indexes.is_open("lore:a")
    await indexes.open("lore:a")
    rows.ids = [2, 3, 4]
    async with indexes.changing(["lore:a"]):
        await indexes.changed("lore:a", Changed(added=(4,), removed=(1,)))
    assert (await indexes.search("lore:a", EAST, 99)).ids.tolist() == [2, 3, 4]
    rows.ids = [4, 5]
    with suppress(KeyError):
        async with indexes.changing(["lore:a"]):
            raise KeyError
    assert (await indexes.search("lore:a", EAST, 99)).ids.tolist() == [4, 5]


async def test_the_words_of_a_changed_scope_are_read_page_by_page_and_of_a_doubted_one_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keyword_indexes, "TERMS_PAGE", 2)
    rows = Rows(2)
    rows.unwritten = 5
    indexes = KeywordIndexes(rows)  # type: ignore[arg-type]
    await indexes.index("lore:a")
    assert rows.unwritten == 0
    rows.ids = list(range(2, 8))
    await indexes.changed("lore:a", Changed(added=(3, 4, 5, 6, 7), removed=(1,)))
    assert sorted(index_ids(await indexes.index("lore:a"))) == rows.ids
    rows.ids = [9]
    indexes.doubt("lore:b")
    assert 9 not in await indexes.index("lore:a")
    indexes.doubt("")
    assert index_ids(await indexes.index("lore:a")) == [9]
    rows.ids = [10]
    with suppress(KeyError):
        async with indexes.changing(["lore:a"]):
            raise KeyError
    assert index_ids(await indexes.index("lore:a")) == [10]


def index_ids(index: Any) -> list[int]:
    return [int(number) for number in index.ids[index.alive]]


async def test_only_the_indexes_used_last_stay_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INDEXES_OPEN", 2)
    vectors, words = opened(Rows(1), tmp_path), KeywordIndexes(Rows(1))  # type: ignore[arg-type]
    for scope in ("a", "b", "a", "c"):
        await vectors.open(scope)
        await words.index(scope)
    for indexes in (vectors, words):
        assert [indexes.is_open(scope) for scope in "abc"] == [True, False, True]


@pytest.mark.parametrize(("scope", "share"), [("lore:a", 1), ("memory:a", 4)])
async def test_of_memories_more_are_near_as_other_branches_are_among_them(
    scope: str, share: int
) -> None:
    counts: list[int] = []

    async def search(_scope: str, _vector: object, count: int) -> object:
        await trio.lowlevel.checkpoint()
        counts.append(count)
        return SimpleNamespace(ids=np.array([2, 1], np.int64))

    words = KeywordIndexes(Rows(3))  # type: ignore[arg-type]
    finder = Finder(None, SimpleNamespace(search=search), words, "m", 2)  # type: ignore[arg-type]
    question = Question("?", (), (), "english", vector=EAST)
    near = await finder._worded(scope, question, None)
    assert counts == [share * RECALL_CANDIDATES]
    assert list(near.words)[:2] == [2, 1]
    assert not (await finder._worded(scope, Question("?", (), (), "english"), None)).words
    assert len(counts) == 1
