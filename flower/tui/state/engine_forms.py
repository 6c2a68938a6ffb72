"""Forms of the engine on the screen: opened as they come, sent when they are saved, and what the engine answers.

Pure. Only fields that were changed are sent. The same text is sent again under the same id, so that a save whose
answer was lost is done once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flower import limits
from flower.client.events import Send
from flower.tui.state import form as forms
from flower.tui.state.form import TypedForm
from flower.tui.state.form_field import TypedField
from flower.tui.state.model import Model
from flower.tui.state.status_line import Result, notify

if TYPE_CHECKING:
    from flower.protocol import messages

LOST = (
    "The connection was lost before the engine answered. Save again when it is back: that is done once."
)


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
    if sum(len(text.encode("utf-8", "replace")) for text in fields.values()) > limits.FORM_BYTES:
        note = f"More than {limits.FORM_BYTES // limits.KIB} KiB were changed; save some fields first, then the rest."
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
