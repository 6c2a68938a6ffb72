"""Who narrates: the model a client has chosen, who steps in for it, and what turns have learned of models."""

from __future__ import annotations

import logging
from typing import Any

from msgspec.structs import replace

from flower.engine.prompt.context import Order
from flower.engine.prompt.tokens import TokenCounter
from flower.engine.provider.base import Provider
from flower.engine.provider.registry import Roster
from flower.engine.sessions.turn_outcome import Outcome
from flower.engine.store.stories import Selection
from flower.errors import ProviderError

log = logging.getLogger(__name__)


class Narrators:
    """Finds providers for models. ``fallbacks`` are the models that step in, in this order."""

    def __init__(self, roster: Roster, fallbacks: tuple[str, ...]) -> None:
        self._roster = roster
        self._fallbacks = fallbacks
        self._counters: dict[str, TokenCounter] = {}  # by model, like the next
        self._context_limits: dict[str, int] = {}

    def use(self, roster: Roster, fallbacks: tuple[str, ...]) -> None:
        """Goes on with other models; what was learned of those that stay is kept."""
        self._roster, self._fallbacks = roster, fallbacks

    def chosen(self, selection: Selection) -> tuple[str, tuple[Provider, str]]:
        """Returns the id of the chosen model and who serves it; raises ``ProviderError`` for an unknown one."""
        model_id = selection.model or self._roster.default()
        return model_id, self._roster.resolve(model_id)

    def known_of(self, model_id: str) -> dict[str, Any]:
        """Returns what an order says of its model: info, counter, context limit and fallbacks."""
        return {
            "info": self._roster.info(model_id),
            "counter": self._counters.get(model_id, TokenCounter()),
            "context_limit": self._context_limits.get(model_id),
            "fallbacks": self._fallbacks_of(model_id),
        }

    def _fallbacks_of(self, model_id: str) -> tuple[tuple[Provider, str], ...]:
        """Returns who can step in for a model. One that is not there now, for want of a key say, cannot."""
        found = []
        for other in self._fallbacks:
            if other == model_id:
                continue
            try:
                found.append(self._roster.resolve(other))
            except ProviderError as error:
                log.warning("the fallback %s is left out: %s", other, error)
        return tuple(found)

    def voiced(self, order: Order, model_id: str) -> Order:
        """Returns the order for another model; raises ``ProviderError`` for an unknown one.

        The model that was asked first is the first to step in for it.
        """
        provider, model = self._roster.resolve(model_id)
        known = self.known_of(model_id)
        known["fallbacks"] = ((order.provider, order.model), *known["fallbacks"])
        return replace(order, provider=provider, model=model, **known)

    def learn(self, model_id: str, outcome: Outcome) -> None:
        """Keeps what a turn has taught about the model that was asked, if that was the one that narrated."""
        if outcome.elsewhere:
            return
        self._counters[model_id] = outcome.counter
        if outcome.context_limit is not None:
            self._context_limits[model_id] = outcome.context_limit
