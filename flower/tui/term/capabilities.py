"""What a terminal can do, from its terminfo entry and the environment.

Terminfo is a function, the environment a mapping. Never asks the terminal; its answers refine the
result in ``terminal``.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping

from flower.tui.render.style import TRUE_COLOR
from flower.tui.term.key_names import modified
from flower.tui.term.pen import Capabilities

# Returns a capability's bytes, number or truth; None when the terminal has no such capability.
Terminfo = Callable[[str], "bytes | int | bool | None"]

# Terminals that take questions badly: old consoles print the last letter of DECRQM.
_SILENT = ("linux", "vt", "ansi", "cons25", "dumb", "unknown", "sun", "pcansi", "cygwin")


def usable(term: str, terminfo: Terminfo | None) -> bool:
    """True when cells can be addressed with ANSI sequences on this terminal."""
    if term in ("", "dumb", "unknown"):
        return False
    if terminfo is None:
        return True  # no entry for the name: nearly everything made today speaks ANSI
    address = terminfo("cup")
    return isinstance(address, bytes) and address.startswith(b"\x1b[")


def answers(term: str) -> bool:
    """True when it is safe to ask this kind of terminal questions."""
    return not term.startswith(_SILENT)


def is_utf8(environ: Mapping[str, str]) -> bool:
    """True when the locale says that text is UTF-8 (the first of LC_ALL, LC_CTYPE, LANG that is set)."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        value = environ.get(name, "")
        if value:
            return "utf8" in value.lower().replace("-", "")
    return False


def colors(term: str, environ: Mapping[str, str], terminfo: Terminfo | None) -> int:
    """Returns the number of colours: 0, 8, 16, 256 or 1 << 24.

    ``NO_COLOR`` (https://no-color.org) wins; then ``COLORTERM``, then terminfo.
    """
    if environ.get("NO_COLOR"):
        return 0
    true_color = environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    # GNU screen passes COLORTERM on but does not understand true colour.
    if (true_color and (not term.startswith("screen") or environ.get("TMUX"))) or term.endswith(
        "-direct"
    ):
        return TRUE_COLOR
    known = terminfo("colors") if terminfo is not None else None
    if not isinstance(known, int):
        return 256 if terminfo is None or "256color" in term else 0
    if known >= 256:
        return 256
    if known >= 16 or (known >= 8 and not term.startswith(("vt", "ansi", "sun", "pcansi"))):
        return 16  # all of them show the bright colours 90-97
    return 8 if known >= 8 else 0


def refined(term: str, environ: Mapping[str, str], known: int, found: int) -> int:
    """Returns the number of colours when a library ``found`` another one than is ``known``."""
    if found < TRUE_COLOR or (term.startswith("screen") and not environ.get("TMUX")):
        return known
    return TRUE_COLOR


def detect(term: str, environ: Mapping[str, str], terminfo: Terminfo | None) -> Capabilities:
    """Returns what the terminal named ``term`` can do; ``terminfo`` None: it has no entry."""
    shades, utf8 = colors(term, environ, terminfo), is_utf8(environ)
    if terminfo is None:
        return Capabilities(
            colors=shades, utf8=utf8, erase_chars=True, scroll_count=True, insert_delete_char=True
        )

    def has(name: str) -> bool:
        return bool(terminfo(name))

    return Capabilities(
        colors=shades,
        utf8=utf8,
        italic=has("sitm"),
        dim=has("dim"),
        bce=has("bce"),
        columns_absolute=has("hpa"),
        rows_absolute=has("vpa"),
        erase_chars=has("ech"),
        repeat=has("rep"),
        scroll_region=has("csr"),
        scroll_count=has("indn") and has("rin"),
        insert_delete_line=has("il") and has("dl"),
        insert_delete_char=has("ich") and has("dch"),
    )


# --- What the blessed library knows about a terminal: its colours and its keys.
#
# Owns the only import of blessed; never lets it touch the tty. blessed's own ``Terminal`` would ask the
# terminal questions and wait for the answers, up to ten seconds on a silent one; on a stream in memory
# it asks none.
#
# It answers once, so the face runs it as a program (``python -m flower.tui.term.capabilities TERM``): the 6 MB that
# blessed and its tables take go with that process, and keys stay live while it is imported.

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
