"""A chat as the nodes of a story's tree, and the marks by which its other files are known. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from flower.engine.interchange import chat_tree
from flower.engine.interchange.values import Chat
from flower.engine.store.imported_chats import ChatNode
from flower.text import sanitize


def nodes_of(chat: Chat, now: float) -> tuple[list[ChatNode], int | None]:
    """Returns a node for every text of a chat, and the index of the one it ends at.

    A message follows one variant of the message before it. A text without a date has that of the text
    before it, else of the chat, else ``now``.
    """
    nodes: list[ChatNode] = []
    starts: list[int] = []
    for message in chat.messages:
        starts.append(len(nodes))
        parent = None if message.parent is None else starts[message.parent] + message.parent_variant
        above = nodes[parent].created if parent is not None else chat.created or now
        for number, variant in enumerate(message.variants):
            nodes.append(
                ChatNode(
                    parent,
                    message.role,
                    sanitize(variant.text),
                    variant.sent if variant.sent is not None else above,
                    sanitize(variant.model),
                    sanitize(message.name),
                    message.hidden,
                    number == message.chosen,
                )
            )
    return nodes, _leaf(chat, starts)


def _leaf(chat: Chat, starts: Sequence[int]) -> int | None:
    ends = [ending.leaf for ending in chat.endings if ending.leaf is not None]
    leaf = ends[0] if ends else chat_tree.last(chat.messages)
    return None if leaf is None else starts[leaf] + chat.messages[leaf].chosen


def marks_of(chat: Chat) -> list[bytes]:
    """Returns what files of one chat have in common, as short as it can be kept."""
    return [
        hashlib.sha256(repr(mark).encode("utf-8", "replace")).digest() for mark in chat_tree.marks(chat)
    ]


def speakers(chat: Chat) -> list[str]:
    """Returns the names under which the narrator's side speaks, the most talkative first."""
    counts: dict[str, int] = {}
    for message in chat.messages:
        if message.role == "assistant" and message.name:
            counts[message.name] = counts.get(message.name, 0) + 1
    return sorted(counts, key=lambda name: -counts[name])
