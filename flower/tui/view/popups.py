"""Popups and the completion menu as rows of cells."""

from __future__ import annotations

from flower.tui.render.frame import Row
from flower.tui.render.layout import Layout
from flower.tui.render.style import Span, Style
from flower.tui.render.text import clean, fit, width, wrap
from flower.tui.render.theme import Theme
from flower.tui.state import commands, popup_items, popups
from flower.tui.state.model import Model, Popup

FILTERED = frozenset({*popups.CHOOSABLE, "books", "palette", "themes", "settings", "keys", "found"})
MARKED = frozenset({*popups.CHOOSABLE, "books", "themes", "settings"})  # what is in use has a mark
MARK_COLUMNS = 2
DETAILED = frozenset({*popups.CHOOSABLE, "books", "palette", "keys", "found", "suggestions"})
NAMED = frozenset({"worlds", "characters", "rules", "models"})  # the words go without the name
ABOUT_ROWS = 3  # at most, below the list, for the words of the chosen entry
ABOUT_ITEMS = 100  # so many of the entries decide how many rows; 2 ms
ABOUT_FROM_ROWS = 6  # of room for list and words
SCRAP_COLUMNS = 20  # less of a detail says nothing
KEY_COLUMNS = 24


class Box:
    """A popup as drawn: its rows, where its left upper corner is, and the cursor on the screen."""

    __slots__ = ("cursor", "left", "rows", "top")

    def __init__(self, rows: list[Row], left: int, top: int, cursor: tuple[int, int] | None) -> None:
        self.rows = rows
        self.left = left
        self.top = top
        self.cursor = cursor


def menu_rows(model: Model, layout: Layout) -> list[Row]:
    """Returns the rows of the completion menu, the chosen entry in view."""
    count = layout.status - layout.replies - layout.menu_top
    if not count:
        return []
    candidates = commands.candidates(model)
    first = max(0, min(model.menu - count + 1, len(candidates) - count))
    theme = model.theme
    rows: list[Row] = []
    for place, candidate in enumerate(candidates[first : first + count], first):
        here = place == model.menu
        label, detail = ("popup_selected", "popup_selected") if here else ("popup", "popup_dim")
        spans: list[Span] = [
            (f"  {clean(candidate.label)}  ", theme[label]),
            (clean(candidate.detail), theme[detail]),
        ]
        rows.append(Row.of(spans, model.columns, theme[label]))
    return rows


def key(model: Model, layout: Layout) -> tuple[object, ...]:
    """Returns everything a popup shows."""
    return (
        layout,
        model.theme,
        model.popup,
        model.replica,
        model.shelf,
        model.recent,
        model.hits,
        model.settings,
        model.own_settings,
        model.bindings,
    )


def box(model: Model, popup: Popup, layout: Layout) -> Box:
    """Returns ``popup``, drawn to lie over the pane."""
    listed = popup_items.items(model)
    columns = popup_items.box_columns(model)
    inner = columns - popup_items.BOX_EDGES
    has_filter = popup.kind in FILTERED
    room = max(1, layout.status - layout.pane_top - 2 - has_filter)
    names = _name_columns(popup, listed, inner)
    about = _about_rows(popup, listed, inner, room, names)
    room -= about
    visible = min(room, max(1, len(listed)))
    index = min(popup.place, len(listed) - 1)
    read = popups.is_read(popup)
    first = max(0, min(index if read else index - visible // 2, len(listed) - visible))
    theme = model.theme
    lines: list[list[Span]] = []
    if has_filter:
        lines.append(
            [
                (f"{theme.glyphs.prompt} ", theme["popup_title"]),
                (_tail(popup.filter, inner - 3), theme["popup"]),
            ]
        )
    for place, item in enumerate(listed[first : first + visible], first):
        lines.append(
            _entry(theme, popup, item, inner, names, here=place == index, repeated_below=about > 0)
        )
    if not listed:
        empty = "nothing fits" if popup.filter else popups.EMPTY.get(popup.kind, "nothing here")
        lines.append([(fit(empty, inner), theme["popup_dim"])])
    if about:
        lines += _about(theme, popup, listed[index], inner, about, names)
    total = popup_items.total(model)
    place = first + visible if read else index + 1
    counted = f"{place}/{total:,}" if total > visible else ""
    rows = _framed(theme, popups.title(model, popup), counted, lines, columns)
    left = (model.columns - columns) // 2
    top = layout.pane_top + max(0, (layout.status - layout.pane_top - len(rows)) // 3)
    cursor = (left + 4 + width(_tail(popup.filter, inner - 3)), top + 1) if has_filter else None
    return Box(rows, left, top, cursor)


def _name_columns(popup: Popup, listed: tuple[popup_items.Item, ...], columns: int) -> int:
    """Returns the columns of the names in a list whose words stand below each other, 0 in any other."""
    if popup.kind == "keys":
        return min(KEY_COLUMNS, columns * 2 // 5)
    if popup.kind not in NAMED or columns * 3 // 5 - MARK_COLUMNS - _gap(popup) < SCRAP_COLUMNS:
        return 0  # on a narrow screen the names have it all
    longest = max((width(clean(item.label)) for item in listed[:ABOUT_ITEMS]), default=0)
    return min(longest, columns * 2 // 5)


def _gap(popup: Popup) -> int:
    """Returns the columns between names and their words."""
    return 1 if popup.kind == "keys" else 2


def _about_rows(
    popup: Popup, listed: tuple[popup_items.Item, ...], columns: int, room: int, names: int
) -> int:
    """Returns the rows below the list that have the chosen entry whole, 0 when no entry is cut."""
    if popup.kind == "settings" and listed and room >= ABOUT_FROM_ROWS:
        return ABOUT_ROWS
    if popup.kind not in DETAILED or room < ABOUT_FROM_ROWS:
        return 0
    cut = (item for item in listed[:ABOUT_ITEMS] if _is_cut(popup, item, columns, names))
    return max((len(_words(popup, item, columns, names)) for item in cut), default=0)


def _is_cut(popup: Popup, item: popup_items.Item, columns: int, names: int) -> bool:
    if names:
        mark = MARK_COLUMNS if popup.kind in MARKED else 0
        room = columns - mark - names - _gap(popup)
        return width(clean(item.label)) > names or width(clean(item.detail)) > room
    room = columns - MARK_COLUMNS * (popup.kind in MARKED) - width(item.label)
    return bool(room < 0 or (item.detail and width(item.detail) > min(room - 2, columns * 3 // 5)))


def _about(
    theme: Theme, popup: Popup, item: popup_items.Item, columns: int, rows: int, names: int
) -> list[list[Span]]:
    """Returns the chosen entry's words in ``rows`` rows."""
    cut = popup.kind == "settings" or _is_cut(popup, item, columns, names)
    lines = _words(popup, item, columns, names) if cut else []
    lines += [""] * (rows - len(lines))
    return [[(line, theme["popup_dim"])] for line in lines]


def _words(popup: Popup, item: popup_items.Item, columns: int, names: int) -> list[str]:
    if popup.kind == "settings":
        return first_rows(clean(item.group), columns, ABOUT_ROWS)
    words = clean(item.detail).replace("\n", " ")
    if popup.kind not in NAMED or width(clean(item.label)) > (names or columns - MARK_COLUMNS):
        words = f"{clean(item.label)}: {words}"
    return first_rows(words, columns, ABOUT_ROWS)


def first_rows(text: str, columns: int, rows: int) -> list[str]:
    """Returns the first rows of ``text``, the last one with an ellipsis if there is more."""
    lines = wrap(text, columns)
    if len(lines) <= rows:
        return lines
    return [*lines[: rows - 1], fit(f"{lines[rows - 1]} {lines[rows]}", columns)]


def _tail(text: str, columns: int) -> str:
    """Returns the end of ``text`` that fits: what was typed last must be seen."""
    text = clean(text).replace("\n", " ")
    while width(text) > columns:
        text = text[1:]
    return text


def _entry(
    theme: Theme,
    popup: Popup,
    item: popup_items.Item,
    columns: int,
    names: int,
    *,
    here: bool,
    repeated_below: bool,
) -> list[Span]:
    """Returns one row of the list, its words behind ``names`` columns of names.

    A scrap of a detail that is repeated below the list is left out.
    """
    plain = theme["popup_selected" if here else "popup"]
    soft = plain if here else theme["popup_dim"]
    mark = f"{theme.glyphs.done if item.chosen else ' '} " if popup.kind in MARKED else ""
    room = columns - width(mark)
    label, detail = clean(item.label), clean(item.detail)
    if names:
        label = fit(label, names)
        gap = names - width(label) + _gap(popup)
        detail = fit(detail, room - names - _gap(popup))
    else:
        label = fit(label, room)
        detail = fit(detail, max(0, min(columns * 3 // 5, room - width(label) - 2))) if detail else ""
        gap = 0
    if repeated_below and popup.kind != "keys" and len(detail) < min(len(item.detail), SCRAP_COLUMNS):
        detail = ""
    rest = max(0, room - width(label) - gap - width(detail))
    spans: list[Span] = [
        (mark, plain),
        *_matched(label, popup.filter, plain, plain if here else theme["popup_match"]),
    ]
    blank = (" " * rest, plain)
    if names:
        return [*spans, (" " * gap, plain), (detail, soft), blank]
    return [*spans, blank, (detail, soft)]


def _matched(label: str, pattern: str, plain: Style, match: Style) -> list[Span]:
    places = set(commands.spread(pattern, label)) if pattern else set()
    if not places:
        return [(label, plain)]
    return [(char, match if place in places else plain) for place, char in enumerate(label)]


def _framed(theme: Theme, title: str, note: str, lines: list[list[Span]], columns: int) -> list[Row]:
    inner, tail = columns - popup_items.BOX_EDGES, f" {note} " if note else ""
    body = [sides(theme, Row.of(line, inner, theme["popup"])) for line in lines]
    glyphs, border = theme.glyphs, theme["popup_border"]
    head = fit(f" {title} ", columns - 4)
    rule = glyphs.h * (columns - 3 - width(head))
    first: list[Span] = [
        (glyphs.tl + glyphs.h, border),
        (head, theme["popup_title"]),
        (rule + glyphs.tr, border),
    ]
    below = glyphs.bl + glyphs.h * (columns - 3 - width(tail))
    last: list[Span] = [(below, border), (tail, theme["popup_dim"]), (glyphs.h + glyphs.br, border)]
    return [Row.of(first, columns), *body, Row.of(last, columns)]


# --- frames of what takes the whole pane: the tree, a form ----------------------------------------


def edge(theme: Theme, columns: int, left: str, right: str, *, top: bool) -> Row:
    """Returns the first or the last row of a frame, with words in it; those at the left give way."""
    glyphs, border = theme.glyphs, theme["popup_border"]
    first, last = (glyphs.tl, glyphs.tr) if top else (glyphs.bl, glyphs.br)
    left = fit(clean(left), columns - 4 - width(right))
    rule = glyphs.h * (columns - 3 - width(left) - width(right))
    words = theme["popup_title" if top else "popup_dim"]
    spans: list[Span] = [(first, border), (left, words), (rule, border)]
    return Row.of([*spans, (right, theme["popup_dim"]), (glyphs.h + last, border)], columns)


def sides(theme: Theme, row: Row) -> Row:
    """Returns a row between the left and the right side of a frame."""
    bar, border = theme.glyphs.v, theme["popup_border"]
    return Row.beside(Row.of([(f"{bar} ", border)], 2), row, Row.of([(f" {bar}", border)], 2))
