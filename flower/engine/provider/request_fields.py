"""A prompt in the shapes that stricter APIs want.

Pure. Some APIs keep the system text apart and want user and assistant to alternate, beginning and
ending with the user; a story's prompt has system messages anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from flower.engine.provider.base import ChatMessage

OPENING = "Begin."  # said by nobody: APIs that want the first word to be the user's
GO_ON = "Go on exactly where you stopped, without repeating anything."


def split_system(messages: Sequence[ChatMessage]) -> tuple[str, tuple[ChatMessage, ...]]:
    """Returns the system messages at the start as one text, and the rest.

    System messages further down (an author's note, recalled lore) stay where they are, as the user's:
    moved to the top they would lose their weight and spoil the prompt cache.
    """
    count = 0
    while count < len(messages) and messages[count].role == "system":
        count += 1
    system = "\n\n".join(message.content for message in messages[:count])
    rest = (
        ChatMessage("user", message.content) if message.role == "system" else message
        for message in messages[count:]
    )
    return system, tuple(rest)


def alternating(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Returns the messages with neighbours of the same role merged, beginning with the user."""
    merged: list[ChatMessage] = []
    for message in messages:
        if not message.content.strip():
            continue
        if merged and merged[-1].role == message.role:
            merged[-1] = ChatMessage(message.role, f"{merged[-1].content}\n\n{message.content}")
        else:
            merged.append(message)
    if not merged or merged[0].role != "user":
        merged.insert(0, ChatMessage("user", OPENING))
    return merged


def ending_with_user(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Returns the messages, with a request to go on when the assistant spoke last."""
    if messages and messages[-1].role == "assistant":
        return [*messages, ChatMessage("user", GO_ON)]
    return messages


# --- What a model at an endpoint would not take.
#
# Pure. Owns the fields that were refused, per model, for the life of the process. A refused sampler
# setting is left out of later requests instead of failing every turn.

# Without these a request means nothing; leaving them out cannot help.
_NEEDED = frozenset(
    {"model", "messages", "contents", "prompt", "stream", "system", "systemInstruction"}
)
_CONTENT = frozenset({"messages", "contents", "prompt", "system", "systemInstruction"})


class Refusals:
    """Remembers refused fields. ``needed`` can never be left out, beside what every API needs."""

    def __init__(self, needed: Collection[str] = ()) -> None:
        self._needed = _NEEDED | frozenset(needed)
        self._fields: dict[str, set[str]] = {}

    def add(self, model: str, field: str) -> bool:
        """Remembers one; returns False when leaving it out is no help or has been tried."""
        fields = self._fields.setdefault(model, set())
        if field in self._needed or field in fields:
            return False
        fields.add(field)
        return True

    def of(self, model: str) -> frozenset[str]:
        """Returns the fields ``model`` has refused."""
        return frozenset(self._fields.get(model, ()))


def not_sent(
    wanted: Iterable[str], sent_as: Mapping[str, str], refused: Collection[str]
) -> tuple[str, ...]:
    """Returns which of the wanted parameters are not sent: without a field here, or with one that was refused."""
    return tuple(name for name in wanted if name not in sent_as or sent_as[name] in refused)


def without(body: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """Returns ``body`` without ``fields``, also inside option objects, never inside the prompt."""
    if not fields:
        return dict(body)
    return {
        name: without(value, fields) if isinstance(value, dict) and name not in _CONTENT else value
        for name, value in body.items()
        if name not in fields
    }


def field_names(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of the fields that were sent and could be refused, deepest names included."""
    names: list[str] = []
    for name, value in body.items():
        names.append(name)
        if isinstance(value, dict) and name not in _CONTENT:
            names += field_names(value)
    return tuple(dict.fromkeys(names))
