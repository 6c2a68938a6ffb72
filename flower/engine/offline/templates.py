"""Choosing and filling phrases so that none comes back within a few turns.

A template is English with ``{slot}`` and ``[one|other]``. ``{Slot}`` is the slot with a capital.
``{they:looks}`` is a pronoun with its verb in agreement. Templates whose slots are not at hand are
never chosen, so a table may mix phrases for rich and poor scenes. Pure: chance is an argument.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Protocol, TypeVar

from flower.engine.offline.grammar import is_plural, plural_verb, upper_first

_SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_BLOCK = 3  # neighbours in a table of which one turn may use any: the next turn starts after them
_MARK_CHARS = 14  # a literal run this long, found in recent text, means the phrase was just used
_ONCE = frozenset({"stranger", "find"})  # what fills these is used up for the reply
_T = TypeVar("_T")


class Chance(Protocol):
    """Where all randomness comes from; ``random.Random`` fits."""

    def randrange(self, stop: int, /) -> int:
        """Returns a number from 0 to ``stop - 1``."""


class Picker:
    """Picks from tables for one turn. ``recent`` is the text of the last replies, any case."""

    def __init__(self, chance: Chance, seed: int, turn: int, recent: str) -> None:
        self.chance = chance
        self._seed = seed
        self._turn = turn
        self._recent = recent.casefold()
        self._used: set[str] = set()

    def percent(self, likely: int) -> bool:
        """Returns True in ``likely`` of 100 cases."""
        return self.chance.randrange(100) < likely

    def any_of(self, options: Sequence[_T]) -> _T:
        """Returns one of the options, all equally likely."""
        return options[self.chance.randrange(len(options))]

    def was_used(self, text: str) -> bool:
        """Returns whether the text was said in one of the last replies or in this one."""
        folded = text.casefold()
        return folded in self._recent or folded in self._used

    def noted(self, text: str) -> bool:
        """Returns whether the text is said in this reply."""
        return text.casefold() in self._used

    def note(self, text: str) -> None:
        """Remembers that the text is said in this reply."""
        self._used.add(text.casefold())

    def fresh(self, options: Sequence[str], recent: str) -> list[str]:
        """Returns those of the options of which nothing is found in ``recent``, a text in small letters."""
        return [one for one in options if not any(mark in recent for mark in _marks(one))]

    def unused(self, options: Sequence[str]) -> list[str]:
        """Returns those of the options that were said neither in recent replies nor in this one."""
        return [one for one in self.fresh(options, self._recent) if one.casefold() not in self._used]

    def say(self, options: Sequence[str], slots: Mapping[str, str] | None = None) -> str:
        """Returns a phrase from the table, filled; "" when none fits the slots at hand.

        The table is walked in its own order from a start that depends on the seed, a block per turn;
        phrases heard in recent replies come last, those heard longest ago first.
        """
        filled = {key: text for key, text in (slots or {}).items() if text}
        fitting = [option for option in options if _needs(option) <= filled.keys()]
        if not fitting:
            return ""
        order = self._order(fitting)
        ages = [self._last_heard(option) for option in order]
        chosen = order[ages.index(min(ages))]
        self._used.add(chosen.casefold())
        for key in _ONCE & _needs(chosen):
            self.note(filled[key])
        return self.fill(chosen, filled)

    def fill(self, template: str, slots: Mapping[str, str]) -> str:
        """Returns the template with choices made and slots filled."""
        while _CHOICE.search(template):
            template = _CHOICE.sub(lambda match: self.any_of(match.group(1).split("|")), template)

        def value(match: re.Match[str]) -> str:
            key, verb = match.group(1), match.group(2)
            text = slots[key.lower()]
            if verb:
                text += " " + (plural_verb(verb) if text == "they" or is_plural(text) else verb)
            return upper_first(text) if key[0].isupper() else text

        return _SLOT.sub(value, template)

    def _order(self, options: Sequence[str]) -> list[str]:
        size = len(options)
        start = (
            zlib.crc32(f"{self._seed}:{options[0]}".encode("utf-8", "replace")) + self._turn * _BLOCK
        )
        block = [(start + index) % size for index in range(min(_BLOCK, size))]
        first = block.pop(self.chance.randrange(len(block)))
        rest = [(start + index) % size for index in range(len(block) + 1, size)]
        return [options[index] for index in (first, *block, *rest)]

    def _last_heard(self, option: str) -> int:
        """Returns where in recent text the option was last used, -1 for never: the higher the later."""
        if option.casefold() in self._used:
            return len(self._recent)
        return max((self._recent.rfind(mark) for mark in _marks(option)), default=-1)


@lru_cache(maxsize=4096)
def _needs(template: str) -> frozenset[str]:
    return frozenset(match.group(1).lower() for match in _SLOT.finditer(template))


@lru_cache(maxsize=4096)
def _marks(template: str) -> tuple[str, ...]:
    """Returns the runs of fixed text long enough to know a filled phrase by."""
    outside = _CHOICE.sub("\0", template)
    inside = [part for match in _CHOICE.finditer(template) for part in match.group(1).split("|")]
    runs = [
        run.strip(' .,"') for text in (outside, *inside) for run in _SLOT.sub("\0", text).split("\0")
    ]
    return tuple(run.casefold() for run in runs if len(run) >= _MARK_CHARS)
