"""Characters that the player's model drafts from a word or two, for the player to edit and keep.

A draft is no part of any story and is stored nowhere: it goes to the client that asked. One at a time for a client,
beside the turns, with a deadline and a bound.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import trio

from flower.engine.forms import drafted
from flower.engine.prompt.model import ChosenModel, thinking_room
from flower.engine.provider.base import ChatMessage, Completion
from flower.engine.provider.retry import short_text, stream
from flower.engine.sessions.loops import LoopGuard
from flower.engine.sessions.model_choice import ModelSelector
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import Client
from flower.errors import CommandError, FlowerError
from flower.protocol.messages import ErrorEvent, ErrorMeta

log = logging.getLogger(__name__)

OFFLINE = "offline"  # this narrator makes up no people
TOKENS = 900  # of a draft: a page
DEADLINE_S = 300.0  # a local model on a small board writes some words a second
IDEA_CHARS = 500

Done = Callable[[Mapping[str, str]], None]


class CharacterDrafts:
    """The drafts under way."""

    def __init__(self, runtime: Runtime, models: ModelSelector, nursery: trio.Nursery) -> None:
        self._runtime = runtime
        self._models = models
        self._nursery = nursery
        self._running: dict[Client, trio.CancelScope] = {}

    def begin(self, client: Client, idea: str, done: Done) -> None:
        """Lets the client's model draft a character; ``done`` gets the texts of its fields.

        A draft that was under way for the client ends. Raises ``CommandError`` with a narrator that cannot,
        ``ProviderError`` for an unknown model.
        """
        model, _ = self._models.select(self._models.story_model(client.chosen))
        if model.provider.name == OFFLINE:
            raise CommandError(
                "The offline narrator cannot draft characters; choose a model with /model, or write one"
                " yourself: /character new."
            )
        self.cancel(client)
        scope = self._running[client] = trio.CancelScope()
        self._nursery.start_soon(self._run, client, idea[:IDEA_CHARS], model, done, scope)

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self._running)

    def cancel(self, client: Client) -> bool:
        """Ends the client's draft; returns whether there was one."""
        scope = self._running.pop(client, None)
        if scope is not None:
            scope.cancel()
        return scope is not None

    async def _run(
        self, client: Client, idea: str, model: ChosenModel, done: Done, scope: trio.CancelScope
    ) -> None:
        client.notify(f"Drafting {idea}; /cancel stops it …")
        try:
            text = None
            with scope, trio.move_on_after(DEADLINE_S):
                text = await self._written(idea, model)
            if scope.cancelled_caught:
                return
            found = drafted.parsed(text, idea) if text is not None else {}
            if found:
                done(found)
            elif text is None:
                client.notify(f"✗ No draft: the model was not done in {DEADLINE_S / 60:.0f} minutes.")
            else:
                client.notify("✗ No draft: the model wrote nothing.")
        except FlowerError as error:
            client.send(ErrorEvent(f"No draft: {error}", ErrorMeta("draft")))
        except Exception as bug:  # an edge like a turn's: a bug in a draft must not end the engine
            log.exception("a draft of a character crashed")
            text = f"No draft: the engine failed ({type(bug).__name__}); see its log."
            client.send(ErrorEvent(text, ErrorMeta("engine")))
        finally:
            if self._running.get(client) is scope:
                del self._running[client]

    async def _written(self, idea: str, model: ChosenModel) -> str:
        services = self._runtime.services
        context = model.context_tokens(services.context_tokens)
        completion = Completion(
            model=model.name,
            messages=(ChatMessage("user", drafted.ASK.format(idea=idea)),),
            max_tokens=min(TOKENS, context // 2) + thinking_room(context),
            context_tokens=context,
            params=services.params,
            quiet=True,
        )
        async with stream(model.provider, completion, rng=services.rng) as pieces:
            return await short_text(pieces, drafted.MOST_CHARS, LoopGuard)
