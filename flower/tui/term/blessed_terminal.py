"""What the blessed library knows: how modes are switched, and what key and mouse sequences mean.

Owns the only instance of blessed's ``Terminal``, the names of keys (see ``inputs.Key``) and what blessed leaves
out: rxvt's and the Linux console's old forms, put into xterm's before it is asked, and the keys of layouts without
Latin letters. Importing it imports blessed (36 ms): not before the first frame. Nothing here reads from the
terminal, writes to it or asks it anything.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import blessed
from blessed.dec_modes import DecModeResponse, DecPrivateMode
from blessed.keyboard import (
    Keystroke,
    KittyKeyboardProtocol,
    get_keyboard_codes,
    get_keyboard_sequences,
    resolve_sequence,
)

from flower.tui.term.inputs import Focus, Key, Mouse

# blessed's names without KEY_ and KP_ -> ours; the others are ours in capitals, or no keys to bind.
_RENAMED = {
    "PGUP": "pageup", "PGDOWN": "pagedown", "PAGE_UP": "pageup", "PAGE_DOWN": "pagedown", "CENTER": "begin",
    "BTAB": "shift+tab", "SUP": "shift+up", "SDOWN": "shift+down", "SLEFT": "shift+left",
    "SRIGHT": "shift+right", "SHOME": "shift+home", "SEND": "shift+end", "SDC": "shift+delete",
    "SIC": "shift+insert", "SNEXT": "shift+pagedown", "SPREVIOUS": "shift+pageup",
    "DECIMAL": ".", "DIVIDE": "/", "MULTIPLY": "*", "SUBTRACT": "-", "ADD": "+", "EQUAL": "=",
    "SEPARATOR": ",",
}  # fmt: skip
_NAMED = {
    "up", "down", "left", "right", "home", "end", "insert", "delete", "enter", "backspace", "tab", "escape",
    "pageup", "pagedown", "begin", *(f"f{number}" for number in range(1, 36)),
}  # fmt: skip
# Events count only in modes that are on; which are on is the terminal's business, all may come.
_MODES_ON = {
    int(mode): DecModeResponse.SET
    for mode in (
        DecPrivateMode.MOUSE_REPORT_CLICK,
        DecPrivateMode.MOUSE_EXTENDED_SGR,
        DecPrivateMode.FOCUS_IN_OUT_EVENTS,
    )
}
_BUTTONS = {"LEFT": 1, "MIDDLE": 2, "RIGHT": 3}
_MODIFIERS = {"CTRL": "ctrl+", "META": "alt+", "SHIFT": "shift+"}
_RXVT_SHIFTS = {"^": 5, "$": 2, "@": 6}
_RXVT = re.compile(r"\x1b\[(\d+)([\^$@])")
_RXVT_ARROW = re.compile(r"\x1b([\[O])([a-d])")
_SS3 = re.compile(r"\x1bO(\d)([ -~])")
_CONSOLE = re.compile(r"\x1b\[\[([A-E])")
_TILDE = re.compile(r"\x1b\[(\d+)((?:;[\d:]*)?)~")
_OLD_NUMBERS = {"1": "7", "4": "8"}  # Home and End of a VT220, as rxvt numbers them
_KITTY = re.compile(r"\x1b\[(\d{1,7})((?::\d{0,7}){0,2})(?:;(\d{0,7})(?::(\d{1,7}))?(?:;([\d:]*))?)?u")
_OTHER_KEY = re.compile(r"\x1b\[27;(\d{1,7});(\d{1,7})~")
_CODE_POINTS = 0x110000


class BlessedTerminal(blessed.Terminal):
    """blessed's knowledge of the terminal named ``kind``; ``written`` has what its contexts emit.

    blessed's own class would ask the terminal questions and wait for the answers, up to ten seconds on a silent one,
    and its contexts write at once. This one writes into memory, and what it would ask is answered from what the
    terminal has said to our own questions by then.
    """

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


class KeyNames:
    """The meaning of a terminal's sequences."""

    def __init__(self, terminal: BlessedTerminal | None = None) -> None:
        """``terminal`` says which sequences its terminfo entry adds; None: those of xterm."""
        self._codes: Mapping[int, str] = get_keyboard_codes()
        self._sequences = get_keyboard_sequences(terminal or BlessedTerminal("xterm-256color"))

    def meaning(self, sequence: str) -> Key | Mouse | Focus | None:
        """Returns what a complete escape sequence means; None for one to ignore."""
        if match := _KITTY.fullmatch(sequence):
            return self._kitty(match)
        if match := _OTHER_KEY.fullmatch(sequence):
            return self._coded(int(match.group(2)), int(match.group(1)), "")
        return self._named(self._resolved(_as_xterm(sequence)) or self._resolved(sequence))

    def _resolved(self, sequence: str) -> Keystroke | None:
        """Returns blessed's view of ``sequence``, None when it does not know it as a whole."""
        stroke = resolve_sequence(
            sequence, self._sequences, self._codes, final=True, dec_mode_cache=_MODES_ON
        )
        return stroke if len(stroke) == len(sequence) else None

    def _named(self, stroke: Keystroke | None) -> Key | Mouse | Focus | None:
        if stroke is None or stroke.released:
            return None
        if stroke.mode == DecPrivateMode.FOCUS_IN_OUT_EVENTS:
            return Focus(gained=stroke.name == "FOCUS_IN")
        if stroke.mode in (DecPrivateMode.MOUSE_EXTENDED_SGR, DecPrivateMode.MOUSE_REPORT_CLICK):
            return _mouse(stroke)
        return self._key(stroke)

    def _key(self, stroke: Keystroke) -> Key | None:
        if stroke.code is None:
            return None
        # ``key_name`` takes 80 µs and is needed for the few keys only that have no code of their own
        name = self._codes.get(stroke.code) or (stroke.key_name or "").rpartition("KP_")[2]
        name = name.removeprefix("KEY_").removeprefix("KP_")
        name = _RENAMED.get(name) or name.lower()
        if name.removeprefix("shift+") not in _NAMED and len(name) != 1:
            return None
        mods = stroke.modifiers if stroke.mode is not None else 1
        return _typed(name) if len(name) == 1 and mods == 1 else Key(modified(name, mods))

    # --- the kitty protocol and xterm's modifyOtherKeys -----------------------------------------

    def _kitty(self, match: re.Match[str]) -> Key | None:
        code, alternates, mods, event, text = match.groups()
        if event == "3":
            return None  # the key was let go
        typed = "".join(chr(int(part)) for part in (text or "").split(":") if _is_char(part))
        number, bits = int(code), int(mods or 1)
        base = alternates.split(":")[2] if alternates.count(":") == 2 else ""
        if base and number > 0x7F and (bits - 1) & 6:
            number = int(base)  # Ctrl+С of a Cyrillic layout is the key where Latin layouts have C
        return self._coded(number, bits, typed)

    def _coded(self, code: int, mods: int, typed: str) -> Key | None:
        """Returns the key for a Unicode code point or a functional code of kitty's, with modifiers."""
        if code < 0x20 or code in (0x7F, *range(0xE000, 0xF900)):
            if code == 8:
                return Key(modified("backspace", mods))
            key = self._resolved(f"\x1b[{code};{max(1, mods)}u")
            return self._key(key) if key is not None else None
        if not _is_char(str(code)):
            return None
        char = chr(code)
        bits = (mods - 1) & 7 if mods > 0 else 0  # shift, alt, ctrl; locks do not name keys
        if bits & 6 == 0:
            return _typed(typed or (char.upper() if bits & 1 else char))
        return Key(modified("space" if char == " " else char.lower(), mods))


def _is_char(number: str) -> bool:
    return number != "" and (int(number) < 0xD800 or 0xE000 <= int(number) < _CODE_POINTS)


def _typed(text: str) -> Key:
    return Key("space" if text == " " else text, text)


def _as_xterm(sequence: str) -> str:
    """Returns the form in which xterm sends the same key."""
    if match := _RXVT.fullmatch(sequence):
        number, last = match.groups()
        return f"\x1b[{_OLD_NUMBERS.get(number, number)};{_RXVT_SHIFTS[last]}~"
    if match := _RXVT_ARROW.fullmatch(sequence):
        kind, last = match.groups()
        return f"\x1b[1;{2 if kind == '[' else 5}{last.upper()}"
    if match := _CONSOLE.fullmatch(sequence):
        return f"\x1b[{ord(match.group(1)) - ord('A') + 11};1~"
    if match := _SS3.fullmatch(sequence):
        return f"\x1b[1;{match.group(1)}{match.group(2)}"
    if match := _TILDE.fullmatch(sequence):
        number, mods = match.groups()
        return f"\x1b[{_OLD_NUMBERS.get(number, number)}{mods or ';1'}~"
    return sequence


def _mouse(stroke: Keystroke) -> Mouse | None:
    """Returns the event in blessed's name, such as ``MOUSE_CTRL_LEFT_RELEASED``."""
    words = (stroke.name or "").removeprefix("MOUSE_").split("_")
    mods = "".join(name for word, name in _MODIFIERS.items() if word in words)
    x, y = stroke.mouse_xy
    if "SCROLL" in words:
        return Mouse("wheel_up" if words[-1] == "UP" else "wheel_down", x, y, 0, mods)
    button = next((number for word, number in _BUTTONS.items() if word in words), 0)
    if words[-1] == "MOTION":
        return Mouse("drag" if button else "move", x, y, button, mods)
    if words[-1] == "RELEASED":
        return Mouse("release", x, y, button, mods)
    return Mouse("press", x, y, button, mods) if button else None


def modified(name: str, mods: int) -> str:
    """Returns the key's name with xterm's modifier number (1 + 1 shift + 2 alt + 4 ctrl) spelled out."""
    bits = max(0, mods - 1)
    shift = bits & 1 or name.startswith("shift+")
    name = name.removeprefix("shift+")
    return (
        ("ctrl+" if bits & 4 else "")
        + ("alt+" if bits & 2 else "")
        + ("shift+" if shift else "")
        + name
    )
