"""A form is filled in with keys: nothing typed is lost, what is wrong is said at once, and it fits small screens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.tui.state import bindings, form_dialog
from flower.tui.state import form as forms
from flower.tui.state.effects import OpenEditor
from flower.tui.state.form import FormOutcome, TypedField, TypedForm
from flower.tui.state.form_dialog import opened
from flower.tui.state.model import Edited, Model
from flower.tui.state.status_line import Result
from flower.tui.term.inputs import Key, Mouse, Paste
from tests.tui_world import Face

FIELDS = (
    TypedField("id", "id", "id", "mara", "mara", needed=True),
    TypedField("name", "name", "line", "Mara", "Mara", "What she is called.", needed=True, most=120),
    TypedField("persona", "persona", "text", "Dry, patient.", "Dry, patient.", "Who she is.", needed=True),
    TypedField("tags", "tags", "words", "sea, lamps", "sea, lamps"),
    TypedField("greetings", "other greetings", "texts", "Fog.\n%\nRain.", "Fog.\n%\nRain."),
    TypedField("pronouns", "pronouns", "choice", "", "", choices=("she", "he", "they")),
    TypedField("nsfw", "adult", "flag", "no", "no"),
    TypedField("priority", "priority", "whole", "50", "50", low=0, high=100),
    TypedField("lore", "lore", "text", "Very long …", "Very long …", locked="It is too long to be changed here."),
)  # fmt: skip
KEYS = bindings.default().by_key


def form() -> TypedForm:
    return forms.fresh_form("test mara", "Mara", FIELDS)


def typed(start: TypedForm, *names: str) -> tuple[TypedForm, FormOutcome]:
    """The form after keys: names, or texts in quotes typed letter by letter."""
    outcome = FormOutcome.NOTHING
    for name in names:
        keys = [Key(c, c) for c in name[1:]] if name.startswith('"') else [Key(name)]
        for key in keys:
            start, outcome = forms.press(start, key, KEYS.get(key.name))
    return start, outcome


def value(shown: TypedForm, name: str) -> str:
    return next(field.value for field in shown.fields if field.name == name)


def test_what_is_typed_is_in_its_field_at_once() -> None:
    """Moving on loses nothing, and says what changed."""
    after, _ = typed(form(), "down", '" the Elder', "down", "enter", '"!', "enter", '"x', "escape")
    assert (value(after, "name"), value(after, "persona")) == ("Mara the Elder", "Dry, patient.!\nx")
    assert [field.name for field in forms.changed(after)] == ["name", "persona"]
    assert not after.boxed


def test_leaving_asks_only_when_something_was_changed() -> None:
    """Esc twice goes on; d drops, s saves."""
    assert typed(form(), "escape")[1] is FormOutcome.CLOSE
    asked, outcome = typed(form(), "down", '"x', "escape")
    assert asked.asking
    assert outcome is FormOutcome.NOTHING
    back, _ = typed(asked, "escape")
    assert not back.asking
    assert value(back, "name") == "Marax"
    assert typed(asked, '"d')[1] is FormOutcome.CLOSE
    assert typed(asked, '"s')[1] is FormOutcome.SAVE
    assert typed(asked, '"x')[0] == asked


@pytest.mark.parametrize("name", ["interrupt", "quit"])
def test_no_way_out_drops_what_was_typed(name: str) -> None:
    """Ctrl-C and Ctrl-D ask as Esc does."""
    changed, _ = typed(form(), "down", '"x')
    after, outcome = forms.press(changed, Key("ctrl+c"), name)
    assert after.asking
    assert outcome is FormOutcome.NOTHING


def test_what_is_wrong_is_not_saved() -> None:
    """The first wrong field is chosen and says why."""
    wrong, outcome = typed(form(), '"!', "down", "down", "ctrl+s")
    assert outcome is FormOutcome.NOTHING
    assert wrong.at == 0
    assert "a-z 0-9" in wrong.note
    assert typed(wrong, "backspace", "ctrl+s")[1] is FormOutcome.SAVE


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("line", "", "needed"),
        ("line", "x" * 200, "120 is the most"),
        ("id", "Old Ned", "a-z"),
        ("whole", "101", "from 0 to 100"),
        ("whole", "ten", "whole number"),
        ("whole", "9" * 50, "whole number"),
        ("number", "0.5x", "a number"),
        ("choice", "us", "one of she, he"),
        ("flag", "maybe", "one of yes, no"),
        ("line", "two\nlines", "one line"),
    ],
)
def test_every_kind_is_checked(kind: str, text: str, words: str) -> None:
    """By the readers that read the files."""
    field = TypedField(
        "f", "f", kind, text, choices=("she", "he"), needed=True, high=1 if kind == "number" else 100, most=120
    )  # fmt: skip
    assert words in field.problem


def test_a_choice_and_a_switch_are_picked() -> None:
    """With the arrows, space, or the first letter; a choice may be none."""
    after, _ = typed(form(), *["down"] * 5, "right", "right", "down", "space")
    assert (value(after, "pronouns"), value(after, "nsfw")) == ("he", "yes")
    after, _ = typed(after, "up", "backspace", "down", "left")
    assert (value(after, "pronouns"), value(after, "nsfw")) == ("", "no")
    assert value(typed(after, "up", '"t')[0], "pronouns") == "they"


def test_a_locked_field_stays() -> None:
    """Whatever is typed at it."""
    after, outcome = typed(form(), *["down"] * 8, '"abc', "enter", "backspace", "ctrl+x", "ctrl+s")
    assert not forms.changed(after)
    assert outcome is FormOutcome.SAVE


def test_a_refused_form_says_what_is_wrong_until_that_is_changed() -> None:
    """The engine's word on a value holds for that value alone."""
    after = forms.refused(form(), "There is a Mara already.", {"name": "The name is taken."})
    assert after.at == 1
    assert [field.name for field in forms.problems(after)] == ["name"]
    assert not forms.problems(typed(after, '"x')[0])


def test_a_newer_version_keeps_what_was_typed() -> None:
    """What was not changed here is the newer one's, and nothing counts as changed that is equal."""
    here, _ = typed(form(), "down", '"x')
    newer = FIELDS[2]._replace(value="Loud.", was="Loud.")
    fresh = forms.fresh_form("test mara", "Mara", (*FIELDS[:2], newer, *FIELDS[3:]), "2")
    after = forms.rebased(here, fresh)
    assert (value(after, "name"), value(after, "persona"), after.base) == ("Marax", "Loud.", "2")
    assert [field.name for field in forms.changed(after)] == ["name"]


def test_rows_of_a_long_line_are_walked() -> None:
    """Down goes to the row below on the screen, not to the next line break."""
    long = FIELDS[2]._replace(value="word " * 40, was="")
    boxed = forms.fresh_form("test", "T", (long,))._replace(boxed=True, columns=30, rows=6)
    up, _ = typed(boxed, "up")
    assert 0 < boxed.editor.cursor - up.editor.cursor <= 31
    assert typed(up, "down")[0].editor.cursor == boxed.editor.cursor


NAMES = st.sampled_from(
    ["up", "down", "enter", "escape", "tab", "left", "right", "backspace", "pagedown", "pageup", "home",
     "ctrl+s", "ctrl+c", "ctrl+w", "delete", '"a', '"é', '"d', '"s', "ctrl+z"]
)  # fmt: skip


@given(st.lists(NAMES, max_size=30))
def test_no_keys_break_a_form(names: list[str]) -> None:
    """Its place is always one that is there, and the cursor's text is the field's."""
    after, _ = typed(form(), *names)
    field = forms.current_field(after)
    assert 0 <= after.at <= len(FIELDS)
    if field is not None and field.kind in (*forms.TYPED, *forms.BOXED) and not field.locked:
        assert after.editor.text == field.value


# --- on the screen ------------------------------------------------------------------------------


def shown(columns: int, rows: int, *, utf8: bool = True) -> Face:
    face = Face(columns, rows, utf8=utf8)
    face.model = opened(face.model, form())
    face.frame = face.tick()
    return face


def text_of(face: Face) -> str:
    return "\n".join(row.text for row in face.frame.rows)


@pytest.mark.parametrize(("columns", "rows"), [(40, 12), (40, 24), (80, 24), (132, 40)])
def test_a_form_fits_every_screen(columns: int, rows: int) -> None:
    """Every row is as wide as the screen, the chosen field and its cursor are in view."""
    face = shown(columns, rows)
    for _ in range(len(FIELDS) + 1):
        assert {row.width for row in face.frame.rows} == {columns}
        assert face.frame.cursor is not None
        x, y = face.frame.cursor
        assert 0 <= x < columns
        assert 0 < y < rows - 1
        field = forms.current_field(face.model.form) if face.model.form else None
        assert (field.label[:8] if field else "Save") in text_of(face)
        face.put(Key("enter"), Key("escape"), Key("down"))
        if face.model.form is None:
            break


def test_the_cursor_is_where_typing_goes() -> None:
    """In a row longer than the screen the end is shown."""
    face = shown(40, 12)
    face.put(Key("down"), *(Key(c, c) for c in " of the lamp that never goes out again"))
    assert face.frame.cursor is not None
    x, y = face.frame.cursor
    assert face.frame.rows[y].text[:x].endswith("again")


def test_marks_say_what_was_changed_and_what_is_wrong() -> None:
    """And the words below why."""
    face = shown(80, 24)
    face.put(*(Key(c, c) for c in "!!"))
    assert "× id" in text_of(face)
    assert "out of a-z" in text_of(face)
    assert "1 changed" in text_of(face)
    face.put(Key("escape"))
    assert "s save, d drop" in text_of(face)


def test_a_long_text_goes_to_the_editor_and_comes_back() -> None:
    """Into the field, and not into the input line."""
    face = shown(80, 24)
    face.put(Key("down"), Key("down"), Key("ctrl+x"), Key("ctrl+e"))
    assert face.effects[-1] == OpenEditor("Dry, patient.")
    face.put(Edited("Loud.\nVery."))
    assert face.model.form is not None
    assert value(face.model.form, "persona") == "Loud.\nVery."
    assert face.model.input.text == ""


def test_a_paste_goes_into_the_field() -> None:
    """On one line in a row, as it is in a long text."""
    face = shown(80, 24)
    face.put(Key("down"), Paste(" the\nElder"), Key("down"), Paste("\nA\nB"), Mouse("wheel_up", 0, 0))
    assert face.model.form is not None
    assert value(face.model.form, "name") == "Mara the Elder"
    assert value(face.model.form, "persona") == "Dry, patient.\nA\nB"


def test_saving_goes_to_whoever_opened_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the first word of the subject; a form that is being saved takes no key but Esc."""

    def save(model: Model, saved: TypedForm) -> Result:
        return model._replace(form=saved._replace(saving=True)), ()

    monkeypatch.setitem(form_dialog.SAVES, "test", save)
    face = shown(80, 24)
    face.put(Key("down"), Key("x", "x"), Key("ctrl+s"))
    assert face.model.form is not None
    assert face.model.form.saving
    assert "saving" in text_of(face)
    face.put(Key("y", "y"))
    assert value(face.model.form, "name") == "Marax"
    face.put(Key("escape"))
    assert face.model.form is not None
    assert not face.model.form.saving
