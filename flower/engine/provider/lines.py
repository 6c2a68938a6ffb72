"""Lines from bytes, as they arrive.

Owns the bytes of the unfinished line. Cuts at LF, CRLF and CR only: never at U+2028, U+0085 and the
like, which are legal inside JSON strings and which ``str.splitlines`` (and httpx's ``aiter_lines``)
take for line ends. Never decodes: a character may be split over two reads.
"""

from __future__ import annotations


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
