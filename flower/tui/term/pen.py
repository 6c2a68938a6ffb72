"""The pen: writes cells, moves and erases with the fewest bytes, and knows where that leaves it.

Owns the model of the terminal's cursor and current style; never decides what to draw. Where
terminals may disagree with the model the position becomes unknown, so that the next move is absolute.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

from flower.tui.render import cell_width
from flower.tui.render.style import PLAIN, Style, blank, sgr


class Capabilities(NamedTuple):
    """What a terminal can do. The defaults are what every VT100 descendant of today does."""

    colors: int = 256  # 0 (none), 8, 16, 256 or 1 << 24
    utf8: bool = True
    italic: bool = True
    dim: bool = True
    bce: bool = False  # erasing and scrolling paint in the pen's background
    columns_absolute: bool = True  # CHA
    rows_absolute: bool = True  # VPA
    erase_chars: bool = False  # ECH
    repeat: bool = False  # REP
    scroll_region: bool = True  # DECSTBM
    scroll_count: bool = False  # SU and SD
    insert_delete_line: bool = True  # IL and DL
    insert_delete_char: bool = False  # ICH and DCH
    margins: bool = False  # DECSLRM, once the terminal has said so
    sync: bool = False  # mode 2026, once the terminal has said so
    graphics: bool = False  # kitty's protocol, once the terminal has said so
    sixel: bool = False  # among the attributes that the terminal has named
    cell: tuple[int, int] = (0, 0)  # its width and height in pixels, once the terminal has said so
    registers: int = 64  # colours of sixels; fewer where the terminal says so
    ambiguous_wide: bool = False  # quotes and boxes may take two columns here


# The look of erased cells when their background is not known: equal to that of no cell.
UNPAINTED = Style(bg=-1)


class Saved(NamedTuple):
    """What DECSC keeps."""

    x: int
    y: int
    style: Style


class Pen:
    """Collects escape text; ``x`` and ``y`` are None when the terminal's position is not certain."""

    __slots__ = ("base", "caps", "columns", "lines", "out", "saved", "style", "x", "y")

    def __init__(self, caps: Capabilities, base: Style = PLAIN) -> None:
        self.caps = caps
        self.base = base  # every style is laid on this one
        self.out: list[str] = []
        self.columns = 0
        self.lines = 0
        self.x: int | None = None
        self.y: int | None = None
        self.style: Style | None = None
        self.saved: Saved | None = None

    def forget(self) -> None:
        """Takes nothing about the terminal for granted any more."""
        self.x = self.y = self.style = self.saved = None

    # --- styles ---------------------------------------------------------------------------------

    def dressing(self, style: Style, before: Style | None) -> str:
        """Returns the escape text from one style to another on this terminal."""
        return sgr(before, self.reduced(style), self.caps.colors)

    def reduced(self, style: Style) -> Style:
        """Returns what this terminal shows of ``style``, laid on the base style."""
        return _reduced(style, self.base, self.caps.colors > 0, self.caps.italic, self.caps.dim)

    def dress(self, style: Style) -> None:
        """Changes the pen to ``style``."""
        style = self.reduced(style)
        if style != self.style:
            self.out.append(sgr(self.style, style, self.caps.colors))
            self.style = style

    def fits_blank(self, style: Style) -> bool:
        """True when a space drawn with the pen as it is looks like a space in ``style``."""
        pen, style = self.style, self.reduced(style)
        if pen is None or style.underline or style.reverse or pen.underline or pen.reverse:
            return pen == style
        return pen.bg == style.bg

    def dress_blank(self, style: Style) -> None:
        """Changes the pen so far that spaces look like ``style``."""
        if not self.fits_blank(style):
            self.dress(style)

    # --- moves ----------------------------------------------------------------------------------

    def move(self, x: int, y: int) -> None:
        """Moves to a column and line, from 0."""
        if x != self.x or y != self.y:
            self.out.append(self.moving(x, y))
            self.x, self.y = x, y

    def moving(self, x: int, y: int) -> str:
        """Returns the shortest escape text that moves there."""
        if x == self.x and y == self.y:
            return ""
        best = _cup(x, y)
        if self.y is None:
            return best
        for vertical in self._vertical(y):
            for horizontal in self._horizontal(self.x, x):
                if len(vertical) + len(horizontal) < len(best):
                    best = vertical + horizontal
        return best

    def _vertical(self, y: int) -> list[str]:
        here = self.y
        if here is None or here == y:
            return [""]
        ways = [_csi(abs(y - here), "B" if y > here else "A")]
        if y > here:
            ways.append("\n" * (y - here))  # output is raw: LF keeps the column
        if self.caps.rows_absolute:
            ways.append(f"\x1b[{y + 1}d")
        return ways

    def _horizontal(self, here: int | None, x: int) -> list[str]:
        if here == x:
            return [""]
        ways = ["\r" + (_csi(x, "C") if x else "")]
        if self.caps.columns_absolute:
            ways.append(_csi(x + 1, "G"))
        if here is not None:
            ways += [_csi(x - here, "C")] if x > here else ["\b" * (here - x), _csi(here - x, "D")]
        return ways

    # --- cells ----------------------------------------------------------------------------------

    def write(self, glyphs: str, count: int) -> None:
        """Writes ``count`` columns of sure glyphs at the pen, in its style."""
        self.out.append(glyphs if self.caps.utf8 else to_ascii(glyphs))
        self._advance(count)

    def write_repeated(self, glyph: str, count: int) -> None:
        """Writes one narrow glyph ``count`` times."""
        if not self.caps.utf8:
            glyph = to_ascii(glyph)
        plain = glyph * count
        # ASCII only, as curses does it: tmux and others repeat nothing else, whatever terminfo says.
        short = f"{glyph}\x1b[{count - 1}b"
        if self.caps.repeat and glyph.isascii() and len(short) < len(plain):
            plain = short
        self.out.append(plain)
        self._advance(count)

    def write_unsure(self, cluster: str, count: int) -> None:
        """Writes a glyph whose columns the terminal may see differently."""
        if count == 2:
            # If the terminal takes one column only, the second must not keep what was there.
            self._blank_two()
        self.out.append(cluster)
        self.x = None

    def _blank_two(self) -> None:
        x, y = self.x, self.y
        if x is None or y is None or x + 2 < self.columns:
            self.out.append("  \b\b")
            return
        self.out.append("  ")
        self.x = None  # at the right edge terminals differ in what a backspace does
        self.move(x, y)

    def _advance(self, count: int) -> None:
        # Autowrap is off: at the right edge terminals differ in where the cursor is now.
        if self.x is not None:
            self.x += count
            if self.x >= self.columns:
                self.x = None

    def erase_to_end(self) -> None:
        """Blanks the rest of the line in the pen's background."""
        self.out.append("\x1b[K")

    def erase_ahead(self, count: int) -> None:
        """Blanks ``count`` columns in the pen's background; the pen stays."""
        self.out.append(_csi(count, "X"))

    def can_erase(self, style: Style) -> bool:
        """True when erased cells look like a space in ``style``, with the pen dressed for it."""
        style = self.reduced(style)
        return not (style.underline or style.reverse) and (style.bg is None or self.caps.bce)

    def erased(self, ideal: Style) -> Style:
        """Returns the look that erased cells can have here, at best that of a space in ``ideal``."""
        for style in (ideal, PLAIN):
            if self.can_erase(style):
                return blank(style)
        return UNPAINTED

    def prepare(self, look: Style) -> None:
        """Dresses the pen so that erased cells get ``look``, which comes from ``erased``."""
        self.dress_blank(PLAIN if look is UNPAINTED else look)

    def clear(self, look: Style) -> None:
        """Blanks the whole screen; the cells have ``look``, which comes from ``erased``."""
        self.prepare(look)
        self.out.append("\x1b[H\x1b[2J")
        self.x = self.y = 0

    def shift_cells(self, count: int, look: Style) -> None:
        """Moves the rest of the line right (left when negative); blanks in ``look`` come in."""
        self.prepare(look)
        self.out.append(_csi(abs(count), "@" if count > 0 else "P"))

    def put(self, escape: str) -> None:
        """Writes an escape sequence that neither moves nor dresses the pen."""
        self.out.append(escape)


@lru_cache(maxsize=2048)
def _reduced(style: Style, base: Style, colored: bool, italic: bool, dim: bool) -> Style:
    style = style.over(base)
    if style.italic and not italic:
        style = style._replace(italic=False, bold=True)  # not underlined: that shows on spaces too
    if style.dim and not dim:
        style = style._replace(dim=False)
    return style if colored else style._replace(fg=None, bg=None)


def _csi(number: int, final: str) -> str:
    return f"\x1b[{final}" if number == 1 else f"\x1b[{number}{final}"


def _cup(x: int, y: int) -> str:
    line = str(y + 1) if y else ""
    return f"\x1b[{line};{x + 1}H" if x else f"\x1b[{line}H"


_ASCII = str.maketrans(
    {
        **dict.fromkeys("─━═╌╍┄┅┈┉╴╶‐‑‒–—―−", "-"),
        **dict.fromkeys("│┃║╎╏┆┇┊┋╵╷", "|"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝╠╣╦╩╬┏┓┗┛", "+"),
        **dict.fromkeys("‘’‚‛′", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("•·●◆■▪", "*"),
        **dict.fromkeys("▌▍▎▏█▉▊▋▐", "#"),
        **dict.fromkeys("→▶›▸", ">"),
        **dict.fromkeys("←◀‹◂", "<"),
        "…": ".",
        "✓": "v",
        "✗": "x",
        "ß": "s",
        "æ": "a",
        "Æ": "A",
        "ø": "o",
        "Ø": "O",
    }
)


def to_ascii(glyphs: str) -> str:
    """Returns ``glyphs`` for a terminal without UTF-8, in the same number of columns."""
    if glyphs.isascii():
        return glyphs
    parts = []
    for cluster in cell_width.split(glyphs.translate(_ASCII)):
        base = unicodedata.normalize("NFKD", cluster)[0]
        fallback = base if " " <= base <= "~" else "?"
        parts.append(fallback * cell_width.cluster_width(cluster))
    return "".join(parts)
