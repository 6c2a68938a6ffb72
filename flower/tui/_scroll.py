"""Scrolling: finds rows that only moved, and moves them on the terminal instead of redrawing them.

Owns the search for a shift and the choice of the cheapest way to scroll; never draws cells. After a
scroll the caller compares the next frame with the rows this module says are on the screen now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from flower.tui._pen import Capabilities, Pen
from flower.tui.frame import Frame, Pane, Row
from flower.tui.style import PLAIN, Style

Rows = Sequence[Row]

# Rough bytes of moving to a row, and of a scroll with its set-up: only used to choose, never to draw.
_ROW_BYTES = 8
_SCROLL_BYTES = 20
_MARGINS_BYTES = 32
_CANDIDATES = 3
_PLACES = 4  # of the same row looked at: a screen of equal rows must not cost a square


class Shift(NamedTuple):
    """Rows ``top`` to ``bottom`` (not included), columns ``left`` to ``right``, go up by ``by`` lines."""

    top: int
    bottom: int
    left: int
    right: int
    by: int  # negative: down


def find(prev: Rows, following: Frame, pane: Pane, caps: Capabilities) -> Shift | None:
    """Returns the scroll after which the least is left to draw, or None when none is worth it."""
    rows = following.rows
    top, bottom = max(0, pane.top), min(len(rows), pane.bottom)
    changed = [y for y in range(top, bottom) if prev[y] is not rows[y] and prev[y] != rows[y]]
    if len(changed) < 2:
        return None
    top, bottom = changed[0], changed[-1] + 1  # the rows outside have not moved
    full = pane.left <= 0 and pane.right >= rows[0].width
    old = [row if full else row.slice(pane.left, pane.right) for row in prev[top:bottom]]
    new = [row if full else row.slice(pane.left, pane.right) for row in rows[top:bottom]]
    best: Shift | None = None
    cheapest = _cost(prev, rows, top, bottom)
    for by in _shifts(old, new):
        for shift in _variants(top, bottom, pane, rows[0].width, by, caps):
            if not _applies(shift, prev, rows):
                continue
            after = moved(prev, shift, PLAIN)
            overhead = _MARGINS_BYTES if shift.right - shift.left < rows[0].width else _SCROLL_BYTES
            cost = overhead + _cost(after, rows, top, bottom)
            if cost < cheapest:
                best, cheapest = shift, cost
    return best


def _shifts(old: Rows, new: Rows) -> list[int]:
    """Returns the most frequent distances by which rows seem to have moved up, best first."""
    places: dict[Row, list[int]] = {}
    for index, row in enumerate(old):
        if not row.text.isspace():
            places.setdefault(row, []).append(index)
    votes: Counter[int] = Counter()
    for index, row in enumerate(new):
        for place in places.get(row, ())[:_PLACES]:
            if place != index:
                votes[place - index] += 1
    return [by for by, _ in votes.most_common(_CANDIDATES)]


def _variants(
    top: int, bottom: int, pane: Pane, width: int, by: int, caps: Capabilities
) -> list[Shift]:
    variants = []
    if caps.scroll_region or caps.insert_delete_line:
        variants.append(Shift(top, bottom, 0, width, by))
    left, right = max(0, pane.left), min(width, pane.right)
    # A margin region of one column is not valid.
    if caps.margins and caps.scroll_region and 2 <= right - left < width:
        variants.append(Shift(top, bottom, left, right, by))
    return variants


def _applies(shift: Shift, prev: Rows, rows: Rows) -> bool:
    """False when the region would cut a wide glyph in halves."""
    edges = [x for x in (shift.left, shift.right) if 0 < x < rows[0].width]
    return all(
        row.glyphs[x] != ""
        for y in range(shift.top, shift.bottom)
        for row in (prev[y], rows[y])
        for x in edges
        if not isinstance(row.glyphs, str)
    )


def _cost(old: Rows, new: Rows, top: int, bottom: int) -> int:
    """Returns about how many bytes it takes to draw the rows of ``new`` over ``old``."""
    cost = 0
    for before, after in zip(old[top:bottom], new[top:bottom], strict=True):
        if before is after or before == after:
            continue
        cost += _ROW_BYTES
        if isinstance(before.glyphs, str) and isinstance(after.glyphs, str):
            # Trailing blanks are erased at once.
            end = max(len(before.glyphs.rstrip()), len(after.glyphs.rstrip()))
            cost += sum(map(str.__ne__, before.glyphs[:end], after.glyphs[:end]))
        else:
            cost += sum(one != other for one, other in zip(before.glyphs, after.glyphs, strict=True))
        if before.runs != after.runs:
            cost += _ROW_BYTES
    return cost


def moved(rows: Rows, shift: Shift, fill: Style) -> list[Row]:
    """Returns the rows as they are after the scroll; the lines that came in are blank in ``fill``."""
    after = list(rows)
    width = rows[0].width
    whole = shift.left == 0 and shift.right == width
    empty = Row.blank(shift.right - shift.left, fill)
    for y in range(shift.top, shift.bottom):
        source = y + shift.by
        inside = shift.top <= source < shift.bottom
        if whole:
            after[y] = rows[source] if inside else empty
            continue
        middle = rows[source].slice(shift.left, shift.right) if inside else empty
        after[y] = Row.beside(rows[y].slice(0, shift.left), middle, rows[y].slice(shift.right, width))
    return after


def scroll(pen: Pen, shift: Shift, fill: Style) -> None:
    """Writes the scroll in its cheapest form; afterwards the pen's place is unknown or certain."""
    pen.prepare(fill)
    ways = _ways(pen, shift)
    best = min(ways, key=len)
    pen.put(best)
    pen.x = pen.y = None  # setting a region homes the cursor, but not on every terminal


def _ways(pen: Pen, shift: Shift) -> list[str]:
    caps, (top, bottom, left, right, by) = pen.caps, shift
    count = abs(by)
    lines = pen.lines
    number = "" if count == 1 else str(count)
    if left > 0 or right < pen.columns:
        region = f"\x1b[?69h\x1b[{left + 1};{right}s\x1b[{top + 1};{bottom}r"
        turn = f"\x1b[{number}S" if by > 0 else f"\x1b[{number}T"
        return [f"{region}{turn}\x1b[?69l\x1b[r"]
    ways = []
    if caps.scroll_region:
        region = f"\x1b[{top + 1};{bottom}r"
        if caps.scroll_count:
            ways.append(f"{region}\x1b[{number}{'S' if by > 0 else 'T'}\x1b[r")
        if by > 0:
            ways.append(f"{region}\x1b[{bottom}H" + "\n" * count + "\x1b[r")
        else:
            ways.append(f"{region}\x1b[{top + 1}H" + "\x1bM" * count + "\x1b[r")
    if caps.insert_delete_line:
        delete, insert = f"\x1b[{number}M", f"\x1b[{number}L"
        leaving, coming = (top, bottom - count) if by > 0 else (bottom - count, top)
        below = bottom < lines  # else the lines that leave fall off the screen
        if by > 0:
            ways.append(
                f"\x1b[{leaving + 1}H{delete}" + (f"\x1b[{coming + 1}H{insert}" if below else "")
            )
        else:
            cut = f"\x1b[{leaving + 1}H{delete}" if below else ""
            ways.append(f"{cut}\x1b[{coming + 1}H{insert}")
    return ways
