"""One generation: prepare, stream, publish, save.

A turn owns its cancel scope and the text of its reply until that is saved. It runs in the engine's
nursery, not in a connection's, so it outlives whoever asked. Whatever happens inside, it ends in the
same way: the text so far is saved, then exactly one ``chat_end`` is published.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Literal, assert_never

import msgspec
import trio
from msgspec import UNSET, Struct

from flower import limits
from flower.engine.preparation import Gathered, Order, Prepared, Services, compose, gather
from flower.engine.prompt.tokens import TokenCounter
from flower.engine.provider.base import Finish, Loading, Piece, Reasoning, Spent, Text
from flower.engine.provider.streaming import Stream, stream
from flower.engine.sanitize import sanitize
from flower.engine.store import stories
from flower.errors import FlowerError, ProviderError, StoreError, only
from flower.protocol import (
    ChatEnd,
    EndMeta,
    ErrorEvent,
    ErrorMeta,
    Progress,
    State,
    SystemUpdate,
    Usage,
)

log = logging.getLogger(__name__)

EndReason = Literal["done", "stopped", "length", "blocked", "interrupted", "error"]
STATUS_OF: dict[EndReason, str] = {"done": "complete"}  # every other reason is its own status
SHRINK_SHARE = 0.7  # of the context that was refused, when the refusal has no numbers
SPEED_AFTER_S = 0.25  # tokens per second of a shorter time say nothing


class Outcome(Struct, frozen=True):
    """How a turn ended, and what it taught about the model."""

    reason: EndReason
    saved: bool
    counter: TokenCounter
    context_limit: int | None
    tokens: int  # of the reply, as we count them
    first_text_s: float | None  # from accepting the line to the first text
    elsewhere: bool  # a fallback narrated: what was learned is not about the model that was asked
    trouble: str  # the kind of error it ended with, "" for none
    prepared: Prepared | None  # the last prompt, if it came to one


class Turn:
    """Carries out one ``Order``."""

    def __init__(self, services: Services, order: Order) -> None:
        self._services = services
        self._order = order
        self._scope = trio.CancelScope()
        self._cancel_reason: EndReason = "stopped"
        self._prepared: Prepared | None = None
        self._unrecorded: Callable[[sqlite3.Connection], None] | None = None
        self._spent: Spent | None = None
        self._finish: Finish | None = None
        self._started = trio.current_time()
        self._first_text = 0.0
        self._tokens = 0
        self._elsewhere = False  # a fallback was asked
        self._flushed = order.reply.length
        self._progress_shown = 0.0

    def cancel(self, reason: EndReason = "stopped") -> None:
        """Ends the turn now; what has been written so far is kept."""
        self._cancel_reason = reason
        self._scope.cancel()

    async def run(self) -> Outcome:
        """Returns how it ended. Only cancellation of the whole engine passes through, after saving."""
        reason: EndReason = "interrupted"
        error: FlowerError | None = None
        try:
            with self._scope:
                reason, error = await self._generate_and_flush()
            if self._scope.cancelled_caught:
                reason = self._cancel_reason
        except Exception as bug:  # the turn's edge: a bug in one reply must not end the engine
            log.exception("turn=%s crashed", self._order.reply.turn)
            kind = type(only(bug)).__name__
            reason, error = (
                "error",
                FlowerError(f"The engine failed on this reply ({kind}); see its log."),
            )
        finally:
            saved = await self._end(reason, error)
        waited = self._first_text - self._started if self._first_text else None
        trouble = _kind_of(error) if error is not None else ""
        limit = self._order.context_limit
        return Outcome(
            reason,
            saved,
            self._counter(),
            limit,
            self._tokens,
            waited,
            self._elsewhere,
            trouble,
            self._prepared,
        )

    async def _generate_and_flush(self) -> tuple[EndReason, FlowerError | None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._flush_regularly)
            try:
                return await self._generate(), None
            except ProviderError as failed:
                return _reason_of(failed), failed
            except FlowerError as failed:
                return "error", failed
            finally:
                nursery.cancel_scope.cancel()

    async def _generate(self) -> EndReason:
        gathered = await gather(self._services, self._order)
        try:
            return await self._stream(gathered)
        except ProviderError as error:
            if error.kind != "context_exceeded" or self._tokens:
                raise
            self._shrink(error)
        self._order.session.publish(
            SystemUpdate("The prompt was too long for this model; trying a shorter one.")
        )
        return await self._stream(gathered)

    async def _stream(self, gathered: Gathered) -> EndReason:
        """Streams one completion to its end."""
        order = self._order
        self._prepared = await compose(self._services, order, gathered)
        self._unrecorded = self._prepared.record
        streaming = stream(
            order.provider, self._prepared.completion, rng=self._services.rng, fallbacks=order.fallbacks
        )
        try:
            async with streaming:
                async for piece in streaming:
                    self._take(piece, streaming)
                    if order.reply.full:
                        return "length"
        finally:
            self._elsewhere = (streaming.provider, streaming.model) != (order.provider, order.model)
            for note in streaming.notes:
                order.session.tell_once(note)
        return self._finish.reason if self._finish is not None else "interrupted"

    def _shrink(self, error: ProviderError) -> None:
        """Prepares a second try after the prompt was refused, with the numbers in the refusal."""
        prepared, order = self._prepared, self._order
        assert prepared is not None
        context, counter = prepared.completion.context_tokens, prepared.counter
        limit = error.limit_tokens or context
        if error.used_tokens:  # exact: taken as it is, not averaged with what turned out wrong
            unchecked = msgspec.structs.replace(counter, checked=False)
            counter = unchecked.calibrated(prepared.assembled.tokens, error.used_tokens)
        else:  # of what was asked for, which may have been far below the limit
            asked = prepared.assembled.tokens + prepared.completion.max_tokens
            limit = int(min(limit, asked) * SHRINK_SHARE)
        self._order = msgspec.structs.replace(order, context_limit=limit, counter=counter)

    def _counter(self) -> TokenCounter:
        """Returns the counter as corrected by everything this turn has learned."""
        if self._prepared is None:
            return self._order.counter
        if self._spent is None:
            return self._prepared.counter
        return self._prepared.counter.calibrated(
            self._prepared.assembled.tokens, self._spent.prompt_tokens
        )

    def _take(self, piece: Piece, streaming: Stream) -> None:
        reply, session = self._order.reply, self._order.session
        match piece:
            case Text(text):
                if not self._first_text:
                    self._begin_text(streaming)
                clean = sanitize(text)
                self._tokens += self._order.counter.count(clean)
                chunk = reply.append(clean, self._speed())
                if chunk is not None:
                    session.publish(chunk)
            case Reasoning(text):
                session.publish(reply.think(sanitize(text), self._speed()))
            case Loading(what, done, total):
                self._show_progress(Progress(what, done, total))
            case Spent():
                self._spent = piece
            case Finish():
                self._finish = piece
            case _:
                assert_never(piece)

    def _begin_text(self, streaming: Stream) -> None:
        self._first_text = trio.current_time()
        if (streaming.provider, streaming.model) != (self._order.provider, self._order.model):
            self._order.reply.model = f"{streaming.provider.name}/{streaming.model}"
        if self._progress_shown:
            self._order.session.publish(SystemUpdate("✓ The narrator begins.", State(progress=None)))

    def _show_progress(self, progress: Progress) -> None:
        now = trio.current_time()
        if self._progress_shown and now - self._progress_shown < limits.PROGRESS_INTERVAL_S:
            return
        self._progress_shown = now
        self._order.session.publish(SystemUpdate(f"{progress.what} …", State(progress=progress)))

    def _speed(self) -> float:
        """Returns tokens per second of wall time since the first text; 0.0 until that means something."""
        elapsed = trio.current_time() - self._first_text
        return self._tokens / elapsed if self._first_text and elapsed > SPEED_AFTER_S else 0.0

    # --- saving ---------------------------------------------------------------------------------

    async def _flush_regularly(self) -> None:
        """Brings the growing reply to the disk, so that a power cut costs half a second of it."""
        reply = self._order.reply
        while True:
            await trio.sleep(limits.FLUSH_INTERVAL_S)
            if reply.length == self._flushed and self._unrecorded is None:
                continue
            length = reply.length
            try:
                await self._save("streaming")
            except StoreError as error:
                log.warning("turn=%s not flushed: %s", reply.turn, error)
            self._flushed = length

    async def _save(self, status: str, usage: Usage | None = None) -> None:
        """Writes the text so far, and once what its prompt was made of, in one transaction."""
        reply, record = self._order.reply, self._unrecorded
        text, model = reply.text, reply.model  # taken here: the reply grows while the thread writes
        spent = msgspec.to_builtins(usage) if usage is not None else None

        def save(db: sqlite3.Connection) -> None:
            if record is not None:
                record(db)
            stories.save_reply(db, reply.message_id, text, status, spent, model)

        await self._services.database.write(save)
        if self._unrecorded is record:
            self._unrecorded = None

    async def _end(self, reason: EndReason, error: FlowerError | None) -> bool:
        """Saves the reply, then tells the watchers; returns whether it could be saved."""
        reply, session = self._order.reply, self._order.session
        usage = self._usage()
        failure = await self._save_end(reason, usage)
        if failure:
            log.error("turn=%s %s", reply.turn, failure)
            text = f"{failure}. The reply stays on screen and is tried again."
            session.publish(ErrorEvent(text, ErrorMeta("store")))
        if error is not None:
            session.publish(ErrorEvent(str(error), ErrorMeta(_kind_of(error), reply.turn)))
        elif reason == "blocked" and self._finish is not None:
            detail = self._finish.detail or "no reason given"
            session.publish(
                ErrorEvent(
                    f"The provider blocked this reply: {detail}.", ErrorMeta("blocked", reply.turn)
                )
            )
        session.publish(self._end_event(reason, usage))
        return not failure

    async def _save_end(self, reason: EndReason, usage: Usage) -> str:
        """Saves the whole reply, also when the turn was cancelled; returns what kept it from that."""
        with trio.move_on_after(limits.SAVE_SHIELD_S, shield=True):
            try:
                await self._save(STATUS_OF.get(reason, reason), usage)
            except StoreError as failed:
                return str(failed)
            return ""
        return "not saved: the disk does not answer"

    def _usage(self) -> Usage:
        if self._spent is not None:
            spent = self._spent
            return Usage(spent.prompt_tokens, spent.completion_tokens, spent.cached_tokens)
        prompt = self._prepared.assembled.tokens if self._prepared is not None else 0
        return Usage(prompt, self._tokens, estimated=True)

    def _end_event(self, reason: EndReason, usage: Usage) -> ChatEnd:
        reply = self._order.reply
        cost = self._cost(usage)
        return ChatEnd(
            "",
            EndMeta(
                total_tokens=usage.prompt_tokens + usage.completion_tokens,
                reason=reason,
                turn=reply.turn,
                message=reply.message_id,
                session=self._order.session.id,
                usage=usage,
                cost=cost if cost is not None else UNSET,
                seconds=round(trio.current_time() - self._started, 2),
                tokens_per_second=round(self._speed(), 1),
            ),
        )

    def _cost(self, usage: Usage) -> float | None:
        """Returns USD: what the provider says, else price times tokens, else None for unknown."""
        if self._spent is not None and self._spent.cost is not None:
            return self._spent.cost
        info = self._order.info
        if self._elsewhere:
            return None  # the price is another model's
        if (
            info is None
            or info.price_varies
            or info.prompt_price is None
            or info.completion_price is None
        ):
            return None
        per_million = (
            usage.prompt_tokens * info.prompt_price + usage.completion_tokens * info.completion_price
        )
        return per_million / 1_000_000


def _kind_of(error: FlowerError) -> str:
    return error.kind if isinstance(error, ProviderError) else "engine"


def _reason_of(error: ProviderError) -> EndReason:
    if error.kind == "blocked":
        return "blocked"
    return "interrupted" if error.kind in ("interrupted", "timeout_idle", "network") else "error"
