"""Characters that the player's model drafts from a word or two, for the player to edit and keep.

A draft is no part of any story and is stored nowhere: it goes to the client that asked. One at a time for a client,
beside the turns, with a deadline and a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import trio

from flower.engine.forms import drafted
from flower.engine.prompt.model import ChosenModel, thinking_room
from flower.engine.provider.answers import short_text
from flower.engine.provider.base import ChatMessage, Completion
from flower.engine.provider.capabilities import Composing
from flower.engine.sessions.model_choice import ModelSelector
from flower.engine.sessions.reply_watch import LoopGuard
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import Client
from flower.engine.sessions.side_requests import side_stream
from flower.engine.sessions.side_tasks import SideTasks
from flower.errors import CommandError

TOKENS = 900  # of a draft: a page
DEADLINE_S = 300.0  # a local model on a small board writes some words a second
IDEA_CHARS = 500

Done = Callable[[Mapping[str, str]], None]


class CharacterDrafts:
    """Begins drafts; ``tasks`` are those under way."""

    def __init__(self, runtime: Runtime, models: ModelSelector, nursery: trio.Nursery) -> None:
        self._runtime = runtime
        self._models = models
        self.tasks = SideTasks(nursery, kind="draft", deadline_s=DEADLINE_S)

    def begin(self, client: Client, idea: str, done: Done) -> None:
        """Lets the client's model draft a character; ``done`` gets the texts of its fields.

        A draft that was under way for the client ends. Raises ``CommandError`` with a narrator that cannot,
        ``ProviderError`` for an unknown model.
        """
        model, _ = self._models.select(self._models.story_model(client.chosen))
        if isinstance(model.provider, Composing):  # it makes up no people
            raise CommandError(
                "The offline narrator cannot draft characters; choose a model with /model, or write one"
                " yourself: /character new."
            )
        self.tasks.begin(client, "draft", partial(self._draft, client, idea[:IDEA_CHARS], model, done))

    async def _draft(self, client: Client, idea: str, model: ChosenModel, done: Done) -> None:
        client.notify(f"Drafting {idea}; /cancel stops it …")
        fields = drafted.parsed(await self._written(client, idea, model), idea)
        if fields:
            done(fields)
        else:
            client.notify("✗ No draft: the model wrote nothing.")

    async def _written(self, client: Client, idea: str, model: ChosenModel) -> str:
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
        async with side_stream(self._runtime, client.chosen.client, model, completion) as pieces:
            return await short_text(pieces, drafted.MOST_CHARS, LoopGuard)
