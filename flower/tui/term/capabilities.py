"""What a terminal can do, from its terminfo entry, the environment and its own answers.

Terminfo is a function, the environment a mapping. Never asks the terminal: ``terminal`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flower.tui.render.style import TRUE_COLOR
from flower.tui.term.inputs import Reply
from flower.tui.term.pen import Capabilities

# Returns a capability's bytes, number or truth; None when the terminal has no such capability.
Terminfo = Callable[[str], "bytes | int | bool | None"]

# Terminals that take questions badly: old consoles print the last letter of DECRQM.
_SILENT = ("linux", "vt", "ansi", "cons25", "dumb", "unknown", "sun", "pcansi", "cygwin")
SYNC_MODE, MARGIN_MODE, PASTE_MODE = "mode:2026", "mode:69", "mode:2004"
SUPPORTED = ("1", "2", "3")  # what a terminal says of a mode that it has: on, off, always on


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
    count = terminfo("colors") if terminfo is not None else None
    if not isinstance(count, int):
        return 256 if terminfo is None or "256color" in term else 0
    if count >= 256:
        return 256
    if count >= 16 or (count >= 8 and not term.startswith(("vt", "ansi", "sun", "pcansi"))):
        return 16  # all of them show the bright colours 90-97
    return 8 if count >= 8 else 0


def more_colors(term: str, environ: Mapping[str, str], before: int, library: int) -> int:
    """Returns the number of colours when a library knows of another one than was there ``before``."""
    if library < TRUE_COLOR or (term.startswith("screen") and not environ.get("TMUX")):
        return before
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


def refined(caps: Capabilities, reply: Reply) -> Capabilities:
    """Returns the capabilities with what an answer of the terminal says about modes and widths."""
    supported = reply.value in SUPPORTED
    if reply.kind == SYNC_MODE and supported:
        return caps._replace(sync=True)
    if reply.kind == MARGIN_MODE and supported and caps.scroll_count:
        return caps._replace(margins=True)
    if reply.kind == "cursor" and reply.value.startswith("2;"):
        columns = int(reply.value[2:]) - 1  # that the box line in the second row took
        return caps._replace(ambiguous_wide=columns == 2, utf8=caps.utf8 and columns <= 2)
    return caps


def terminfo_of(term: str) -> Terminfo | None:
    """Returns a look-up in the terminfo entry of ``term``, None when there is none."""
    try:
        import curses
    except ImportError:
        return None  # a Python built without curses
    try:
        curses.setupterm(term, 1)
    except (curses.error, TypeError):
        return None

    def look_up(name: str) -> bytes | int | bool | None:
        if name == "bce":
            return curses.tigetflag(name) > 0
        if name == "colors":
            number = curses.tigetnum(name)
            return number if number >= 0 else None
        return curses.tigetstr(name)

    return look_up
