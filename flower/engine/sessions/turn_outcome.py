"""How a turn ends, in values: the reason, what it cost, the events that tell it. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct

from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.request import PreparedPrompt
from flower.engine.provider.base import Finish, ModelInfo, Spent
from flower.engine.sessions.session import GrowingReply
from flower.engine.tokens import TokenCounter
from flower.errors import FlowerError, ProviderError
from flower.protocol.messages import ChatEnd, EndMeta, ErrorEvent, ErrorMeta, Usage

EndReason = Literal["done", "stopped", "length", "blocked", "interrupted", "error"]
STATUS_OF: dict[EndReason, str] = {"done": "complete"}  # every other reason is its own status


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


def usage_of(prompt: PreparedPrompt | None, spent: Spent | None, tokens: int) -> Usage:
    """Returns the tokens as the provider counted them, else as we do; ``tokens`` are the reply's."""
    if spent is not None:
        return Usage(spent.prompt_tokens, spent.completion_tokens, spent.cached_tokens)
    prompt_tokens = prompt.assembled.tokens if prompt is not None else 0
    return Usage(prompt_tokens, tokens, estimated=True)


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
