"""Fusion, neighbours, late interaction, chances and budget as laws; words of a query as a table."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower import limits
from flower.engine.recall.base import Found, Query
from flower.engine.recall.query import (
    context_of,
    context_weight,
    keywords,
    prepare,
    split_question,
    words_found,
)
from flower.engine.recall.ranking import (
    Cut,
    Evidence,
    Signals,
    Tuning,
    best_of,
    chance,
    cut,
    distinct,
    leads,
    rank,
    rank_again,
    weigh_memory,
    with_neighbours,
    worth_recalling,
)
from flower.engine.store.passages import Passage
from flower.engine.store.words import words_of

SCORES = st.dictionaries(st.integers(1, 30), st.floats(0, 20, allow_nan=False), max_size=20)


def found(number: int, score: float = 1.0, text: str = "", tokens: int = 10) -> Found:
    passage = Passage(number, "lore", "lore:vael", "world", "", text or f"text {number}")
    return Found(passage, score, None, None, None, (), tokens)


@given(SCORES, SCORES)
def test_every_candidate_gets_a_score(words: dict[int, float], similarity: dict[int, float]) -> None:
    scores = rank(Signals(words, similarity), Tuning())
    ranked = rank_again(scores, dict.fromkeys(scores, 0.5), Tuning())
    assert ranked.keys() == {*words, *similarity}
    assert all(math.isfinite(score.total) for score in ranked.values())


@given(SCORES.filter(lambda scores: len(set(scores.values())) > 1))
def test_the_best_in_every_list_is_the_best_of_all(values: dict[int, float]) -> None:
    ranked = rank_again(rank(Signals(values, values), Tuning()), values, Tuning())
    best = max(values.values())
    assert values[max(ranked, key=lambda i: ranked[i].total)] == pytest.approx(best, abs=1e-9)


@given(SCORES, SCORES, st.booleans())
def test_a_score_is_the_sum_of_its_parts(
    words: dict[int, float], similarity: dict[int, float], foreign: bool
) -> None:
    ids = sorted({*words, *similarity})
    before = dict(pairwise(ids))
    for score in rank(Signals(words, similarity, {}, before, {}, foreign), Tuning()).values():
        assert score.total == pytest.approx(score.words + score.similarity + score.neighbours)


def test_without_vectors_words_alone_decide() -> None:
    ranked = rank(Signals({1: 4.0, 2: 2.0}), Tuning())
    assert (ranked[1].total, ranked[2].total) == (pytest.approx(1.0), pytest.approx(-1.0))


def test_a_lead_in_one_list_can_outweigh_the_other() -> None:
    """What reciprocal ranks cannot tell apart: close seconds and distant ones."""
    near = rank(Signals({2: 9.0, 1: 1.0, 3: 0.0}, {1: 0.60, 2: 0.59, 3: 0.1}), Tuning())
    far = rank(Signals({2: 9.0, 1: 8.0, 3: 0.0}, {1: 0.60, 2: 0.15, 3: 0.1}), Tuning())
    assert near[2].total > near[1].total
    assert far[1].total > far[2].total


def test_an_answer_gains_by_the_question_before_it() -> None:
    words = {1: 9.0, 2: 3.0, 3: 3.0, 4: 0.0}
    ranked = rank(Signals(words, before={2: 1, 3: 4}), Tuning())
    assert ranked[2].total > ranked[3].total
    assert ranked[1].total > ranked[2].total


def test_late_interaction_decides_among_the_best_only() -> None:
    """However well the tokens of a passage behind them fit."""
    many = limits.LATE_CANDIDATES + 5
    words = {number: float(many - number) for number in range(many)}
    scores = rank(Signals(words), Tuning())
    late = {number: number / many for number in best_of(scores)}
    ranked = rank_again(scores, late, Tuning(late_share=1.0))
    order = sorted(ranked, key=lambda i: -ranked[i].total)
    assert order[0] == limits.LATE_CANDIDATES - 1
    assert order[-5:] == list(range(limits.LATE_CANDIDATES, many))


def test_while_tokens_are_missing_like_is_compared_with_like() -> None:
    scores = rank(Signals({1: 5.0, 2: 4.0, 3: 0.0}), Tuning())
    assert rank_again(scores, {1: 0.1, 2: 0.9}, Tuning()) == scores
    assert rank_again(scores, {1: 0.1, 2: 0.9, 3: 0.5}, Tuning()) != scores


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(-1, 1), st.booleans())
def test_a_chance_grows_with_each_signal(
    similarity: float, held: float, late: float, foreign: bool
) -> None:
    def likely(*signals: float | None) -> float:
        return chance(Evidence(*signals), foreign=foreign)  # type: ignore[arg-type]

    value = likely(similarity, held, late)
    assert 0.0 <= value <= 1.0
    assert likely(similarity + 0.1, held, late) >= value
    assert likely(similarity, held + 0.1, late) >= value
    assert likely(similarity, held, late + 0.1) >= value
    assert likely(None, held, None) == held, "without a model only words can tell"


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 5), st.floats(0, 1))
def test_what_stands_out_of_the_crowd_is_likelier(
    similarity: float, late: float, lead: float, share: float
) -> None:
    usual = chance(Evidence(similarity, 0.5, late, lead), share)
    assert chance(Evidence(similarity, 0.5, late, lead + 0.5), share) >= usual


def test_too_few_passages_tell_no_usual_score() -> None:
    assert leads([2.0, 1.0, 0.5]) is None
    many = leads([4.0, 3.0, *[1.0] * 18])
    assert many is not None
    assert many[:3] == [3.0, 2.0, 0.0]


def test_the_exchanges_beside_a_sure_memory_come_along_while_there_is_room() -> None:
    told = [found(5, tokens=40), found(9, tokens=40)]
    beside = {5: [found(4, tokens=30), found(6, tokens=30)], 9: [found(5), found(10, tokens=20)]}
    ids = [[i.passage.id for i in with_neighbours(told, beside, {}, room)] for room in (100, 130, 200)]
    assert ids == [[5, 9, 10], [5, 9, 4, 10], [5, 9, 4, 6, 10]]
    same = {4: np.ones(1, np.float32), 5: np.ones(1, np.float32)}
    assert 4 not in [i.passage.id for i in with_neighbours(told, beside, same, 200)]
    assert with_neighbours(told, {}, {}, 200) == tuple(told)


@given(st.lists(st.floats(0, 1), max_size=12), st.integers(1, 6))
def test_the_less_likely_the_best_is_the_fewer_are_recalled(chances: list[float], most: int) -> None:
    where = Cut(enough=0.1, per_chance=10.0, fewest=1, least_of_best=0.5, lead_share=0.5)
    worth = worth_recalling(chances, where, most)
    best = max(chances, default=0.0)
    assert any(worth) == (best >= 0.1)
    assert sum(worth) <= min(most, max(1, math.ceil(10 * best)))
    taken = [value for value, kept in zip(chances, worth, strict=True) if kept]
    assert all(value >= 0.5 * best for value in taken)
    near = [value for value in chances if value >= 0.5 * best]
    assert taken == near[: len(taken)], "of those near the best the first"


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 4)), min_size=1, max_size=12),
    st.integers(1, 12),
)
def test_what_says_the_same_comes_once(drawn: list[tuple[float, int]], count: int) -> None:
    """The best of each kind, best first."""
    vectors = {n: np.eye(5, dtype=np.float32)[kind] for n, (_, kind) in enumerate(drawn)}
    picked = distinct([found(n, score) for n, (score, _) in enumerate(drawn)], vectors, count)
    kinds = [drawn[item.passage.id][1] for item in picked]
    assert len(kinds) == len(set(kinds)) == min(count, len({kind for _, kind in drawn}))
    scores = [item.score for item in picked]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == max(score for score, _ in drawn)


def test_equal_text_comes_once_without_vectors() -> None:
    picked = distinct([found(1, 0.5, "same"), found(2, 0.9, "same")], {}, 5)
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
    asked = keywords("Where is the OLD ferryman, the ferryman of Vael?", "english")
    assert asked == ("old", "ferryman", "vael")
    assert keywords("Who are you?", "english") == ()
    assert keywords("Mara's ledger", "english", known=("ledger",)) == ("mara",)
    assert len(keywords(" ".join(f"w{n}" for n in range(99)), "english")) == limits.KEYWORD_TERMS


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
    words = ("bell", "drowning", "tide")
    assert words_found("The bells were drowned.", words, "english") == ("bell", "drowning")


@pytest.mark.parametrize(
    ("line", "question", "beside"),
    [
        ("Where is Mara?", "Where is Mara?", ""),
        ("I sit down. It rains. Where is Mara?", "Where is Mara?", "I sit down. It rains."),
        ("Where is Mara? I look around.", "Where is Mara?", "I look around."),
        ('I nod. "Where is Mara?" I ask Dov.', '"Where is Mara?" I ask Dov.', "I nod."),
        ("Who is it? And why now? I wait.", "Who is it? And why now?", "I wait."),
        ("I sit down. I wait for Mara.", "I sit down. I wait for Mara.", ""),
        ("我坐下。她在哪里？", "她在哪里？", "我坐下。"),
        ("", "", ""),
    ],
)  # fmt: skip
def test_a_line_is_asked_by_its_question(line: str, question: str, beside: str) -> None:
    assert split_question(line) == (question, beside)


@given(st.text(max_size=80))
def test_no_word_of_a_line_is_lost(line: str) -> None:
    asked, beside = split_question(line)
    assert sorted(words_of(f"{asked} {beside}")) == sorted(words_of(line))


def test_words_beside_a_question_weigh_less_and_those_of_the_context_too() -> None:
    asked = prepare(Query("I wave to Dov. Where did Mara hide the ledger?", context="A lantern."))
    assert asked.words == ("mara", "hide", "ledger")
    weights = dict(asked.weights)
    assert weights["mara"] == 1.0
    assert 0.0 < weights["dov"] < 1.0
    assert 0.0 < weights["lantern"] < 1.0
    assert "where" not in weights
