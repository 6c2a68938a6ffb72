"""Steering: how the player wants the story told. Pure.

Unlike the state of the story, steering belongs to the whole story and not to a message: a note that
was written after a reply must hold when that reply is tried again, and taking back a line must not
take back who the player is.
"""

from __future__ import annotations

import re

from msgspec import Struct

from flower import limits
from flower.engine.game.cast import Cast
from flower.errors import CommandError

NOTE_CHARS = 4_000  # about 1,000 tokens with every prompt
NOTE_DEPTH = 50  # messages from the end
NOTE_EVERY = 100
NOTE_EVERY_DEFAULT = 3  # lines between two tellings of a note right before the player's line
PERSONA_NAME_WORDS = 4  # without a bar, more words are no name but a description

_OPTION = re.compile(r"(depth|every)\s{0,3}[=: ]\s{0,3}(\d{1,4})(?!\w)\s{0,3},?\s{0,3}", re.IGNORECASE)


class Note(Struct, frozen=True, omit_defaults=True):
    """The author's note. ``depth`` 0: right before the player's line, n: n messages above the newest.

    It is given with every ``every``-th line of the player. At depth 0 it stays where it was told, so that
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
        """What the narrator is told of the other players, "" when there are none."""
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
