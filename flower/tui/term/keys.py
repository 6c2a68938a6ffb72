"""Keys: the bytes a terminal sends, as keys, pastes, mouse and focus events, and answers.

Owns the decoding and the names of keys; never reads from a terminal and has no clock: whoever feeds a
``Decoder`` calls ``flush`` when it has been ``pending`` for ``limits.ESCAPE_WAIT_S``.

Understands xterm, VT, Linux console, rxvt, screen and tmux sequences, xterm's modifyOtherKeys, the kitty
keyboard protocol (https://sw.kovidgoyal.net/kitty/keyboard-protocol/), SGR mouse reports, bracketed
paste, focus reports, and the answers to the questions ``terminal`` asks. Feeding bytes one by one gives
the same inputs as feeding them whole.
"""

from __future__ import annotations

import re

from flower import limits
from flower.tui.term.sequences import (
    Focus,
    Input,
    Key,
    Mouse,
    Paste,
    Reply,
    csi,
    junk,
    old_mouse,
    plain,
    rxvt,
    ss3,
    string,
    with_alt,
)

__all__ = ["Decoder", "Focus", "Input", "Key", "Mouse", "Paste", "Reply"]

_ESC = 0x1B
_PASTE_END = b"\x1b[201~"
_CSI = re.compile(rb"\x1b\[([0-9:;<=>?]*)([ -/]*)([@-~])")
_CSI_PART = re.compile(rb"\x1b\[[ -?]*\Z")  # broken ones included: where they end is not known yet
_STRING = re.compile(rb"\x1b[P\]_^X]")


class Decoder:
    """Turns bytes into inputs; keeps what is not complete yet."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._paste: bytearray | None = None
        self._extra: dict[bytes, str] = {}

    def learn(self, sequences: dict[bytes, str]) -> None:
        """Adds a terminal's own sequences, by the key's name; those known here keep their meaning."""
        self._extra |= sequences

    @property
    def pending(self) -> bool:
        """True when an incomplete sequence, or a lone ESC, waits for more bytes."""
        return bool(self._data) and self._paste is None

    @property
    def pasting(self) -> bool:
        """True inside a paste; ``flush`` it after ``limits.PASTE_IDLE_S`` of silence."""
        return self._paste is not None

    def feed(self, data: bytes) -> list[Input]:
        """Returns the inputs that are complete now."""
        self._data += data
        return self._drain(final=False)

    def flush(self) -> list[Input]:
        """Returns what is left as it stands: a lone ESC is the Escape key."""
        if self._paste is not None:
            self._paste += self._data
            self._data.clear()
            return [self._end_paste()]
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> list[Input]:
        inputs: list[Input] = []
        while self._data:
            if self._paste is not None:
                if not self._collect_paste(inputs):
                    break
                continue
            found = self._next(bytes(self._data[: limits.SEQUENCE_BYTES]), final=final)
            if found is None:
                break
            used, item = found
            if item is None and (name := self._extra.get(bytes(self._data[:used]))):
                item = Key(name)
            del self._data[:used]
            if item is not None:
                inputs.append(item)
        return inputs

    # --- paste ----------------------------------------------------------------------------------

    def _collect_paste(self, inputs: list[Input]) -> bool:
        """Moves bytes into the open paste; False when its end has not come yet."""
        paste = self._paste if self._paste is not None else bytearray()
        end = self._data.find(_PASTE_END)
        if end >= 0:
            paste += self._data[:end]
            del self._data[: end + len(_PASTE_END)]
            inputs.append(self._end_paste())
            return True
        keep = next((n for n in range(5, 0, -1) if self._data.endswith(_PASTE_END[:n])), 0)
        paste += self._data[: len(self._data) - keep]
        del self._data[: len(self._data) - keep]
        del paste[limits.PASTE_BYTES :]
        return False

    def _end_paste(self) -> Paste:
        raw = bytes(self._paste or b"")[: limits.PASTE_BYTES]
        self._paste = None
        text = raw.decode("utf-8", "replace")
        return Paste(text.replace("\r\n", "\n").replace("\r", "\n"))

    # --- one item -------------------------------------------------------------------------------

    def _next(self, data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
        """Returns how many bytes the next item takes and the item; None when more are needed."""
        if data[0] != _ESC:
            return plain(data, final=final)
        if len(data) == 1:
            return (1, Key("escape")) if final else None
        if data[1] in b"[":
            return self._csi(data, final=final)
        if data[1] in b"O":
            return ss3(data, final=final)
        if _STRING.match(data):
            return string(data, final=final)
        return self._alt(data, final=final)

    def _alt(self, data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
        """ESC before a key: that key with Alt."""
        if data[1] == _ESC and len(data) == 2 and not final:
            return None
        inner = self._next(data[1:], final=final)
        if inner is None:
            return None
        used, item = inner
        if isinstance(item, Key) and item.name != "escape":
            name = item.name if item.name.startswith("alt+") else with_alt(item.name)
            return used + 1, Key(name)
        return 1, Key("escape")  # Escape on its own; the rest is looked at again

    def _csi(self, data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
        match = _CSI.match(data)
        if match is None:
            if not _CSI_PART.match(data):
                return junk(data), None
            if not final:
                return None if len(data) < limits.SEQUENCE_BYTES else (len(data), None)
            if len(data) == 2:
                return 2, Key("alt+[")
            # rxvt ends Shift with "$", which is no final byte: only silence tells it is complete
            return len(data), rxvt(data[2:-1].decode(), "$") if data.endswith(b"$") else None
        params, middle, last = match.groups()
        size = match.end()
        if last == b"[" and not params:  # the Linux console: ESC [ [ A is F1
            if len(data) < 4:
                return (size, None) if final else None
            number = data[3] - ord("A") + 1
            return 4, (Key(f"f{number}") if 1 <= number <= 5 else None)
        if last == b"M" and not params and not middle:  # the old mouse report: three more bytes
            if len(data) < size + 3:
                return (len(data), None) if final else None
            return size + 3, old_mouse(data[size : size + 3])
        if last == b"~" and params == b"200":
            self._paste = bytearray()
            return size, None
        return size, csi(params.decode(), middle.decode(), last.decode())
