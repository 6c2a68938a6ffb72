"""Questions about the order of a story: what happened before or after something, the first or the last time. Pure.

What is asked about is found as ever; the order of the story then says which exchange answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from flower.engine.recall.base import Ranked
from flower.engine.recall.references import Order

_ANCHORS = 2  # best memories whose neighbours are told with them
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
    """Returns rows with what stands on one side of the best right behind them, as likely as they are."""
    by_id = {row.found.passage.id: row for row in rows}
    placed: dict[int, Ranked] = {}
    for row in rows[:_ANCHORS]:
        placed.setdefault(row.found.passage.id, row)
        other = by_id.get(beside.get(row.found.passage.id, 0))
        if other is not None and other.found.passage.id not in placed:
            found = replace(other.found, score=row.found.score - _STEP)
            placed[other.found.passage.id] = replace(other, found=found, chance=row.chance)
    rest = [row for row in rows if row.found.passage.id not in placed]
    return sorted([*placed.values(), *rest], key=lambda row: -row.found.score)


def _from_the_end(rows: Sequence[Ranked], *, last: bool) -> list[Ranked]:
    """Returns rows with the earliest, or latest, of those like the best at its place."""
    best = rows[0].found.score if rows else 0.0
    alike = [row for row in rows if row.found.score >= best - _ALIKE]
    told = sorted(alike, key=lambda row: row.found.passage.message_id or 0, reverse=last)
    scores = [row.found.score for row in alike]
    chances = sorted((row.chance for row in alike), reverse=True)
    moved = [
        replace(row, found=replace(row.found, score=score), chance=chance)
        for row, score, chance in zip(told, scores, chances, strict=True)
    ]
    return [*moved, *rows[len(alike) :]]
