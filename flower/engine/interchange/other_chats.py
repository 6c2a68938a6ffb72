"""Chats of Character.AI tools, Agnai, Risu, text-generation-webui and llama.cpp as ``Chat`` values.

Names that a file does not give stay empty: who reads it in knows the player and the character. Sources:
SillyTavern's importers (``src/endpoints/chats.js``), agnai's chat export, Risu's ``risuChat``, the logs of
text-generation-webui.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flower import limits
from flower.engine.interchange import chat_tree, fields, other_books
from flower.engine.interchange.chat_tree import UnplacedMessage
from flower.engine.interchange.fields import first_text, flag, mapping, objects, text, texts
from flower.engine.interchange.values import Chat, Ending, Imported, Kind, Variant
from flower.errors import ImportFileError, UnknownPlayerError

_GREETS = "<|BEGIN-VISIBLE-CHAT|>"  # what text-generation-webui has the player say before the greeting


def kind_of(value: object) -> Kind | None:
    """Returns whose chat an object is, None if it is none of these."""
    if not isinstance(value, dict):
        return None
    if isinstance(mapping(value.get("histories")).get("histories"), list):
        return Kind.CAI_CHAT
    if value.get("type") == "risuChat":
        return Kind.RISU_CHAT
    if any(isinstance(value.get(key), list) for key in ("data_visible", "visible")):
        return Kind.OOBA_CHAT
    if "msg" in next(objects(value.get("messages")), {}):
        return Kind.AGNAI_CHAT
    return None


def read(value: dict[str, Any], kind: Kind, name: str = "", me: str = "") -> Imported:
    """Returns the chats in an object of a kind that ``kind_of`` found.

    Raises ``ImportFileError``, and ``UnknownPlayerError`` where nobody can know who is the player.
    """
    readers: dict[Kind, Callable[[dict[str, Any], str, str], Imported]] = {
        Kind.CAI_CHAT: _cai,
        Kind.RISU_CHAT: _risu,
        Kind.OOBA_CHAT: _ooba,
        Kind.AGNAI_CHAT: _agnai,
    }
    return readers[kind](value, name, me)


def _chat(lines: Sequence[UnplacedMessage], name: str, **fields: Any) -> Chat:
    messages = chat_tree.chain(lines)
    if not messages:
        raise ImportFileError("the chat has no message")
    return Chat(
        **{
            "title": name,
            "player": next((line.name for line in lines if line.role == "user" and line.name), ""),
            "character": next(
                (line.name for line in lines if line.role == "assistant" and line.name), ""
            ),
            "messages": messages,
            "endings": (Ending(name, chat_tree.last(messages)),),
            **fields,
        }
    )


# --- Character.AI -------------------------------------------------------------------------------


def _cai(value: dict[str, Any], name: str, me: str) -> Imported:
    rest = {key: part for key, part in value.items() if key != "histories"}
    histories = [
        lines
        for history in objects(mapping(value["histories"]).get("histories"))
        if (lines := [_cai_line(item) for item in objects(history.get("msgs"))])
    ]
    chats = tuple(
        _chat(lines, name if len(histories) == 1 else f"{name} {number}".strip(), source=rest)
        for number, lines in enumerate(histories, 1)
    )
    if not chats:
        raise ImportFileError("the history has no message")
    return Imported(kind=Kind.CAI_CHAT, chats=chats)


def _cai_line(item: Mapping[str, Any]) -> UnplacedMessage:
    speaker = mapping(item.get("src"))
    role = "user" if flag(speaker.get("is_human")) else "assistant"
    variant = Variant(text=text(item.get("text")), sent=fields.date(item.get("created")))
    return UnplacedMessage(role, text(speaker.get("name")), [variant], source=item)


# --- Agnai --------------------------------------------------------------------------------------


def _agnai(value: dict[str, Any], name: str, me: str) -> Imported:
    messages = list(objects(value.get("messages")))
    is_player = _agnai_player(messages, me)
    lines = [_agnai_line(item, is_player(item)) for item in messages]
    title = text(value.get("name")) or name
    chat = _chat(lines, title, scenario=text(value.get("scenario")),
                 source={key: part for key, part in value.items() if key != "messages"})  # fmt: skip
    return Imported(kind=Kind.AGNAI_CHAT, chats=(chat,))


def _agnai_player(
    messages: Sequence[Mapping[str, Any]], me: str
) -> Callable[[Mapping[str, Any]], bool]:
    """Lines of people have their id; where none has, a name must tell."""
    if any(item.get("userId") for item in messages) and not me:
        return lambda item: bool(item.get("userId"))
    speakers = tuple(dict.fromkeys(map(_agnai_speaker, messages)))
    if me in speakers:
        return lambda item: _agnai_speaker(item) == me
    if len(speakers) > 1:
        raise UnknownPlayerError(speakers[: limits.IMPORT_SPEAKERS])
    return lambda item: False


def _agnai_speaker(item: Mapping[str, Any]) -> str:
    return first_text(item, "name", "handle", "characterId", "userId")[: limits.NAME_CHARS] or "Unnamed"


def _agnai_line(item: Mapping[str, Any], player: bool) -> UnplacedMessage:
    texts_ = [text(item.get("msg")), *texts(item.get("retries"))]
    sent = fields.date(item.get("createdAt"))
    variants = [Variant(text=line, sent=sent) for line in dict.fromkeys(texts_)]
    return UnplacedMessage(
        "user" if player else "assistant", first_text(item, "name", "handle"), variants, source=item
    )


# --- Risu ---------------------------------------------------------------------------------------


def _risu(value: dict[str, Any], name: str, me: str) -> Imported:
    data = mapping(value.get("data"))
    lines = [_risu_line(item) for item in objects(data.get("message"))]
    title = text(data.get("name")) or name
    note = text(data.get("note"))
    chat = _chat(lines, title, memory=note,
                 source={key: part for key, part in data.items() if key != "message"})  # fmt: skip
    lore = {"data": data["localLore"]} if data.get("localLore") else {}
    books = (other_books.read(lore, Kind.RISU_BOOK, title),) if lore else ()
    return Imported(kind=Kind.RISU_CHAT, chats=(chat,), books=books)


def _risu_line(item: Mapping[str, Any]) -> UnplacedMessage:
    role = "user" if item.get("role") == "user" else "assistant"
    swipes = texts(item.get("swipes"))
    line = text(item.get("data"))
    choices = [*swipes] if line in swipes else [line, *swipes]
    sent = fields.date(item.get("time"))
    variants = [Variant(text=choice, sent=sent) for choice in dict.fromkeys(choices)]
    chosen = next((index for index, variant in enumerate(variants) if variant.text == line), 0)
    hidden = bool(item.get("disabled"))
    return UnplacedMessage(role, text(item.get("name")), variants, chosen, hidden=hidden, source=item)


# --- text-generation-webui ----------------------------------------------------------------------


def _ooba(value: dict[str, Any], name: str, me: str) -> Imported:
    visible = value.get("data_visible")
    pairs: list[object] = visible if isinstance(visible, list) else value["visible"]
    lines = list(_ooba_lines(pairs))
    used = ("data", "data_visible", "internal", "visible")
    rest = {key: part for key, part in value.items() if key not in used}
    chat = _chat(lines, name, source=rest)
    return Imported(kind=Kind.OOBA_CHAT, chats=(chat,))


def _ooba_lines(pairs: Sequence[object]) -> Iterator[UnplacedMessage]:
    """Texts as they were shown, whose signs are written as in HTML."""
    for pair in pairs:
        if not isinstance(pair, list):
            continue
        for role, line in zip(("user", "assistant"), pair, strict=False):
            plain = html.unescape(text(line))
            if plain and plain != _GREETS:
                yield chat_tree.one_text_message(plain, role, "")


# --- llama.cpp ----------------------------------------------------------------------------------


def read_session(items: Sequence[Mapping[str, Any]], name: str = "") -> Imported:
    """Returns the chat in the lines of a session: {"type": "message", "message": {role, content}}."""
    lines = []
    for item in items:
        message = mapping(item.get("message")) or item
        role = message.get("role")
        line = _content(message.get("content"))
        if role in ("user", "assistant", "system") and line:
            sent = fields.date(item.get("timestamp"))
            lines.append(UnplacedMessage(str(role), "", [Variant(text=line, sent=sent)], source=item))
    return Imported(kind=Kind.LLAMA_SESSION, chats=(_chat(lines, name),))


def _content(value: object) -> str:
    """Returns a text, or the texts among the parts of a message."""
    if isinstance(value, list):
        return "\n".join(part_text for part in objects(value) if (part_text := text(part.get("text"))))
    return text(value)
