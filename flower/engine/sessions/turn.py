"""One generation: prepare, stream, publish, save.

A turn owns its cancel scope and the text of its reply until that is saved. It runs in the engine's
nursery, not in a connection's, so it outlives whoever asked. Whatever happens inside, it ends in the
same way: the text so far is saved, then exactly one ``chat_end`` is published.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import assert_never

import msgspec
import trio

from flower import limits
from flower.engine.game.proposals import Parting
from flower.engine.prompt.context import Gathered, Order, Prepared, Services, gather
from flower.engine.prompt.request import compose, shorter
from flower.engine.prompt.tokens import TokenCounter
from flower.engine.provider.base import Finish, Loading, Piece, Reasoning, Spent, Text
from flower.engine.provider.retry import Stream, stream
from flower.engine.sanitize import sanitize
from flower.engine.sessions.turn_outcome import (
    STATUS_OF,
    EndReason,
    Outcome,
    complaint_of,
    cost_of,
    end_event,
    kind_of,
    reason_of,
    usage_of,
)
from flower.engine.store import streaming_text
from flower.errors import FlowerError, ProviderError, StoreError, only
from flower.protocol.messages import (
    ErrorEvent,
    ErrorMeta,
    Progress,
    State,
    SystemUpdate,
    Usage,
)

log = logging.getLogger(__name__)

SPEED_AFTER_S = 0.25  # tokens per second of a shorter time say nothing


class Turn:
    """Carries out one ``Order``."""

    def __init__(self, services: Services, order: Order, voiced: Callable[[Order, str], Order]) -> None:
        self._services = services
        self._order = order
        self._voiced = voiced
        self.asked = order.reply.model  # id of the model that is to tell the reply
        self._scope = trio.CancelScope()
        self._cancel_reason: EndReason = "stopped"
        self._prepared: Prepared | None = None
        self._parting = Parting() if services.narrator_updates else None
        self._unrecorded: Callable[[sqlite3.Connection], str] | None = None
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
            self._tell_rest()
            saved = await self._end(reason, error)
        waited = self._first_text - self._started if self._first_text else None
        trouble = kind_of(error) if error is not None else ""
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
                return reason_of(failed), failed
            except FlowerError as failed:
                return "error", failed
            finally:
                nursery.cancel_scope.cancel()

    async def _generate(self) -> EndReason:
        gathered = await gather(self._services, self._order)
        self._choose_voice(gathered.direction.model)
        try:
            return await self._stream(gathered)
        except ProviderError as error:
            if error.kind != "context_exceeded" or self._tokens:
                raise
            assert self._prepared is not None  # it was refused, so it was sent
            self._order = shorter(self._order, self._prepared, error)
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
                    if order.reply.full or (self._parting is not None and self._parting.full):
                        return "length"
        finally:
            self._elsewhere = (streaming.provider, streaming.model) != (order.provider, order.model)
            for note in streaming.notes:
                order.session.tell_once(note)
        return self._finish.reason if self._finish is not None else "interrupted"

    def _choose_voice(self, model_id: str) -> None:
        """Lets the speaker's own model tell the reply, if there is one and it is there."""
        order = self._order
        if not model_id or model_id == order.reply.model:
            return
        try:
            self._order = self._voiced(order, model_id)
        except ProviderError as error:
            order.session.tell_once(f"✗ {error} The story's model speaks instead.")
            return
        self.asked = order.reply.model = model_id

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
                self._tell(self._parting.take(clean) if self._parting is not None else clean)
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

    def _tell(self, text: str) -> None:
        chunk = self._order.reply.append(text, self._speed())
        if chunk is not None:
            self._order.session.publish(chunk)

    def _tell_rest(self) -> None:
        """Tells what waited for more text, now that none comes; what is no story is set aside."""
        if self._parting is not None:
            self._tell(self._parting.end())
            self._order.reply.proposed = self._parting.block

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
            try:
                await self._flush()
            except StoreError as error:
                log.warning("turn=%s not flushed: %s", reply.turn, error)

    async def _flush(self) -> None:
        """Appends what has come since the last flush."""
        reply, at = self._order.reply, self._flushed
        new, model = reply.text[at:], reply.model  # taken here: the reply grows while the thread writes
        await self._save(lambda db: streaming_text.append(db, reply.message_id, at, new, model))
        self._flushed = at + len(new)

    async def _save(self, write: Callable[[sqlite3.Connection], None]) -> None:
        """Writes in one transaction with what the prompt was made of, if that is not on disk yet."""
        record = self._unrecorded

        def save(db: sqlite3.Connection) -> str:
            note = record(db) if record is not None else ""
            write(db)
            return note

        try:
            note = await self._services.database.write(save)
        except StoreError:
            raise
        except Exception:  # a bug in what goes along must not cost the words
            if record is None:
                raise
            log.exception("turn=%s what its prompt was made of is not kept", self._order.reply.turn)
            await self._services.database.write(write)
            note = ""
        if note:
            self._order.session.tell_once(note)
        if self._unrecorded is record:
            self._unrecorded = None

    async def _end(self, reason: EndReason, error: FlowerError | None) -> bool:
        """Saves the reply, then tells the watchers; returns whether it could be saved."""
        reply, session = self._order.reply, self._order.session
        usage = usage_of(self._prepared, self._spent, self._tokens)
        failure = await self._save_end(reason, usage)
        if failure:
            log.error("turn=%s %s", reply.turn, failure)
            text = f"{failure}. The reply stays on screen and is tried again."
            session.publish(ErrorEvent(text, ErrorMeta("store")))
        complaint = complaint_of(reply.turn, reason, error, self._finish)
        if complaint is not None:
            session.publish(complaint)
        cost = cost_of(self._order.info, usage, self._spent, elsewhere=self._elsewhere)
        seconds = trio.current_time() - self._started
        session.publish(end_event(session.id, reply, reason, usage, cost, seconds, self._speed()))
        return not failure

    async def _save_end(self, reason: EndReason, usage: Usage) -> str:
        """Saves the whole reply, also when the turn was cancelled; returns what kept it from that."""
        reply, status = self._order.reply, STATUS_OF.get(reason, reason)
        text, model, spent = reply.text, reply.model, msgspec.to_builtins(usage)
        with trio.move_on_after(limits.SAVE_SHIELD_S, shield=True):
            try:
                await self._save(
                    lambda db: streaming_text.end(db, reply.message_id, text, status, spent, model)
                )
            except StoreError as failed:
                return str(failed)
            except Exception as bug:  # the end of a turn: its watchers wait for word of it
                log.exception("turn=%s could not be saved", reply.turn)
                return f"not saved: the engine failed ({type(bug).__name__}); see its log"
            return ""
        return "not saved: the disk does not answer"
