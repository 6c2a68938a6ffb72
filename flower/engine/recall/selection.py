"""Which passages of a ranking are recalled: by their chances, what says the same once, a memory with what is beside
it, as far as the budget lets it. Pure.

Unlike the scores of ``ranking``, which only order the passages of one question, chances compare questions with one
another; ``tests/bench/recall/calibrate.py`` fits their weights. A question about the order of a story (what happened
before or after something, the first or the last time) is found as ever; the order of the story then says which exchange
answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.recall.base import Hit, Ranked
from flower.engine.recall.query import Order

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors

RECALL_BESIDE = 2  # best memories that bring the exchanges beside them along, while there is room

SAME = 0.95  # cosine from which two passages say the same thing


def distinct(hits: Sequence[Hit], vectors: Mapping[int, Vectors], count: int) -> list[Hit]:
    """Returns up to ``count`` passages, the best first, of those that say the same only the best.

    Without vectors only equal text is the same.
    """
    picked: list[Hit] = []
    for item in sorted(hits, key=lambda item: -item.score):
        if len(picked) == count:
            break
        if not any(_is_same(item, other, vectors) for other in picked):
            picked.append(item)
    return picked


def _is_same(one: Hit, other: Hit, vectors: Mapping[int, Vectors]) -> bool:
    if one.passage.text == other.passage.text:
        return True
    first, second = vectors.get(one.passage.id), vectors.get(other.passage.id)
    return first is not None and second is not None and float(first @ second) >= SAME


def with_neighbours(
    recalled: Sequence[Hit],
    beside: Mapping[int, Sequence[Hit]],
    vectors: Mapping[int, Vectors],
    budget_tokens: int,
) -> tuple[Hit, ...]:
    """Returns what is recalled with the exchanges beside the best memories, as far as the budget lets them.

    ``beside``: what is before and after each memory that is sure enough, by its id.
    """
    best = [item for item in recalled if item.passage.id in beside][:RECALL_BESIDE]
    fresh: list[Hit] = []
    for one in (one for item in best for one in beside[item.passage.id]):
        present = [*recalled, *fresh]
        ids = {item.passage.id for item in present}
        if one.passage.id not in ids and not any(_is_same(one, item, vectors) for item in present):
            fresh.append(one)
    return (*recalled, *cut(fresh, budget_tokens - sum(item.tokens for item in recalled)))


def cut(hits: Sequence[Hit], budget_tokens: int) -> tuple[Hit, ...]:
    """Returns what fits the budget, in order; one that is too long lets later ones in."""
    fitting = []
    room = budget_tokens
    for item in hits:
        if item.tokens <= room:
            room -= item.tokens
            fitting.append(item)
    return tuple(fitting)


_ANCHORS = 2  # best memories whose neighbours are recalled with them
_ALIKE = 0.8  # standard scores below the best, within which memories are of the same kind
_STEP = 1e-6  # of a score, behind what it follows


def in_order(
    rows: Sequence[Ranked], order: Order, before: Mapping[int, int], after: Mapping[int, int]
) -> list[Ranked]:
    """Returns memories, best first, with those that the order of the story asks for moved to where they belong.

    ``before`` and ``after`` are ids of the exchanges beside; lore has none and stays as it is.
    """
    if order in ("before", "after"):
        return _with_sides(rows, before if order == "before" else after)
    if order in ("first", "last") and before:
        return _from_the_end(rows, last=order == "last")
    return list(rows)


def _with_sides(rows: Sequence[Ranked], beside: Mapping[int, int]) -> list[Ranked]:
    """Returns rows with what is on one side of the best right behind them, as likely as they are."""
    by_id = {row.hit.passage.id: row for row in rows}
    placed: dict[int, Ranked] = {}
    for row in rows[:_ANCHORS]:
        placed.setdefault(row.hit.passage.id, row)
        other = by_id.get(beside.get(row.hit.passage.id, 0))
        if other is not None and other.hit.passage.id not in placed:
            hit = replace(other.hit, score=row.hit.score - _STEP)
            placed[other.hit.passage.id] = replace(other, hit=hit, chance=row.chance)
    rest = [row for row in rows if row.hit.passage.id not in placed]
    return sorted([*placed.values(), *rest], key=lambda row: -row.hit.score)


def _from_the_end(rows: Sequence[Ranked], *, last: bool) -> list[Ranked]:
    """Returns rows with the earliest, or latest, of those like the best at its place."""
    best = rows[0].hit.score if rows else 0.0
    alike = [row for row in rows if row.hit.score >= best - _ALIKE]
    ordered = sorted(alike, key=lambda row: row.hit.passage.message_id or 0, reverse=last)
    scores = [row.hit.score for row in alike]
    chances = sorted((row.chance for row in alike), reverse=True)
    moved = [
        replace(row, hit=replace(row.hit, score=score), chance=chance)
        for row, score, chance in zip(ordered, scores, chances, strict=True)
    ]
    return [*moved, *rows[len(alike) :]]


# --- Chances: whether anything answers a question, which passages do, and how many are recalled


# Weights of logistic regressions. Whether anything answers: intercept, and the most that any of the best passages
# has of similarity, of the question's words, of late interaction.
_ANSWERED = (-5.43, 5.41, 5.72, 1.56)
_ANSWERED_PLAIN = (-4.93, 5.84, 5.95)  # ... without late interaction
# Whether a passage answers: the same of its own, and its lead.
_WITH_LEAD = (-6.39, 1.42, -0.94, 1.98, 1.62)
_LATE = (-7.81, 4.6, 2.67, 4.84)
_PLAIN = (-6.36, 6.14, 3.38)
_FOREIGN = (-4.0, 20.0)  # words held: in scopes of other languages only they tell
_CROWD = 20  # best passages, of which the later half is what any question of this scope finds
_JUDGED = 10  # best passages by which is judged whether anything answers


class Cut(Struct, frozen=True):
    """How many of the passages of one kind are recalled, by the chance that anything answers."""

    enough: float  # from which chance anything is recalled: one passage there
    certain: float  # from which chance as many are as may be of their kind
    least_of_best: float  # a passage's chance, as a share of the likeliest one's


def leads(totals: Sequence[float]) -> list[float] | None:
    """Returns by how much each total is above the crowd, from totals of one question, best first.

    Where everything speaks of the same people all passages are similar to a question about them, whether
    one answers it or not; what answers is ahead of them. None with too few to tell what is usual.
    """
    crowd = totals[_CROWD // 2 : _CROWD]
    if len(crowd) < _CROWD // 4:
        return None
    usual = math.fsum(crowd) / len(crowd)
    return [total - usual for total in totals]


class Evidence(Struct, frozen=True):
    """What tells whether a passage answers a question.

    ``held`` is the share of the question's words in the passage, weighed by what they tell; None is what is
    not known.
    """

    similarity: float | None
    held: float
    late: float | None = None
    lead: float | None = None


def chance(evidence: Evidence, *, foreign: bool = False) -> float:
    """Returns about how likely a passage answers the question, from 0 to 1.

    Without a model the words held are all there is.
    """
    if evidence.similarity is None:
        return evidence.held
    if foreign:
        return _logistic(_FOREIGN, evidence.held)
    if evidence.late is None:
        return _logistic(_PLAIN, evidence.similarity, evidence.held)
    if evidence.lead is None:
        return _logistic(_LATE, evidence.similarity, evidence.held, evidence.late)
    return _logistic(_WITH_LEAD, evidence.similarity, evidence.held, evidence.late, evidence.lead)


def answered(passages: Sequence[Evidence], *, foreign: bool = False) -> float:
    """Returns how likely any of the passages of a question, best first, answers it; 0 without passages.

    By the most that any of them has: leads say nothing here, since something is always ahead.
    """
    best = passages[:_JUDGED]
    if not best:
        return 0.0
    held = max(one.held for one in best)
    near = [one.similarity for one in best if one.similarity is not None]
    if not near:
        return held
    if foreign:
        return _logistic(_FOREIGN, held)
    late = [one.late for one in best if one.late is not None]
    if not late:
        return _logistic(_ANSWERED_PLAIN, max(near), held)
    return _logistic(_ANSWERED, max(near), held, max(late))


def worth_recalling(chances: Sequence[float], likely: float, where: Cut, most: int) -> list[bool]:
    """Returns for each passage of one question, best first, whether it is to be recalled.

    ``likely``: that anything answers. The less it is, the fewer are recalled: what answers is at the top or not
    at all. None is that is far behind the likeliest.
    """
    if likely < where.enough:
        return [False] * len(chances)
    sure = min(1.0, (likely - where.enough) / (where.certain - where.enough))
    room = 1 + math.floor((most - 1) * sure)
    least = where.least_of_best * max(chances, default=0.0)
    worth = []
    for value in chances:
        is_worth = room > 0 and value >= least
        room -= is_worth
        worth.append(is_worth)
    return worth


def _logistic(weights: Sequence[float], *signals: float) -> float:
    value = weights[0] + math.fsum(w * x for w, x in zip(weights[1:], signals, strict=True))
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, value))))
