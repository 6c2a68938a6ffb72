"""Tables of key sequences and the spelling of key names.

Names: ``ctrl+``, ``alt+`` and ``shift+`` in this order before the key. Sources: xterm's ctlseqs, console_codes(4),
rxvt's reference and the kitty keyboard protocol.
"""

from __future__ import annotations

# C0 codes. Ctrl+I, Ctrl+M and Ctrl+H are Tab, Enter and Backspace to a plain terminal.
CONTROLS: dict[int, str] = {
    0x00: "ctrl+space",
    **{code: f"ctrl+{chr(code + 0x60)}" for code in range(0x01, 0x1B)},
    0x08: "ctrl+h",
    0x09: "tab",
    0x0D: "enter",
    0x1B: "escape",
    0x1C: "ctrl+\\",
    0x1D: "ctrl+]",
    0x1E: "ctrl+^",
    0x1F: "ctrl+_",
    0x7F: "backspace",
}

CSI_FINAL: dict[str, str] = {
    "A": "up", "B": "down", "C": "right", "D": "left", "E": "begin", "F": "end", "H": "home",
    "P": "f1", "Q": "f2", "R": "f3", "S": "f4", "Z": "shift+tab",
}  # fmt: skip

CSI_TILDE: dict[int, str] = {
    1: "home", 2: "insert", 3: "delete", 4: "end", 5: "pageup", 6: "pagedown", 7: "home", 8: "end",
    11: "f1", 12: "f2", 13: "f3", 14: "f4", 15: "f5", 17: "f6", 18: "f7", 19: "f8", 20: "f9",
    21: "f10", 23: "f11", 24: "f12", 25: "f13", 26: "f14", 28: "f15", 29: "f16", 31: "f17",
    32: "f18", 33: "f19", 34: "f20",
}  # fmt: skip

# ESC O x: application cursor keys, VT100 function keys, the keypad, rxvt's Ctrl+arrows.
SS3_FINAL: dict[str, str] = {
    "A": "up", "B": "down", "C": "right", "D": "left", "E": "begin", "F": "end", "H": "home",
    "P": "f1", "Q": "f2", "R": "f3", "S": "f4", "M": "enter", "a": "ctrl+up", "b": "ctrl+down",
    "c": "ctrl+right", "d": "ctrl+left", "j": "*", "k": "+", "l": ",", "m": "-", "n": ".", "o": "/",
    "p": "0", "q": "1", "r": "2", "s": "3", "t": "4", "u": "5", "v": "6", "w": "7", "x": "8", "y": "9",
}  # fmt: skip

# rxvt: ESC [ a is Shift+Up
RXVT_FINAL = {"a": "shift+up", "b": "shift+down", "c": "shift+right", "d": "shift+left"}

# Codes of the kitty protocol; "" marks keys that do nothing on their own.
KITTY_CODES: dict[int, str] = {
    9: "tab", 13: "enter", 27: "escape", 127: "backspace", 8: "backspace",
    57345: "", 57358: "", 57359: "", 57360: "", 57361: "", 57362: "", 57363: "",
    **{57364 + n: f"f{n + 1}" for n in range(35)},
    57399: "0", 57400: "1", 57401: "2", 57402: "3", 57403: "4", 57404: "5", 57405: "6", 57406: "7",
    57407: "8", 57408: "9", 57409: ".", 57410: "/", 57411: "*", 57412: "-", 57413: "+",
    57414: "enter", 57415: "=", 57416: ",", 57417: "left", 57418: "right", 57419: "up", 57420: "down",
    57421: "pageup", 57422: "pagedown", 57423: "home", 57424: "end", 57425: "insert", 57426: "delete",
    57427: "begin",
    **dict.fromkeys(range(57428, 57455), ""),
}  # fmt: skip


def modified(name: str, mods: int) -> str:
    """Returns the key's name with xterm's modifier number (1 + 1 shift + 2 alt + 4 ctrl) spelled out."""
    bits = max(0, mods - 1)
    shift, alt, ctrl = bits & 1, bits & 2, bits & 4
    if name.startswith("shift+"):
        shift, name = 1, name[6:]
    if name.startswith("ctrl+"):
        ctrl, name = 4, name[5:]
    return ("ctrl+" if ctrl else "") + ("alt+" if alt else "") + ("shift+" if shift else "") + name
