"""``Book`` values as World Info files, as books of cards and as standalone lorebooks V3.

An entry that was read from the same kind of file is written as it was; only what has changed since is
written anew. What a form has no place for goes to ``extensions.flower`` and is read from there again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flower.engine.interchange import book_reader, json_text
from flower.engine.interchange.book_reader import (
    FIELDS,
    OWN,
    SCANNED,
    filter_object,
    plain_number,
)
from flower.engine.interchange.fields import mapping
from flower.engine.lorebook.book import Book, Entry, Position

_BOOK_SETTINGS = (
    ("scan_depth", "scan_depth"), ("token_budget", "token_budget"), ("recursive", "recursive_scanning"),
)  # fmt: skip
# Of a World Info entry: what a card's entry says in its own fields or in its extensions.
_WORLD_INFO_KEYS = {
    "uid", "key", "keysecondary", "comment", "content", "constant", "selective", "order", "disable",
    "addMemo", "displayIndex", "extensions", "characterFilter",
    *(field.world_info for field in FIELDS), *(key for key, _ in SCANNED.values()),
}  # fmt: skip
_BOOK_KEYS = {
    "id", "keys", "secondary_keys", "comment", "content", "constant", "selective", "insertion_order",
    "enabled", "position", "use_regex", "extensions", "name", "priority", "case_sensitive",
}  # fmt: skip


def world_info(book: Book) -> bytes:
    """Returns a World Info file, as SillyTavern writes it.

    A file that gave no name gets none: other programs go by the name of the file.
    """
    entries: dict[str, Any] = {}
    for index, entry in enumerate(book.entries):
        uid = _number(entry.uid, entries)
        entries[str(uid)] = _world_info_entry(entry, uid, index)
    rest = _settings(book)
    if book.name and ("name" in book.source or not any(map(_is_world_info, book.entries))):
        rest["name"] = book.name
    return json_text.indented({"entries": entries, **rest}).encode()


def lorebook_v3(book: Book) -> bytes:
    """Returns a standalone lorebook of the V3 specification."""
    return json_text.indented({"spec": "lorebook_v3", "data": character_book(book)}).encode()


def character_book(book: Book) -> dict[str, Any]:
    """Returns the book as an object for a card, valid in V2 and V3."""
    result = _settings(book)
    if book.name:
        result["name"] = book.name
    result.setdefault("extensions", {})
    result["entries"] = [_book_entry(entry) for entry in book.entries]
    return result


def _settings(book: Book) -> dict[str, Any]:
    """Returns the book without its entries: as it was read, with what has changed since."""
    result = dict(book.source)
    was = book_reader.read({**book.source, "entries": []})
    if book.description != was.description:
        result["description"] = book.description
    for attribute, key in _BOOK_SETTINGS:
        value = getattr(book, attribute)
        if value != getattr(was, attribute):
            result[key] = value
    return result


def _number(uid: str, entries: Mapping[str, Any]) -> int | str:
    """Returns an entry's number, as a number where it is one: the key and the field must agree."""
    if uid not in entries and uid:
        return int(uid) if uid.isascii() and uid.isdigit() and str(int(uid)) == uid else uid
    free = len(entries)
    while str(free) in entries:
        free += 1
    return free


# --- World Info ---------------------------------------------------------------------------------


def _is_world_info(entry: Entry) -> bool:
    return "key" in entry.source or ("uid" in entry.source and "keys" not in entry.source)


def _world_info_entry(entry: Entry, uid: int | str, index: int) -> dict[str, Any]:
    own = _is_world_info(entry)
    was = book_reader.entry(entry.source, entry.uid) if own else None
    result = dict(entry.source) if own else {"uid": uid}
    fields = _world_info_fields(entry)
    for keys in _changed(entry, was, _WORLD_INFO_ATTRIBUTES):
        result |= {key: fields[key] for key in keys}
    if own:
        if str(result.get("uid")) != str(uid):
            result["uid"] = uid
        return _with_own_fields(result, entry, was)
    result |= {"addMemo": bool(entry.comment), "displayIndex": index}
    extensions = _extensions_for_world_info(entry)
    return result | ({"extensions": extensions} if extensions else {})


def _with_own_fields(result: dict[str, Any], entry: Entry, was: Entry | None) -> dict[str, Any]:
    """Returns an entry with those changes for which World Info has no place."""
    mine = {}
    for attribute, nothing in (("name", ""), ("priority", None), ("use_regex", False)):
        value = getattr(entry, attribute)
        if was is not None and value != getattr(was, attribute):
            mine[attribute] = None if value == nothing else value
    if mine:
        extensions = dict(mapping(result.get("extensions")))
        _put_own(extensions, mine)
        result["extensions"] = extensions
    return result


def _world_info_fields(entry: Entry) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "key": list(entry.keys),
        "keysecondary": list(entry.secondary_keys),
        "comment": entry.comment,
        "content": entry.content,
        "constant": entry.constant,
        "selective": entry.selective,
        "order": plain_number(entry.order),
        "disable": not entry.enabled,
        "characterFilter": filter_object(entry.character_filter),
    }
    fields |= {field.world_info: field.write(getattr(entry, field.attribute)) for field in FIELDS}
    if entry.position is Position.NOWHERE:
        fields["position"] = None
    return fields | {key: kind in entry.scanned for kind, (key, _) in SCANNED.items()}


def _extensions_for_world_info(entry: Entry) -> dict[str, Any]:
    """Returns what a card's entry says and a World Info entry cannot."""
    extensions = dict(mapping(entry.source.get("extensions")))
    own = {key: value for key, value in entry.source.items() if key not in _BOOK_KEYS}
    own |= {"name": entry.name} if entry.name else {}
    own |= {"priority": plain_number(entry.priority)} if entry.priority is not None else {}
    own |= {"use_regex": True} if entry.use_regex else {}
    return {**extensions, OWN: {**mapping(extensions.get(OWN)), **own}} if own else extensions


# --- books of cards -----------------------------------------------------------------------------


def _book_entry(entry: Entry) -> dict[str, Any]:
    own = "keys" in entry.source and "key" not in entry.source
    was = book_reader.entry(entry.source, entry.uid) if own else None
    result = dict(entry.source) if own else {}
    extensions = dict(mapping(result.get("extensions"))) if own else _extensions_from_world_info(entry)
    fields, in_extensions = _book_fields(entry), _extension_fields(entry)
    for keys in _changed(entry, was, _BOOK_ATTRIBUTES):
        result |= {key: fields[key] for key in keys if key in fields}
        extensions |= {key: in_extensions[key] for key in keys if key in in_extensions}
    mine: dict[str, Any] = {}
    if was is None or was.character_filter != entry.character_filter:
        mine["characterFilter"] = entry.character_filter and filter_object(entry.character_filter)
    if entry.use_regex and book_reader.is_marked(extensions):
        mine["use_regex"] = True
    _put_own(extensions, mine)
    for key in (
        "keys",
        "content",
        "enabled",
        "insertion_order",
        "use_regex",
    ):  # the specification wants them
        result.setdefault(key, fields[key])
    result["extensions"] = extensions
    return result


def _put_own(extensions: dict[str, Any], mine: Mapping[str, Any]) -> None:
    """Puts into our own part of the extensions what has a value, and takes out what has none."""
    fields = {**mapping(extensions.get(OWN)), **mine}
    fields = {key: value for key, value in fields.items() if value is not None or key not in mine}
    if fields:
        extensions[OWN] = fields
    else:
        extensions.pop(OWN, None)


def _book_fields(entry: Entry) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": _number(entry.uid, {}),
        "keys": list(entry.keys),
        "secondary_keys": list(entry.secondary_keys),
        "comment": entry.comment,
        "content": entry.content,
        "constant": entry.constant,
        "selective": entry.selective,
        "insertion_order": plain_number(entry.order),
        "enabled": entry.enabled,
        "position": "before_char" if entry.position is Position.BEFORE_CHARACTER else "after_char",
        "use_regex": entry.use_regex,
    }
    if entry.name:
        fields["name"] = entry.name
    if entry.priority is not None:
        fields["priority"] = plain_number(entry.priority)
    return fields


def _extension_fields(entry: Entry) -> dict[str, Any]:
    fields = {field.extension: field.write(getattr(entry, field.attribute)) for field in FIELDS}
    return fields | {key: kind in entry.scanned for kind, (_, key) in SCANNED.items()}


def _extensions_from_world_info(entry: Entry) -> dict[str, Any]:
    extensions = dict(mapping(entry.source.get("extensions")))
    unknown = {key: value for key, value in entry.source.items() if key not in _WORLD_INFO_KEYS}
    if unknown:
        extensions[OWN] = {**mapping(extensions.get(OWN)), **unknown}
    return extensions


# --- what has changed ---------------------------------------------------------------------------

_PLAIN = {
    "keys": ("key", "keys"), "secondary_keys": ("keysecondary", "secondary_keys"),
    "comment": ("comment",) * 2, "content": ("content",) * 2, "constant": ("constant",) * 2,
    "selective": ("selective",) * 2, "order": ("order", "insertion_order"), "enabled": ("disable", "enabled"),
}  # fmt: skip
_WORLD_INFO_ATTRIBUTES = {
    **{attribute: (keys[0],) for attribute, keys in _PLAIN.items()},
    **{field.attribute: (field.world_info,) for field in FIELDS},
    "scanned": tuple(key for key, _ in SCANNED.values()),
    "character_filter": ("characterFilter",),
}
_BOOK_ATTRIBUTES = {
    "uid": ("id",),
    **{attribute: (keys[1],) for attribute, keys in _PLAIN.items()},
    **{field.attribute: (field.extension,) for field in FIELDS},
    "position": ("position",),
    "scanned": tuple(key for _, key in SCANNED.values()),
    "use_regex": ("use_regex",),
    "name": ("name",),
    "priority": ("priority",),
}


def _changed(
    entry: Entry, was: Entry | None, attributes: Mapping[str, tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """Returns the names in the file of the attributes that differ from what was read."""
    return [
        keys
        for attribute, keys in attributes.items()
        if was is None or getattr(entry, attribute) != getattr(was, attribute)
    ]
