"""The blessed library's terminal, without its questions: it says what to write, we write it.

Owns the only instance of blessed's ``Terminal``. That class would ask the terminal questions and wait for the
answers, up to ten seconds on a silent one, and its contexts write at once. This one writes into memory, and
what it would ask is answered from what the terminal has said to our own questions by then.
"""

from __future__ import annotations

import io
from typing import Any

import blessed
from blessed.dec_modes import DecModeResponse, DecPrivateMode
from blessed.keyboard import KittyKeyboardProtocol


class BlessedTerminal(blessed.Terminal):
    """blessed's knowledge of the terminal named ``kind``; ``written`` has what its contexts emit."""

    def __init__(self, kind: str) -> None:
        """``kind`` is what TERM says; an unknown one is taken for xterm-256color."""
        self._written = io.StringIO()
        self.kitty_flags = 0
        super().__init__(kind=kind or None, stream=self._written, force_styling=True)

    @property
    def does_styling(self) -> bool:
        """True: NO_COLOR forbids colours (see ``capabilities``), not keys and modes."""
        return True

    def get_dec_mode(
        self, mode: int | DecPrivateMode, timeout: float = 0.0, force: bool = False
    ) -> DecModeResponse:
        """Returns that ``mode`` is there and off: terminals ignore modes which they do not know."""
        return DecModeResponse(mode, DecModeResponse.RESET)

    def get_kitty_keyboard_state(
        self, timeout: float | None = 0.0, force: bool = False
    ) -> KittyKeyboardProtocol:
        """Returns the flags that the terminal named when it was asked."""
        return KittyKeyboardProtocol(self.kitty_flags)

    def written(self) -> bytes:
        """Returns what contexts emitted since the last call."""
        text = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        return text.encode("ascii", "replace")

    def __getattr__(self, attr: str) -> Any:
        """Capabilities by name, as blessed has them."""
        return super().__getattr__(attr)
