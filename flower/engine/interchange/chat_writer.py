"""Trees of messages as SillyTavern's chats: a file of JSON lines for each end of a tree.

What was read from such a file and has not changed is written as it was, byte for byte. Source: SillyTavern
``saveChat`` in ``public/script.js``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flower.engine.interchange import chat_tree, dates, json_text
from flower.engine.interchange.fields import mapping, objects
from flower.engine.interchange.sillytavern_chats import (
    NARRATORS,
    PLAYER,
    ROLES,
    UNUSED,
    is_chat,
    line_of,
    variants_of,
)
from flower.engine.interchange.values import Chat, Ending, ImportedMessage, Variant


def write(chat: Chat, base: str) -> Iterator[tuple[str, bytes]]:
    """Yields name, without an ending, and content of a file for each end of the tree.

    The first is the chat, the others are its branches and name it as the chat they come from.
    """
    names = {ending.leaf: ending for ending in reversed(chat.endings) if ending.leaf is not None}
    taken: set[str] = set()
    leaves: list[int | None] = [*chat_tree.leaves(chat)]
    if not leaves or any(ending.leaf is None for ending in chat.endings):
        leaves = leaves or [None]
    main = ""
    for number, leaf in enumerate(leaves):
        ending = names.get(leaf) if leaf is not None else next(iter(chat.endings), None)
        name = _free(ending.name if ending and ending.name else "", base, number, taken)
        header = _header_of_file(chat, ending)
        yield name, write_path(chat, leaf, header, main)
        main = main or name


def _header_of_file(chat: Chat, ending: Ending | None) -> Mapping[str, Any] | None:
    """Returns the first line as it was read: {} for a file that began with a message, None for another kind."""
    if ending is None:
        return None
    if is_chat(ending.source):
        return ending.source
    headless = not ending.source and bool(chat.messages) and "mes" in chat.messages[0].source
    return {} if headless else None


def _free(name: str, base: str, number: int, taken: set[str]) -> str:
    name = name or (f"{base} - Branch #{number}" if number else base)
    while name in taken:
        name += " (2)"
    taken.add(name)
    return name


def write_path(
    chat: Chat, leaf: int | None, header: Mapping[str, Any] | None = None, main: str = ""
) -> bytes:
    """Returns the file for the way to one message; ``main`` is the chat it branches from, "" for none."""
    head = dict(header) if header is not None else _header(chat)
    if main and header is None:
        head["chat_metadata"] = {**mapping(head.get("chat_metadata")), "main_chat": main}
    lines = [json_text.compact(head)] if head else []
    way = chat_tree.path(chat, leaf)
    for place, index in enumerate(way):
        after = chat.messages[way[place + 1]] if place + 1 < len(way) else None
        message = chat.messages[index]
        shown = after.parent_variant if after else message.chosen
        written = _object(message, shown, chat)
        if after is None and header is None and chat.memory:
            written["extra"] = {**mapping(written.get("extra")), "memory": chat.memory}
        lines.append(json_text.compact(written))
    return "\n".join(lines).encode("utf-8", "replace")


def _header(chat: Chat) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if chat.note:
        metadata |= {
            "note_prompt": chat.note.text,
            "note_interval": chat.note.every,
            "note_position": 1,
            "note_depth": chat.note.depth,
            "note_role": ROLES.index(chat.note.role) if chat.note.role in ROLES else 0,
        }
    if chat.variables:
        metadata["variables"] = dict(chat.variables)
    if chat.scenario:
        metadata["scenario"] = chat.scenario
    if chat.linked_book:
        metadata["world_info"] = chat.linked_book
    return {
        "chat_metadata": metadata,
        "user_name": chat.player or PLAYER,
        "character_name": chat.character or UNUSED,
        "create_date": dates.iso(chat.created),
    }


def _object(message: ImportedMessage, shown: int, chat: Chat) -> dict[str, Any]:
    source = message.source if "mes" in message.source else {}
    if source and shown == message.chosen and _unchanged(message, source):
        return dict(source)
    variant = message.variants[shown]
    result: dict[str, Any] = dict(source) or {"name": "", "is_user": False}
    player, system = message.role == "user", message.role == "system"
    result |= {
        "name": message.name or (chat.player or PLAYER if player else chat.character),
        "is_user": player,
        "is_system": message.hidden,
        "send_date": dates.iso(variant.sent),
        "mes": variant.text,
        "extra": _extra(mapping(source.get("extra")), variant, system),
    }
    if len(message.variants) > 1 or not player:
        result |= {
            "swipe_id": shown,
            "swipes": [other.text for other in message.variants],
            "swipe_info": _swipe_info(message, source),
        }
    return result


def _unchanged(message: ImportedMessage, source: Mapping[str, Any]) -> bool:
    was = line_of(source)
    return (was.variants, was.hidden, was.name, was.role) == (
        message.variants, message.hidden, message.name, message.role,
    )  # fmt: skip


def _extra(source: Mapping[str, Any], variant: Variant, system: bool) -> dict[str, Any]:
    result = dict(source)
    for key, value in (("model", variant.model), ("reasoning", variant.reasoning)):
        if value or key in result:
            result[key] = value
    if system and result.get("type") not in NARRATORS and not result.get("isSmallSys"):
        result["type"] = "narrator"
    return result


def _swipe_info(message: ImportedMessage, source: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns as many objects as there are swipes, those of the file where their swipe is the same."""
    infos = list(objects(source.get("swipe_info")))
    was, _ = variants_of(source, mapping(source.get("extra"))) if source else ([], 0)
    result = []
    for index, variant in enumerate(message.variants):
        if index < len(infos) and index < len(was) and was[index] == variant:
            result.append(infos[index])
        else:
            extra = _extra({}, variant, False)
            result.append({"send_date": dates.iso(variant.sent), "extra": extra})
    return result
