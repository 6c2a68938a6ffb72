"""How a story begins: in a world, with its greeting, said to the player's persona."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from flower.engine.assets.kinds import Assets
from flower.engine.assets.shelves import owner_of
from flower.engine.game.people import Person
from flower.engine.game.state import StoryState, dump_variables
from flower.engine.game.steering import NOTE_CHARS, Persona
from flower.engine.prompt.context import around
from flower.engine.prompt.direction import StoryRef, greetings
from flower.engine.prompt.macros import Expanded
from flower.engine.prompt.turn_input import Services
from flower.engine.recall.base import lore_scope
from flower.engine.sessions.runtime import Runtime
from flower.engine.store import states, stories, world_lore
from flower.engine.store.connection import Connection
from flower.engine.store.library import personas
from flower.engine.store.selections import Selection
from flower.engine.store.users import HOME
from flower.errors import CommandError


async def begin(
    services: Services, chosen: Selection, session_id: str, now: float, owner: int = HOME
) -> None:
    """Stores a new story of ``owner`` in the chosen world, with the chosen character; one of them is enough.

    The player is whoever is bound to the character, else who they were in the story before, else their
    default persona. Raises ``CommandError`` without world and character or when there are too many
    stories, ``StoreError``.
    """
    database, assets = services.database, services.assets
    world = assets.worlds.get(chosen.world_id)
    if world is None and chosen.character_id not in assets.characters:
        raise CommandError("Choose a world first: /world select ID (" + ", ".join(assets.worlds) + ").")
    world_id = world.id if world is not None else ""
    if await database.read(stories.count_sessions, owner) >= stories.SESSIONS_MAX:
        raise CommandError(
            f"There are {stories.SESSIONS_MAX} stories, the most one home holds; use another --home."
        )
    foreign = owner_of(chosen.character_id) and chosen.character_id not in assets.characters
    if foreign:  # seen at somebody's table
        chosen = replace(chosen, character_id="")
    persona = await _persona(services, chosen, owner)
    place = StoryRef(session_id, world_id, chosen.character_id)
    words = greetings(assets, place, persona, now) or (Expanded("", {}),)
    people = await _known_people(services, world_id, owner) if services.keep_people and world_id else ()
    await database.write(
        states.begin_story,
        session_id,
        world_id,
        chosen.character_id,
        words[0].text,
        persona,
        now,
        StoryState(people=people),
        dump_variables(words[0].variables) if words[0].variables else None,
        rows_of(words[1:]),
        owner,
    )
    services.library.expect(around([words[0].text], world.scene if world is not None else ""))


def rows_of(greetings: Sequence[Expanded]) -> list[tuple[str, str | None]]:
    """Returns greetings as they are stored: their words and the variables they set."""
    return [(one.text, dump_variables(one.variables) if one.variables else None) for one in greetings]


async def _persona(services: Services, chosen: Selection, owner: int) -> Persona:
    bound = await services.database.read(personas.for_story, "", chosen.character_id, owner)
    before = await services.database.read(_played_before, chosen.session_id, owner)
    if bound is None or (bound.is_default and before != Persona()):
        return before
    return Persona(bound.name, bound.description[:NOTE_CHARS])


def _played_before(db: Connection, session_id: str, owner: int) -> Persona:
    """Returns who somebody is in a story of theirs; at another's table they have a persona of their own."""
    if not stories.is_owner(db, session_id, owner):
        return Persona()
    return states.steering(db, session_id).persona


async def _known_people(services: Services, world_id: str, owner: int) -> tuple[Person, ...]:
    """Returns the people of the owner's story that was played last in a world, as they stand at its end."""
    listed = await services.database.read(stories.sessions, archived=True, user=owner)
    mine = [s for s in listed if s.world_id == world_id and s.owner == owner]
    last = max(mine, key=lambda s: s.updated, default=None)
    if last is None:
        return ()
    return (await services.database.read(states.state_at, last.id, last.active_leaf)).people


# --- The lore of worlds, brought into the library when somebody plays there.


class WorldLore:
    """Knows which worlds' lore is in the library as their files say it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._synced: set[str] = set()
        self._synced_from: Assets | None = None

    async def sync(self, world_id: str, *, again: bool = False) -> None:
        """Brings a world's lore into the library, once per run of the engine. Raises ``StoreError``.

        Cheap when nothing changed: the library compares texts and embeds only what is new.
        """
        services = self._runtime.services
        if self._synced_from is not services.assets:  # read anew: a world's lore may be another now
            self._synced_from = services.assets
            self._synced.clear()
        world = services.assets.worlds.get(world_id)
        if world is None or (world_id in self._synced and not again):
            return
        self._synced.add(world_id)
        scope, library = lore_scope(world_id), services.library
        try:
            await library.sync_source(scope, "world", world.name, world.lore)
            for number, text in await services.database.read(world_lore.listed, world_id):
                await library.sync_source(scope, f"attached:{number}", world.name, text)
        except BaseException:
            self._synced.discard(world_id)  # not all of it: the next one tries again
            raise
