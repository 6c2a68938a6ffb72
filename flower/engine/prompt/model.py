"""The model that writes a reply, as far as its prompt depends on it. Pure."""

from __future__ import annotations

from msgspec import Struct

from flower import limits
from flower.engine.provider.base import ModelInfo, Provider
from flower.engine.token_counter import TokenCounter

REPLY_SHARE = 3  # a reply takes no more than this part of what the model reads


class ChosenModel(Struct, frozen=True, kw_only=True):
    """A model, who serves it, and what is known about it."""

    id: str  # with the prefix of its provider
    provider: Provider
    name: str  # the provider's own id
    info: ModelInfo | None = None
    counter: TokenCounter = TokenCounter()
    context_limit: int | None = None  # what the server said fits, when it refused a prompt
    fallbacks: tuple[tuple[Provider, str], ...] = ()  # asked in order when the provider fails at once

    def context_tokens(self, most: int) -> int:
        """Returns what the model reads: the smallest of ``most``, what is known, and what was refused."""
        known = (self.info.context_tokens if self.info is not None else 0, self.context_limit or 0)
        return min([most, *(tokens for tokens in known if tokens)])

    def reply_tokens(self, most_context: int, most_reply: int) -> int:
        """Returns how long a reply may be."""
        return min(most_reply, self.context_tokens(most_context) // REPLY_SHARE)


def thinking_room(context: int) -> int:
    """Returns tokens that a small hidden request leaves for a model that thinks first, whatever it is told."""
    return min(limits.THINKING_TOKENS, context // 4)
