"""What changes by itself as a story goes on: clocks, which come nearer with every tick, weather, light, mood. Pure.

What is stored is how full a clock was and at which point of the story; how full it is now follows from
that. So a clock needs no writing while it ticks, and every branch of a story has its own time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.game.dice import Seeded
from flower.errors import CommandError

CLOCKS = 16
CLOCK_SEGMENTS_MIN = 2
CLOCK_SEGMENTS = 24
CLOCK_THEN_CHARS = 300

NEAR_SHARE = 0.6  # from here on prompts have it
BAR_FULL, BAR_EMPTY = "#", "."

_PERIOD = re.compile(r"(\d{1,4})\s*(m|min|minutes?|h|hours?|d|days?)")
_UNIT_S = {"m": 60.0, "h": 3600.0, "d": 86_400.0}


class Now(Struct, frozen=True):
    """A point of a story: how many lines the player has written up to it, and its Unix time."""

    lines: int
    time: float


class Clock(Struct, frozen=True, omit_defaults=True):
    """``filled`` of ``size`` segments at the point (``line``, ``time``).

    ``every`` lines of the player or ``period_s`` seconds make a tick; both 0: by hand only.
    ``then`` is what happens when it is full.
    """

    name: str
    size: int
    filled: int = 0
    line: int = 0
    time: float = 0.0
    every: int = 0
    period_s: float = 0.0
    then: str = ""

    def at(self, now: Now) -> int:
        """Returns how many segments are full at a point of the story, ``size`` at most."""
        ticks = 0
        if self.every:
            ticks += max(now.lines - self.line, 0) // self.every
        if self.period_s:
            ticks += int(max(now.time - self.time, 0.0) // self.period_s)
        return min(self.filled + ticks, self.size)


def new(name: str, size: int, pace: str, then: str, now: Now) -> Clock:
    """Returns an empty clock; ``pace`` is "", "turn", "3 turns", "2h", "1d". Raises ``CommandError``."""
    name = " ".join(name.split())
    if not name or len(name) > limits.SHEET_TEXT_CHARS:
        raise CommandError(
            'Which clock? For example /clock add "Flood reaches the docks" 6 every turn.'
        )
    if not CLOCK_SEGMENTS_MIN <= size <= CLOCK_SEGMENTS:
        least, most = CLOCK_SEGMENTS_MIN, CLOCK_SEGMENTS
        raise CommandError(f"A clock has {least} to {most} segments.")
    every, period_s = _pace(pace)
    then = then[:CLOCK_THEN_CHARS]
    return Clock(
        name=name,
        size=size,
        filled=0,
        line=now.lines,
        time=now.time,
        every=every,
        period_s=period_s,
        then=then,
    )


def _pace(pace: str) -> tuple[int, float]:
    words = pace.lower().split()
    if not words:
        return 0, 0.0
    turns = re.fullmatch(r"(?:(\d{1,3})\s+)?turns?", " ".join(words))
    if turns:
        return max(int(turns[1] or 1), 1), 0.0
    period = _PERIOD.fullmatch(" ".join(words))
    if period and int(period[1]):
        return 0, int(period[1]) * _UNIT_S[period[2][0]]
    raise CommandError(
        f"A clock ticks every turn, every 3 turns, every 2h or every 1d, not every {pace!r}."
    )


def ticked(clock: Clock, ticks: int, now: Now) -> Clock:
    """Returns the clock ``ticks`` segments fuller (or emptier) from this point on."""
    filled = max(0, min(clock.at(now) + ticks, clock.size))
    return replace(clock, filled=filled, line=now.lines, time=now.time)


def find(clocks: Sequence[Clock], name: str) -> Clock:
    """Returns the clock whose name begins with or holds ``name``; raises ``CommandError``."""
    target = name.strip(' "').casefold()
    for fits in (str.startswith, str.__contains__):
        for clock in clocks:
            if target and fits(clock.name.casefold(), target):
                return clock
    there = ", ".join(clock.name for clock in clocks) or "none yet"
    raise CommandError(f"There is no clock {name!r}. There is: {there}.")


def put(clocks: Sequence[Clock], clock: Clock) -> tuple[Clock, ...]:
    """Returns the clocks with one added or replaced; raises ``CommandError`` when there are too many."""
    names = [other.name.casefold() for other in clocks]
    if clock.name.casefold() in names:
        index = names.index(clock.name.casefold())
        return (*clocks[:index], clock, *clocks[index + 1 :])
    if len(clocks) >= CLOCKS:
        raise CommandError(f"A story has at most {CLOCKS} clocks; /clock remove NAME takes one away.")
    return (*clocks, clock)


def display_text(clock: Clock, now: Now) -> str:
    """Returns for example ``[###...] 3/6``."""
    filled = clock.at(now)
    return f"[{BAR_FULL * filled}{BAR_EMPTY * (clock.size - filled)}] {filled}/{clock.size}"


def prompt_text(clocks: Sequence[Clock], now: Now) -> str:
    """Returns what a prompt says of the clocks that are full or near it, "" for none."""
    lines = []
    for clock in clocks:
        filled = clock.at(now)
        if filled >= clock.size:
            then = clock.then or clock.name
            lines.append(f"It happens now or has happened: {then}.".replace("..", "."))
        elif filled >= clock.size * NEAR_SHARE:
            lines.append(
                f"Coming near ({filled} of {clock.size}): {clock.name}. Let signs of it be seen."
            )
    return "\n".join(lines)


# --- Weather, light and mood, which shift by themselves, by seeded rules of the world.
#
# A world says which values there are and how often they shift. Which one holds now follows from the story's seed and
# how far it has come, so nothing is stored, and the same story has the same weather.


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
    """Returns where a walk is: each step stays, or goes one value up or down."""
    if not values:
        return ""
    chance = Seeded(seed)
    place = chance.randrange(len(values))
    for _ in range(steps):
        place = max(0, min(place + chance.randrange(3) - 1, len(values) - 1))
    return values[place]
