"""The form that is open: keys, pastes and texts from $EDITOR go to it, the engine sends it and takes what was saved.

Pure. ``form`` knows the form, ``SAVES`` who saves it. Only fields that were changed are sent. The same text is sent
again under the same id, so that a save whose answer was lost is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from flower import limits
from flower.client.events import Send
from flower.tui.render.text import wrap
from flower.tui.state import actions
from flower.tui.state import form as forms
from flower.tui.state.effects import OpenEditor
from flower.tui.state.form import FormOutcome, TypedField, TypedForm
from flower.tui.state.model import Model
from flower.tui.state.status_line import Result, notify
from flower.tui.state.viewport import layout_of
from flower.tui.term.inputs import Key

if TYPE_CHECKING:
    from flower.protocol import messages

FORM_BYTES = 200 * limits.KIB  # typed into one form and saved at once: a frame to the engine has 256


# Actions that mean the same here as elsewhere.
ANYWHERE = frozenset({"suspend", "redraw", "help"})
EDGES = 4  # columns of the frame and the space inside it
LOST = (
    "The connection was lost before the engine answered. Save again when it is back: that is done once."
)
ABOUT_ROWS = 2  # that say what the chosen field is for; half of them on a small screen


class FormRoom(NamedTuple):
    """Cells of a form: rows and columns of its fields, and rows below that say what they are for."""

    rows: int
    columns: int
    about: int


def room_of(model: Model) -> FormRoom:
    """Returns how the panel is divided: all between the header and the status line is its."""
    place = layout_of(model)
    rows, columns = place.status - place.pane_top - 2, model.columns - EDGES
    about = ABOUT_ROWS if rows >= 4 * ABOUT_ROWS else 1
    if model.form is not None and model.form.note:  # what went wrong is read whole
        about = max(about, min(len(wrap(model.form.note, columns)), rows // 2))
    return FormRoom(max(1, rows - about - 1), columns, about)


def opened(model: Model, form: TypedForm) -> Model:
    """Returns the model with a form open."""
    return model._replace(form=form, popup=None, menu=-1)


def press(model: Model, key: Key, action: str | None) -> Result:
    """One key while a form is open."""
    form = model.form
    assert form is not None
    if action in ANYWHERE and not (action == "help" and key.text):
        return actions.run(model, action)
    if key.name == "ctrl+d" and form.editor.text:
        action = None  # it deletes while there is something to delete
    room = room_of(model)
    form = form._replace(rows=room.rows - 1, columns=room.columns)
    after, outcome = forms.press(form, key, action)
    return _done(model._replace(form=after), after, outcome)


def _done(model: Model, form: TypedForm, outcome: FormOutcome) -> Result:
    match outcome:
        case FormOutcome.CLOSE:
            return model._replace(form=None), ()
        case FormOutcome.EDITOR:
            field = forms.current_field(form)
            return model, (OpenEditor(field.value if field is not None else ""),)
        case FormOutcome.SAVE:
            return SAVES[form.subject.split()[0]](model, form)
        case _:
            return model, ()


def edited(model: Model, text: str) -> Model:
    """Returns the model with the text that $EDITOR gave back in its form."""
    assert model.form is not None
    return model._replace(form=forms.filled(model.form, text))


def pasted(model: Model, text: str) -> Model:
    """Returns the model with ``text`` put into its form."""
    assert model.form is not None
    return model._replace(form=forms.pasted(model.form, text))


# --- forms of the engine -------------------------------------------------------------------------


def came(model: Model, sent: messages.Form) -> Model:
    """Returns the model with a form of the engine open; a newer version of the open one keeps what was typed."""
    fresh = _made(sent)
    if model.form is None:
        return model._replace(form=fresh, popup=None, menu=-1)
    if model.form.subject == fresh.subject and fresh.base != model.form.base:
        return model._replace(form=forms.rebased(model.form, fresh))
    return notify(model, "Another form is open; close that first.", "bad")


def _made(sent: messages.Form) -> TypedForm:
    fields = tuple(
        TypedField(
            field.name,
            field.label,
            field.kind,
            field.value,
            "" if field.name in sent.drafted else field.value,
            field.about,
            field.choices,
            field.needed,
            field.low,
            field.high,
            field.most,
            field.locked,
        )
        for field in sent.fields
    )
    return forms.fresh_form(sent.subject, sent.title, fields, sent.base)


def save(model: Model, form: TypedForm) -> Result:
    """Sends what was changed."""
    if model.link.state != "online":
        return model._replace(
            form=form._replace(note="Not connected; save when the engine is back.")
        ), ()
    fields = {field.name: field.value for field in forms.changed(form)}
    if not fields:
        return notify(model._replace(form=None), "Nothing was changed."), ()
    if sum(len(text.encode("utf-8", "replace")) for text in fields.values()) > FORM_BYTES:
        note = f"More than {FORM_BYTES // limits.KIB} KiB were changed; save some fields first, then the rest."
        return model._replace(form=form._replace(note=note)), ()
    line = f"/form save {form.base} {form.subject}"
    request = form.request if form.sent == (line, fields) else f"{model.nonce}-{model.requests + 1}"
    form = form._replace(saving=True, note="", request=request, sent=(line, fields))
    model = model._replace(form=form, requests=model.requests + 1)
    return model, (Send(line, request, fields),)


def saved(model: Model, request: str) -> Model:
    """Returns the model after the engine said yes to a prompt: its form is done."""
    form = model.form
    if form is None or not request or form.request != request or not form.saving:
        return model
    return model._replace(form=None)


def refused(model: Model, request: str, sentence: str, wrong: dict[str, str]) -> Model | None:
    """Returns the model after the engine said no to its form; None when it was about something else."""
    form = model.form
    if form is None or not request or form.request != request:
        return None
    return model._replace(form=forms.refused(form, sentence, wrong))


def unanswered(model: Model) -> Model:
    """Returns the model after the connection was lost."""
    form = model.form
    if form is None or not form.saving:
        return model
    return model._replace(form=form._replace(saving=False, note=LOST))


# Who saves a form, by the first word of its subject: returns the model with ``form`` None where it is saved at
# once, with ``form.saving`` set where an answer has to come first.
Save = Callable[[Model, TypedForm], Result]
SAVES: Mapping[str, Save] = dict.fromkeys(
    ("character", "world", "rules", "persona", "lorebook", "entry"), save
)
