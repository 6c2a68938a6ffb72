"""Blending, diversity, recency and budget as laws; words of a query as a table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower import limits
from flower.engine.recall.base import Found, Query
from flower.engine.recall.query import context_of, context_weight, keywords, words_found
from flower.engine.recall.ranking import (
    DIVERSITY,
    SAME,
    Signals,
    blend,
    cut,
    diversify,
    weigh_memory,
)
from flower.engine.store.passages import Passage

SCORES = st.dictionaries(st.integers(1, 30), st.floats(0, 20, allow_nan=False), max_size=20)


def found(number: int, score: float = 1.0, text: str = "", tokens: int = 10) -> Found:
    passage = Passage(number, "lore", "lore:vael", "world", "", text or f"text {number}")
    return Found(passage, score, None, None, None, (), tokens)


@given(SCORES, SCORES, SCORES, st.floats(0, 1))
def test_scores_lie_between_worst_and_best(
    similarity: dict[int, float], words: dict[int, float], context: dict[int, float], weight: float
) -> None:
    scores = blend(Signals(similarity, words, context, weight))
    assert scores.keys() <= {*similarity, *words, *context}
    assert scores.keys() >= similarity.keys()
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in scores.values())


@given(SCORES.filter(lambda scores: len(set(scores.values())) > 1))
def test_the_best_in_every_list_is_the_best_of_all(values: dict[int, float]) -> None:
    scores = blend(Signals(values, values, {}))
    best = max(values, key=lambda i: values[i])
    assert scores[best] == pytest.approx(1.0)


def test_without_vectors_words_alone_decide() -> None:
    assert blend(Signals({}, {1: 4.0, 2: 2.0}, {})) == {1: 1.0, 2: 0.5}


def test_a_lead_in_one_list_can_outweigh_the_other() -> None:
    """What reciprocal ranks cannot tell apart: close seconds and distant ones."""
    near = blend(Signals({1: 0.60, 2: 0.59, 3: 0.1}, {2: 9.0, 1: 1.0}, {}))
    far = blend(Signals({1: 0.60, 2: 0.15, 3: 0.1}, {2: 9.0, 1: 8.0}, {}))
    assert near[2] > near[1]
    assert far[1] > far[2]


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=12), st.integers(1, 12))
def test_diversity_keeps_the_best_and_never_repeats(scores: list[float], count: int) -> None:
    rng = np.random.default_rng(len(scores))
    vectors = {}
    for number in range(len(scores)):
        vector = rng.normal(size=3)
        vectors[number] = (vector / np.linalg.norm(vector)).astype(np.float32)
    picked = diversify([found(n, score) for n, score in enumerate(scores)], vectors, count)
    assert picked[0].score == max(scores)
    ids = [item.passage.id for item in picked]
    assert len(set(ids)) == len(ids) <= count
    for one in ids:
        for other in ids:
            assert one == other or vectors[one] @ vectors[other] < 0.96


def test_something_else_goes_before_nearly_the_same() -> None:
    vectors = {1: np.array([1.0, 0.0]), 2: np.array([0.94, 0.34]), 3: np.array([0.0, 1.0])}
    items = [found(1, 1.0), found(2, 0.9), found(3, 0.85)]
    found_ids = [item.passage.id for item in diversify(items, vectors, 3)]
    assert found_ids == [1, 3, 2]


def test_equal_text_comes_once_without_vectors() -> None:
    picked = diversify([found(1, 0.5, "same"), found(2, 0.9, "same")], {}, 5)
    assert [item.passage.id for item in picked] == [2]


@given(st.lists(st.integers(0, 100), max_size=20), st.integers(0, 200))
def test_the_cut_keeps_order_and_budget(sizes: list[int], budget: int) -> None:
    items = [found(number, tokens=size) for number, size in enumerate(sizes)]
    kept = cut(items, budget)
    assert sum(item.tokens for item in kept) <= budget
    ids = [item.passage.id for item in kept]
    assert ids == sorted(ids)
    left = budget - sum(item.tokens for item in kept)
    assert all(item.tokens > left for item in items if item not in kept)


def test_recent_and_important_memories_weigh_more() -> None:
    day = 24 * 3600.0
    new = Passage(1, "memory", "memory:s", "m", "", "", created=100 * day)
    old = Passage(2, "memory", "memory:s", "m", "", "", created=0.0)
    vital = Passage(3, "memory", "memory:s", "m", "", "", created=0.0, importance=1.0)
    weights = [weigh_memory(1.0, passage, 100 * day) for passage in (old, new, vital)]
    assert weights == sorted(weights)
    assert weigh_memory(1.0, new, 0.0) == weights[1], "a clock set back is no fault"


def test_keywords_are_the_telling_words_once() -> None:
    assert keywords("Where is the OLD ferryman, the ferryman of Vael?") == ("old", "ferryman", "vael")
    assert keywords("Who are you?") == ()
    assert keywords("Mara's ledger", known=("ledger",)) == ("mara",)
    assert len(keywords(" ".join(f"w{n}" for n in range(99)))) == limits.KEYWORD_TERMS


def test_a_line_that_says_little_leans_on_its_context() -> None:
    weights = [context_weight(words) for words in ((), ("bell",), ("bell", "tide"))]
    assert weights == sorted(weights, reverse=True)


def test_the_end_of_the_context_counts_cut_at_a_word() -> None:
    context = context_of(Query("x", context="first " + "word " * 400 + "last"))
    assert len(context) <= limits.RECALL_CONTEXT_CHARS
    assert context.startswith("word")
    assert context.endswith("last")
    assert context_of(Query("x")) == ""


def test_words_are_found_whatever_their_ending() -> None:
    assert words_found("The bells were drowned.", ("bell", "drowning", "tide")) == ("bell", "drowning")


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7), st.booleans()), max_size=12))
def test_what_is_picked_is_worth_most_beside_what_was_picked_before(
    drawn: list[tuple[float, int, bool]],
) -> None:
    """Each pick is the best of what was left, by its score less what it repeats of the earlier ones."""
    directions = np.random.default_rng(3).normal(size=(8, 4)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    items = [found(number, score) for number, (score, _, _) in enumerate(drawn)]
    vectors = {n: directions[which] for n, (_, which, known) in enumerate(drawn) if known}

    def likeness(one: int, other: int) -> float:
        if one in vectors and other in vectors:
            return max(0.0, float(vectors[one] @ vectors[other]))
        return 0.0

    picked = [item.passage.id for item in diversify(items, vectors, 4)]
    for place, number in enumerate(picked):
        repeated = {
            n: max([likeness(n, before) for before in picked[:place]], default=0.0)
            for n in range(len(drawn))
        }
        left = [n for n in repeated if n not in picked[:place] and repeated[n] < SAME]
        worth = {n: drawn[n][0] * (1 - DIVERSITY * repeated[n]) for n in left}
        assert number in worth
        assert worth[number] >= max(worth.values()) - 1e-6
    assert len(picked) == len(set(picked))
