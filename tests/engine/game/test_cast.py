"""The cast: who speaks, through which model, and that nobody tells what another alone knows."""

from __future__ import annotations

import random
from pathlib import Path

from trio.testing import MockClock

from flower.engine.assets.kinds import Character
from flower.protocol.messages import SystemUpdate
from tests.engine.game.test_game import newest_prompt, story, told
from tests.engine.prompt.test_craft import NED, system, with_assets
from tests.engine_world import ASSETS, engine_world


async def test_several_characters_take_turns(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        with_assets(world, ASSETS._replace(characters={**ASSETS.characters, "ned": NED}))
        face = await world.playing()
        await face.say("/character select mara")
        await face.say("/cast add ned")
        await face.say("/cast mode round")
        speakers = []
        for line in ("One.", "Two.", "Ned, three.", "Four."):
            await face.say_and_wait(line)
            speakers.append(newest_prompt(world).split(" acts and speaks")[0].split("reply ")[-1])
        assert speakers == ["Mara", "Old Ned", "Old Ned", "Mara"]
        assert "You also play Mara" in system(world)
        assert "Old Ned sells nets to the player." in system(world)
        replies = [m.extra.speaker or None for m in await story(world, face) if m.role == "assistant"]
        assert replies == [None, "mara", "ned", "ned", "mara"]
        await face.say_and_wait("/retry")
        assert "In this reply Mara" in newest_prompt(world)
        await face.say("/cast next narrator")
        await face.say_and_wait("Five.")
        assert "the narrator's alone" in newest_prompt(world)
        shown = await told(face, "/cast")
        assert "On stage:\n  mara  Mara\n  ned  Old Ned\nSpeaks: round; next, until" in shown
        await face.say("/cast remove ned")
        await face.say("/cast next off")
        await face.say_and_wait("Six.")
        assert newest_prompt(world) == "Six."


SECRETIVE = {
    "mara": Character("mara", "Mara", "Dry.", lore="The cellar: {{char}} hid the money there."),
    "ned": Character(
        "ned", "Old Ned", "Loud.", lore="The cellar: it floods at night.", model="scripted/ned"
    ),
}


async def test_what_a_character_alone_knows_is_told_only_when_they_speak(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        with_assets(world, ASSETS._replace(characters=SECRETIVE))
        face = await world.playing()
        await face.say("/character select mara")
        await face.say("/cast add ned")
        await face.say("/cast mode named")
        prompts = []
        for line in ("Mara, the cellar?", "Ned, the cellar?", "Mara, and the cellar?"):
            await face.say_and_wait(line)
            prompts.append("\n".join(m.content for m in world.provider.completions[-1].messages))
        hid, floods = "Mara hid the money there.", "it floods at night."
        assert [(hid in prompt, floods in prompt) for prompt in prompts] == [
            (True, False),
            (False, True),
            (True, False),
        ]
        assert prompts[2].count(hid) == 1, "told with the first line, and in view again"
        assert "Known to this character alone (Mara)" in prompts[0]
        assert "lore: Mara" in await told(face, "/why")
        await face.say("/cast mode together")
        await face.say_and_wait("What of the cellar?")
        together = "\n".join(m.content for m in world.provider.completions[-1].messages)
        assert hid in together
        assert floods in together
        shown = await told(face, "/cast")
        assert "  ned  Old Ned, with lore of their own, spoken by scripted/ned" in shown


async def test_no_secret_of_somebody_else_is_ever_in_the_prompt_of_who_speaks(
    autojump_clock: MockClock, path: Path
) -> None:
    secrets = {"mara": "hid the money there.", "ned": "it floods at night."}
    knows = {"mara": {"mara"}, "ned": {"ned"}, "narrator": {"mara", "ned"}, "off": {"mara", "ned"}}
    async with engine_world(path) as world:
        with_assets(world, ASSETS._replace(characters=SECRETIVE))
        face = await world.playing()
        await face.say("/cast add mara")
        await face.say("/cast add ned")
        for number, speaker in enumerate(random.Random(3).choices(list(knows), k=24)):
            await face.say(f"/cast next {speaker}")
            await face.say_and_wait(
                "/retry" if number % 5 == 4 else f"The cellar, for the {number}th time?"
            )
            prompt = "\n".join(m.content for m in world.provider.completions[-1].messages)
            assert {who for who, secret in secrets.items() if secret in prompt} == knows[speaker]


async def test_a_character_speaks_through_a_model_of_their_own(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        with_assets(world, ASSETS._replace(characters=SECRETIVE))
        face = await world.playing()
        await face.say("/cast add mara")
        await face.say("/cast add ned")
        await face.say("/cast mode named")
        await face.say("/cast model mara scripted/mara")
        models = []
        for line in ("Mara?", "Ned?", "Nobody?"):
            await face.say_and_wait(line)
            models.append((await story(world, face))[-1].model)
        assert models == ["scripted/mara", "scripted/ned", world.engine.registry.default()]
        _, ned, _ = [m.id for m in await story(world, face) if m.role == "assistant" and m.model][-3:]
        assert "model: scripted/ned (the speaker's own)" in await told(face, f"/why {ned}")
        await face.say("/cast model ned off")
        await face.say_and_wait("Ned again?")
        assert (await story(world, face))[-1].model == world.engine.registry.default()


async def test_a_speakers_model_that_is_not_there_is_named_and_the_storys_speaks(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        gone = Character("ned", "Old Ned", "Loud.", model="missing/one")
        with_assets(world, ASSETS._replace(characters={"ned": gone}))
        face = await world.playing()
        await face.say("/cast add ned")
        await face.say("/cast next ned")
        await face.say_and_wait("One.")
        await face.say_and_wait("Two.")
        notes = [e.content for e in face.of(SystemUpdate) if "story's model speaks" in e.content]
        assert len(notes) == 1
        assert face.reasons == ["done", "done"]
        assert "missing" in await told(face, "/cast model ned missing/two")


async def test_only_who_is_on_stage_can_be_next(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        assert "Mara is not on stage" in await told(face, "/cast next mara")
        assert "Did you mean mara?" in await told(face, "/cast add maro")
