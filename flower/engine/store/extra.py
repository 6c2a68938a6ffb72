"""What rows of messages and sessions keep beside their columns: typed, as JSON in ``extra``. Pure.

The fields are the keys on the disk. A key that this version does not know, and one whose value is not what
it should be, stays in ``others`` and is written back as it was: a newer version or another program put it
there. Text that is no JSON object reads as nothing, so that one damaged row keeps nobody from a story.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from flower.engine.lorebook.situation import Timed


class ManifestEntry(Struct, frozen=True):
    """What the manifest says of one part of a prompt."""

    section: str
    source: str
    tokens: int
    note: str = ""


class RollRecord(Struct, frozen=True):
    """A roll of dice, as the story keeps it. ``degree``: how well a check went, None for a plain roll."""

    of: str
    total: int
    degree: str | None = None


class MessageExtra(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept with a message.

    With a line, what its prompt included: ``recalled`` (a block of notes), ``private`` (character id and
    note), ``recalled_ids`` (passages), ``stands`` (sections about the state, by key). With a reply:
    ``manifest``, ``speaker`` (character id), ``proposed`` (the block of changes). ``told``: other words for
    the model; ``entries`` (of lorebooks, as given with the line), ``lore_timed``: their lasting effects from
    here on; ``nearly``: entries that nearly fired for a reply; ``by``: "player" when they wrote what the
    narrator would; ``forgotten``: the exchange is to be no memory. ``there``: at a table, the
    users who were there when it was said; ``stage``: who of the cast is there from here on.
    ``hidden``: it is on the screen, but no model reads it. ``imported``: it came from another program, and there
    ``name`` said it. ``states`` keeps more under keys of its own.
    """

    recalled: str = ""
    private: tuple[tuple[str, str], ...] = ()
    recalled_ids: tuple[int, ...] = ()
    stands: tuple[tuple[str, str], ...] = ()
    manifest: tuple[ManifestEntry, ...] = ()
    speaker: str = ""
    proposed: str = ""
    told: str = ""
    roll: RollRecord | None = None
    entries: tuple[str, ...] = ()
    lore_timed: Timed | None = None
    nearly: tuple[ManifestEntry, ...] = ()
    by: str = ""
    edited: bool = False
    forgotten: bool = False
    hidden: bool = False
    there: tuple[int, ...] = ()
    stage: tuple[str, ...] = ()
    imported: bool = False
    name: str = ""
    others: dict[str, Any] = {}


class SessionExtra(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept with a session. ``window_start``: where its last prompt's history began; ``params``:
    sampler settings of this story; ``summary_task``: how the player wants its summary written; ``table_order``:
    "round" when those at its table speak in turn, ``table_last``: the user who spoke last. ``states`` keeps more
    under keys of its own."""

    window_start: int | None = None
    params: dict[str, Any] = {}
    summary_task: str = ""
    table_order: str = ""
    table_last: int = -1
    others: dict[str, Any] = {}


Extra = TypeVar("Extra", MessageExtra, SessionExtra)

_object = msgspec.json.Decoder(dict[str, Any])
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value = msgspec.json.Decoder()
_DAMAGED = (msgspec.MsgspecError, UnicodeError, RecursionError)
_NAMES = {kind: frozenset(kind.__struct_fields__) - {"others"} for kind in (MessageExtra, SessionExtra)}


def load_extra(data: str, kind: type[Extra]) -> Extra:
    """Returns what a row's JSON says; see the top for what is strange or damaged. Raises nothing."""
    if data == "{}":
        return kind()
    try:
        values = _object.decode(data)
    except _DAMAGED:
        return kind()
    return _loaded(values, kind)


def load_without_manifest(data: str) -> MessageExtra:
    """As ``load_extra`` for a message, without the manifest of its prompt.

    That is long, /why alone needs it, and messages are read for every prompt: it is skipped, not read. To have it
    taken out by the database costs more: in PostgreSQL ten times as much.
    """
    if '"manifest"' not in str(data):  # a damaged row may have bytes
        return load_extra(data, MessageExtra)
    try:
        parts = _parts.decode(data)
        parts.pop("manifest", None)
        values = {key: _value.decode(part) for key, part in parts.items()}
    except _DAMAGED:
        return MessageExtra()
    return _loaded(values, MessageExtra)


def part(data: str, key: str) -> str | None:
    """Returns what a row's JSON has under ``key``: as JSON, a text as it is; None for nothing. Raises nothing."""
    try:
        value = bytes(_parts.decode(data).get(key, b"")) if data != "{}" else b""
        if value[:1] == b'"':
            return str(_value.decode(value))
    except _DAMAGED:
        return None
    return value.decode() if value not in {b"", b"null"} else None


def _loaded(values: dict[str, Any], kind: type[Extra]) -> Extra:
    known_names = _NAMES[kind]
    fields = {name: values.pop(name) for name in known_names & values.keys()}
    if values:
        fields["others"] = values
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError:
        fields.pop("others", None)
        good = {name: value for name, value in fields.items() if _fits({name: value}, kind)}
        values.update((name, value) for name, value in fields.items() if name not in good)
        return msgspec.convert({**good, "others": values}, kind)


def _fits(values: Mapping[str, Any], kind: type[Extra]) -> bool:
    try:
        msgspec.convert(values, kind)
    except msgspec.ValidationError:
        return False
    return True


def dump_extra(extra: MessageExtra | SessionExtra) -> str:
    """Returns the JSON of a row: what is known and not empty, and everything else as it was."""
    fields = msgspec.to_builtins(extra)
    return msgspec.json.encode({**fields.pop("others", {}), **fields}).decode()


def patch(**values: object) -> dict[str, object]:
    """Returns changes to merge into a row's JSON; a key whose value is empty is taken out."""
    return {name: msgspec.to_builtins(value) or None for name, value in values.items()}


def readable(column: str) -> str:
    """Returns the SQL expression for a column of JSON objects; what is none or damaged counts as empty."""
    is_object = f"CASE WHEN json_valid({column}) THEN json_type({column}) = 'object' END"
    return f"CASE WHEN {is_object} THEN {column} ELSE '{{}}' END"


def json_object(data: str) -> dict[str, Any]:
    """Returns a JSON object, an empty one for damaged text."""
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
