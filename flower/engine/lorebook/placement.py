"""Where an entry goes: its position, or what its decorators ask for instead. Pure."""

from __future__ import annotations

from flower.engine.lorebook.book import Position, Role
from flower.engine.lorebook.outcome import Place
from flower.engine.lorebook.rules import ReadyEntry

__all__ = ["place_of"]

_NAMED = {
    "before_desc": Position.BEFORE_CHARACTER,
    "after_desc": Position.AFTER_CHARACTER,
    "personality": Position.AFTER_CHARACTER,
    "scenario": Position.AFTER_CHARACTER,
}


def place_of(rule: ReadyEntry, count: int) -> Place:
    """Returns where a rule's text goes in a story of ``count`` messages.

    ``@@position`` has the first word, then a depth from either end. A depth beyond the oldest message is
    left to whoever builds the prompt; one below 0 is after the newest.
    """
    entry, asked = rule.entry, rule.decorators
    if asked.position is not None:
        return Place(_NAMED[asked.position])
    if asked.depth is not None or asked.reverse_depth is not None:
        depth = asked.depth if asked.depth is not None else count - (asked.reverse_depth or 0)
        return Place(Position.AT_DEPTH, max(0, depth), asked.role or Role.SYSTEM)
    if entry.position is Position.AT_DEPTH:
        return Place(entry.position, entry.depth, entry.role if asked.role is None else asked.role)
    if entry.position is Position.OUTLET:
        return Place(entry.position, outlet=entry.outlet)
    return Place(entry.position)
