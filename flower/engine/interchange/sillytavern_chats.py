"""SillyTavern's chats, lines of JSON, one per message, of every age; and those of Chub and CAI Tools. Both ways.

Source: SillyTavern ``saveChat`` and ``src/endpoints/chats.js``, and files of 2023 to 2026. The first line may
be a header or already a message; a line that is no JSON is left out, as SillyTavern does. Hidden lines stay,
hidden. A tree is written as a file for each of its ends; what was read from such a file and has not changed is
written as it was, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flower import limits
from flower.engine.interchange import chat_tree, fields, json_text
from flower.engine.interchange.chat_tree import UnplacedMessage
from flower.engine.interchange.fields import first_text, flag, mapping, objects, text, whole
from flower.engine.interchange.values import Chat, ChatNote, Ending, ImportedMessage, Kind, Variant
from flower.errors import ImportFileError, UnknownPlayerError

UNUSED = "unused"  # the names in headers since 1.13
PLAYER = "You"
NARRATORS = ("narrator", "comment", "system")
ROLES = ("system", "user", "assistant")


def is_chat(value: object) -> bool:
    """Whether the first line of a file is one of a chat."""
    return isinstance(value, dict) and (
        "mes" in value
        or "chat_metadata" in value
        or ("user_name" in value and "character_name" in value)
    )


def read(text_: str, name: str = "", me: str = "") -> tuple[Kind, Chat, tuple[str, ...]]:
    """Returns the kind, the chat and notices for its reader.

    ``name`` is the file's, without its ending. Raises ``ImportFileError``, and ``UnknownPlayerError`` if no
    line says who is the player.
    """
    header, sources, broken = _lines(text_)
    if not sources and not header:
        raise ImportFileError("the chat has no message")
    player = _player(header, sources, me)
    lines = [line_of(source, player) for source in sources]
    messages = chat_tree.chain(lines)
    metadata = mapping(header.get("chat_metadata"))
    chat = Chat(
        title=name,
        character=_character(header, messages),
        player=player or next((line.name for line in lines if line.role == "user"), ""),
        messages=messages,
        endings=(Ending(name, chat_tree.last(messages), header),),
        created=fields.date(header.get("create_date")) or _first_date(messages),
        scenario=text(metadata.get("scenario")),
        memory=_memory(sources),
        note=_note(metadata),
        variables={key: text(value) for key, value in mapping(metadata.get("variables")).items()},
        linked_book=text(metadata.get("world_info")),
    )
    return _kind(header, sources), chat, _notices(broken)


def _lines(text_: str) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    """Returns the header, the messages and how many lines could not be read."""
    header: dict[str, Any] = {}
    sources: list[dict[str, Any]] = []
    broken = 0
    for number, line in enumerate(text_.split("\n")):
        if not line.strip():
            continue
        try:
            value = json_text.parse(line)
        except ImportFileError:
            broken += 1
            continue
        if not isinstance(value, dict):
            broken += 1
        elif "mes" in value:
            sources.append(value)
        elif number == 0 or (not header and not sources):
            header = value
        if len(sources) > limits.IMPORT_MESSAGES:
            raise ImportFileError(f"the chat has more than {limits.IMPORT_MESSAGES:,} messages")
    return header, sources, broken


def _notices(broken: int) -> tuple[str, ...]:
    if not broken:
        return ()
    lines = "1 line is" if broken == 1 else f"{broken} lines are"
    return (f"{lines} no JSON and left out.",)


def _kind(header: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> Kind:
    if any(isinstance(source["mes"], dict) for source in sources[:20]):
        return Kind.CHUB_CHAT
    if not header and sources and "is_name" in sources[0]:
        return Kind.CAI_TOOLS_CHAT
    return Kind.SILLYTAVERN_CHAT


def _player(header: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], me: str) -> str:
    """Returns the player's name where the lines do not say who that is, "" where they do."""
    if any("is_user" in source for source in sources) or not sources:
        return ""
    speakers = tuple(dict.fromkeys(text(source.get("name")) or UNUSED for source in sources))
    named = text(header.get("user_name"))
    player = next((name for name in (me, named) if name in speakers), "")
    if not player and len(speakers) > 1:
        raise UnknownPlayerError(speakers[: limits.IMPORT_SPEAKERS])
    return player


def _character(header: Mapping[str, Any], messages: Sequence[ImportedMessage]) -> str:
    named = text(header.get("character_name"))
    if named and named != UNUSED:
        return named
    return next((message.name for message in messages if message.role == "assistant"), "")


def _first_date(messages: Sequence[ImportedMessage]) -> float | None:
    return next((sent for message in messages if (sent := message.variants[message.chosen].sent)), None)


def _memory(sources: Sequence[Mapping[str, Any]]) -> str:
    """Returns the newest summary, which is kept with the message it ends at."""
    return next(
        (summary for source in reversed(sources)
         if (summary := text(mapping(source.get("extra")).get("memory")))),
        "",
    )  # fmt: skip


def _note(metadata: Mapping[str, Any]) -> ChatNote | None:
    prompt = text(metadata.get("note_prompt"))
    if not prompt.strip():
        return None
    depth = whole(metadata.get("note_depth"), 0, 1000)
    every = whole(metadata.get("note_interval"), 0, 1000)
    role = whole(metadata.get("note_role"), 0, 2) or 0
    return ChatNote(prompt, 4 if depth is None else depth, 1 if every is None else every, ROLES[role])


# --- one message --------------------------------------------------------------------------------


def line_of(source: Mapping[str, Any], player: str = "") -> UnplacedMessage:
    """Returns a message; ``player`` is a name where the lines do not say who that is."""
    extra = mapping(source.get("extra"))
    name = text(source.get("name"))
    is_user = name == player if player else flag(source.get("is_user"))
    if is_user:
        role = "user"
    else:
        role = (
            "system" if extra.get("type") in NARRATORS or flag(extra.get("isSmallSys")) else "assistant"
        )
    variants, chosen = variants_of(source, extra)
    return UnplacedMessage(
        role, name, variants, chosen, hidden=flag(source.get("is_system")), source=source
    )


def variants_of(source: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[list[Variant], int]:
    """Returns the texts of a message and which one is shown."""
    message = _text(source.get("mes"))
    current = Variant(
        text=message,
        sent=fields.date(source.get("send_date")),
        model=text(extra.get("model")),
        reasoning=text(extra.get("reasoning")),
    )
    swipes = source.get("swipes")
    if not isinstance(swipes, list) or not swipes:
        return [current], 0
    infos = source.get("swipe_info")
    infos = infos if isinstance(infos, list) else []
    variants = [
        _swipe(swipe, mapping(infos[index]) if index < len(infos) else {})
        for index, swipe in enumerate(swipes)
    ]
    chosen = whole(source.get("swipe_id"), 0, len(swipes) - 1) or 0
    variants[chosen] = current  # what is shown counts: macros in it are replaced
    return variants, chosen


def _swipe(swipe: object, info: Mapping[str, Any]) -> Variant:
    extra = mapping(info.get("extra"))
    return Variant(
        text=_text(swipe),
        sent=fields.date(info.get("send_date")),
        model=text(extra.get("model")),
        reasoning=text(extra.get("reasoning")),
    )


def _text(value: object) -> str:
    """Returns the text of a message; Chub wraps it in an object, other types count as empty."""
    if isinstance(value, dict):
        return first_text(value, "message")
    return text(value) if isinstance(value, str) else ""


# --- Trees of messages as such files: one for each end of a tree


def write_tree(chat: Chat, base: str) -> Iterator[tuple[str, bytes]]:
    """Yields name, without an ending, and content of a file for each end of the tree.

    The first is the chat, the others are its branches and name it as the chat they come from.
    """
    names = {ending.leaf: ending for ending in reversed(chat.endings) if ending.leaf is not None}
    used: set[str] = set()
    leaves: list[int | None] = [*chat_tree.leaves(chat)]
    if not leaves or any(ending.leaf is None for ending in chat.endings):
        leaves = leaves or [None]
    main = ""
    for number, leaf in enumerate(leaves):
        ending = names.get(leaf) if leaf is not None else next(iter(chat.endings), None)
        name = _free(ending.name if ending and ending.name else "", base, number, used)
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


def _free(name: str, base: str, number: int, names: set[str]) -> str:
    name = name or (f"{base} - Branch #{number}" if number else base)
    while name in names:
        name += " (2)"
    names.add(name)
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
        variant = after.parent_variant if after else message.chosen
        written = _object(message, variant, chat)
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
        "create_date": fields.iso(chat.created),
    }


def _object(message: ImportedMessage, number: int, chat: Chat) -> dict[str, Any]:
    source = message.source if "mes" in message.source else {}
    if source and number == message.chosen and _unchanged(message, source):
        return dict(source)
    variant = message.variants[number]
    result: dict[str, Any] = dict(source) or {"name": "", "is_user": False}
    player, system = message.role == "user", message.role == "system"
    result |= {
        "name": message.name or (chat.player or PLAYER if player else chat.character),
        "is_user": player,
        "is_system": message.hidden,
        "send_date": fields.iso(variant.sent),
        "mes": variant.text,
        "extra": _extra(mapping(source.get("extra")), variant, system),
    }
    if len(message.variants) > 1 or not player:
        result |= {
            "swipe_id": number,
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
            result.append({"send_date": fields.iso(variant.sent), "extra": extra})
    return result
