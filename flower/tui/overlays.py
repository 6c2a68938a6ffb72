"""Popups and the completion menu as rows of cells."""

from __future__ import annotations

from flower.tui import completion, palette, popups
from flower.tui.frame import Row
from flower.tui.layout import Layout
from flower.tui.model import Model, Popup
from flower.tui.style import Span, Style
from flower.tui.text import clean, fit, width
from flower.tui.theme import Theme

FILTERED = frozenset({*popups.CHOOSABLE, "palette", "themes", "keys", "found"})


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
    count = layout.status - layout.menu_top
    if not count:
        return []
    found = completion.candidates(model)
    first = max(0, min(model.menu - count + 1, len(found) - count))
    theme = model.theme
    rows: list[Row] = []
    for place, candidate in enumerate(found[first : first + count], first):
        here = place == model.menu
        label, detail = ("popup_selected", "popup_selected") if here else ("popup", "popup_dim")
        spans: list[Span] = [
            (f"  {clean(candidate.label)}  ", theme[label]),
            (clean(candidate.detail), theme[detail]),
        ]
        rows.append(Row.of(spans, model.columns, theme[label]))
    return rows


def box(model: Model, popup: Popup, layout: Layout) -> Box:
    """Returns ``popup``, drawn to lie over the pane."""
    listed = popups.items(model)
    columns = popups.box_columns(model)
    inner = columns - popups.BOX_EDGES
    has_filter = popup.kind in FILTERED
    room = max(1, layout.status - layout.pane_top - 2 - has_filter)
    shown = min(room, max(1, len(listed)))
    index = min(popup.place, len(listed) - 1)
    first = max(0, min(index - shown // 2, len(listed) - shown))
    theme = model.theme
    lines: list[list[Span]] = []
    if has_filter:
        lines.append(
            [
                (f"{theme.glyphs.prompt} ", theme["popup_title"]),
                (_tail(popup.filter, inner - 3), theme["popup"]),
            ]
        )
    for place, item in enumerate(listed[first : first + shown], first):
        lines.append(_entry(theme, popup, item, inner, here=place == index))
    if not listed:
        empty = "nothing fits" if popup.filter else popups.EMPTY.get(popup.kind, "nothing here")
        lines.append([(fit(empty, inner), theme["popup_dim"])])
    counted = f"{index + 1}/{len(listed)}" if len(listed) > shown else ""
    rows = _framed(theme, popups.TITLES.get(popup.kind, ""), counted, lines, columns)
    left = (model.columns - columns) // 2
    top = layout.pane_top + max(0, (layout.status - layout.pane_top - len(rows)) // 3)
    cursor = (left + 4 + width(_tail(popup.filter, inner - 3)), top + 1) if has_filter else None
    return Box(rows, left, top, cursor)


def _tail(text: str, columns: int) -> str:
    """Returns the end of ``text`` that fits: what was typed last must be seen."""
    text = clean(text).replace("\n", " ")
    while width(text) > columns:
        text = text[1:]
    return text


def _entry(theme: Theme, popup: Popup, item: popups.Item, columns: int, *, here: bool) -> list[Span]:
    plain = theme["popup_selected" if here else "popup"]
    soft = plain if here else theme["popup_dim"]
    marked = popup.kind in (*popups.CHOOSABLE, "themes")
    mark = f"{theme.glyphs.done if item.chosen else ' '} " if marked else ""
    detail_room = max(0, columns * 3 // 5)
    label = fit(clean(item.label), columns - width(mark))
    detail = (
        fit(clean(item.detail), min(detail_room, columns - width(mark + label) - 2))
        if item.detail
        else ""
    )
    if popup.kind == "keys":
        label = fit(label, 24).ljust(24)
        detail = fit(item.detail, columns - 25)
    gap = columns - width(mark) - width(label) - width(detail)
    spans: list[Span] = [
        (mark, plain),
        *_matched(label, popup.filter, plain, plain if here else theme["popup_match"]),
    ]
    if popup.kind == "keys":
        return [*spans, (" ", plain), (detail, soft), (" " * max(0, gap - 1), plain)]
    return [*spans, (" " * max(0, gap), plain), (detail, soft)]


def _matched(label: str, pattern: str, plain: Style, match: Style) -> list[Span]:
    places = set(palette.spread(pattern, label)) if pattern else set()
    if not places:
        return [(label, plain)]
    return [(char, match if place in places else plain) for place, char in enumerate(label)]


def _framed(theme: Theme, title: str, note: str, lines: list[list[Span]], columns: int) -> list[Row]:
    glyphs, edge, fill = theme.glyphs, theme["popup_border"], theme["popup"]
    inner = columns - popups.BOX_EDGES
    head = fit(f" {title} ", columns - 4)
    rule = glyphs.h * (columns - 3 - width(head))
    rows = [
        Row.of(
            [(glyphs.tl + glyphs.h, edge), (head, theme["popup_title"]), (rule + glyphs.tr, edge)],
            columns,
        )
    ]
    for line in lines:
        body = Row.of(line, inner, fill)
        rows.append(
            Row.beside(Row.of([(f"{glyphs.v} ", edge)], 2), body, Row.of([(f" {glyphs.v}", edge)], 2))
        )
    tail = f" {note} " if note else ""
    rows.append(
        Row.of(
            [
                (glyphs.bl + glyphs.h * (columns - 3 - width(tail)), edge),
                (tail, theme["popup_dim"]),
                (glyphs.h + glyphs.br, edge),
            ],
            columns,
        )
    )
    return rows
