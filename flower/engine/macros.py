"""Macros in texts that people wrote: ``{{user}}``, ``{{char}}``, ``{{random:a,b}}`` and their kin. Pure.

Names and meaning follow what character cards and world books of other programs use. Expanded are
cards, worlds, rules, lore, notes and greetings, once, when they enter a prompt or a story; never what a
model or a player wrote. A result is not looked at again, so nothing inside a value can become a macro.
Nothing here can change the state of a story: macros that set variables elsewhere vanish.

Everything volatile comes from ``Values``: chance from seeds, time from one moment. What stands in the
stable part of a prompt is given the story's seed and the moment it began, so it never changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone

from msgspec import Struct

from flower import limits
from flower.engine.game import dice
from flower.engine.game.chance import Seeded
from flower.errors import CommandError

NOBODY = "the player"  # whom {{user}} means without a persona

_BRACES = re.compile(r"\{\{|\}\}")
_ANGLES = re.compile(r"<(user|bot|char)>", re.IGNORECASE)
_PARTS = re.compile(r"\s*(?P<name>//|[a-zA-Z][\w.+-]*)\s*(?P<rest>.*)", re.DOTALL)
_UTC = re.compile(r"utc\s*([+-]\d{1,2})", re.IGNORECASE)
_TRIM = "\x00trim\x00"  # no text has a zero byte: input is cleaned of control characters


class Values(Struct, frozen=True):
    """What macros stand for. ``seed`` is chance for ``random`` and ``roll``; ``story_seed`` for ``pick``."""

    moment: datetime  # with a time zone
    story_seed: str
    seed: str
    user: str = NOBODY
    char: str = "the narrator"
    persona: str = ""
    description: str = ""  # of the character
    scenario: str = ""
    world: str = ""
    group: str = ""
    model: str = ""
    variables: Mapping[str, str] = {}


def expand(text: str, values: Values) -> str:
    """Returns ``text`` with every known macro replaced; unknown ones stay as they are.

    Never longer than ``limits.MACRO_CHARS`` more than the text: what would be is left unexpanded.
    """
    if "{{" not in text:
        return _ANGLES.sub(lambda found: _angle(found.group(1).lower(), values), text)
    expanded = _trimmed(_Expansion(values).run(text))
    return _ANGLES.sub(lambda found: _angle(found.group(1).lower(), values), expanded)


def _angle(name: str, values: Values) -> str:
    return values.user if name == "user" else values.char


class _Expansion:
    """One pass over one text; arguments are expanded before the macro they belong to."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._left = limits.MACRO_CHARS
        self._number = 0  # of the macro in its text: two equal ones have their own chance

    def run(self, text: str) -> str:
        open_parts: list[list[str]] = [[]]
        position = 0
        for brace in _BRACES.finditer(text):
            open_parts[-1].append(text[position : brace.start()])
            position = brace.end()
            if brace.group() == "{{" and len(open_parts) <= limits.MACRO_DEPTH:
                open_parts.append([])
            elif brace.group() == "}}" and len(open_parts) > 1:
                inner = "".join(open_parts.pop())
                open_parts[-1].append(self._value(inner))
            else:
                open_parts[-1].append(brace.group())
        open_parts[-1].append(text[position:])
        return "{{".join("".join(parts) for parts in open_parts)

    def _value(self, inner: str) -> str:
        self._number += 1
        found = _PARTS.fullmatch(inner)
        value = None
        if found is not None:
            value = self._evaluated(found["name"].lower(), found["rest"])
        if value is None or len(value) > self._left:
            return f"{{{{{inner}}}}}"
        self._left -= len(value)
        return value

    def _evaluated(self, name: str, rest: str) -> str | None:
        """Returns the macro's value, None for one that is not known."""
        values = self._values
        argument = rest.lstrip(":").strip()
        if name in _PLAIN and not rest:
            return _PLAIN[name](values)
        if name == "time" or name.startswith("time_utc"):
            return _time(values.moment, argument if name == "time" else name)
        match name:
            case "random" | "pick" if argument:
                seed = values.seed if name == "random" else values.story_seed
                options = _options(rest)
                return options[self._chance(seed, rest).randrange(len(options))]
            case "roll" if argument:
                return self._rolled(argument)
            case "newline" | "space":
                return ("\n" if name == "newline" else " ") * _times(argument)
            case "reverse":
                return argument[::-1]
            case "getvar":
                return values.variables.get(argument.casefold(), "")
            case "//" | "comment" | "noop" | "setvar" | "addvar" | "incvar" | "decvar" | "deletevar":
                return ""
            case "trim":
                return _TRIM
        return None

    def _rolled(self, notation: str) -> str:
        notation = f"1d{notation}" if notation.isdecimal() else notation
        try:
            expression = dice.parse(notation)
        except CommandError:
            return ""
        return str(dice.roll(expression, self._chance(self._values.seed, notation)).total)

    def _chance(self, seed: str, inner: str) -> Seeded:
        return Seeded(f"{seed}:{self._number}:{inner}")


_PLAIN: dict[str, Callable[[Values], str]] = {
    "user": lambda v: v.user,
    "char": lambda v: v.char,
    "charifnotgroup": lambda v: v.group or v.char,
    "group": lambda v: v.group or v.char,
    "persona": lambda v: v.persona,
    "description": lambda v: v.description,
    "personality": lambda v: "",  # part of the description here
    "scenario": lambda v: v.scenario,
    "world": lambda v: v.world,
    "model": lambda v: v.model,
    "date": lambda v: f"{v.moment.day} {v.moment:%B %Y}",
    "weekday": lambda v: f"{v.moment:%A}",
    "isotime": lambda v: f"{v.moment:%H:%M}",
    "isodate": lambda v: f"{v.moment:%Y-%m-%d}",
}


def _time(moment: datetime, zone: str) -> str | None:
    if zone:
        found = _UTC.search(zone)
        if found is None:
            return None
        hours = max(-23, min(int(found[1]), 23))
        moment = moment.astimezone(timezone(timedelta(hours=hours)))
    return f"{moment:%H:%M}"


def _options(rest: str) -> list[str]:
    """Returns what to choose from: parted by ``::``, else by commas, of which ``\\,`` is none."""
    body = rest.removeprefix("::") if rest.startswith("::") else rest.removeprefix(":")
    if "::" in body:
        return [option.strip() for option in body.split("::")]
    return [option.replace("\\,", ",").strip() for option in re.split(r"(?<!\\),", body)]


def _times(argument: str) -> int:
    return min(int(argument[:4]), limits.MACRO_REPEATS) if argument.isdecimal() else 1


def _trimmed(text: str) -> str:
    """Returns the text with the white space around every trim mark taken away."""
    first, *rest = text.split(_TRIM)
    for part in rest:
        first = first.rstrip() + part.lstrip()
    return first
