"""Presets, sets of quick replies and groups as SillyTavern's own files. Pure.

What came from such a file keeps the fields that Flower has no use for; what SillyTavern has no place for stands
under ``flower`` and is read again. Sources: SillyTavern ``textgen-settings.js``, ``group-chats.js``; the quick
reply extension, version 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flower.engine.interchange import json_text, presets
from flower.engine.interchange.presets import OWN, UNSET
from flower.engine.interchange.values import Group, ImportedQuickReply, Kind, Preset, QuickReplies
from flower.settings import samplers

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


def preset(name: str, values: Mapping[str, object], original: Preset | None = None) -> bytes:
    """Returns sampler settings as a preset for text completion. ``original``: the one they came from."""
    source: Mapping[str, object] = original.source if original is not None else {}
    if original is not None and dict(original.values) == dict(values):
        return json_text.indented(source).encode()
    known = {*presets.KNOWN, OWN}
    if original is not None and original.values.get(samplers.BANNED) == values.get(samplers.BANNED):
        known -= presets.BANNING
    written: dict[str, Any] = {"name": name, **{k: v for k, v in source.items() if k not in known}}
    own: dict[str, object] = {}
    for ours, value in values.items():
        if ours in _SAMPLERS:
            written[_SAMPLERS[ours]] = value
        elif ours != samplers.BANNED or not isinstance(value, list):
            own[ours] = value
        elif known >= presets.BANNING:
            written["banned_tokens"] = "\n".join(f'"{phrase}"' for phrase in value)
    unset = [theirs for theirs in _NEUTRAL if theirs not in written]
    own |= {UNSET: unset} if unset else {}
    whole = {**_NEUTRAL, **written, OWN: own}
    (read,) = presets.read(whole, Kind.SAMPLER_PRESET).presets
    own |= {ours: value for ours, value in values.items() if read.values.get(ours) != value}
    return json_text.indented(whole).encode()


def quick_replies(
    name: str, lines: Sequence[tuple[str, str]], original: QuickReplies | None = None
) -> bytes:
    """Returns labels and texts as a set of quick replies. ``original``: the set they came from."""
    before = list(original.replies) if original is not None else []
    source = dict(original.source) if original is not None else {}
    items: list[dict[str, Any]] = []
    for number, (label, text) in enumerate(lines, 1):
        was = next((one for one in before if (one.label, one.text) == (label, text)), None)
        if was is not None:
            before.remove(was)
        items.append(_reply(number, label, text, was))
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


def group(
    name: str, members: Iterable[str], chats: Sequence[str], original: Group | None = None
) -> bytes:
    """Returns a group as JSON. ``members`` are files of cards, ``chats`` names of chats without an ending, the
    one that is open first. ``original``: the group they came from."""
    source = dict(original.source) if original is not None else {"id": chats[0], **_GROUP}
    return json_text.indented(
        {**source, "name": name, "members": list(members), "chats": list(chats), "chat_id": chats[0]}
    ).encode()
