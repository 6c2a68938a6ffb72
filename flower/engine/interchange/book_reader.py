"""World Info files and the books of cards as ``Book`` values.

Entries may be a list or an object, and either kind may stand in either file. Sources: the reference
implementation's behaviour with such files; Character Card V2 and V3. A field of a wrong type is read as the
reference reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from flower import limits
from flower.engine.interchange.book_fields import (
    BOOK_DEFAULTS,
    DEFAULT,
    FIELDS,
    SCANNED,
    WORLD_INFO_DEFAULTS,
)
from flower.engine.interchange.fields import flag, flag_or_none, mapping, number, text, texts, whole
from flower.engine.lorebook.book import Book, CharacterFilter, Entry, Position
from flower.errors import ImportFileError

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
    return "content" in value and bool({"key", "keys", "uid", "comment", "constant"} & set(value))


def character_book(value: object, fallback_name: str = "") -> Book | None:
    """Returns the book in a card, None where there is none."""
    source = mapping(value)
    if not isinstance(source.get("entries"), dict | list):
        return None
    return read(source, fallback_name)


def read(source: Mapping[str, Any], fallback_name: str = "") -> Book:
    """Returns the book in an object that has ``entries``. Raises ``ImportFileError`` if it is too large."""
    found = source["entries"]
    parts = list(found.items()) if isinstance(found, dict) else list(enumerate(found))
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
    found = number(value)
    return 100 if found is None else found


def _filter(value: object) -> CharacterFilter | None:
    source = mapping(value)
    names, tags = texts(source.get("names")), texts(source.get("tags"))
    if not names and not tags:
        return None
    return CharacterFilter(names, tags, flag(source.get("isExclude")))
