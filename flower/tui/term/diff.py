"""The difference between two frames as the fewest bytes that turn one into the other.

Owns the law ``screen(prev + diff(prev, next)) == next`` and the choice of means: leave, move, write, repeat,
erase, scroll. Pure: what goes in decides what comes out; nothing here touches a terminal.

``Painter`` is the form an application uses: it remembers what is on the screen, the pen's style and the
saved cursor, which makes a streamed word about 16 bytes and a typed letter one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from flower.tui.render.frame import Frame, Pane, Row
from flower.tui.render.style import PLAIN, Style
from flower.tui.term.pen import Capabilities, Pen, Saved
from flower.tui.term.rows import paint_row

SYNC_FRAME_BYTES = 256  # above it a frame is drawn behind mode 2026, or with the cursor hidden

__all__ = ["Capabilities", "Painter", "diff"]

_SYNC_ON, _SYNC_OFF = "\x1b[?2026h", "\x1b[?2026l"
_SHOW, _HIDE = "\x1b[?25h", "\x1b[?25l"
_SAVE, _RESTORE = "\x1b7", "\x1b8"


def diff(prev: Frame | None, following: Frame, caps: Capabilities) -> bytes:
    """Returns the bytes that turn a screen showing ``prev`` into one showing ``following``.

    The pen is plain before and after. ``prev`` None: anything may be on the screen. Frames of another
    size are drawn whole.
    """
    painter = Painter(caps)
    if prev is not None:
        painter.assume(prev)
    painted = painter.paint(following)
    return painted + painter.undress()


class Painter:
    """Turns frames into bytes, one after the other.

    The bytes of one ``paint`` must have been written before the next one: it builds on them.
    """

    def __init__(self, caps: Capabilities, base: Style = PLAIN) -> None:
        """``base`` is the theme's: every cell's style is laid on it."""
        self._pen = Pen(caps, base)
        self._frame: Frame | None = None
        self._hidden: bool | None = None  # None: not known

    @property
    def caps(self) -> Capabilities:
        """What the terminal can do."""
        return self._pen.caps

    def adapt(self, caps: Capabilities) -> None:
        """Uses other capabilities from now on; a change of looks draws the next frame whole."""
        old = self._pen.caps
        self._pen.caps = caps
        if (old.colors, old.utf8, old.italic, old.dim) != (
            caps.colors,
            caps.utf8,
            caps.italic,
            caps.dim,
        ):
            self.forget()

    def rebase(self, base: Style) -> None:
        """Lays cells on another base style from now on, as another theme wants it."""
        if base != self._pen.base:
            self._pen.base = base
            self.forget()

    def forget(self) -> None:
        """Draws the next frame whole: after a resize, a stop, or foreign output."""
        self._frame = None
        self._hidden = None
        self._pen.forget()

    def unsaved(self) -> None:
        """The terminal's saved cursor is another's now."""
        self._pen.saved = None

    def assume(self, frame: Frame) -> None:
        """Takes for granted that the screen shows ``frame``, with a plain pen."""
        self._frame = frame
        pen = self._pen
        pen.forget()
        pen.style = PLAIN
        pen.columns, pen.lines = frame.size
        self._hidden = frame.cursor is None
        if frame.cursor is not None:
            pen.x, pen.y = frame.cursor

    def undress(self) -> bytes:
        """Returns the bytes that make the pen plain, for whoever writes next."""
        pen = self._pen
        if pen.style == PLAIN:
            return b""
        pen.style = PLAIN
        return b"\x1b[m"

    def paint(self, frame: Frame) -> bytes:
        """Returns the bytes that make the screen show ``frame``; none when it does already."""
        pen, prev = self._pen, self._frame
        if prev is frame:
            return b""
        pen.out.clear()
        pen.columns, pen.lines = frame.size
        origin = self._origin(frame)
        # ``rows`` are what the terminal shows at each step; the rows that differ from it at the end are drawn.
        if prev is None or prev.size != frame.size:
            rows = self._cleared(frame)
        else:
            rows = list(prev.rows)
            self._scrolled(rows, prev, frame)
        for y, (old, new) in enumerate(zip(rows, frame.rows, strict=True)):
            # Most rows are the very same object in both: their cells are not even compared.
            if old is not new and old != new:
                paint_row(pen, y, old, new)
        self._frame = frame
        drawn = sum(map(len, pen.out))
        self._place_cursor(frame, origin)
        return self._wrapped("".join(pen.out), drawn)

    # --- steps of a frame -----------------------------------------------------------------------

    def _origin(self, frame: Frame) -> Saved | None:
        """Returns where the pen is when the cursor has to come back to just there."""
        pen = self._pen
        if frame.cursor is None or pen.style is None or (pen.x, pen.y) != frame.cursor:
            return None
        return Saved(*frame.cursor, pen.style)

    def _cleared(self, frame: Frame) -> list[Row]:
        pen = self._pen
        # Cleared in the look of most line ends, so that as few rows as possible have a tail to draw.
        tails = Counter(row.runs[-1][0] for row in frame.rows if row.runs)
        fill = pen.erased(tails.most_common(1)[0][0] if tails else PLAIN)
        pen.forget()
        pen.clear(fill)
        return [Row.blank(row.width, fill) for row in frame.rows]

    def _scrolled(self, rows: list[Row], prev: Frame, frame: Frame) -> None:
        """Scrolls on the terminal what only moved, and brings ``rows`` up to date."""
        pane = _common_pane(prev, frame)
        if pane is None:
            return
        shift = find(rows, frame, pane, self._pen.caps)
        if shift is None:
            return
        # The rows that scroll in are blank in the pen's colours: best in those of the row that will be there.
        coming = frame.rows[shift.bottom - 1 if shift.by > 0 else shift.top]
        tail = coming.slice(shift.left, shift.right).runs[-1][0]
        fill = self._pen.erased(tail)
        scroll(self._pen, shift, fill)
        rows[:] = moved(rows, shift, fill)

    def _place_cursor(self, frame: Frame, origin: Saved | None) -> None:
        pen = self._pen
        if frame.cursor is None:
            if self._hidden is not True:
                pen.put(_HIDE)
                self._hidden = True
            return
        x, y = frame.cursor
        if (pen.x, pen.y) != (x, y) and not self._stepped(x, y, frame.rows[y]):
            self._return(x, y, origin)
        if self._hidden is not False:
            pen.put(_SHOW)
            self._hidden = False

    def _stepped(self, x: int, y: int, row: Row) -> bool:
        """Moves one column to the right over a space by writing it: one byte instead of three."""
        pen = self._pen
        if pen.y != y or pen.x != x - 1 or row.glyphs[x - 1] != " ":
            return False
        if not pen.fits_blank(row.styles()[x - 1]):
            return False
        pen.write(" ", 1)
        return True

    def _return(self, x: int, y: int, origin: Saved | None) -> None:
        """Moves back to the cursor's place: by DECRC when that is shorter, styles considered."""
        pen = self._pen
        moving = pen.moving(x, y)
        if origin is None:
            pen.move(x, y)
            return
        first = 0 if pen.saved == origin else len(_SAVE)
        # The pen most likely goes on where it just drew; DECRC takes its style away from it.
        redress = len(pen.dressing(pen.style or PLAIN, origin.style))
        if first + len(_RESTORE) + redress < len(moving):
            if first:
                # Saved before anything of this frame is drawn: the pen was at the cursor then.
                pen.out.insert(0, _SAVE)
                pen.saved = origin
            pen.put(_RESTORE)
            pen.x, pen.y, pen.style = origin
        else:
            pen.move(x, y)

    def _wrapped(self, body: str, drawn: int) -> bytes:
        """Returns the frame's bytes, kept together for the eye when there are many."""
        if drawn >= SYNC_FRAME_BYTES:
            if self._pen.caps.sync:
                body = _SYNC_ON + body + _SYNC_OFF
            elif not self._hidden:
                body = _HIDE + body + _SHOW  # else the cursor is seen running over the screen
        return body.encode()


def _common_pane(prev: Frame, frame: Frame) -> Pane | None:
    """Returns the part of the screen that scrolls in both frames."""
    one, other = prev.pane, frame.pane
    if one is None or other is None or (one.left, one.right) != (other.left, other.right):
        return None
    return Pane(max(one.top, other.top), min(one.bottom, other.bottom), one.left, one.right)


# --- Scrolling: finds rows that only moved, and moves them on the terminal instead of redrawing them.
#
# Owns the search for a shift and the choice of the cheapest way to scroll; never draws cells. After a
# scroll the caller compares the next frame with the rows this module says are on the screen now.

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
        return None  # one row is drawn with fewer bytes than any scroll takes
    top, bottom = changed[0], changed[-1] + 1  # the rows outside have not moved
    full = pane.left <= 0 and pane.right >= rows[0].width
    old = [row if full else row.slice(pane.left, pane.right) for row in prev[top:bottom]]
    new = [row if full else row.slice(pane.left, pane.right) for row in rows[top:bottom]]
    best: Shift | None = None
    cheapest = _cost(prev, rows, top, bottom)
    for by in _shifts(old, new):
        # The whole width is the shorter sequence; the pane's columns alone leave the sidebar in its place.
        for shift in _variants(top, bottom, pane, rows[0].width, by, caps):
            if not _applies(shift, prev, rows):
                continue
            # What the terminal would show after the scroll: is less left to draw then?
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
        if not row.text.isspace():  # blank rows are alike everywhere: they say nothing about a shift
            places.setdefault(row, []).append(index)
    votes: Counter[int] = Counter()
    for index, row in enumerate(new):
        for place in places.get(row, ())[:_PLACES]:
            if place != index:  # each row that is elsewhere now votes for the distance between
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
        # Without a count: a line feed on the last row of a region scrolls it up, a reverse one on the first down.
        if by > 0:
            ways.append(f"{region}\x1b[{bottom}H" + "\n" * count + "\x1b[r")
        else:
            ways.append(f"{region}\x1b[{top + 1}H" + "\x1bM" * count + "\x1b[r")
    if caps.insert_delete_line:
        # Without a region: lines are deleted where they leave and inserted where they come in, and what is below stays.
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
