"""Commands about clocks: something comes nearer with every tick."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from flower.engine.commands.game import standing_of, story_of, tell_sheet
from flower.engine.game import clocks
from flower.engine.game.story import StoryState
from flower.engine.store import states
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.client import Client
    from flower.engine.engine import Engine

_CLOCK = re.compile(
    r'(?:"(?P<quoted>[^"]+)"|(?P<name>.+?))\s+(?P<size>\d{1,3})'
    r"(?:\s+every\s+(?P<pace>turn|\d+\s*\w+))?(?:\s*:\s*(?P<then>.+))?",
    re.IGNORECASE | re.DOTALL,
)
_TICK = re.compile(r'"?(?P<name>.+?)"?(?:\s+(?P<ticks>[+-]?\d{1,3}))?')


async def list_clocks(engine: Engine, client: Client, argument: str) -> None:
    """Also takes the short form ``/clock "NAME" 6``."""
    if argument:
        await add_clock(engine, client, argument)
        return
    standing = await standing_of(engine, story_of(client))
    rows = [f"{clocks.shown(clock, standing.now)}  {clock.name}" for clock in standing.state.clocks]
    client.tell("\n".join(["Clocks:", *rows]) if rows else 'No clocks; /clock add "NAME" 6 starts one.')


async def add_clock(engine: Engine, client: Client, argument: str) -> None:
    found = _CLOCK.fullmatch(" ".join(argument.split()))
    if found is None:
        raise CommandError(
            'Which clock, of how many segments? For example /clock add "Flood reaches the docks" 6'
            " every 2 turns: the docks are under water."
        )
    session = story_of(client)
    standing = await standing_of(engine, session)
    clock = clocks.new(
        found["quoted"] or found["name"],
        int(found["size"]),
        found["pace"] or "",
        (found["then"] or "").strip(),
        standing.now,
    )

    def add(state: StoryState) -> StoryState:
        return replace(state, clocks=clocks.put(state.clocks, clock))

    await _change(engine, client, add, f"✓ Clock: {clock.name} {clocks.shown(clock, standing.now)}")


async def tick_clock(engine: Engine, client: Client, argument: str) -> None:
    found = _TICK.fullmatch(" ".join(argument.split()))
    if found is None:
        raise CommandError("Which clock? For example /clock tick flood, or /clock tick flood -1.")
    session = story_of(client)
    now = (await standing_of(engine, session)).now
    shown: list[str] = []

    def tick(state: StoryState) -> StoryState:
        clock = clocks.ticked(clocks.find(state.clocks, found["name"]), int(found["ticks"] or 1), now)
        shown.append(f"{clock.name} {clocks.shown(clock, now)}")
        return replace(state, clocks=clocks.put(state.clocks, clock))

    await engine.services.database.write(states.change_state, session.id, tick)
    await tell_sheet(engine, session, f"✓ Clock: {shown[0]}")


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
    await tell_sheet(engine, session, text)
