"""JSON from strangers, and JSON for other programs.

Depth and the number of values are counted before anything is built, as the parser itself would take all
memory for a file of brackets. Lone surrogates, which no database or socket carries, become U+FFFD; a NaN,
which is no JSON but is written by some programs, is null.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from flower.errors import ImportFileError

IMPORT_JSON_DEPTH = 64
IMPORT_JSON_VALUES = 1_000_000  # objects, lists and their parts: about 100 MB of values
IMPORT_JSON_DIGITS = 40  # of a whole number; longer ones are no numbers of any program

# A whole string, or one structural character. Possessive: no way back into a string that never ends.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[{\]},]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_UNMARKED: dict[tuple[bool, ...], str] = {
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
}  # texts that begin with ASCII, as JSON does
_BLANK = " \t\r\n"


def decode(data: bytes) -> str:
    """Returns the text in ``data``: UTF-8, or UTF-16 or UTF-32 with or without a mark.

    Zero bytes behind it, which some disks and programs leave, are none of it. Raises ``ImportFileError``.
    """
    encoding = _encoding(data)
    try:
        return data.decode(encoding).rstrip("\0")
    except UnicodeDecodeError as error:
        raise ImportFileError("the text is not UTF-8; save the file as UTF-8 and try again") from error


def _encoding(data: bytes) -> str:
    """Returns how a text is encoded, by its mark, else by where the zero bytes of its first sign are."""
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    zeros = tuple(byte == 0 for byte in data[:4])
    return _UNMARKED.get(zeros, "utf-8-sig")


def parse(text: str) -> Any:
    """Returns the one value in a JSON text. Raises ``ImportFileError``."""
    value, rest = first_value(text)
    if text[rest:].strip(_BLANK):
        raise ImportFileError(f"broken JSON: more text follows at {_place(text, rest)}")
    return value


def first_value(text: str) -> tuple[Any, int]:
    """Returns the first value in a text and the index behind it. Raises ``ImportFileError``."""
    start = len(text) - len(text.lstrip(_BLANK))
    _check_shape(text, start)
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise ImportFileError(f"broken JSON: {error.msg} at {_place(text, error.pos)}") from error
    except (RecursionError, ValueError) as error:
        raise ImportFileError("broken JSON: nested too deep or with an endless number") from error
    # The decoder joins pairs of escapes; what is left over has no meaning.
    if _SURROGATE_ESCAPE.search(text, start, end) or not text.isascii():
        value = _without_surrogates(value)
    return value, end


def _check_shape(text: str, start: int) -> None:
    """Refuses what is too deep or too much, up to the end of the first value."""
    depth = count = 0
    for match in _TOKEN.finditer(text, start):
        sign = text[match.start()]
        if sign == ",":
            count += 1
        elif sign in "[{":
            depth += 1
            count += 1
        elif sign in "]}":
            depth -= 1
            if depth <= 0:
                return
        if depth > IMPORT_JSON_DEPTH:
            raise ImportFileError(f"the JSON is nested deeper than {IMPORT_JSON_DEPTH} levels")
        if count > IMPORT_JSON_VALUES:
            raise ImportFileError(f"the JSON has more than {IMPORT_JSON_VALUES:,} values")


def _whole(text: str) -> int:
    if len(text) > IMPORT_JSON_DIGITS:
        raise ValueError("endless number")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("number out of range")
    return number


_DECODER = json.JSONDecoder(
    parse_int=_whole, parse_float=_fraction, parse_constant=lambda _: None, strict=False
)


def _without_surrogates(value: Any) -> Any:
    """Returns ``value`` with lone surrogates replaced; the same object where there are none."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value


def _place(text: str, index: int) -> str:
    line = text.count("\n", 0, index) + 1
    return f"line {line}, column {index - text.rfind(chr(10), 0, index)}"


def compact(value: object) -> str:
    """Returns a value as one line of JSON, as browsers write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def indented(value: object) -> str:
    """Returns a value as JSON with four spaces, as SillyTavern writes its files."""
    return json.dumps(value, ensure_ascii=False, indent=4)
