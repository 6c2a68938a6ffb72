"""Macros in texts that people wrote: ``{{user}}``, ``{{char}}``, ``{{random:a,b}}`` and their kin. Pure.

Names and meaning follow what character cards and world books of other programs use. Expanded are
cards, worlds, rules, lore, notes and greetings, once, when they enter a prompt or a story; never what a
model or a player wrote. A result is not looked at again, so nothing inside a value can become a macro.

Everything volatile comes from ``Values``: chance from seeds, time from one moment. What is in the
stable part of a prompt is given the story's seed and the moment it began, so it never changes.

Variables that a text sets hold in the rest of that text. Whoever calls ``run`` gets them back and may
keep them; only notes and greetings are kept, with the place in the story where they were written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from flower.engine.game import dice
from flower.engine.game.dice import Seeded
from flower.engine.prompt.macro_parts import (
    MacroCall,
    Part,
    around_else,
    blocks,
    call_of,
    dedented,
    parse,
)
from flower.engine.prompt.macro_values import (
    ARGUMENTS,
    NOBODY,
    PLAIN,
    Values,
    angle,
    example_blocks,
    timed,
)
from flower.engine.prompt.macro_variables import GLOBAL, Variables, compared, key_of, number_of, written
from flower.errors import CommandError

MACRO_CHARS = 100_000  # that macros may add to one text
MACRO_REPEATS = 1_000  # of a newline or a space

__all__ = ["NOBODY", "Expanded", "Values", "expand", "key_of", "run", "sets"]

_ANGLES = re.compile(r"<(user|bot|char|group|charifnotgroup)>", re.IGNORECASE)
_SHORT = re.compile(
    r"\s*(?P<kind>[.$])(?P<name>[a-zA-Z]\w{0,63}(?:-\w{1,64}){0,4})\s*(?P<sign>\+\+|--|\+=|-=|==|!=|>=|<=|\?\?=?|\|\|=?|=|>|<)?"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_COMPARED = re.compile(r"(?P<left>[^=!<>]*)(?P<sign>==|!=|>=|<=|>|<)(?P<right>[^=!<>]*)")
_SETTING = re.compile(
    r"\{\{[\s!?~#]*(?:(?:set|add|inc|dec|delete)(?:global)?var|[.$]\w+(?:-\w+)*\s*(?:\+|-|=(?!=)))",
    re.IGNORECASE,
)
_TRIM = "\x00trim\x00"  # no text has a zero byte: input is cleaned of control characters
_FALSE = ("", "0", "false", "off")
_CHANGES: Mapping[str, Callable[[str], str]] = {
    "reverse": lambda text: text[::-1],
    "upper": str.upper,
    "lower": str.lower,
    "capitalize": lambda text: text[:1].upper() + text[1:],
}
_ESCAPED = re.compile(r"\\([{}])")


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
    # Most texts of a prompt have no macro: nothing of them is to be taken apart.
    written = expansion.expanded(parse(text)) if "{{" in text else expansion.plain(text)
    expanded = _trimmed(_ESCAPED.sub(r"\1", written))
    return Expanded(expanded, expansion.variables)


def sets(text: str) -> bool:
    """Returns whether a text may set variables."""
    return _SETTING.search(text) is not None


class _Expansion:
    """One pass over one text; arguments are expanded before the macro they belong to."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._variables = Variables(values.variables, values.sheet)
        self._left = MACRO_CHARS
        self._number = 0  # of the macro in its text: two equal ones have their own chance
        self._done: dict[
            int, str
        ] = {}  # by macro: each is expanded once, though its text is used twice
        self._original = values.original  # used once, as far as there is one

    def expanded(self, parts: Sequence[Part]) -> str:
        """Returns parts as text; of a condition only the branch that holds is expanded."""
        expanded: list[str] = []
        ends = blocks(parts)
        number = 0
        while number < len(parts):
            part = parts[number]
            end = ends.get(number)
            if isinstance(part, str):
                expanded.append(self.plain(part))
            else:
                if id(part) not in self._done:
                    body = parts[number + 1 : end] if end is not None else None
                    self._done[id(part)] = self._macro(part, body)
                expanded.append(self._done[id(part)])
            number = (number if end is None else end) + 1
        return "".join(expanded)

    def plain(self, text: str) -> str:
        """Returns text that is in no braces: old names of people in it are replaced."""
        return _ANGLES.sub(self._angle, text)

    def _macro(self, part: tuple[Part, ...], body: Sequence[Part] | None) -> str:
        """Returns what a macro gives; ``body`` is the inside of its block, None for one without."""
        call = call_of(part)
        if call is not None and call.name == "if":
            return self._condition(call, part, body)
        if call is not None and call.name == "else" and not call.arguments:
            return ""
        self._number += 1
        number = self._number
        if call is not None and body is not None:
            inside = self.expanded(body if call.keeps else dedented(body))
            value = self._evaluated(call, number, (inside,))
            if value is not None and len(value) <= self._left:
                return self._spent(value, "")
            return f"{{{{{self.expanded(part)}}}}}{inside}{{{{/{call.name}}}}}"
        value = self._evaluated(call, number) if call is not None else None
        if call is None:
            value = self._short(part)
        inner = self.expanded(part) if value is None or len(value) > self._left else ""
        return self._spent(value, f"{{{{{inner}}}}}")

    # --- conditions -----------------------------------------------------------------------------

    def _condition(self, call: MacroCall, part: tuple[Part, ...], body: Sequence[Part] | None) -> str:
        if len(call.arguments) + (body is not None) != 2:  # never closed: text, and what follows it too
            return f"{{{{{self.expanded(part)}}}}}"
        condition = call.arguments[0]
        inside = list(call.arguments[1] if body is None else body)
        branch = around_else(inside)[0 if self._holds(condition) else 1]
        return self.expanded(branch if call.keeps else dedented(branch))

    def _holds(self, parts: Sequence[Part]) -> bool:
        condition = self.expanded(parts)
        start = condition.lstrip()
        negated = start.startswith("!") and not start.startswith("!=")
        condition = start[1:].strip() if negated else condition
        match = _COMPARED.fullmatch(condition)
        if match is not None:
            left, right = self._operand(match["left"]), self._operand(match["right"])
            return compared(left, match["sign"], right) != negated
        written = all(isinstance(part, str) for part in parts)
        value = self._operand(condition) if written else condition
        return (value.lower() not in _FALSE) != negated

    def _operand(self, word: str) -> str:
        """Returns what a word of a condition means: a variable, a plain macro, or itself."""
        word = word.strip()
        if word[:1] in (".", "$"):
            return self._variables.get(word[1:], everywhere=word[0] == "$")
        plain = PLAIN.get(word.lower())
        return plain(self._values).strip() if plain is not None else word.strip("\"'")

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables as the text leaves them."""
        return self._variables.values

    # --- single macros --------------------------------------------------------------------------

    def _angle(self, match: re.Match[str]) -> str:
        return self._spent(angle(match[1].lower(), self._values), match[0])

    def _spent(self, value: str | None, written: str) -> str:
        """Returns the value as far as there is room for it, else the macro as it was written."""
        if value is None or len(value) > self._left:
            return written
        self._left -= len(value)
        return value

    def _evaluated(self, call: MacroCall, number: int, more: tuple[str, ...] = ()) -> str | None:
        """Returns the macro's value, None for one that is not known. ``more``: the inside of its block."""
        name = call.name
        least, most = ARGUMENTS.get(name, (0, 1_000_000))
        if not least <= len(call.arguments) + len(more) <= most:
            return None
        if name in ("//", "comment", "hidden_key", "noop", "banned"):
            return ""
        if name == "trim":
            return more[0] if more else _TRIM
        arguments = (*(self.expanded(argument) for argument in call.arguments), *more)
        if not arguments and name in PLAIN:
            return PLAIN[name](self._values)
        if "var" in name:
            return self._variable(name, arguments)
        if name in ("random", "pick"):
            return self._chosen(name, number, arguments)
        return self._computed(name, number, arguments)

    def _computed(self, name: str, number: int, arguments: Sequence[str]) -> str | None:
        """Returns the value of a macro that makes a text of its argument, if it has one."""
        argument = "::".join(arguments)
        match name:
            case "original" if not arguments:
                original = self._original
                self._original = None if original is None else ""
                return original
            case "roll" if arguments:
                return self._rolled(argument, number)
            case "newline" | "space" if not arguments or argument.isdecimal():
                return ("\n" if name == "newline" else " ") * _times(argument)
            case "outlet":
                return self._values.outlets.get(argument, "")
            case "charfirstmessage" | "greeting" if argument.isdecimal():
                return "".join(self._values.greetings[int(argument[:4]) :][:1])
            case "mesexamples":
                return example_blocks(self._values.examples)
        if name in _CHANGES:
            return _CHANGES[name](argument)
        return timed(name, argument, self._values)

    # --- variables ------------------------------------------------------------------------------

    def _variable(self, name: str, arguments: Sequence[str]) -> str | None:
        key = arguments[0] if arguments else ""
        value = arguments[1] if len(arguments) > 1 else ""
        everywhere = "global" in name
        match name.replace("global", ""), len(arguments):
            case "getvar", 1:
                return self._variables.get(key, everywhere=everywhere)
            case "hasvar" | "varexists", 1:
                return "true" if self._variables.has(key, everywhere=everywhere) else "false"
            case "setvar", 2:
                self._variables.set(key, value, everywhere=everywhere)
            case "addvar", 2:
                self._variables.add(key, value, everywhere=everywhere)
            case "incvar", 1:
                return self._variables.add(key, "1", everywhere=everywhere)
            case "decvar", 1:
                return self._variables.add(key, "-1", everywhere=everywhere)
            case "deletevar" | "flushvar", 1:
                self._variables.remove(key, everywhere=everywhere)
            case _:
                return None
        return ""

    def _short(self, part: tuple[Part, ...]) -> str | None:
        """Returns what a variable in short form gives, like ``.coin`` or ``$realm = north``.

        What is behind the sign is expanded only where it is needed.
        """
        form = _SHORT.fullmatch(part[0]) if part and isinstance(part[0], str) else None
        if form is None:
            return None
        name, sign, everywhere = form["name"], form["sign"] or "", form["kind"] == GLOBAL
        there = self._variables.has(name, everywhere=everywhere)
        old = self._variables.get(name, everywhere=everywhere)
        if sign in ("", "++", "--"):
            if form["rest"].strip() or len(part) > 1:
                return None
            step = {"++": "1", "--": "-1"}.get(sign)
            return old if step is None else self._variables.add(name, step, everywhere=everywhere)
        if (there and sign in ("??", "??=")) or (old.lower() not in _FALSE and sign in ("||", "||=")):
            return old
        rest = self.expanded((form["rest"], *part[1:])).strip()
        match sign:
            case "+=":
                self._variables.add(name, rest, everywhere=everywhere)
            case "-=":
                number = number_of(rest or "0")
                if number is not None:
                    self._variables.add(name, written(-number), everywhere=everywhere)
            case "=":
                self._variables.set(name, rest, everywhere=everywhere)
            case "??" | "||":
                return rest
            case "??=" | "||=":
                self._variables.set(name, rest, everywhere=everywhere)
                return rest
            case "==" | "!=":
                return "true" if (old == rest) == (sign == "==") else "false"
            case _:
                return "true" if compared(old or "0", sign, rest or "0") else "false"
        return ""

    # --- chance ---------------------------------------------------------------------------------

    def _chosen(self, name: str, number: int, arguments: Sequence[str]) -> str:
        """Returns one of the arguments; ``pick`` has the chance of the story, so that it is always the same."""
        if not arguments:
            return ""
        seed = self._values.seed if name == "random" else self._values.story_seed
        options = list(arguments) if len(arguments) > 1 else _options(arguments[0])
        chance = Seeded(f"{seed}:{number}:{'::'.join(arguments)}")
        return options[chance.randrange(len(options))]

    def _rolled(self, notation: str, number: int) -> str:
        notation = f"1d{notation}" if notation.isdecimal() else notation
        try:
            expression = dice.parse(notation)
        except CommandError:
            return ""
        return str(dice.roll(expression, Seeded(f"{self._values.seed}:{number}:{notation}")).total)


def _options(body: str) -> list[str]:
    """Returns what to choose from: parted by double colons, else by commas, of which ``\\,`` is none."""
    if "::" in body:
        return [option.strip() for option in body.split("::")]
    return [option.replace("\\,", ",").strip() for option in re.split(r"(?<!\\),", body)]


def _times(argument: str) -> int:
    return min(int(argument[:4]), MACRO_REPEATS) if argument else 1


def _trimmed(text: str) -> str:
    """Returns the text with the line breaks around every trim mark taken away."""
    first, *rest = text.split(_TRIM)
    for part in rest:
        first = first.rstrip("\r\n") + part.lstrip("\r\n")
    return first
