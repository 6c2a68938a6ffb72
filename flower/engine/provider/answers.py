"""Answers that nobody watches as they come: prepared ones, played later as if they came then, and short texts.

A prepared answer has the pieces of one completion that has ended well, nothing of one that has not, and no more of
them than whoever asks would read. Knows nothing of when and what to prepare.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Protocol

import trio
from msgspec import Struct

from flower import limits
from flower.engine.provider.base import (
    Completion,
    Finish,
    Loading,
    Piece,
    Provider,
    Reasoning,
    Text,
    Withdrawn,
)


class Answering(Protocol):
    """A request under way: its pieces, and who answers it, which may change."""

    @property
    def provider(self) -> Provider: ...

    @property
    def body(self) -> dict[str, Any] | None: ...

    def __aiter__(self) -> AsyncIterator[Piece]: ...


class Prepared(Struct, frozen=True):
    """The answer of ``provider`` to ``completion``, which has ended well; ``body``: the request as it was sent."""

    provider: Provider
    completion: Completion
    pieces: tuple[Piece, ...]
    body: dict[str, Any] | None

    def open(self) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        """Returns the pieces, to be entered like a provider's own stream."""
        return _Replay(self)


class _Replay:
    """The pieces once more, with the body of their request."""

    def __init__(self, prepared: Prepared) -> None:
        self.body = prepared.body
        self._pieces = _played(prepared.pieces)

    async def __aenter__(self) -> AsyncIterator[Piece]:
        return self._pieces

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pieces.aclose()  # type: ignore[attr-defined] # a generator, closed where it was opened


async def _played(pieces: tuple[Piece, ...]) -> AsyncIterator[Piece]:
    for piece in pieces:
        await trio.lowlevel.checkpoint()  # whoever listens gets them as they come
        yield piece


async def answer_of(
    streaming: Answering, provider: Provider, completion: Completion, most_chars: int
) -> Prepared | None:
    """Returns the answer, to its end or to where its story has ``most_chars``; None if another provider stepped in.

    Raises ``ProviderError`` like the stream.
    """
    pieces: list[Piece] = []
    chars = thoughts = 0
    async for piece in streaming:
        if isinstance(piece, Loading):  # it is over
            continue
        pieces.append(piece)
        if isinstance(piece, Text):
            chars += len(piece.text)
        elif isinstance(piece, Reasoning):
            thoughts += len(piece.text)
        if chars >= most_chars or thoughts > limits.REPLY_CHARS:
            pieces.append(Finish("length"))
            break
    if streaming.provider is not provider or not pieces or not isinstance(pieces[-1], Finish):
        return None
    return Prepared(provider, completion, tuple(pieces), streaming.body)


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
