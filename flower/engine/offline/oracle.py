"""Dice and the yes-or-no oracle. Pure: chance is an argument.

Two six-sided dice decide risky acts: 10 or more works, 7 to 9 works at a price, 6 or less fails.
A hundred-sided die against a likelihood answers questions; a roll near the edge of its half says
"but", a roll far from it says "and".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from flower.engine.offline.templates import Chance

OFFLINE_DICE = 20  # dice in one throw: a line of numbers, not a page
OFFLINE_DIE_SIDES = 1000

Outcome = Literal["strong", "mixed", "miss"]
Answer = Literal["yes_and", "yes", "yes_but", "no_but", "no", "no_and"]


_WORDS: dict[Outcome, str] = {
    "strong": "it works",
    "mixed": "it works, at a price",
    "miss": "it goes wrong",
}


class RiskRoll(Struct, frozen=True):
    """Two dice and what they decide."""

    first: int
    second: int
    outcome: Outcome

    @property
    def display_text(self) -> str:
        """Returns the line players see, for example ``[2d6: 4 + 5 = 9, it works, at a price]``.

        "" when nothing was thrown here: the player's own dice have been shown already.
        """
        if not self.first:
            return ""
        total = self.first + self.second
        return f"[2d6: {self.first} + {self.second} = {total}, {_WORDS[self.outcome]}]"


def decided(outcome: Outcome) -> RiskRoll:
    """Returns what dice that the player threw have decided."""
    return RiskRoll(0, 0, outcome)


def shown_outcome(reply: str) -> Outcome | Literal[""]:
    """Returns what the dice that a reply shows have decided, "" when it shows none."""
    at = reply.rfind("[2d6: ")
    bracket = reply[at : reply.find("]", at)] if at >= 0 else ""
    return next((outcome for outcome, words in _WORDS.items() if bracket.endswith(words)), "")


def throw(chance: Chance) -> RiskRoll:
    """Returns two dice, read."""
    first, second = 1 + chance.randrange(6), 1 + chance.randrange(6)
    total = first + second
    return RiskRoll(first, second, "strong" if total >= 10 else "mixed" if total >= 7 else "miss")


class Fixed:
    """Chance that follows from a key: asked the same question twice, fate says the same."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._count = 0

    def randrange(self, stop: int, /) -> int:
        """Returns a number from 0 to ``stop - 1``."""
        self._count += 1
        return zlib.crc32(f"{self._key}:{self._count}".encode("utf-8", "replace")) % stop


def fixed(seed: int, words: Iterable[str]) -> Fixed:
    """Returns the chance that decides a question with these words in this story."""
    return Fixed(f"{seed}:{' '.join(sorted(words))}")


def answer(chance: Chance, likely: int) -> tuple[Answer, int]:
    """Returns the oracle's answer and the roll from 1 to 100; ``likely`` is the chance of a yes, percent."""
    roll = 1 + chance.randrange(100)
    if roll <= likely:
        share = roll / likely
        return ("yes_and" if share <= 0.2 else "yes" if share <= 0.75 else "yes_but"), roll
    share = (roll - likely) / (100 - likely)
    return ("no_but" if share <= 0.25 else "no" if share <= 0.8 else "no_and"), roll


def roll(chance: Chance, count: int, sides: int, bonus: int) -> tuple[str, float]:
    """Returns the roll as players see it, and how high it is, 0.0 to 1.0; count and sides are bounded."""
    count = min(max(count, 1), OFFLINE_DICE)
    sides = min(max(sides, 2), OFFLINE_DIE_SIDES)
    dice = [1 + chance.randrange(sides) for _ in range(count)]
    name = f"{count}d{sides}" + (f"{bonus:+d}" if bonus else "")
    terms = " + ".join(str(die) for die in dice)
    if bonus:
        terms += f" {'+' if bonus > 0 else '-'} {abs(bonus)}"
    total = sum(dice) + bonus
    display_text = f"[{name}: {total}]" if terms == str(total) else f"[{name}: {terms} = {total}]"
    return display_text, (sum(dice) - count) / (count * (sides - 1))
