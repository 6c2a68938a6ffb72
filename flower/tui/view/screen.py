"""The model as one frame of cells.

``Screen`` remembers the parts of the last frame: a part whose inputs did not change is the same ``Row``
objects again, which is what makes the diff cheap. It never changes the model and knows no terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from flower import limits
from flower.tui.render import layout
from flower.tui.render.frame import Frame, Pane, Row
from flower.tui.render.layout import Layout
from flower.tui.state import checklist, viewport
from flower.tui.state.model import Model
from flower.tui.state.transcript import index_of
from flower.tui.state.viewport import layout_of
from flower.tui.view import panels, popups

T = TypeVar("T")


class Screen:
    """Draws frames; one per client."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[Any, Any]] = {}
        self._joined: list[tuple[Row, Row, Row]] = []

    def draw(self, model: Model) -> Frame:
        """Returns the frame of ``model``."""
        if layout.too_small(model.columns, model.rows):
            return _too_small(model)
        place = layout_of(model)
        rows = [self._part("header", panels.header_key(model), lambda: panels.header(model))]
        rows += self._pane(model, place)
        rows += popups.menu_rows(model, place)
        rows += self._replies(model, place)
        rows += self._part("status", panels.status_key(model), lambda: panels.status(model))
        key = panels.input_key(model, place)
        typed, (x, y) = self._part("input", key, lambda: panels.input_line(model, place))
        rows += typed
        cursor: tuple[int, int] | None = (x, place.input_top + y)
        for box in self._boxes(model, place):  # the last one is on top, and has the cursor
            rows = _laid_over(rows, box)
            cursor = box.cursor
        pane = Pane(place.pane_top, place.pane_bottom, 0, place.pane_right)
        return Frame(tuple(rows), cursor, pane)

    def _boxes(self, model: Model, place: Layout) -> Iterator[popups.Box]:
        """Yields what lies over the pane: the tree, a form, a popup."""
        key: tuple[object, ...]
        if (tree := model.tree) is not None:
            from flower.tui.view import tree_panel  # not needed for the first frame

            key = (place, tree_panel.key(model))
            yield self._part("tree", key, lambda: tree_panel.box(model, tree, place))
        if (form := model.form) is not None:
            from flower.tui.view import form_panel  # as above

            key = form_panel.key(model)
            yield self._part("form", key, lambda: form_panel.box(model, form, place))
        if (popup := model.popup) is not None:
            key = popups.key(model, place)
            yield self._part("popup", key, lambda: popups.box(model, popup, place))

    def _replies(self, model: Model, place: Layout) -> list[Row]:
        if not place.replies:
            return []
        key = (model.columns, model.theme, model.replica.quick_replies, model.bindings)
        return [self._part("replies", key, lambda: panels.quick_replies(model))]

    def _part(self, name: str, key: object, make: Callable[[], T]) -> T:
        """Returns the part as remembered when ``key`` is the same, else as made anew."""
        before = self._parts.get(name)
        if before is not None and before[0] == key:
            part: T = before[1]
            return part
        part = make()
        self._parts[name] = (key, part)
        return part

    def _pane(self, model: Model, place: Layout) -> list[Row]:
        if checklist.visible(model):
            key: tuple[object, ...] = (place, model.theme, model.replica, model.step, model.link.state)
            rows = self._part("checklist", key, lambda: panels.checklist_rows(model, place))
        else:
            rows = _story(model, place)
        if not place.sidebar:
            return rows
        key = panels.sidebar_key(model, place)
        beside = self._part("sidebar", key, lambda: panels.sidebar(model, place))
        joined = self._joined
        if len(joined) != len(rows):
            joined = [(row, row, row) for row in rows]
        self._joined = [
            was if was[0] is left and was[1] is right else (left, right, Row.beside(left, right))
            for was, left, right in zip(joined, rows, beside, strict=True)
        ]
        return [whole for _, _, whole in self._joined]


def _story(model: Model, place: Layout) -> list[Row]:
    """Returns the rows of the story in view."""
    rows: list[Row] = []
    messages = model.story.messages
    skip = model.scroll.row
    for index in range(index_of(model.story, model.scroll.key), len(messages)):
        message = messages[index]
        laid = model.pane.rows(message, viewport.look(model, place, message.key))
        rows += laid[skip : skip + place.pane_rows - len(rows)]
        skip = 0
        if len(rows) >= place.pane_rows:
            break
    missing = place.pane_rows - len(rows)
    return rows[: place.pane_rows] if missing <= 0 else rows + [_blank(place.pane_right)] * missing


_BLANKS: dict[int, Row] = {}


def _blank(columns: int) -> Row:
    """Returns the one blank row of that width."""
    if columns not in _BLANKS:
        _BLANKS.clear()
        _BLANKS[columns] = Row.blank(columns)
    return _BLANKS[columns]


def _laid_over(rows: list[Row], box: popups.Box) -> list[Row]:
    """Returns the rows with the box on top of them."""
    for y, line in enumerate(box.rows, box.top):
        under = rows[y]
        right = box.left + line.width
        rows[y] = Row.beside(under.slice(0, box.left), line, under.slice(right, under.width))
    return rows


def _too_small(model: Model) -> Frame:
    words = [
        "Flower needs",
        f"{limits.COLUMNS_MIN}x{limits.ROWS_MIN} cells;",
        f"here are {model.columns}x{model.rows}.",
    ]
    lines = [
        Row.of([(words[y] if y < len(words) else "", model.theme["text"])], model.columns)
        for y in range(model.rows)
    ]
    return Frame(tuple(lines), None, None)
