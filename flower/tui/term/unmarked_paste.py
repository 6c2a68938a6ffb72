"""Pasted text on terminals that do not mark it: what arrives at once and has a line break inside is a paste.

A Linux console and an old GNU screen send a paste like keys, and ten lines would be ten turns. Nobody types a
line break and the next letter within one read. Owns that guess and nothing else; it ends when the terminal says
that it marks pastes, or marks one. Has no clock: ``flush`` after a moment of silence while ``pending``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flower import limits
from flower.tui.term.inputs import Input, Paste

if TYPE_CHECKING:
    from flower.tui.term.keys import Decoder

_BREAK_INSIDE = re.compile(rb"[^\x00-\x1f\x7f][\r\n]+[^\x00-\x1f\x7f]")


class PasteGuess:
    """A ``Decoder`` that takes unmarked pastes for pastes."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._burst = bytearray()
        self._lost = 0
        self.marked = False  # the terminal marks pastes: nothing is guessed

    @property
    def pending(self) -> bool:
        """True when more bytes may change what the last ones mean."""
        return bool(self._burst) or self._decoder.pending

    @property
    def in_burst(self) -> bool:
        """True inside what is taken for a paste."""
        return bool(self._burst)

    @property
    def pasting(self) -> bool:
        """True inside a marked paste."""
        return self._decoder.pasting

    def feed(self, data: bytes) -> list[Input]:
        """Returns the inputs that are complete now; ``data`` is one read."""
        if not self._burst and (self.marked or not self._begins_burst(data)):
            inputs = self._decoder.feed(data)
            self.marked = self.marked or any(isinstance(item, Paste) for item in inputs)
            return inputs
        end = data.find(b"\x1b")
        if end < 0:
            self._collect(data)
            return []
        self._collect(data[:end])
        return [*self._end(), *self._decoder.feed(data[end:])]

    def flush(self) -> list[Input]:
        """Returns what is left as it stands."""
        return [*self._end(), *self._decoder.flush()]

    def _begins_burst(self, data: bytes) -> bool:
        if self._decoder.pending or self._decoder.pasting or b"\x1b" in data:
            return False
        return _BREAK_INSIDE.search(data) is not None

    def _collect(self, data: bytes) -> None:
        room = limits.PASTE_BYTES - len(self._burst)
        self._burst += data[:room]
        self._lost += max(0, len(data) - room)

    def _end(self) -> list[Input]:
        if not self._burst:
            return []
        text = self._burst.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        paste = Paste(text, self._lost)
        self._burst.clear()
        self._lost = 0
        return [paste]
