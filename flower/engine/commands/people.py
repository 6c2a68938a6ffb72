"""Commands about people and factions: what they think of the player, where they met."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from flower import limits
from flower.engine.commands.catalogue import closest
from flower.engine.commands.game import standing_of, story_of
from flower.engine.game import people
from flower.engine.game.story import StoryState
from flower.engine.store import states, stories
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.client import Client
    from flower.engine.engine import Engine

_MOOD = re.compile(r"(?P<name>.+?)\s+(?P<change>[+-]?\d{1,3})(?:\s+(?P<why>.+))?")


async def list_people(engine: Engine, client: Client, argument: str) -> None:
    standing = await standing_of(engine, story_of(client))
    ordered = sorted(standing.state.people, key=lambda person: -person.standing)
    rows = [people.shown(person) for person in ordered]
    client.tell(
        "\n".join(["People and factions:", *rows]) if rows else "Nobody yet; /npc add NAME: ABOUT."
    )


async def add_person(engine: Engine, client: Client, argument: str) -> None:
    faction = argument.lower().startswith("faction ")
    name, _, about = (argument[8:] if faction else argument).partition(":")
    shown: list[str] = []

    def add(state: StoryState) -> StoryState:
        person = people.new(name, about, state.sheet.place, faction=faction)
        known = [p for p in state.people if p.name.casefold() == person.name.casefold()]
        if known:  # what they are is told anew; what was between you stays
            person = replace(known[0], about=person.about or known[0].about)
        shown.append(person.name)
        return replace(state, people=people.put(state.people, person))

    await engine.services.database.write(states.change_state, story_of(client).id, add)
    client.tell(f"✓ {shown[0]} is known now; /npc mood {shown[0]} +10 REASON changes what they think.")


async def show_person(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    standing = await standing_of(engine, session)
    person = people.find(standing.state.people, argument)
    path = await engine.services.database.read(
        stories.active_path, session.id, most=limits.PROMPT_MESSAGES
    )
    seen = people.last_seen(person, [(m.id, m.content) for m in path])
    rows = [f"{person.name} {person.feels} ({person.standing:+d})."]
    rows += [person.about] if person.about else []
    rows += [f"Met: {person.met}."] if person.met else []
    rows += [f"Last seen in message {seen}." if seen is not None else "Not seen lately."]
    rows += [f"{shift.change:+4d}  {shift.why}".rstrip() for shift in person.shifts]
    client.tell("\n".join(rows))


async def change_mood(engine: Engine, client: Client, argument: str) -> None:
    found = _MOOD.fullmatch(" ".join(argument.split()))
    if found is None:
        raise CommandError("By how much? For example /npc mood Mara -10 broke a promise.")
    shown: list[str] = []

    def shift(state: StoryState) -> StoryState:
        person = people.find(state.people, found["name"])
        person = people.shifted(person, int(found["change"]), found["why"] or "")
        shown.append(f"{person.name} {person.feels} ({person.standing:+d})")
        return replace(state, people=people.put(state.people, person))

    await engine.services.database.write(states.change_state, story_of(client).id, shift)
    client.tell(f"✓ {shown[0]}.")


async def remove_person(engine: Engine, client: Client, argument: str) -> None:
    def remove(state: StoryState) -> StoryState:
        gone = people.find(state.people, argument)
        return replace(state, people=tuple(p for p in state.people if p is not gone))

    await engine.services.database.write(states.change_state, story_of(client).id, remove)
    client.tell(f"✓ {argument} is no longer kept.")


async def bring_people(engine: Engine, client: Client, argument: str) -> None:
    """Takes over the people of another story of this world, with what stands between them and the player."""
    session = story_of(client)
    listed = await engine.services.database.read(stories.sessions)
    others = [s for s in listed if s.world_id == session.world_id and s.id != session.id]
    wanted = [s for s in others if not argument or s.id == argument]
    wanted.sort(key=lambda stored: -stored.updated)
    if not wanted:
        raise CommandError(
            f"There is no other story {argument} in this world.{closest(argument, [s.id for s in others])}"
        )
    database = engine.services.database
    known = await database.read(states.state_at, wanted[0].id, wanted[0].active_leaf)

    def bring(state: StoryState) -> StoryState:
        return replace(state, people=people.joined(state.people, known.people))

    before = (await standing_of(engine, session)).state.people
    after = (await database.write(states.change_state, session.id, bring)).people
    title = wanted[0].title or "Untitled"
    client.tell(f"✓ {len(after) - len(before)} people came along from {title}.")
