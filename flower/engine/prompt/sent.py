"""The exact text of a request, for whoever wants to see what a model was sent. Pure.

Reads the body of a request whatever API it is for: what is prompt is text under its role, everything
else as JSON. A request that went nowhere, such as the offline narrator's, is shown by its messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from flower.engine.provider.base import PromptMessage

PAGE_CHARS = 6_000  # a few screens
_TEXTS = ("messages", "contents", "system", "systemInstruction", "prompt")


class SentPrompt(Struct, frozen=True):
    """A request as it was sent last. ``body`` is what went over the wire, None if nothing did."""

    message_id: int
    model: str
    messages: tuple[PromptMessage, ...]
    body: Mapping[str, Any] | None = None


def text_of(sent: SentPrompt) -> str:
    """Returns the whole request as text."""
    body = sent.body if sent.body is not None else {"messages": _plain(sent)}
    fields = {name: value for name, value in body.items() if name not in _TEXTS}
    parts = [f"To {sent.model}, for message {sent.message_id}:"]
    if sent.body is None:
        parts[0] = f"Nothing was sent anywhere; {sent.model} had this, for message {sent.message_id}:"
    if fields:
        parts.append(json.dumps(fields, ensure_ascii=False, default=str))
    for name in ("system", "systemInstruction", "messages", "contents", "prompt"):
        if name in body:
            parts += _shown(name, body[name])
    return "\n\n".join(parts)


def page_of(text: str, number: int) -> tuple[str, int]:
    """Returns a page of a text, from 1, and how many there are; pages end at the end of a line if they can."""
    pages = list(_pages(text))
    return pages[min(max(number, 1), len(pages)) - 1], len(pages)


def _pages(text: str) -> Iterator[str]:
    start = 0
    while start < len(text) or start == 0:
        end = min(start + PAGE_CHARS, len(text))
        if end < len(text):
            cut = text.rfind("\n", start + PAGE_CHARS // 2, end)
            end = cut + 1 if cut > 0 else end
        yield text[start:end]
        if end >= len(text):
            return
        start = end


def _plain(sent: SentPrompt) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in sent.messages]


def _shown(name: str, value: object) -> list[str]:
    """Returns the texts of one field, each under its role."""
    if isinstance(value, str):
        return [f"--- {name} ---\n{value}"]
    if name in ("system", "systemInstruction"):
        return [f"--- system ---\n{_words(value)}"]
    rows = value if isinstance(value, list) else [value]
    return [
        f"--- {row.get('role', name)} ---\n{_words(row.get('content', row.get('parts')))}"
        if isinstance(row, dict)
        else f"--- {name} ---\n{row}"
        for row in rows
    ]


def _words(content: object) -> str:
    """Returns the text of a message, which some APIs put into a list of blocks."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _words(content["parts"]) if "parts" in content else str(content.get("text", ""))
    if isinstance(content, list):
        return "".join(_words(part) for part in content)
    return ""
