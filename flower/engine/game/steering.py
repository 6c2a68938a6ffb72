"""Steering: how the player wants the story to be: note, persona, rules, and who of the cast speaks next. Pure.

Unlike the state of the story, steering belongs to the whole story and not to a message: a note that
was written after a reply must hold when that reply is tried again, and taking back a line must not
take back who the player is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from flower import limits
from flower.errors import CommandError

Mode = Literal["together", "named", "round"]
MODES: tuple[Mode, ...] = ("together", "named", "round")
NARRATOR = "narrator"


class Cast(Struct, frozen=True, omit_defaults=True):
    """Ids of characters beside the story's own one.

    ``together``: the narrator decides who speaks. ``named``: whom the player's line names. ``round``: one
    after the other. ``next`` is a speaker chosen by hand, whatever the mode, until it is taken back; it
    is not used up by a reply, so that a second try of that reply has the same speaker. ``models`` are
    ids of models by character, "" for the story's, whatever the character's file says.
    """

    members: tuple[str, ...] = ()
    mode: Mode = "together"
    next: str = ""
    models: dict[str, str] = {}


def speaker(cast: Cast, names: Mapping[str, str], line: str, spoke_last: str) -> str:
    """Returns the id of who speaks in the reply to ``line``; ``narrator``; or "" to leave it open.

    ``names`` are the names by id of everybody on stage, the story's own character first; ``spoke_last``
    is the id that spoke in the last reply, "" for nobody.
    """
    if cast.next in names or cast.next == NARRATOR:
        return cast.next
    if len(names) < 2 or cast.mode == "together":
        return ""
    named = first_named(names, line)
    if named or cast.mode == "named":
        return named
    order = list(names)
    return order[(order.index(spoke_last) + 1) % len(order)] if spoke_last in names else order[0]


def first_named(names: Mapping[str, str], line: str) -> str:
    """Returns the id of the character whom ``line`` names first, in full or by a first name; "" for none."""
    places: list[tuple[int, str]] = []
    for member, name in names.items():
        for word in _callings(name):
            at = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", line, re.IGNORECASE)
            if at:
                places.append((at.start(), member))
    return min(places)[1] if places else ""


def _callings(name: str) -> Sequence[str]:
    return (name, *(word for word in name.split() if len(word) > 2 and word[0].isupper()))


def speaker_text(speaking: str, names: Mapping[str, str]) -> str:
    """Returns the narrator's instruction for this reply, "" when it is left open."""
    if speaking == NARRATOR:
        return "This reply is the narrator's alone: nobody of the cast speaks in it."
    if speaking not in names:
        return ""
    return f"In this reply {names[speaking]} acts and speaks; the others may listen but do not speak."


NOTE_CHARS = 4_000  # about 1,000 tokens with every prompt
NOTE_DEPTH = 50  # messages from the end
NOTE_EVERY = 100
NOTE_EVERY_DEFAULT = 3  # lines between two tellings of a note right before the player's line
PERSONA_NAME_WORDS = 4  # without a bar, more words are no name but a description

_OPTION = re.compile(r"(depth|every)\s{0,3}[=: ]\s{0,3}(\d{1,4})(?!\w)\s{0,3},?\s{0,3}", re.IGNORECASE)


class Note(Struct, frozen=True, omit_defaults=True):
    """The author's note. ``depth`` 0: right before the player's line, n: n messages above the newest.

    It is given with every ``every``-th line of the player. At depth 0 it stays where it was given, so that
    it need not be given with each of them; further up it moves along.
    """

    text: str
    depth: int = 0
    every: int = 1

    def due(self, lines: int) -> bool:
        """Returns whether a note further up goes with the player's line number ``lines``, from 1."""
        return lines % self.every == 0


class Persona(Struct, frozen=True, omit_defaults=True):
    """Who the player is."""

    name: str = ""
    text: str = ""

    @property
    def prompt_text(self) -> str:
        """What the narrator is given, "" for nothing."""
        if not self.name:
            return f"The player's character: {self.text}" if self.text else ""
        return f"The player's character is called {self.name}. {self.text}".strip()


class Steering(Struct, frozen=True, omit_defaults=True):
    """``rules``: by id, switched on or off for this story, whatever the player has chosen elsewhere;
    ``books``: lorebooks, by number, that are switched off in it; ``players``: who others at its table play."""

    note: Note | None = None
    persona: Persona = Persona()
    cast: Cast = Cast()
    rules: dict[str, bool] = {}
    books: tuple[int, ...] = ()
    players: tuple[Persona, ...] = ()

    @property
    def players_text(self) -> str:
        """What a prompt says of the other players, "" when there are none."""
        if not self.players:
            return ""
        rows = [f"- {one.name}: {one.text or 'nothing is known of them yet'}" for one in self.players]
        head = "Others play too; each line begins with the name of the character who says it. Their characters:"
        return "\n".join([head, *rows])


def parse_note(text: str) -> Note:
    """Returns the note in ``depth 4, every 3, TEXT``; both numbers are optional. Raises ``CommandError``."""
    numbers = {"depth": 0, "every": 0}
    while (option := _OPTION.match(text)) is not None:
        numbers[option[1].lower()] = int(option[2])
        text = text[option.end() :]
    if not numbers["every"]:
        numbers["every"] = 1 if numbers["depth"] else NOTE_EVERY_DEFAULT
    if numbers["depth"] > NOTE_DEPTH or not 1 <= numbers["every"] <= NOTE_EVERY:
        raise CommandError(
            f"A note's depth is 0 to {NOTE_DEPTH}, and it comes every 1 to {NOTE_EVERY} lines."
        )
    if not text or len(text) > NOTE_CHARS:
        raise CommandError(f"A note has 1 to {NOTE_CHARS} characters: /note More fog, less talk.")
    return Note(text, numbers["depth"], numbers["every"])


def parse_persona(text: str) -> Persona:
    """Returns the persona in ``NAME``, ``NAME|TEXT`` or, from the third word on, just ``TEXT``."""
    name, bar, about = (part.strip() for part in text.partition("|"))
    if not bar and len(name.split()) > PERSONA_NAME_WORDS:
        name, about = "", name
    if len(name) > limits.NAME_CHARS or len(about) > NOTE_CHARS:
        raise CommandError(
            f"A persona has a name of {limits.NAME_CHARS} and a text of {NOTE_CHARS} characters at most."
        )
    return Persona(name, about)


def rules_on(chosen: tuple[str, ...], switched: dict[str, bool]) -> tuple[str, ...]:
    """Returns the ids of the rules that hold: what the player chose, as this story switches it."""
    active = [rule for rule in chosen if switched.get(rule, True)]
    return (*active, *(rule for rule, on in switched.items() if on and rule not in active))
