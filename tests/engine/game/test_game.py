"""The game layer through the engine: dice in the story and in prompts, state that follows the branch."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from trio.testing import MockClock

from flower.engine.game import checks, dice
from flower.engine.game.dice import Seeded
from flower.engine.game.sheet import put
from flower.engine.game.state import StoryState
from flower.engine.offline.provider import reply
from flower.engine.store import schema, states, stories
from flower.engine.store.sqlite.connection import StoryConnection
from flower.protocol.messages import (
    UNSET,
    ChatChunk,
    ChatHistory,
    ChatMessage,
    ErrorEvent,
    SystemUpdate,
)
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ComposingProvider, ScriptedProvider, words
from tests.rules.test_layering import ACTING, PACKAGE, imports


async def told(face: Face, command: str) -> str:
    """What the engine answered to a command."""
    await trio.testing.wait_all_tasks_blocked()
    before = len(face.events)
    await face.say(command)
    await trio.testing.wait_all_tasks_blocked()
    answers = [e for e in face.events[before:] if isinstance(e, SystemUpdate | ErrorEvent)]
    return "\n".join(answer.content for answer in answers)


async def story(world: EngineWorld, face: Face) -> list[stories.Message]:
    return await world.database.read(stories.active_path, face.client.chosen.session_id)


async def state(world: EngineWorld, face: Face) -> StoryState:
    found = await world.database.read(states.current, face.client.chosen.session_id, 1.0)
    return found.state


def newest_prompt(world: EngineWorld) -> str:
    return world.provider.completions[-1].messages[-1].content


def sheet_rows(face: Face) -> dict[str, str]:
    """The rows of the newest sheet a face was told."""
    told = [event for event in face.events if isinstance(event, SystemUpdate | ChatHistory)]
    for event in reversed(told):
        if event.metadata.sheet is not UNSET:
            return {row.name: row.value for row in event.metadata.sheet}
    raise AssertionError("no sheet was told")


# --- dice ---------------------------------------------------------------------------------------


async def test_a_roll_is_a_message_that_every_watcher_sees(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        one, two = await world.playing(), await world.face()
        await one.say("/roll 2d6+3 for luck")
        await trio.testing.wait_all_tasks_blocked()
        rolled = (await story(world, one))[-1]
        assert (rolled.role, rolled.status) == ("system", "complete")
        assert rolled.content.startswith("Roll 2d6+3 (for luck): [")
        for face in (one, two):
            (shown,) = face.of(ChatMessage)
            assert (shown.content, shown.metadata.role) == (rolled.content, "system")
            assert shown.metadata.message == rolled.id
        assert world.provider.opened == 0


async def test_a_roll_can_be_played_again_from_story_and_message(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/roll 8d20kh3+4dF vs 12")
        rolled = (await story(world, face))[-1]
        again = dice.roll(dice.parse("8d20kh3+4dF vs 12"), Seeded(f"{rolled.session_id}:{rolled.id}"))
        assert rolled.content == checks.display_text(again)
        assert rolled.extra.roll is not None
        assert rolled.extra.roll.total == again.total


async def test_the_narrator_is_told_of_dice_before_the_line_and_in_later_prompts_the_same(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/roll 1d1 vs 5")
        await face.say_and_wait("I jump.")
        line = (
            "[SYSTEM] Roll 1d1: [1] = 1 vs 5: failure. "
            f"{checks.BITE['failure']} {checks.HONOUR}\n\nI jump."
        )
        assert newest_prompt(world) == line
        await face.say_and_wait("I climb out.")
        assert line in [m.content for m in world.provider.completions[-1].messages]
        assert [m.role for m in world.provider.completions[-1].messages[1:]] == [
            "user", "assistant", "user", "assistant", "user",
        ]  # fmt: skip


async def test_a_second_try_of_the_reply_keeps_the_dice(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/roll 4d20")
        await face.say_and_wait("I jump.")
        before = [m.content for m in await story(world, face) if m.role == "system"]
        await face.say_and_wait("/retry")
        assert [m.content for m in await story(world, face) if m.role == "system"] == before
        first, second = world.provider.completions[-2:]
        assert first.messages == second.messages


async def test_dice_are_no_words_of_the_story_for_the_offline_narrator(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ComposingProvider()) as world:
        face = await world.playing()
        await face.say("/roll 2d6")
        await face.say_and_wait("I jump.")
        cue = world.provider.completions[-1].cue
        assert [m.content for m in cue.story] == ["The tide is out.", "I jump."]


async def test_a_roll_waits_for_no_reply_but_refuses_while_one_streams(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say("Go.")
        await trio.sleep(2.5)
        assert "A reply is being written" in await told(face, "/roll 2d6")
        await world.engine.turns.wait_idle()
        assert [m.role for m in await story(world, face)] == ["assistant", "user", "assistant"]


async def test_a_roll_sent_twice_is_rolled_once(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/roll 2d6", "r1")
        await face.say("/roll 2d6", "r1")
        assert [m.role for m in await story(world, face)] == ["assistant", "system"]


async def test_a_check_takes_the_counter_of_its_name(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/set-state stealth 3")
        await face.say("/check Stealth vs 14")
        assert (await story(world, face))[-1].content.startswith("Check Stealth (1d20+3): [")


async def test_the_narrator_answers_dice_without_a_line(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/roll 1d1 vs 1")
        await face.say_and_wait("/narrate")
        assert [m.role for m in await story(world, face)] == ["assistant", "system", "assistant"]
        assert newest_prompt(world).startswith("[SYSTEM] Roll 1d1: [1] = 1 vs 1: success.")
        assert face.reasons == ["done"]


# --- state that follows the branch --------------------------------------------------------------


async def test_the_sheet_is_told_before_the_line_and_again_when_it_changes(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/set-state place The mole")
        await face.say_and_wait("I wait.")
        told_then = "Place: The mole.\n\nThe player's words:\n\nI wait."
        assert newest_prompt(world) == told_then
        await face.say_and_wait("I listen.")
        assert newest_prompt(world) == "I listen.", "told, and still in view"
        await face.say("/set-state place The mill")
        await face.say_and_wait("I look.")
        contents = [m.content for m in world.provider.completions[-1].messages]
        assert told_then in contents, "what was true then stays as it was"
        assert contents[-1].startswith("Place: The mill.")
        assert "scene: /state  already in view" not in await told(face, "/why")
        await face.say("/set-state place off")
        await face.say_and_wait("I go.")
        assert newest_prompt(world).startswith("Place, time, weather and mood are open again.")
        await face.say_and_wait("I go on.")
        assert newest_prompt(world) == "I go on."
        assert "sheet" not in await told(face, "/why")


async def test_prompts_only_grow_while_the_state_changes(autojump_clock: MockClock, path: Path) -> None:
    """A local server reads nothing again, whatever is told of how things stand."""
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/npc add Ned: sells nets")
        await face.say('/clock add "Flood" 4 every turn')
        await face.say("/note More fog.")
        older = ""
        for number, line in enumerate(
            ("I wait.", "I greet Ned.", "((How far?))", "On.", "Ned?", "Off.")
        ):
            await face.say(f"/set-state hp {number // 2}")
            await face.say(f"/inv add {number + 1} nails")
            await face.say_and_wait(line)
            newer = "\x00".join(m.content for m in world.provider.completions[-1].messages)
            assert newer.startswith(older)
            older = newer
        assert older.count("The author's note: More fog.") == 2


async def test_another_variant_is_told_how_things_stand_now(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/set-state place The mole")
        await face.say_and_wait("I wait.")
        first = newest_prompt(world)
        await face.say_and_wait("/retry")
        assert newest_prompt(world) == first
        await face.say("/undo")
        await face.say("/set-state place off")
        await face.say("/redo")
        await face.say_and_wait("/retry")
        await face.say_and_wait("On.")
        assert first not in [m.content for m in world.provider.completions[-1].messages]


async def test_undo_of_a_death_lets_the_character_live(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/set-state hp 9/10")
        await face.say_and_wait("I fight.")
        await face.say("/set-state hp -9")
        await face.say("/set-state condition +dead")
        await trio.testing.wait_all_tasks_blocked()
        assert sheet_rows(face) == {"hp": "0/10", "conditions": "dead"}
        await face.say("/undo")
        await trio.testing.wait_all_tasks_blocked()
        assert sheet_rows(face) == {"hp": "9/10"}
        await face.say("/redo")
        await trio.testing.wait_all_tasks_blocked()
        assert sheet_rows(face) == {"hp": "0/10", "conditions": "dead"}


async def test_branches_have_states_of_their_own(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("I go left.")
        await face.say("/inv add lamp")
        await face.say_and_wait("/edit I go right.")
        assert (await state(world, face)).sheet.inventory == {}
        await face.say("/inv add 3 torches")
        assert (await state(world, face)).sheet.inventory == {"torches": 3}
        await face.say("/undo")
        await face.say("/redo")
        assert (await state(world, face)).sheet.inventory == {"torches": 3}


async def test_state_undo_takes_back_the_last_changes(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/set-state place The mole")
        await face.say_and_wait("I wait.")
        await face.say("/set-state place The mill")
        await face.say("/npc add Ned")
        await face.say("/state undo")
        assert (await state(world, face)).people == ()
        assert (await state(world, face)).sheet.place == "The mill", "one change at a time"
        await face.say("/state undo")
        assert (await state(world, face)).sheet.place == "The mole"
        await face.say("/state undo")
        assert "Nothing has changed" in await told(face, "/state undo")


async def test_a_story_without_messages_keeps_its_state(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        session = face.client.session
        assert session is not None
        await world.database.write(
            lambda db: db.execute("UPDATE sessions SET active_leaf = NULL WHERE id = ?", (session.id,))
        )
        await face.say("/inv add lamp")
        assert (await state(world, face)).sheet.inventory == {"lamp": 1}
        await face.say_and_wait("Hello.")
        assert "The player carries lamp." in newest_prompt(world)


async def test_a_resumed_story_shows_its_sheet(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/set-state gold 12")
        again = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        (history,) = again.of(ChatHistory)
        assert history.metadata.sheet is not UNSET
        assert [(r.name, r.value) for r in history.metadata.sheet] == [("gold", "12")]


# --- people and clocks --------------------------------------------------------------------------


async def test_somebody_is_told_of_when_named_or_in_the_scene(
    autojump_clock: MockClock, path: Path
) -> None:
    provider = ScriptedProvider(words("The lamps come on. "))
    async with engine_world(path, provider) as world:
        face = await world.playing()
        await face.say("/set-state place The mole")
        await face.say("/npc add Old Ned: sells nets")
        await face.say("/npc mood ned -30 caught you cheating")
        await face.say_and_wait("I wait.")
        assert "Old Ned" not in newest_prompt(world)
        await face.say_and_wait("I greet Ned.")
        assert (
            "Old Ned: sells nets. Old Ned distrusts the player (-30, last because: caught you cheating)."
            in newest_prompt(world)
        )
        await face.say_and_wait("I wait again.")
        assert newest_prompt(world) == "I wait again.", "told of already, and in view"
        await face.say("/npc mood ned +10 paid the debt")
        await face.say_and_wait("I smile at Ned.")
        assert "(-20, last because: paid the debt)" in newest_prompt(world)
        shown = await told(face, "/npc show Old Ned")
        assert "Met: The mole." in shown
        assert "Last seen in message" in shown
        assert " -20  Old Ned" in await told(face, "/npc list")


async def test_people_come_along_into_another_story_of_the_world(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/npc add Old Ned: sells nets")
        await face.say("/npc mood Ned +40 you pulled him out")
        await face.say("/session new")
        await face.say("/npc add Mara: keeps the lamp")
        assert "✓ 1 person came along" in await told(face, "/npc bring")
        people = {p.name: p.attitude for p in (await state(world, face)).people}
        assert people == {"Mara": 0, "Old Ned": 40}
        assert "no other story x" in await told(face, "/npc bring x")


async def test_a_clock_ticks_with_the_lines_and_is_told_when_it_is_near(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say('/clock "Flood reaches the docks" 3 every turn: the docks are under water')
        await face.say_and_wait("One.")
        assert "Flood" not in newest_prompt(world)
        assert face.notice == "Clock: Flood reaches the docks [#..] 1/3"
        await face.say_and_wait("Two.")
        assert "Coming near (2 of 3): Flood reaches the docks." in newest_prompt(world)
        await face.say_and_wait("Three.")
        assert "the docks are under water." in newest_prompt(world)
        assert sheet_rows(face) == {"Flood reaches the docks": "[###] 3/3"}
        await face.say("/undo")
        await trio.testing.wait_all_tasks_blocked()
        assert sheet_rows(face) == {"Flood reaches the docks": "[##.] 2/3"}


async def test_clocks_that_went_on_while_nobody_played_are_told(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say('/clock add "Flood" 3 every 2h: the docks are under water')
        await face.say('/clock add "Trial" 6 every turn')
        await face.say_and_wait("I wait.")
        world.engine.now = lambda: 1.0 + 5 * 3600
        later = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        assert later.notice == "While you were away:\n  Flood [##.] 2/3"
        world.engine.now = lambda: 1.0 + 7 * 3600
        again = await told(face, f"/session continue {face.client.chosen.session_id}")
        assert "  Flood [###] 3/3 - the docks are under water" in again


async def test_people_are_kept_across_the_stories_of_a_world_if_wanted(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/npc add Ned: sells nets")
        await face.say("/npc mood ned -30 caught you cheating")
        known = (await state(world, face)).people
        world.engine.use(replace(world.engine.services, keep_people=True), world.engine.registry)
        await face.say("/session new")
        assert (await state(world, face)).people == known
        await face.say("/undo")
        assert (await state(world, face)).people == known, "they were there from the beginning"
        world.engine.use(replace(world.engine.services, keep_people=False), world.engine.registry)
        await face.say("/session new")
        assert (await state(world, face)).people == ()
        world.engine.use(replace(world.engine.services, keep_people=True), world.engine.registry)
        await face.say("/world select forest")
        await face.say("/session new")
        assert (await state(world, face)).people == ()


# --- the narrator's proposals -------------------------------------------------------------------

PROPOSING = "You fall into the cellar.\n\n```state\nplace: The cellar\nhp: -2\nnonsense\n```"


async def test_the_narrator_may_propose_nothing_unless_it_is_switched_on(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(words(PROPOSING))) as world:
        face = await world.playing()
        await face.say_and_wait("I step on the lid.")
        assert await state(world, face) == StoryState()
        assert "```state" not in world.provider.completions[-1].messages[0].content


async def test_what_the_narrator_proposes_is_checked_shown_and_goes_with_its_reply(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(words(PROPOSING))) as world:
        world.engine.use(replace(world.engine.services, narrator_updates=True), world.engine.registry)
        face = await world.playing()
        await face.say("/set-state hp 10")
        await face.say_and_wait("I step on the lid.")
        assert "```state" in world.provider.completions[-1].messages[0].content
        assert sheet_rows(face) == {"place": "The cellar", "hp": "8"}
        news = face.notice
        assert "place: The cellar; hp is 8 (was 10)" in news
        assert "left out: nonsense" in news
        told = "".join(chunk.content for chunk in face.of(ChatChunk))
        saved = (await story(world, face))[-1]
        assert told == saved.content == "You fall into the cellar."
        assert saved.extra.proposed == "place: The cellar\nhp: -2\nnonsense"
        await face.say_and_wait("I get up.")
        prompt = "".join(m.content for m in world.provider.completions[-1].messages[1:])
        assert "nonsense" not in prompt
        await face.say("/undo")
        assert [p.text for p in world.library.passages if p.kind == "memory"] == [
            "The player: I step on the lid.\nThe narrator: You fall into the cellar.",
            "The player: I get up.\nThe narrator: You fall into the cellar.",
        ]
        await face.say("/undo")
        assert (await state(world, face)).sheet.place == ""
        assert (await state(world, face)).sheet.skills == {"hp": 10}


@pytest.mark.parametrize("line", ["I leap over the gap.", "I look around.", "Go on.", '"Let me in!"'])
@pytest.mark.parametrize(("target", "outcome"), [(1, "strong"), (5, "miss")])
async def test_the_offline_narrator_throws_no_other_dice_for_what_was_decided(
    autojump_clock: MockClock, path: Path, line: str, target: int, outcome: str
) -> None:
    async with engine_world(path, ComposingProvider()) as world:
        face = await world.playing()
        await face.say(f"/roll 1d1 vs {target}")
        await face.say_and_wait(line)
        completion = world.provider.completions[-1]
        assert completion.cue.outcome == outcome
        assert "2d6:" not in reply(completion)
        await face.say_and_wait("I leap again.")
        assert world.provider.completions[-1].cue.outcome == "", "dice decide one line"


def test_the_game_layer_computes_and_never_acts() -> None:
    for source in (
        *PACKAGE.glob("engine/game/*.py"),
        PACKAGE / "engine/prompt/macros.py",
        PACKAGE / "engine/prompt/macro_values.py",
    ):
        acting = {name for name in imports(source) if name.split(".")[0] in ACTING}
        assert not acting, source


# --- laws ---------------------------------------------------------------------------------------


def empty_database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None, factory=StoryConnection)
    for script in schema.MIGRATIONS:
        for statement in schema.statements(script):
            db.execute(statement)
    stories.create_session(db, "s", "w", "", "Hm.", 1.0)
    return db


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(-9, 9)), min_size=1, max_size=40))
def test_the_state_equals_a_replay_from_the_root(steps: list[tuple[int, int]]) -> None:
    """Any tree: a step adds a line under some message, and unless it is 0, changes a counter there."""
    with contextlib.closing(empty_database()) as db:
        root = stories.active_leaf(db, "s")
        assert root is not None
        above: dict[int, tuple[int, ...]] = {root: (root,)}
        changes: dict[int, int] = {}
        for place, change in steps:
            parent = list(above)[place % len(above)]
            new = stories.append(db, "s", parent, "user", "On.", "complete", now=1.0)
            above[new] = (*above[parent], new)
            if change:
                changes[new] = change
                counted = functools.partial(count, by=change)
                assert states.change_state(db, "s", counted) == states.state_at(db, "s", new)
        for message, way in above.items():
            found = states.current_at(db, "s", message, 1.0)
            assert found.state.sheet.skills.get("hp", 0) == sum(changes.get(m, 0) for m in way)
            assert found.state == states.state_at(db, "s", message)
            assert found.now.lines == len(way) - 1


def count(state: StoryState, by: int) -> StoryState:
    return replace(state, sheet=put(state.sheet, "hp", f"{by:+d}")[0])


def test_a_state_walk_is_short_in_a_long_story() -> None:
    """It is walked up once; after a change only that message is looked at again."""
    with contextlib.closing(empty_database()) as db:
        leaf = stories.active_leaf(db, "s")
        db.execute("BEGIN")
        for number in range(2000):
            leaf = stories.append(db, "s", leaf, "user", f"Line {number}.", "complete", now=1.0)
        db.execute("COMMIT")
        steps = []
        db.set_progress_handler(lambda: steps.append(1), 1000)
        assert states.nearest_state(db, leaf) is None
        far = len(steps)
        states.change_state(db, "s", functools.partial(count, by=1))
        steps.clear()
        assert states.nearest_state(db, leaf) == leaf
        assert far > 10
        assert len(steps) <= 1
