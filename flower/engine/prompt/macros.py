"""Macros in texts that people wrote: ``{{user}}``, ``{{char}}``, ``{{random:a,b}}`` and their kin. Pure.

Names and meaning follow what character cards and world books of other programs use. Expanded are
cards, worlds, rules, lore, notes and greetings, once, when they enter a prompt or a story; never what a
model or a player wrote. A result is not looked at again, so nothing inside a value can become a macro.

Everything volatile comes from ``Values``: chance from seeds, time from one moment. What stands in the
stable part of a prompt is given the story's seed and the moment it began, so it never changes.

Variables that a text sets hold in the rest of that text. Whoever calls ``run`` gets them back and may
keep them; only notes and greetings are kept, with the place in the story where they were told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from flower import limits
from flower.engine.game import dice
from flower.engine.game.rng import Seeded
from flower.engine.prompt.macro_values import NOBODY, PLAIN, Values, angle, timed
from flower.errors import CommandError

MACRO_CHARS = 100_000  # that macros may add to one text
MACRO_VARIABLES = 64  # that notes and greetings of a story may set
MACRO_VARIABLE_CHARS = 500
MACRO_NUMBER = 999_999_999_999_999  # either way: fifteen digits are exact in a double
MACRO_DEPTH = 8  # macros inside the arguments of macros
MACRO_REPEATS = 20  # of a newline or a space

__all__ = ["NOBODY", "Expanded", "Values", "expand", "key_of", "run", "sets"]

_BRACES = re.compile(r"\{\{|\}\}")
_PARTS = re.compile(r"\s*(?P<name>//|[a-zA-Z][\w.+-]*)\s*(?P<rest>.*)", re.DOTALL)
_ANGLES = re.compile(r"<(user|bot|char|group|charifnotgroup)>", re.IGNORECASE)
_SHORT = re.compile(
    r"\s*[.$](?P<name>[a-zA-Z]\w{0,63}(?:-\w{1,64}){0,4})\s*(?P<sign>\+\+|--|\+=|-=|==|!=|>=|<=|\?\?|\|\||=|>|<)?"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_COMPARED = re.compile(r"(?P<left>[^=!<>]*)(?P<sign>==|!=|>=|<=|>|<)(?P<right>[^=!<>]*)")
_SETTING = re.compile(
    r"\{\{\s*(?:(?:set|add|inc|dec|delete)(?:global)?var|[.$]\w+(?:-\w+)*\s*(?:\+|-|=(?!=)))",
    re.IGNORECASE,
)
_TRIM = "\x00trim\x00"  # no text has a zero byte: input is cleaned of control characters
_FALSE = ("", "0", "false", "off", "no", "null")

Part: TypeAlias = "str | tuple[Part, ...]"  # text, or the inside of a macro


class Expanded(Struct, frozen=True):
    """A text with its macros replaced, and the variables as it leaves them."""

    text: str
    variables: Mapping[str, str]


def expand(text: str, values: Values) -> str:
    """Returns ``text`` with every known macro replaced; unknown ones stay as they are.

    Never longer than ``MACRO_CHARS`` more than the text: what would be is left unexpanded.
    """
    return run(text, values).text


def run(text: str, values: Values) -> Expanded:
    """Returns ``text`` as ``expand`` does, with the variables that hold after it."""
    expansion = _Expansion(values)
    told = _trimmed(expansion.told(parse(text)))
    return Expanded(told, expansion.variables)


def key_of(name: str) -> str:
    """Returns what a variable is kept under: names hold in any case."""
    return name.strip().casefold()[: limits.NAME_CHARS]


def sets(text: str) -> bool:
    """Returns whether a text may set variables."""
    return _SETTING.search(text) is not None


def parse(text: str) -> tuple[Part, ...]:
    """Returns the text in parts; braces without a partner, or nested too deep, are text."""
    inside: list[list[Part]] = [[]]
    position = 0
    for brace in _BRACES.finditer(text):
        inside[-1].append(text[position : brace.start()])
        position = brace.end()
        if brace.group() == "{{" and len(inside) <= MACRO_DEPTH:
            inside.append([])
        elif brace.group() == "}}" and len(inside) > 1:
            macro = tuple(inside.pop())
            inside[-1].append(macro)
        else:
            inside[-1].append(brace.group())
    inside[-1].append(text[position:])
    whole = inside[0]
    for unclosed in inside[1:]:
        whole += ["{{", *unclosed]
    return tuple(whole)


class _Expansion:
    """One pass over one text; arguments are expanded before the macro they belong to."""

    def __init__(self, values: Values) -> None:
        self.variables = dict(values.variables)
        self._values = values
        self._left = MACRO_CHARS
        self._number = 0  # of the macro in its text: two equal ones have their own chance

    def told(self, parts: Sequence[Part]) -> str:
        """Returns parts as text; of a condition only the branch that holds, and only it is expanded."""
        told: list[str] = []
        branches: list[
            bool
        ] = []  # of open conditions: whether told; those in a hidden one are not here
        hidden = 0  # open conditions inside one that is not told
        for part in parts:
            shown = not branches or branches[-1]
            if isinstance(part, str):
                told.append(_ANGLES.sub(self._angle, part) if shown else "")
                continue
            match _word(part):
                case "if" if not shown:
                    hidden += 1
                case "/if" if hidden:
                    hidden -= 1
                case "if":
                    branches.append(self._holds(part))
                case "else" if branches and not hidden:
                    branches[-1] = not branches[-1]
                case "/if" if branches:
                    branches.pop()
                case _ if shown:
                    told.append(self._value(self.told(part)))
        return "".join(told)

    def _holds(self, part: Sequence[Part]) -> bool:
        condition = self.told(part).strip()[len("if") :].lstrip(": \n").strip()
        negated = condition.startswith("!") and not condition.startswith("!=")
        condition = condition[1:].strip() if negated else condition
        found = _COMPARED.fullmatch(condition)
        if found is None:
            holds = self._operand(condition).lower() not in _FALSE
        else:
            holds = _compared(
                self._operand(found["left"]), found["sign"], self._operand(found["right"])
            )
        return holds != negated

    def _operand(self, word: str) -> str:
        """Returns what a word of a condition stands for: a variable, a plain macro, or itself."""
        word = word.strip()
        if word[:1] in (".", "$"):
            return self._get(word[1:])
        plain = PLAIN.get(word.lower())
        return plain(self._values).strip() if plain is not None else word.strip("\"'")

    def _value(self, inner: str) -> str:
        self._number += 1
        short = _SHORT.fullmatch(inner)
        found = _PARTS.fullmatch(inner)
        value = None
        if short is not None:
            value = self._short(short["name"], short["sign"] or "", short["rest"].strip())
        elif found is not None:
            value = self._evaluated(found["name"].lower(), found["rest"])
        return self._spent(value, f"{{{{{inner}}}}}")

    def _angle(self, found: re.Match[str]) -> str:
        return self._spent(angle(found[1].lower(), self._values), found[0])

    def _spent(self, value: str | None, written: str) -> str:
        """Returns the value as far as there is room for it, else the macro as it was written."""
        if value is None or len(value) > self._left:
            return written
        self._left -= len(value)
        return value

    def _evaluated(self, name: str, rest: str) -> str | None:
        """Returns the macro's value, None for one that is not known."""
        values = self._values
        argument = rest.lstrip(":").strip()
        if name in PLAIN and not argument:
            return PLAIN[name](values)
        if name.endswith("var"):
            return self._variable(name.replace("global", ""), argument)
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
            case "upper" | "lower" | "capitalize":
                return {"upper": str.upper, "lower": str.lower, "capitalize": _capitalized}[name](
                    argument
                )
            case "outlet":
                return values.outlets.get(argument.casefold(), "")
            case "//" | "comment" | "noop" | "banned" | "charfirstmessage":
                return ""
            case "trim":
                return _TRIM
        return timed(name, argument, values)

    # --- variables ------------------------------------------------------------------------------

    def _variable(self, name: str, argument: str) -> str | None:
        key, _, value = (part.strip() for part in argument.partition("::"))
        match name:
            case "getvar":
                return self._get(key)
            case "hasvar" | "varexists":
                return "true" if key_of(key) in self.variables else "false"
            case "setvar":
                self._set(key, value)
            case "addvar":
                self._add(key, value)
            case "incvar":
                return self._add(key, "1")
            case "decvar":
                return self._add(key, "-1")
            case "deletevar":
                self.variables.pop(key_of(key), None)
            case _:
                return None
        return ""

    def _short(self, name: str, sign: str, rest: str) -> str | None:
        match sign:
            case "":
                return self._get(name) if not rest else None
            case "++" | "--":
                return self._add(name, "1" if sign == "++" else "-1")
            case "+=" | "-=":
                self._add(name, rest if sign == "+=" else f"-{rest}")
                return ""
            case "=":
                self._set(name, rest)
                return ""
            case "??":
                return self._get(name) if key_of(name) in self.variables else rest
            case "||":
                return self._get(name) or rest
        return "true" if _compared(self._get(name), sign, rest) else "false"

    def _get(self, name: str) -> str:
        return self.variables.get(key_of(name), "")

    def _set(self, name: str, value: str) -> None:
        key = key_of(name)
        if key and (key in self.variables or self._own < MACRO_VARIABLES):
            self.variables[key] = value[:MACRO_VARIABLE_CHARS]

    @property
    def _own(self) -> int:
        """How many variables there are beside what stands on the state sheet."""
        return len(self.variables.keys() - self._values.sheet)

    def _add(self, name: str, value: str) -> str:
        """Adds to a number, or to the end of a text; returns what the variable is then."""
        old = self._get(name)
        left, right = _number(old or "0"), _number(value)
        new = _written(left + right) if left is not None and right is not None else old + value
        self._set(name, new)
        return new

    # --- chance ---------------------------------------------------------------------------------

    def _rolled(self, notation: str) -> str:
        notation = f"1d{notation}" if notation.isdecimal() else notation
        try:
            expression = dice.parse(notation)
        except CommandError:
            return ""
        return str(dice.roll(expression, self._chance(self._values.seed, notation)).total)

    def _chance(self, seed: str, inner: str) -> Seeded:
        return Seeded(f"{seed}:{self._number}:{inner}")


def _word(part: Part) -> str:
    """Returns the first word inside a macro, as far as it is written out."""
    first = part[0] if part and isinstance(part[0], str) else ""
    word = first.strip().lower()
    return "if" if re.match(r"if[\s:]", f"{word} ") else word


def _compared(left: str, sign: str, right: str) -> bool:
    a, b = _number(left), _number(right)
    if a is not None and b is not None:
        return {"==": a == b, "!=": a != b, ">": a > b, "<": a < b, ">=": a >= b, "<=": a <= b}[sign]
    same = left.strip().casefold() == right.strip().casefold()
    return same if sign == "==" else not same if sign == "!=" else False


def _number(text: str) -> float | None:
    found = re.fullmatch(r"\s*([+-]{0,2})(\d{1,15}(?:\.\d{1,6})?)\s*", text)
    return None if found is None else float(found[2]) * (-1) ** found[1].count("-")


def _written(number: float) -> str:
    """Returns a number as ``_number`` reads it: in plain digits, as many as it counts exactly."""
    number = round(max(-MACRO_NUMBER, min(number, MACRO_NUMBER)), 6)
    return str(int(number)) if number == int(number) else f"{number:.6f}".rstrip("0")


def _options(rest: str) -> list[str]:
    """Returns what to choose from: parted by ``::``, else by commas, of which ``\\,`` is none."""
    body = rest.removeprefix("::") if rest.startswith("::") else rest.removeprefix(":")
    if "::" in body:
        return [option.strip() for option in body.split("::")]
    return [option.replace("\\,", ",").strip() for option in re.split(r"(?<!\\),", body)]


def _times(argument: str) -> int:
    return min(int(argument[:4]), MACRO_REPEATS) if argument.isdecimal() else 1


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _trimmed(text: str) -> str:
    """Returns the text with the white space around every trim mark taken away."""
    first, *rest = text.split(_TRIM)
    for part in rest:
        first = first.rstrip() + part.lstrip()
    return first
