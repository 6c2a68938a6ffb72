"""Requests to a model beside the replies: drafts, suggestions, summaries, what is prepared. Counted like replies.

Owns what they use and who pays for it. Whoever asks for one, or whose line led to it, may have used what they may: what
was asked for is refused before it comes here, what would be done in the background is not begun.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from flower import limits
from flower.engine.prompt.model import ChosenModel
from flower.engine.provider.answers import Prepared
from flower.engine.provider.base import Completion, Piece, Provider, Reasoning, Spent, Text
from flower.engine.provider.retry import Stream
from flower.engine.sessions.runtime import Runtime, SideUse
from flower.engine.sessions.turn_outcome import cost_of
from flower.engine.token_counter import MESSAGE_TOKENS
from flower.protocol.messages import Usage


class SideStream:
    """The pieces of a request, watched for what they cost."""

    def __init__(self, streaming: Stream, model: ChosenModel, completion: Completion) -> None:
        self._streaming = streaming
        self._pieces = aiter(streaming)
        self._model = model
        self._completion = completion
        self._written = 0  # tokens
        self._spent: Spent | None = None
        self._answered = False

    @property
    def provider(self) -> Provider:
        """Who answers."""
        return self._streaming.provider

    @property
    def body(self) -> dict[str, Any] | None:
        """The body of the request as it was sent."""
        return self._streaming.body

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self

    async def __anext__(self) -> Piece:
        # No generator: whoever has read enough goes away in the middle, and nothing is left to be closed.
        piece = await anext(self._pieces)
        self._answered = True
        if isinstance(piece, Text | Reasoning):
            self._written += self._model.counter.count(piece.text)
        elif isinstance(piece, Spent):
            self._spent = piece
        return piece

    def used(self, client: str) -> SideUse | None:
        """Returns what it has used so far, None if nothing was answered."""
        if not self._answered:
            return None
        spent, count = self._spent, self._model.counter.count
        read = sum(count(one.content) + MESSAGE_TOKENS for one in self._completion.messages)
        usage = (
            Usage(spent.prompt_tokens, spent.completion_tokens)
            if spent is not None
            else Usage(read, self._written, estimated=True)
        )
        cost = cost_of(self._model.info, usage, spent, elsewhere=False) or 0.0
        return SideUse(client, usage.prompt_tokens + usage.completion_tokens, cost)


@asynccontextmanager
async def side_stream(
    runtime: Runtime,
    client: str,
    model: ChosenModel,
    completion: Completion,
    *,
    tries: int = limits.TRIES_BEFORE_FIRST_PIECE,
    prepared: Prepared | None = None,
) -> AsyncIterator[SideStream]:
    """The answer of a model, counted for a client's user when it ends, however it ends.

    ``prepared``: what was answered before, and counted then. Raises ``ProviderError`` like ``Stream``.
    """
    async with Stream(
        model.provider, completion, rng=runtime.services.rng, prepared=prepared, tries=tries
    ) as streaming:
        side = SideStream(streaming, model, completion)
        try:
            yield side
        finally:
            used = side.used(client) if prepared is None else None
            if used is not None:
                runtime.spent(used)
