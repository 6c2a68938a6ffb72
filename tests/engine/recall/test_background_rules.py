"""Small rules of the background and of the model's threads, one by one: what is said of work, when memory goes."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from flower import limits
from flower.engine.recall import embedder, hnsw, query_encoder
from flower.engine.recall.background import EMBED_RETRY_S, Background, ModelRecall, _Report
from flower.engine.recall.base import Query
from flower.engine.recall.candidates import Candidates
from flower.engine.recall.embedder import TIDY_AFTER_S, TIDY_BATCHES, _EmbedRequest, _Worker
from flower.engine.recall.hnsw import Marks
from flower.engine.recall.native_check import NoNumpyError
from flower.engine.recall.query import Question
from flower.engine.recall.query_encoder import QUERY_VECTORS_KEPT, QueryEncoder, as_passages, as_queries
from flower.engine.recall.ranking import Tuning
from flower.engine.recall.search import (
    NO_ROOM,
    RECALL_LORE_RESULTS,
    RECALL_MEMORY_RESULTS,
    UNLIKELY,
    Searcher,
    _most,
    _once,
)
from flower.errors import EmbedError, StoreError
from flower.protocol.messages import Progress
from tests.engine.recall.test_ranking_rules import passage, row

# --- what is said of long work ------------------------------------------------------------------


async def test_long_work_is_said_from_time_to_time_and_at_its_end(mock_clock: MockClock) -> None:
    said: list[tuple[str, Progress | None]] = []
    report = _Report(lambda line, progress: said.append((line, progress)))
    mock_clock.jump(limits.PROGRESS_INTERVAL_S - 0.5)
    assert not report.is_due(4)
    report.end()
    assert said == []  # what is short is not mentioned
    mock_clock.jump(0.5)
    assert [report.is_due(6), report.wants_total] == [True, True]
    report.say(30)
    rate = 10 / limits.PROGRESS_INTERVAL_S
    assert said == [
        (f"Reading lore: 10 of 40 passages, {rate:.0f} a second.", Progress("lore", 10, 40))
    ]
    assert [report.is_due(10), report.wants_total] == [False, False]
    mock_clock.jump(limits.PROGRESS_INTERVAL_S)
    assert [report.is_due(20), report.wants_total] == [True, True]  # lore was added meanwhile
    report.say(2)
    report.end()
    assert [progress for _, progress in said[1:]] == [Progress("lore", 40, 42), None]
    assert said[2][0] == "✓ Read 40 passages."


# --- a model that fails -------------------------------------------------------------------------


class Encoder:
    """Asks a model that fails as long as it is told to."""

    error: EmbedError | None = None

    def by_words(self, query: Query) -> str:
        return f"words {query.text}"

    async def ask(self, query: Query) -> str:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return f"meant {query.text}"

    def expect(self, context: str) -> bool:
        return context == "news"


def background(open_scopes: Sequence[str] = ()) -> tuple[Background, Any, list[str]]:
    work, said = Background.__new__(Background), list[str]()
    encoder = Encoder()

    async def open_scope(scope: str) -> None:
        await trio.lowlevel.checkpoint()
        said.append(f"open {scope}")
        if scope == "broken":
            raise StoreError("broken")

    work._work, work._failure, work._failed_at = trio.Event(), "", -1e9
    work._to_warm = {}
    work._notify = lambda line, _progress: said.append(line)
    work.current = SimpleNamespace(  # type: ignore[assignment]
        encoder=encoder, is_open=lambda scope: scope in open_scopes, open=open_scope
    )
    return work, encoder, said


async def test_a_model_that_failed_is_asked_again_after_a_while_and_its_failure_said_once(
    mock_clock: MockClock,
) -> None:
    work, encoder, said = background()
    assert (await work.ask(Query("?")), work.trouble) == ("meant ?", "")  # type: ignore[comparison-overlap]
    encoder.error = EmbedError("no memory")
    for _ in range(2):
        assert await work.ask(Query("?")) == "words ?"  # type: ignore[comparison-overlap]
    mock_clock.jump(EMBED_RETRY_S - 0.5)
    encoder.error = None
    assert await work.ask(Query("?")) == "words ?"  # type: ignore[comparison-overlap]
    assert not work._work.is_set()
    mock_clock.jump(0.5)
    assert await work.ask(Query("?")) == "meant ?"  # type: ignore[comparison-overlap]
    assert (work.trouble, work._work.is_set()) == ("", True)
    encoder.error = EmbedError("no memory")
    await work.ask(Query("?"))
    work.fail(NoNumpyError("no numpy"))
    assert said == [
        "✗ Recall goes by words only: no memory",
        "✗ Recall goes by words only: no memory",
        "✗ Recall is off: no numpy",
    ]


async def test_scopes_are_read_while_the_model_is_asked_unless_it_fails() -> None:
    work, _, said = background(["b"])
    await work.ask_in(["a", "b", "broken"], Query("?"))
    assert sorted(said) == ["open a", "open broken"]
    work._failure = "no memory"
    await work.ask_in(["c"], Query("?"))
    assert sorted(said) == ["open a", "open broken"]


async def test_only_what_is_closed_is_warmed_and_only_news_expected() -> None:
    work, _, _ = background(["b"])
    work.warm(["b", ""])
    work.expect("old")
    assert not work._work.is_set()
    work.warm(["b", "a", "", "c", "a"])
    assert (list(work._to_warm), work._work.is_set()) == (["a", "c"], True)
    work._work = trio.Event()
    work._failure = "no memory"
    work.expect("news")
    assert not work._work.is_set()
    work._failure = ""
    work.expect("news")
    assert work._work.is_set()


@pytest.mark.parametrize(("vectors", "words"), [(True, False), (False, True), (True, True)])
async def test_a_scope_is_open_when_both_of_its_indexes_are(vectors: bool, words: bool) -> None:
    recall, opened = ModelRecall.__new__(ModelRecall), list[str]()

    async def open_one(kind: str, scope: str) -> None:
        await trio.lowlevel.checkpoint()
        opened.append(f"{kind} {scope}")
        if scope == "broken":
            raise StoreError(kind)

    recall.indexes = SimpleNamespace(is_open=lambda _: vectors, open=partial(open_one, "vectors"))  # type: ignore[assignment]
    recall._keywords = SimpleNamespace(is_open=lambda _: words, index=partial(open_one, "words"))  # type: ignore[assignment]
    assert recall.is_open("lore:a") is (vectors and words)
    await recall.open("lore:a")
    assert sorted(opened) == ["vectors lore:a", "words lore:a"]
    with pytest.raises(StoreError):
        await recall.open("broken")


# --- texts that are read ahead ------------------------------------------------------------------


class Model:
    """An embedder with prefixes that notes what it reads."""

    model_id, dimension = "m", 2
    query_prefix, passage_prefix = "q: ", "p: "

    def __init__(self) -> None:
        self.read: list[list[str]] = []

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Any:
        await trio.lowlevel.checkpoint()
        self.read.append([*texts, "urgent"] if urgent else [*texts])
        return np.tile(np.array([1.0, 0.0], np.float32), (len(texts), 1))


async def test_what_is_expected_is_read_once_in_requests_of_a_bounded_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "EMBED_REQUEST_TEXTS", 2)
    model = Model()
    encoder = QueryEncoder(model, Tuning())
    assert [encoder.expect(text) for text in ("a", "b", "a", " ", "c")] == [
        True,
        True,
        False,
        False,
        True,
    ]
    await encoder.prepare()
    await encoder.prepare()
    assert model.read == [["q: a", "q: b"], ["q: c"]]
    assert not encoder.expect("b")
    (question,) = await encoder.ask(Query("Where is the key?", context="b"))
    assert model.read[2:] == [["q: Where is the key?", "urgent"]]
    assert question.vector is not None
    assert question.vector.tolist() == [1.0, 0.0]
    await encoder.ask(Query("Where is the key?"))
    assert len(model.read) == 3


def test_a_model_reads_what_its_prefixes_say() -> None:
    model = Model()
    assert (as_queries(model, ["a"]), as_passages(model, ["a"])) == (["q: a"], ["p: a"])
    model.query_prefix = model.passage_prefix = ""
    texts = ["a"]
    assert as_queries(model, texts) is as_passages(model, texts) is texts
    assert query_encoder.VectorCache()._most == QUERY_VECTORS_KEPT


# --- the thread of a model ----------------------------------------------------------------------


def worker(unload_after_s: float | None = 60.0) -> tuple[_Worker, list[str]]:
    done: list[str] = []
    session = SimpleNamespace(
        tokenise=lambda texts: [[1, 2] for _ in texts],
        run=lambda batch: (np.ones((len(batch), 2), np.float32), [np.ones((2, 1))] * len(batch)),
        rest=lambda: done.append("rest"),
    )
    return _Worker(queue.SimpleQueue(), lambda: session, unload_after_s), done


def test_memory_goes_a_while_after_work_and_the_model_after_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[int] = []
    monkeypatch.setattr(embedder, "_give_back", lambda: given.append(1))
    thread, _ = worker()
    assert thread._patience() is None  # nothing is loaded
    thread._read(request := _EmbedRequest(["a"], False, 2, lambda: None), thread._later)
    assert (thread._patience(), len(given)) == (TIDY_AFTER_S, 1)
    thread._rest()
    assert (thread._session is not None, thread._patience(), len(given)) == (True, 60.0, 2)
    thread._untidy = TIDY_BATCHES - 1
    assert thread._patience() == 60.0
    thread._run(thread._later)
    assert (thread._untidy, thread._patience()) == (TIDY_BATCHES, TIDY_AFTER_S)
    assert request.encoded.vectors.tolist() == [[1.0, 1.0]]
    thread._untidy += 1
    thread._rest()
    assert thread._session is not None
    thread._rest()
    assert (thread._patience(), len(given)) == (None, 4)  # nothing is loaded
    thread._background.end()


def test_urgent_texts_are_read_at_once_and_others_when_it_is_their_turn() -> None:
    thread, done = worker(0.0)
    later, urgent = (_EmbedRequest(["a"], flag, 2, lambda: None) for flag in (False, True))
    thread._requests.put(later)
    thread._requests.put(urgent)
    assert thread._take_in()
    assert (len(thread._unread), bool(thread._urgent), bool(thread._later)) == (1, True, False)
    thread._requests.put(None)
    assert not thread._take_in()
    thread._unread.clear()
    thread._run(thread._urgent)
    thread._requests.put(None)
    assert not thread._take_in()
    assert done == []  # something had come
    thread._background.end()


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_a_batch_has_as_many_texts_as_fit_its_tokens(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(embedder, "EMBED_BATCH_TOKENS", 5 * most + 4)
    pool = embedder.Pool()
    pool.add(embedder.Job([(number, 0, 0, 0, 0) for number in range(6)]))
    sizes = []
    while pool:
        sizes.append(len(pool.take().texts))
    assert sizes == [most] * (6 // most) + [6 % most] * (6 % most > 0)
    pool.add(embedder.Job([(0,) * 99]))
    assert len(pool.take().texts) == 1  # one that is too long by itself is a batch


@pytest.mark.parametrize(("platform", "nice"), [("linux", 13), ("darwin", 3)])
def test_a_thread_steps_back_where_it_alone_does(
    monkeypatch: pytest.MonkeyPatch, platform: str, nice: int
) -> None:
    values = {threading.get_native_id(): 3}
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "getpriority", lambda _kind, thread: values[thread])
    monkeypatch.setattr(os, "setpriority", lambda _kind, thread, value: values.update({thread: value}))
    embedder._step_back()
    assert list(values.values()) == [nice]


def test_who_has_gone_is_not_read_for() -> None:
    thread, _ = worker()
    gone = _EmbedRequest(["a"], True, 2, lambda: None)
    gone.dropped = True
    thread._read(gone, thread._urgent)
    assert (thread._session, bool(thread._urgent)) == (None, False)


# --- graphs -------------------------------------------------------------------------------------


class Graph:
    """Finds so many rows and raises when it is asked for more, as hnswlib does."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.counts: list[int] = []

    def knn_query(self, _vector: object, *, k: int, num_threads: int) -> Any:
        assert num_threads == 1
        self.counts.append(k)
        if k > self.rows:
            raise RuntimeError
        return np.arange(k, dtype=np.uint64)[None], (np.arange(k, dtype=np.float32) / 4)[None]


@pytest.mark.parametrize(
    ("rows", "counts", "found"), [(9, [8], 8), (3, [8, 4, 2], 2), (0, [8, 4, 2, 1], 0)]
)
def test_a_graph_is_asked_for_fewer_until_it_has_them(rows: int, counts: list[int], found: int) -> None:
    graph = Graph(rows)
    hits = hnsw.query(graph, np.ones(2, np.float32), 8)
    assert graph.counts == counts
    assert hits.ids.tolist() == list(range(found))
    assert hits.similarities.tolist() == [1.0 - number / 4 for number in range(found)]
    assert hnsw.query(graph, np.ones(2, np.float32), 0).ids.tolist() == []


def marks(**values: int) -> Marks:
    ids = [int(name[1:]) for name in values]
    return Marks(np.array(ids, np.int64), np.array(list(values.values()), np.int64))


def test_marks_are_in_the_order_of_their_rows_and_fit_by_both() -> None:
    one = marks(i5=50, i2=20, i9=90)
    assert (one.ids.tolist(), one.marks.tolist()) == ([2, 5, 9], [20, 50, 90])
    assert one.fit(marks(i2=20, i5=51, i7=90, i10=1)).tolist() == [True, False, False]
    assert one.fit(marks(i9=90)).tolist() == [False, False, True]
    assert one.fit(Marks()).tolist() == [False, False, False]
    assert one.has(np.array([9, 3, 2])).tolist() == [True, False, True]
    one.add(np.array([3]), np.array([30]))
    assert one.remove(np.array([4, 5, 2])).tolist() == [2, 5]
    assert (one.ids.tolist(), one.marks.tolist(), len(one)) == ([3, 9], [30, 90], 2)
    assert one.remove(np.array([1])).tolist() == []


# --- several questions --------------------------------------------------------------------------


def test_a_passage_that_several_questions_find_is_where_it_is_best() -> None:
    unlikely, likely = row(1, 9.0), row(1, 2.0)
    rows = _once([unlikely, row(2, 3.0), worthy(likely), worthy(row(3, 5.0)), worthy(row(3, 4.0))])
    assert [(one.hit.passage.id, one.hit.score, one.worth) for one in rows] == [
        (3, 5.0, True),
        (2, 3.0, False),
        (1, 2.0, True),
    ]


def worthy(one: Any) -> Any:
    return type(one)(one.hit, one.score, one.chance, worth=True)


def test_lore_and_memories_have_a_bound_each() -> None:
    assert _most(memory=True) == RECALL_MEMORY_RESULTS
    assert _most(memory=False) == RECALL_LORE_RESULTS


class Offers:
    """A finder that has passages whose words are held to a share, by scope."""

    def __init__(self, held: dict[str, dict[int, float]], pinned: Sequence[int] = ()) -> None:
        self._held, self._pinned = held, pinned

    async def find(self, scopes: Sequence[str], *_: object) -> dict[str, Candidates]:
        await trio.lowlevel.checkpoint()
        return {scope: self._candidates(scope) for scope in scopes}

    def _candidates(self, scope: str) -> Candidates:
        held = self._held[scope]
        rows = {i: passage(i, f"bell {i}", message_id=i, pinned=i in self._pinned) for i in held}
        fixed = tuple(rows[i] for i in self._pinned if i in rows)
        memory = scope.startswith("memory:")
        return Candidates(
            memory, fixed, rows, words=dict(held), held=held, after={2: 3} if memory else {}
        )


QUESTION = Question("Which bell?", ("bell",), (("bell", 1.0),), "english")


def searcher(offers: Offers) -> Searcher:
    return Searcher(offers, lambda: 0.0, Tuning())  # type: ignore[arg-type]


async def test_a_turn_gets_what_is_pinned_then_the_best_and_sees_what_nearly_was_the_likeliest_first() -> (
    None
):
    held = {"lore:a": {1: 0.9, 4: 0.001, 5: 0.003, 6: 0.002}, "memory:s": {2: 0.8, 3: 0.0, 7: 0.7}}
    query = Query("?", lore_scope="lore:a", memory_scope="memory:s", recent_messages=(7,))
    search = searcher(Offers(held, pinned=[6, 7]))
    considered = await search.recall(query, [QUESTION])
    assert considered.hits[0].passage.id == 6
    assert sorted(hit.passage.id for hit in considered.hits) == [1, 2, 3, 6, 7]
    beside = next(hit for hit in considered.hits if hit.passage.id == 3)
    assert (beside.beside, beside.keywords) == (2, ("bell",))
    assert [(hit.passage.id, why) for hit, why in considered.nearly] == [(5, UNLIKELY), (4, UNLIKELY)]
    size = considered.hits[0].tokens
    short = await search.recall(replace(query, budget_tokens=2 * size), [QUESTION])
    assert len(short.hits) == 2
    assert NO_ROOM in [why for _, why in short.nearly]


@pytest.mark.parametrize("memory", [True, False])
async def test_twice_as_many_are_judged_as_may_be_recalled(memory: bool) -> None:
    held = dict.fromkeys(range(1, 40), 0.9)
    scope = "memory:s" if memory else "lore:a"
    (offered,) = (await Offers({scope: held}).find([scope])).values()
    kind = searcher(Offers({}))._of_kind(offered, Query("?"), QUESTION)
    assert len(kind.rows) == 2 * _most(memory=memory)
    assert sum(one.worth for one in kind.rows) == _most(memory=memory)


async def test_a_search_is_the_best_of_one_scope_whatever_is_pinned() -> None:
    search = searcher(Offers({"lore:a": {1: 0.2, 4: 0.5, 5: 0.9}}, pinned=[1]))
    hits = await search.search("lore:a", [QUESTION, QUESTION], 2)
    assert [hit.passage.id for hit in hits] == [5, 4]
    assert all(hit.tokens > 0 and hit.keywords == ("bell",) for hit in hits)
