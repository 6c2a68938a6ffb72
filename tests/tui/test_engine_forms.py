"""Forms of the engine on the screen: opened, saved, refused, and kept when the line or another client is in the way."""

from __future__ import annotations

from flower import limits
from flower.client.events import LinkChanged, Received, Send
from flower.protocol.messages import (
    CommandOption,
    ErrorEvent,
    ErrorMeta,
    Form,
    FormField,
    State,
    SystemUpdate,
)
from flower.tui.reading import Reader
from flower.tui.state.commands import offered
from flower.tui.term.inputs import Key
from tests.tui_world import Face

FIELDS = (
    FormField("name", "name", "line", "Mara", needed=True, most=120),
    FormField("persona", "persona", "text", "Dry.", needed=True),
)


def event(
    fields: tuple[FormField, ...] = FIELDS, base: str = "v1", drafted: tuple[str, ...] = ()
) -> Received:
    form = Form("character mara", "Character: Mara", fields, base, drafted)
    return Received(SystemUpdate("Character: Mara:\n  name: Mara", State(form=form)))


def opened() -> Face:
    return Face().online().put(event())


def sent(face: Face) -> Send:
    return [effect for effect in face.effects if isinstance(effect, Send)][-1]


def press(face: Face, *names: str) -> Face:
    for name in names:
        face.put(*([Key(name)] if len(name) > 1 else [Key(name, name)]))
    return face


def note(face: Face) -> str:
    assert face.model.form is not None
    return face.model.form.note


def test_a_form_opens_in_the_place_of_its_text() -> None:
    """Nothing is asked and nothing else opens."""
    face = opened()
    assert face.model.form is not None
    assert face.model.popup is None
    assert "Character: Mara" in face.frame.rows[1].text


def test_only_what_was_changed_is_sent() -> None:
    """And the form closes with the engine's yes, which is shown."""
    face = press(opened(), "x", "ctrl+s")
    assert sent(face) == Send("/form save v1 character mara", sent(face).request, {"name": "Marax"})
    face.put(Received(SystemUpdate("✓ Marax is saved.", State(request="somebody else's"))))
    assert face.model.form is not None
    face.put(Received(SystemUpdate("✓ Marax is saved.", State(request=sent(face).request or ""))))
    assert face.model.form is None
    assert face.model.notice.text == "Marax is saved."


def test_nothing_changed_is_not_sent() -> None:
    """The form just closes."""
    face = press(opened(), "ctrl+s")
    assert face.model.form is None
    assert not any(isinstance(e, Send) and e.fields for e in face.effects)


def test_a_refusal_says_which_field() -> None:
    """What was typed stays, and may be sent again."""
    face = press(opened(), "x", "down", "ctrl+s")
    wrong = ErrorMeta(request=sent(face).request or "", problems={"name": "The name is taken."})
    face.put(Received(ErrorEvent("The name is taken.", wrong)))
    assert face.model.form is not None
    assert (face.model.form.at, note(face)) == (0, "The name is taken.")
    first = sent(face).request
    press(face, "y", "ctrl+s")
    assert sent(face).fields == {"name": "Maraxy"}
    assert sent(face).request != first


def test_a_newer_version_is_merged_and_saved_over_only_when_asked() -> None:
    """The second of two editors sees the first one's other fields."""
    face = press(opened(), "x", "ctrl+s")
    newer = (FIELDS[0], FormField("persona", "persona", "text", "Loud.", needed=True))
    request = sent(face).request or ""
    face.put(
        event(newer, "v2"),
        Received(ErrorEvent("Mara was changed elsewhere.", ErrorMeta(request=request))),
    )
    assert note(face) == "Mara was changed elsewhere."
    assert face.model.form is not None
    assert [field.value for field in face.model.form.fields] == ["Marax", "Loud."]
    press(face, "ctrl+s")
    assert sent(face) == Send("/form save v2 character mara", sent(face).request, {"name": "Marax"})


def test_a_refusal_is_read_whole_on_a_small_screen() -> None:
    """It takes rows of the fields."""
    face = Face(40, 12).online().put(event())
    press(face, "x", "ctrl+s")
    said = "Mara was changed elsewhere since you opened it. What you typed stays; save again."
    face.put(Received(ErrorEvent(said, ErrorMeta(request=sent(face).request or ""))))
    assert said in " ".join(" ".join(row.text.strip("│ ") for row in face.frame.rows).split())
    assert "Marax" in face.text()


def test_a_lost_connection_loses_no_word_and_saves_once() -> None:
    """The same text goes out under the same id when it is saved again."""
    face = press(opened(), "x", "ctrl+s")
    first = sent(face)
    face.put(LinkChanged("lost", "gone"))
    assert "Save again" in note(face)
    press(face, "ctrl+s")
    assert "Not connected" in note(face)
    face.online()
    press(face, "ctrl+s")
    assert sent(face) == first


def test_what_was_drafted_counts_as_typed() -> None:
    """Leaving asks, saving sends it."""
    face = Face().online().put(event(drafted=("name", "persona")))
    press(face, "escape")
    assert face.model.form is not None
    assert face.model.form.asking
    press(face, "s")
    assert sent(face).fields == {"name": "Mara", "persona": "Dry."}


def test_an_open_form_is_not_pushed_aside() -> None:
    """Another one has to wait."""
    face = press(opened(), "x")
    other = Form("world harbour", "World: Harbour", FIELDS, "w1")
    face.put(Received(SystemUpdate("World: Harbour\n  name", State(form=other))))
    assert face.model.form is not None
    assert face.model.form.subject == "character mara"
    assert "close that first" in face.model.notice.text


def test_more_than_a_frame_holds_is_not_sent_at_once() -> None:
    """The player is told to save a part first."""
    face = Face().online()
    fields = tuple(FormField(f"f{n}", f"f{n}", "text", "é" * limits.PROMPT_CHARS) for n in range(3))
    face.put(event(fields, drafted=("f0", "f1", "f2")))
    press(face, "ctrl+s")
    assert "first, then the rest" in note(face)


def test_a_story_goes_on_under_a_form() -> None:
    """News are in the status line, the form stays."""
    face = press(opened(), "x")
    face.put(Received(SystemUpdate("✓ Rule on: Slow burn.")))
    assert face.model.form is not None
    assert face.model.notice.text == "Rule on: Slow burn."


def test_a_form_is_read_as_lines_where_there_is_no_screen() -> None:
    """And drafts are offered where a model can write them."""
    told = SystemUpdate(
        "Character: Mara:\n  name: Mara", State(form=Form("character mara", "Mara", FIELDS))
    )
    assert Reader().outline(told) == "Character: Mara:\n  name: Mara\n"
    draft = CommandOption("/character draft", "/character draft IDEA", "let the model draft")
    for offline in (True, False):
        replica = Face().online(commands=(draft,), offline=offline).model.replica
        assert any(one.name == draft.name for one in offered(replica)) != offline
