"""What the blessed library knows about a terminal: its colours and its keys.

Owns the only import of blessed; never lets it touch the tty. blessed's own ``Terminal`` would ask the
terminal questions and wait for the answers, up to ten seconds on a silent one; on a stream in memory
it asks none.

It answers once, so the face runs it as a program (``python -m flower.tui._blessed TERM``): the 6 MB that
blessed and its tables take go with that process, and keys stay live while it is imported.
"""

from __future__ import annotations

import io
import json
import os
import sys

from flower.tui._keynames import modified

# blessed's names of keys -> ours. F-keys and the shifted ones follow a pattern.
_NAMES = {
    "KEY_UP": "up", "KEY_DOWN": "down", "KEY_LEFT": "left", "KEY_RIGHT": "right", "KEY_HOME": "home",
    "KEY_END": "end", "KEY_PGUP": "pageup", "KEY_PGDOWN": "pagedown", "KEY_INSERT": "insert",
    "KEY_DELETE": "delete", "KEY_DC": "delete", "KEY_IC": "insert", "KEY_ENTER": "enter",
    "KEY_BACKSPACE": "backspace", "KEY_TAB": "tab", "KEY_BTAB": "shift+tab", "KEY_BEGIN": "begin",
    "KEY_CENTER": "begin", "KEY_SLEFT": "shift+left", "KEY_SRIGHT": "shift+right", "KEY_SUP": "shift+up",
    "KEY_SDOWN": "shift+down", "KEY_SHOME": "shift+home", "KEY_SEND": "shift+end",
    "KEY_SDC": "shift+delete", "KEY_NPAGE": "pagedown", "KEY_PPAGE": "pageup",
}  # fmt: skip


def ask(term: str) -> tuple[int, dict[bytes, str]]:
    """Returns the number of colours and the key sequences of the terminal named ``term``."""
    # Set before blessed is imported, in case a later version asks questions here after all.
    os.environ.setdefault("BLESSED_QUERY_TIMEOUT_SECONDS", "0.05")
    import blessed
    from blessed.keyboard import get_keyboard_codes, get_keyboard_sequences

    terminal = blessed.Terminal(kind=term or None, stream=io.StringIO(), force_styling=True)
    codes = get_keyboard_codes()
    sequences: dict[bytes, str] = {}
    for raw, code in get_keyboard_sequences(terminal).items():
        name = _name(codes.get(code, ""))
        if name and len(raw) > 1 and raw.startswith("\x1b"):
            sequences[raw.encode("latin-1", "replace")] = name
    return terminal.number_of_colors, sequences


def answer(term: str) -> str:
    """Returns what ``ask`` found as one line of JSON; byte sequences are Latin-1 text in it."""
    colors, sequences = ask(term)
    return json.dumps([colors, {raw.decode("latin-1"): name for raw, name in sequences.items()}])


def understood(line: bytes) -> tuple[int, dict[bytes, str]]:
    """Returns what an ``answer`` says. Raises ``ValueError`` when it is none."""
    colors, sequences = json.loads(line)
    return int(colors), {raw.encode("latin-1"): str(name) for raw, name in sequences.items()}


def _name(key: str) -> str:
    if key in _NAMES:
        return _NAMES[key]
    number = key.removeprefix("KEY_F")
    if key.startswith("KEY_F") and number.isdigit() and 1 <= int(number) <= 12:
        return modified(f"f{number}", 1)
    return ""


if __name__ == "__main__":
    print(answer(sys.argv[1]))
