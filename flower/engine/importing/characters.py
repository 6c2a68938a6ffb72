"""A card as a character of the engine. Pure."""

from __future__ import annotations

from flower.engine.assets import Character, DepthPrompt
from flower.engine.interchange.values import Card
from flower.engine.sanitize import sanitize


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
