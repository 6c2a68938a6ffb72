"""The difference between two frames as the fewest bytes that turn one into the other.

Owns the law ``screen(prev + diff(prev, next)) == next`` and the choice of means: leave, move, write, repeat,
erase, scroll. Pure: what goes in decides what comes out; nothing here touches a terminal.

``Painter`` is the form an application uses: it remembers what is on the screen, the pen's style and the
saved cursor, which makes a streamed word about 16 bytes and a typed letter one.
"""

from __future__ import annotations

from collections import Counter

from flower import limits
from flower.tui import _scroll
from flower.tui._pen import Capabilities, Pen, Saved
from flower.tui._rows import paint_row
from flower.tui.frame import Frame, Pane, Row
from flower.tui.style import PLAIN, Style

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
        if prev is None or prev.size != frame.size:
            rows = self._cleared(frame)
        else:
            rows = list(prev.rows)
            self._scrolled(rows, prev, frame)
        for y, (old, new) in enumerate(zip(rows, frame.rows, strict=True)):
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
        shift = _scroll.find(rows, frame, pane, self._pen.caps)
        if shift is None:
            return
        coming = frame.rows[shift.bottom - 1 if shift.by > 0 else shift.top]
        tail = coming.slice(shift.left, shift.right).runs[-1][0]
        fill = self._pen.erased(tail)
        _scroll.scroll(self._pen, shift, fill)
        rows[:] = _scroll.moved(rows, shift, fill)

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
                pen.out.insert(0, _SAVE)
                pen.saved = origin
            pen.put(_RESTORE)
            pen.x, pen.y, pen.style = origin
        else:
            pen.move(x, y)

    def _wrapped(self, body: str, drawn: int) -> bytes:
        """Returns the frame's bytes, kept together for the eye when there are many."""
        if drawn >= limits.SYNC_FRAME_BYTES:
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
