"""Which passages of a ranking are recalled: what says the same once, a memory with what is beside it, as far as the
budget lets it. Pure.

A question about the order of a story (what happened before or after something, the first or the last time) is found as
ever; the order of the story then says which exchange answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from flower import limits
from flower.engine.recall.base import Found, Ranked
from flower.engine.recall.references import Order

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors

SAME = 0.95  # cosine from which two passages say the same thing


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
    told: Sequence[Found],
    beside: Mapping[int, Sequence[Found]],
    vectors: Mapping[int, Vectors],
    budget_tokens: int,
) -> tuple[Found, ...]:
    """Returns what is told with the exchanges beside the best memories, as far as the budget lets them.

    ``beside``: what stands before and after each memory that is sure enough, by its id.
    """
    best = [item for item in told if item.passage.id in beside][: limits.RECALL_BESIDE]
    fresh: list[Found] = []
    for one in (one for item in best for one in beside[item.passage.id]):
        known = [*told, *fresh]
        ids = {item.passage.id for item in known}
        if one.passage.id not in ids and not any(_is_same(one, item, vectors) for item in known):
            fresh.append(one)
    return (*told, *cut(fresh, budget_tokens - sum(item.tokens for item in told)))


def cut(found: Sequence[Found], budget_tokens: int) -> tuple[Found, ...]:
    """Returns what fits the budget, in order; one that is too long lets later ones in."""
    kept = []
    room = budget_tokens
    for item in found:
        if item.tokens <= room:
            room -= item.tokens
            kept.append(item)
    return tuple(kept)


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
