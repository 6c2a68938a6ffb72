"""Newline-delimited JSON from bytes, as they arrive.

Owns the unfinished line; blank lines are keep-alives and skipped. Never parses the JSON.
"""

from __future__ import annotations

from flower import limits
from flower.engine.provider.lines import LineSplitter
from flower.engine.provider.sse import ServerEvent


class NdjsonDecoder:
    """Turns bytes into one event per line; the result does not depend on how the bytes were cut."""

    def __init__(self, max_line_bytes: int = limits.SSE_LINE_BYTES) -> None:
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
