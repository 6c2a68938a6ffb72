"""Readers: from a value out of a YAML text to a checked value.

A reader is a function of a value and its path. It returns what the value means or raises
``WrongValueError`` with a sentence that names the path and what is allowed, never the value, because
values may be keys to someone's account. ``config.py`` and ``engine/assets/kinds.py`` are tables of readers.
Pure; knows nothing of files or of what the values are for.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from flower import limits

MISTAKES_LISTED = 20  # of one file, in one list

Path: TypeAlias = tuple[str | int, ...]
T = TypeVar("T")
Reader: TypeAlias = Callable[[object, Path], T]

_ID = re.compile("[a-z0-9][a-z0-9_-]*")


class WrongValueError(Exception):
    """What is wrong with the value at ``path``; the text is a clause without file and line.

    ``others`` are further mistakes of the same text: whoever mends a file wants to know them all at once.
    """

    def __init__(self, path: Path, message: str, others: Sequence[WrongValueError] = ()) -> None:
        super().__init__(message)
        self.path = path
        self.others = tuple(others)

    @property
    def every(self) -> tuple[WrongValueError, ...]:
        """This mistake and all others."""
        return (self, *self.others)


def _all_of(mistakes: Sequence[WrongValueError]) -> WrongValueError:
    """Returns one error that knows of all ``mistakes``, at most ``MISTAKES_LISTED``."""
    every = [one for mistake in mistakes for one in mistake.every][:MISTAKES_LISTED]
    return WrongValueError(every[0].path, str(every[0]), every[1:])


class Secret(str):
    """Text that a repr, and so a log line or a traceback, must not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')" if self else "Secret('')"


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Returns the line on which ``path``, or else the nearest part around it, begins."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def name_of(path: Path) -> str:
    """Returns a path as people write it, for example ``providers[2].base_url`` (counted from 1).

    Keys come from the file: one that is not plain to read is quoted, so that a sentence stays one line.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            key = part if part.isprintable() else repr(part)
            text += ("." if text else "") + key[: limits.KEY_SHOWN_CHARS]
    return text or "the file"


def must_be(path: Path, what: str, value: object) -> WrongValueError:
    """Returns the error for a value that is not ``what``; says its kind, not the value."""
    kind = _kind(value)
    return WrongValueError(path, f"{name_of(path)} must be {what}" + (f", not {kind}" if kind else ""))


def _kind(value: object) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return "true" if value else "false"
        case list():
            return "a list"
        case dict():
            return "a section"
        case _:
            return ""  # text that does not fit, a number out of range: what is allowed says it all


def text(value: object, path: Path) -> str:
    """Text as it is; the line break a YAML block ends with is not part of it."""
    if not isinstance(value, str):
        what = "text (put it in quotes)" if isinstance(value, int | float) else "text"
        raise must_be(path, what, value)
    return value.strip()


def short_text(value: object, path: Path) -> str:
    """One line that fits a list on a screen."""
    result = text(value, path)
    if not result or "\n" in result or len(result) > limits.NAME_CHARS:
        raise must_be(path, f"one line of 1 to {limits.NAME_CHARS} characters", value)
    return result


def identifier(value: object, path: Path) -> str:
    """What commands and files call a thing."""
    if not isinstance(value, str) or not _ID.fullmatch(value) or len(value) > limits.ID_CHARS:
        what = f"1 to {limits.ID_CHARS} characters out of a-z 0-9 - _, beginning with a letter or digit"
        raise must_be(path, what, value)
    return value


def proxy(value: object, path: Path) -> str:
    """An address, a network, or ``unix`` for whoever comes through the engine's socket."""
    peer = short_text(value, path)
    if peer != "unix":
        try:
            ipaddress.ip_network(peer.strip(), strict=False)
        except ValueError:
            raise must_be(
                path, "an address like 10.0.0.5, a network like 10.0.0.0/8, or unix", value
            ) from None
    return peer


def secret(value: object, path: Path) -> Secret:
    """A key or token; it travels in HTTP headers, so printable ASCII without spaces."""
    result = text(value, path)
    if not (result.isascii() and result.isprintable()) or " " in result:
        raise must_be(path, "a key without spaces or special characters", value)
    return Secret(result)


def header(value: object, path: Path) -> Secret:
    """The value of an HTTP header; hidden, as it may carry a key."""
    result = text(value, path)
    if not (result.isascii() and result.isprintable()):
        raise must_be(path, "plain ASCII text on one line", value)
    return Secret(result)


def url(value: object, path: Path) -> str:
    """The address of an HTTP server: ``host`` or ``host:port``, with or without scheme and path."""
    result = text(value, path)
    scheme, mark, rest = result.partition("://")
    host = (rest if mark else result).partition("/")[0]
    is_web = not mark or scheme.lower() in ("http", "https")
    if not (is_web and host and result.isascii() and result.isprintable()) or " " in result:
        raise must_be(path, "an address like http://127.0.0.1:8080/v1", value)
    return result


def database(value: object, path: Path) -> Secret:
    """The URL of a PostgreSQL database; hidden, as it may carry a password."""
    result = text(value, path)
    if (
        not result.startswith(("postgresql://", "postgres://"))
        or not result.isprintable()
        or " " in result
    ):
        raise must_be(path, "a URL like postgresql://flower@localhost/flower", value)
    return Secret(result)


def pattern(value: object, path: Path) -> str:
    """A regular expression."""
    result = text(value, path)
    try:
        re.compile(result)
    except re.error as error:
        raise must_be(path, f"a regular expression ({error})", value) from None
    return result


def flag(value: object, path: Path) -> bool:
    if not isinstance(value, bool):
        raise must_be(path, "true or false", value)
    return value


def whole(low: int, high: int) -> Reader[int]:
    def read(value: object, path: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise must_be(path, f"a whole number from {low} to {high}", value)
        return value

    return read


def number(low: float, high: float) -> Reader[float]:
    def read(value: object, path: Path) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise must_be(path, f"a number from {low:.10g} to {high:.10g}", value)
        return float(value)

    return read


def one_of(allowed: Sequence[str]) -> Reader[str]:
    def read(value: object, path: Path) -> str:
        if value not in allowed:
            raise must_be(path, "one of " + ", ".join(allowed), value)
        return str(value)

    return read


def list_of(item: Reader[T]) -> Reader[tuple[T, ...]]:
    def read(value: object, path: Path) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise must_be(path, "a list", value)
        return tuple(_each(item, (((*path, index), part) for index, part in enumerate(value))))

    return read


def _each(item: Reader[T], parts: Iterable[tuple[Path, object]]) -> list[T]:
    """Returns the parts as read; raises one error for all that are wrong."""
    result: list[T] = []
    mistakes: list[WrongValueError] = []
    for path, part in parts:
        try:
            result.append(item(part, path))
        except WrongValueError as wrong:
            mistakes.append(wrong)
            if len(mistakes) == MISTAKES_LISTED:
                break
    if mistakes:
        raise _all_of(mistakes)
    return result


def map_of(item: Reader[T]) -> Reader[dict[str, T]]:
    def read(value: object, path: Path) -> dict[str, T]:
        if not isinstance(value, dict):
            raise must_be(path, "a section of keys and values", value)
        read_ = _each(item, (((*path, key), part) for key, part in value.items()))
        return dict(zip(value, read_, strict=True))

    return read


def anything(value: object, path: Path) -> Any:
    """What JSON can say, handed on as it is."""
    return value


def section(
    make: Callable[..., T],
    fields: Mapping[str, Reader[Any]],
    *,
    required: Iterable[str] = (),
    strict: bool = True,
) -> Reader[T]:
    """A mapping with known keys, read into ``make(**values)``.

    A key without a value counts as absent. With ``strict`` an unknown key is an error that names the
    closest known one; without, it is ignored. All mistakes are in one error.
    """
    needed = tuple(required)

    def read(value: object, path: Path) -> T:
        if value is None and not needed:
            return make()
        if not isinstance(value, dict):
            raise must_be(path, "a section with the keys " + ", ".join(fields), value)
        mistakes = [_unknown(key, fields, path) for key in value if strict and key not in fields]
        mistakes += [
            WrongValueError(path, f"{name_of(path)} has no {key!r}")
            for key in needed
            if value.get(key) is None
        ]
        values: dict[str, Any] = {}
        for key, part in value.items():
            if key in fields and part is not None:
                try:
                    values[key] = fields[key](part, (*path, key))
                except WrongValueError as wrong:
                    mistakes.append(wrong)
        if mistakes:
            raise _all_of(mistakes)
        return make(**values)

    return read


def _unknown(key: str, fields: Mapping[str, Any], path: Path) -> WrongValueError:
    close = difflib.get_close_matches(key, fields, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(fields)}"
    where = f" in {name_of(path)}" if path else ""
    return WrongValueError(
        (*path, key), f"unknown key {key[: limits.KEY_SHOWN_CHARS]!r}{where}; {hint}"
    )
