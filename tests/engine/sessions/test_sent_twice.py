"""A prompt that is sent again is answered and not done again, and a line that was accepted is never lost.

The protocol promises that an id makes a prompt safe to send twice: after a lost connection a client cannot know
whether the first one arrived.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower import limits
from flower.engine.store import prompts
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline, alongside
from flower.errors import CommandError
from flower.protocol.messages import ChatHistory, ErrorEvent, SystemUpdate
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, words

# Everything that changes a story or a choice, on a story of two exchanges.
COMMANDS = (
    "/undo", "/retry", "/continue", "/edit 2 Nobody.", "/roll 2d6", "/check stealth vs 9", "/narrate Rain falls.",
    "/as Mara: Go away.", "/rule on dice", "/set temperature 0.5", "/rename A new name", "/session new",
    "/session archive", "/note Keep it short.", "/npc add Tam: a boy", "/npc mood Tam +10 kind", "/state hp 5",
    "/clock add Flood 6", "/clock tick Flood 2", "/lore attach The bell rang twice.", "/memory pin The bell.",
    "/world select forest", "/character select mara", "/branch name here", "/delete 4",
)  # fmt: skip


def rows(db: sqlite3.Connection) -> list[tuple[str, list[tuple[object, ...]]]]:
    """Returns all that is stored but the ids of prompts themselves."""
    tables = ("sessions", "messages", "selections", "model_params", "attached_lore", "passages")
    return [(table, db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()) for table in tables]


async def two_exchanges(world: EngineWorld) -> Face:
    face = await world.face("my-screen")
    for text in (
        "/world select harbour",
        "/session new",
        "I knock.",
        "I wait.",
        "/npc add Tam: a boy",
        "/clock add Flood 6",
    ):
        await face.say_and_wait(text)
    return face


def answers(face: Face) -> list[str]:
    return [event.content for event in face.events if isinstance(event, SystemUpdate | ErrorEvent)]


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_that_comes_again_is_done_once(
    autojump_clock: MockClock, path: Path, command: str
) -> None:
    """From another connection of the same client, as after a reconnect."""
    async with engine_world(path) as world:
        face = await two_exchanges(world)
        face.events.clear()
        await face.say(command, "r1")
        await world.settled()
        first = answers(face)
        before = await world.database.read(rows)
        again = await world.face("my-screen")
        await trio.testing.wait_all_tasks_blocked()
        again.events.clear()
        await again.say(command, "r1")
        await world.settled()
        assert await world.database.read(rows) == before
        assert answers(again), "whoever repeats a command waits for an answer"
        assert not any("✗" in text for text in answers(again)) or answers(again) == first


async def test_after_a_restart_it_is_still_known(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await two_exchanges(world)
        await face.say("/undo", "r1")
        await world.settled()
        before = await world.database.read(rows)
    async with engine_world(path) as world:
        face = await world.face("my-screen")
        await face.say("/undo", "r1")
        await world.settled()
        assert await world.database.read(rows) == before
        assert "carried out already" in answers(face)[-1]


@pytest.mark.parametrize(
    ("first", "second"), [("/undo", "/retry"), ("I knock again.", "I run."), ("/undo", "I run.")]
)
async def test_an_id_of_another_prompt_is_refused_in_a_sentence(
    autojump_clock: MockClock, path: Path, first: str, second: str
) -> None:
    async with engine_world(path) as world:
        face = await two_exchanges(world)
        await face.say(first, "r1")
        await world.settled()
        before = await world.database.read(rows)
        await face.say(second, "r1")
        await world.settled()
        assert await world.database.read(rows) == before
        (error,) = face.of(ErrorEvent)
        assert "its id was used for another prompt" in error.content
        assert error.metadata.request == "r1"


async def test_an_empty_id_is_none(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await two_exchanges(world)
        for line in ("I run.", "I fall."):
            await face.say(line, "")
            await world.settled()
        texts = await world.database.read(
            lambda db: [row[0] for row in db.execute("SELECT content FROM messages")]
        )
        assert {"I run.", "I fall."} <= set(texts)


async def test_a_refused_command_may_be_tried_again(autojump_clock: MockClock, path: Path) -> None:
    """Only what was done counts: an error is no change."""
    async with engine_world(path, ScriptedProvider(words("The tide turns. " * 9), gap_s=1.0)) as world:
        face = await world.playing()
        await face.say("I wait.")
        await face.say("/undo", "r1")
        await trio.testing.wait_all_tasks_blocked()
        assert face.of(ErrorEvent)
        await world.settled()
        await face.say("/undo", "r1")
        assert len(face.of(ErrorEvent)) == 1


async def test_the_note_and_the_change_are_one_transaction(path: Path) -> None:
    database = await Database.open(path, Inline())
    try:

        def change(db: sqlite3.Connection, *, fails: bool) -> None:
            db.execute("INSERT INTO model_params VALUES ('m', '{}')")
            if fails:
                raise CommandError("no")

        def note(db: sqlite3.Connection) -> None:
            prompts.note_request(db, "c", "r", "/set", 1.0)

        with alongside(note) as noted, pytest.raises(CommandError):
            await database.write(change, fails=True)
        assert not noted.done
        with alongside(note) as noted:
            await database.write(change, fails=False)
            await database.write(lambda db: None)
        assert noted.done
        with alongside(note), pytest.raises(prompts.AlreadyDoneError):
            await database.write(change, fails=False)
        with pytest.raises(CommandError, match="another prompt"):
            await database.write(prompts.note_request, "c", "r", "/undo", 2.0)
        later = 1.0 + prompts.REMEMBERED_S + 1
        await database.write(prompts.note_request, "c", "r2", "/undo", later)
        assert await database.read(
            lambda db: db.execute("SELECT count(*) FROM requests").fetchone()
        ) == (1,)
    finally:
        await database.aclose()


def spoken(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return db.execute("SELECT role, content FROM messages WHERE role = 'user' ORDER BY id").fetchall()


SLOW = "The tide turns and the lamps come on along the mole. "


async def test_lines_that_wait_are_answered_before_the_engine_is_idle(
    autojump_clock: MockClock, path: Path
) -> None:
    """A managed engine stops when nothing runs: between two turns something does."""
    async with engine_world(path, ScriptedProvider(words(SLOW), gap_s=0.5)) as world:
        face = await world.playing()
        for line in ("One.", "Two.", "Three.", "Four."):
            await face.say(line)
        world.engine.disconnect(face.client)
        await world.engine.turns.wait_idle()
        said = await world.database.read(spoken)
        assert [text for _, text in said] == ["One.", "Two.", "Three.", "Four."]
        statuses = await world.database.read(
            lambda db: {
                s for (s,) in db.execute("SELECT status FROM messages WHERE role = 'assistant'")
            }
        )
        assert statuses == {"complete"}


@pytest.mark.parametrize("end", ["stopped", "killed"])
async def test_lines_that_wait_survive_the_engine(
    autojump_clock: MockClock, path: Path, end: str
) -> None:
    """They were acknowledged, so they are in the database, and the next engine answers them, once."""
    async with engine_world(path, ScriptedProvider(words(SLOW), gap_s=0.5)) as world:
        face = await world.face("my-screen")
        for text in ("/world select harbour", "/session new", "One.", "Two.", "Three."):
            await face.say(text, f"r-{text}")
        assert len(await world.database.read(prompts.waiting, face.client.chosen.session_id)) == 2
        if end == "stopped":
            await world.engine.stop()
            assert "kept" in answers(face)[-1]
    async with engine_world(path) as world:
        face = await world.face("my-screen")
        await face.say("Three.", "r-Three.")  # its client does not know whether it arrived
        await world.settled()
        said = await world.database.read(spoken)
        assert [text for _, text in said] == ["One.", "Two.", "Three."]
        assert await world.database.read(prompts.waiting, face.client.chosen.session_id) == []
        assert face.of(ChatHistory)


async def test_no_more_lines_wait_than_there_is_room_for(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path, ScriptedProvider(words(SLOW), gap_s=5.0)) as world:
        face = await world.playing()
        for number in range(limits.PROMPT_QUEUE + 2):
            await face.say(f"Line {number}.")
        await trio.testing.wait_all_tasks_blocked()
        assert len(face.of(ErrorEvent)) == 1
        session_id = face.client.chosen.session_id
        assert len(await world.database.read(prompts.waiting, session_id)) == limits.PROMPT_QUEUE
        await world.engine.stories.delete(session_id)
        assert await world.database.read(prompts.waiting, session_id) == []


async def test_a_line_that_was_given_back_may_be_sent_again(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited, its turn could not begin, its sender was told: the same id is then taken."""
    async with engine_world(path, ScriptedProvider(words(SLOW), gap_s=0.5)) as world:
        face = await world.playing()
        await face.say("One.")
        await face.say("Two.", "r2")

        def refuse(selection: object) -> str:
            raise CommandError("This model is gone.")

        with monkeypatch.context() as patched:
            patched.setattr(world.engine.turns.models, "story_model", refuse)
            await world.settled()
        (error,) = face.of(ErrorEvent)
        assert error.metadata.request == "r2"
        await face.say("Two.", "r2")
        await world.settled()
        assert [text for _, text in await world.database.read(spoken)] == ["One.", "Two."]


async def test_a_story_is_not_opened_twice_while_a_line_is_on_its_way(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender leaves, the reply ends, somebody else comes: the line is answered once."""
    async with engine_world(path, ScriptedProvider(words("The tide turns. " * 3), gap_s=0.1)) as world:
        face = await world.playing()
        session = face.client.session
        assert session is not None
        await face.say("I wait.")
        write, kept = world.database.write, trio.Event()

        async def slow(function: object, *args: object, **more: object) -> object:
            result = await write(function, *args, **more)  # type: ignore[arg-type]
            if function is prompts.keep_waiting:
                await kept.wait()
            return result

        monkeypatch.setattr(world.database, "write", slow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.engine.turns.say, session, face.client.chosen, "I run.", "r9")
            await trio.testing.wait_all_tasks_blocked()
            world.engine.stories.leave(face.client)
            await world.engine.turns.wait_idle()
            assert world.engine.stories._sessions.get(session.id) is session
            kept.set()
        with trio.fail_after(60):
            while session.id in world.engine.stories._sessions:
                await trio.sleep(0.1)
        said = await world.database.read(
            lambda db: db.execute("SELECT count(*) FROM messages WHERE content = 'I run.'").fetchone()
        )
        assert said == (1,)


async def test_a_story_is_not_opened_twice_while_its_waiting_lines_are_read(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opened it is still reading when another comes and leaves."""
    async with engine_world(path) as world:
        face = await world.playing()
        chosen = face.client.chosen
        other = await world.face("other")
        for one in (face, other):
            world.engine.stories.leave(one.client)
        assert chosen.session_id not in world.engine.stories._sessions
        read, go_on = world.database.read, trio.Event()

        async def slow(function: object, *args: object, **more: object) -> object:
            result = await read(function, *args, **more)  # type: ignore[arg-type]
            if function is prompts.waiting:
                await go_on.wait()
            return result

        monkeypatch.setattr(world.database, "read", slow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.engine.stories.attach, face.client)
            await trio.testing.wait_all_tasks_blocked()
            other.client.chosen = chosen
            await world.engine.stories.attach(other.client)
            world.engine.stories.leave(other.client)
            go_on.set()
        assert world.engine.stories._sessions[chosen.session_id] is face.client.session
