"""What the lorebooks of a story say for one reply, and where in the prompt it goes. Pure.

Three places. Entries that always fire join the stable beginning. What fires otherwise goes with the
line that fired it and stays there, like recalled passages, so that later prompts only append. Only what
insists on a depth among the messages moves along with the newest line. And what the player is shown of all that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.lorebook.book import Position, Role
from flower.engine.lorebook.decorators import NONE
from flower.engine.lorebook.outcome import Cause, Fired, Held, Outcome, arrange
from flower.engine.lorebook.rules import KeyedBooks, ReadyEntry
from flower.engine.lorebook.situation import Timed
from flower.engine.prompt.assemble import Inset, Section
from flower.engine.provider.base import Role as ChatRole

LORE_PRIORITY = 55  # of entries that always fire: below who is played, above the opening scene
NEARLY_KEPT = 50  # entries that nearly fired, of one reply
PART = "lorebook"  # how lists of a prompt's parts call entries in the stable beginning

_IN_LINE = (
    Position.BEFORE_CHARACTER,
    Position.AFTER_CHARACTER,
    Position.BEFORE_EXAMPLES,
    Position.AFTER_EXAMPLES,
    Position.NOTE_TOP,
    Position.NOTE_BOTTOM,
)
_SPEAKERS: Mapping[Role, ChatRole] = {
    Role.SYSTEM: "user",  # between messages few chat templates know a system
    Role.USER: "user",
    Role.ASSISTANT: "assistant",
}


class LoreEntries(Struct, frozen=True, kw_only=True):
    """What fired for a reply, by where it goes.

    ``timed`` and ``variables`` are to be kept with the line, None: nothing to keep. ``tokens`` is what
    fired, all of it. ``trouble`` is a sentence about books that cannot be read, or "".
    """

    steady: tuple[Fired, ...] = ()
    with_line: tuple[Fired, ...] = ()
    private: Mapping[str, str] = {}  # books whose entries one character alone knows: its id
    insets: tuple[Inset, ...] = ()
    outlets: Mapping[str, str] = {}
    fired: tuple[Fired, ...] = ()
    held: tuple[Held, ...] = ()
    timed: Timed | None = None
    variables: Mapping[str, str] | None = None
    tokens: float = 0.0
    trouble: str = ""
    silenced: frozenset[str] = frozenset()  # prompts that an entry wants left out


NO_ENTRIES = LoreEntries()


def sorted_out(outcome: Outcome, library: KeyedBooks, private: Mapping[str, str] = {}) -> LoreEntries:
    """Returns what fired by where it goes. ``private``: by name of a book, the character it is of."""
    placed = arrange(outcome.fired)
    entries = [entry for entry in outcome.fired if entry.text.strip()]
    inline = sorted(
        (entry for entry in entries if entry.place.position in _IN_LINE),
        key=lambda entry: (_IN_LINE.index(entry.place.position), entry.order),
    )
    steady = tuple(
        entry
        for entry in inline
        if entry.id.book not in private and _is_steady(library.by_id[entry.id], entry)
    )
    insets = [
        Inset(
            f"[{text}]" if block.role is Role.SYSTEM else text,
            block.depth - 1,
            _SPEAKERS[block.role] if block.depth else "user",
        )
        for block in sorted(placed.at_depth, key=lambda block: block.role, reverse=True)
        if (text := "\n".join(block.texts).strip())
    ]
    return LoreEntries(
        steady=steady,
        with_line=tuple(entry for entry in inline if entry not in steady),
        private=private,
        insets=tuple(insets),
        outlets={name.strip(): "\n".join(texts) for name, texts in placed.outlets.items()},
        fired=tuple(entries),
        held=outcome.held[:NEARLY_KEPT],
        tokens=sum(entry.tokens for entry in outcome.fired),
        silenced=outcome.silenced,
    )


def _is_steady(rule: ReadyEntry, fired: Fired) -> bool:
    """Returns whether an entry fires with every line, so that prompts stay as they were when it comes first."""
    entry = rule.entry
    comes_and_goes = (
        entry.sticky or entry.cooldown or entry.delay or entry.groups or entry.triggers
    ) or entry.character_filter is not None
    lucky = not entry.use_probability or entry.probability >= 100
    plain = replace(rule.decorators, depth=None, reverse_depth=None, role=None, position=None)
    return fired.cause is Cause.CONSTANT and lucky and not comes_and_goes and plain == NONE


def with_entries(sections: Sequence[Section], steady: Sequence[Fired]) -> tuple[Section, ...]:
    """Returns the stable sections with the entries that always fire around the characters."""
    before = _section("before", [e for e in steady if e.place.position is Position.BEFORE_CHARACTER])
    after = _section("after", [e for e in steady if e.place.position is not Position.BEFORE_CHARACTER])
    places = [number for number, section in enumerate(sections) if section.name == "character"]
    first = places[0] if places else len(sections)
    last = places[-1] + 1 if places else len(sections)
    return (*sections[:first], *before, *sections[first:last], *after, *sections[last:])


def _section(where: str, entries: Sequence[Fired]) -> list[Section]:
    text = "\n\n".join(entry.text.strip() for entry in entries)
    return [Section(PART, f"always, {where}", text, LORE_PRIORITY)] if text else []


def entry_key(entry: Fired) -> str:
    """Returns by what an entry is found again in later prompts: which one, and its text."""
    digest = hashlib.blake2b(entry.text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"{entry.id}#{digest}"


def note_of_entry(entry: Fired) -> str:
    """Returns an entry as a note that goes before the player's line."""
    return f"- From the lore: {entry.text.strip()}"
