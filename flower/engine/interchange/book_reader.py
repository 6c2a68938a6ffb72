"""World Info files and the books of cards as ``Book`` values.

Entries may be a list or an object, and either kind may be in either file. One table has the fields of an entry, with
their names in World Info files and in ``character_book``; ``book_writer`` goes by it, too, so that reading and writing
cannot disagree. Sources: the reference implementation's behaviour with such files (SillyTavern's ``world-info.js``, and
``convertWorldInfoToCharacterBook`` in ``characters.js``); Character Card V2 and V3. A field of a wrong type is read as
the reference reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import structs

from flower import limits
from flower.engine.interchange.fields import flag, flag_or_none, mapping, number, text, texts, whole
from flower.engine.lorebook.book import Book, CharacterFilter, Entry, Logic, Position, Role, TextSource
from flower.errors import ImportFileError

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
    logic = whole(value)
    if logic is None:
        return Logic.AND_ANY
    return Logic(logic) if 0 <= logic <= Logic.AND_ALL else Logic.NEVER


def _position(value: object) -> Position:
    """Only numbers are positions: a text, even one of a digit, is put nowhere."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Position.NOWHERE
    return Position(int(value)) if value in (0, 1, 2, 3, 4, 5, 6, 7) else Position.NOWHERE


def _role(value: object) -> Role:
    role = whole(value)
    return Role(role) if role in (0, 1, 2) else Role.SYSTEM


def _messages_or_none(value: object) -> int | None:
    return whole(value, 0, _MESSAGES)


def _depth(value: object) -> int:
    depth = _messages_or_none(value)
    return _DEPTH if depth is None else depth


def _messages(value: object) -> int:
    return whole(value, 0, _MESSAGES) or 0


def _level(value: object) -> int:
    return 1 if value is True else whole(value, 0, _LEVELS) or 0


def _probability(value: object) -> float:
    percent = number(value)
    return 0.0 if percent is None else percent


def _weight(value: object) -> float:
    weight = number(value)
    return 100.0 if weight is None else weight


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


def filter_object(who: CharacterFilter | None) -> dict[str, Any]:
    """Returns a character filter as World Info files write it."""
    chosen = who or CharacterFilter()
    return {"isExclude": chosen.exclude, "names": list(chosen.names), "tags": list(chosen.tags)}


# --- From an object to a book


_SILLYTAVERN_EXTENSIONS = {"selectiveLogic", "useProbability", "exclude_recursion", "match_whole_words"}
OWN = "flower"  # in extensions: fields for which a form has no place


def is_book(value: object) -> bool:
    """Whether an object is a World Info file or the book of a card."""
    entries = value.get("entries") if isinstance(value, dict) else None
    if isinstance(entries, dict):
        parts = list(entries.values())
    elif isinstance(entries, list):
        parts = entries
    else:
        return False
    shapes = [is_entry(part) for part in parts[:20] if isinstance(part, dict)]
    return any(shapes) if parts else isinstance(value, dict) and "spec" not in value


def is_entry(value: Mapping[str, Any]) -> bool:
    """Returns whether an object is an entry of a lorebook."""
    return "content" in value and bool({"key", "keys", "uid", "comment", "constant"} & set(value))


def character_book(value: object, fallback_name: str = "") -> Book | None:
    """Returns the book in a card, None where there is none."""
    source = mapping(value)
    if not isinstance(source.get("entries"), dict | list):
        return None
    return read(source, fallback_name)


def read(source: Mapping[str, Any], fallback_name: str = "") -> Book:
    """Returns the book in an object that has ``entries``. Raises ``ImportFileError`` if it is too large."""
    items = source["entries"]
    parts = list(items.items()) if isinstance(items, dict) else list(enumerate(items))
    if len(parts) > limits.IMPORT_ENTRIES:
        raise ImportFileError(f"the lorebook has more than {limits.IMPORT_ENTRIES:,} entries")
    entries = _entries(parts)
    original = mapping(source.get("originalData"))
    return Book(
        name=" ".join(text(source.get("name") or original.get("name")).split()) or fallback_name,
        entries=tuple(entries.values()),
        description=text(source.get("description") or original.get("description")),
        scan_depth=whole(source.get("scan_depth"), 0, 1000),
        token_budget=whole(source.get("token_budget"), 0),
        recursive=flag_or_none(source.get("recursive_scanning")),
        source={key: value for key, value in source.items() if key != "entries"},
    )


def _entries(parts: Sequence[tuple[object, object]]) -> dict[str, Entry]:
    """Returns entries by number.

    Of two World Info entries with one number the one of lower order counts, as in the reference. In the
    book of a card nothing goes by the numbers: there the second one gets a number of its own.
    """
    entries: dict[str, Entry] = {}
    waiting = []
    for place, part in parts:
        if not isinstance(part, dict):
            continue
        new = entry(part, str(place))
        old = entries.get(new.uid)
        if old is None:
            entries[new.uid] = new
        elif "uid" not in part:
            waiting.append(new)
        elif new.order <= old.order:
            entries[new.uid] = new
    return _with_numbers(entries, waiting) if waiting else entries


def _with_numbers(entries: dict[str, Entry], waiting: Sequence[Entry]) -> dict[str, Entry]:
    free = len(entries)
    for new in waiting:
        while str(free) in entries:
            free += 1
        entries[str(free)] = structs.replace(new, uid=str(free))
    return entries


def entry(source: Mapping[str, Any], place: str = "0") -> Entry:
    """Returns the entry in an object of either kind; ``place`` is its number where it gives none."""
    if "key" in source or "keys" not in source:
        return _world_info_entry(source, place)
    return _book_entry(source, place)


def _world_info_entry(source: Mapping[str, Any], place: str) -> Entry:
    extensions = mapping(source.get("extensions"))
    own = mapping(extensions.get(OWN))
    fields = {
        field.attribute: field.read(source[field.world_info])
        for field in FIELDS
        if source.get(field.world_info) is not None
    }
    if "probability" in source and source["probability"] is None:
        fields["probability"] = 0.0  # compared with a null, no number is smaller
    return structs.replace(
        DEFAULT,
        **{
            **WORLD_INFO_DEFAULTS,
            **fields,
            "uid": _uid(source.get("uid"), place),
            "name": text(own.get("name")),
            "comment": text(source.get("comment")),
            "content": text(source.get("content")),
            "keys": _keys(source.get("key")) or _keys(source.get("keys")),
            "secondary_keys": _secondary(source.get("keysecondary"))
            or _secondary(source.get("secondary_keys")),
            "selective": flag(source.get("selective")),
            "enabled": not flag(source.get("disable")),
            "constant": flag(source.get("constant")),
            "use_regex": flag(own.get("use_regex")),
            "order": _order(source.get("order")),
            "priority": number(own.get("priority")),
            "scanned": tuple(kind for kind, (key, _) in SCANNED.items() if flag(source.get(key))),
            "character_filter": _filter(source.get("characterFilter")),
            "source": source,
        },
    )


def _book_entry(source: Mapping[str, Any], place: str) -> Entry:
    extensions = mapping(source.get("extensions"))
    own = mapping(extensions.get(OWN))
    fields = {
        field.attribute: field.read(extensions[field.extension])
        for field in FIELDS
        if extensions.get(field.extension) is not None
    }
    if source.get("position") == "before_char":
        fields.setdefault("position", Position.BEFORE_CHARACTER)
    if extensions.get("case_sensitive") is None:
        fields["case_sensitive"] = flag_or_none(source.get("case_sensitive"))
    # SillyTavern says of every entry that it uses patterns; its plain keys have no slashes.
    plain = is_marked(extensions)
    return structs.replace(
        DEFAULT,
        **{
            **BOOK_DEFAULTS,
            **fields,
            "uid": _uid(source.get("id"), place),
            "name": text(source.get("name")),
            "comment": text(source.get("comment")),
            "content": text(source.get("content")),
            "keys": _keys(source.get("keys")),
            "secondary_keys": _secondary(source.get("secondary_keys")),
            "selective": flag(source.get("selective")),
            "enabled": flag(source.get("enabled")),
            "constant": flag(source.get("constant")),
            "use_regex": flag(source.get("use_regex")) and (not plain or flag(own.get("use_regex"))),
            "order": _order(source.get("insertion_order")),
            "priority": number(source.get("priority")),
            "scanned": tuple(kind for kind, (_, key) in SCANNED.items() if flag(extensions.get(key))),
            "character_filter": _filter(own.get("characterFilter")),
            "source": source,
        },
    )


def is_marked(extensions: Mapping[str, Any]) -> bool:
    """Whether an entry of a card was written by SillyTavern."""
    return bool(_SILLYTAVERN_EXTENSIONS & set(extensions))


def _uid(value: object, place: str) -> str:
    return text(value).strip()[: limits.ID_CHARS] or place[: limits.ID_CHARS]


def _keys(value: object) -> tuple[str, ...]:
    """Keys are a list; an empty key would be found everywhere and is none."""
    return texts(value) if isinstance(value, list) else ()


def _secondary(value: object) -> tuple[str, ...]:
    """An empty secondary key stays: it is never found, and that decides about the entry."""
    return tuple(map(text, value)) if isinstance(value, list) else ()


def _order(value: object) -> float:
    order = number(value)
    return 100 if order is None else order


def _filter(value: object) -> CharacterFilter | None:
    source = mapping(value)
    names, tags = texts(source.get("names")), texts(source.get("tags"))
    if not names and not tags:
        return None
    return CharacterFilter(names, tags, flag(source.get("isExclude")))
