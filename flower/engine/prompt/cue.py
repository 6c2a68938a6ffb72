"""What the offline narrator goes by: the same moment as in the prompt, in its parts. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal

from flower import limits
from flower.engine.game.checks import WORKED
from flower.engine.prompt.context import Context, Services, TurnInput
from flower.engine.prompt.sections import WAITING
from flower.engine.provider.base import ChatMessage, Cue
from flower.engine.store.passages import Passage
from flower.engine.store.stories import Message


def cue_of(services: Services, turn: TurnInput, context: Context) -> Cue:
    """Returns the moment that the reply is to answer."""
    world, character = context.direction.world, context.direction.character
    seed = services.seed if services.seed is not None else zlib.crc32(turn.session_id.encode())
    return Cue(
        line=WAITING if turn.continues else turn.line,
        world=world.name if world is not None else "",
        scene=world.scene if world is not None else "",
        character=character.name if character is not None else "",
        persona=character.persona if character is not None else "",
        lore=tuple(_headed(item.passage) for item in context.found if item.passage.kind == "lore"),
        memories=tuple(item.passage.text for item in context.found if item.passage.kind == "memory"),
        story=tuple(_spoken(m) for m in context.path[-limits.CUE_MESSAGES :] if m.role != "system"),
        turn_number=sum(message.role == "user" for message in context.path) - 1,
        seed=seed + turn.variant,
        outcome=_outcome(context.path),
    )


def _outcome(path: Sequence[Message]) -> Literal["", "strong", "miss"]:
    """Returns what dice right before the newest line, or in its place, have decided."""
    for message in path[:-3:-1]:
        if message.role == "assistant":
            break
        if message.role == "system":
            degree = message.extra.roll.degree if message.extra.roll is not None else None
            return "" if degree is None else "strong" if degree in WORKED else "miss"
    return ""


def _spoken(message: Message) -> ChatMessage:
    return ChatMessage("user" if message.role == "user" else "assistant", message.content)


def _headed(passage: Passage) -> str:
    """Returns a passage under its heading: where lore stands says whether it is a secret."""
    return f"## {passage.title}\n{passage.text}" if passage.title else passage.text
