"""Who saves a form, by the first word of its subject. Pure.

A function here gets the model with the form as it is, and returns the next one: with ``form`` None where it is
saved at once; with ``form.saving`` set where an answer has to come first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flower.tui.state import engine_forms
from flower.tui.state.form import TypedForm
from flower.tui.state.model import Model
from flower.tui.state.status_line import Result

Save = Callable[[Model, TypedForm], Result]
SAVES: Mapping[str, Save] = dict.fromkeys(
    ("character", "world", "rules", "persona", "lorebook", "entry"), engine_forms.save
)
