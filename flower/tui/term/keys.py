"""Keys: the bytes a terminal sends, as keys, pastes, mouse and focus events, and answers.

Owns the cutting of bytes into sequences and the answers to the questions ``terminal`` asks; what keys and
mouse reports mean is said by ``blessed_terminal.KeyNames``. Never reads from a terminal and has no clock:
whoever feeds a ``Decoder`` calls ``flush`` when it has been ``pending`` for ``limits.ESCAPE_WAIT_S``.

Understands xterm, VT, Linux console, rxvt, screen and tmux sequences, xterm's modifyOtherKeys, the kitty
keyboard protocol (https://sw.kovidgoyal.net/kitty/keyboard-protocol/), SGR mouse reports, bracketed
paste and focus reports. Feeding bytes one by one gives the same inputs as feeding them whole.
"""

from __future__ import annotations

import re

from flower import limits
from flower.tui.term.blessed_terminal import KeyNames
from flower.tui.term.inputs import Input, Key, Paste, Reply

SEQUENCE_BYTES = 4 * limits.KIB  # longest key or answer of a terminal; more of it is dropped

_ESC = 0x1B
_KEY_BYTES = 64  # nothing longer is a key or a mouse report
_PASTE_END = b"\x1b[201~"
_CSI = re.compile(rb"\x1b\[([0-9:;<=>?]*)([ -/]*)([@-~])")
_CSI_PART = re.compile(rb"\x1b\[[ -?]*\Z")  # broken ones included: where they end is not known yet
_STRING = re.compile(rb"\x1b[P\]_^X]")
_STRING_END = re.compile(rb"\x07|\x1b\\")
_SS3 = re.compile(rb"\x1bO\d?[ -~]")
_BREAK_INSIDE = re.compile(rb"[^\x00-\x1f\x7f][\r\n]+[^\x00-\x1f\x7f]")
_CURSOR = re.compile(r"(\d{1,5});\d{1,5}")
_CONTROL_KEYS = {
    0x00: "ctrl+space", 0x09: "tab", 0x0D: "enter", 0x1B: "escape", 0x7F: "backspace",
    0x1C: "ctrl+\\", 0x1D: "ctrl+]", 0x1E: "ctrl+^", 0x1F: "ctrl+_",
}  # fmt: skip


class Decoder:
    """Turns bytes into inputs; keeps what is not complete yet."""

    def __init__(self, names: KeyNames | None = None) -> None:
        """``names`` says what sequences mean; None: as xterm sends them."""
        self._data = bytearray()
        self._paste: bytearray | None = None
        self._lost = 0  # bytes of the paste over its bound
        self._names = names or KeyNames()

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
        """Returns what is left as it is: a lone ESC is the Escape key."""
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
            event = self._next(bytes(self._data[:SEQUENCE_BYTES]), final=final)
            if event is None:
                break
            used, item = event
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
        self._bound(paste)
        return False

    def _end_paste(self) -> Paste:
        paste = self._paste if self._paste is not None else bytearray()
        self._bound(paste)
        text, lost = paste.decode("utf-8", "replace"), self._lost
        self._paste, self._lost = None, 0
        return Paste(text.replace("\r\n", "\n").replace("\r", "\n"), lost)

    def _bound(self, paste: bytearray) -> None:
        self._lost += max(0, len(paste) - limits.PASTE_BYTES)
        del paste[limits.PASTE_BYTES :]

    # --- one item -------------------------------------------------------------------------------

    def _next(self, data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
        """Returns how many bytes the next item takes and the item; None when more are needed."""
        if data[0] != _ESC:
            return _plain(data, final=final)
        if len(data) == 1:
            return (1, Key("escape")) if final else None
        if data[1] in b"[":
            return self._csi(data, final=final)
        if data[1] in b"O":
            return self._ss3(data, final=final)
        if _STRING.match(data):
            return _string(data, final=final)
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
            name = item.name if item.name.startswith("alt+") else _with_alt(item.name)
            return used + 1, Key(name)
        return 1, Key("escape")  # Escape on its own; the rest is looked at again

    def _ss3(self, data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
        if len(data) == 2:
            return (2, Key("alt+shift+o")) if final else None
        if len(data) == 3 and data[2:].isdigit() and not final:
            return None  # a modifier; the key follows
        match = _SS3.match(data)
        if match is None:
            return 2, Key("alt+shift+o")
        return match.end(), self._meaning(match.group())

    def _csi(self, data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
        match = _CSI.match(data)
        if match is None:
            if not _CSI_PART.match(data):
                return _junk(data), None
            if not final:
                return None if len(data) < SEQUENCE_BYTES else (len(data), None)
            # rxvt ends Shift with "$", which is no final byte: only silence tells it is complete
            return len(data), Key("alt+[") if len(data) == 2 else self._meaning(data)
        params, middle, last = match.groups()
        size = match.end()
        if last == b"[" and not params:  # the Linux console: ESC [ [ A is F1
            if len(data) < 4:
                return (size, None) if final else None
            size += 1
        elif last == b"M" and not params and not middle:  # the old mouse report: three more bytes
            if len(data) < size + 3:
                return (len(data), None) if final else None
            size += 3
        elif last == b"~" and params == b"200":
            self._paste = bytearray()
            return size, None
        elif reply := _reply(params.decode(), middle.decode(), last.decode()):
            return size, reply
        return size, self._meaning(data[:size])

    def _meaning(self, sequence: bytes) -> Input | None:
        if len(sequence) > _KEY_BYTES:
            return None
        return self._names.meaning(sequence.decode("latin-1"))


def _plain(data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
    first = data[0]
    if first < 0x20 or first == 0x7F:
        return 1, Key(_CONTROL_KEYS.get(first) or f"ctrl+{chr(first + 0x60)}")
    if first < 0x80:
        char = chr(first)
        return 1, Key("space" if char == " " else char, char)
    size = (
        2 if 0xC2 <= first < 0xE0 else 3 if 0xE0 <= first < 0xF0 else 4 if 0xF0 <= first < 0xF5 else 1
    )
    if len(data) < size and not final and all(0x80 <= byte < 0xC0 for byte in data[1:]):
        return None
    try:
        char = data[:size].decode()
    except UnicodeDecodeError:
        return 1, None
    return size, Key(char, char)


def _with_alt(name: str) -> str:
    if len(name) == 1 and name.isupper():
        return f"alt+shift+{name.lower()}"
    if name.startswith("ctrl+"):
        return f"ctrl+alt+{name[5:]}"
    return f"alt+{name}"


def _string(data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
    """OSC, DCS, APC, PM, SOS: answers; everything up to their end belongs to them."""
    end = _STRING_END.search(data, 2)
    if end is None:
        if len(data) >= SEQUENCE_BYTES or final:
            if len(data) == 2:
                return 2, Key(_with_alt(chr(data[1])))
            return len(data), None
        return None
    body = data[2 : end.start()].decode("utf-8", "replace")
    if data[1:2] == b"P" and body.startswith(">|"):
        return end.end(), Reply("version", body[2:])
    return end.end(), Reply("other", body)


def _reply(params: str, middle: str, last: str) -> Reply | None:
    """Returns the answer that a complete CSI sequence is, None when it is a key or a mouse report."""
    if params.startswith("?"):
        if middle == "$" and last == "y":
            mode, _, state = params[1:].partition(";")
            return Reply(f"mode:{mode}", state)
        kind = {"c": "attributes", "u": "kitty", "R": "cursor"}.get(last) if not middle else None
        return Reply(kind, params[1:]) if kind else Reply("other", params + middle + last)
    if middle or params[:1] in ("=", ">") or (params[:1] == "<" and last not in "Mm"):
        return Reply("other", params + middle + last)
    if last == "n" and params == "0":
        return Reply("status", params)
    if last == "t" and params.startswith("6;"):
        return Reply("cell", params[2:])
    # In the first line it is F3 with a modifier, as xterm sends it.
    if last == "R" and (match := _CURSOR.fullmatch(params)) and int(match.group(1)) > 1:
        return Reply("cursor", params)
    return None


def _junk(data: bytes) -> int:
    """Returns how many bytes of a broken sequence to drop: its final byte too, but no ESC or control.

    What terminals do with one, so that it takes the same bytes however they were cut.
    """
    for index in range(2, len(data)):
        if data[index] < 0x20 or data[index] >= 0x7F:
            return index
        if data[index] >= 0x40:
            return index + 1
    return len(data)


# --- Pasted text on terminals that do not mark it: a Linux console and an old GNU screen send it like keys,
# and ten lines would be ten turns.


class PasteGuess:
    """A ``Decoder`` that takes what arrives at once, with a line break inside, for a paste.

    Nobody types a line break and the next letter within one read. The guessing ends when the terminal says that
    it marks pastes, or marks one. ``flush`` it after a moment of silence while ``pending``.
    """

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
        """Returns what is left as it is."""
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
