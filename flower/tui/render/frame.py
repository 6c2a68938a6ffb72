"""Frames: what one screen shows, as immutable rows of cells.

Owns ``Row`` (glyphs and styles by column), ``Pane`` and ``Frame``; never produces bytes. ``Row.of`` is the
last gate before the terminal: whatever text goes in, only printable characters are in the cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from flower.tui.render import cell_width, text
from flower.tui.render.style import PLAIN, Span, Style

Run = tuple[Style, int]


class Row:
    """One line of cells, never changed after it is made; equal rows look equal.

    ``glyphs`` has one item per column: a ``str`` when every cell is one narrow code point (nearly
    always), else a tuple in which the right half of a wide glyph is ``""``. ``runs`` are the styles
    from left to right with their columns, neighbours different.
    """

    __slots__ = ("_hash", "glyphs", "runs", "width")

    glyphs: str | tuple[str, ...]
    runs: tuple[Run, ...]
    width: int

    def __init__(self, glyphs: str | Sequence[str], runs: Iterable[Run]) -> None:
        """``glyphs`` must be clean and the columns of ``runs`` must add up to their number."""
        self.glyphs = glyphs if isinstance(glyphs, str) else _compact(glyphs)
        self.runs = _merged(runs)
        self.width = len(self.glyphs)
        self._hash = 0

    @staticmethod
    def of(spans: Iterable[Span], width: int, fill: Style = PLAIN) -> Row:
        """Returns the row of ``spans`` cut or padded (with ``fill``) to exactly ``width`` columns."""
        pieces: list[str | list[str]] = []
        runs: list[Run] = []
        room = width
        for content, style in spans:
            if room <= 0:
                break
            if content.isascii() and content.isprintable():
                piece: str | list[str] = content[:room]
            else:
                piece = _glyphs(content, room)
            pieces.append(piece)
            runs.append((style, len(piece)))
            room -= len(piece)
        if room > 0:
            pieces.append(" " * room)
            runs.append((fill, room))
        return Row(_joined(pieces), runs)

    @staticmethod
    def blank(width: int, style: Style = PLAIN) -> Row:
        """Returns ``width`` columns of spaces."""
        return Row(" " * width, ((style, width),))

    @staticmethod
    def beside(*rows: Row) -> Row:
        """Returns the rows joined from left to right."""
        return Row(_joined([row.glyphs for row in rows]), chain.from_iterable(row.runs for row in rows))

    def slice(self, left: int, right: int) -> Row:
        """Returns the columns from ``left`` up to, not including, ``right``.

        A wide glyph that the cut would halve becomes a space.
        """
        glyphs = self.glyphs[left:right]
        if not isinstance(glyphs, str) and glyphs:
            halves = list(glyphs)
            if halves[0] == "":
                halves[0] = " "
            if right < self.width and self.glyphs[right] == "":
                halves[-1] = " "
            glyphs = tuple(halves)
        runs = []
        start = 0
        for style, count in self.runs:
            end = start + count
            if end > left and start < right:
                runs.append((style, min(end, right) - max(start, left)))
            start = end
        return Row(glyphs, runs)

    def styles(self) -> list[Style]:
        """Returns the style of every column."""
        styles: list[Style] = []
        for style, count in self.runs:
            styles += [style] * count
        return styles

    @property
    def cells(self) -> tuple[tuple[str, Style], ...]:
        """Glyph and style of every column; ``""`` is the right half of the glyph before it."""
        return tuple(zip(self.glyphs, self.styles(), strict=True))

    @property
    def text(self) -> str:
        """What a person reads on this row, padding included."""
        return "".join(self.glyphs)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Row):
            return NotImplemented
        return self.glyphs == other.glyphs and self.runs == other.runs

    def __hash__(self) -> int:
        if not self._hash:
            self._hash = hash((self.glyphs, self.runs))
        return self._hash

    def __repr__(self) -> str:
        return f"Row({self.text!r}, {len(self.runs)} runs)"


class Pane(NamedTuple):
    """The part of the screen that scrolls; ``bottom`` and ``right`` are not included."""

    top: int
    bottom: int
    left: int
    right: int


class Frame(NamedTuple):
    """One screen. All rows are equally wide; ``cursor`` is (x, y) from 0, None hides it."""

    rows: tuple[Row, ...]
    cursor: tuple[int, int] | None = None
    pane: Pane | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return (self.rows[0].width if self.rows else 0, len(self.rows))


def _compact(glyphs: Sequence[str]) -> str | tuple[str, ...]:
    joined = "".join(glyphs)
    # Equal lengths without an empty glyph: every glyph is one code point. Wide ones bring an empty one.
    if len(joined) == len(glyphs) and "" not in glyphs:
        return joined
    return tuple(glyphs)


def _joined(pieces: Sequence[str | Sequence[str]]) -> str | list[str]:
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(piece for piece in pieces if isinstance(piece, str))
    return list(chain.from_iterable(pieces))


def _merged(runs: Iterable[Run]) -> tuple[Run, ...]:
    merged: list[Run] = []
    for style, count in runs:
        if count == 0:
            continue
        if merged and (merged[-1][0] is style or merged[-1][0] == style):
            merged[-1] = (style, merged[-1][1] + count)
        else:
            merged.append((style, count))
    return tuple(merged)


def _cut_halves(glyphs: list[str], room: int) -> list[str]:
    cut = glyphs[:room]
    if glyphs[room] == "":
        cut[-1] = " "
    return cut


def _glyphs(content: str, room: int) -> str | list[str]:
    """Returns the glyphs of a text that is not plain ASCII, at most ``room`` columns of them."""
    content = text.clean(content).replace("\n", " ")
    if cell_width.SIMPLE(content):
        return content[:room]
    glyphs: list[str] = []
    if cell_width.is_sure(content):
        for char in content[:room]:
            glyphs += (char, "") if cell_width.char_width(char) == 2 else (char,)
        return glyphs if len(glyphs) <= room else _cut_halves(glyphs, room)
    for cluster in cell_width.split(content):
        if len(glyphs) >= room:
            break
        if cell_width.char_width(cluster[0]) == 0:
            cluster = " " + cluster  # a mark without a letter must not land on the cell before it
        if cell_width.cluster_width(cluster) == 1:
            glyphs.append(cluster)
        elif len(glyphs) + 2 <= room:
            glyphs += (cluster, "")
        else:
            glyphs.append(" ")  # half of a wide glyph cannot be shown
    return glyphs
