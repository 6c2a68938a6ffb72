"""What of a ranking is told: what says the same once, what stands beside a memory with it, as far as the budget
lets it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flower import limits
from flower.engine.recall.base import Found

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
