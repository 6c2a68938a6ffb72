"""JSON and characters as servers really send them.

Pure. Reads documents that a strict parser refuses only for details nobody needs (NaN, raw control
characters, halves of a surrogate pair, bytes that are no UTF-8), and joins characters that were cut in two
over deltas. Owns the half of a character that waits for its other half. Never guesses at structure: what
is no JSON stays none.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

REPLACEMENT = "\ufffd"

_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_BYTES = re.compile("[\udc80-\udcff]+")
_CUT_PAIR = re.compile("[\ud800-\udbff]$")
# The beginning of a character of 2, 3 or 4 bytes (Unicode standard, table 3-7), as ``surrogateescape`` has it.
_CUT_BYTES = re.compile(
    "(?:[\udcc2-\udcf4]|[\udce0-\udcf4][\udc80-\udcbf]|[\udcf0-\udcf4][\udc80-\udcbf]{2})$"
)


def read_document(data: bytes) -> Any:
    """Returns the JSON document in ``data``; raises ``ValueError`` when it is none.

    Text in it may hold halves of characters, which ``Mender`` joins.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # a strict parser's view; the lenient one decides
    try:
        text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        return json.loads(text.strip("\x00 \t\r\n"), strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None


class Mender:
    """Makes whole characters of text that comes in deltas; what stays broken becomes U+FFFD."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Returns the text that is certain; half a character at its end waits for the next delta."""
        if not self._held and (text.isascii() or not _SURROGATE.search(text)):
            return text
        text = self._held + text
        cut = _CUT_PAIR.search(text) or _CUT_BYTES.search(text)
        self._held = text[cut.start() :] if cut else ""
        return _whole_characters(text[: cut.start()] if cut else text)

    def end(self) -> str:
        """Returns what stands for the half that never came."""
        held, self._held = self._held, ""
        return REPLACEMENT if held else ""


def _whole_characters(text: str) -> str:
    text = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    text = _BYTES.sub(
        lambda run: run[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace"), text
    )
    return _SURROGATE.sub(REPLACEMENT, text)


# --- Fields of foreign documents: each is what it should be, or as good as absent.


def mapping(value: object) -> dict[str, Any]:
    """Returns ``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Any]:
    """Returns ``value`` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def string(value: object) -> str:
    """Returns ``value`` if it is text, else ""."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """Returns a number that counts something as a whole one; None when it counts nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and 0 <= value < 2**53 else None


def amount(value: object) -> float | None:
    """Returns a finite number that is not negative, as a price is; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
