"""What a terminal can do, from its terminfo entry and the environment.

Terminfo is a function, the environment a mapping. Never asks the terminal; its answers refine the
result in ``terminal``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flower.tui.render.style import TRUE_COLOR
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
    count = terminfo("colors") if terminfo is not None else None
    if not isinstance(count, int):
        return 256 if terminfo is None or "256color" in term else 0
    if count >= 256:
        return 256
    if count >= 16 or (count >= 8 and not term.startswith(("vt", "ansi", "sun", "pcansi"))):
        return 16  # all of them show the bright colours 90-97
    return 8 if count >= 8 else 0


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
