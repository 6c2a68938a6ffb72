"""The open form of a model: keys, pastes and texts from $EDITOR go to it, and what it asks for is done.

Pure. ``form`` knows the form, ``SAVES`` who saves it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from flower.tui.render.text import wrap
from flower.tui.state import actions, engine_forms
from flower.tui.state import form as forms
from flower.tui.state.effects import OpenEditor
from flower.tui.state.form import FormOutcome, TypedForm
from flower.tui.state.geometry import layout_of
from flower.tui.state.model import Model
from flower.tui.state.status_line import Result
from flower.tui.term.inputs import Key

# Actions that mean the same here as elsewhere.
KEPT = frozenset({"suspend", "redraw", "help"})
EDGES = 4  # columns of the frame and the space inside it
# Who saves a form, by the first word of its subject: returns the model with ``form`` None where it is saved at
# once, with ``form.saving`` set where an answer has to come first.
Save = Callable[[Model, TypedForm], Result]
SAVES: Mapping[str, Save] = dict.fromkeys(
    ("character", "world", "rules", "persona", "lorebook", "entry"), engine_forms.save
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
    if action in KEPT and not (action == "help" and key.text):
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
