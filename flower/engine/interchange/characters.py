"""A card as a character of the engine, and the way back. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from flower.engine.assets import Character, DepthPrompt
from flower.engine.interchange.values import Card
from flower.engine.interchange.values import DepthPrompt as CardDepthPrompt
from flower.engine.lorebook.book import Book
from flower.text import sanitize


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
        depth_prompt=DepthPrompt(clean(depth.text), depth.depth, depth.role) if depth else None,
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
        changes["depth_prompt"] = (
            CardDepthPrompt(depth.text, depth.depth, depth.role) if depth else None
        )
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
