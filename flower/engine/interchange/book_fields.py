"""One table for the fields of a lore entry: their names in World Info files and in ``character_book``.

Reading and writing both go by it, so that they cannot disagree. Source of the names: SillyTavern
``public/scripts/world-info.js`` and ``convertWorldInfoToCharacterBook`` in ``src/endpoints/characters.js``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flower.engine.interchange.fields import flag, flag_or_none, number, text, texts, whole
from flower.engine.lorebook.book import CharacterFilter, Entry, Logic, Position, Role, TextSource

_MESSAGES = 100_000  # of a depth or a length of time; no chat is longer
_LEVELS = 1_000
_DEPTH = 4  # what editors give a new entry


class Field(NamedTuple):
    """A field that both forms have: in World Info beside the text, in a card's book in ``extensions``."""

    attribute: str  # of Entry
    world_info: str
    extension: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = lambda value: value


# From here on a float is no whole number that anybody meant, and has too many digits to be read again.
_EXACT = 2**53


def _logic(value: object) -> Logic:
    found = whole(value)
    if found is None:
        return Logic.AND_ANY
    return Logic(found) if 0 <= found <= Logic.AND_ALL else Logic.NEVER


def _position(value: object) -> Position:
    """Only numbers are positions: a text, even one of a digit, is put nowhere."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Position.NOWHERE
    return Position(int(value)) if value in (0, 1, 2, 3, 4, 5, 6, 7) else Position.NOWHERE


def _role(value: object) -> Role:
    found = whole(value)
    return Role(found) if found in (0, 1, 2) else Role.SYSTEM


def _messages_or_none(value: object) -> int | None:
    return whole(value, 0, _MESSAGES)


def _depth(value: object) -> int:
    found = _messages_or_none(value)
    return _DEPTH if found is None else found


def _messages(value: object) -> int:
    return whole(value, 0, _MESSAGES) or 0


def _level(value: object) -> int:
    return 1 if value is True else whole(value, 0, _LEVELS) or 0


def _probability(value: object) -> float:
    found = number(value)
    return 0.0 if found is None else found


def _weight(value: object) -> float:
    found = number(value)
    return 100.0 if found is None else found


def _groups(value: object) -> tuple[str, ...]:
    """Spaces before a comma are kept: in other programs they belong to the name."""
    parts = text(value).split(",")
    names = (parts[0], *(part.lstrip() for part in parts[1:]))
    return tuple(name for name in names if name.strip())


def plain_number(value: float) -> int | float:
    """Returns a number as a whole one where it is: files hold 100, not 100.0."""
    return int(value) if value == int(value) and abs(value) < _EXACT else value


def _duration(value: int) -> int | None:
    return value or None


FIELDS = (
    Field("position", "position", "position", _position, int),
    Field("exclude_recursion", "excludeRecursion", "exclude_recursion", flag),
    Field("probability", "probability", "probability", _probability, plain_number),
    Field("use_probability", "useProbability", "useProbability", flag),
    Field("depth", "depth", "depth", _depth),
    Field("logic", "selectiveLogic", "selectiveLogic", _logic, int),
    Field("outlet", "outletName", "outlet_name", text),
    Field("groups", "group", "group", _groups, ",".join),
    Field("group_override", "groupOverride", "group_override", flag),
    Field("group_weight", "groupWeight", "group_weight", _weight, plain_number),
    Field("prevent_recursion", "preventRecursion", "prevent_recursion", flag),
    Field("delay_until_recursion", "delayUntilRecursion", "delay_until_recursion", _level),
    Field("scan_depth", "scanDepth", "scan_depth", _messages_or_none),
    Field("whole_words", "matchWholeWords", "match_whole_words", flag_or_none),
    Field("group_scoring", "useGroupScoring", "use_group_scoring", flag_or_none),
    Field("case_sensitive", "caseSensitive", "case_sensitive", flag_or_none),
    Field("automation_id", "automationId", "automation_id", text),
    Field("role", "role", "role", _role, int),
    Field("vectorized", "vectorized", "vectorized", flag),
    Field("sticky", "sticky", "sticky", _messages, _duration),
    Field("cooldown", "cooldown", "cooldown", _messages, _duration),
    Field("delay", "delay", "delay", _messages, _duration),
    Field("triggers", "triggers", "triggers", texts, list),
    Field("ignore_budget", "ignoreBudget", "ignore_budget", flag),
)
# Further texts that an entry may be looked for in: names in World Info and in extensions.
SCANNED = {
    TextSource.PERSONA: ("matchPersonaDescription", "match_persona_description"),
    TextSource.DESCRIPTION: ("matchCharacterDescription", "match_character_description"),
    TextSource.PERSONALITY: ("matchCharacterPersonality", "match_character_personality"),
    TextSource.DEPTH_PROMPT: ("matchCharacterDepthPrompt", "match_character_depth_prompt"),
    TextSource.SCENARIO: ("matchScenario", "match_scenario"),
    TextSource.CREATOR_NOTES: ("matchCreatorNotes", "match_creator_notes"),
}
# Where a field is absent or null.
WORLD_INFO_DEFAULTS = {"position": Position.NOWHERE, "use_probability": False}
BOOK_DEFAULTS = {"position": Position.AFTER_CHARACTER}
DEFAULT = Entry(uid="")


def filter_object(found: CharacterFilter | None) -> dict[str, Any]:
    """Returns a character filter as World Info files write it."""
    chosen = found or CharacterFilter()
    return {"isExclude": chosen.exclude, "names": list(chosen.names), "tags": list(chosen.tags)}
