"""A form: named fields one below the other, changed with keys and checked as they are typed. Pure.

Owns what is typed and which field is chosen. Knows nothing of who asked for it or where it is saved: ``press``
returns the next form and a ``FormOutcome`` for its opener. What was typed is in ``TypedField.value`` at once, so
moving on, or closing the box of a long text, never loses a word; leaving a changed form asks first.

The readers of ``flower.settings.validators`` decide what a field takes, which are those that the engine reads files
with: what is said here while somebody types is what the engine would say. Every value is text:

line, secret    one line                              whole, number  digits
id              what commands call a thing            flag           yes or no
text            any text                              choice         one of the field's choices
words           words with commas between them        lines          one text a line
texts           long texts, between them a line with nothing but ``%``
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from flower import limits
from flower.settings import validators
from flower.tui.render.text import cut, width
from flower.tui.state.editor import Editor
from flower.tui.state.editor_motions import soft_rows
from flower.tui.term.inputs import Key

TYPED = frozenset({"line", "id", "words", "whole", "number", "secret"})  # in their own row
BOXED = frozenset({"text", "lines", "texts"})  # in a box of their own, or in $EDITOR
PICKED = frozenset({"flag", "choice"})  # with space, left and right
BREAK = "%"  # alone on a line it is between two texts
SWITCH = ("no", "yes")  # the values of a flag
SAVE_KEY = "ctrl+s"


class TypedField(NamedTuple):
    """One field. ``value`` is text for every kind, see above; ``was`` is what it was when opened."""

    name: str
    label: str
    kind: str = "line"
    value: str = ""
    was: str = ""
    about: str = ""  # a sentence on what it is for
    choices: tuple[str, ...] = ()
    needed: bool = False
    low: float = 0
    high: float = 0
    most: int = 0  # characters; 0: no more than a prompt has
    locked: str = ""  # why it cannot be changed here
    finding: tuple[str, str] = ("", "")  # a value, and what whoever saves has found wrong with it

    @property
    def changed(self) -> bool:
        return self.value != self.was

    @property
    def problem(self) -> str:
        """What is wrong with the value, "" if nothing is."""
        value, sentence = self.finding
        return sentence if sentence and value == self.value else problem_of(self)


def problem_of(field: TypedField) -> str:
    """Returns what is wrong with a field's value as a sentence, "" if nothing is."""
    value, most = field.value, field.most or limits.PROMPT_CHARS
    if not value.strip():
        return f"{field.label} is needed." if field.needed else ""
    if len(value) > most:
        return f"{field.label} has {len(value):,} characters; {most:,} is the most."
    try:
        _read(field, value.strip())
    except validators.WrongValueError as wrong:
        return f"{wrong}."
    return ""


def _read(field: TypedField, value: str) -> None:
    path = (field.label,)
    match field.kind:
        case "line" | "words":
            if "\n" in value:
                raise validators.must_be(path, "one line", value)
        case "id":
            validators.identifier(value, path)
        case "choice":
            validators.one_of(field.choices)(value, path)
        case "flag":
            validators.one_of(("yes", "no"))(value, path)
        case "whole":
            number = int(value) if value.lstrip("-").isdecimal() and len(value) < 20 else None
            validators.whole(int(field.low), int(field.high))(number, path)
        case "number":
            validators.number(field.low, field.high)(_number(value), path)


def _number(value: str) -> float | None:
    try:
        return float(value[:30])
    except ValueError:
        return None


class TypedForm(NamedTuple):
    """``subject`` is for whoever opened it. A place behind the last field is the row that saves."""

    subject: str
    title: str
    fields: tuple[TypedField, ...]
    base: str = ""  # which version of the subject the fields were read from
    at: int = 0
    editor: Editor = Editor()  # of the chosen field, when that is typed or its box is open
    boxed: bool = False  # the chosen field's text is open in the box
    asking: bool = False  # whether to leave what was changed
    request: str = ""  # id of the last save
    saving: bool = False  # it was not answered yet
    sent: tuple[str, dict[str, str]] = ("", {})  # what it was
    note: str = ""  # what was said of the last save
    rows: int = 1  # of the box, in which page up and down move
    columns: int = 40


class FormOutcome(Enum):
    """What a key asks of whoever opened the form."""

    NOTHING = 0
    SAVE = 1
    CLOSE = 2
    EDITOR = 3  # the chosen field's text in $EDITOR; ``filled`` takes what comes back


def fresh_form(subject: str, title: str, fields: tuple[TypedField, ...], base: str = "") -> TypedForm:
    """Returns a form at its first field that can be changed."""
    form = TypedForm(subject, title, fields, base)
    first = next((place for place, field in enumerate(fields) if not field.locked), 0)
    return at(form, first)


def current_field(form: TypedForm) -> TypedField | None:
    """Returns the chosen field, None on the row that saves."""
    return form.fields[form.at] if form.at < len(form.fields) else None


def changed(form: TypedForm) -> tuple[TypedField, ...]:
    """Returns the fields that differ from what they were."""
    return tuple(field for field in form.fields if field.changed)


def problems(form: TypedForm) -> tuple[TypedField, ...]:
    """Returns the fields that cannot be saved as they are."""
    return tuple(field for field in form.fields if not field.locked and field.problem)


def at(form: TypedForm, place: int) -> TypedForm:
    """Returns the form with another field chosen; its cursor is behind the text."""
    place = max(0, min(place, len(form.fields)))
    form = form._replace(at=place, boxed=False)
    field = current_field(form)
    text = field.value if field is not None and not field.locked else ""
    return form._replace(editor=Editor(text, len(text)))


def put(form: TypedForm, value: str) -> TypedForm:
    """Returns the form with another value in the chosen field."""
    fields = form.fields
    if form.at >= len(fields) or fields[form.at].locked:
        return form
    field = fields[form.at]._replace(value=value)
    return form._replace(fields=(*fields[: form.at], field, *fields[form.at + 1 :]))


def filled(form: TypedForm, text: str) -> TypedForm:
    """Returns the form with the text that $EDITOR gave back in the chosen field."""
    field = current_field(form)
    if field is None:
        return form
    if field.kind in TYPED:
        text = " ".join(text.split())
    return at(put(form, Editor().with_text(text).text), form.at)._replace(boxed=form.boxed)


def pasted(form: TypedForm, text: str) -> TypedForm:
    """Returns the form with ``text`` put in at the cursor; in a row it becomes one line."""
    field = current_field(form)
    if field is None or field.locked or form.asking:
        return form
    if field.kind in TYPED:
        return _edited(form, form.editor.insert(text.replace("\n", " ")))
    if field.kind in BOXED:
        form = form if form.boxed else form._replace(boxed=True)
        return _edited(form, form.editor.insert(text))
    return form


def refused(form: TypedForm, sentence: str, wrong: dict[str, str]) -> TypedForm:
    """Returns the form that could not be saved: ``sentence`` says why, ``wrong`` which fields are to blame."""
    fields = tuple(
        field._replace(finding=(field.value, wrong[field.name])) if field.name in wrong else field
        for field in form.fields
    )
    form = form._replace(fields=fields, saving=False, note=sentence)
    first = next((place for place, field in enumerate(fields) if field.name in wrong), None)
    return form if first is None else at(form, first)


def rebased(form: TypedForm, fresh: TypedForm) -> TypedForm:
    """Returns the form over a newer version of its subject: what was typed here stays, the rest is the newer one's."""
    typed = {field.name: field for field in form.fields if field.changed}
    fields = tuple(
        field._replace(value=typed[field.name].value) if field.name in typed else field
        for field in fresh.fields
    )
    after = form._replace(fields=fields, base=fresh.base, title=fresh.title)
    box = form.editor, form.boxed
    after = at(after, form.at)
    field = current_field(after)
    if field is not None and field.value == box[0].text:
        after = after._replace(editor=box[0], boxed=box[1])
    return after


# --- keys ---------------------------------------------------------------------------------------


def press(form: TypedForm, key: Key, action: str | None) -> tuple[TypedForm, FormOutcome]:
    """Returns the form after a key. ``action`` is what the key is bound to, None for nothing."""
    if form.asking:
        return _answered(form, key, action)
    if form.saving:  # nothing may change under it; Esc does not wait any longer
        waits = action not in ("escape", "interrupt", "quit")
        return form if waits else form._replace(saving=False), FormOutcome.NOTHING
    if key.name == SAVE_KEY:
        return _saving(form)
    if action == "editor":
        field = current_field(form)
        usable = field is not None and not field.locked and field.kind not in (*PICKED, "secret")
        return form, FormOutcome.EDITOR if usable else FormOutcome.NOTHING
    if form.boxed:
        return _in_box(form, key, action), FormOutcome.NOTHING
    if action in ("escape", "interrupt", "quit"):
        return leave(form)
    return _in_rows(form, key, action)


def leave(form: TypedForm) -> tuple[TypedForm, FormOutcome]:
    """Closes a form that is as it was, asks about one that was changed."""
    if not changed(form):
        return form, FormOutcome.CLOSE
    return form._replace(asking=True, boxed=False), FormOutcome.NOTHING


def _answered(form: TypedForm, key: Key, action: str | None) -> tuple[TypedForm, FormOutcome]:
    back = form._replace(asking=False)
    letter = key.text.lower()
    if letter == "d":
        return back, FormOutcome.CLOSE
    if letter == "s" or key.name == SAVE_KEY:
        return _saving(back)
    if action in ("escape", "submit", "interrupt", "quit") or letter == "g":
        return back, FormOutcome.NOTHING
    return form, FormOutcome.NOTHING


def _saving(form: TypedForm) -> tuple[TypedForm, FormOutcome]:
    """Saves, unless a field is wrong: then that one is chosen."""
    wrong = problems(form)
    if not wrong:
        return form._replace(boxed=False), FormOutcome.SAVE
    place = form.fields.index(wrong[0])
    return at(form, place)._replace(note=wrong[0].problem), FormOutcome.NOTHING


def _in_rows(form: TypedForm, key: Key, action: str | None) -> tuple[TypedForm, FormOutcome]:
    field = current_field(form)
    match key.name:
        case "up" | "shift+tab":
            return at(form, form.at - 1), FormOutcome.NOTHING
        case "down" | "tab":
            return at(form, form.at + 1), FormOutcome.NOTHING
        case "pageup":
            return at(form, form.at - 8), FormOutcome.NOTHING
        case "pagedown":
            return at(form, form.at + 8), FormOutcome.NOTHING
    if field is None:
        return _saving(form) if action == "submit" else (form, FormOutcome.NOTHING)
    if field.locked:
        return form, FormOutcome.NOTHING
    if field.kind in PICKED:
        return _picked(form, field, key, action), FormOutcome.NOTHING
    if field.kind in BOXED:
        if action == "submit":
            return form._replace(boxed=True), FormOutcome.NOTHING
        if key.text and key.text.isprintable():
            return _edited(form._replace(boxed=True), form.editor.insert(key.text)), FormOutcome.NOTHING
        return form, FormOutcome.NOTHING
    if action == "submit":
        return at(form, form.at + 1), FormOutcome.NOTHING
    return _typed(form, key), FormOutcome.NOTHING


def _picked(form: TypedForm, field: TypedField, key: Key, action: str | None) -> TypedForm:
    options = SWITCH if field.kind == "flag" else field.choices
    place = options.index(field.value) if field.value in options else -1
    if key.name in ("right", " ", "space") or action == "submit" or key.text == " ":
        return put(form, options[(place + 1) % len(options)])
    if key.name == "left":
        return put(form, options[(place - 1) % len(options)] if place >= 0 else options[-1])
    if key.name in ("backspace", "delete") and not field.needed and field.kind == "choice":
        return put(form, "")
    begun = [one for one in options if key.text and one.startswith(key.text.lower())]
    return put(form, begun[0]) if begun else form


def _typed(form: TypedForm, key: Key) -> TypedForm:
    edited = form.editor.handle(key)
    if edited is None or "\n" in edited.text:
        return form
    return _edited(form, edited)


def _edited(form: TypedForm, edited: Editor) -> TypedForm:
    form = form._replace(editor=edited)
    field = current_field(form)
    if field is None or field.value == edited.text:
        return form
    return put(form, edited.text)._replace(note="")


def _in_box(form: TypedForm, key: Key, action: str | None) -> TypedForm:
    """Keys in the box of a long text: Esc and Tab close it, Enter begins a new line."""
    if action in ("escape", "interrupt") or key.name in ("tab", "shift+tab"):
        return form._replace(boxed=False)
    if action in ("submit", "newline"):
        return _edited(form, form.editor.insert("\n"))
    steps = {"up": -1, "down": 1, "pageup": 1 - form.rows, "pagedown": form.rows - 1}.get(key.name)
    if steps is not None:
        return form._replace(editor=moved_rows(form.editor, form.columns, steps))
    edited = form.editor.handle(key)
    return form if edited is None else _edited(form, edited)


def moved_rows(editor: Editor, columns: int, steps: int) -> Editor:
    """Returns the editor with its cursor so many rows of the screen further down, in the same column."""
    rows = soft_rows(editor.text, max(2, columns))
    here = next(n for n in range(len(rows) - 1, -1, -1) if rows[n][0] <= editor.cursor)
    goal = editor.goal if editor.goal >= 0 else width(editor.text[rows[here][0] : editor.cursor])
    begin, end = rows[max(0, min(here + steps, len(rows) - 1))]
    cursor = begin + len(cut(editor.text[begin:end], goal))
    return editor._replace(cursor=cursor, goal=goal, last="")
