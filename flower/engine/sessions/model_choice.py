"""Which model writes a reply: the story's or the speaker's own, who steps in for it, what is known of it."""

from __future__ import annotations

import logging

from flower.engine.prompt.model import ChosenModel
from flower.engine.provider.base import Provider
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.turn_outcome import TurnOutcome
from flower.engine.store.selections import Selection
from flower.engine.token_counter import TokenCounter
from flower.errors import ProviderError

log = logging.getLogger(__name__)


class ModelSelector:
    """Finds models with their providers, and keeps what turns have learned about them."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._counters: dict[str, TokenCounter] = {}  # by model, like the next
        self._context_limits: dict[str, int] = {}

    def story_model(self, selection: Selection) -> str:
        """Returns the id of the selected model, or of the default; raises ``ProviderError`` if unknown."""
        registry = self._runtime.registry
        model_id = selection.model or registry.default()
        registry.resolve(model_id)
        return model_id

    def select(self, story_model: str, speaker_model: str = "") -> tuple[ChosenModel, str]:
        """Returns the model that writes a reply, and a sentence for the players if it is not the right one.

        The speaker's own model comes first, if there is one and it is there; then the story's is the first
        to step in for it. Raises ``ProviderError`` when the story's model is unknown.
        """
        resolve = self._runtime.registry.resolve
        provider, name = resolve(story_model)
        note = ""
        if speaker_model not in ("", story_model):
            try:
                own_provider, own_name = resolve(speaker_model)
                return self._chosen(speaker_model, own_provider, own_name, (provider, name)), note
            except ProviderError as error:
                note = f"✗ {error} The story's model speaks instead."
        return self._chosen(story_model, provider, name), note

    def _chosen(
        self, model_id: str, provider: Provider, name: str, *first: tuple[Provider, str]
    ) -> ChosenModel:
        return ChosenModel(
            id=model_id,
            provider=provider,
            name=name,
            info=self._runtime.registry.info(model_id),
            counter=self._counters.get(model_id, TokenCounter()),
            context_limit=self._context_limits.get(model_id),
            fallbacks=(*first, *self._fallbacks_of(model_id)),
        )

    def _fallbacks_of(self, model_id: str) -> tuple[tuple[Provider, str], ...]:
        """Returns who can step in for a model. One that is not there now, for want of a key say, cannot."""
        present = []
        for other in self._runtime.services.fallbacks:
            if other == model_id:
                continue
            try:
                present.append(self._runtime.registry.resolve(other))
            except ProviderError as error:
                log.warning("the fallback %s is left out: %s", other, error)
        return tuple(present)

    def learn(self, outcome: TurnOutcome) -> None:
        """Keeps what a turn has taught about the model that was asked, if that was the one that wrote."""
        model = outcome.model
        if model is None or outcome.elsewhere:
            return
        self._counters[model.id] = outcome.counter
        if model.context_limit is not None:
            self._context_limits[model.id] = model.context_limit
