"""A form as rows of cells: its fields, what is known of the chosen one, what the keys do.

Draws any ``state.form.TypedForm`` over everything between the header and the status line, from 40 columns on. A long
text is one row of the list, and the whole panel once its box is open.
"""

from __future__ import annotations

from flower.tui.render.frame import Row
from flower.tui.render.layout import Layout
from flower.tui.render.style import Span
from flower.tui.render.text import clean, fit, width
from flower.tui.render.theme import Theme
from flower.tui.state import form as forms
from flower.tui.state.form import BOXED, PICKED, SWITCH, TypedField, TypedForm
from flower.tui.state.form_dialog import EDGES, FormRoom, room_of
from flower.tui.state.model import Model
from flower.tui.view.popups import Box, edge, first_rows, sides

LABEL_MOST = 24
SAVE = "Save"
MARK = 2  # columns before a label
HIDDEN = 12  # marks that stand for a secret, however long it is


def box(model: Model, form: TypedForm, place: Layout) -> Box:
    """Returns the panel and where the cursor is."""
    room = room_of(model)
    field = forms.current_field(form)
    if form.boxed and field is not None:
        body, cursor = _boxed(model.theme, form, field, room)
    else:
        body, cursor = _listed(model.theme, form, room)
    body += [Row.blank(room.columns, model.theme["popup"])] * (room.rows - len(body))
    body += _about(model.theme, form, room)
    head = edge(model.theme, model.columns, f" {form.title} ", _counted(form), top=True)
    foot = edge(model.theme, model.columns, f" {_hints(model, form, room)} ", "", top=False)
    rows = [head, *(sides(model.theme, row) for row in body), foot]
    at = (cursor[0] + EDGES // 2, place.pane_top + 1 + cursor[1]) if cursor else None
    return Box(rows, 0, place.pane_top, at)


def key(model: Model) -> tuple[object, ...]:
    """Returns everything the panel shows."""
    return (model.theme, model.columns, model.rows, model.form)


def _counted(form: TypedForm) -> str:
    count = len(forms.changed(form))
    return f" {count} changed " if count else ""


# --- the fields ---------------------------------------------------------------------------------


def _listed(theme: Theme, form: TypedForm, room: FormRoom) -> tuple[list[Row], tuple[int, int] | None]:
    """Returns the rows around the chosen field, and the cursor in them."""
    labels = min(
        LABEL_MOST,
        room.columns * 2 // 5,
        max((width(clean(field.label)) for field in form.fields), default=0),
    )
    count = len(form.fields) + 1
    first = max(0, min(form.at - room.rows // 2, count - room.rows))
    rows: list[Row] = []
    cursor: tuple[int, int] | None = None
    values = room.columns - MARK - labels - 2
    for place in range(first, min(count, first + room.rows)):
        here = place == form.at
        if place == len(form.fields):
            rows.append(_save_row(theme, form, room, here=here))
        else:
            rows.append(_row(theme, form, place, room.columns, labels, values))
        if here:
            field = forms.current_field(form)
            typed = field is not None and field.kind in forms.TYPED and not field.locked
            x = _shown_typed(form, values)[1] if typed else 0
            cursor = (MARK + labels + 2 + x if field is not None else MARK, len(rows) - 1)
    return rows, cursor


def _row(theme: Theme, form: TypedForm, place: int, columns: int, labels: int, values: int) -> Row:
    field, here = form.fields[place], place == form.at
    glyphs = theme.glyphs
    wrong = bool(not field.locked and field.problem)
    mark = glyphs.cross if wrong else glyphs.bullet if field.changed else " "
    label = fit(clean(field.label), labels)
    label += " " * (labels - width(label))
    typed = here and field.kind in forms.TYPED and not field.locked
    value = _shown_typed(form, values)[0] if typed else _value(theme, field, values)
    plain = theme["popup"]
    look = theme["popup_dim"] if field.locked or not field.value else plain
    if here and not typed:
        look = theme["popup_selected"]
    head = theme["popup_title" if here else "popup_dim"]
    spans: list[Span] = [(f"{mark} ", theme["status_bad"] if wrong else head), (f"{label}  ", head)]
    return Row.of([*spans, (value, look)], columns, plain)


def _shown_typed(form: TypedForm, values: int) -> tuple[str, int]:
    """Returns the part of the typed line that fits, and the cursor's column in it."""
    field = forms.current_field(form)
    text, cursor = form.editor.text, form.editor.cursor
    if field is not None and field.kind == "secret":
        text = "*" * len(text)
    before, after = clean(text[:cursor]), clean(text[cursor:])
    while width(before) >= values:
        before = before[1:]
    return before + fit(after, values - width(before)), width(before)


def _value(theme: Theme, field: TypedField, columns: int) -> str:
    """Returns a value in one row; of texts how many there are, too."""
    glyphs, value = theme.glyphs, field.value
    if field.kind in PICKED:
        options = SWITCH if field.kind == "flag" else field.choices
        return fit(value or f"({', '.join(options)})", columns)
    if field.kind == "secret":
        return fit("*" * min(len(value), HIDDEN), columns)
    if not value:
        return fit(glyphs.ellipsis if field.kind in BOXED else "", columns)
    if field.kind == "texts":
        texts = value.split("\n%\n")
        return fit(f"{len(texts)}: {_flat(texts[0])}", columns)
    if field.kind == "lines":
        return fit(", ".join(line.strip() for line in value.splitlines()[:20] if line.strip()), columns)
    return fit(_flat(value), columns)


def _flat(text: str) -> str:
    return " ".join(clean(text[:2000]).split())


def _save_row(theme: Theme, form: TypedForm, room: FormRoom, *, here: bool) -> Row:
    words = f"saving{theme.glyphs.ellipsis}" if form.saving else f"[ {SAVE} ]"
    style = theme["popup_selected" if here else "popup_title"]
    return Row.of([(" " * MARK, theme["popup"]), (words, style)], room.columns, theme["popup"])


# --- a long text --------------------------------------------------------------------------------


def _boxed(
    theme: Theme, form: TypedForm, field: TypedField, room: FormRoom
) -> tuple[list[Row], tuple[int, int] | None]:
    title = Row.of(
        [(fit(clean(field.label), room.columns), theme["popup_title"])], room.columns, theme["popup"]
    )
    lines, (x, y) = form.editor.layout(room.columns, room.rows - 1)
    rows = [Row.of([(clean(line), theme["popup"])], room.columns, theme["popup"]) for line in lines]
    return [title, *rows], (x, y + 1)


# --- below --------------------------------------------------------------------------------------


def _about(theme: Theme, form: TypedForm, room: FormRoom) -> list[Row]:
    """Returns the rows that say what is wrong, or what the chosen field is for."""
    field = forms.current_field(form)
    words, style = form.note, theme["status_bad"]
    if field is not None and not form.note:
        words = field.problem if field.value.strip() and not field.locked else ""
        if not words:
            words, style = field.locked or field.about, theme["popup_dim"]
    lines = first_rows(clean(words).replace("\n", " "), room.columns, room.about) if words else []
    lines += [""] * (room.about - len(lines))
    rule = Row.of([(theme.glyphs.h * room.columns, theme["popup_border"])], room.columns)
    return [rule, *(Row.of([(line, style)], room.columns, theme["popup"]) for line in lines)]


def _hints(model: Model, form: TypedForm, room: FormRoom) -> str:
    """Returns the longest line about the keys that fits."""
    glyphs, field = model.theme.glyphs, forms.current_field(form)
    arrows = f"{glyphs.up}{glyphs.down}"
    editor = " ".join(model.bindings.keys_of("editor")[:1])
    if form.asking:
        offers = (
            "Not saved yet: s save, d drop the changes, Esc go on",
            "Save? s save, d drop, Esc go on",
        )
    elif form.saving:
        offers = ("saving; Esc does not wait", "saving")
    elif form.boxed:
        offers = (f"Esc done, Ctrl+S save, {editor} $EDITOR", "Esc done, Ctrl+S save")
    elif field is not None and field.kind in BOXED:
        offers = (f"{arrows} fields, Enter write, {editor} $EDITOR, Ctrl+S save, Esc close",
                  "Enter write, Ctrl+S save, Esc")  # fmt: skip
    elif field is not None and field.kind in PICKED:
        offers = (f"{arrows} fields, Space changes, Ctrl+S save, Esc close", "Space, Ctrl+S save, Esc")
    else:
        offers = (f"{arrows} fields, Ctrl+S save, Esc close", "Ctrl+S save, Esc close")
    fitting = [offer for offer in offers if width(offer) <= room.columns - 2]
    return fitting[0] if fitting else ""
