"""Steering through the engine: note, pins, persona, rules, cast, other voices, drafts, macros."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UnsetType
from msgspec.structs import replace
from trio.testing import MockClock

from flower.engine.assets.kinds import Assets, Character, Rule, World
from flower.engine.commands import catalogue
from flower.engine.game import proposals
from flower.engine.game.clocks import Ambience
from flower.engine.game.proposals import UpdateFilter
from flower.engine.game.sheet import Sheet
from flower.engine.prompt.assemble import Inset, PromptLine, Section, assemble
from flower.engine.provider.base import Text
from flower.engine.recall.base import lore_scope
from flower.engine.store import states
from flower.engine.token_counter import TokenCounter
from flower.errors import ProviderError
from flower.protocol.messages import (
    UNSET,
    ChatChunk,
    ChatMessage,
    ErrorEvent,
    SyncState,
    SystemUpdate,
)
from tests.engine.game.test_game import newest_prompt, story, told
from tests.engine_world import ASSETS, HARBOUR, EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, words

STEERING = (
    "/roll",
    "/check",
    "/note",
    "/pin",
    "/persona",
    "/cast",
    "/state",
    "/set-state",
    "/quest",
    "/inv",
)
STEERING += ("/npc", "/clock", "/unpin", "/rules")
NED = Character("ned", "Old Ned", "{{char}} sells nets to {{user}}.")


def with_assets(world: EngineWorld, assets: Assets) -> None:
    world.engine.use(replace(world.engine.services, assets=assets), world.engine.registry)


def system(world: EngineWorld) -> str:
    first = world.provider.completions[-1].messages[0]
    assert first.role == "system"
    return first.content


# --- note, pins, persona ------------------------------------------------------------------------


async def test_a_note_is_told_before_the_line_and_holds_for_a_retry(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("I wait.")
        await face.say("/note More fog.")
        await face.say_and_wait("/retry")
        assert newest_prompt(world) == "The author's note: More fog.\n\nThe player's words:\n\nI wait."
        await face.say("/undo")
        await face.say_and_wait("I go.")
        assert "More fog." in newest_prompt(world), "taking back a line keeps the note"
        assert "depth 0, every 3: More fog." in await told(face, "/note")
        await face.say("/note off")
        await face.say_and_wait("I stay.")
        gone = "The author's note from before no longer holds."
        assert newest_prompt(world) == f"{gone}\n\nThe player's words:\n\nI stay."
        await face.say_and_wait("I rest.")
        assert newest_prompt(world) == "I rest."


async def test_variables_of_a_note_follow_the_branch_and_a_retry_sets_them_to_the_same(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        world_with = replace(HARBOUR, start_message="{{setvar::gulls::3}}Gulls.")
        with_assets(world, ASSETS._replace(worlds={"harbour": world_with}))
        face = await world.playing()
        await face.say("/note every 1, Gulls: {{incvar::gulls}}, hp {{getvar::hp}}")
        await face.say("/set-state hp 9")
        seen = []
        for line in ("One.", "Two.", "/retry", "/undo", "Other.", "/retry"):
            await face.say_and_wait(line)
            told_note = newest_prompt(world).split("note: ")[1].split("\n")[0]
            seen.append(told_note)
        assert seen == [f"Gulls: {n}, hp 9" for n in (4, 5, 5, 5, 5, 5)]
        assert (await story(world, face))[0].content == "Gulls."
        found = await world.database.read(states.current, face.client.chosen.session_id, 1.0)
        assert found.variables == {"gulls": "5"}


async def test_what_the_player_or_the_model_writes_sets_nothing(
    autojump_clock: MockClock, path: Path
) -> None:
    evil = "{{setvar::gulls::9}}{{char}}"
    async with engine_world(path, ScriptedProvider(words(evil))) as world:
        face = await world.playing()
        await face.say("/note {{lastCharMessage}}|{{lastUserMessage}}|{{getvar::gulls}}")
        await face.say_and_wait(f"One {evil}")
        await face.say_and_wait(f"Two {evil}")
        assert f"note: {evil}|Two {evil}|\n" in newest_prompt(world)
        found = await world.database.read(states.current, face.client.chosen.session_id, 1.0)
        assert found.variables == {}


async def test_a_note_at_a_depth_stands_further_up_and_moves_along(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/note depth 2, More fog.")
        for line in ("One.", "Two.", "Three."):
            await face.say_and_wait(line)
        *_, two, reply, three = [m.content for m in world.provider.completions[-1].messages]
        assert (two, three) == ("[More fog.]\n\nTwo.", "Three.")
        assert "More fog" not in reply


async def test_a_note_with_an_interval_comes_with_some_lines_only(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/note every 2, More fog.")
        seen = []
        for line in ("One.", "Two.", "Three.", "Four."):
            await face.say_and_wait(line)
            seen.append("More fog." in newest_prompt(world))
        assert seen == [True, False, True, False]


async def test_a_pinned_fact_is_in_the_stable_part_and_goes_with_its_branch(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("I fight.")
        await face.say("/pin Ned is dead.")
        await face.say_and_wait("I mourn.")
        assert "Always true in this story:\n- Ned is dead." in system(world)
        assert "  1  Ned is dead." in await told(face, "/pin")
        await face.say("/undo")
        await face.say("/undo")
        await face.say_and_wait("I flee.")
        assert "Ned is dead" not in system(world)
        assert "Which one?" in await told(face, "/unpin 1")


async def test_the_persona_is_told_and_goes_along_into_the_next_story(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        greeting = replace(HARBOUR, start_message="{{user}} comes to {{world}}.")
        with_assets(world, ASSETS._replace(worlds={"harbour": greeting}))
        assert "nobody in particular" in await told(face, "/persona")
        await face.say("/persona Ines|A surveyor, dry and exact.")
        await face.say("/session new")
        await face.say_and_wait("I knock.")
        assert "The player's character is called Ines. A surveyor, dry and exact." in system(world)
        assert (await story(world, face))[0].content == "Ines comes to Harbour."


async def test_without_a_story_there_is_nothing_to_steer(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.face()
        for command in ("/note x", "/pin x", "/cast add mara", "/roll 2d6", "/state"):
            assert "no story here yet" in await told(face, command), command


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=12),
    st.integers(300, 6000),
    st.lists(st.integers(1, 900), max_size=5),
    st.none() | st.tuples(st.integers(1, 3000), st.integers(1, 20)),
)
def test_a_prompt_with_all_that_changes_stays_within_its_budget(
    sizes: list[int], budget: int, tail: list[int], note: tuple[int, int] | None
) -> None:
    roles = ("user", "system", "assistant")
    lines = [PromptLine(i, roles[i * i % 3], "word " * size) for i, size in enumerate(sizes)]
    lines.append(PromptLine(len(lines), "user", "And then?"))
    assembled = assemble(
        [Section("base rules", "", "Tell it. " * 60, 90), Section("world", "", "A harbour. " * 80, 70)],
        lines,
        budget=budget,
        counter=TokenCounter(),
        tail=[Section(f"s{n}", "", "mood " * size, n) for n, size in enumerate(tail)],
        insets=[Inset("note " * note[0], note[1])] if note else (),
    )
    assert assembled.tokens <= budget
    assert assembled.messages[-1].content.endswith("And then?")
    spoken = [m.role for m in assembled.messages if m.role != "system"]
    assert spoken == ["user" if n % 2 == 0 else "assistant" for n in range(len(spoken))]


# --- rules --------------------------------------------------------------------------------------


async def test_a_rule_is_switched_for_one_story_and_told_by_priority(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        rules = {**ASSETS.rules, "first": Rule("first", "First", "Before all.", priority=90)}
        with_assets(world, ASSETS._replace(rules=rules))
        face = await world.playing()
        await face.say("/rules add slow")
        await face.say("/rules add first")
        await face.say_and_wait("One.")
        assert system(world).index("Before all.") < system(world).index("Take your time.")
        await face.say("/rules off slow")
        await face.say("/rules on dice")
        await trio.testing.wait_all_tasks_blocked()
        assert face.of(SystemUpdate)[-1].metadata.active_rules == ("first", "dice")
        await face.say_and_wait("Two.")
        assert "Take your time." not in system(world)
        assert "Dice decide." in system(world)
        await face.say("/session new")
        await face.say_and_wait("Three.")
        assert "Take your time." in system(world), "another story is as it was"
        await face.say("/rules off slow")
        again = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        assert again.of(SyncState)[-1].metadata.active_rules == ("first",)
        await face.say("/rules add slow")
        await trio.testing.wait_all_tasks_blocked()
        assert face.of(SystemUpdate)[-1].metadata.active_rules == ("first", "slow")
        await face.say("/rules on dice")
        await face.say("/rules clear")
        await face.say_and_wait("Four.")
        assert "Rule, " not in system(world)


async def test_a_face_knows_which_rules_hold_in_the_story_it_goes_to(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()

        async def rules() -> tuple[str, ...]:
            await trio.testing.wait_all_tasks_blocked()
            told_rules = [
                e.metadata.active_rules
                for e in face.of(SystemUpdate)
                if not isinstance(e.metadata.active_rules, UnsetType)
            ]
            return told_rules[-1]

        first = face.client.chosen.session_id
        await face.say("/rules on slow")
        assert await rules() == ("slow",)
        await face.say("/session new")
        assert await rules() == ()
        await face.say("/rules on dice")
        await face.say(f"/session continue {first}")
        assert await rules() == ("slow",)
        other = await world.face("other")
        await other.say("/rules add dice")
        await other.say(f"/session continue {first}")
        await face.say("/rules off slow")
        assert await rules() == ()
        await trio.testing.wait_all_tasks_blocked()
        assert other.of(SystemUpdate)[-1].metadata.active_rules == ("dice",), "their own stay theirs"
        await face.say("/rules on slow")
        await other.say("/rules clear")
        assert await rules() == (), "the story no longer switches it on"
        await face.say("/rules on slow")
        await face.say("/world select forest")
        assert await rules() == ()


# --- other voices -------------------------------------------------------------------------------


async def test_lines_of_somebody_else_and_outside_the_story(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/npc add Old Ned: sells nets")
        for command in ("/as old ned Evening.", '/as "The tall one" Halt.', "/as Mara: I saw it."):
            await face.say_and_wait(command)
        await face.say('/clock "Tide" 6 every turn')
        await face.say_and_wait("/ooc How far is the mill?")
        assert "[......] 0/6  Tide" in await told(face, "/clock"), "no time passes outside the story"
        said = [m.content for m in await story(world, face) if m.role == "user"]
        assert said == [
            "Old Ned: Evening.",
            "The tall one: Halt.",
            "Mara: I saw it.",
            "((How far is the mill?))",
        ]
        assert "outside the story" in newest_prompt(world)
        assert "Who says what?" in await told(face, "/as Ned")


async def test_what_one_does_and_lines_that_begin_with_a_slash_are_said(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        for line in ("/me bows.", "//usr/bin is cold", "// aside"):
            await face.say_and_wait(line)
        said = [m.content for m in await story(world, face) if m.role == "user"]
        assert said == ["*bows.*", "/usr/bin is cold", "/ aside"]
        assert "What do you do?" in await told(face, "/me")
        assert "written with two" in await told(face, "/usr/bin")


async def test_the_player_narrates_and_the_narrator_goes_on(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/narrate The bell rings twice.")
        await trio.testing.wait_all_tasks_blocked()
        assert world.provider.opened == 0
        (shown,) = face.of(ChatMessage)
        assert (shown.content, shown.metadata.role) == ("The bell rings twice.", "assistant")
        assert shown.metadata.turn is UNSET
        await face.say_and_wait("/narrate")
        assert [m.role for m in world.provider.completions[-1].messages] == [
            "system", "user", "assistant", "user",
        ]  # fmt: skip
        assert newest_prompt(world).endswith("Go on.")
        assert "/narrate TEXT adds" in await told(face, "/narrate")


# --- drafts -------------------------------------------------------------------------------------


async def test_a_draft_is_for_its_player_and_no_part_of_the_story(
    autojump_clock: MockClock, path: Path
) -> None:
    provider = ScriptedProvider(words('"I knock at the river door."\n\nThe door opens.'))
    async with engine_world(path, provider) as world:
        one, two = await world.playing(), await world.face()
        await one.say("/persona Ines")
        await one.say("/impersonate the door")
        await trio.testing.wait_all_tasks_blocked()
        assert one.of(SystemUpdate)[-1].metadata.draft == "I knock at the river door."
        assert all(update.metadata.draft is UNSET for update in two.of(SystemUpdate))
        assert one.of(ChatChunk) == []
        assert len(await story(world, one)) == 1
        assert "next line of Ines" in newest_prompt(world)
        assert "about: the door" in newest_prompt(world)


async def test_a_draft_is_cancelled_and_never_blocks_the_player(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=10.0)) as world:
        face = await world.playing()
        await face.say("/impersonate")
        await trio.sleep(15)
        assert "No draft then." in await told(face, "/cancel")
        await trio.testing.wait_all_tasks_blocked()
        assert (world.provider.opened, world.provider.closed) == (1, 1)
        assert all(update.metadata.draft is UNSET for update in face.of(SystemUpdate))
        await face.say("/impersonate")
        world.engine.disconnect(face.client)
        await trio.testing.wait_all_tasks_blocked()
        assert world.provider.opened == world.provider.closed


async def test_a_draft_that_fails_says_why(autojump_clock: MockClock, path: Path) -> None:
    script = [Text("I "), ProviderError("network", "the line is dead; check the cable")]
    async with engine_world(path, ScriptedProvider(script)) as world:
        face = await world.playing()
        await face.say("/impersonate")
        await trio.testing.wait_all_tasks_blocked()
        (error,) = face.of(ErrorEvent)
        assert error.content.startswith("No draft: ")


# --- macros and ambience ------------------------------------------------------------------------


async def test_macros_are_expanded_in_what_people_wrote_and_never_in_what_was_played(
    autojump_clock: MockClock, path: Path
) -> None:
    provider = ScriptedProvider(words("You say {{user}} is {{char}}. "))
    async with engine_world(path, provider) as world:
        tone = "{{user}} is new here. {{random:red,green,blue,grey,white}} {{time}} {{getvar::hp}}|"
        lore = "The lamp belongs to {{char}}."
        harbour = World("harbour", "Harbour", lore, "Hm.", "Dusk for {{user}}.", tone)
        rule = Rule("slow", "Slow", "Let {{user}} lead.")
        with_assets(world, ASSETS._replace(worlds={"harbour": harbour}, rules={"slow": rule}))
        face = await world.playing()
        await face.say("/character select mara")
        await face.say("/rules add slow")
        await face.say("/persona Ines")
        await face.say("/set-state hp 9")
        await face.say("/note {{char}} has {{getvar::hp}} lives.")
        await world.library.sync_source(lore_scope("harbour"), "world", "Harbour", lore)
        await face.say_and_wait("Whose is the lamp, {{char}}?")
        first = system(world)
        assert "Ines is new here." in first
        assert "Dusk for Ines." in first
        assert "Let Ines lead." in first
        assert "|" in first, "state is volatile: in the stable part it stands for nothing"
        prompt = newest_prompt(world)
        assert "Mara has 9 lives." in prompt
        assert "The lamp belongs to Mara." in prompt
        assert "Whose is the lamp, {{char}}?" in prompt
        await face.say("/set-state hp 3")
        await face.say_and_wait("Yes.")
        assert system(world) == first, "frozen: chance, time and state do not break the cache"
        contents = [m.content for m in world.provider.completions[-1].messages]
        assert "You say {{user}} is {{char}}. " in contents


async def test_ambience_is_told_until_it_is_set_by_hand(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        misty = replace(HARBOUR, ambience=Ambience(1, ("fog",), ("day", "night")))
        with_assets(world, ASSETS._replace(worlds={"harbour": misty}))
        face = await world.playing()
        await face.say_and_wait("One.")
        assert "Weather: fog. Light: night." in newest_prompt(world)
        await face.say("/set-state weather hail")
        await face.say_and_wait("Two.")
        assert "Weather: hail. Light: day." in newest_prompt(world)
        assert "light (by itself)" in await told(face, "/state")


async def test_what_is_steered_survives_a_restart(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/note More fog.")
        await face.say("/inv add lamp")
        session = face.client.chosen.session_id
    async with engine_world(path) as world:
        found = await world.database.read(states.current, session, 1.0)
        assert found.steering.note is not None
        assert found.state.sheet.inventory == {"lamp": 1}


async def test_help_knows_every_command_there_is(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face: Face = await world.playing()
        listed = await told(face, "/help")
        for name in ("/roll", "/check", "/npc mood", "/clock tick", "/impersonate", "/set-state"):
            assert f"{name} " in listed


@pytest.mark.parametrize("filler", [" ", "\n", "a ", "1 ", ": ", '"', "d", "{{", "}}", "vs ", "0"])
async def test_no_long_line_holds_the_engine_up(
    autojump_clock: MockClock, path: Path, filler: str
) -> None:
    """Whatever follows a command, it is answered at once: no pattern may take time that grows as a square."""
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/npc add Ned")
        flood = f"x {filler * (60_000 // len(filler))} x"
        began = time.process_time()
        for name in catalogue.OPTIONS:
            if name.name.split()[0] in STEERING:
                await face.say(f"{name.name} {flood}")
        proposals.read(flood, Sheet())
        parting = UpdateFilter()
        parting.take(flood)
        parting.end()
        assert time.process_time() - began < 5
