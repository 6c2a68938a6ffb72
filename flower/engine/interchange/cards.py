"""Card objects as ``Card`` values: V1, V2, V3, gradio and text-generation-webui; a card as a character, and back. Pure.

Sources: the specifications of Character Card V1 and V2 (malfoyslastname/character-card-spec-v2) and V3
(kwaroran/character-card-spec-v3); SillyTavern's extensions. A field of a wrong type is read as well as it
can be. Where the fields are there twice, in ``data`` and beside it, ``data`` counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from flower import limits
from flower.engine.assets import kinds
from flower.engine.assets.kinds import Character
from flower.engine.interchange import book_reader, script_reader
from flower.engine.interchange.fields import (
    first_text,
    mapping,
    number,
    objects,
    seconds,
    text,
    texts,
    whole,
    words,
)
from flower.engine.interchange.values import Asset, Card, DepthPrompt, Kind
from flower.engine.lorebook.book import Book
from flower.errors import ImportFileError
from flower.text import sanitize

UNNAMED = "Unnamed"
_V1 = ("description", "personality", "first_mes", "mes_example", "scenario")
_GRADIO = ("char_name", "char_persona", "world_scenario", "char_greeting", "example_dialogue")
_OOBA = ("name", "context", "greeting")
_ROLES = ("system", "user", "assistant")
# Tag characters: letters that no screen shows and every model reads. Flags use them, but only a few.
_TAG_SIGNS = re.compile("[\U000e0000-\U000e007f]")
_SCRIPTED = ("tavern_helper", "TavernHelper_scripts", "JS-Slash-Runner")


def kind_of(source: Mapping[str, Any]) -> Kind | None:
    """Returns which kind of card an object is, None if it is none. The fields decide, not the label."""
    data = source.get("data")
    if isinstance(data, dict) and ("name" in data or "spec" in source) and _is_card_spec(source):
        newer = (
            text(source.get("spec")).endswith("v3") or (number(source.get("spec_version")) or 0) >= 3
        )
        return Kind.CARD_V3 if newer else Kind.CARD_V2
    if "char_name" in source and ("char_persona" in source or "char_greeting" in source):
        return Kind.GRADIO_CARD
    if "name" in source and any(key in source for key in _V1):
        return Kind.CARD_V1
    if "name" in source and "context" in source and isinstance(source["context"], str):
        return Kind.OOBA_CARD
    return None


def _is_card_spec(source: Mapping[str, Any]) -> bool:
    spec = text(source.get("spec"))
    return spec.startswith("chara_card") or any(key in mapping(source["data"]) for key in _V1)


def read(source: Mapping[str, Any], fallback_name: str = "") -> Card:
    """Returns the card in an object of any kind. Raises ``ImportFileError`` if it is none."""
    kind = kind_of(source)
    if kind is None:
        raise ImportFileError("this is no character card that Flower knows")
    if kind is Kind.GRADIO_CARD:
        return _gradio(source, fallback_name)
    if kind is Kind.OOBA_CARD:
        return _ooba(source, fallback_name)
    data = mapping(source.get("data")) if kind in (Kind.CARD_V2, Kind.CARD_V3) else {}
    return _card(data or source, source, fallback_name)


def _card(data: Mapping[str, Any], source: Mapping[str, Any], fallback_name: str) -> Card:
    extensions = mapping(data.get("extensions"))
    name = text(data.get("name")).strip() or text(source.get("name")).strip()
    nickname = text(data.get("nickname")).strip()
    return Card(
        name=short(name or nickname or fallback_name.strip() or UNNAMED),
        nickname=short(nickname),
        description=text(data.get("description")),
        personality=text(data.get("personality")),
        greeting=text(data.get("first_mes")),
        alternate_greetings=texts(data.get("alternate_greetings")),
        group_greetings=texts(data.get("group_only_greetings")),
        scenario=text(data.get("scenario")),
        example_dialogue=text(data.get("mes_example")),
        system_prompt=text(data.get("system_prompt")),
        post_history_instructions=text(data.get("post_history_instructions")),
        depth_prompt=_depth_prompt(extensions),
        tags=words(data.get("tags")) or words(source.get("tags")),
        creator=text(data.get("creator")),
        version=text(data.get("character_version")),
        creator_notes=first_text(data, "creator_notes", "creatorcomment")
        or text(source.get("creatorcomment")),
        notes_by_language={
            key: value_text
            for key, value in mapping(data.get("creator_notes_multilingual")).items()
            if (value_text := text(value))
        },
        sources=texts(data.get("source")),
        created=seconds(data.get("creation_date")),
        modified=seconds(data.get("modification_date")),
        talkativeness=_talkativeness(extensions, source),
        linked_book=text(extensions.get("world")),
        book=book_reader.character_book(data.get("character_book"), name),
        scripts=script_reader.of_card(extensions),
        extensions=extensions,
        assets=tuple(_asset(item) for item in objects(data.get("assets"))),
        source=source,
    )


def short(name: str) -> str:
    """Returns a name as one line of bounded length."""
    return " ".join(name.split())[: limits.NAME_CHARS]


def _depth_prompt(extensions: Mapping[str, Any]) -> DepthPrompt | None:
    source = mapping(extensions.get("depth_prompt"))
    prompt = text(source.get("prompt"))
    if not prompt.strip():
        return None
    depth, role = whole(source.get("depth"), 0), source.get("role")
    return DepthPrompt(prompt, 4 if depth is None else depth, role if role in _ROLES else "system")


def _talkativeness(extensions: Mapping[str, Any], source: Mapping[str, Any]) -> float | None:
    share = number(extensions.get("talkativeness"))
    if share is None:
        share = number(source.get("talkativeness"))
    return None if share is None else min(max(share, 0.0), 1.0)


def _asset(item: Mapping[str, Any]) -> Asset:
    return Asset(
        text(item.get("type")), text(item.get("name")), text(item.get("ext")), text(item.get("uri"))
    )


def _gradio(source: Mapping[str, Any], fallback_name: str) -> Card:
    return Card(
        name=short(text(source.get("char_name")).strip() or fallback_name.strip() or UNNAMED),
        description=text(source.get("char_persona")),
        scenario=text(source.get("world_scenario")),
        greeting=text(source.get("char_greeting")),
        example_dialogue=text(source.get("example_dialogue")),
        extensions=_rest(source, _GRADIO, "gradio"),
        source=source,
    )


def _ooba(source: Mapping[str, Any], fallback_name: str) -> Card:
    """The example dialogue is inside the context and cannot be parted from it."""
    return Card(
        name=short(text(source.get("name")).strip() or fallback_name.strip() or UNNAMED),
        description=text(source.get("context")),
        greeting=text(source.get("greeting")),
        extensions=_rest(source, _OOBA, "text-generation-webui"),
        source=source,
    )


def _rest(source: Mapping[str, Any], used: Sequence[str], program: str) -> dict[str, Any]:
    """Returns what a card of another program says beside what we use, where writers keep it."""
    rest = {key: value for key, value in source.items() if key not in used}
    return {book_reader.OWN: {program: rest}} if rest else {}


def notices(card: Card) -> tuple[str, ...]:
    """Returns sentences about what a card wants that Flower cannot do, and what it cannot know."""
    sentences = []
    source, extensions = card.source, card.extensions
    data = mapping(source.get("data")) or source
    if not (first_text(data, "name", "char_name") or text(source.get("name"))).strip():
        sentences.append(f"The card has no name; it is called {card.name}.")
    if (number(source.get("spec_version")) or 0) > 3:
        sentences.append("The card is of a newer version than 3.0; what Flower does not know is kept.")
    if any(key in extensions for key in _SCRIPTED):
        sentences.append("The card brings JavaScript, which Flower does not run.")
    count = len(card.scripts)
    if count:
        what = (
            f"{count} scripts that change texts; they do"
            if count > 1
            else "a script that changes texts; it does"
        )
        sentences.append(f"The card brings {what} nothing until you say yes: /script list.")
    if any(asset.kind == "x-risu-asset" or asset.kind.startswith("x_") for asset in card.assets):
        sentences.append("The card brings assets that Flower cannot show; they are kept.")
    if any("l2d" in asset.uri or "live2d" in asset.kind.lower() for asset in card.assets):
        sentences.append("The card has a Live2D model, which Flower cannot show; it is kept.")
    invisible = len(_TAG_SIGNS.findall("".join(_told(card))))
    if invisible:
        sentences.append(f"The card hides {invisible} invisible signs in its texts.")
    linked = _linked_books(extensions)
    if linked:
        sentences.append(f"Lorebooks that the card names are not in the file: {linked}.")
    return tuple(sentences)


def _told(card: Card) -> tuple[str, ...]:
    """Returns the texts of a card that a model may read."""
    return (
        card.description, card.personality, card.greeting, card.scenario, card.example_dialogue,
        card.system_prompt, card.post_history_instructions, *card.alternate_greetings,
        *(entry.content for entry in (card.book.entries if card.book else ())),
    )  # fmt: skip


def _linked_books(extensions: Mapping[str, Any]) -> str:
    chub = mapping(extensions.get("chub"))
    names = [
        first_text(item, "name", "path", "id") or "without a name"
        for value in (extensions.get("additional_lorebooks"), chub.get("linked_lorebooks"),
                      chub.get("related_lorebooks"))
        for item in objects(value)
        if not isinstance(item.get("entries"), list | dict)
    ]  # fmt: skip
    names += texts(extensions.get("additional_lorebooks"))
    return ", ".join(dict.fromkeys(names[: limits.IMPORT_SPEAKERS]))


# --- A card as a character of the engine, and the way back


def character_of(card: Card, character_id: str) -> Character:
    """Returns who the card describes. What Flower does not use of it stays in the card's file."""
    clean = sanitize
    depth = card.depth_prompt
    return Character(
        id=character_id,
        name=clean(card.name),
        persona=_persona(clean(card.description), clean(card.personality)),
        nickname=clean(card.nickname),
        greeting=clean(card.greeting),
        alternate_greetings=_texts(card.alternate_greetings),
        group_greetings=_texts(card.group_greetings),
        scenario=clean(card.scenario),
        example_dialogue=clean(card.example_dialogue),
        system_prompt=clean(card.system_prompt),
        post_history_instructions=clean(card.post_history_instructions),
        depth_prompt=kinds.DepthPrompt(clean(depth.text), depth.depth, depth.role) if depth else None,
        tags=_texts(card.tags),
        creator=clean(card.creator),
        version=clean(card.version),
        notes=clean(card.creator_notes),
        talkativeness=card.talkativeness,
    )


def _texts(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sanitize(text) for text in texts if text.strip())


def _persona(description: str, personality: str) -> str:
    described = description.strip()
    if not personality.strip():
        return described
    return f"{described}\nPersonality: {personality.strip()}".strip()


def card_of(character: Character, original: Card | None = None, book: Book | None = None) -> Card:
    """Returns the character as a card: the ``original`` with what has changed since it was read.

    ``book`` is the character's own lorebook as it is now, None for the one of the original.
    """
    was = character_of(original, character.id) if original is not None else None
    card = original or Card(name=character.name)
    changes: dict[str, object] = {}
    for mine, theirs in _SAME.items():
        value = getattr(character, mine)
        if was is None or value != getattr(was, mine):
            changes[theirs] = value
    if was is None or character.persona != was.persona:
        changes |= {"description": character.persona, "personality": ""}
    depth = character.depth_prompt
    if was is None or depth != was.depth_prompt:
        changes["depth_prompt"] = DepthPrompt(depth.text, depth.depth, depth.role) if depth else None
    if book is not None and book != card.book:
        changes["book"] = book
    return replace(card, **changes) if changes else card


_SAME = {
    "name": "name", "nickname": "nickname", "greeting": "greeting", "scenario": "scenario",
    "alternate_greetings": "alternate_greetings", "group_greetings": "group_greetings",
    "example_dialogue": "example_dialogue", "system_prompt": "system_prompt",
    "post_history_instructions": "post_history_instructions", "tags": "tags", "creator": "creator",
    "version": "version", "notes": "creator_notes", "talkativeness": "talkativeness",
}  # fmt: skip
