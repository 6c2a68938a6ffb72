"""The picture of who speaks at the top of the sidebar: where it is, and as half blocks. Pure.

A cell is about twice as high as wide: as half blocks it is two pixels, one above the other.
"""

from __future__ import annotations

from typing import NamedTuple

from flower.tui.render.layout import Layout, too_small
from flower.tui.render.style import PLAIN, Span, Style
from flower.tui.state.model import Model, Picture
from flower.tui.state.viewport import layout_of

COLUMNS_MOST = 20
PANE_SHARE = 2 / 5  # of the sidebar's height: the state of the story is below
BLOCK = "\u2580"  # the upper half of a cell


class CellArea(NamedTuple):
    """Cells of the screen, from 0."""

    x: int
    y: int
    columns: int
    rows: int


def size(picture: Picture, columns: int, rows: int) -> tuple[int, int]:
    """Returns the cells that a picture takes of a sidebar, in its own proportions; (0, 0): there is no room."""
    rows = int(rows * PANE_SHARE)
    columns = min(columns, COLUMNS_MOST)
    if not picture.width or columns < 4 or rows < 2:
        return 0, 0
    wide = min(columns, int(2 * rows * picture.width / picture.height))
    high = min(rows, round(wide * picture.height / picture.width / 2))
    return (wide, high) if wide and high else (0, 0)


def visible_picture(model: Model) -> Picture | None:
    """Returns the picture of whoever speaks, if it is here and this terminal shows pictures."""
    picture = model.picture
    if not model.pictures or picture is None or picture.character != model.picture_asked:
        return None
    return picture


def place(model: Model, layout: Layout) -> CellArea | None:
    """Returns where the picture is on the screen; None where there is none or something lies over it."""
    picture = visible_picture(model)
    covered = model.popup is not None or model.tree is not None or model.form is not None
    if picture is None or covered or not layout.sidebar:
        return None
    columns, rows = size(picture, layout.sidebar - 2, layout.pane_rows)
    return CellArea(layout.pane_right + 2, layout.pane_top, columns, rows) if columns else None


def laid_over(model: Model) -> tuple[tuple[int, int, bytes] | None, CellArea | None]:
    """Returns the picture (width, height, pixels) that is to lie over cells, and which; None where there is none."""
    picture = visible_picture(model)
    if picture is None or model.pictures == "blocks" or too_small(model.columns, model.rows):
        return None, None
    where = place(model, layout_of(model))
    return ((picture.width, picture.height, picture.pixels), where) if where else (None, None)


def lines(model: Model, columns: int, rows: int) -> list[list[Span]]:
    """Returns the rows of the sidebar that the picture takes, and a blank one; none without a picture."""
    picture = visible_picture(model)
    wide, high = size(picture, columns, rows) if picture is not None else (0, 0)
    if picture is None or not wide:
        return []
    if model.pictures != "blocks":  # it is laid over the cells
        return [[(" ", PLAIN)]] * (high + 1)
    pixels = [[_pixel(picture, x, y, wide, 2 * high) for x in range(wide)] for y in range(2 * high)]
    pairs = zip(pixels[::2], pixels[1::2], strict=True)
    return [[(BLOCK, Style(fg, bg)) for fg, bg in zip(*pair, strict=True)] for pair in pairs] + [[]]


def _pixel(picture: Picture, x: int, y: int, wide: int, high: int) -> int:
    """Returns the mean colour of the part of the picture that one of ``wide`` x ``high`` pixels shows."""
    left, right = x * picture.width // wide, max(1, (x + 1) * picture.width // wide)
    top, bottom = y * picture.height // high, max(1, (y + 1) * picture.height // high)
    left, top = min(left, right - 1), min(top, bottom - 1)
    rows = [
        picture.pixels[3 * (row * picture.width + left) : 3 * (row * picture.width + right)]
        for row in range(top, bottom)
    ]
    whole = b"".join(rows)
    red, green, blue = (sum(whole[one::3]) * 3 // len(whole) for one in range(3))
    return red << 16 | green << 8 | blue
