"""A model drafts a character from a word or two: whatever it writes becomes a form, bounded, and nothing is stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flower.engine.forms import drafted, specs
from flower.engine.forms.values import read_all
from flower.engine.provider.base import Finish, Piece, Text
from flower.errors import ProviderError
from flower.protocol.messages import UNSET, ErrorEvent, Form, SystemUpdate
from tests.engine_world import Face, engine_world
from tests.fakes import ScriptedProvider, words

ASKED = """\
Name: Wren Halloway
Pronouns: She
Persona: Tall, tired, and kind.

She talks to the lamp.
Scenario: A lighthouse in a storm.
Greeting: "You came," says Wren.
Tags: #sea, lamps , night
"""
BOLD = (
    ASKED.replace("Name:", "**Name:**")
    .replace("Persona:", "- **Persona**:")
    .replace("Tags:", "_Tags_:")
)
HEADED = """\
## Name
Wren Halloway

## Persona
Tall, tired, and kind.

She talks to the lamp.

## Greeting
"You came," says Wren.
"""
FENCED = "Here you are:\n```json\n" + json.dumps({
    "name": "Wren Halloway", "description": "Tall, tired, and kind.", "personality": "She talks to the lamp.",
    "first_mes": '"You came," says Wren.', "tags": ["sea", "lamps"], "pronouns": 5,
}) + "\n```"  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        ASKED,
        BOLD,
        HEADED,
        FENCED,
        ASKED.replace("\n", "\n\n"),
        json.dumps({"data": json.loads(FENCED[FENCED.find("{") : -4])}),
    ],
)
def test_whatever_a_model_gives_is_told_apart(text: str) -> None:
    """Labels, bold ones, headings, JSON with or without words around it."""
    found = drafted.parsed(text, "a lighthouse keeper")
    assert found["name"] == "Wren Halloway"
    assert found["persona"].startswith("Tall, tired, and kind.")
    assert found["persona"].endswith("She talks to the lamp.")
    assert found["greeting"] == '"You came," says Wren.'
    if "Tags" in text:
        assert found["tags"] == "sea, lamps , night"


def test_a_story_without_labels_is_who_they_are() -> None:
    """With the idea for a name; no words are nobody."""
    assert drafted.parsed("She keeps the lamp.", "a keeper") == {
        "name": "A keeper",
        "persona": "She keeps the lamp.",
    }
    assert drafted.parsed(" \n", "a keeper") == {}
    assert drafted.parsed("{broken json", "x")["persona"] == "{broken json"


@given(
    st.text(max_size=400)
    | st.lists(st.sampled_from(["Name:", "**Persona**", "\n", "{", "}", ":", "#", "x "])).map("".join)
)
def test_no_text_of_a_model_breaks_a_form(text: str) -> None:
    """What comes out can be shown and saved."""
    found = drafted.parsed(text, "somebody")
    if found:
        made = specs.changed(specs.empty("character"), read_all(specs.CHARACTER[1:], found))
        assert made.name  # type: ignore[attr-defined] # a character


class OfflineProvider(ScriptedProvider):
    """One that composes, as the offline narrator does."""

    composes = True


def forms(face: Face) -> list[Form]:
    found = [event.metadata.form for event in face.of(SystemUpdate)]
    return [form for form in found if form is not UNSET]


async def test_a_draft_opens_a_form_and_is_stored_only_when_kept(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """For the client that asked alone."""
    async with engine_world(
        tmp_path / "flower.db", ScriptedProvider(words(ASKED.replace("\n", " \n")))
    ) as world:
        face, other = await world.face("one"), await world.face("two")
        await face.say("/character draft a lighthouse keeper")
        await trio.testing.wait_all_tasks_blocked()
        (form,) = forms(face)
        assert not forms(other)
        assert form.subject == "character"
        assert set(form.drafted) >= {"name", "persona", "greeting"}
        assert "a lighthouse keeper" in world.provider.completions[-1].messages[0].content
        assert "wren-halloway" not in world.engine.services.assets.characters
        await face.say("/character keep")
        assert world.engine.services.assets.characters["wren-halloway"].pronouns == "she"
        await face.say("/character keep")
        await trio.testing.wait_all_tasks_blocked()
        assert "Nothing was drafted" in face.of(ErrorEvent)[-1].content


async def test_a_draft_ends_when_it_is_cancelled_or_the_client_leaves(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """And a new one takes the place of one under way."""
    async with engine_world(tmp_path / "flower.db", ScriptedProvider(gap_s=10.0)) as world:
        face = await world.face()
        for _ in range(2):
            await face.say("/character draft a keeper")
            await trio.sleep(5)
        await face.say("/cancel")
        await trio.testing.wait_all_tasks_blocked()
        await face.say("/character draft a keeper")
        world.engine.disconnect(face.client)
        await trio.testing.wait_all_tasks_blocked()
        assert world.provider.opened == world.provider.closed
        assert not forms(face)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([Text("Na"), ProviderError("network", "the line is dead")], "No draft: "),
        ([Text(" "), Finish("done")], "wrote nothing"),
    ],
)
async def test_a_draft_that_fails_says_why(
    script: list[Piece | Exception], said: str, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """In one sentence."""
    async with engine_world(tmp_path / "flower.db", ScriptedProvider(script)) as world:
        face = await world.face()
        await face.say("/character draft a keeper")
        await trio.testing.wait_all_tasks_blocked()
        texts = [event.content for event in face.events if isinstance(event, ErrorEvent | SystemUpdate)]
        assert said in texts[-1]


async def test_the_offline_narrator_says_that_it_cannot(tmp_path: Path) -> None:
    """And what to do."""
    async with engine_world(tmp_path / "flower.db", OfflineProvider()) as world:
        face = await world.face()
        for line in ("/character draft a keeper", "/character draft", "/character keep"):
            await face.say(line)
        await trio.testing.wait_all_tasks_blocked()
        assert ["/model" in event.content for event in face.of(ErrorEvent)] == [True, False, False]
