"""A prompt in the shapes that stricter APIs want.

Pure. Some APIs keep the system text apart and want user and assistant to alternate, beginning and
ending with the user; a story's prompt has system messages anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
