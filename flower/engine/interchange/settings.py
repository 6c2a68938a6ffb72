"""Personas and quick replies out of SillyTavern's settings, its persona backups and its sets of replies.

Sources: SillyTavern ``power-user.js`` and ``personas.js``; the quick reply extension, versions 1 and 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flower import limits
from flower.engine.interchange import script_reader
from flower.engine.interchange.card_reader import short
from flower.engine.interchange.fields import first_text, mapping, objects, text, texts
from flower.engine.interchange.values import (
    Group,
    Imported,
    ImportedPersona,
    ImportedQuickReply,
    Kind,
    QuickReplies,
)


def kind_of(value: object) -> Kind | None:
    """Returns which of SillyTavern's own files an object is, None if it is none."""
    if not isinstance(value, dict):
        return None
    if "power_user" in value or ("personas" in value and "persona_descriptions" in value):
        return Kind.SETTINGS
    if isinstance(value.get("qrList"), list) or isinstance(value.get("quickReplySlots"), list):
        return Kind.QUICK_REPLIES
    if isinstance(value.get("members"), list) and "chat_id" in value:
        return Kind.GROUP
    return None


def read(value: dict[str, Any], kind: Kind, name: str = "") -> Imported:
    """Returns what is in an object of a kind that ``kind_of`` found."""
    if kind is Kind.GROUP:
        return Imported(kind=kind, groups=(_group(value),))
    if kind is Kind.QUICK_REPLIES:
        return Imported(kind=kind, quick_replies=(_set(value, name),))
    user = mapping(value.get("power_user")) or value
    return Imported(
        kind=kind,
        personas=_personas(user),
        quick_replies=_sets(value),
        scripts=script_reader.of_settings(value),
    )


def _group(value: dict[str, Any]) -> Group:
    chats = dict.fromkeys([*texts(value.get("chats")), *texts(value.get("chat_id"))])
    return Group(text(value.get("name")), texts(value["members"]), tuple(chats), value)


def _personas(user: Mapping[str, Any]) -> tuple[ImportedPersona, ...]:
    described = mapping(user.get("persona_descriptions"))
    default = text(user.get("default_persona"))
    named = list(mapping(user.get("personas")).items())[: limits.IMPORT_PERSONAS]
    return tuple(
        _persona(avatar, name, mapping(described.get(avatar)), default)
        for avatar, name in named
        if text(name).strip()
    )


def _persona(avatar: str, name: object, facts: Mapping[str, Any], default: str) -> ImportedPersona:
    connections = objects(facts.get("connections"))
    return ImportedPersona(
        name=short(text(name)),
        title=text(facts.get("title")),
        description=text(facts.get("description")),
        avatar=text(avatar),
        linked_book=text(facts.get("lorebook")),
        default=avatar == default,
        characters=tuple(
            found
            for item in connections
            if item.get("type") in ("character", "group") and (found := text(item.get("id")))
        ),
        source=facts,
    )


def _sets(value: Mapping[str, Any]) -> tuple[QuickReplies, ...]:
    """Settings of old versions hold the replies themselves; newer ones only name their files."""
    extensions = mapping(value.get("extension_settings"))
    found = mapping(extensions.get("quickReply"))
    return (_set(found, "quick replies"),) if isinstance(found.get("quickReplySlots"), list) else ()


def _set(value: Mapping[str, Any], fallback_name: str) -> QuickReplies:
    slots = objects(value.get("qrList") or value.get("quickReplySlots"))
    replies = tuple(
        ImportedQuickReply(first_text(item, "label", "title", "message", "mes"), said, item)
        for item in slots
        if (said := first_text(item, "message", "mes"))
    )
    rest = {key: part for key, part in value.items() if key not in ("qrList", "quickReplySlots")}
    return QuickReplies(text(value.get("name")) or fallback_name, replies, rest)
