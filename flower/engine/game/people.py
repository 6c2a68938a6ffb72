"""People and factions: what they think of the player, where they met, when they were last seen. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from flower import limits
from flower.errors import CommandError

NPCS = 200  # people and factions a story keeps
NPC_ABOUT_CHARS = 500
NPC_SHIFTS = 12  # changes of attitude remembered of each

ATTITUDES = (
    (-60, "hates the player"),
    (-25, "distrusts the player"),
    (-5, "is cool towards the player"),
    (5, "has no opinion of the player"),
    (25, "is friendly to the player"),
    (60, "trusts the player"),
)
DEVOTED = "would do almost anything for the player"


class AttitudeChange(Struct, frozen=True, omit_defaults=True):
    """A change of attitude and why."""

    change: int
    why: str = ""


class Person(Struct, frozen=True, omit_defaults=True):
    """Somebody, or with ``faction`` a group, and their attitude towards the player, -100 to 100."""

    name: str
    about: str = ""
    faction: bool = False
    attitude: int = field(default=0, name="standing")
    shifts: tuple[AttitudeChange, ...] = ()  # oldest first
    met: str = ""  # the place

    @property
    def feels(self) -> str:
        """The attitude in words."""
        return next((words for most, words in ATTITUDES if self.attitude <= most), DEVOTED)


def new(name: str, about: str, place: str, *, faction: bool = False) -> Person:
    """Returns somebody the player has met at ``place``; raises ``CommandError`` without a usable name."""
    name = " ".join(name.split())
    if not name or len(name) > limits.SHEET_TEXT_CHARS:
        raise CommandError("Who? For example /npc add Mara: keeps the lamp, owes you money.")
    return Person(name, " ".join(about.split())[:NPC_ABOUT_CHARS], faction, met=place)


def shifted(person: Person, change: int, why: str) -> Person:
    """Returns the person with another attitude; the last shifts are kept."""
    attitude = max(-100, min(person.attitude + change, 100))
    shift = AttitudeChange(attitude - person.attitude, " ".join(why.split())[: limits.SHEET_TEXT_CHARS])
    shifts = (*person.shifts, shift)[-NPC_SHIFTS:]
    return replace(person, attitude=attitude, shifts=shifts)


def find(people: Sequence[Person], name: str) -> Person:
    """Returns the person called ``name``, in any case, in full or by a word of it; raises ``CommandError``."""
    target = " ".join(name.split()).casefold()
    for person in people:
        if person.name.casefold() == target:
            return person
    for person in people:
        if target and target in person.name.casefold().split():
            return person
    there = ", ".join(person.name for person in people) or "nobody yet"
    raise CommandError(f"Nobody is called {name!r} here. There is: {there}.")


def put(people: Sequence[Person], person: Person) -> tuple[Person, ...]:
    """Returns the people with one added or replaced; raises ``CommandError`` when there are too many."""
    names = [other.name.casefold() for other in people]
    if person.name.casefold() in names:
        index = names.index(person.name.casefold())
        return (*people[:index], person, *people[index + 1 :])
    if len(people) >= NPCS:
        raise CommandError(f"A story keeps {NPCS} people; /npc remove NAME forgets one.")
    return (*people, person)


def joined(people: Sequence[Person], others: Sequence[Person]) -> tuple[Person, ...]:
    """Returns the people with those of ``others`` that are new, as many as a story keeps."""
    names = {person.name.casefold() for person in people}
    new = [person for person in others if person.name.casefold() not in names]
    return (*people, *new)[: max(NPCS, len(people))]


def is_named(person: Person, text: str) -> bool:
    """Returns whether ``text`` names the person, in full or by a capitalised word of the name."""
    words = [person.name] + [w for w in person.name.split() if w[:1].isupper() and len(w) > 2]
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in words)


def in_scene(people: Sequence[Person], texts: Sequence[str]) -> tuple[Person, ...]:
    """Returns the people whom one of ``texts`` (the newest line and what came right before) names."""
    scene = "\n".join(texts)
    return tuple(person for person in people if is_named(person, scene))


def last_seen(person: Person, story: Sequence[tuple[int, str]]) -> int | None:
    """Returns the newest message of ``story`` (number and text, oldest first) that names the person."""
    return next((number for number, text in reversed(story) if is_named(person, text)), None)


def display_text(person: Person) -> str:
    """Returns one line about the person, for a list."""
    kind = " (faction)" if person.faction else ""
    about = f": {person.about}" if person.about else ""
    return f"{person.attitude:+4d}  {person.name}{kind}{about}"


def prompt_text(people: Sequence[Person]) -> str:
    """Returns what a prompt says of people in the scene, a line each, "" for nobody."""
    lines = []
    for person in people:
        about = f"{person.about.rstrip('.')}. " if person.about else ""
        why = next((shift.why for shift in reversed(person.shifts) if shift.why), "")
        reason = f", last because: {why}" if why else ""
        lines.append(
            f"{person.name}: {about}{person.name} {person.feels} ({person.attitude:+d}{reason})."
        )
    return "\n".join(lines)
