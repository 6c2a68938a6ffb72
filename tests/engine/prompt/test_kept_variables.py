"""Variables that notes and greetings set: kept apart from what the player did, never at a reply's cost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace
from trio.testing import MockClock

from flower.engine.game.people import Person
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Persona
from flower.engine.prompt.direction import Direction, expanded_lore
from flower.engine.recall.base import Hit
from flower.engine.store import exchanges, states, stories, streaming_text
from flower.engine.store.passages import Passage
from flower.protocol.messages import ChatEnd, ErrorEvent, SystemUpdate
from tests.engine.game.test_game import empty_database, story, told
from tests.engine.prompt.test_craft import with_assets
from tests.engine.prompt.test_macros import VALUES
from tests.engine_world import ASSETS, HARBOUR, EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, words


async def current_state(world: EngineWorld, face: Face) -> states.CurrentState:
    return await world.database.read(states.current, face.client.chosen.session_id, 1.0)


async def test_undo_takes_back_what_the_player_did_and_no_variable(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/note every 1, N {{incvar::n}}")
        await face.say_and_wait("One.")
        await face.say("/set-state place mill")
        for line in ("Two.", "/retry", "/retry"):
            await face.say_and_wait(line)
        assert (await current_state(world, face)).variables == {"n": "2"}
        await face.say("/state undo")
        after = await current_state(world, face)
        assert after.state == StoryState()
        assert after.variables == {"n": "2"}
        assert "Nothing has changed the state" in await told(face, "/state undo")
        await face.say_and_wait("Three.")
        assert (await current_state(world, face)).variables == {"n": "3"}


async def test_what_a_story_begins_with_cannot_be_taken_back(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        greets = replace(HARBOUR, start_message="{{setvar::gulls::3}}Gulls.")
        with_assets(world, ASSETS._replace(worlds={"harbour": greets}))
        face = await world.playing()
        assert "Nothing has changed the state" in await told(face, "/state undo")
        assert (await current_state(world, face)).variables == {"gulls": "3"}


def test_people_brought_along_stay_when_changes_are_taken_back() -> None:
    db = empty_database()
    brought = StoryState(people=(Person("Mara"),))
    states.begin_story(db, "t", "w", "", "Hm.", Persona(), 1.0, brought, None)
    states.change_state(db, "t", lambda state: replace(state, pins=("Ned is dead.",)))
    assert states.undo_state(db, "t")
    assert not states.undo_state(db, "t")
    assert states.state_at(db, "t", stories.active_leaf(db, "t")) == brought
    db.close()


def test_a_damaged_beginning_can_be_removed() -> None:
    db = empty_database()
    states.begin_story(db, "t", "w", "", "Hm.", Persona(), 1.0, StoryState(pins=("a",)), None)
    leaf = stories.active_leaf(db, "t")
    db.execute("UPDATE messages SET extra = json_set(extra, '$.state.pins', 3) WHERE id = ?", (leaf,))
    assert states.undo_state(db, "t")
    assert states.state_at(db, "t", leaf) == StoryState()
    db.close()


async def test_variables_that_grow_too_large_cost_no_word_of_the_reply(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(words("The harbour wakes."))) as world:
        face = await world.playing()
        sets = "".join(f"{{{{setvar::v{n}::{{{{lastUserMessage}}}}}}}}" for n in range(60))
        await face.say(f"/note every 1, {sets}x")
        await face.say_and_wait("\N{CJK UNIFIED IDEOGRAPH-6D77}" * 500)
        await face.say_and_wait("And now?")
        assert face.reasons == ["done", "done"]
        messages = await story(world, face)
        assert [(m.status, m.content) for m in messages if m.role == "assistant"][1:] == [
            ("complete", "The harbour wakes.")
        ] * 2
        refused = [e.content for e in face.of(SystemUpdate) if "not kept" in e.content]
        assert len(refused) == 1, "said once"


async def test_a_reply_is_saved_when_what_its_prompt_was_made_of_cannot_be(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(exchanges, "store_prompt", broken)
    async with engine_world(path, ScriptedProvider(words("The harbour wakes."))) as world:
        face = await world.playing()
        await face.say_and_wait("Hm.")
        assert face.reasons == ["done"]
        newest = (await story(world, face))[-1]
        assert (newest.status, newest.content) == ("complete", "The harbour wakes.")


async def test_whatever_keeps_a_reply_from_being_saved_its_end_is_told_once(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []

    def broken(db: sqlite3.Connection, *args: object, **kwargs: object) -> None:
        ends.append(args)
        if len(ends) <= 2:  # with what the prompt was made of, and without
            raise RuntimeError("a bug")
        end(db, *args, **kwargs)  # type: ignore[arg-type]  # what it was called with

    end = streaming_text.end
    monkeypatch.setattr(streaming_text, "end", broken)
    async with engine_world(path, ScriptedProvider(words("The harbour wakes."))) as world:
        face = await world.playing()
        await face.say_and_wait("Hm.")
        assert len(face.of(ChatEnd)) == 1
        assert "not saved" in face.of(ErrorEvent)[-1].content
        await face.say_and_wait("And now?")
        assert "The harbour wakes." in [m.content for m in await story(world, face)][:3]


def test_old_names_of_the_player_are_replaced_in_lore() -> None:
    def lore(text: str) -> str:
        found = Hit(Passage(1, "lore", "lore:w", "world:0", "T", text), 1.0, None, (), 0)
        return expanded_lore([found], Direction(sections=(), values=VALUES))[0].passage.text

    assert lore("<USER> owes <BOT> a boat.") == "Ines owes Mara a boat."
    assert lore("Nobody owes a thing.") == "Nobody owes a thing."
