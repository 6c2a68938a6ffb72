"""From bytes as they arrive to lines, events and documents, as servers really send them. Pure.

Owns the bytes of the unfinished line and event, and the half of a character that waits for its other half. Never
guesses at structure: what is no JSON stays none.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec
from msgspec import Struct

from flower import limits

SSE_LINE_BYTES = 1 * limits.MIB

# --- JSON that a strict parser refuses only for details nobody needs: NaN, raw control characters, halves of a
# surrogate pair, bytes that are no UTF-8. Characters that were cut in two over deltas are joined.

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
        """Returns the replacement of the half that never came."""
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


# --- Lines from bytes, as they arrive.
#
# Cut at LF, CRLF and CR only: never at U+2028, U+0085 and the like, which are legal inside JSON strings and which
# ``str.splitlines`` (and httpx's ``aiter_lines``) take for line ends. Never decoded: a character may be split over
# two reads.


class LineSplitter:
    """Returns the complete lines of every piece fed to it.

    ``overflowed`` becomes True when a line grows over ``max_bytes``; that line and everything after
    it is dropped, so a peer that never ends a line cannot fill the memory.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._tail = bytearray()
        self._after_cr = False
        self.overflowed = False

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the lines that ``data`` completes, without their line ends."""
        if not data or self.overflowed:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]  # the second half of a CRLF whose first half ended a line already
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        tail = lines.pop()
        if lines and self._tail:
            lines[0] = bytes(self._tail) + lines[0]
            self._tail.clear()
        self._tail += tail
        return self._within_bounds(lines)

    def end(self) -> bytes:
        """Returns the line that was never ended; empty if there is none."""
        rest = bytes(self._tail)
        self._tail.clear()
        return rest

    def _within_bounds(self, lines: list[bytes]) -> list[bytes]:
        for number, line in enumerate(lines):
            if len(line) > self._max_bytes:
                self.overflowed = True
                self._tail.clear()
                return lines[:number]
        if len(self._tail) > self._max_bytes:
            self.overflowed = True
            self._tail.clear()
        return lines


# --- Newline-delimited JSON from bytes, as they arrive.
#
# Owns the unfinished line; blank lines are keep-alives and skipped. Never parses the JSON.


class NdjsonDecoder:
    """Turns bytes into one event per line; the result does not depend on how the bytes were cut."""

    def __init__(self, max_line_bytes: int = SSE_LINE_BYTES) -> None:
        self._lines = LineSplitter(max_line_bytes)

    @property
    def overflowed(self) -> bool:
        """True once a line was over the limit; nothing is decoded after that."""
        return self._lines.overflowed

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Returns the lines that ``data`` completes."""
        return [ServerEvent(line) for line in self._lines.feed(data) if line.strip()]

    def end(self) -> list[ServerEvent]:
        """Returns the last line when the stream ended without a line end."""
        rest = self._lines.end().strip()
        return [ServerEvent(rest)] if rest else []


# --- Server-sent events from bytes, as they arrive.
#
# Owns the fields of the unfinished event. Follows the event stream format of the HTML standard
# (section 9.2.6): fields ``data`` and ``event``, comments, blank line dispatches; ``id`` and ``retry``
# mean nothing here. Comments are returned too, because providers send them as signs of life while a
# request waits. Beyond the standard, as servers send it: a field ``error`` is an event of that name, a bare
# JSON object is data, and a field after a whole document begins the next event though no blank line came.
# Never reads more of what an event holds than whether it is a whole document.

_BOM = b"\xef\xbb\xbf"


_BEGINNING = (b"data", b"event", b"id", b"error")


def _is_document(data: list[bytes]) -> bool:
    """Returns whether collected data lines are complete, so that a further one is another event's."""
    joined = b"\n".join(data).strip()
    if joined[:1] not in (b"{", b"["):
        return False
    if joined.lower() == b"[done]":
        return True
    try:
        read_document(joined)
    except ValueError:
        return False
    return True


class ServerEvent(Struct, frozen=True, gc=False):
    """One dispatched event; several ``data`` lines are joined with LF."""

    data: bytes
    name: str = ""


class Comment(Struct, frozen=True, gc=False):
    """A line that starts with a colon."""

    text: str


class SseDecoder:
    """Turns bytes into events; the result does not depend on how the bytes were cut."""

    def __init__(self, max_line_bytes: int = SSE_LINE_BYTES) -> None:
        self._lines = LineSplitter(max_line_bytes)
        self._max_event_bytes = max_line_bytes
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = ""
        self._at_start = True
        self._too_long = False
        self._crowded = False  # this server does not part its events by blank lines

    @property
    def overflowed(self) -> bool:
        """True once a line or an event was over the limit; nothing is decoded after that."""
        return self._too_long or self._lines.overflowed

    def feed(self, data: bytes) -> list[ServerEvent | Comment]:
        """Returns what ``data`` completes."""
        events: list[ServerEvent | Comment] = []
        for line in self._lines.feed(data):
            self._take(line, events)
        return events

    def end(self) -> list[ServerEvent | Comment]:
        """Returns the event that was cut off by the end of the stream, if it holds anything.

        The standard drops it; some servers close right after ``data: [DONE]``.
        """
        events: list[ServerEvent | Comment] = []
        rest = self._lines.end()
        if rest:
            self._take(rest, events)
        self._dispatch(events)
        return events

    def _take(self, line: bytes, events: list[ServerEvent | Comment]) -> None:
        if self._at_start:
            line = line.removeprefix(_BOM)
            self._at_start = False
        if self._too_long:
            return
        if not line:
            self._dispatch(events)
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if self._data and field in _BEGINNING and _is_document(self._data):
            self._crowded = True
            self._dispatch(events)
        if field == b"data":
            self._add(value, events)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace").strip()
        elif field == b"error":
            self._dispatch(events)
            events.append(ServerEvent(value, "error"))
        elif line.startswith(b"{"):
            self._dispatch(events)
            events.append(ServerEvent(line))
        elif not field:
            events.append(Comment(value.decode("utf-8", "replace")))

    def _add(self, value: bytes, events: list[ServerEvent | Comment]) -> None:
        self._data.append(value)
        self._data_bytes += len(value)
        self._too_long = self._data_bytes > self._max_event_bytes
        if self._crowded and not self._too_long and _is_document(self._data):
            self._dispatch(events)

    def _dispatch(self, events: list[ServerEvent | Comment]) -> None:
        if self._data and not self._too_long:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append(ServerEvent(data, self._name))
        self._data.clear()
        self._data_bytes = 0
        self._name = ""
