"""Commands of the game layer: dice and checks, the state sheet, quests, things.

What a change means is decided in ``flower.engine.game``; that it holds for this message and below, in
``store.states``. Every watcher of the story is notified.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from flower import limits
from flower.engine.commands.lookup import closest, current_of, story_of
from flower.engine.game import checks, clocks, dice, people, sheet
from flower.engine.game.dice import Seeded
from flower.engine.game.sheet import Sheet
from flower.engine.game.state import StoryState
from flower.engine.prompt.direction import ambience_of
from flower.engine.sessions import snapshot
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client, Session
from flower.engine.store import exchanges, states, stories
from flower.engine.store.extra import MessageExtra, RollRecord
from flower.errors import CommandError
from flower.protocol.messages import ChatMessage, MessageMeta, State, SystemUpdate
from flower.text import counted

# --- dice ---------------------------------------------------------------------------------------


async def roll(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    await _throw(engine, client, session, dice.parse(argument), "")


async def check(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    current = await current_of(engine, session)
    name, expression = checks.parse_check(argument, current.state.sheet.skills)
    await _throw(engine, client, session, expression, name)


async def _throw(
    engine: Engine, client: Client, session: Session, expression: dice.Expression, name: str
) -> None:
    """Rolls and puts the result into the story, where no second try of a reply rolls it again."""

    def make(message_id: int) -> tuple[str, MessageExtra]:
        throw = dice.roll(expression, Seeded(f"{session.id}:{message_id}"))
        record = RollRecord(expression.display_text, throw.total, checks.degree(throw))
        return checks.display_text(throw, name), MessageExtra(
            told=checks.prompt_text(throw, name), roll=record
        )

    await add_message(engine, client, "system", make)


async def add_message(
    engine: Engine, client: Client, role: str, make: Callable[[int], tuple[str, MessageExtra]]
) -> None:
    """Puts a whole message into the client's story and shows it to every watcher."""
    session = story_of(client)
    added = await engine.services.database.write(
        exchanges.add_message, session.id, role, make, client.request, engine.now()
    )
    if added is not None:
        meta = MessageMeta(role, added.id, session.id, status="complete")
        session.publish(ChatMessage(added.content, meta))


# --- the state sheet ----------------------------------------------------------------------------


async def show_state(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    if argument.lower() == "undo":
        if not await engine.services.database.write(states.undo_state, session.id):
            raise CommandError("Nothing has changed the state of this story yet.")
        await publish_sheet(engine, session, "✓ The last change of the state is taken back.")
        return
    if argument:
        raise CommandError("/state shows how things stand, /state undo takes the last change back.")
    current = await current_of(engine, session)
    sheet_rows = dict(await engine.services.database.read(_rows, session.id))
    world = engine.services.assets.worlds.get(session.world_id)
    by_itself = ambience_of(world, session.id, current)
    rows = {
        **{f"{name} (by itself)": v for name, v in by_itself.items() if name not in sheet_rows},
        **sheet_rows,
    }
    if not rows:
        client.notify("The state sheet is empty. /set-state place The mill puts something on it.")
        return
    width = max(len(name) for name in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows.items()]
    client.notify("\n".join(["How things stand:", *lines]))


async def set_state(engine: Engine, client: Client, argument: str) -> None:
    key, _, value = argument.partition(" ")
    if not key:
        raise CommandError("Set what? For example /set-state place The mill, or /set-state hp -3.")
    await _change_sheet(engine, client, partial(sheet.put, key=key, value=value))


async def show_quests(engine: Engine, client: Client, argument: str) -> None:
    if argument:
        raise CommandError(
            f"/quest add {argument} begins a quest; /quest done and /quest failed end one."
        )
    current = await current_of(engine, story_of(client))
    rows = [f"{state:>6}  {name}" for name, state in current.state.sheet.quests.items()]
    client.notify(
        "\n".join(["Quests:", *rows]) if rows else "No quests yet; /quest add NAME begins one."
    )


async def _quest(engine: Engine, client: Client, argument: str, state: str) -> None:
    await _change_sheet(engine, client, partial(sheet.quest, name=argument, state=state))


async def add_quest(engine: Engine, client: Client, argument: str) -> None:
    await _quest(engine, client, argument, "open")


async def finish_quest(engine: Engine, client: Client, argument: str) -> None:
    await _quest(engine, client, argument, "done")


async def fail_quest(engine: Engine, client: Client, argument: str) -> None:
    await _quest(engine, client, argument, "failed")


async def drop_quest(engine: Engine, client: Client, argument: str) -> None:
    await _quest(engine, client, argument, "off")


async def show_inventory(engine: Engine, client: Client, argument: str) -> None:
    if argument:
        raise CommandError(f"/inv add {argument} takes it up, /inv drop {argument} gives it away.")
    current = await current_of(engine, story_of(client))
    carried = dict(sheet.rows(current.state.sheet)).get("inventory", "nothing")
    client.notify(f"You carry: {carried}.")


async def add_thing(engine: Engine, client: Client, argument: str) -> None:
    await _change_sheet(engine, client, partial(sheet.gain, things=argument))


async def drop_thing(engine: Engine, client: Client, argument: str) -> None:
    await _change_sheet(engine, client, partial(sheet.lose, things=argument))


async def _change_sheet(
    engine: Engine, client: Client, change: Callable[[Sheet], tuple[Sheet, str]]
) -> None:
    """Carries out a change of the sheet; ``change`` returns the new one and what to say about it."""
    lines: list[str] = []

    def changed(state: StoryState) -> StoryState:
        new, text = change(state.sheet)
        lines.append(text)
        return replace(state, sheet=new)

    session = story_of(client)
    await engine.services.database.write(states.change_state, session.id, changed)
    await publish_sheet(engine, session, f"✓ {lines[0][:1].upper()}{lines[0][1:]}.")


async def publish_sheet(engine: Engine, session: Session, text: str) -> None:
    """Tells every watcher what changed and how the sheet is now."""
    rows = await engine.services.database.read(_rows, session.id)
    session.publish(SystemUpdate(text, State(sheet=snapshot.sheet_rows(rows))))


def _rows(db: Any, session_id: str) -> Sequence[tuple[str, str]]:
    return states.rows(db, session_id, stories.active_leaf(db, session_id))


# --- Commands about clocks: something comes nearer with every tick.

_CLOCK = re.compile(
    r'(?:"(?P<quoted>[^"]{1,120})"|(?P<name>.{1,120}?)) (?P<size>\d{1,3})'
    r"(?: every (?P<pace>turn|\d{1,9} ?\w{1,20}+))?(?: ?: ?(?P<then>.+))?",
    re.IGNORECASE,
)
_TICKS = re.compile(r" ([+-]?\d{1,3})\Z")


async def list_clocks(engine: Engine, client: Client, argument: str) -> None:
    """Also takes the short form ``/clock "NAME" 6``."""
    if argument:
        await add_clock(engine, client, argument)
        return
    current = await current_of(engine, story_of(client))
    rows = [
        f"{clocks.display_text(clock, current.now)}  {clock.name}" for clock in current.state.clocks
    ]
    client.notify(
        "\n".join(["Clocks:", *rows]) if rows else 'No clocks; /clock add "NAME" 6 starts one.'
    )


async def add_clock(engine: Engine, client: Client, argument: str) -> None:
    match = _CLOCK.fullmatch(" ".join(argument.split()))
    if match is None:
        raise CommandError(
            'Which clock, of how many segments? For example /clock add "Flood reaches the docks" 6'
            " every 2 turns: the docks are under water."
        )
    session = story_of(client)
    current = await current_of(engine, session)
    clock = clocks.new(
        match["quoted"] or match["name"],
        int(match["size"]),
        match["pace"] or "",
        (match["then"] or "").strip(),
        current.now,
    )

    def add(state: StoryState) -> StoryState:
        return replace(state, clocks=clocks.put(state.clocks, clock))

    await _change(
        engine, client, add, f"✓ Clock: {clock.name} {clocks.display_text(clock, current.now)}"
    )


async def tick_clock(engine: Engine, client: Client, argument: str) -> None:
    text = " ".join(argument.split())
    match = _TICKS.search(text)
    name = (text[: match.start()] if match else text).strip('"')
    if not name:
        raise CommandError("Which clock? For example /clock tick flood, or /clock tick flood -1.")
    ticks = int(match[1]) if match else 1
    session = story_of(client)
    now = (await current_of(engine, session)).now
    lines: list[str] = []

    def tick(state: StoryState) -> StoryState:
        clock = clocks.ticked(clocks.find(state.clocks, name), ticks, now)
        lines.append(f"{clock.name} {clocks.display_text(clock, now)}")
        return replace(state, clocks=clocks.put(state.clocks, clock))

    await engine.services.database.write(states.change_state, session.id, tick)
    await publish_sheet(engine, session, f"✓ Clock: {lines[0]}")


async def remove_clock(engine: Engine, client: Client, argument: str) -> None:
    def remove(state: StoryState) -> StoryState:
        gone = clocks.find(state.clocks, argument)
        return replace(state, clocks=tuple(c for c in state.clocks if c is not gone))

    await _change(engine, client, remove, "✓ The clock is gone.")


async def _change(
    engine: Engine, client: Client, change: Callable[[StoryState], StoryState], text: str
) -> None:
    session = story_of(client)
    await engine.services.database.write(states.change_state, session.id, change)
    await publish_sheet(engine, session, text)


# --- Commands about people and factions: what they think of the player, where they met.

_MOOD = re.compile(r"(?P<name>.{1,120}?) (?P<change>[+-]?\d{1,3})(?: (?P<why>.+))?")


async def list_people(engine: Engine, client: Client, argument: str) -> None:
    current = await current_of(engine, story_of(client))
    ordered = sorted(current.state.people, key=lambda person: -person.attitude)
    rows = [people.display_text(person) for person in ordered]
    client.notify(
        "\n".join(["People and factions:", *rows]) if rows else "Nobody yet; /npc add NAME: ABOUT."
    )


async def add_person(engine: Engine, client: Client, argument: str) -> None:
    faction = argument.lower().startswith("faction ")
    name, _, about = (argument[8:] if faction else argument).partition(":")
    names: list[str] = []

    def add(state: StoryState) -> StoryState:
        person = people.new(name, about, state.sheet.place, faction=faction)
        same = [p for p in state.people if p.name.casefold() == person.name.casefold()]
        if same:  # what they are is given anew; what was between you stays
            person = replace(same[0], about=person.about or same[0].about)
        names.append(person.name)
        return replace(state, people=people.put(state.people, person))

    await engine.services.database.write(states.change_state, story_of(client).id, add)
    client.notify(
        f"✓ {names[0]} is known now; /npc mood {names[0]} +10 REASON changes what they think."
    )


async def show_person(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    current = await current_of(engine, session)
    person = people.find(current.state.people, argument)
    path = await engine.services.database.read(
        stories.active_path, session.id, most=limits.PROMPT_MESSAGES
    )
    seen = people.last_seen(person, [(m.id, m.content) for m in path])
    rows = [f"{person.name} {person.feels} ({person.attitude:+d})."]
    rows += [person.about] if person.about else []
    rows += [f"Met: {person.met}."] if person.met else []
    rows += [f"Last seen in message {seen}." if seen is not None else "Not seen lately."]
    rows += [f"{shift.change:+4d}  {shift.why}".rstrip() for shift in person.shifts]
    client.notify("\n".join(rows))


async def change_mood(engine: Engine, client: Client, argument: str) -> None:
    match = _MOOD.fullmatch(" ".join(argument.split()))
    if match is None:
        raise CommandError("By how much? For example /npc mood Mara -10 broke a promise.")
    names: list[str] = []

    def shift(state: StoryState) -> StoryState:
        person = people.find(state.people, match["name"])
        person = people.shifted(person, int(match["change"]), match["why"] or "")
        names.append(f"{person.name} {person.feels} ({person.attitude:+d})")
        return replace(state, people=people.put(state.people, person))

    await engine.services.database.write(states.change_state, story_of(client).id, shift)
    client.notify(f"✓ {names[0]}.")


async def remove_person(engine: Engine, client: Client, argument: str) -> None:
    def remove(state: StoryState) -> StoryState:
        gone = people.find(state.people, argument)
        return replace(state, people=tuple(p for p in state.people if p is not gone))

    await engine.services.database.write(states.change_state, story_of(client).id, remove)
    client.notify(f"✓ {argument} is no longer kept.")


async def bring_people(engine: Engine, client: Client, argument: str) -> None:
    """Takes over the people of another story of this world, with what is between them and the player."""
    session = story_of(client)
    listed = await engine.services.database.read(stories.sessions, user=client.visitor.id)
    others = [s for s in listed if s.world_id == session.world_id and s.id != session.id]
    sources = [s for s in others if not argument or s.id == argument]
    sources.sort(key=lambda stored: -stored.updated)
    if not sources:
        raise CommandError(
            f"There is no other story {argument} in this world.{closest(argument, [s.id for s in others])}"
        )
    database = engine.services.database
    other_state = await database.read(states.state_at, sources[0].id, sources[0].active_leaf)

    def bring(state: StoryState) -> StoryState:
        return replace(state, people=people.joined(state.people, other_state.people))

    before = (await current_of(engine, session)).state.people
    after = (await database.write(states.change_state, session.id, bring)).people
    title = (sources[0].title or "Untitled").rstrip(".")
    new = len(after) - len(before)
    who = counted(new, "person", "people") if new else "Nobody new"
    client.notify(f"✓ {who} came along from: {title}.")
