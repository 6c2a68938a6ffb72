"""Small rules of scoring, one by one: what each signal is worth by plain formulas, how parts of an index grow."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from statistics import fmean, pstdev

import numpy as np
import pytest
from msgspec.structs import asdict

from flower.engine.recall import candidates, keyword_index, ranking, selection
from flower.engine.recall.base import Hit, Query, Ranked, Score
from flower.engine.recall.candidates import Candidates, Worded, by_words
from flower.engine.recall.keyword_index import KeywordIndex, QueryTerm
from flower.engine.recall.query import Question
from flower.engine.recall.ranking import Share, Signals, Tuning, rank, rank_again
from flower.engine.recall.selection import Cut, worth_recalling
from flower.engine.store import passages, vector_rows
from flower.engine.store.passages import Chunk, Passage
from flower.engine.store.sqlite.connection import migrate
from flower.engine.store.term_rows import Terms, term_hash


def passage(number: int, text: str = "", **values: object) -> Passage:
    return Passage(number, "memory", "memory:s", "m", "", text or f"text {number}", **values)  # type: ignore[arg-type]


# --- fusion -------------------------------------------------------------------------------------


def test_shares_and_chances_are_from_0_to_1() -> None:
    values: list[float] = [ranking.RECENCY_SHARE, ranking.IMPORTANCE_SHARE, selection.SAME]
    for value in asdict(Tuning()).values():
        if isinstance(value, Share):
            values += [value.at(0.0), value.at(0.5), value.at(1.0)]
        else:
            values += asdict(value).values() if isinstance(value, Cut) else [value]
    assert all(0.0 <= value <= 1.0 for value in values)
    assert 0.0 < ranking.SAID_FROM < ranking.SAID_TO <= 1.0
    for cut in (Tuning().memory_cut, Tuning().lore_cut):
        assert cut.enough < cut.certain


SIGNALS = Signals(
    words={1: 7.0, 2: 3.0, 3: 0.5},
    similarity={1: 0.2, 2: 0.7, 4: 0.4},
    held={1: 0.5, 2: 0.3, 3: 0.1},
    before={2: 1, 3: 4, 4: 9},
    after={1: 2, 3: 1},
)
TUNING = Tuning(
    words_share=Share(0.2, 0.7), late_share=Share(0.8, 0.4), before=0.3, after=0.1, late_before=0.25
)
QUOTED = (0.4 - ranking.SAID_FROM) / (ranking.SAID_TO - ranking.SAID_FROM)  # 0.4: of the best two


def standard(values: Mapping[int, float]) -> dict[int, float]:
    mean, spread = fmean(values.values()), pstdev(values.values())
    return {i: (value - mean) / spread for i, value in values.items()}


def test_every_way_to_ask_is_in_use_unless_it_is_turned_off() -> None:
    flags = [value for value in asdict(Tuning()).values() if isinstance(value, bool)]
    assert flags == [True] * 4


def test_a_sum_is_of_standard_scores_by_their_shares_and_of_what_is_beside() -> None:
    share = 0.2 + 0.5 * QUOTED
    words = standard({1: 7.0, 2: 3.0, 3: 0.5, 4: 0.0})
    similarity = standard({1: 0.2, 2: 0.7, 4: 0.4}) | {3: 0.0}
    sums = {i: share * words[i] + (1 - share) * similarity[i] for i in words}
    led = {i: max(0.0, value) for i, value in sums.items()}
    beside = {1: 0.1 * led[2], 2: 0.3 * led[1], 3: 0.3 * led[4] + 0.1 * led[1], 4: 0.0}
    scores = rank(SIGNALS, TUNING)
    for i, score in scores.items():
        assert (score.total, score.words, score.similarity, score.neighbours) == pytest.approx(
            (sums[i] + beside[i], share * words[i], (1 - share) * similarity[i], beside[i])
        )
    assert led[1] > 0.0
    assert led[2] > 0.0


def test_token_by_token_the_sum_counts_by_the_rest_of_the_share() -> None:
    share = 0.8 - 0.4 * QUOTED
    scores = rank(SIGNALS, TUNING)
    late = {1: 0.3, 2: 0.9, 3: 0.35, 4: 0.1}
    tokens = standard(late)
    sums = standard({i: score.total for i, score in scores.items()})
    scale = (1 - share) / pstdev(score.total for score in scores.values())
    for i, score in rank_again(scores, late, SIGNALS, TUNING).items():
        before = SIGNALS.before.get(i, 0)
        beside = share * 0.25 * max(0.0, tokens.get(before, 0.0))
        assert asdict(score) == pytest.approx(
            {
                "total": (1 - share) * sums[i] + share * tokens[i] + beside,
                "words": scale * scores[i].words,
                "similarity": scale * scores[i].similarity,
                "neighbours": scale * scores[i].neighbours + beside,
                "late": share * tokens[i],
            }
        )


def test_what_has_no_tokens_stays_behind_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "LATE_CANDIDATES", 2)
    scores = {1: Score(5.0), 2: Score(4.5), 3: Score(3.0), 4: Score(1.5)}
    assert ranking.best_of(scores) == [1, 2]
    ranked = rank_again(scores, {1: 0.2, 2: 0.6}, Signals({}), TUNING)
    last = min(ranked[1].total, ranked[2].total)
    assert ranked[3].total == pytest.approx(last - 1.0)
    assert ranked[4].total == pytest.approx(last - 2.5)


def test_a_memory_gains_by_its_importance_and_half_as_much_by_its_time_after_three_days() -> None:
    day = 24 * 3600.0
    memory = passage(1, created=5 * day, importance=0.5)
    for age, recency in ((0, 1.0), (3, 0.5), (6, 0.25), (-1, 1.0)):
        weight = ranking.weigh_memory(2.0, memory, (5 + age) * day)
        assert weight == pytest.approx(2.0 + 0.05 * recency + 0.25 * 0.5)


def test_equal_values_have_no_spread() -> None:
    assert ranking._mean_and_spread({}) == (0.0, 0.0)
    assert ranking._mean_and_spread({1: 2.0, 2: 2.0 + 1e-12})[1] == 0.0
    assert ranking._mean_and_spread({1: 1.0, 2: 4.0}) == pytest.approx((2.5, 1.5))
    assert ranking._standard({1: 3.0, 2: 3.0}) == {1: 0.0, 2: 0.0}


def test_tokens_are_alike_by_signs_however_many_blocks_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranking, "BLOCK_TOKENS", 2)
    rng = np.random.default_rng(7)
    question = rng.normal(size=(3, 16)).astype(np.float32)
    documents = [rng.normal(size=(size, 16)).astype(np.float32) for size in (3, 0, 1, 4)]
    packed = [ranking.pack_tokens(tokens) for tokens in documents]
    assert [len(data) for data in packed] == [6, 0, 2, 8]
    ranked, plain = ranking.late_scores(question, packed)
    alike = []
    for tokens in (documents[0], documents[2], documents[3]):
        rows = [
            [
                sum(a if b > 0 else -a for a, b in zip(asked, token, strict=True))
                / math.hypot(*asked)
                / 4
                for token in tokens.tolist()
            ]
            for asked in question.tolist()
        ]
        alike.append([max(row) for row in rows])
    rarity = [1 - fmean(column) for column in zip(*alike, strict=True)]
    weighed = [sum(w * a for w, a in zip(rarity, row, strict=True)) / sum(rarity) for row in alike]
    assert plain.tolist() == pytest.approx([fmean(alike[0]), 0.0, *map(fmean, alike[1:])], abs=1e-5)
    assert ranked.tolist() == pytest.approx([weighed[0], 0.0, *weighed[1:]], abs=1e-5)


# --- words --------------------------------------------------------------------------------------


def terms(number: int, counts: Mapping[int, int], language: str = "english", message: int = 0) -> Terms:
    hashes, sizes = np.array(list(counts), np.uint32), np.array(list(counts.values()), np.uint8)
    return Terms(number, message, language, hashes, sizes)


DOCUMENTS: dict[int, dict[int, int]] = {
    2: {7: 3, 8: 1},
    3: {8: 2, 9: 5},
    5: {7: 1},
    6: {9: 1, 11: 4},
    9: {},
}


def test_words_score_by_the_formula_of_bm25() -> None:
    index = KeywordIndex()
    index.add([terms(number, counts) for number, counts in DOCUMENTS.items()])
    query = [QueryTerm((7,), 1.0), QueryTerm((8, 11), 1.0), QueryTerm((9,), 0.5)]
    holders = (2, 3, 2)
    tells = [
        term.weight * math.log(1 + (5 - count + 0.5) / (count + 0.5))
        for term, count in zip(query, holders, strict=True)
    ]
    assert index.weights(query) == pytest.approx(tells)
    scores, held = index.scores(query)
    mean = fmean(sum(counts.values()) for counts in DOCUMENTS.values())
    for place, counts in enumerate(DOCUMENTS.values()):
        score = share = 0.0
        norm = 1.2 * (0.5 + 0.5 * sum(counts.values()) / mean)
        for term, tell in zip(query, tells, strict=True):
            for count in (counts[key] for key in term.hashes if key in counts):
                score += tell * 2.2 * count / (count + norm)
                share += tell if term.weight == 1.0 else 0.0
        assert scores[place] == pytest.approx(score, rel=1e-5)
        assert held[place] == pytest.approx(share / (tells[0] + tells[1]), rel=1e-5)


def test_a_passage_holds_all_of_a_question_at_most_and_without_words_nothing() -> None:
    index = KeywordIndex()
    assert [part.tolist() for part in index.scores([QueryTerm((7,))])] == [[], []]
    index.add([terms(1, {7: 1, 8: 1}), terms(2, {})])
    assert index.scores([QueryTerm((7, 8))])[1].tolist() == [1.0, 0.0]
    assert [part.tolist() for part in index.scores([])] == [[0.0, 0.0], [0.0, 0.0]]
    empty = KeywordIndex()
    empty.add([terms(1, {}), terms(2, {})])
    assert empty.scores([QueryTerm((7,))])[0].tolist() == [0.0, 0.0]


def test_parts_grow_like_the_digits_of_a_binary_number_up_to_their_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keyword_index, "_PART_PASSAGES", 8)
    index, sizes = KeywordIndex(), []
    for number in range(1, 20):
        index.add([terms(number, {7: 1})])
        sizes.append([part.passages for part in index._parts])
        assert [part.first for part in index._parts] == np.cumsum([0, *sizes[-1][:-1]]).tolist()
    assert sizes[:8] == [[1], [2], [2, 1], [4], [4, 1], [4, 2], [4, 2, 1], [8]]
    assert sizes[15:] == [[8, 8], [8, 8, 1], [8, 8, 2], [8, 8, 2, 1]]
    many = KeywordIndex()
    many.add([terms(number, {7: 1}) for number in range(1, 20)])
    assert [part.passages for part in many._parts] == [8, 8, 3]
    assert np.count_nonzero(many.scores([QueryTerm((7,))])[0]) == 19


@pytest.mark.parametrize(
    ("ids", "later"), [([1, 2, 3], [4, 5]), ([4, 5], [1, 2]), ([3, 5], [5, 4]), ([2], [2, 3])]
)
def test_each_passage_is_in_an_index_once_wherever_its_number_is(
    ids: Sequence[int], later: Sequence[int]
) -> None:
    index = KeywordIndex()
    index.add([])
    for batch in (ids, later):
        index.add([terms(number, {number: 1}) for number in batch])
    every = sorted({*ids, *later})
    assert sorted(index.ids.tolist()) == every
    assert len(index) == len(every)
    for number in range(8):
        place = index.place(number)
        assert (number in index) is (number in every)
        if place is not None:
            assert index.ids[place] == number
            assert np.flatnonzero(index.scores([QueryTerm((number,))])[0]).tolist() == [place]


def test_arrays_without_the_removed_score_as_if_those_had_never_been() -> None:
    rows = [
        terms(n, {n % 3: 1 + n % 4, 10 + n % 5: 1}, "german" if n % 2 else "english", 100 - n)
        for n in range(1, 31)
    ]
    index, fresh = KeywordIndex(), KeywordIndex()
    for start in range(0, 30, 7):
        index.add(rows[start : start + 7])
    index.remove(range(4, 15))
    fresh.add([*rows[:3], *rows[14:]])
    query = [QueryTerm((1, 12)), QueryTerm((14,), 0.5)]
    assert index.ids.tolist() == fresh.ids.tolist() == [1, 2, 3, *range(15, 31)]
    assert index.messages.tolist() == [100 - number for number in index.ids.tolist()]
    for one, other in zip(index.scores(query), fresh.scores(query), strict=True):
        assert one.tolist() == pytest.approx(other.tolist())
    assert index.languages == fresh.languages
    assert [index.place(number) for number in (3, 4, 14, 15)] == [2, None, None, 3]


@pytest.mark.parametrize(
    ("counts", "languages"),
    [
        ({"english": 97, "german": 2, "french": 1}, ["english", "german"]),
        ({"german": 5, "english": 9, "french": 5, "dutch": 7}, ["english", "dutch", "german"]),
        ({"german": 1}, ["german"]),
        ({}, []),
    ],
)
def test_a_scope_has_three_languages_at_most_the_most_frequent_first_and_no_rare_one(
    counts: Mapping[str, int], languages: Sequence[str]
) -> None:
    names = [name for name, count in counts.items() for _ in range(count)]
    index = KeywordIndex()
    index.add([terms(number, {1: 1}, name) for number, name in enumerate(names, 1)])
    assert index.languages == languages


# --- candidates ---------------------------------------------------------------------------------


def test_candidates_are_the_best_above_zero_those_that_came_first_before_their_equals() -> None:
    scores = np.array([0.0, 2.0, 1.0, 3.0, 1.0, 2.0], np.float32)
    assert candidates._top(scores, 3)[:1] == [3]
    assert set(candidates._top(scores, 3)) == {1, 3, 5}
    assert candidates._top(scores, 5) == [3, 1, 5, 2, 4]
    assert candidates._top(scores, 9) == [3, 1, 5, 2, 4]
    assert candidates._top(np.zeros(3, np.float32), 3) == []


def asked(*words: str) -> Question:
    return Question(" ".join(words), words, tuple((word, 1.0) for word in words), "english")


def test_what_is_near_comes_along_with_its_words_and_memories_with_what_is_beside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidates, "RECALL_CANDIDATES", 2)
    bell, tide = term_hash("bell"), term_hash("tide")
    index = KeywordIndex()
    index.add([terms(n, {bell if n in (2, 5, 8) else tide: n}, "english", n) for n in range(1, 10)])
    index.remove([9])
    query = Query("?", recent_messages=frozenset({8}))
    worded = by_words(index, asked("bell"), [9, 8, 1, 77, 4, 3], query, memory=True)
    assert list(worded.words) == [5, 2, 1, 4, 3, 6]  # by words, near ones, those beside
    assert (worded.before, worded.after) == ({5: 4, 2: 1, 4: 3}, {5: 6, 2: 3, 1: 2, 4: 5})
    assert [number for number, share in worded.held.items() if share] == [5, 2]
    assert [number for number, score in worded.words.items() if score] == [5, 2]
    assert not worded.foreign
    lore = by_words(index, asked("bell"), [1, 4, 3], query, memory=False)
    assert (list(lore.words), lore.before, lore.after) == ([8, 5, 1, 4], {}, {})


@pytest.mark.parametrize(
    ("languages", "foreign"),
    [(["german", "german", "english"], True), (["english", "german"], False), ([], False)],
)
def test_a_scope_is_foreign_when_most_of_it_is_not_english(
    languages: Sequence[str], foreign: bool
) -> None:
    index = KeywordIndex()
    index.add([terms(number, {1: 1}, language) for number, language in enumerate(languages, 1)])
    assert by_words(index, asked("bell"), [], None, memory=False).foreign is foreign


@pytest.mark.parametrize(
    ("message", "visible", "recent", "is_open"),
    [
        (None, frozenset({1}), (), True),
        (5, None, (), True),
        (5, frozenset({5}), (), True),
        (5, frozenset({6}), (), False),
        (5, frozenset({5}), (5,), False),
        (5, None, (5,), False),
    ],
)
def test_a_passage_is_open_on_its_branch_and_outside_of_the_window(
    message: int | None, visible: frozenset[int] | None, recent: Sequence[int], is_open: bool
) -> None:
    query = Query("?", visible_messages=visible, recent_messages=recent)
    assert candidates.is_open(passage(1, message_id=message), query) is is_open


def test_scopes_of_one_kind_offer_what_each_of_them_does() -> None:
    def offered(number: int, *, foreign: bool) -> Candidates:
        vector, other = np.ones(2, np.float32), number + 1
        return Candidates(
            False, (passage(number),), {number: passage(number)}, {number: vector}, {number: b"t"},
            {number: 1.0}, {number: 0.5}, {number: other}, {number: other}, foreign,
        )  # fmt: skip

    assert not (Candidates(False) | Candidates(False)).foreign
    both = offered(1, foreign=False) | offered(5, foreign=True)
    assert (both.memory, both.foreign) == (False, True)
    assert [one.id for one in both.pinned] == [1, 5]
    for column in (both.rows, both.vectors, both.tokens, both.words, both.held):
        assert list(column) == [1, 5]
    assert both.before == both.after == {1: 2, 5: 6}


def test_rows_are_looked_up_in_their_scope_with_what_a_model_made_of_them() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db)
        ids: list[int] = []
        for scope in ("lore:a", "lore:b", "lore:c"):
            change = passages.replace_source(
                db, "lore", scope, "s", [Chunk("", f"The bell of {scope}.")], digest=b"1", created=1.0
            )
            ids += change.added
        passages.set_pinned(db, ids[1], True)
        rows = passages.get(db, ids)
        hashes = [passages.content_hash("", rows[i].text) for i in ids]
        vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], np.float32)
        vector_rows.store_vectors(db, "m", hashes, vectors, [b"t1", b"t2", b"t3"])
        held = dict.fromkeys([*ids, 99], 0.5)
        worded = Worded({**held, ids[1]: 2.0}, held, {}, {}, foreign=True)
        found = candidates._look_up_all(db, {"lore:b": worded}, "m", 2)["lore:b"]
        assert (list(found.rows), found.words, found.tokens) == (
            [ids[1]],
            {ids[1]: 2.0},
            {ids[1]: b"t2"},
        )
        assert {i: vector.tolist() for i, vector in found.vectors.items()} == {ids[1]: [0.0, 1.0]}
        assert ([one.id for one in found.pinned], found.memory, found.foreign) == (
            [ids[1]],
            False,
            True,
        )
        assert candidates._look_up(db, "lore:b", worded, "other", 2).vectors == {}


# --- selection ----------------------------------------------------------------------------------


def hit(number: int, score: float = 1.0, tokens: int = 10) -> Hit:
    return Hit(passage(number, message_id=number), score, None, (), tokens)


def row(number: int, score: float, chance: float = 0.5) -> Ranked:
    return Ranked(hit(number, score), Score(score), chance)


def test_as_many_are_recalled_as_an_answer_is_likely() -> None:
    where = Cut(0.2, 0.6, 0.1)
    chances = [0.5, 0.4, 0.3, 0.06, 0.05, 0.04]
    for likely, count in ((0.19, 0), (0.2, 1), (0.39, 2), (0.4, 3), (0.6, 5), (0.9, 5)):
        assert sum(worth_recalling(chances, likely, where, 5)) == count
    assert worth_recalling(chances, 1.0, where, 9) == [True] * 5 + [False]  # a tenth of the likeliest
    assert worth_recalling([], 1.0, where, 9) == []


def test_what_leads_is_ahead_of_the_later_half_of_the_best_twenty() -> None:
    totals = [float(40 - number) for number in range(25)]
    usual = fmean(totals[10:20])
    assert selection.leads(totals) == pytest.approx([total - usual for total in totals])
    assert selection.leads(totals[:14]) is None
    few = selection.leads(totals[:15])
    assert few is not None
    assert few[0] == pytest.approx(totals[0] - fmean(totals[10:15]))


def test_an_answer_is_judged_by_the_best_ten() -> None:
    weak = [selection.Evidence(0.1, 0.1, 0.1)] * 10
    strong = selection.Evidence(0.9, 0.9, 0.9)
    assert selection.answered([*weak, strong]) == selection.answered(weak)
    assert selection.answered([*weak[:9], strong]) > 2 * selection.answered(weak)


def test_what_says_the_same_is_as_alike_as_its_bound_and_what_is_fewer_is_left() -> None:
    hits = [hit(1, 3.0), hit(2, 2.0), hit(3, 1.0)]
    near, below = selection.SAME, selection.SAME - 0.01
    vectors = {
        1: np.array([1.0, 0.0], np.float64),
        2: np.array([near, math.sqrt(1 - near**2)]),
        3: np.array([below, -math.sqrt(1 - below**2)]),
    }
    assert [one.passage.id for one in selection.distinct(hits, vectors, 3)] == [1, 3]
    assert [one.passage.id for one in selection.distinct(hits, {}, 2)] == [1, 2]
    assert selection.distinct(hits, {}, 0) == []


def test_the_neighbours_have_what_room_is_left_and_come_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "RECALL_BESIDE", 2)
    recalled = [hit(1), hit(2), hit(3), hit(4)]
    beside = {2: [hit(1), hit(6, tokens=9)], 3: [hit(6), hit(7, tokens=8)], 4: [hit(8, tokens=1)]}
    for budget, ids in ((56, [6]), (57, [6, 7]), (48, [7]), (47, []), (49, [6])):
        found = selection.with_neighbours(recalled, beside, {}, budget)
        assert [one.passage.id for one in found] == [1, 2, 3, 4, *ids]


def test_what_is_beside_the_best_two_is_as_likely_as_they_are() -> None:
    rows = [row(1, 9.0, 0.9), row(2, 8.0, 0.8), row(3, 7.0, 0.7), row(4, 1.0, 0.1), row(5, 0.5, 0.1)]
    placed = selection.in_order(rows, "before", {1: 4, 2: 1, 3: 5}, {2: 5})
    assert [(one.hit.passage.id, one.chance) for one in placed] == [
        (1, 0.9),
        (4, 0.9),
        (2, 0.8),
        (3, 0.7),
        (5, 0.1),
    ]
    assert 0 < placed[0].hit.score - placed[1].hit.score < 0.001
    behind = selection.in_order(rows, "after", {1: 4}, {2: 5})
    assert [one.hit.passage.id for one in behind] == [1, 2, 5, 3, 4]


def test_the_first_and_the_last_are_of_those_as_good_as_the_best() -> None:
    rows = [row(5, 9.0, 0.5), row(3, 8.5, 0.9), row(8, 8.3, 0.7), row(1, 8.0, 0.8)]
    first = selection.in_order(rows, "first", {5: 4}, {})
    assert [(one.hit.passage.id, one.hit.score, one.chance) for one in first] == [
        (3, 9.0, 0.9), (5, 8.5, 0.7), (8, 8.3, 0.5), (1, 8.0, 0.8)
    ]  # fmt: skip
    last = selection.in_order(rows, "last", {5: 4}, {})
    assert [one.hit.passage.id for one in last] == [8, 5, 3, 1]
    assert selection.in_order(rows, "first", {}, {}) == rows
    assert selection.in_order([], "first", {5: 4}, {}) == []
