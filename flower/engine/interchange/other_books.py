"""Lorebooks of Agnai, Risu, NovelAI, AI Dungeon and Kobold as ``Book`` values.

Their objects are kept in ``extensions.flower`` of each entry only as far as they say more than we use.
Sources: agnai ``common/memory.ts``, Risu ``src/ts/process/lorebook``, NovelAI's lorebook files, SillyTavern's
importers of them, ndm13/aid-json-helper ``StoryCard.ts``, KoboldAI Lite's saves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flower import limits
from flower.engine.interchange.fields import (
    first_text,
    flag,
    mapping,
    number,
    objects,
    text,
    texts,
    whole,
    words,
)
from flower.engine.interchange.values import Kind
from flower.engine.lorebook.book import Book, Entry, Logic, Position
from flower.errors import ImportFileError

_WILDCARD = re.compile(r"[*?]")


def kind_of(value: object) -> Kind | None:
    """Returns whose lorebook a value is, None if it is none of these."""
    if isinstance(value, list):
        return _kind_of_list(value)
    if not isinstance(value, dict):
        return None
    if value.get("type") == "risu" and isinstance(value.get("data"), list):
        return Kind.RISU_BOOK
    entries = value.get("entries")
    if "lorebookVersion" in value and isinstance(entries, list | dict):
        return Kind.NOVELAI_BOOK
    if value.get("kind") == "memory" or any("entry" in item for item in _few(entries)):
        return Kind.AGNAI_BOOK if isinstance(entries, list) else None
    return None


def _kind_of_list(value: list[Any]) -> Kind | None:
    few = _few(value)
    if any("Keylist" in item for item in few):
        return Kind.NOVELAI_BOOK
    if any("keys" in item and ("value" in item or "entry" in item) for item in few):
        return Kind.STORY_CARDS
    return Kind.STORY_CARDS if few and all(_is_named_facts(item) for item in few) else None


def _is_named_facts(item: Mapping[str, Any]) -> bool:
    """Whether an object is one name with an object of facts about it."""
    return len(item) == 1 and all(
        isinstance(facts, dict) and "name" in facts for facts in item.values()
    )


def _few(value: object) -> list[dict[str, Any]]:
    return [item for item in value[:20] if isinstance(item, dict)] if isinstance(value, list) else []


def read(value: Any, kind: Kind, fallback_name: str = "") -> Book:
    """Returns the book in a value of a kind that ``kind_of`` found. Raises ``ImportFileError``."""
    if kind is Kind.RISU_BOOK:
        return _book(value, objects(value["data"]), _risu_entry, fallback_name)
    if kind is Kind.AGNAI_BOOK:
        return _book(value, objects(value["entries"]), _agnai_entry, fallback_name)
    if kind is Kind.STORY_CARDS:
        return _book({}, _story_cards(value), _story_card_entry, fallback_name)
    if isinstance(value, list):
        return _book({}, _api_entries(value), _agnai_entry, fallback_name)
    return _book(value, objects(value["entries"]), _novelai_entry, fallback_name)


def _book(
    source: Mapping[str, Any],
    parts: Iterable[dict[str, Any]],
    read_entry: Callable[[dict[str, Any], str], Entry],
    fallback_name: str,
) -> Book:
    entries = []
    for index, part in enumerate(parts):
        if index >= limits.IMPORT_ENTRIES:
            raise ImportFileError(f"the lorebook has more than {limits.IMPORT_ENTRIES:,} entries")
        entries.append(read_entry(part, str(index)))
    return Book(
        name=first_text(source, "name", "title") or fallback_name,
        description=text(source.get("description")),
        entries=tuple(entries),
        source=_rest(source, ("name", "description", "entries", "data")),
    )


def _rest(source: Mapping[str, Any], used: Sequence[str]) -> dict[str, Any]:
    """Returns what a book or an entry says beside what we use, where writers keep it."""
    rest = {key: value for key, value in source.items() if key not in used}
    return {"extensions": {"flower": rest}} if rest else {}


def _agnai_entry(source: dict[str, Any], uid: str) -> Entry:
    """Weight orders, priority decides who goes first when the budget is tight."""
    keys = words(source.get("keywords"))
    return Entry(
        uid=uid,
        name=text(source.get("name")),
        comment=text(source.get("name")),
        content=text(source.get("entry")),
        keys=tuple(map(_without_wildcards, keys)),
        selective=False,
        enabled=flag(source.get("enabled"), True),
        order=_number(source.get("weight"), 100),
        priority=number(source.get("priority")),
        source=_rest(source, ("name", "entry", "keywords", "weight", "priority", "enabled")),
    )


def _without_wildcards(key: str) -> str:
    """Returns a key with ``*`` and ``?`` as a pattern: any letters of a word, one letter or none."""
    if not _WILDCARD.search(key):
        return key
    parts = {"*": r"\w*", "?": r"\w?"}
    pattern = "".join(parts.get(sign, re.escape(sign)) for sign in key)
    return f"/\\b{pattern.replace('/', chr(92) + '/')}\\b/i"


def _risu_entry(source: dict[str, Any], uid: str) -> Entry:
    percent = number(source.get("activationPercent"))
    return Entry(
        uid=uid,
        comment=text(source.get("comment")),
        content=text(source.get("content")),
        keys=words(source.get("key")),
        secondary_keys=words(source.get("secondkey")),
        use_regex=flag(source.get("useRegex")),
        selective=flag(source.get("selective")),
        constant=flag(source.get("alwaysActive")),
        order=_number(source.get("insertorder"), 100),
        probability=100 if percent is None else min(max(percent, 0), 100),
        source=_rest(
            source,
            ("comment", "content", "key", "secondkey", "useRegex", "selective", "alwaysActive",
             "insertorder", "activationPercent"),
        ),
    )  # fmt: skip


def _novelai_entry(source: dict[str, Any], uid: str) -> Entry:
    """Keys may be ``/pattern/`` or ``a & b``: the first words are the key, the rest must be there too."""
    keys, further = _conjunctions(texts(source.get("keys")))
    context = mapping(source.get("contextConfig"))
    return Entry(
        uid=uid,
        comment=text(source.get("displayName")),
        content=text(source.get("text")),
        keys=keys,
        secondary_keys=further,
        selective=bool(further),
        logic=Logic.AND_ALL,
        enabled=flag(source.get("enabled"), True),
        constant=flag(source.get("forceActivation")),
        order=_number(context.get("budgetPriority"), 0),
        source=_rest(source, ("displayName", "text", "keys", "enabled", "forceActivation")),
    )


def _conjunctions(keys: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Splits one key of the form ``a & b``; among several keys such a key is kept as a pattern would be."""
    if len(keys) == 1 and " & " in keys[0] and not keys[0].startswith("/"):
        first, *further = (part.strip() for part in keys[0].split("&"))
        if first and all(further):
            return (first,), tuple(further)
    return tuple(keys), ()


def _api_entries(value: list[Any]) -> Iterable[dict[str, Any]]:
    """Yields the entries of a file of the NovelAI research tool: key lists with an object per key."""
    for item in objects(value):
        for key in texts(item.get("Keylist")):
            facts = mapping(item.get(key))
            yield {
                "name": key,
                "keywords": [key],
                "entry": facts.get("Context"),
                "logits": facts.get("Logits"),
            }


def _story_cards(value: list[Any]) -> Iterable[dict[str, Any]]:
    for item in objects(value):
        if _is_named_facts(item):
            for key, facts in item.items():
                yield {"keys": key, "title": facts["name"], "value": _facts_text(facts)}
        else:
            yield item


def _facts_text(facts: Mapping[str, Any], prefix: str = "") -> str:
    """Returns an object of facts as lines of "name: value"."""
    lines = []
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            lines.append(_facts_text(value, f"{name} "))
        else:
            lines.append(f"{name}: {', '.join(texts(value))}")
    return "\n".join(line for line in lines if line)


def _story_card_entry(source: dict[str, Any], uid: str) -> Entry:
    return Entry(
        uid=uid,
        comment=first_text(source, "title", "name"),
        content=first_text(source, "value", "entry"),
        keys=words(source.get("keys")),
        selective=False,
        source=_rest(source, ("title", "name", "value", "entry", "keys")),
    )


def kobold(entries: object, fallback_name: str) -> Book | None:
    """Returns the book in the ``worldinfo`` of a Kobold save, None without an entry."""
    parts = list(objects(entries))
    if not parts:
        return None
    return _book({}, parts, _kobold_entry, fallback_name)


def _kobold_entry(source: dict[str, Any], uid: str) -> Entry:
    """Keys that must not be there have the logic NOT_ANY, as an entry has but one list of second keys."""
    against = words(source.get("keyanti"))
    further = words(source.get("keysecondary"))
    percent = whole(source.get("probability"), 0, 100)
    group = text(source.get("wigroup"))
    return Entry(
        uid=uid,
        comment=text(source.get("comment")),
        content=text(source.get("content")),
        keys=words(source.get("key")),
        secondary_keys=further or against,
        selective=flag(source.get("selective")) if further else bool(against),
        logic=Logic.AND_ANY if further or not against else Logic.NOT_ANY,
        enabled=not flag(source.get("widisabled")),
        constant=flag(source.get("constant")),
        probability=100 if percent is None else percent,
        use_probability=percent is not None and percent < 100,
        position=Position.BEFORE_CHARACTER,
        source=_rest(
            source,
            ("comment", "content", "key", "keysecondary", "selective", "constant", "widisabled",
             "probability", "wigroup" if not group else ""),
        ),
    )  # fmt: skip


def lines(items: Iterable[Mapping[str, Any]], key: str, value: str, name: str) -> Book | None:
    """Returns the book of a plain list of ``key`` texts ("a, b") and ``value`` texts, None if it is empty."""
    entries = tuple(
        Entry(
            uid=str(index),
            content=text(item.get(value)),
            keys=words(item.get(key)),
            selective=False,
            order=0,
            source=_rest(item, (key, value)),
        )
        for index, item in enumerate(items)
    )
    if len(entries) > limits.IMPORT_ENTRIES:
        raise ImportFileError(f"the lorebook has more than {limits.IMPORT_ENTRIES:,} entries")
    return Book(name=name, entries=entries) if entries else None


def _number(value: object, default: float) -> float:
    figure = number(value)
    return default if figure is None else figure
