"""Fusion, neighbours, late interaction, chances and budget as laws; words of a query as a table."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.recall.base import Hit, Query, Ranked, Score
from flower.engine.recall.query import (
    KEYWORD_TERMS,
    RECALL_CONTEXT_CHARS,
    RECALL_PARTS,
    context_of,
    context_weight,
    keywords,
    order_of,
    prepare,
    resolve,
    split_parts,
    split_question,
    words_found,
)
from flower.engine.recall.ranking import (
    LATE_CANDIDATES,
    Share,
    Signals,
    Tuning,
    best_of,
    quoted_share,
    rank,
    rank_again,
    weigh_memory,
)
from flower.engine.recall.selection import (
    Cut,
    Evidence,
    answered,
    chance,
    cut,
    distinct,
    in_order,
    leads,
    with_neighbours,
    worth_recalling,
)
from flower.engine.store.passages import Passage
from flower.engine.store.words import words_of

SCORES = st.dictionaries(st.integers(1, 30), st.floats(0, 20, allow_nan=False), max_size=20)


def found(number: int, score: float = 1.0, text: str = "", tokens: int = 10) -> Hit:
    passage = Passage(number, "lore", "lore:vael", "world", "", text or f"text {number}")
    return Hit(passage, score, None, (), tokens)


@given(SCORES, SCORES)
def test_every_candidate_gets_a_score(words: dict[int, float], similarity: dict[int, float]) -> None:
    signals = Signals(words, similarity)
    scores = rank(signals, Tuning())
    ranked = rank_again(scores, dict.fromkeys(scores, 0.5), signals, Tuning())
    assert ranked.keys() == {*words, *similarity}
    assert all(math.isfinite(score.total) for score in ranked.values())


@given(SCORES.filter(lambda scores: len(set(scores.values())) > 1))
def test_the_best_in_every_list_is_the_best_of_all(values: dict[int, float]) -> None:
    signals = Signals(values, values)
    ranked = rank_again(rank(signals, Tuning()), values, signals, Tuning())
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
    many = LATE_CANDIDATES + 5
    words = {number: float(many - number) for number in range(many)}
    scores = rank(Signals(words), Tuning())
    late = {number: number / many for number in best_of(scores)}
    ranked = rank_again(scores, late, Signals(words), Tuning(late_share=Share(1.0, 1.0)))
    order = sorted(ranked, key=lambda i: -ranked[i].total)
    assert order[0] == LATE_CANDIDATES - 1
    assert order[-5:] == list(range(LATE_CANDIDATES, many))


def test_while_tokens_are_missing_like_is_compared_with_like() -> None:
    signals = Signals({1: 5.0, 2: 4.0, 3: 0.0})
    scores = rank(signals, Tuning())
    assert rank_again(scores, {1: 0.1, 2: 0.9}, signals, Tuning()) == scores
    assert rank_again(scores, {1: 0.1, 2: 0.9, 3: 0.5}, signals, Tuning()) != scores


@given(SCORES.filter(lambda scores: len(scores) > 1), st.data())
def test_what_parts_two_passages_in_the_ranking_are_their_parts(
    words: dict[int, float], data: st.DataObject
) -> None:
    """So that the parts which are shown explain the order."""
    late = {i: data.draw(st.floats(-1, 1)) for i in words}
    ids = sorted(words)
    signals = Signals(words, before=dict(pairwise(ids)))
    scores = rank_again(rank(signals, Tuning()), late, signals, Tuning())
    rests = [s.total - s.words - s.similarity - s.neighbours - s.late for s in scores.values()]
    assert max(rests) == pytest.approx(min(rests), abs=1e-6)


@pytest.mark.parametrize(
    ("held", "value"),
    [((), 0.0), ((0.4,), 0.0), ((0.8,), 0.5), ((0.2, 0.2), 0.0), ((0.5, 0.3, 0.1), 0.5), ((1.0, 0.9), 1.0)],
)  # fmt: skip
def test_a_question_is_said_as_far_as_two_passages_have_its_words(
    held: tuple[float, ...], value: float
) -> None:
    assert quoted_share(Signals({}, {}, dict(enumerate(held)))) == pytest.approx(value)
    assert Share(0.2, 0.7).at(value) == pytest.approx(0.2 + 0.5 * value)


def test_words_decide_where_the_question_is_said_and_meaning_where_it_is_not() -> None:
    words, similarity = {1: 9.0, 2: 1.0, 3: 0.0}, {1: 0.1, 2: 0.9, 3: 0.0}
    for held, best in (({1: 1.0, 2: 1.0}, 1), ({1: 0.2, 2: 0.1}, 2)):
        ranked = rank(Signals(words, similarity, held), Tuning())
        assert max(ranked, key=lambda i: ranked[i].total) == best


def test_late_interaction_counts_of_the_exchange_before_too() -> None:
    signals = Signals({1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}, before={2: 1, 3: 4})
    late = {1: 0.9, 2: 0.5, 3: 0.5, 4: 0.1}
    ranked = rank_again(rank(signals, Tuning()), late, signals, Tuning())
    assert ranked[2].total > ranked[3].total
    assert ranked[2].neighbours > 0.0 == ranked[3].neighbours


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


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 5))
def test_what_stands_out_of_the_crowd_is_likelier(similarity: float, late: float, lead: float) -> None:
    usual = chance(Evidence(similarity, 0.5, late, lead))
    assert chance(Evidence(similarity, 0.5, late, lead + 0.5)) >= usual


SIGNALS = st.tuples(st.floats(-1, 1), st.floats(0, 1), st.floats(-1, 1), st.floats(0, 5))


@given(st.lists(SIGNALS, min_size=1, max_size=9), SIGNALS)
def test_another_passage_never_makes_an_answer_less_likely(
    drawn: list[tuple[float, float, float, float]], more: tuple[float, float, float, float]
) -> None:
    passages = [Evidence(*signals) for signals in drawn]
    likely = answered(passages)
    assert 0.0 <= likely <= answered([Evidence(*more), *passages])
    ahead = [Evidence(one.similarity, one.held, one.late, 9.0) for one in passages]
    assert answered(ahead) == likely, "something is always ahead"
    assert answered([passages[0]] * 10 + [Evidence(1.0, 1.0, 1.0)]) == answered([passages[0]])


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


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0, 1), st.integers(1, 6))
def test_the_less_likely_an_answer_is_the_fewer_are_recalled(
    chances: list[float], likely: float, most: int
) -> None:
    where = Cut(enough=0.1, certain=0.5, least_of_best=0.5)
    worth = worth_recalling(chances, likely, where, most)
    near = [value for value in chances if value >= 0.5 * max(chances)]
    assert any(worth) == (likely >= 0.1 and bool(chances))
    taken = [value for value, kept in zip(chances, worth, strict=True) if kept]
    assert taken == near[: len(taken)], "of those near the best the first"
    assert sum(worth) <= sum(worth_recalling(chances, min(1.0, likely + 0.1), where, most))
    assert sum(worth_recalling(chances, 0.5, where, most)) == min(most, len(near))


def test_one_passage_is_recalled_where_an_answer_is_only_just_likely_enough() -> None:
    where = Cut(enough=0.1, certain=0.5, least_of_best=0.5)
    counts = [sum(worth_recalling([0.5] * 9, p, where, 5)) for p in (0.09, 0.1, 0.21, 0.31, 0.499, 0.5)]
    assert counts == [0, 1, 2, 3, 4, 5]


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
    assert keywords("Mara's ledger", "english", left_out=("ledger",)) == ("mara",)
    assert len(keywords(" ".join(f"w{n}" for n in range(99)), "english")) == KEYWORD_TERMS


def test_a_line_that_says_little_leans_on_its_context() -> None:
    weights = [context_weight(words) for words in ((), ("bell",), ("bell", "tide"))]
    assert weights == sorted(weights, reverse=True)


def test_the_end_of_the_context_counts_cut_at_a_word() -> None:
    context = context_of(Query("x", context="first " + "word " * 400 + "last"))
    assert len(context) <= RECALL_CONTEXT_CHARS
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
    (asked,) = prepare(Query("I wave to Dov. Where did Mara hide the ledger?", context="A lantern."))
    assert asked.words == ("mara", "hide", "ledger")
    weights = dict(asked.weights)
    assert weights["mara"] == 1.0
    assert 0.0 < weights["dov"] < 1.0
    assert 0.0 < weights["lantern"] < 1.0
    assert "where" not in weights


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Where is the brass key?", ["Where is the brass key?"]),
        (
            "Where is the brass key? And who sold the ledger?",
            ["Where is the brass key?", "And who sold the ledger?"],
        ),
        (
            "Where is the brass key, and who sold the ledger?",
            ["Where is the brass key?", "who sold the ledger?"],
        ),
        ("Where is the brass key and the ledger?", ["Where is the brass key and the ledger?"]),
        ("Where is the brass key? And why?", ["Where is the brass key? And why?"]),
        ("Who is it? Where is the brass key?", ["Who is it? Where is the brass key?"]),
        ("I know who and what sells tallow candles.", ["I know who and what sells tallow candles."]),
        ("I sit down. Mara sings a ballad.", ["I sit down. Mara sings a ballad."]),
        ("", [""]),
    ],
)  # fmt: skip
def test_several_questions_are_asked_one_by_one(question: str, parts: list[str]) -> None:
    assert split_parts(question, "english") == parts


def test_a_line_has_so_many_questions_at_most() -> None:
    line = " ".join(f"Where is the brass key {n}?" for n in range(RECALL_PARTS + 2))
    parts = split_parts(line, "english")
    assert len(parts) == RECALL_PARTS
    assert " ".join(parts) == line
    both = split_parts("Wo ist der Schlüssel im Turm und who was that man?", "german")
    assert len(both) == 1


@given(st.text(max_size=80), st.sampled_from(["english", "german"]))
def test_no_word_of_a_question_is_lost_in_its_parts(question: str, language: str) -> None:
    kept = set(words_of(" ".join(split_parts(question, language))))
    assert set(words_of(question)) - kept <= {"and"}


@pytest.mark.parametrize(
    ("question", "before", "name"),
    [
        ("When is her birthday?", "Tomas walks off. I turn to Mara, who looks up.", "Mara"),
        ("When is her birthday?", "Mara laughs, and she turns away. Tomas scratches his head.", "Mara"),
        ("When is his birthday?", "Mara laughs, and she turns away. Tomas scratches his head.", "Tomas"),
        ("What's his name?", "\"Come in,\" says Captain Rusk. The Copper Kettle is empty.", "Captain Rusk"),
        ("Where did she go?", "Mara nods. Tomas has a cold. I look at Mara.", "Mara"),
        ("Did she tell Dov?", "Mara nods.", ""),
        ("When is it?", "Mara nods.", ""),
        ("Did he know her?", "Mara nods.", ""),
        ("Where did he go?", "Rain. Nobody moves. The WIND turns.", ""),
        ("Where is he?", "", ""),
    ],
)  # fmt: skip
def test_she_and_he_are_the_last_that_they_fit(question: str, before: str, name: str) -> None:
    assert resolve(question, before) == name


def test_a_question_is_asked_by_the_name_of_whom_it_means() -> None:
    query = Query("What did she sell? And where is her brass key?", context="I look at Mara.")
    asked = prepare(query)
    assert [part.words for part in asked] == [("mara", "sell", "brass", "key")]
    assert asked[0].text.startswith("Mara: What did she sell?")
    assert [part.words for part in prepare(query, by_name=False)] == [("sell", "brass", "key")]
    (german,) = prepare(
        Query("Wo ist sie und was hat der Mann mit dem Schlüssel gemacht?", context="I look at Mara.")
    )
    assert "Mara:" not in german.text


@pytest.mark.parametrize(
    ("question", "order"),
    [
        ("What happened before the fire?", "before"),
        ("What did she do after that?", "after"),
        ("When was the first time we met?", "first"),
        ("And the last time?", "last"),
        ("What did he do for a living before?", ""),
        ("Who was the first to leave?", ""),
        ("Where is the key?", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_a_question_may_ask_for_a_place_in_the_story(question: str, order: str) -> None:
    assert order_of(question) == order
    (asked,) = prepare(Query(question or "Nothing"))
    assert asked.order == order


def ranked(number: int, score: float, chance: float = 0.0, message: int = 0) -> Ranked:
    passage = Passage(number, "memory", "memory:s", "m", "", f"text {number}", message or number)
    return Ranked(Hit(passage, score, None, (), 1), Score(score), chance)


BEFORE, AFTER = {3: 2, 5: 4, 4: 3}, {2: 3, 3: 4, 5: 6}


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("after", [3, 4, 5, 2, 1]),
        ("before", [3, 2, 5, 4, 1]),
        ("", [3, 5, 2, 4, 1]),
    ],
)  # fmt: skip
def test_what_stands_beside_the_best_two_comes_right_behind_them(order: str, ids: list[int]) -> None:
    """As likely as they are, so that it is told; what is no candidate cannot be."""
    rows = [ranked(3, 4.0, 0.9), ranked(5, 3.0, 0.5), ranked(2, 1.0), ranked(4, 0.5), ranked(1, 0.1)]
    placed = in_order(rows, order, BEFORE, AFTER)  # type: ignore[arg-type]
    assert [row.hit.passage.id for row in placed] == ids
    scores = [row.hit.score for row in placed]
    assert scores == sorted(scores, reverse=True)
    if order:
        assert placed[1].chance == 0.9


@pytest.mark.parametrize(("order", "ids"), [("first", [1, 2, 3, 9]), ("last", [3, 2, 1, 9])])
def test_of_memories_alike_the_first_or_the_last_comes_first(order: str, ids: list[int]) -> None:
    """However well a much worse one would fit the order."""
    rows = [ranked(2, 3.0, 0.8), ranked(3, 2.9, 0.9), ranked(1, 2.3, 0.1), ranked(9, 2.1, 0.3)]
    placed = in_order(rows, order, {2: 1}, {})  # type: ignore[arg-type]
    assert [row.hit.passage.id for row in placed] == ids
    assert [row.hit.score for row in placed] == [3.0, 2.9, 2.3, 2.1]
    assert [row.chance for row in placed] == [0.9, 0.8, 0.1, 0.3]
    assert in_order(rows, order, {}, {}) == rows, "lore has no order"  # type: ignore[arg-type]
    assert in_order([], order, {2: 1}, {}) == []  # type: ignore[arg-type]
