"""Looking at the tree through the engine: what is told, to whom, while whatever happens to the story."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec import UNSET
from trio.testing import MockClock

from flower import limits
from flower.engine.commands import tree as tree_module
from flower.engine.store import outline_fold, stories
from flower.protocol.codec import encode
from flower.protocol.messages import (
    ErrorEvent,
    ShownMessage,
    StoryTree,
    SystemUpdate,
    TreeNode,
)
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, words


async def look(face: Face, line: str = "/tree") -> tuple[str, StoryTree]:
    await face.say(line)
    await trio.testing.wait_all_tasks_blocked()
    update = face.of(SystemUpdate)[-1]
    assert isinstance(update.metadata.tree, StoryTree)
    return update.content, update.metadata.tree


async def read(face: Face, message: int) -> tuple[str, ShownMessage]:
    await face.say(f"/show {message}")
    await trio.testing.wait_all_tasks_blocked()
    update = face.of(SystemUpdate)[-1]
    assert isinstance(update.metadata.shown, ShownMessage)
    return update.content, update.metadata.shown


def node(told: StoryTree, message: int) -> TreeNode:
    return next(node for node in told.nodes if node.message == message)


async def test_the_tree_is_told_to_the_one_who_asks_with_lines_for_those_who_only_read(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(words("A gull laughs."))) as world:
        one = await world.playing()
        two = await world.face()
        for line in ("I knock.", "/retry", "/branch east", "I wait.", "/variant 1 3"):
            await one.say_and_wait(line)
        heard = len(two.events)
        content, told = await look(one)
        assert len(two.events) == heard
        assert told.session == one.client.chosen.session_id
        assert (told.stands, told.focus, told.messages) == (3, 3, 6)
        assert [n.message for n in told.nodes] == [1, 2, 3, 4, 5, 6]
        assert (node(told, 4).variant, node(told, 4).variants) == (2, 2)
        assert [n.active for n in told.nodes] == [True, True, True, False, False, False]
        assert node(told, 3).branches == ("east",), "a branch ends where the story stands on it"
        assert node(told, 3).leaf
        assert content.splitlines()[1:] == [
            "* 1 The tide is out.",
            "* 2 You: I knock.",
            "|-o 4 A gull laughs. 2/2 [main]",
            "| o 5 You: I wait.",
            "| o 6 A gull laughs.",
            "@ 3 A gull laughs. 1/2 [east]",
        ]


async def test_a_reply_that_grows_has_the_words_it_has_so_far(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(
        path, ScriptedProvider(words("One by one the lamps go out."), gap_s=1.0)
    ) as world:
        face = await world.playing()
        await face.say("I wait.")
        await trio.sleep(3.5)
        _, told = await look(face)
        grown = node(told, 3)
        assert grown.status == "streaming"
        assert grown.text
        assert "One by one the lamps go out.".startswith(grown.text)
        text, shown = await read(face, 3)
        assert (text.strip(), shown.status) == (grown.text, "streaming")
        await world.engine.turns.wait_idle()
        assert node((await look(face))[1], 3).status == ""


async def test_any_message_can_be_read_even_in_the_trash(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("I knock.")
        await face.say("/delete 2")
        text, shown = await read(face, 2)
        assert (text, shown.role, shown.thrown, shown.cut) == ("I knock.", "user", True, False)
        _, told = await look(face)
        assert (node(told, 2).thrown, node(told, 2).below) == (True, 1)


async def test_a_long_message_is_cut_and_says_so(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("I knock. " * 3000)
        text, shown = await read(face, 2)
        assert (len(text), shown.cut) == (tree_module.SHOWN_CHARS, True)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/tree x", "A number is needed"),
        ("/tree 99", "no message 99"),
        ("/show", "A number is needed"),
        ("/show 99", "no message 99"),
    ],
)
async def test_what_cannot_be_shown_is_one_sentence(
    autojump_clock: MockClock, path: Path, line: str, says: str
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say(line)
        await trio.testing.wait_all_tasks_blocked()
        assert says in face.of(ErrorEvent)[-1].content


async def test_without_a_story_there_is_no_tree(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.face()
        await face.say("/tree")
        await trio.testing.wait_all_tasks_blocked()
        assert "no story" in face.of(ErrorEvent)[-1].content


async def fill(world: EngineWorld, face: Face, messages: int) -> None:
    """Writes a story with a fork at every tenth message, straight into the database."""
    session = face.client.chosen.session_id

    def write(db) -> None:  # type: ignore[no-untyped-def]
        last = 1
        for number in range(messages):
            role = "user" if number % 2 == 0 else "assistant"
            new = stories.append(
                db, session, last, role, f"{role} says {number}. " * 40, "complete", now=2.0
            )
            last = last if number % 10 == 0 else new
        stories.append(db, session, last, "assistant", "The end.", "complete", now=2.0)

    await world.database.write(write)


async def test_a_story_of_thousands_of_messages_costs_one_bounded_frame(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await fill(world, face, 3000)
        for line in ("/tree", "/tree 2", "/tree 1500"):
            content, told = await look(face, line)
            assert told.messages == 3002
            assert len(told.nodes) <= 4 * outline_fold.OUTLINE_MESSAGES + 1
            assert sum(max(1, n.folded) for n in told.nodes) == 3002
            assert len(content.splitlines()) <= tree_module.OUTLINE_LINES + 3
            assert len(encode(face.of(SystemUpdate)[-1]).encode()) < 128 * limits.KIB
        assert node(told, 1500).folded == 0


async def test_looking_changes_nothing_for_clients_that_know_no_trees(
    autojump_clock: MockClock, path: Path
) -> None:
    """The keys are additions: every other update is as it was."""
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("I knock.")
        for update in face.of(SystemUpdate):
            assert update.metadata.tree is UNSET
            assert update.metadata.shown is UNSET
