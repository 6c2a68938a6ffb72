"""What was told and then turned out to be none of the story: gone from screens, disk and later prompts."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.provider.base import Finish, Piece, Reasoning, Text, Withdrawn
from flower.engine.store import exchanges, stories
from flower.protocol.messages import ChatChunk, SystemUpdate
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider

THINKING = "Let me think about the gate. "
SCRIPT: list[Piece | Exception] = [
    Text(THINKING),
    Withdrawn(),
    Reasoning(THINKING),
    Text("The gate "),
    Text("opens."),
    Finish("done"),
]


async def messages(world: EngineWorld, face: Face) -> list[stories.Message]:
    assert face.client.session is not None
    return await world.database.read(stories.active_path, face.client.session.id)


def assembled(chunks: list[ChatChunk]) -> str:
    """Returns the text as a client that knows ``replace`` has it."""
    text = ""
    for chunk in chunks:
        assert isinstance(chunk.metadata.offset, int)
        if chunk.metadata.replace:
            text = text[: chunk.metadata.offset]
        assert len(text) == chunk.metadata.offset
        text += chunk.content
    return text


async def test_thinking_that_was_told_is_withdrawn(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The saved text and the next prompt hold the story only, also when a flush had written the rest."""
    provider = ScriptedProvider(SCRIPT, gap_s=1.0)
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await face.say_and_wait("I wait.")
        assert assembled(face.of(ChatChunk)) == "The gate opens."
        reply = (await messages(world, face))[-1]
        assert (reply.content, reply.status) == ("The gate opens.", "complete")
        await face.say_and_wait("I go in.")
        assert THINKING not in str(provider.completions[-1].messages)


async def test_a_power_cut_after_it_keeps_the_story_only(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """What is on the disk is the story as well, as soon as it is flushed again."""
    provider = ScriptedProvider([*SCRIPT[:-1], Text(" A hall."), Text(" The end.")], gap_s=1.0)
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await face.say("I wait.")
        await trio.sleep(6.8)
        assert face.client.session is not None
        reply = face.client.session.reply
        assert reply is not None
        found = (await messages(world, face))[-1]
        assert found.content == "The gate opens. A hall."


async def test_a_continuation_keeps_what_it_goes_on_from(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Only what this completion told can have been thinking."""
    provider = ScriptedProvider([Text("The gate op"), Finish("length")])
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await face.say_and_wait("I wait.")
        provider.pieces = [Text("Hm, go on. "), Withdrawn(), Text("ens."), Finish("done")]
        await face.say_and_wait("/continue")
        assert (await messages(world, face))[-1].content == "The gate opens."


async def test_a_loop_is_stopped_and_said(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The reply is kept up to the loop; /why says what ended it, and a retry is offered."""
    provider = ScriptedProvider([Text("It begins. ")] + [Text("He nods and nods again. ")] * 9_000)
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await face.say_and_wait("I wait.")
        reply = (await messages(world, face))[-1]
        assert reply.status == "length"
        assert reply.content.strip() == "It begins. He nods and nods again."
        assert any("/retry" in event.content for event in face.of(SystemUpdate))
        manifest = await world.database.read(exchanges.manifest, face.client.chosen.session_id)
        assert manifest is not None
        assert "loop" in manifest[-1].source


async def test_what_ended_a_reply_is_kept_in_why(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Where we cut a reply can be read afterwards."""
    script: list[Piece | Exception] = [Text("The gate opens."), Finish("done", cut="You: I run")]
    provider = ScriptedProvider(script)
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await face.say_and_wait("I wait.")
        await face.say("/why")
        await trio.testing.wait_all_tasks_blocked()
        assert "You: I run" in face.notice
        assert "You" in provider.completions[-1].player_names
