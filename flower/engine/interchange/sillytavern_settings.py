"""SillyTavern's own files but for cards, books and chats: its settings with personas, quick replies, groups. Pure.

They are read, and presets, sets of quick replies and groups are written. What came from such a file keeps the fields
that Flower has no use for; what SillyTavern has no place for is under ``flower`` and is read again. Sources:
SillyTavern ``power-user.js``, ``personas.js``, ``textgen-settings.js`` and ``group-chats.js``; the quick reply
extension, versions 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flower.engine.interchange import json_text, presets, script_reader
from flower.engine.interchange.cards import short
from flower.engine.interchange.fields import first_text, mapping, objects, text, texts
from flower.engine.interchange.presets import OWN, UNSET
from flower.engine.interchange.values import (
    Group,
    Imported,
    ImportedPersona,
    ImportedQuickReply,
    Kind,
    Preset,
    QuickReplies,
)
from flower.settings import samplers

IMPORT_PERSONAS = 1_000


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
    named = list(mapping(user.get("personas")).items())[:IMPORT_PERSONAS]
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
            identity
            for item in connections
            if item.get("type") in ("character", "group") and (identity := text(item.get("id")))
        ),
        source=facts,
    )


def _sets(value: Mapping[str, Any]) -> tuple[QuickReplies, ...]:
    """Settings of old versions hold the replies themselves; newer ones only name their files."""
    extensions = mapping(value.get("extension_settings"))
    replies = mapping(extensions.get("quickReply"))
    return (_set(replies, "quick replies"),) if isinstance(replies.get("quickReplySlots"), list) else ()


def _set(value: Mapping[str, Any], fallback_name: str) -> QuickReplies:
    slots = objects(value.get("qrList") or value.get("quickReplySlots"))
    replies = tuple(
        ImportedQuickReply(first_text(item, "label", "title", "message", "mes"), line, item)
        for item in slots
        if (line := first_text(item, "message", "mes"))
    )
    rest = {key: part for key, part in value.items() if key not in ("qrList", "quickReplySlots")}
    return QuickReplies(text(value.get("name")) or fallback_name, replies, rest)


# --- The way back: presets, sets of quick replies and groups as SillyTavern's own files


# Ours by the name in a preset for text completion.
_SAMPLERS = {
    "temperature": "temp", "top_p": "top_p", "top_k": "top_k", "top_a": "top_a", "min_p": "min_p",
    "typical_p": "typical_p", "top_n_sigma": "nsigma", "frequency_penalty": "freq_pen",
    "presence_penalty": "presence_pen", "repetition_penalty": "rep_pen", "repeat_last_n": "rep_pen_range",
    "seed": "seed", "dry_multiplier": "dry_multiplier", "dry_base": "dry_base",
    "dry_allowed_length": "dry_allowed_length", "dry_penalty_last_n": "dry_penalty_last_n",
    "xtc_probability": "xtc_probability", "xtc_threshold": "xtc_threshold",
    "smoothing_factor": "smoothing_factor", "mirostat": "mirostat_mode", "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta", samplers.REPLY_TOKENS: "genamt", samplers.CONTEXT_TOKENS: "max_length",
}  # fmt: skip
# A preset is known by these, so all of them are in it; a value here does nothing.
_NEUTRAL = {"temp": 1, "top_k": 0, "top_p": 1, "rep_pen": 1}
_REPLY = {
    "showLabel": False, "title": "", "contextList": [], "preventAutoExecute": True, "isHidden": False,
    "executeOnStartup": False, "executeOnUser": False, "executeOnAi": False, "executeOnChatChange": False,
    "executeOnGroupMemberDraft": False, "executeOnNewChat": False, "automationId": "",
}  # fmt: skip
_SET = {"disableSend": False, "placeBeforeInput": False, "injectInput": False, "color": "rgba(0, 0, 0, 0)",
        "onlyBorderColor": False}  # fmt: skip
_GROUP = {
    "avatar_url": "", "allow_self_responses": False, "activation_strategy": 0, "generation_mode": 0,
    "disabled_members": [], "fav": False, "auto_mode_delay": 5, "hideMutedSprites": False,
}  # fmt: skip


def preset_file(name: str, values: Mapping[str, object], original: Preset | None = None) -> bytes:
    """Returns sampler settings as a preset for text completion. ``original``: the one they came from."""
    source: Mapping[str, object] = original.source if original is not None else {}
    if original is not None and dict(original.values) == dict(values):
        return json_text.indented(source).encode()
    overwritten = {*presets.KNOWN, OWN}
    if original is not None and original.values.get(samplers.BANNED) == values.get(samplers.BANNED):
        overwritten -= presets.BANNING
    written: dict[str, Any] = {
        "name": name,
        **{k: v for k, v in source.items() if k not in overwritten},
    }
    own: dict[str, object] = {}
    for ours, value in values.items():
        if ours in _SAMPLERS:
            written[_SAMPLERS[ours]] = value
        elif ours != samplers.BANNED or not isinstance(value, list):
            own[ours] = value
        elif overwritten >= presets.BANNING:
            written["banned_tokens"] = "\n".join(f'"{phrase}"' for phrase in value)
    unset = [theirs for theirs in _NEUTRAL if theirs not in written]
    own |= {UNSET: unset} if unset else {}
    whole = {**_NEUTRAL, **written, OWN: own}
    (read,) = presets.read(whole, Kind.SAMPLER_PRESET).presets
    own |= {ours: value for ours, value in values.items() if read.values.get(ours) != value}
    return json_text.indented(whole).encode()


def quick_replies_file(
    name: str, lines: Sequence[tuple[str, str]], original: QuickReplies | None = None
) -> bytes:
    """Returns labels and texts as a set of quick replies. ``original``: the set they came from."""
    before = list(original.replies) if original is not None else []
    source = dict(original.source) if original is not None else {}
    items: list[dict[str, Any]] = []
    for number, (label, line) in enumerate(lines, 1):
        was = next((one for one in before if (one.label, one.text) == (label, line)), None)
        if was is not None:
            before.remove(was)
        items.append(_reply(number, label, line, was))
    highest = max((item["id"] for item in items if isinstance(item["id"], int)), default=0)
    return json_text.indented(
        {**_SET, **source, "version": 2, "name": name, "qrList": items, "idIndex": highest + 1}
    ).encode()


def _reply(number: int, label: str, text: str, was: ImportedQuickReply | None) -> dict[str, Any]:
    if was is None:
        return {"id": number, **_REPLY, "label": label, "message": text}
    source = dict(was.source)
    if "message" in source:
        return {"id": number, **source}
    without = {key: value for key, value in source.items() if key not in ("mes", "label")}
    return {"id": number, **_REPLY, **without, "label": label, "message": text}


def group_file(
    name: str, members: Iterable[str], chats: Sequence[str], original: Group | None = None
) -> bytes:
    """Returns a group as JSON. ``members`` are files of cards, ``chats`` names of chats without an ending, the
    one that is open first. ``original``: the group they came from."""
    source = dict(original.source) if original is not None else {"id": chats[0], **_GROUP}
    return json_text.indented(
        {**source, "name": name, "members": list(members), "chats": list(chats), "chat_id": chats[0]}
    ).encode()
