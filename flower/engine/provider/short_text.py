"""The text of a small request that no player reads as it comes: a summary, a draft, suggestions. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from typing import Protocol

from flower.engine.provider.base import Piece, Text, Withdrawn


class Watch(Protocol):
    """Reads a text as it grows."""

    def feed(self, text: str) -> int | None:
        """Returns how many characters of the whole text are worth keeping; None while it goes on well."""


_WATCHED_CHARS = 200


async def short_text(pieces: AsyncIterable[Piece], most_chars: int, watch: Callable[[], Watch]) -> str:
    """Returns the story of a completion that has room for thinking beside it, cut where it is long enough.

    ``watch`` makes what notices that it goes round in circles: then it ends where it was still worth keeping.
    """
    text, circles = "", watch()
    async for piece in pieces:
        if isinstance(piece, Text):
            for at in range(0, len(piece.text), _WATCHED_CHARS):  # some services send all of it at once
                worth = circles.feed(piece.text[at : at + _WATCHED_CHARS])
                if worth is not None:
                    return (text + piece.text)[:worth]
            text += piece.text
        elif isinstance(piece, Withdrawn):
            text, circles = "", watch()
        if len(text) >= most_chars:
            break
    return text
