"""What a scan says: which entries fired and by what, which nearly did, and where the texts go. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from flower.engine.lorebook.book import Position, Role
from flower.engine.lorebook.rules import EntryId, ReadyEntry
from flower.engine.lorebook.situation import NOTHING, Timed

__all__ = [
    "Cause",
    "Depth",
    "Fired",
    "Held",
    "Outcome",
    "Pass",
    "Place",
    "Placed",
    "Reason",
    "arrange",
    "place_of",
]


class Cause(StrEnum):
    """Why an entry fired."""

    KEY = "key"
    CONSTANT = "constant"
    DECORATOR = "decorator"  # @@activate, or it fired once and stays for good
    REQUEST = "request"  # recalled by meaning, or asked for
    STICKY = "sticky"


class Reason(StrEnum):
    """What kept an entry out whose key was found."""

    DISABLED = "disabled"
    TRIGGER = "trigger"  # not for this kind of generation
    CHARACTER = "character"  # not with this character, or its tags
    DELAY = "delay"
    COOLDOWN = "cooldown"
    SECONDARY = "secondary"  # the secondary keys say no
    EXCLUDED_KEY = "excluded key"
    DECORATOR = "decorator"
    RECURSION = "recursion"  # found in a text that it must not be found in
    GROUP = "group"
    DICE = "dice"
    BUDGET = "budget"
    TIME = "time"  # its pattern took too long


class Place(Struct, frozen=True):
    """Where the text of an entry goes; depth and role count at ``AT_DEPTH``, the outlet at ``OUTLET``."""

    position: Position
    depth: int = 0
    role: Role = Role.SYSTEM
    outlet: str = ""


class Fired(Struct, frozen=True):
    """An entry that fired. ``text`` is what is in the prompt: macros expanded, decorators cut."""

    id: EntryId
    title: str
    text: str
    place: Place
    order: float
    cause: Cause
    key: str = ""
    step: int = 0  # 0 = by what was there, later = in a later pass
    tokens: float = 0.0


class Held(Struct, frozen=True):
    """An entry that nearly fired. ``detail`` says more in a few words, or is empty."""

    id: EntryId
    title: str
    reason: Reason
    key: str = ""
    detail: str = ""


class Pass(Struct, frozen=True):
    """One pass of a scan: its kind, the entries found in it that won their groups, the next kind."""

    state: str
    winners: tuple[EntryId, ...]
    after: str


class Depth(Struct, frozen=True):
    """Texts that go among the messages, ``depth`` from the newest, in order."""

    depth: int
    role: Role
    texts: tuple[str, ...]


class Placed(Struct, frozen=True):
    """All texts by where they go, each in the order of reading."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    note_top: tuple[str, ...] = ()
    note_bottom: tuple[str, ...] = ()
    examples_before: tuple[str, ...] = ()
    examples_after: tuple[str, ...] = ()
    at_depth: tuple[Depth, ...] = ()
    outlets: Mapping[str, tuple[str, ...]] = {}


class Outcome(Struct, frozen=True):
    """All that a scan says. ``timed`` and ``variables`` are to be kept with the message."""

    fired: tuple[Fired, ...] = ()  # in the order they fired
    held: tuple[Held, ...] = ()
    timed: Timed = NOTHING
    variables: Mapping[str, str] = {}
    overflowed: bool = False  # something did not fit the budget
    tokens: float = 0.0  # of what counts for the budget
    silenced: frozenset[str] = frozenset()  # prompts that an entry wants left out
    passes: tuple[Pass, ...] = ()

    @property
    def placed(self) -> Placed:
        """The texts by where they go."""
        return arrange(self.fired)


def arrange(fired: Sequence[Fired]) -> Placed:
    """Returns the texts by where they go; empty ones go nowhere.

    Inside one place a higher order comes later, nearer the end of the prompt; of equal orders what fired
    first comes last. Outlets and the examples before the others are listed the other way round, as
    books are written for that.
    """
    falling = sorted((entry for entry in fired if entry.text), key=lambda entry: -entry.order)
    rising = falling[::-1]

    def at(position: Position, among: Sequence[Fired] = rising) -> tuple[str, ...]:
        return tuple(entry.text for entry in among if entry.place.position is position)

    blocks: dict[tuple[int, Role], list[str]] = {}
    outlets: dict[str, list[str]] = {}
    for entry in falling:
        if entry.place.position is Position.AT_DEPTH:
            blocks.setdefault((entry.place.depth, entry.place.role), []).insert(0, entry.text)
        elif entry.place.position is Position.OUTLET and entry.place.outlet:
            outlets.setdefault(entry.place.outlet, []).append(entry.text)
    return Placed(
        before=at(Position.BEFORE_CHARACTER),
        after=at(Position.AFTER_CHARACTER),
        note_top=at(Position.NOTE_TOP),
        note_bottom=at(Position.NOTE_BOTTOM),
        examples_before=at(Position.BEFORE_EXAMPLES, falling),
        examples_after=at(Position.AFTER_EXAMPLES),
        at_depth=tuple(Depth(depth, role, tuple(texts)) for (depth, role), texts in blocks.items()),
        outlets={name: tuple(texts) for name, texts in outlets.items()},
    )


_NAMED = {
    "before_desc": Position.BEFORE_CHARACTER,
    "after_desc": Position.AFTER_CHARACTER,
    "personality": Position.AFTER_CHARACTER,
    "scenario": Position.AFTER_CHARACTER,
}


def place_of(rule: ReadyEntry, count: int) -> Place:
    """Returns where a rule's text goes in a story of ``count`` messages.

    ``@@position`` has the first word, then a depth from either end. A depth beyond the oldest message is
    left to whoever builds the prompt; one below 0 is after the newest.
    """
    entry, decorators = rule.entry, rule.decorators
    if decorators.position is not None:
        return Place(_NAMED[decorators.position])
    if decorators.depth is not None or decorators.reverse_depth is not None:
        depth = (
            decorators.depth
            if decorators.depth is not None
            else count - (decorators.reverse_depth or 0)
        )
        return Place(Position.AT_DEPTH, max(0, depth), decorators.role or Role.SYSTEM)
    if entry.position is Position.AT_DEPTH:
        return Place(
            entry.position, entry.depth, entry.role if decorators.role is None else decorators.role
        )
    if entry.position is Position.OUTLET:
        return Place(entry.position, outlet=entry.outlet)
    return Place(entry.position)
