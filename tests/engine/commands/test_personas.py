"""The library of personas: several, one the default, some bound to characters."""

from __future__ import annotations

from pathlib import Path

import trio.testing

from flower.engine.store import states
from flower.protocol.messages import ErrorEvent, SyncState, SystemUpdate
from tests.engine_world import EngineWorld, Face, engine_world


async def who(world: EngineWorld, face: Face) -> tuple[str, str]:
    """Who the player is in the present story."""
    assert face.client.session is not None
    persona = (await world.database.read(states.steering, face.client.session.id)).persona
    return persona.name, persona.text


async def test_a_persona_is_kept_and_played_again(tmp_path: Path) -> None:
    """In another story, where the player was somebody else."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await face.say("/persona Ines|A surveyor.")
        await face.say("/persona save")
        await face.say("/persona Kim|Tall.")
        await face.say("/persona save tall one")
        await face.say("/persona list")
        await trio.testing.wait_all_tasks_blocked()
        listed = face.notice
        assert "Ines: A surveyor." in listed
        assert "Kim (tall one): Tall." in listed
        await face.say("/persona use ines")
        assert await who(world, face) == ("Ines", "A surveyor.")


async def test_a_persona_before_the_first_story_is_that_of_all_new_ones(tmp_path: Path) -> None:
    """It is in the library, told to the client, and `off` takes it back; what is known of it stays."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        for line in ("/persona Ines|A surveyor.", "/persona ines", "/persona Ines"):
            await face.say(line)
        await trio.testing.wait_all_tasks_blocked()
        assert face.of(SystemUpdate)[-1].metadata.persona == "Ines"
        await face.say("/sync")
        await trio.testing.wait_all_tasks_blocked()
        assert face.of(SyncState)[-1].metadata.persona == "Ines"
        await face.say("/world select harbour")
        await face.say("/session new")
        assert await who(world, face) == ("Ines", "A surveyor.")


async def test_a_persona_before_a_story_needs_a_name_and_goes_again(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        await face.say("/persona |Tall and tired.")
        await trio.testing.wait_all_tasks_blocked()
        assert "needs a name" in face.of(ErrorEvent)[-1].content
        await face.say("/persona Kim")
        await face.say("/persona off")
        await face.say("/sync")
        await trio.testing.wait_all_tasks_blocked()
        assert face.of(SyncState)[-1].metadata.persona == ""
        await face.say("/persona default Kim")
        await face.say("/persona delete Kim")
        await trio.testing.wait_all_tasks_blocked()
        assert face.of(SystemUpdate)[-1].metadata.persona == ""


async def test_default_and_bound_personas_begin_stories(tmp_path: Path) -> None:
    """The bound one wins with its character; off takes both back."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        for line in (
            "/persona Ines|A surveyor.",
            "/persona save",
            "/persona Kim|Tall.",
            "/persona save",
        ):
            await face.say(line)
        await face.say("/persona off")
        await face.say("/persona default Ines")
        await face.say("/session new")
        assert (await who(world, face))[0] == "Ines"
        await face.say("/character select mara")
        await face.say("/persona bind Kim")
        await face.say("/session new")
        assert (await who(world, face))[0] == "Kim"
        await face.say("/persona bind off")
        await face.say("/persona default off")
        await face.say("/persona off")
        await face.say("/session new")
        assert await who(world, face) == ("", "")
        assert not face.of(ErrorEvent)


async def test_a_deleted_persona_is_gone_from_the_library_only(tmp_path: Path) -> None:
    """The story goes on with it; what does not exist is a sentence with what does."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await face.say("/persona Ines|A surveyor.")
        await face.say("/persona save")
        await face.say("/persona use Inez")
        await trio.testing.wait_all_tasks_blocked()
        assert "Ines" in face.of(ErrorEvent)[-1].content
        await face.say("/persona delete Ines")
        assert (await who(world, face))[0] == "Ines"
        await face.say("/persona list")
        await trio.testing.wait_all_tasks_blocked()
        assert "no persona" in face.of(ErrorEvent)[-1].content
