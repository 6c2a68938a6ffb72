"""How a turn begins and ends, in values: the events that tell it, the reason, what it cost. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct

from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.request import PreparedPrompt
from flower.engine.provider.base import Finish, ModelInfo, Spent
from flower.engine.sessions.session import GrowingReply, Session
from flower.engine.token_counter import TokenCounter
from flower.errors import FlowerError, ProviderError
from flower.protocol.messages import (
    ChatEnd,
    ChatMessage,
    EndMeta,
    ErrorEvent,
    ErrorMeta,
    MessageMeta,
    Usage,
)

EndReason = Literal["done", "stopped", "length", "blocked", "interrupted", "error"]
STATUS_OF: dict[EndReason, str] = {"done": "complete"}  # every other reason is its own status

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


def reason_of(error: ProviderError) -> EndReason:
    """Returns how a turn ends that ``error`` has ended."""
    if error.kind == "blocked":
        return "blocked"
    return "interrupted" if error.kind in ("interrupted", "timeout_idle", "network") else "error"


def kind_of(error: FlowerError) -> str:
    """Returns the kind of an error as clients and metrics are told."""
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
    """Returns what the watchers are told about a turn that went wrong, None for one that did not."""
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
