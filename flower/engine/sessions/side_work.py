"""Work beside the replies: what one client asked for that is no part of a story, and requests to a model for it.

``SideTasks`` are small pieces of work, one at a time for each client: what a client begins ends with its next one, with
``/cancel`` and when it leaves. They run in the engine's nursery, beside the turns; nothing here knows what the work is.

``side_stream`` is a model's answer beside the replies (drafts, suggestions, summaries, what is prepared), counted like
a reply. Whoever asks for one, or whose line led to it, may have used what they may: what was asked for is refused
before it comes here, what would be done in the background is not begun.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from flower import limits
from flower.engine.prompt.model import ChosenModel
from flower.engine.provider.answers import Prepared
from flower.engine.provider.base import Completion, Piece, Provider, Reasoning, Spent, Text
from flower.engine.provider.retry import Stream
from flower.engine.sessions.runtime import Runtime, SideUse
from flower.engine.sessions.session import Client
from flower.engine.sessions.turn_outcome import cost_of
from flower.engine.token_counter import MESSAGE_TOKENS
from flower.errors import FlowerError
from flower.protocol.messages import ErrorEvent, ErrorMeta, Usage

log = logging.getLogger(__name__)

SIDE_TASK_DEADLINE_S = 600.0  # a small board reads a whole story in parts


class SideTasks:
    """The work under way, by the client that asked for it. ``kind``: of the errors it ends in."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        kind: str = "side_task",
        deadline_s: float = SIDE_TASK_DEADLINE_S,
    ) -> None:
        self._nursery = nursery
        self._kind = kind
        self._deadline_s = deadline_s
        self._running: dict[Client, trio.CancelScope] = {}

    def begin(self, client: Client, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Starts ``work``; what the client had begun before ends. ``what`` names it in sentences: "suggestions"."""
        self.cancel(client)
        scope = self._running[client] = trio.CancelScope()
        self._nursery.start_soon(self._run, client, what, work, scope)

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self._running)

    def cancel(self, client: Client) -> bool:
        """Ends what a client has begun; returns whether there was anything."""
        scope = self._running.pop(client, None)
        if scope is not None:
            scope.cancel()
        return scope is not None

    async def _run(
        self, client: Client, what: str, work: Callable[[], Awaitable[None]], scope: trio.CancelScope
    ) -> None:
        try:
            with scope, trio.move_on_after(self._deadline_s) as deadline:
                await work()
            if deadline.cancelled_caught:
                client.notify(
                    f"✗ No {what}: the model was not done in {self._deadline_s / 60:.0f} minutes."
                )
        except FlowerError as error:
            client.send(ErrorEvent(f"No {what}: {error}", ErrorMeta(self._kind)))
        except Exception as bug:  # an edge like a turn's: a bug here must not end the engine
            log.exception("%s for %r crashed", what, client)
            text = f"No {what}: the engine failed ({type(bug).__name__}); see its log."
            client.send(ErrorEvent(text, ErrorMeta("engine")))
        finally:
            if self._running.get(client) is scope:
                del self._running[client]


# --- requests ---------------------------------------------------------------------------------------


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
