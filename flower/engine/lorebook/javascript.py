"""JavaScript's regular expressions, said in the words of the ``regex`` package. Pure.

Keys like ``/fox(es)?/i`` were tried by their authors in a browser, so they must mean here what they mean
there: ``\\w``, ``\\d`` and ``\\b`` know ASCII only, ``$`` is the very end, braces that are no count are
plain signs. What JavaScript refuses is refused here too. Syntax: ECMA-262, the pattern grammar with its
additions for the web (annex B), or without them under the ``u`` flag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from flower import limits

LORE_PATTERN_DEPTH = 40  # brackets in brackets

__all__ = ["FLAGS", "PatternError", "Translated", "translate"]

FLAGS = "gimsuy"
_LINE_ENDS = "\\n\\r\\u2028\\u2029"
_WORD = "A-Za-z0-9_"
_SPACE = "\\t\\n\\v\\f\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff"
_INSIDE = {  # of brackets
    "d": "0-9",
    "D": "\\x00-/:-\\U0010ffff",
    "w": _WORD,
    "W": "\\x00-/:-@\\[-\\^`{-\\U0010ffff",
    "s": _SPACE,
    "S": (
        "\\x00-\\x08\\x0e-\\x1f!-\\u009f\\u00a1-\\u167f\\u1681-\\u1fff\\u200b-\\u2027"
        "\\u202a-\\u202e\\u2030-\\u205e\\u2060-\\u2fff\\u3001-\\ufefe\\uff00-\\U0010ffff"
    ),
}
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_SIGNS = "^$\\.*+?()[]{}|/"
_COUNT = re.compile(r"\{(\d{1,5})(?:(,)(\d{0,5}))?\}")
_NAME = re.compile(r"<([A-Za-z_$][\w$]{0,63})>")
_PROPERTY = re.compile(r"\{([A-Za-z_]{1,40}(?:=[A-Za-z_]{1,40})?)\}")
_HEX = {"x": re.compile(r"[0-9A-Fa-f]{2}"), "u": re.compile(r"[0-9A-Fa-f]{4}")}
_POINT = re.compile(r"\{([0-9A-Fa-f]{1,6})\}")
_MODIFIERS = re.compile(r"([ims]{0,3})(?:-([ims]{1,3}))?:")
_BETWEEN = "\n\x01"  # stand between texts that are searched one by one
_NEED = 2  # letters: a shorter text is in nearly all
_NUMBER = re.compile(r"[1-9]\d{0,3}")
_BORDER = f"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))"
_NO_BORDER = f"(?:(?<=[{_WORD}])(?=[{_WORD}])|(?<![{_WORD}])(?![{_WORD}]))"


class PatternError(ValueError):
    """A pattern that JavaScript would refuse, or that is too long or too deep for us."""


class Translated(Struct, frozen=True):
    """A pattern for ``regex.compile``. In every text that it matches is one of ``needs``, in this case
    or, where ``folded``, in any; empty if nothing is known. ``names``: what groups are called in it, by
    the names they have in the source."""

    pattern: str
    needs: frozenset[str]
    folded: bool
    names: Mapping[str, str] = {}


def translate(source: str, flags: str) -> Translated:
    """Returns what matches as ``new RegExp(source, flags)`` does.

    The flags are in it, but for ``g`` and ``y``, which are about where a search begins. Raises
    PatternError; nothing else.
    """
    if len(set(flags)) != len(flags) or not set(flags) <= set(FLAGS):
        raise PatternError("flags that JavaScript does not know")
    if len(source) > limits.LORE_KEY_CHARS:
        raise PatternError("too long")
    return _Translation(source, "u" in flags).whole(frozenset(flags) & {"i", "m", "s"})


class _Translation:
    """One pass over one pattern; ``_at`` is where it is."""

    def __init__(self, source: str, strict: bool) -> None:
        self._source = source
        self._strict = strict
        self._at = 0
        self._depth = 0
        self._folded = False
        self._groups, self._names = _groups(source)

    def whole(self, flags: frozenset[str]) -> Translated:
        pattern, needs = self._choices(flags)
        if self._at < len(self._source):
            raise PatternError("a bracket too many")
        folded = self._folded or "i" in flags
        pattern = f"(?i:{pattern})" if "i" in flags else pattern
        if any(len(need) < _NEED or not (need.isascii() or not folded) for need in needs):
            needs = frozenset()
        needs = frozenset(n.lower() if folded else n for n in needs)
        return Translated(pattern, needs, folded, self._names)

    def _ahead(self, text: str) -> bool:
        if self._source.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._source, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def _choices(self, flags: frozenset[str]) -> tuple[str, frozenset[str]]:
        """Returns the translation up to the end or the closing bracket, which is not consumed, and texts
        of which one is in every match."""
        if self._depth > LORE_PATTERN_DEPTH:
            raise PatternError("too deep")
        parts: list[str] = []
        choices = [_Needs()]
        while self._at < len(self._source) and self._source[self._at] != ")":
            if self._ahead("|"):
                parts.append("|")
                choices.append(_Needs())
            else:
                parts.append(self._term(flags, choices[-1]))
        best = [choice.best() for choice in choices]
        return "".join(parts), frozenset().union(*best) if all(best) else frozenset()

    def _term(self, flags: frozenset[str], needs: _Needs) -> str:
        start = self._at
        sign = self._source[start]
        if sign in "*+?":
            raise PatternError("nothing to repeat")
        if sign == "{" and (self._strict or _COUNT.match(self._source, start)):
            raise PatternError("nothing to repeat")
        self._at += 1
        literal = ""
        match sign:
            case "^":
                needs.end()
                return f"(?<![^{_LINE_ENDS}])" if "m" in flags else "\\A"
            case "$":
                needs.end()
                return f"(?![^{_LINE_ENDS}])" if "m" in flags else "\\Z"
            case "(":
                return self._group(flags, needs)
            case "\\" if self._source.startswith(("b", "B"), self._at):
                needs.end()
                self._at += 1
                return _BORDER if self._source[self._at - 1] == "b" else _NO_BORDER
            case "\\":
                atom, literal = self._escape()
            case ".":
                atom = "(?s:.)" if "s" in flags else f"[^{_LINE_ENDS}]"
            case "[":
                atom = self._class()
            case "]" | "}" if self._strict:
                raise PatternError("a bracket too many")
            case _:
                atom, literal = _literal(sign), sign
        count, least = self._count()
        needs.meet(literal, least, bool(count))
        return atom + count

    def _count(self) -> tuple[str, int]:
        """Returns how often what is before is wanted, empty for once, and how often at least."""
        match = self._match(_COUNT)
        if match is not None:
            if match[3] and int(match[3]) < int(match[1]):
                raise PatternError("a count that ends before it begins")
            count, least = match[0], int(match[1])
        elif self._at < len(self._source) and self._source[self._at] in "*+?":
            count = self._source[self._at]
            least = 1 if count == "+" else 0
            self._at += 1
        else:
            return "", 1
        lazy = "?" if self._ahead("?") else ""
        return count + lazy, least

    def _group(self, flags: frozenset[str], needs: _Needs) -> str:
        """Returns a group whose opening bracket is consumed, with its count."""
        countable = counts = True
        if not self._ahead("?"):
            opening = "("
        elif self._ahead(":"):
            opening = "(?:"
        elif self._ahead("=") or self._ahead("!"):
            opening = f"(?{self._source[self._at - 1]}"
            countable, counts = not self._strict, False
        elif self._ahead("<=") or self._ahead("<!"):
            opening = f"(?<{self._source[self._at - 1]}"
            countable = counts = False
        elif name := self._match(_NAME):
            opening = f"(?P<{self._names[name[1]]}>"
        elif changed := self._match(_MODIFIERS):
            on, off = changed[1], changed[2] or ""
            if len(set(on + off)) != len(on + off):
                raise PatternError("a flag twice")
            opening = f"(?{'i' if 'i' in on else ''}{'-i' if 'i' in off else ''}:"
            flags = (flags | set(on)) - set(off)
            self._folded = self._folded or "i" in on
        else:
            raise PatternError("an unknown kind of group")
        self._depth += 1
        inside, inner = self._choices(flags)
        self._depth -= 1
        if not self._ahead(")"):
            raise PatternError("a bracket is never closed")
        group = f"{opening}{inside})"
        count, least = self._count() if countable else ("", 1)
        needs.end()
        if counts and least > 0:
            needs.add(inner)
        return f"(?:{group}){count}" if countable else group

    def _escape(self) -> tuple[str, str]:
        """Returns an escape outside of brackets, and the sign it is if it is one; its backslash is
        consumed."""
        if self._at >= len(self._source):
            raise PatternError("a backslash at the end")
        number = _NUMBER.match(self._source, self._at)
        if number is not None and (self._strict or int(number[0]) <= self._groups):
            if int(number[0]) > self._groups:
                raise PatternError("a group that is not there")
            self._at = number.end()
            return f"(?:\\{number[0]})", ""
        if self._names and self._source[self._at] == "k":
            self._at += 1
            name = self._match(_NAME)
            if name is None or name[1] not in self._names:
                raise PatternError("a group that is not there")
            return f"(?P={self._names[name[1]]})", ""
        kind = self._source[self._at]
        if kind in _INSIDE:
            self._at += 1
            return f"[{_INSIDE[kind]}]", ""
        if kind in "pP" and self._strict:
            return self._property(), ""
        sign = self._character()
        return _literal(sign), sign

    def _property(self) -> str:
        kind = self._source[self._at]
        self._at += 1
        match = self._match(_PROPERTY)
        if match is None:
            raise PatternError("a property without a name")
        return f"\\{kind}{{{match[1]}}}"

    def _character(self) -> str:
        """Returns the sign that an escape means."""
        kind = self._source[self._at]
        self._at += 1
        if kind in _CONTROLS:
            return _CONTROLS[kind]
        if kind == "0" and not self._source[self._at : self._at + 1].isdigit():
            return "\0"
        if kind == "c":
            letter = self._source[self._at : self._at + 1]
            if letter.isascii() and letter.isalpha():
                self._at += 1
                return chr(ord(letter) % 32)
            if self._strict:
                raise PatternError("an unknown escape")
            self._at -= 1
            return "\\"
        if kind == "u" and self._strict and (point := self._match(_POINT)):
            return _signs(int(point[1], 16))
        if kind in _HEX and (digits := self._match(_HEX[kind])):
            return _signs(int(digits[0], 16))
        if self._strict and kind not in _SIGNS and kind != "-":
            raise PatternError("an unknown escape")
        return kind

    def _class(self) -> str:
        """Returns a set whose opening bracket is consumed."""
        negated = self._ahead("^")
        items: list[str] = []
        while not self._ahead("]"):
            items.append(self._range())
        if not items:
            return "(?s:.)" if negated else "(?!)"
        return f"[{'^' if negated else ''}{''.join(items)}]"

    def _range(self) -> str:
        first, single = self._item()
        if self._source[self._at : self._at + 1] != "-" or self._source.startswith("-]", self._at):
            return first
        self._at += 1
        last, also_single = self._item()
        if single is None or also_single is None:
            if self._strict:
                raise PatternError("a range of sets")
            return f"{first}\\-{last}"
        if also_single < single:
            raise PatternError("a range that ends before it begins")
        return f"{first}-{last}"

    def _item(self) -> tuple[str, str | None]:
        """Returns a part of a set, and the sign it is if it is one."""
        if self._at >= len(self._source):
            raise PatternError("a set is never closed")
        sign = self._source[self._at]
        self._at += 1
        if sign != "\\":
            return _literal(sign), sign
        kind = self._source[self._at : self._at + 1]
        if not kind:
            raise PatternError("a backslash at the end")
        if kind in _INSIDE:
            self._at += 1
            return _INSIDE[kind], None
        if kind in "pP" and self._strict:
            return self._property(), None
        if kind == "b":
            self._at += 1
            return "\\x08", "\b"
        sign = self._character()
        return _literal(sign), sign


class _Needs:
    """Texts that are in every match of one alternative, gathered from left to right."""

    def __init__(self) -> None:
        self._run = ""
        self._needs: list[frozenset[str]] = []

    def meet(self, sign: str, least: int, counted: bool) -> None:
        """Takes the next sign, empty for anything but a plain one, and how often it is there at least."""
        if not sign or least == 0 or sign in _BETWEEN:
            self.end()
            return
        self._run += sign
        if counted:
            self.end()

    def end(self) -> None:
        """Ends a row of plain signs."""
        if self._run:
            self._needs.append(frozenset({self._run}))
        self._run = ""

    def add(self, texts: frozenset[str]) -> None:
        """Takes texts of which one is needed."""
        if texts:
            self._needs.append(texts)

    def best(self) -> frozenset[str]:
        """Returns the texts that say most: the longest, of several the shortest of them counts."""
        self.end()
        return max(self._needs, key=lambda texts: min(map(len, texts)), default=frozenset())


def _literal(sign: str) -> str:
    """Returns a sign as it is written where it means itself, in and outside of brackets."""
    if sign.isalnum() or not sign.isascii():
        return sign
    return f"\\x{ord(sign):02x}"


def _signs(point: int) -> str:
    if point > 0x10FFFF:
        raise PatternError("a sign that is not there")
    return chr(point)


def _groups(source: str) -> tuple[int, dict[str, str]]:
    """Returns how many groups a pattern has, and by their names what we call them."""
    count = 0
    names: dict[str, str] = {}
    at = 0
    in_class = False
    while at < len(source):
        sign = source[at]
        if sign == "\\":
            at += 1
        elif in_class:
            in_class = sign != "]"
        elif sign == "[":
            in_class = True
        elif sign == "(":
            name = _NAME.match(source, at + 2) if source.startswith("(?<", at) else None
            if name is not None:
                if name[1] in names:
                    raise PatternError("two groups of one name")
                names[name[1]] = f"n{count}"
            if name is not None or not source.startswith("(?", at):
                count += 1
        at += 1
    return count, names
