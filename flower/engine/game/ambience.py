"""Weather, light and mood that shift by themselves, by seeded rules of the world. Pure.

A world says which values there are and how often they shift. Which one holds now follows from the
story's seed and how far it has come, so nothing is stored, and the same story has the same weather.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from flower.engine.game.rng import Seeded

EVERY_DEFAULT = 4  # lines of the player between two shifts


class Ambience(Struct, frozen=True):
    """What can change in a world. ``light`` goes round in order; the others wander between neighbours."""

    every: int = EVERY_DEFAULT
    weather: tuple[str, ...] = ()
    light: tuple[str, ...] = ()
    mood: tuple[str, ...] = ()


def ambience_at(ambience: Ambience, seed: str, lines: int) -> dict[str, str]:
    """Returns the values that hold after ``lines`` lines of the player, by name; only what the world has."""
    step = lines // max(ambience.every, 1)
    held = {
        "weather": _wandered(ambience.weather, f"{seed}:weather", step),
        "light": ambience.light[step % len(ambience.light)] if ambience.light else "",
        "mood": _wandered(ambience.mood, f"{seed}:mood", step),
    }
    return {name: value for name, value in held.items() if value}


def _wandered(values: Sequence[str], seed: str, steps: int) -> str:
    """Returns where a walk stands: each step stays, or goes one value up or down."""
    if not values:
        return ""
    chance = Seeded(seed)
    place = chance.randrange(len(values))
    for _ in range(steps):
        place = max(0, min(place + chance.randrange(3) - 1, len(values) - 1))
    return values[place]
