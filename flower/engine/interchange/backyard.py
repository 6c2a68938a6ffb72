"""Backyard AI: BYAF archives, and the older Faraday cards inside pictures.

Sources: ahoylabs/byaf ``specs/v1``, and real cards of Faraday versions 1 to 4. Its macros become the common
ones. A scenario with messages becomes a chat; the newest time of use tells which answer was chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flower.engine.interchange import chat_tree, fields, json_text, other_books
from flower.engine.interchange.archive import Archive
from flower.engine.interchange.cards import UNNAMED, short
from flower.engine.interchange.chat_tree import UnplacedMessage
from flower.engine.interchange.fields import first_text, mapping, objects, text, texts
from flower.engine.interchange.values import Card, Chat, Ending, Imported, Kind, Variant
from flower.errors import ImportFileError

MANIFEST = "manifest.json"
PLAYER = "You"
_MACROS = re.compile(r"#?\$?\{(character|user)\}:?")
_USED = {"name", "persona", "loreItems", "images", "createdAt", "updatedAt"}
_SPOKEN = {
    "title", "narrative", "formattingInstructions", "exampleMessages", "firstMessages", "messages",
}  # fmt: skip


def macros(value: str) -> str:
    """Returns a text with {character}, {user}, #{character}: and #{user}: as the common macros."""

    def common(match: re.Match[str]) -> str:
        name = "{{char}}" if match[1] == "character" else "{{user}}"
        return name + (":" if match[0].endswith(":") else "")

    return _MACROS.sub(common, value)


def _macro_text(source: Mapping[str, Any], *keys: str) -> str:
    return macros(first_text(source, *keys))


# --- BYAF ---------------------------------------------------------------------------------------


def read_archive(archive: Archive, fallback_name: str = "") -> Imported:
    """Returns the character, the book and the chats in an archive. Raises ``ImportFileError``."""
    manifest = _object(archive, MANIFEST)
    paths = [path for path in texts(manifest.get("characters")) if path in archive]
    if not paths:
        raise ImportFileError("the Backyard archive has no character")
    scenarios = [_object(archive, path) for path in texts(manifest.get("scenarios")) if path in archive]
    author = first_text(mapping(manifest.get("author")), "name")
    cards = [_card(archive, path, scenarios, author, fallback_name) for path in paths]
    chats = tuple(
        chat for scenario in scenarios if (chat := _chat(scenario, cards[0].name)) is not None
    )
    return Imported(kind=Kind.BYAF, cards=tuple(cards), chats=chats)


def _object(archive: Archive, path: str) -> dict[str, Any]:
    value = json_text.parse(json_text.decode(archive.read(path)))
    if not isinstance(value, dict):
        raise ImportFileError(f"{path} in the Backyard archive is no object")
    return value


def _card(
    archive: Archive,
    path: str,
    scenarios: Sequence[Mapping[str, Any]],
    author: str,
    fallback_name: str,
) -> Card:
    source = _object(archive, path)
    first: Mapping[str, Any] = scenarios[0] if scenarios else {}
    greetings = [_first_message(scenario) for scenario in scenarios]
    name = short(first_text(source, "name", "displayName") or fallback_name or UNNAMED)
    rest = {key: value for key, value in source.items() if key not in _USED}
    settings = {key: value for key, value in first.items() if key not in _SPOKEN}
    return Card(
        name=name,
        description=_macro_text(source, "persona"),
        scenario=_macro_text(first, "narrative"),
        greeting=greetings[0] if greetings else "",
        alternate_greetings=tuple(text_ for text_ in dict.fromkeys(greetings[1:]) if text_),
        example_dialogue=_examples(first.get("exampleMessages")),
        system_prompt=_macro_text(first, "formattingInstructions"),
        creator=author,
        created=_day(source, "createdAt"),
        modified=_day(source, "updatedAt"),
        book=other_books.lines(objects(source.get("loreItems")), "key", "value", name),
        extensions={"flower": {"byaf": {"character": rest, "scenario": settings}}},
        picture=_picture(archive, path, source),
    )


def _day(source: Mapping[str, Any], key: str) -> float | None:
    """Returns a date in whole seconds, as cards have it."""
    moment = fields.date(source.get(key))
    return None if moment is None else float(int(moment))


def _picture(archive: Archive, path: str, source: Mapping[str, Any]) -> bytes | None:
    folder = path.rpartition("/")[0]
    for image in objects(source.get("images")):
        name = text(image.get("path"))
        for candidate in (f"{folder}/{name}", name):
            if candidate in archive:
                return archive.read(candidate)
    return None


def _first_message(scenario: Mapping[str, Any]) -> str:
    return next((_macro_text(item, "text") for item in objects(scenario.get("firstMessages"))), "")


def _examples(value: object) -> str:
    blocks = [macros(example) for item in objects(value) if (example := text(item.get("text")))]
    return "\n".join(f"<START>\n{block}" for block in blocks)


def _chat(scenario: Mapping[str, Any], character: str) -> Chat | None:
    exchanges = list(objects(scenario.get("messages")))
    if not exchanges:
        return None
    greeting = _first_message(scenario)
    lines = [chat_tree.one_text_message(greeting, "assistant", character)] if greeting else []
    lines += [_line(item, character) for item in _interleaved(exchanges)]
    messages = chat_tree.chain(lines)
    return Chat(
        title=text(scenario.get("title")),
        character=character,
        player=PLAYER,
        messages=messages,
        endings=(Ending(text(scenario.get("title")), chat_tree.last(messages)),),
        created=next((sent for line in lines if (sent := line.variants[0].sent)), None),
        scenario=_macro_text(scenario, "narrative"),
    )


def _interleaved(exchanges: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yields exchanges in the order they were said: old exports have all the player's lines first."""
    human = [item for item in exchanges if item.get("type") == "human"]
    answers = [item for item in exchanges if item.get("type") != "human"]
    if len(human) != len(answers) or len(human) < 2 or list(exchanges) != human + answers:
        yield from exchanges
        return
    for pair in zip(human, answers, strict=True):
        yield from pair


def _line(item: Mapping[str, Any], character: str) -> UnplacedMessage:
    if item.get("type") == "human":
        variant = Variant(text=_macro_text(item, "text"), sent=fields.date(item.get("createdAt")))
        return UnplacedMessage("user", PLAYER, [variant])
    return _answer(objects(item.get("outputs")), character)


def _answer(outputs: Iterator[dict[str, Any]], character: str) -> UnplacedMessage:
    variants: list[Variant] = []
    chosen, newest = 0, -1.0
    for index, output in enumerate(outputs):
        variants.append(
            Variant(text=_said(text(output.get("text"))), sent=fields.date(output.get("createdAt")))
        )
        used = fields.date(output.get("activeTimestamp")) or 0.0
        if used > newest:
            chosen, newest = index, used
    return UnplacedMessage("assistant", character, variants, chosen)


def _said(value: str) -> str:
    """Returns an answer without the names that Faraday put around it."""
    value = value.removeprefix("#{character}:").rstrip()
    return macros(value.removesuffix("#{user}:")).strip()


# --- Faraday ------------------------------------------------------------------------------------


def is_faraday(source: Mapping[str, Any]) -> bool:
    """Returns whether an object is a character of Faraday, as Backyard was called."""
    character = mapping(source.get("character"))
    return "aiName" in character or "aiDisplayName" in character or "aiPersona" in character


def read_faraday(source: Mapping[str, Any], picture: bytes | None, fallback_name: str = "") -> Imported:
    """Returns the card and the chats in the object of a Faraday card."""
    character = mapping(source.get("character"))
    name = short(first_text(character, "aiName", "aiDisplayName") or fallback_name or UNNAMED)
    examples = _macro_text(character, "customDialogue")
    used = {"aiName", "aiPersona", "basePrompt", "scenario", "customDialogue",
            "firstMessage", "loreItems", "Chat", "createdAt", "updatedAt"}  # fmt: skip
    rest = {key: value for key, value in character.items() if key not in used}
    card = Card(
        name=name,
        description=_macro_text(character, "aiPersona"),
        scenario=_macro_text(character, "scenario"),
        greeting=_macro_text(character, "firstMessage"),
        example_dialogue=f"<START>\n{examples}" if examples else "",
        system_prompt=_macro_text(character, "basePrompt"),
        created=_day(character, "createdAt"),
        modified=_day(character, "updatedAt"),
        book=other_books.lines(objects(character.get("loreItems")), "key", "value", name),
        extensions={"flower": {"faraday": rest}} if rest else {},
        picture=picture,
    )
    chats = tuple(
        chat
        for item in objects(character.get("Chat"))
        if (chat := _faraday_chat(item, name, card.greeting)) is not None
    )
    return Imported(kind=Kind.FARADAY, cards=(card,), chats=chats)


def _faraday_chat(source: Mapping[str, Any], character: str, greeting: str) -> Chat | None:
    lines = [chat_tree.one_text_message(greeting, "assistant", character)] if greeting else []
    for item in objects(source.get("ChatItems")):
        if line := _macro_text(item, "input"):
            variant = Variant(text=line, sent=fields.date(item.get("createdAt")))
            lines.append(UnplacedMessage("user", PLAYER, [variant]))
        outputs = list(objects(item.get("RegenSwipes"))) or [{"text": item.get("output")}]
        if any(text(output.get("text")) for output in outputs):
            lines.append(_answer(iter(outputs), character))
    messages = chat_tree.chain(lines)
    if len(messages) <= bool(greeting):
        return None
    title = text(source.get("name"))
    return Chat(
        title=title,
        character=character,
        player=PLAYER,
        messages=messages,
        endings=(Ending(title, chat_tree.last(messages)),),
        created=fields.date(source.get("createdAt")),
    )
