"""From candidates to what a prompt gets: fusion, neighbours, late interaction, calibration, budget. Pure.

Similarity and BM25 are put on one scale by their standard scores (z), so that how much better the first is
than the second counts, which reciprocal ranks throw away (Bruch, Gai and Ingber 2023, compare such scales).
The best of the sum are ranked again with their tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from flower import limits
from flower.engine.recall.base import Found, Score
from flower.engine.store.passages import Passage

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors

SAME = 0.95  # cosine from which two passages say the same thing
RECENCY_HALF_LIFE_S = 3 * 24 * 3600.0
# Between memories that are alike: in long dialogues age made no difference to what is asked for.
RECENCY_SHARE = 0.05
IMPORTANCE_SHARE = 0.25


class Cut(Struct, frozen=True):
    """Where evidence ends: which of the passages of one kind that were found are recalled."""

    enough: float  # chance of the best passage from which anything is recalled
    per_chance: float  # passages for a best passage that is certain, up to the number of its kind
    fewest: int
    least_of_best: float  # chance of any other, as a share of the best one's
    lead_share: float  # of the regression with the lead, in the chance; the rest is that without


class Tuning(Struct, frozen=True):
    """How much each signal counts. The defaults are what was best over all kinds of text together;
    ``tests/bench/recall`` prints what each is worth.
    """

    words_share: float = 0.55  # of words in the sum with similarity; the rest is similarity
    before: float = 0.3  # what the exchange before a memory adds: an answer is about its question
    after: float = 0.1
    late_share: float = 0.6  # of late interaction among the best
    foreign_late_share: float = 0.2  # of a scope in another language: the shipped model knows English
    foreign_words_share: float = 0.7
    by_question: bool = True  # ask by the question of a line, not by all of it
    # Exchanges that speak of the same stand beside one another, so that their lead tells less than lore's.
    memory_cut: Cut = Cut(0.006, 100.0, 0, 0.094, 0.15)
    lore_cut: Cut = Cut(0.008, 130.0, 2, 0.18, 0.7)
    beside: float = 0.06  # chance of a memory from which the exchanges beside it are given along


class Signals(Struct, frozen=True):
    """What is known about the candidates of a query, by passage id; a missing id has no such signal."""

    words: Mapping[int, float]  # BM25
    similarity: Mapping[int, float] = {}  # cosine to the query
    held: Mapping[int, float] = {}  # share of the query's words, weighed by what they tell
    before: Mapping[int, int] = {}  # id of the exchange before, if it is a candidate, too
    after: Mapping[int, int] = {}
    foreign: bool = False  # the scope is not in the model's language


def rank(signals: Signals, tuning: Tuning) -> dict[int, Score]:
    """Returns a score for every id that has one of the signals."""
    ids = list({**signals.words, **signals.similarity})
    words_share = tuning.foreign_words_share if signals.foreign else tuning.words_share
    if not signals.similarity:
        words_share = 1.0
    words = _standard({i: signals.words.get(i, 0.0) for i in ids})
    similarity = _standard(signals.similarity)
    scores = {}
    for i in ids:
        by_words, by_meaning = words_share * words[i], (1 - words_share) * similarity.get(i, 0.0)
        scores[i] = Score(by_words + by_meaning, by_words, by_meaning)
    sums = {i: score.total for i, score in scores.items()}
    for i, score in scores.items():
        beside = tuning.before * max(0.0, sums.get(signals.before.get(i, 0), 0.0))
        beside += tuning.after * max(0.0, sums.get(signals.after.get(i, 0), 0.0))
        scores[i] = Score(score.total + beside, score.words, score.similarity, beside)
    return scores


def best_of(scores: Mapping[int, Score]) -> list[int]:
    """Returns the ids that are ranked again token by token, best first."""
    return sorted(scores, key=lambda i: -scores[i].total)[: limits.LATE_CANDIDATES]


def rank_again(
    scores: Mapping[int, Score], late: Mapping[int, float], tuning: Tuning, *, foreign: bool = False
) -> dict[int, Score]:
    """Returns the scores with those that ``late`` knows ranked by late interaction, too.

    The others stay behind them. While tokens of some of the best are still being made nothing changes:
    only like can be compared with like.
    """
    share = tuning.foreign_late_share if foreign else tuning.late_share
    if not share or any(i not in late for i in best_of(scores)):
        return dict(scores)
    sums = _standard({i: scores[i].total for i in late})
    tokens = _standard(late)
    totals = {i: (1 - share) * sums[i] + share * tokens[i] for i in late}
    last = min(totals.values(), default=0.0)
    top = max((score.total for i, score in scores.items() if i not in late), default=0.0)
    found = {}
    for i, score in scores.items():
        parts = (score.words, score.similarity, score.neighbours)
        if i in late:
            found[i] = Score(totals[i], *parts, share * tokens[i])
        else:
            found[i] = Score(last - 1.0 + score.total - top, *parts)
    return found


def _standard(values: Mapping[int, float]) -> dict[int, float]:
    """Returns standard scores; all 0 when the values are equal."""
    count = len(values)
    if not count:
        return {}
    mean = math.fsum(values.values()) / count
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values.values()) / count)
    return {i: (value - mean) / spread if spread > 1e-9 else 0.0 for i, value in values.items()}


def weigh_memory(score: float, passage: Passage, now: float) -> float:
    """Returns the score of a memory raised by its importance and, a little, by how recent it is."""
    age_s = max(0.0, now - passage.created)
    recency = math.exp2(-age_s / RECENCY_HALF_LIFE_S)
    return score + RECENCY_SHARE * recency + IMPORTANCE_SHARE * passage.importance


# Weights of logistic regressions, fitted by tests/bench/recall/calibrate.py: intercept, similarity, words
# held, late interaction, lead. In scopes of other languages only words tell.
_WITH_LEAD = (-7.31, 0.97, -0.75, 3.2, 1.52)
_LATE = (-8.64, 4.28, 2.58, 5.47)
_PLAIN = (-6.3, 6.19, 4.15)
_FOREIGN = (-4.0, 20.0)
_CROWD = 20  # best passages, of which the later half is what any question of this scope finds


def leads(totals: Sequence[float]) -> list[float] | None:
    """Returns by how much each total is above the crowd, from totals of one question, best first.

    Where everything speaks of the same people all passages are similar to a question about them, whether
    one answers it or not; what answers stands out. None with too few to tell what is usual.
    """
    crowd = totals[_CROWD // 2 : _CROWD]
    if len(crowd) < _CROWD // 4:
        return None
    usual = math.fsum(crowd) / len(crowd)
    return [total - usual for total in totals]


class Evidence(Struct, frozen=True):
    """What tells whether a passage answers a question, unlike the scores of ``rank``: it compares questions
    with one another.

    ``held`` is the share of the question's words in the passage, weighed by what they tell; None is what is
    not known.
    """

    similarity: float | None
    held: float
    late: float | None = None
    lead: float | None = None


def chance(known: Evidence, lead_share: float = 0.0, *, foreign: bool = False) -> float:
    """Returns about how likely a passage answers the question, from 0 to 1.

    Where nothing answers, all chances are small. Without a model the words held are all there is.
    """
    similarity, held, late = known.similarity, known.held, known.late
    if similarity is None:
        return held
    if foreign:
        return _logistic(_FOREIGN[0] + _FOREIGN[1] * held)
    if late is None:
        return _regression(_PLAIN, similarity, held)
    by_itself = _regression(_LATE, similarity, held, late)
    if known.lead is None:
        return by_itself
    standing_out = _regression(_WITH_LEAD, similarity, held, late, known.lead)
    return math.pow(by_itself, 1 - lead_share) * math.pow(standing_out, lead_share)


def _regression(weights: Sequence[float], *signals: float) -> float:
    return _logistic(weights[0] + math.fsum(w * x for w, x in zip(weights[1:], signals, strict=True)))


def worth_recalling(chances: Sequence[float], where: Cut, most: int) -> list[bool]:
    """Returns for each passage of one question, best first, whether it is to be recalled.

    The less likely the best one is, the fewer: what answers a question stands at the top or not at all.
    Nothing is recalled when even the best is unlikely, and nothing that is far behind it.
    """
    best = max(chances, default=0.0)
    if best < where.enough:
        return [False] * len(chances)
    room = min(most, max(where.fewest, math.ceil(where.per_chance * best)))
    worth = []
    for value in chances:
        taken = room > 0 and value >= where.least_of_best * best
        room -= taken
        worth.append(taken)
    return worth


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, value))))


def distinct(found: Sequence[Found], vectors: Mapping[int, Vectors], count: int) -> list[Found]:
    """Returns up to ``count`` passages, the best first, of those that say the same only the best.

    Without vectors only equal text is the same.
    """
    picked: list[Found] = []
    for item in sorted(found, key=lambda item: -item.score):
        if len(picked) == count:
            break
        if not any(_is_same(item, other, vectors) for other in picked):
            picked.append(item)
    return picked


def _is_same(one: Found, other: Found, vectors: Mapping[int, Vectors]) -> bool:
    if one.passage.text == other.passage.text:
        return True
    first, second = vectors.get(one.passage.id), vectors.get(other.passage.id)
    return first is not None and second is not None and float(first @ second) >= SAME


def with_neighbours(
    given: Sequence[Found],
    beside: Mapping[int, Sequence[Found]],
    vectors: Mapping[int, Vectors],
    budget_tokens: int,
) -> tuple[Found, ...]:
    """Returns what is given with the exchanges beside the best memories, as far as the budget lets them.

    ``beside``: what is before and after each memory that is sure enough, by its id.
    """
    best = [item for item in given if item.passage.id in beside][: limits.RECALL_BESIDE]
    fresh: list[Found] = []
    for one in (one for item in best for one in beside[item.passage.id]):
        known = [*given, *fresh]
        ids = {item.passage.id for item in known}
        if one.passage.id not in ids and not any(_is_same(one, item, vectors) for item in known):
            fresh.append(one)
    return (*given, *cut(fresh, budget_tokens - sum(item.tokens for item in given)))


def cut(found: Sequence[Found], budget_tokens: int) -> tuple[Found, ...]:
    """Returns what fits the budget, in order; one that is too long lets later ones in."""
    kept = []
    room = budget_tokens
    for item in found:
        if item.tokens <= room:
            room -= item.tokens
            kept.append(item)
    return tuple(kept)
