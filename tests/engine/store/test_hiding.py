"""Messages that stay on the screen and leave the narrator's sight, and messages taken out of a story."""

from __future__ import annotations

from pathlib import Path

import trio.testing

from flower.engine.store import paths, stories
from flower.protocol.messages import ChatHistory, ErrorEvent
from flower.tui.render.messages import Look, MessageView, StoryPane
from flower.tui.render.theme import load_theme
from tests.engine_world import EngineWorld, Face, engine_world


async def played(world: EngineWorld) -> tuple[Face, list[int]]:
    """A story with two exchanges, and the ids of its messages."""
    face = await world.playing()
    await face.say_and_wait("A secret.")
    await face.say_and_wait("I ring the bell.")
    assert face.client.session is not None
    path = await world.database.read(stories.active_path, face.client.session.id)
    return face, [message.id for message in path]


async def contents(world: EngineWorld, face: Face) -> list[str]:
    assert face.client.session is not None
    path = await world.database.read(stories.active_path, face.client.session.id)
    return [message.content for message in path]


async def test_hidden_messages_come_back(tmp_path: Path) -> None:
    """They are shown as hidden, in no prompt, and after /unhide in prompts again."""
    async with engine_world(tmp_path / "flower.db") as world:
        face, ids = await played(world)
        await face.say(f"/hide {ids[1]}-{ids[2]}")
        await trio.testing.wait_all_tasks_blocked()
        page = face.of(ChatHistory)[-1].metadata.history
        assert [item.hidden is True for item in page] == [False, True, True, False, False]
        await face.say_and_wait("Go on.")
        assert not any("A secret." in m.content for m in world.provider.completions[-1].messages)
        await face.say(f"/unhide {ids[1]} - {ids[2]}")
        await face.say_and_wait("Go on.")
        assert any("A secret." in m.content for m in world.provider.completions[-1].messages)


async def test_memories_of_hidden_messages_are_not_recalled(tmp_path: Path) -> None:
    """The memory of an exchange goes with its line."""
    async with engine_world(tmp_path / "flower.db") as world:
        face, ids = await played(world)
        await face.say(f"/hide {ids[1]}")
        assert face.client.session is not None
        leaf = await world.database.read(stories.active_leaf, face.client.session.id)
        way = await world.database.read(paths.way, leaf)
        assert set(way.ids) - set(way.remembered) == {ids[1], ids[2]}
        assert ids[1] not in way.remembered
        assert ids[3] in way.remembered
        assert len(way.remembered) == len(way.ids) - 2


async def test_a_message_can_be_taken_out(tmp_path: Path) -> None:
    """What follows stays; the old way is a branch to go back to."""
    async with engine_world(tmp_path / "flower.db") as world:
        face, ids = await played(world)
        before = await contents(world, face)
        await face.say(f"/remove {ids[1]}")
        assert not face.of(ErrorEvent)
        assert await contents(world, face) == [*before[:1], *before[2:]]
        await face.say("/checkout main")
        assert await contents(world, face) == before


async def test_what_cannot_be_done_is_a_sentence(tmp_path: Path) -> None:
    """Numbers of other branches, and words."""
    async with engine_world(tmp_path / "flower.db") as world:
        face, _ = await played(world)
        for line in ("/hide 999", "/hide", "/hide a-b", "/remove 999", "/remove"):
            before = len(face.of(ErrorEvent))
            await face.say(line)
            await trio.testing.wait_all_tasks_blocked()
            assert len(face.of(ErrorEvent)) == before + 1, line


def test_a_hidden_message_says_so_on_the_screen() -> None:
    """Dimmed is not enough where there are no colours."""
    pane = StoryPane(load_theme("mono", utf8=False))
    shown = pane._ending(MessageView(1, "user", "A secret.", hidden=True), Look(80, 76))
    assert "hidden" in "".join(text for line in shown for text, _ in line)
