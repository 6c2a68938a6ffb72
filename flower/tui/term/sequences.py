"""What single key and answer sequences mean.

Owns the inputs a terminal can give and the meaning of each complete sequence; never keeps bytes: that
is the decoder's part, in ``keys``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from flower import limits
from flower.tui.term.key_names import (
    CONTROLS,
    CSI_FINAL,
    CSI_TILDE,
    KITTY_CODES,
    RXVT_FINAL,
    SS3_FINAL,
    modified,
)


class Key(NamedTuple):
    """A key press. ``name`` is like ``a``, ``enter``, ``ctrl+a``, ``shift+tab``; ``text`` what it types."""

    name: str
    text: str = ""


class Paste(NamedTuple):
    """Pasted text, lines ended by ``\\n``, at most ``limits.PASTE_BYTES``; not cleaned."""

    text: str


class Mouse(NamedTuple):
    """``kind`` is press, release, move or drag, wheel_up or wheel_down; ``x`` and ``y`` count from 0."""

    kind: str
    x: int
    y: int
    button: int = 0  # 1 left, 2 middle, 3 right
    mods: str = ""  # "ctrl+shift+" as in key names


class Focus(NamedTuple):
    """The terminal's window got or lost the keyboard."""

    gained: bool


class Reply(NamedTuple):
    """An answer of the terminal.

    ``kind`` and ``value``: ``attributes`` (DA1 parameters), ``mode:N`` (DECRQM state 0-4), ``kitty`` (flags),
    ``cursor`` (line, column from 1), ``status`` (0: all is well), ``version`` (XTVERSION text), ``other``
    (unknown text).
    """

    kind: str
    value: str


Input = Key | Paste | Mouse | Focus | Reply

_STRING_END = re.compile(rb"\x07|\x1b\\")


def plain(data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
    first = data[0]
    if first < 0x20 or first == 0x7F:
        return 1, Key(CONTROLS[first])
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


def ss3(data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
    if len(data) == 2:
        return (2, Key("alt+shift+o")) if final else None
    if len(data) == 3 and data[2:].isdigit() and not final:
        return None  # a modifier; the key follows
    match = re.match(rb"\x1bO(\d?)([ -~])", data)
    if match is None:
        return 2, Key("alt+shift+o")
    mods = int(match.group(1) or b"1")
    name = SS3_FINAL.get(match.group(2).decode())
    return match.end(), (Key(modified(name, mods)) if name else None)


def string(data: bytes, *, final: bool) -> tuple[int, Input | None] | None:
    """OSC, DCS, APC, PM, SOS: answers; everything up to their end belongs to them."""
    end = _STRING_END.search(data, 2)
    if end is None:
        if len(data) >= limits.SEQUENCE_BYTES or final:
            if len(data) == 2:
                return 2, Key(with_alt(chr(data[1])))
            return len(data), None
        return None
    body = data[2 : end.start()].decode("utf-8", "replace")
    if data[1:2] == b"P" and body.startswith(">|"):
        return end.end(), Reply("version", body[2:])
    return end.end(), Reply("other", body)


def csi(params: str, middle: str, last: str) -> Input | None:
    """Returns the input that a complete CSI sequence stands for, or None for one to ignore."""
    if params.startswith("<") and last in "Mm":
        return _mouse(params[1:], released=last == "m")
    if params.startswith("?"):
        return _answer(params[1:], middle, last)
    if params[:1] in ("<", "=", ">"):
        return Reply("other", params + middle + last)
    if middle:
        return Reply("other", params + middle + last)
    if not params and last in "IO":
        return Focus(gained=last == "I")
    numbers = [part.split(":") for part in params.split(";")]
    code, mods = _number(numbers, 0, 0), _number(numbers, 1, 0)
    if last == "u":
        return _kitty(numbers)
    if last == "n" and params == "0":
        return Reply("status", params)
    if last == "R" and len(numbers) == 2 and code > 1:
        return Reply("cursor", params)
    if last == "~" and code == 27 and len(numbers) == 3:  # modifyOtherKeys
        return _coded(_number(numbers, 2, 0), mods)
    if last == "~":
        return _named(CSI_TILDE.get(code), mods, numbers)
    if last in "^@" and params:
        return rxvt(params, last)
    if not params and last in RXVT_FINAL:
        return Key(RXVT_FINAL[last])
    return _named(CSI_FINAL.get(last), mods, numbers)


def _number(numbers: list[list[str]], index: int, sub: int, default: int = 0) -> int:
    try:
        return int(numbers[index][sub])
    except (IndexError, ValueError):
        return default


def _named(name: str | None, mods: int, numbers: list[list[str]]) -> Key | None:
    if name is None or _number(numbers, 1, 1, 1) == 3:  # 3: the key was let go
        return None
    return Key(modified(name, mods or 1))


def rxvt(params: str, last: str) -> Key | None:
    name = CSI_TILDE.get(int(params)) if params.isdigit() else None
    return Key(modified(name, {"^": 5, "$": 2, "@": 6}[last])) if name else None


def _kitty(numbers: list[list[str]]) -> Key | None:
    if _number(numbers, 1, 1, 1) == 3:
        return None
    typed = "".join(chr(int(part)) for part in numbers[2] if part.isdigit()) if len(numbers) > 2 else ""
    return _coded(_number(numbers, 0, 0), _number(numbers, 1, 0, 1), typed)


def _coded(code: int, mods: int, typed: str = "") -> Key | None:
    """Returns the key for a Unicode code point or a kitty functional code, with modifiers."""
    name = KITTY_CODES.get(code)
    if name is not None:
        return Key(modified(name, mods)) if name else None
    if not 0x20 <= code < 0xE000 and not 0xF900 <= code < 0x110000:
        return None
    char = chr(code)
    bits = (mods - 1) & 7 if mods > 0 else 0  # shift, alt, ctrl; locks do not name keys
    if bits & 6 == 0:
        text = typed or (char.upper() if bits & 1 else char)
        return Key("space" if text == " " else text, text)
    return Key(modified("space" if char == " " else char.lower(), mods))


def with_alt(name: str) -> str:
    if len(name) == 1 and name.isupper():
        return f"alt+shift+{name.lower()}"
    if name.startswith("ctrl+"):
        return f"ctrl+alt+{name[5:]}"
    return f"alt+{name}"


def _answer(params: str, middle: str, last: str) -> Reply | None:
    if middle == "$" and last == "y":
        mode, _, state = params.partition(";")
        return Reply(f"mode:{mode}", state)
    if last == "c":
        return Reply("attributes", params)
    if last == "u":
        return Reply("kitty", params)
    if last == "R":
        return Reply("cursor", params)
    return Reply("other", f"?{params}{middle}{last}")


def _mouse(params: str, *, released: bool) -> Mouse | None:
    parts = params.split(";")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    code, x, y = map(int, parts)
    return _mouse_event(code, x - 1, y - 1, released=released)


def old_mouse(raw: bytes) -> Mouse | None:
    code, x, y = (byte - 32 for byte in raw)
    return _mouse_event(code, x - 1, y - 1, released=code & 3 == 3 and code < 64)


def _mouse_event(code: int, x: int, y: int, *, released: bool) -> Mouse | None:
    mods = "".join(name for bit, name in ((16, "ctrl+"), (8, "alt+"), (4, "shift+")) if code & bit)
    button = code & 3
    if code & 64:
        return Mouse("wheel_down" if button & 1 else "wheel_up", x, y, 0, mods) if button < 2 else None
    if code & 32:
        return Mouse("move" if button == 3 else "drag", x, y, 0 if button == 3 else button + 1, mods)
    return Mouse("release" if released else "press", x, y, 0 if button == 3 else button + 1, mods)


def junk(data: bytes) -> int:
    """Returns how many bytes of a broken sequence to drop: its final byte too, but no ESC or control.

    What terminals do with one, so that it takes the same bytes however they were cut.
    """
    for index in range(2, len(data)):
        if data[index] < 0x20 or data[index] >= 0x7F:
            return index
        if data[index] >= 0x40:
            return index + 1
    return len(data)
