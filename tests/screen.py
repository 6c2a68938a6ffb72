"""A terminal for tests: pyte's parser over an honest grid of cells.

pyte's own screen lacks repetition, left and right margins, counted scrolls, dim text and background
colour erase, and draws clusters code point by code point. This one has them, fails on any sequence it
does not know, and can be told to disagree with us about the width of clusters, as many terminals do.
"""

from __future__ import annotations

from typing import Any

import pyte
import wcwidth
from pyte.streams import ByteStream

from flower.tui.render import cell_width
from flower.tui.render.frame import Frame, Row
from flower.tui.render.style import PLAIN, TRUE_COLOR, Style, blank, palette_16, palette_256
from flower.tui.term.pen import Capabilities, to_ascii

Cell = tuple[str, Style]
# Colours of a palette entry are kept apart from the colour they stand for.
PALETTE = 1 << 32
_KNOWN_MODES = {7, 25, 69, 1000, 1002, 1004, 1006, 1049, 2004, 2026}


class Stream(ByteStream):
    csi = {  # noqa: RUF012 - overrides pyte's class attribute
        **ByteStream.csi,
        "S": "scroll_up",
        "T": "scroll_down",
        "b": "repeat",
        "s": "set_left_right",
    }
    events = frozenset({*ByteStream.events, "scroll_up", "scroll_down", "repeat", "set_left_right"})


class Screen(pyte.Screen):
    """``bce``: erased cells take the pen's background. ``clusters`` False: code points are drawn singly."""

    def __init__(self, columns: int, lines: int, *, bce: bool = False, clusters: bool = True) -> None:
        self.bce = bce
        self.clusters = clusters
        self.grid: list[list[Cell]] = [[(" ", PLAIN)] * columns for _ in range(lines)]
        self.pen = PLAIN
        self.x = self.y = 0
        self.region = (0, lines)
        self.sides = (0, columns)
        self.side_mode = False
        self.autowrap = False
        self.visible = True
        self.saved: tuple[int, int, Style] | None = None
        self.last = " "
        self.drawn = 0
        super().__init__(columns, lines)
        self.stream = Stream(self)

    def feed(self, data: bytes) -> Screen:
        self.stream.feed(data)
        return self

    # --- what the tests look at -----------------------------------------------------------------

    @property
    def text(self) -> list[str]:
        return ["".join(glyph for glyph, _ in line) for line in self.grid]

    def looks(self) -> list[list[Cell]]:
        return [[_look(cell) for cell in line] for line in self.grid]

    def debug(self, *args: Any, **kwargs: Any) -> None:
        raise AssertionError(f"a sequence that is not part of our set: {args} {kwargs}")

    def set_title(self, param: str) -> None:
        raise AssertionError(f"a title: {param!r}")

    set_icon_name = set_title

    # --- drawing --------------------------------------------------------------------------------

    def draw(self, data: str) -> None:
        self.drawn += len(data)
        pieces = cell_width.split(data) if self.clusters else list(data)
        for piece in pieces:
            assert piece.isprintable() or len(piece) > 1 or not self.clusters, repr(piece)
            size = cell_width.cluster_width(piece) if self.clusters else max(0, wcwidth.wcwidth(piece))
            if size:
                self._place(piece, size)
            else:
                self._attach(piece)

    def _place(self, glyph: str, size: int) -> None:
        assert not self.autowrap
        left, right = self._bounds()
        del left
        x = min(self.x, right - size)  # no autowrap: the last columns are written over
        line = self.grid[self.y]
        for column in range(x, x + size):
            self._break_wide(line, column)
        line[x] = (glyph, self.pen)
        if size == 2:
            line[x + 1] = ("", self.pen)
        self.last = glyph
        self.x = min(x + size, right - 1)
        self.at_edge = x + size > right - 1

    def _attach(self, mark: str) -> None:
        x = max(0, self.x - (0 if self.at_edge else 1))
        line = self.grid[self.y]
        if line[x][0] == "" and x:
            x -= 1
        line[x] = (line[x][0] + mark, line[x][1])

    at_edge = False

    def _break_wide(self, line: list[Cell], column: int) -> None:
        """Writing over one half of a wide glyph blanks the other."""
        if line[column][0] == "" and column:
            line[column - 1] = (" ", line[column - 1][1])
        if column + 1 < self.columns and line[column + 1][0] == "":
            line[column + 1] = (" ", line[column + 1][1])

    def repeat(self, count: int = 1) -> None:
        for _ in range(count or 1):
            self._place(self.last, 1)

    def _bounds(self) -> tuple[int, int]:
        left, right = self.sides
        inside = left <= self.x < right
        return (left, right) if inside else (0, self.columns)

    # --- moving ---------------------------------------------------------------------------------

    def _go(self, x: int, y: int) -> None:
        self.x = max(0, min(x, self.columns - 1))
        self.y = max(0, min(y, self.lines - 1))
        self.at_edge = False

    def cursor_position(self, line: int | None = None, column: int | None = None) -> None:
        self._go((column or 1) - 1, (line or 1) - 1)

    def cursor_to_column(self, column: int | None = None) -> None:
        self._go((column or 1) - 1, self.y)

    def cursor_to_line(self, line: int | None = None) -> None:
        self._go(self.x, (line or 1) - 1)

    def cursor_up(self, count: int | None = None) -> None:
        self._go(self.x, self.y - (count or 1))

    def cursor_down(self, count: int | None = None) -> None:
        self._go(self.x, self.y + (count or 1))

    def cursor_forward(self, count: int | None = None) -> None:
        self._go(self.x + (count or 1), self.y)

    def cursor_back(self, count: int | None = None) -> None:
        self._go(self.x - (count or 1), self.y)

    def backspace(self) -> None:
        self._go(self.x - 1, self.y)

    def carriage_return(self) -> None:
        self._go(self.sides[0] if self.x >= self.sides[0] else 0, self.y)

    def linefeed(self) -> None:
        if self.y == self.region[1] - 1:
            self.scroll_up(1)
        else:
            self._go(self.x, self.y + 1)

    def reverse_index(self) -> None:
        if self.y == self.region[0]:
            self.scroll_down(1)
        else:
            self._go(self.x, self.y - 1)

    def save_cursor(self) -> None:
        self.saved = (self.x, self.y, self.pen)

    def restore_cursor(self) -> None:
        assert self.saved is not None
        x, y, self.pen = self.saved
        self._go(x, y)

    # --- scrolling ------------------------------------------------------------------------------

    def set_margins(self, top: int | None = None, bottom: int | None = None, **kwargs: Any) -> None:
        first, last = (top or 1) - 1, bottom or self.lines
        assert 0 <= first < last - 1 < self.lines, "a region has at least two lines"
        self.region = (first, last)
        self._go(0, 0)

    def set_left_right(self, left: int = 1, right: int = 0) -> None:
        assert self.side_mode
        assert 0 < left < right <= self.columns
        self.sides = (left - 1, right)
        self._go(0, 0)

    def _shift(self, top: int, bottom: int, by: int) -> None:
        """Moves the lines of a region up by ``by`` (down when negative)."""
        left, right = self.sides
        old = [line[left:right] for line in self.grid]
        for y in range(top, bottom):
            source = y + by
            inside = top <= source < bottom
            self.grid[y][left:right] = old[source] if inside else [self._empty()] * (right - left)

    def scroll_up(self, count: int = 1) -> None:
        self._shift(*self.region, count or 1)

    def scroll_down(self, count: int = 1) -> None:
        self._shift(*self.region, -(count or 1))

    def insert_lines(self, count: int | None = None) -> None:
        if self.region[0] <= self.y < self.region[1]:
            self._shift(self.y, self.region[1], -(count or 1))
            self.carriage_return()

    def delete_lines(self, count: int | None = None) -> None:
        if self.region[0] <= self.y < self.region[1]:
            self._shift(self.y, self.region[1], count or 1)
            self.carriage_return()

    # --- erasing --------------------------------------------------------------------------------

    def _empty(self) -> Cell:
        return (" ", Style(bg=self.pen.bg) if self.bce else PLAIN)

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        assert how == 0
        self._break_wide(self.grid[self.y], self.x)
        self.grid[self.y][self.x :] = [self._empty()] * (self.columns - self.x)

    def erase_characters(self, count: int | None = None) -> None:
        end = min(self.columns, self.x + (count or 1))
        self._break_wide(self.grid[self.y], self.x)
        self._break_wide(self.grid[self.y], end - 1)
        self.grid[self.y][self.x : end] = [self._empty()] * (end - self.x)

    def insert_characters(self, count: int | None = None) -> None:
        line = self.grid[self.y]
        self._break_wide(line, self.x)
        line[self.x : self.x] = [self._empty()] * (count or 1)
        del line[self.columns :]

    def delete_characters(self, count: int | None = None) -> None:
        line = self.grid[self.y]
        end = min(self.columns, self.x + (count or 1))
        self._break_wide(line, self.x)
        self._break_wide(line, end - 1)
        line += [self._empty()] * (end - self.x)
        del line[self.x : end]

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        assert how == 2
        self.grid = [[self._empty()] * self.columns for _ in range(self.lines)]

    # --- modes and styles -----------------------------------------------------------------------

    def reset(self) -> None:
        """pyte calls this from its constructor."""
        super().reset()

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        self._mode(modes, on=True)

    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        self._mode(modes, on=False)

    def _mode(self, modes: tuple[int, ...], *, on: bool) -> None:
        for mode in modes:
            assert mode in _KNOWN_MODES, mode
            if mode == 7:
                self.autowrap = on
            elif mode == 25:
                self.visible = on
            elif mode == 69:
                self.side_mode = on
                self.sides = (0, self.columns)

    def select_graphic_rendition(self, *attrs: int, **kwargs: Any) -> None:
        codes = list(attrs) or [0]
        pen = self.pen
        while codes:
            code = codes.pop(0)
            if code == 0:
                pen = PLAIN
            elif code in _FLAGS:
                name, value = _FLAGS[code]
                pen = pen._replace(**{name: value})
            elif code == 22:
                pen = pen._replace(bold=False, dim=False)
            elif code in (38, 48):
                if codes.pop(0) == 5:
                    color = PALETTE + codes.pop(0)
                else:
                    color = codes.pop(0) << 16 | codes.pop(0) << 8 | codes.pop(0)
                pen = pen._replace(fg=color) if code == 38 else pen._replace(bg=color)
            elif code in (39, 49):
                pen = pen._replace(fg=None) if code == 39 else pen._replace(bg=None)
            else:
                index, field = _sixteen(code)
                pen = (
                    pen._replace(fg=PALETTE + index)
                    if field == "fg"
                    else pen._replace(bg=PALETTE + index)
                )
        self.pen = pen


_FLAGS = {
    1: ("bold", True), 2: ("dim", True), 3: ("italic", True), 4: ("underline", True), 7: ("reverse", True),
    23: ("italic", False), 24: ("underline", False), 27: ("reverse", False),
}  # fmt: skip


def _sixteen(code: int) -> tuple[int, str]:
    for base, field in ((30, "fg"), (40, "bg")):
        if base <= code < base + 8:
            return code - base, field
        if base + 60 <= code < base + 68:
            return code - base - 60 + 8, field
    raise AssertionError(f"unknown SGR {code}")


def _look(cell: Cell) -> Cell:
    """Two cells that look the same are equal: the ink of a space does not show."""
    glyph, style = cell
    return (glyph, blank(style)) if glyph == " " else cell


def expected(frame: Frame, caps: Capabilities, base: Style = PLAIN) -> list[list[Cell]]:
    """Returns what a terminal with ``caps`` should show."""
    return [_expected_row(row, caps, base) for row in frame.rows]


def _expected_row(row: Row, caps: Capabilities, base: Style) -> list[Cell]:
    cells = []
    for index, (glyph, style) in enumerate(row.cells):
        shown = glyph
        if not caps.utf8:
            shown = _ascii_glyph(row.glyphs, index)
        cells.append(_look((shown, reduced(style.over(base), caps))))
    return cells


def _ascii_glyph(glyphs: str | tuple[str, ...], index: int) -> str:
    glyph = glyphs[index]
    lead = glyphs[index - 1] if glyph == "" else glyph
    return to_ascii(lead)[1 if glyph == "" else 0]


def reduced(style: Style, caps: Capabilities) -> Style:
    """Returns the style as this screen records it."""
    if style.italic and not caps.italic:
        style = style._replace(italic=False, bold=True)
    if not caps.dim:
        style = style._replace(dim=False)
    return style._replace(fg=_color(style.fg, caps.colors), bg=_color(style.bg, caps.colors))


def _color(color: int | None, colors: int) -> int | None:
    if color is None or not colors:
        return None
    index, exact = palette_256(color)
    if colors >= TRUE_COLOR:
        return PALETTE + index if exact else color
    if colors >= 256:
        return PALETTE + index
    index = palette_16(color)
    if colors < 16:
        index = 7 if index == 8 else index & 7
    return PALETTE + index
