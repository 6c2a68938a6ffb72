"""From signals to chances: whether anything answers a question, which passages do, and how many to tell. Pure.

Unlike the scores of ``fusion``, which only order the passages of one question, chances compare questions with one
another. Owns their weights, which ``tests/bench/recall/calibrate.py`` fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

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
    one answers it or not; what answers stands out. None with too few to tell what is usual.
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


def chance(known: Evidence, *, foreign: bool = False) -> float:
    """Returns about how likely a passage answers the question, from 0 to 1.

    Without a model the words held are all there is.
    """
    if known.similarity is None:
        return known.held
    if foreign:
        return _logistic(_FOREIGN, known.held)
    if known.late is None:
        return _logistic(_PLAIN, known.similarity, known.held)
    if known.lead is None:
        return _logistic(_LATE, known.similarity, known.held, known.late)
    return _logistic(_WITH_LEAD, known.similarity, known.held, known.late, known.lead)


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

    ``likely``: that anything answers. The less it is, the fewer are recalled: what answers stands at the top or not
    at all. None is that is far behind the likeliest.
    """
    if likely < where.enough:
        return [False] * len(chances)
    sure = min(1.0, (likely - where.enough) / (where.certain - where.enough))
    room = 1 + math.floor((most - 1) * sure)
    least = where.least_of_best * max(chances, default=0.0)
    worth = []
    for value in chances:
        taken = room > 0 and value >= least
        room -= taken
        worth.append(taken)
    return worth


def _logistic(weights: Sequence[float], *signals: float) -> float:
    value = weights[0] + math.fsum(w * x for w, x in zip(weights[1:], signals, strict=True))
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, value))))
