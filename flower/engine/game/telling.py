"""What the narrator is told of the state of a story. Pure.

Two places: facts that seldom change join the stable beginning of a prompt (``stable``), everything else
comes right before the player's newest line (``latest``), where a change costs no reading again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flower.engine.game import clocks as clocks_of
from flower.engine.game import people as people_of
from flower.engine.game.clocks import Now
from flower.engine.game.people import Person
from flower.engine.game.sheet import Sheet
from flower.engine.game.story import StoryState
from flower.engine.prompt.assemble import Section

OOC = (
    "The player's words in double brackets are outside the story: answer them briefly and plainly as the"
    " game's narrator, and do not move the story on."
)


def stable(state: StoryState, persona: str) -> tuple[Section, ...]:
    """Returns the sections that join the system message: who the player is, and pinned facts."""
    pins = "\n".join(f"- {pin}" for pin in state.pins)
    sections = (
        Section("persona", "/persona", persona, 75),
        Section("pinned", "/pin", f"Always true in this story:\n{pins}" if pins else "", 85),
    )
    return tuple(section for section in sections if section.text)


def latest(
    state: StoryState,
    now: Now,
    *,
    ambience: Mapping[str, str],
    note: str,
    speaking: str,
    scene: Sequence[str],
    line: str,
) -> tuple[Section, ...]:
    """Returns what goes right before the newest line, the least important first.

    ``scene`` are the texts right before the line: people named in them or in the line are told of.
    """
    present = people_of.in_scene(state.people, (*scene, line))
    sections = (
        Section("people", ", ".join(person.name for person in present), _people(present), 20),
        Section("sheet", "/state", _sheet(state.sheet, ambience), 40),
        Section("clocks", "/clock", clocks_of.told(state.clocks, now), 50),
        Section("note", "/note", f"The author's note: {note}" if note else "", 70),
        Section("speaker", "/cast", speaking, 80),
        Section("aside", "/ooc", OOC if is_aside(line) else "", 90),
    )
    return tuple(section for section in sections if section.text)


def is_aside(line: str) -> bool:
    """Returns whether a line is spoken outside the story."""
    return line.startswith("((") and line.endswith("))")


def _people(present: Sequence[Person]) -> str:
    lines = people_of.told(present)
    return f"People here:\n{lines}" if lines else ""


def _sheet(sheet: Sheet, ambience: Mapping[str, str]) -> str:
    """Returns the sheet as one paragraph; what was set by hand wins over the ambience."""
    parts = []
    for name in ("place", "time", "weather", "light", "mood"):
        value = getattr(sheet, name, "") or ambience.get(name, "")
        if value:
            parts.append(f"{name.capitalize()}: {value}.")
    if sheet.conditions:
        parts.append(f"The player is {', '.join(sheet.conditions)}.")
    if sheet.inventory:
        things = (name if count == 1 else f"{count} {name}" for name, count in sheet.inventory.items())
        parts.append(f"The player carries {', '.join(things)}.")
    parts += [f"{name}: {counter.shown}." for name, counter in sheet.counters.items()]
    parts += [f"Quest: {name}." for name, status in sheet.quests.items() if status == "open"]
    parts += [f"Quest {status}: {name}." for name, status in sheet.quests.items() if status != "open"]
    parts += [f"{name}: {value}." for name, value in sheet.flags.items()]
    return f"How things stand: {' '.join(parts)}" if parts else ""
