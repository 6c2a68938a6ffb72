"""A story with an imported character: how it begins, and what the narrator is told of the card."""

from __future__ import annotations

from pathlib import Path

import trio.testing

from flower.engine.assets.kinds import Character
from flower.engine.prompt.assemble import Inset, PromptLine, Section, assemble
from flower.engine.prompt.sections import character_sections
from flower.engine.store import states, stories, tree
from flower.engine.token_counter import TokenCounter
from flower.protocol.messages import ErrorEvent, SystemUpdate
from tests import import_files
from tests.engine_world import EngineWorld, Face, engine_world


async def with_card(world: EngineWorld, folder: Path, **fields: object) -> Face:
    """A client that has chosen an imported card and no world, in a new story."""
    path = import_files.write(folder / "ada.json", import_files.card(**fields))
    await world.engine.imports.importer.take(path, path.name)
    face = await world.face()
    await face.say("/character select ada")
    await face.say("/session new")
    return face


def prompt(world: EngineWorld) -> list[str]:
    """The newest prompt, message by message."""
    return [message.content for message in world.provider.completions[-1].messages]


async def test_a_card_alone_is_enough(tmp_path: Path) -> None:
    """The story begins with its greeting; the others are variants of it, and macros are expanded."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await with_card(world, tmp_path)
        assert face.client.session is not None
        session_id = face.client.session.id
        (first,) = await world.database.read(stories.active_path, session_id)
        assert first.content == "*Ada looks up.* Good evening, the player."
        assert await world.database.read(tree.variants, [first.id]) == {first.id: (1, 3)}
        await face.say("/variant 2")
        (second,) = await world.database.read(stories.active_path, session_id)
        assert second.content == "The door is locked."
        await face.say_and_wait("I knock.")
        assert "The door is locked." in prompt(world)[-2]
        assert not face.of(ErrorEvent)


async def test_a_cast_begins_with_the_greeting_for_several(tmp_path: Path) -> None:
    """As long as nothing was said: then it is one more variant of the first message, and only once."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await with_card(
            world, tmp_path, group_only_greetings=["{{char}} waves at all of you, {{user}}.", " "]
        )
        session = face.client.session
        assert session is not None
        for members in ("mara", "mara"):
            await face.say(f"/cast add {members}")
            (first,) = await world.database.read(stories.active_path, session.id)
            assert first.content == "Ada waves at all of you, the player."
            assert await world.database.read(tree.variants, [first.id]) == {first.id: (4, 4)}
        await face.say("/variant 1")
        await face.say_and_wait("I knock.")
        path = await world.database.read(stories.active_path, session.id)
        await face.say("/cast add mara")
        assert await world.database.read(stories.active_path, session.id) == path
        assert not face.of(ErrorEvent)


async def test_one_alone_never_says_the_greeting_for_several(tmp_path: Path) -> None:
    """Neither at the beginning nor when the same character is brought on stage again."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await with_card(world, tmp_path, group_only_greetings=["All here?"])
        await face.say("/cast add ada")
        assert face.client.session is not None
        shown = await world.database.read(stories.children, face.client.session.id, None)
        assert [one.content for one in shown if "All here" in one.content] == []
        assert len(shown) == 3


async def test_without_world_and_character_there_is_no_story(tmp_path: Path) -> None:
    """And the sentence says what to choose."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        await face.say("/session new")
        await trio.testing.wait_all_tasks_blocked()
        assert "world" in face.of(ErrorEvent)[-1].content


async def test_a_world_can_be_left(tmp_path: Path) -> None:
    """After /world select none the card is played alone."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await face.say("/character select mara")
        await face.say("/world select none")
        await face.say("/session new")
        assert face.client.session is not None
        assert face.client.session.world_id == ""
        await face.say_and_wait("Hello?")
        assert "Salt and fog" not in prompt(world)[0]


async def test_the_notes_of_the_author_are_shown_once(tmp_path: Path) -> None:
    """Before the first play, and never to the narrator."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await with_card(world, tmp_path)
        await face.say("/session new")
        await face.say_and_wait("Hello?")
        told = [event.content for event in face.of(SystemUpdate) if "candle" in event.content]
        assert len(told) == 1
        assert not any("candle" in text for text in prompt(world))


async def test_the_card_directs_the_narrator(tmp_path: Path) -> None:
    """Its system prompt holds the base rules where it says so; its last words go with the line."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await with_card(
            world,
            tmp_path,
            system_prompt="Write as {{char}}. {{original}} Be brief.",
            post_history_instructions="{{original}}Never say {{user}}'s thoughts.",
            extensions={"depth_prompt": {"prompt": "Ada is tired.", "depth": 2, "role": "system"}},
        )
        await face.say_and_wait("I knock.")
        await face.say_and_wait("I wait.")
        messages = prompt(world)
        assert messages[0].startswith("Write as Ada. You are the narrator. Be brief.")
        assert "The scenario: A workshop under the bridge." in messages[0]
        assert "the player: Hello?\nAda: Mind the gears." in messages[0]
        assert messages[-1].startswith("Never say the player's thoughts.")
        assert messages[-1].endswith("I wait.")
        (place,) = [index for index, text in enumerate(messages) if "Ada is tired." in text]
        assert place == len(messages) - 3, "with what stands above the two newest messages"
        assert messages[place].endswith("Ada is tired.")
        assert sum("Never say" in text for text in messages) == 1


def test_examples_are_the_first_to_go() -> None:
    """A tight budget takes them before it shortens anything else."""
    character = Character(
        "ada", "Ada", "Mends clocks.", example_dialogue="<START>\nAda: Mind it.\n" * 90
    )
    world = Section("world", "w", "A long street. " * 40, 70)
    sections = (world, *character_sections(character))
    line = [PromptLine(1, "user", "Hello?")]
    wide = assemble(sections, line, budget=4000, counter=TokenCounter())
    tight = assemble(sections, line, budget=420, counter=TokenCounter())
    assert any(entry.section == "examples" for entry in wide.manifest)
    assert [(entry.section, entry.note) for entry in tight.manifest] == [("world", ""), ("history", "")]


def test_insets_stand_where_they_want() -> None:
    """Depth 0 is with the newest line, deeper than the story is at its beginning."""
    lines = [PromptLine(n, "user" if n % 2 else "assistant", f"line {n}") for n in range(1, 6)]
    insets = [Inset("near", 0), Inset("above", 2), Inset("far", 99)]
    told = assemble((), lines, budget=4000, counter=TokenCounter(), insets=insets).messages
    assert [m.content for m in told] == [
        "far\n\nline 1",
        "line 2",
        "above\n\nline 3",
        "line 4",
        "near\n\nline 5",
    ]


async def test_hidden_messages_are_in_no_prompt(tmp_path: Path) -> None:
    """They stay on the screen."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await face.say_and_wait("A secret.")
        assert face.client.session is not None
        path = await world.database.read(stories.active_path, face.client.session.id)
        for message in path[-2:]:
            await world.database.write(stories.set_message_extra, message.id, {"hidden": True})
        await face.say_and_wait("Go on.")
        assert not any("A secret." in text for text in prompt(world))
        shown = await world.database.read(tree.page, face.client.session.id, None)
        assert shown is not None
        assert any(message.content == "A secret." for message in shown.messages)


async def test_a_bound_persona_plays_with_its_character(tmp_path: Path) -> None:
    """The default one plays with others, unless the player was somebody before."""
    settings = {
        "power_user": {
            "personas": {"me.png": "Kim", "other.png": "Lee"},
            "default_persona": "other.png",
            "persona_descriptions": {
                "me.png": {
                    "description": "Tall.",
                    "connections": [{"type": "character", "id": "ada.png"}],
                }
            },
        }
    }
    async with engine_world(tmp_path / "flower.db") as world:
        path = import_files.write(tmp_path / "settings.json", settings)
        await world.engine.imports.importer.take(path, path.name)
        face = await world.playing()
        assert face.client.session is not None
        steered = await world.database.read(states.steering, face.client.session.id)
        assert steered.persona.name == "Lee"
        face = await with_card(world, tmp_path)
        assert face.client.session is not None
        steered = await world.database.read(states.steering, face.client.session.id)
        assert (steered.persona.name, steered.persona.text) == ("Kim", "Tall.")
