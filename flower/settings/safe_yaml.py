"""YAML from strangers: JSON's values in YAML's clothes, with a line number for every key.

Owns the reading of every YAML text (config, worlds, characters, lore). It walks the parser's events
and builds the value itself, because PyYAML's own loaders crash the process on deeply nested input,
hang on aliases and merge keys, keep the last of two equal keys, and read ``no`` as False and ``12:30``
as 750. Only null, true, false, JSON's numbers and text exist here; aliases and tags are refused; size,
depth and the number of nodes are limited. It never opens a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import yaml

from flower import limits
from flower.errors import YamlError

YAML_DEPTH = 32
YAML_NODES = 20_000

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Path: TypeAlias = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is absent from some builds
# YAML 1.2 "core schema" without octal, hexadecimal, inf, nan: what JSON says, in YAML's spellings.
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ud800-\udfff]")


class Document(NamedTuple):
    """A YAML text as a value, and the line (from 1) on which each part of it begins.

    ``lines`` is keyed by path: ``()`` is the whole, ``("engine", "port")`` a key's value,
    ``("rules", 0)`` the first item of a list. For a key it is the line of the key.
    """

    value: Value
    lines: dict[Path, int]


def load(data: bytes, *, most: int = limits.YAML_BYTES) -> Document:
    """Returns the one document in ``data`` (UTF-8, ``most`` bytes); an empty text is None.

    What people write who do not know YAML is understood where it can mean nothing else: a value that begins
    with ``{{macro}}``, exotic spaces, escaped halves of a character. Raises ``YamlError``, and nothing else,
    for anything that is broken, refused or over a limit.
    """
    if len(data) > most:
        raise YamlError(1, f"the text has more than {most} bytes, which is the most")
    text = _decode(data)
    try:
        return _parse(text)
    except YamlError:
        likely = _as_meant(text)
        if likely == text:
            raise
        try:
            return _parse(likely)
        except YamlError:
            pass  # the first fault is the one to tell
        raise


def _parse(text: str) -> Document:
    builder = _Builder()
    try:
        for event in _events(text):
            builder.feed(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark and mark.index >= len(text.rstrip()) and error.context_mark:
            mark = error.context_mark  # only the end was found wrong: where what is open begins
        line = min(mark.line, text.rstrip().count("\n")) + 1 if mark else 1
        raise YamlError(line, f"broken YAML: {error.problem}; check indentation and quotes") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise YamlError(
            line, f"a character is not allowed here (U+{_code(error.character):04X})"
        ) from error
    except yaml.YAMLError as error:
        raise YamlError(1, f"broken YAML: {error}") from error
    return Document(builder.root, builder.lines)


_MACRO_VALUE = re.compile(r"(?m)^([ ]*(?:- )?(?:[\w-]{1,80}:[ ]+)?)(\{\{[^\n]*)$")
_ODD_INDENT = re.compile("(?m)^[ \u00a0\u2000-\u200a\u202f\u3000]+")
_ODD_GAP = re.compile("(?m)^([ ]*(?:- )?[\\w-]{1,80}:)[\u00a0\u2000-\u200a\u202f\u3000]")
_HALVES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def _as_meant(text: str) -> str:
    """Returns a text that is no YAML as its writer may have meant it, with the same lines."""
    text = text.replace("\u2028", " ").replace("\u2029", " ").replace("\x85", " ")
    text = _ODD_INDENT.sub(lambda match: " " * len(match[0]), text)
    text = _ODD_GAP.sub(r"\1 ", text)
    text = _HALVES.sub(_character, text)
    return _MACRO_VALUE.sub(_quoted, text)


def _quoted(match: re.Match[str]) -> str:
    value = match[2].rstrip().replace("'", "''")
    return f"{match[1]}'{value}'"


def _character(halves: re.Match[str]) -> str:
    code = 0x10000 + ((int(halves[1], 16) & 0x3FF) << 10) + (int(halves[2], 16) & 0x3FF)
    return chr(code)


def _decode(data: bytes) -> str:
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise YamlError(line, "not UTF-8 text; save the file as UTF-8") from error


def _code(character: object) -> int:
    """The readers disagree: the C one reports a number, the Python one a character."""
    return ord(character) if isinstance(character, str) else int(str(character))


def _events(text: str) -> Iterator[Any]:
    events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
    return events


class _Open:
    """A list or mapping that is still being filled."""

    __slots__ = ("key", "path", "value")

    def __init__(self, value: list[Value] | dict[str, Value], path: Path) -> None:
        self.value = value
        self.path = path
        self.key: str | None = None  # of the mapping entry whose value comes next


class _Builder:
    """Turns parser events into a value; raises ``YamlError`` at the first thing refused."""

    def __init__(self) -> None:
        self.root: Value = None
        self.lines: dict[Path, int] = {}
        self._open: list[_Open] = []
        self._nodes = 0
        self._documents = 0

    def feed(self, event: Any) -> None:
        line = event.start_mark.line + 1
        match event:
            case yaml.ScalarEvent():
                self._count(event, line)
                self._scalar(event, line)
            case yaml.MappingStartEvent():
                self._count(event, line)
                self._enter({}, line)
            case yaml.SequenceStartEvent():
                self._count(event, line)
                self._enter([], line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()
            case yaml.AliasEvent():
                raise YamlError(
                    line, f"aliases (*{event.anchor}) are not supported; write the value out"
                )
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise YamlError(line, "a second document begins here; one file holds one")

    def _count(self, event: Any, line: int) -> None:
        self._nodes += 1
        if self._nodes > YAML_NODES:
            raise YamlError(line, f"more than {YAML_NODES} values in one file")
        if event.tag is not None:
            raise YamlError(line, f"tags ({event.tag[:40]}) are not supported; remove it")

    def _enter(self, value: list[Value] | dict[str, Value], line: int) -> None:
        if len(self._open) >= YAML_DEPTH:
            raise YamlError(line, f"nested deeper than {YAML_DEPTH} levels")
        if self._expects_key():
            raise YamlError(line, "a key must be plain text, not a list or mapping")
        path = self._put(value, line)
        self._open.append(_Open(value, path))

    def _expects_key(self) -> bool:
        return (
            bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None
        )

    def _scalar(self, event: Any, line: int) -> None:
        match = _FORBIDDEN.search(event.value)
        if match:
            raise YamlError(line, f"control characters are not allowed (U+{ord(match.group()):04X})")
        if self._expects_key():
            self._key(event.value, line)
        else:
            plain = event.implicit[0]
            self._put(_plain(event.value, line) if plain else event.value, line)

    def _key(self, key: str, line: int) -> None:
        top = self._open[-1]
        path = (*top.path, key)
        if path in self.lines:
            raise YamlError(line, f"{key!r} is here twice, first on line {self.lines[path]}")
        self.lines[path] = line
        top.key = key

    def _put(self, value: Value, line: int) -> Path:
        """Places a value where it belongs; returns its path."""
        if not self._open:
            self.root = value
            self.lines[()] = line
            return ()
        top = self._open[-1]
        if isinstance(top.value, list):
            path = (*top.path, len(top.value))
            self.lines[path] = line
            top.value.append(value)
        else:
            assert top.key is not None  # _expects_key() was False
            path = (*top.path, top.key)
            top.value[top.key] = value
            top.key = None
        return path


def _plain(text: str, line: int) -> Value:
    """Returns what an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        digits = len(text.removeprefix("-"))
        if digits > limits.YAML_DIGITS:
            raise YamlError(line, f"a number of {digits} digits; put it in quotes if it is text")
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise YamlError(line, f"the number {text} is out of range")
        return number
    return text


def is_text(scalar: str) -> bool:
    """Whether ``scalar`` without quotes is read as that text, and not as a number, a truth value or a mistake."""
    try:
        return _plain(scalar, 0) == scalar
    except YamlError:
        return False
