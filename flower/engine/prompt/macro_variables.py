"""The variables of macros: what one text sets and reads of them, as texts, numbers and lists. Pure.

Names hold in any case. Bounded in number and size, as they may be kept with the story.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from flower import limits

MACRO_VARIABLES = 64  # that notes and greetings of a story may set
MACRO_VARIABLE_CHARS = 500
MACRO_NUMBER = 999_999_999_999_999  # either way: fifteen digits are exact in a double
GLOBAL = "$"  # before the names of variables that other programs keep for all stories


def key_of(name: str) -> str:
    """Returns what a variable is kept under: names hold in any case."""
    return name.strip().casefold()[: limits.NAME_CHARS]


class Variables:
    """The variables while one text is expanded. ``sheet``: the names of those that come from the state sheet."""

    def __init__(self, values: Mapping[str, str], sheet: frozenset[str]) -> None:
        self.values = dict(values)
        self._sheet = sheet

    def has(self, name: str, *, everywhere: bool = False) -> bool:
        """Returns whether there is one of that name; ``everywhere``: among those for all stories."""
        return _stored_as(name, everywhere) in self.values

    def get(self, name: str, *, everywhere: bool = False) -> str:
        """Returns a variable, "" for none; one for all stories may be the story's own."""
        plain = self.values.get(key_of(name), "")
        return self.values.get(_stored_as(name, everywhere), plain) if everywhere else plain

    def set(self, name: str, value: str, *, everywhere: bool = False) -> None:
        """Sets a variable, as far as there is room for one more."""
        key = _stored_as(name, everywhere)
        own = len(self.values.keys() - self._sheet)
        if key_of(name) and (key in self.values or own < MACRO_VARIABLES):
            self.values[key] = value[:MACRO_VARIABLE_CHARS]

    def add(self, name: str, value: str, *, everywhere: bool = False) -> str:
        """Adds to a number, to a list, or to the end of a text; returns what the variable is then."""
        old = self.get(name, everywhere=everywhere)
        left, right = number_of(old or "0"), number_of(value)
        new = _appended(old, value) or old + value
        if left is not None and right is not None:
            new = written(left + right)
        self.set(name, new, everywhere=everywhere)
        return new

    def remove(self, name: str, *, everywhere: bool = False) -> None:
        """Forgets a variable."""
        self.values.pop(_stored_as(name, everywhere), None)


def _stored_as(name: str, everywhere: bool) -> str:
    """Returns what a variable is kept under; those for all stories are apart from the story's own."""
    return f"{GLOBAL}{key_of(name)}" if everywhere else key_of(name)


def _appended(old: str, value: str) -> str:
    """Returns a list in JSON with a value at its end, "" for what is no list."""
    if not old.startswith("["):
        return ""
    try:
        items = json.loads(old)
    except ValueError:
        return ""
    return json.dumps([*items, value], ensure_ascii=False, separators=(",", ":"))


def compared(left: str, sign: str, right: str) -> bool:
    """Returns whether two texts compare like that: as numbers if both are, else as words in any case."""
    a, b = number_of(left), number_of(right)
    if a is not None and b is not None:
        return {"==": a == b, "!=": a != b, ">": a > b, "<": a < b, ">=": a >= b, "<=": a <= b}[sign]
    same = left.strip().casefold() == right.strip().casefold()
    return same if sign == "==" else not same if sign == "!=" else False


def number_of(text: str) -> float | None:
    """Returns the number that a text is, None for any other."""
    match = re.fullmatch(r"\s*([+-]{0,2})(\d{1,15}(?:\.\d{1,6})?)\s*", text)
    return None if match is None else float(match[2]) * (-1) ** match[1].count("-")


def written(number: float) -> str:
    """Returns a number as ``number_of`` reads it: in plain digits, as many as it counts exactly."""
    number = round(max(-MACRO_NUMBER, min(number, MACRO_NUMBER)), 6)
    return str(int(number)) if number == int(number) else f"{number:.6f}".rstrip("0")
