"""One row over another: which cells to write, in which stretches, what to repeat and what to erase.

Owns the choice of means within a row; the pen does the writing.
"""

from __future__ import annotations

import re
from itertools import groupby

from flower.tui.render import cell_width
from flower.tui.render.frame import Row
from flower.tui.render.style import Style, blank
from flower.tui.term.pen import Capabilities, Pen

DIFF_GAP_COLUMNS = 4  # unchanged cells rewritten rather than jumped over: a jump costs 3 to 4 bytes
DIFF_REPEAT_COLUMNS = 8  # from here on a repetition may be shorter than the glyphs themselves
DIFF_SHIFT_CHANGES = 12  # fewer changed cells in a row are drawn faster than shifted
DIFF_SHIFT_COLUMNS = 4  # cells that may be inserted or deleted at once
DIFF_SHIFT_SAMPLE = 6  # equal glyphs that make a shift worth a closer look

_REPEATED = re.compile(rf"(.)\1{{{DIFF_REPEAT_COLUMNS - 1},}}")


def paint_row(pen: Pen, y: int, old: Row, new: Row) -> None:
    """Draws ``new`` where ``old`` is."""
    styles = new.styles()
    columns = _changed(old, new, old.styles(), styles, pen.caps, _same_until(old, new))
    shifted = _shifted(pen, y, old, new, columns)
    if shifted is not None:
        # The line was moved on the terminal: what is left to draw is counted against the row it shows now.
        columns = _changed(shifted, new, shifted.styles(), styles, pen.caps)
    if not columns:
        return
    # Blanks at the end are no cells to write: one sequence erases them all, after the rest was drawn, since only
    # then the pen is most likely where they begin.
    tail = _tail(new, pen)
    segments = _segments(columns, new, styles, tail)
    for start, end in segments:
        _paint_cells(pen, y, start, end, new, styles)
    erased = [x for x in columns if x >= tail]
    if erased:
        _erase_tail(pen, y, max(tail, segments[-1][1]) if segments else erased[0], erased, styles)


def _same_until(old: Row, new: Row) -> int:
    """Returns a column before which the rows are the same: a growing row changes at its end only."""
    one, other = old.glyphs, new.glyphs
    low, high = 0, min(len(one), len(other))
    while low < high:  # halving finds the first difference in a few comparisons of whole slices
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    styled = 0
    for (style, count), (look, number) in zip(old.runs, new.runs, strict=False):
        if style is not look and style != look:
            break
        styled += min(count, number)
        if count != number:
            break
    return min(low, styled)


def _shifted(pen: Pen, y: int, old: Row, new: Row, columns: list[int]) -> Row | None:
    """Moves the rest of the line when that leaves little to draw, as for a letter typed inside a line.

    Returns the row as it is then, None when nothing was moved.
    """
    caps, width = pen.caps, new.width
    if not caps.insert_delete_char or len(columns) < DIFF_SHIFT_CHANGES:
        return None
    if not (_all_sure(old.glyphs, caps) and _all_sure(new.glyphs, caps)):
        return None  # a wide glyph could be cut at the edge
    x = columns[0]
    look = pen.erased(new.runs[-1][0])
    sample = DIFF_SHIFT_SAMPLE
    for by in range(1, DIFF_SHIFT_COLUMNS + 1):
        for count in (by, -by):
            # Inserted cells push what was at ``x`` to the right; deleted ones let what was behind them come to ``x``.
            source, target = (x, x + by) if count > 0 else (x + by, x)
            text = old.glyphs[source : source + sample]
            if (
                len(text) < sample
                or text == " " * sample
                or new.glyphs[target : target + sample] != text
            ):
                continue  # a few equal glyphs are looked at first: the whole row is compared for a promising shift only
            gap = Row.blank(by, look)
            if count > 0:
                after = Row.beside(old.slice(0, x), gap, old.slice(x, width - by))
            else:
                after = Row.beside(old.slice(0, x), old.slice(x + by, width), gap)
            left = len(_changed(after, new, after.styles(), new.styles(), caps))
            # Half is enough to pay for the sequence, and leaves alone what only happens to be alike.
            if left * 2 < len(columns):
                pen.move(x, y)
                pen.shift_cells(count, look)
                return after
    return None


def _changed(
    old: Row, new: Row, before: list[Style], after: list[Style], caps: Capabilities, start: int = 0
) -> list[int]:
    """Returns the columns that do not look the same, and those an unsure glyph may spill over.

    Up to ``start`` the rows are known to be the same.
    """
    cells = zip(old.glyphs[start:], new.glyphs[start:], before[start:], after[start:], strict=True)
    columns = [
        x
        for x, (g, h, s, t) in enumerate(cells, start)
        # Of a space only the background and the lines through it are seen: another colour of letters is no change.
        if g != h or (s is not t and s != t and (g != " " or blank(s) != blank(t)))
    ]
    if _all_sure(new.glyphs, caps):
        return columns
    return _spread(columns, new, caps)


def _spread(columns: list[int], row: Row, caps: Capabilities) -> list[int]:
    """Returns ``columns`` with the other halves of wide glyphs, and what unsure glyphs may run over."""
    targets = set(columns)
    grown: list[int] = []
    reach = 0  # up to here an unsure glyph to the left may have drawn
    glyphs = row.glyphs
    for x, glyph in enumerate(glyphs):
        # A wide glyph is written whole or not at all: its left half (the glyph) comes with its right half (empty), and
        # the other way round.
        half = x + 1 in targets and x + 1 < row.width and glyphs[x + 1] == ""
        if x in targets or x < reach or half or (glyph == "" and grown and grown[-1] == x - 1):
            grown.append(x)
            # Terminals do not agree how far such a glyph reaches. What it may have run over is written after it.
            if glyph and _unsure(glyph, caps):
                reach = max(reach, x + cell_width.extent(glyph))
    return grown


def _all_sure(glyphs: str | tuple[str, ...], caps: Capabilities) -> bool:
    """True when every cell is one narrow code point about which terminals agree."""
    if not isinstance(glyphs, str) or caps.ambiguous_wide:
        return False
    return glyphs.isascii() or cell_width.SIMPLE(glyphs) is not None


def _unsure(glyph: str, caps: Capabilities) -> bool:
    if not caps.utf8:
        return False  # what is written is ASCII
    return cell_width.is_unsure(glyph) or (caps.ambiguous_wide and cell_width.is_ambiguous(glyph))


def _tail(row: Row, pen: Pen) -> int:
    """Returns the first column of the blanks at the row's end that can be erased at once."""
    if isinstance(row.glyphs, str):
        tail = len(row.glyphs.rstrip(" "))
    else:
        tail = row.width
        while tail and row.glyphs[tail - 1] == " ":
            tail -= 1
    last = row.runs[-1][0]
    if not pen.can_erase(last):
        return row.width
    # Erasing leaves cells of one look: the tail ends where a run of blanks looks different.
    look, start = blank(last), row.width
    for style, count in reversed(row.runs):
        if start <= tail or blank(style) != look:
            break
        start -= count
    return max(tail, start)


def _segments(columns: list[int], row: Row, styles: list[Style], end: int) -> list[tuple[int, int]]:
    """Returns the stretches of columns below ``end`` to draw, gaps closed where that is shorter."""
    segments: list[tuple[int, int]] = []
    for x in columns:
        if x >= end:
            break
        if segments and _closes(segments[-1][1], x, row, styles):
            segments[-1] = (segments[-1][0], x + 1)
        else:
            segments.append((x, x + 1))
    return segments


def _closes(start: int, stop: int, row: Row, styles: list[Style]) -> bool:
    """True when drawing the unchanged columns again is no longer than moving over them."""
    if start == stop:
        return True
    if stop - start > DIFF_GAP_COLUMNS:
        return False
    style = styles[start - 1]
    return all(
        "" < row.glyphs[x] <= "~" and (styles[x] is style or styles[x] == style)
        for x in range(start, stop)
    )


def _paint_cells(pen: Pen, y: int, start: int, end: int, row: Row, styles: list[Style]) -> None:
    """Draws the columns from ``start`` up to ``end``, one style after the other."""
    x = start
    for style, group in groupby(styles[start:end]):
        stop = x + len(list(group))
        _paint_run(pen, x, y, row.glyphs[x:stop], style)
        x = stop


def _paint_run(pen: Pen, x: int, y: int, glyphs: str | tuple[str, ...], style: Style) -> None:
    """Draws glyphs of one style."""
    spaces = glyphs == " " * len(glyphs) if isinstance(glyphs, str) else False
    pen.move(x, y)
    if spaces:
        pen.dress_blank(style)
    else:
        pen.dress(style)
    if isinstance(glyphs, str) and _all_sure(glyphs, pen.caps):
        _write_sure(pen, x, y, glyphs, style)
        return
    for index, glyph in enumerate(glyphs):
        if glyph == "":
            continue
        size = 2 if index + 1 < len(glyphs) and glyphs[index + 1] == "" else 1
        pen.move(x + index, y)  # no byte, unless an unsure glyph left the pen nobody knows where
        if _unsure(glyph, pen.caps):
            pen.write_unsure(glyph, size)
        else:
            pen.write(glyph, size)


def _write_sure(pen: Pen, x: int, y: int, glyphs: str, style: Style) -> None:
    """Writes narrow glyphs, long repetitions the short way; the pen is there and dressed."""
    if len(glyphs) < DIFF_REPEAT_COLUMNS:
        pen.write(glyphs, len(glyphs))
        return
    start = 0
    for match in _REPEATED.finditer(glyphs):
        if match.start() > start:
            pen.move(x + start, y)
            pen.write(glyphs[start : match.start()], match.start() - start)
        pen.move(x + match.start(), y)
        count = len(match.group())
        if match.group(1) == " " and pen.caps.erase_chars and pen.can_erase(style):
            pen.erase_ahead(count)
        else:
            pen.write_repeated(match.group(1), count)
        start = match.end()
    if start < len(glyphs):
        pen.move(x + start, y)
        pen.write(glyphs[start:], len(glyphs) - start)


def _erase_tail(pen: Pen, y: int, start: int, columns: list[int], styles: list[Style]) -> None:
    pen.move(start, y)
    pen.dress_blank(styles[start])
    count = columns[-1] + 1 - start
    if count < 3:
        pen.write(" " * count, count)
    else:
        pen.erase_to_end()
