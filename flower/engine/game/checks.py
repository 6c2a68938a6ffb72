"""Named checks, and what a throw means for the story. Pure.

Owns the words the narrator is given with a result. A narrator that only gets "failure" softens it,
so every degree says what it costs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from flower import limits
from flower.engine.game import dice
from flower.engine.game.dice import Expression, Throw
from flower.errors import CommandError

Degree = Literal["triumph", "success", "narrow failure", "failure", "disaster"]

WORKED: tuple[Degree, ...] = ("triumph", "success")
CHECK_DICE = "1d20"
FAR = 10  # missed by so much, or a natural 1, is a disaster; reached by so much a triumph
NEAR = 2  # missed by no more than this, it nearly worked

BITE: Mapping[Degree, str] = {
    "triumph": "It works better than hoped; give something extra.",
    "success": "It works. Do not take it back or add a hidden cost.",
    "narrow failure": "It does not work, but only just: leave a trace of a chance, and let time or noise be lost.",
    "failure": "It does not work, and it costs something real now: harm, loss, a closed way or an alarm.",
    "disaster": "It goes as wrong as it can: it fails, and something gets worse that cannot be undone soon.",
}
HONOUR = "The dice have decided; tell it so and do not roll again."

# What may stand behind a check's name, each taken from the end of the text, which is on one line with single
# blanks. One pattern for all of it would have to be tried with every length of the name.
_TARGET = re.compile(r" (?:vs\.?|against|dc) ?(-?\d{1,9})\Z", re.IGNORECASE)
_TWICE = re.compile(r" (adv|dis)(?:(?:adv)?antage)?\Z", re.IGNORECASE)
_BONUS = re.compile(r" ?([+-] ?\d{1,9})\Z")
_NO_NAME = re.compile(r"(?:vs|dc)\b|[\d+-]|\Z", re.IGNORECASE)


def parse_check(text: str, skills: Mapping[str, int]) -> tuple[str, Expression]:
    """Returns a check's name and what to roll for it.

    ``stealth adv +2 vs 14``. A counter of that name in ``skills`` counts as a bonus. Raises
    ``CommandError`` when the text is no check.
    """
    rest, target = _split_off(_TARGET, " ".join(text.split()))
    rest, late = _split_off(_TWICE, rest)
    rest, bonus = _split_off(_BONUS, rest)
    rest, early = _split_off(_TWICE, rest)
    if _NO_NAME.match(rest):
        raise CommandError("Check what? For example /check stealth vs 14, or /check lore adv +2 vs 10.")
    name = rest[: limits.NAME_CHARS]
    twice = (early or late).lower()
    skill = next((value for key, value in skills.items() if key.casefold() == name.casefold()), 0)
    against = f" vs {target}" if target else ""
    skilled = f"{skill:+d}" if skill else ""
    return name, dice.parse(f"{CHECK_DICE}{twice}{skilled}{bonus}{against}")


def _split_off(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    """Returns the text without what the pattern finds at its end, and that."""
    match = pattern.search(text)
    return (text[: match.start()], match[1]) if match else (text, "")


def degree(throw: Throw) -> Degree | None:
    """Returns how well it went; None without a target. A natural 20 or 1 on one d20 goes a step further."""
    margin = throw.margin
    if margin is None:
        return None
    if margin >= 0:
        return "triumph" if margin >= FAR or throw.natural == 20 else "success"
    if margin <= -FAR or throw.natural == 1:
        return "disaster"
    return "narrow failure" if margin >= -NEAR else "failure"


def display_text(throw: Throw, name: str = "") -> str:
    """Returns the result as the story shows it, for example ``Check stealth: [9] + 2 = 11 vs 14, failure``."""
    expression = throw.expression
    what = f"Check {name} ({expression.display_text})" if name else f"Roll {expression.display_text}"
    label = f" ({expression.label})" if expression.label else ""
    result = degree(throw)
    against = f" vs {expression.target}: {result}" if result else ""
    return f"{what}{label}: {throw.display_text}{against}"


def prompt_text(throw: Throw, name: str = "") -> str:
    """Returns the line the narrator must honour."""
    result = degree(throw)
    bite = f" {BITE[result]}" if result else ""
    return f"[SYSTEM] {display_text(throw, name)}.{bite} {HONOUR}"
