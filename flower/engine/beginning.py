"""How a story begins: in a world, with its greeting, told to the player's persona."""

from __future__ import annotations

from flower import limits
from flower.engine.direction import Place, greeting
from flower.engine.game.people import Person
from flower.engine.game.story import StoryState, dump_variables
from flower.engine.preparation import Services, around
from flower.engine.store import states, stories
from flower.engine.store.selections import Selection
from flower.errors import CommandError


async def begin(services: Services, chosen: Selection, session_id: str, now: float) -> None:
    """Stores a new story in the chosen world; the persona comes along from the story before.

    Raises ``CommandError`` without a world or when there are too many stories, ``StoreError``.
    """
    database, assets = services.database, services.assets
    world = assets.worlds.get(chosen.world_id)
    if world is None:
        raise CommandError("Choose a world first: /world select ID (" + ", ".join(assets.worlds) + ").")
    if await database.read(stories.count_sessions) >= limits.SESSIONS_MAX:
        raise CommandError(
            f"There are {limits.SESSIONS_MAX} stories, the most one home holds; use another --home."
        )
    persona = (await database.read(states.steering, chosen.session_id)).persona
    place = Place(session_id, world.id, chosen.character_id)
    words = greeting(assets, place, persona, now)
    people = await _known_people(services, world.id) if services.keep_people else ()
    await database.write(
        states.begin_story,
        session_id,
        world.id,
        chosen.character_id,
        words.text,
        persona,
        now,
        StoryState(people=people),
        dump_variables(words.variables) if words.variables else None,
    )
    services.library.expect(around([words.text], world.scene))


async def _known_people(services: Services, world_id: str) -> tuple[Person, ...]:
    """Returns the people of the story that was played last in a world, as they stand at its end."""
    listed = await services.database.read(stories.sessions, archived=True)
    last = max((s for s in listed if s.world_id == world_id), key=lambda s: s.updated, default=None)
    if last is None:
        return ()
    return (await services.database.read(states.state_at, last.id, last.active_leaf)).people
