"""What comes of a turn: why it ended, what it took, its reply on the disk, and the events that tell it.

The growing reply reaches the disk twice a second, its whole text at its end. What its prompt was made of is written
along with the first flush, from one value, the ``PromptRecord``.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
import trio
from msgspec import UNSET, Struct

from flower import limits
from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.request import PreparedPrompt
from flower.engine.provider.base import Finish, ModelInfo, Spent
from flower.engine.sessions.session import GrowingReply, Session
from flower.engine.store import exchanges, streaming_text
from flower.engine.store.connection import Connection, Store
from flower.engine.store.exchanges import PromptRecord
from flower.engine.store.extra import ManifestEntry
from flower.engine.token_counter import TokenCounter
from flower.errors import FlowerError, ProviderError, StoreError
from flower.protocol.messages import (
    ChatEnd,
    ChatMessage,
    EndMeta,
    ErrorEvent,
    ErrorMeta,
    MessageMeta,
    Usage,
)

log = logging.getLogger(__name__)

EndReason = Literal["done", "stopped", "length", "blocked", "interrupted", "error"]
STATUS_OF: dict[EndReason, str] = {"done": "complete"}  # every other reason is its own status

FLUSH_INTERVAL_S = 0.45  # the growing reply reaches the disk at least twice a second
SPEED_AFTER_S = 0.25  # tokens per second of a shorter time say nothing


class TurnOutcome(Struct, frozen=True, kw_only=True):
    """How a turn ended, and what it taught about the model."""

    reason: EndReason
    saved: bool
    model: ChosenModel | None  # that was asked; None: the turn did not come to that
    counter: TokenCounter  # of that model
    tokens: int  # of the reply, as we count them
    first_text_s: float | None  # from accepting the line to the first text
    rate: float = 0.0  # tokens a second while it was written, 0 for unknown
    client: str = ""  # the key of the client that asked for it
    prompt_tokens: int = 0
    cost: float = 0.0  # USD, 0 for unknown
    prepaid: bool = False  # it was prepared, and counted then
    elsewhere: bool  # a fallback narrated: what was learned is not about the model that was asked
    trouble: str  # the kind of error it ended with, "" for none
    prompt: PreparedPrompt | None  # the last one, if it came to one


def reason_of(error: FlowerError) -> EndReason:
    """Returns how a turn ends that ``error`` has ended."""
    if not isinstance(error, ProviderError):
        return "error"
    if error.kind == "blocked":
        return "blocked"
    return "interrupted" if error.kind in ("interrupted", "timeout_idle", "network") else "error"


def kind_of(error: FlowerError) -> str:
    """Returns the kind of an error, for clients and metrics."""
    return error.kind if isinstance(error, ProviderError) else "engine"


class ReplyMeter:
    """What a reply takes: tokens, time and money, as far as it has come.

    Times are seconds of a clock that never jumps. ``spent`` is what the provider has counted itself.
    """

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.first_text_at = 0.0
        self.tokens = 0  # of the reply, as we count them
        self.spent: Spent | None = None
        self.cost: float | None = None

    @property
    def first_text_s(self) -> float | None:
        """The seconds until the first text, None before that."""
        return self.first_text_at - self.started_at if self.first_text_at else None

    def speed(self, now: float) -> float:
        """Returns tokens per second of wall time since the first text; 0.0 until that means something."""
        elapsed = now - self.first_text_at
        return self.tokens / elapsed if self.first_text_at and elapsed > SPEED_AFTER_S else 0.0

    def usage(self, prompt: PreparedPrompt | None) -> Usage:
        """Returns the tokens as the provider counted them, else as we do."""
        if self.spent is not None:
            return Usage(
                self.spent.prompt_tokens, self.spent.completion_tokens, self.spent.cached_tokens
            )
        prompt_tokens = prompt.assembled.tokens if prompt is not None else 0
        return Usage(prompt_tokens, self.tokens, estimated=True)

    def price(self, info: ModelInfo | None, usage: Usage, *, elsewhere: bool) -> float | None:
        """Notes and returns USD: what the provider says, else price times tokens, else None for unknown."""
        self.cost = cost_of(info, usage, self.spent, elsewhere=elsewhere)
        return self.cost

    def counter(self, prompt: PreparedPrompt | None, model: ChosenModel | None) -> TokenCounter:
        """Returns the model's counter as corrected by everything this turn has learned."""
        if prompt is None or model is None:
            return model.counter if model is not None else TokenCounter()
        if self.spent is None:
            return prompt.counter
        return prompt.counter.calibrated(prompt.assembled.tokens, self.spent.prompt_tokens)

    def outcome(
        self,
        reason: EndReason,
        error: FlowerError | None,
        *,
        saved: bool,
        model: ChosenModel | None,
        prompt: PreparedPrompt | None,
        client: str,
        elsewhere: bool,
        prepaid: bool,
        rate: float,
    ) -> TurnOutcome:
        """Returns how the turn ended, with all that it took."""
        return TurnOutcome(
            reason=reason,
            saved=saved,
            model=model,
            counter=self.counter(prompt, model),
            tokens=self.tokens,
            first_text_s=self.first_text_s,
            rate=rate,
            client=client,
            prompt_tokens=self.usage(prompt).prompt_tokens,
            cost=self.cost or 0.0,
            prepaid=prepaid,
            elsewhere=elsewhere,
            trouble=kind_of(error) if error is not None else "",
            prompt=prompt,
        )


def cost_of(
    info: ModelInfo | None, usage: Usage, spent: Spent | None, *, elsewhere: bool
) -> float | None:
    """Returns USD: what the provider says, else price times tokens, else None for unknown."""
    if spent is not None and spent.cost is not None:
        return spent.cost
    if elsewhere or info is None or info.price_varies:
        return None  # unknown, or the price of another model
    if info.prompt_price is None or info.completion_price is None:
        return None
    per_million = (
        usage.prompt_tokens * info.prompt_price + usage.completion_tokens * info.completion_price
    )
    return per_million / 1_000_000


def complaint_of(
    turn: str, reason: EndReason, error: FlowerError | None, finish: Finish | None
) -> ErrorEvent | None:
    """Returns what the watchers are sent about a turn that went wrong, None for one that did not."""
    if error is not None:
        return ErrorEvent(str(error), ErrorMeta(kind_of(error), turn))
    if reason == "blocked" and finish is not None:
        detail = finish.detail or "no reason given"
        return ErrorEvent(f"The provider blocked this reply: {detail}.", ErrorMeta("blocked", turn))
    return None


def end_event(
    session_id: str,
    reply: GrowingReply,
    reason: EndReason,
    usage: Usage,
    cost: float | None,
    seconds: float,
    tokens_per_second: float,
) -> ChatEnd:
    """Returns the last event of a turn; ``seconds`` are those since it began."""
    return ChatEnd(
        "",
        EndMeta(
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            reason=reason,
            turn=reply.turn,
            message=reply.message_id,
            session=session_id,
            usage=usage,
            cost=cost if cost is not None else UNSET,
            seconds=round(seconds, 2),
            tokens_per_second=round(tokens_per_second, 1),
        ),
    )


def interrupted(session_id: str, message_id: int) -> ChatEnd:
    """Returns the last event of a turn whose engine died, for those who were reading its reply."""
    meta = EndMeta(
        total_tokens=0,
        reason="interrupted",
        turn=f"{session_id}-{message_id}",
        message=message_id,
        session=session_id,
    )
    return ChatEnd("", meta)


# --- its reply on the disk --------------------------------------------------------------------------


class ReplyStorage:
    """Saves one reply. ``notify`` gets a sentence when something could not be kept.

    ``record`` is what is still to be stored of the reply's prompt.
    """

    def __init__(self, database: Store, reply: GrowingReply, notify: Callable[[str], None]) -> None:
        self._database = database
        self._reply = reply
        self._notify = notify
        self._flushed = reply.length
        self._taken_back = 0  # how often text that may be on disk was withdrawn
        self.record: PromptRecord | None = None
        self._ending: ManifestEntry | None = None

    async def flush_regularly(self) -> None:
        """Brings the growing reply to the disk, so that a power cut costs half a second of it."""
        while True:
            await trio.sleep(self._database.until_flush(FLUSH_INTERVAL_S))
            if self._reply.length == self._flushed and self.record is None:
                continue
            try:
                await self._flush()
            except StoreError as error:
                log.warning("turn=%s not flushed: %s", self._reply.turn, error)

    async def _flush(self) -> None:
        """Appends what has come since the last flush."""
        reply, at, taken_back = self._reply, self._flushed, self._taken_back
        new, model = reply.text[at:], reply.model  # taken here: the reply grows while the thread writes

        def write(db: Connection) -> None:
            if taken_back:
                streaming_text.withdraw(db, reply.message_id, at)
            streaming_text.append(db, reply.message_id, at, new, model)

        await self._write(write, self._database.write_batched)
        if taken_back == self._taken_back:
            self._flushed = at + len(new)

    def note_end(self, what: str, why: str) -> None:
        """Notes for ``/why`` what ended the reply before its model did."""
        self._ending = ManifestEntry("reply", what, 0, why)

    def take_back(self) -> None:
        """Notes that the reply has become shorter, which may be on the disk already."""
        self._flushed = min(self._flushed, self._reply.length)
        self._taken_back += 1

    async def _write(
        self,
        write: Callable[[Connection], None],
        transaction: Callable[[Callable[[Connection], str]], Awaitable[str]] | None = None,
    ) -> None:
        """Writes in one transaction with what the prompt was made of, if that is not on disk yet."""
        transaction = transaction if transaction is not None else self._database.write
        record = self.record

        def save(db: Connection) -> str:
            note = exchanges.store_prompt(db, record) if record is not None else ""
            write(db)
            return note

        try:
            note = await transaction(save)
        except StoreError:
            raise
        except Exception:  # a bug in what goes along must not cost the words
            if record is None:
                raise
            log.exception("turn=%s what its prompt was made of is not kept", self._reply.turn)
            await self._database.write(write)
            note = ""
        if note:
            self._notify(note)
        if self.record is record:
            self.record = None

    async def save_end(self, status: str, usage: Usage) -> str:
        """Saves the whole reply, also when the turn was cancelled; returns what kept it from that."""
        reply = self._reply
        text, model, spent = reply.text, reply.model, msgspec.to_builtins(usage)
        ending = self._ending

        def end(db: Connection) -> None:
            streaming_text.end(db, reply.message_id, text, status, spent, model)
            if ending is not None:
                exchanges.add_to_manifest(db, reply.message_id, ending)

        with trio.move_on_after(limits.SAVE_SHIELD_S, shield=True):
            try:
                await self._write(end)
            except StoreError as failed:
                return str(failed)
            except Exception as bug:  # the end of a turn: its watchers wait for word of it
                log.exception("turn=%s could not be saved", reply.turn)
                return f"not saved: the engine failed ({type(bug).__name__}); see its log"
            return ""
        return "not saved: the disk does not answer"


# --- how it begins ----------------------------------------------------------------------------------


def line_said(
    session: Session, line: str, message_id: int, turn: str, request: str | None
) -> ChatMessage:
    """Returns what shows the watchers a line of the player that has been stored."""
    meta = MessageMeta(
        role="user",
        message=message_id,
        session=session.id,
        turn=turn,
        request=request or UNSET,
        status="complete",
    )
    return ChatMessage(line, meta)


def reply_begun(session: Session, reply: GrowingReply) -> ChatMessage:
    """Returns what tells the watchers that a reply begins, with the text it begins with."""
    meta = MessageMeta(
        "assistant", reply.message_id, session.id, reply.turn, status="streaming", model=reply.model
    )
    return ChatMessage(reply.text, meta)
