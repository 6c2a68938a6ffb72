"""Drafts that the player's model writes when they ask for one: of their next line, and of a character from a few words.

A draft is no part of any story and is stored nowhere: it goes to the one client that asked, as text to change and send.
Runs beside the turns, one at a time for a client, with a deadline and a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import trio

from flower import limits
from flower.engine.forms import drafted
from flower.engine.prompt.assemble import PromptLine, assemble
from flower.engine.prompt.direction import StoryRef, direct
from flower.engine.prompt.model import ChosenModel, settings_of, thinking_room
from flower.engine.prompt.request import line_of
from flower.engine.prompt.turn_input import Services
from flower.engine.provider.answers import short_text
from flower.engine.provider.base import Completion, PromptMessage
from flower.engine.provider.capabilities import Composing
from flower.engine.sessions.model_choice import ModelSelector
from flower.engine.sessions.reply_watch import LoopGuard
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import Client, Session
from flower.engine.sessions.side_work import SideTasks, side_stream
from flower.engine.store import states, stories
from flower.errors import CommandError
from flower.protocol.messages import State
from flower.text import sanitize

DRAFT_TOKENS = 160  # of a line drafted for the player
DRAFT_CHARS = 2_000
DRAFT_DEADLINE_S = 300.0  # a local model may have to read the whole prompt first

ASK = (
    "Now step out of the narrator's part for one message. Write the next line of {who} in this story, in the"
    " first person, as the player would type it: what they say or try, one to three sentences, no results,"
    " no quotation marks around the whole. Write only the line."
)


class Drafts:
    """Begins drafts; ``tasks`` are those under way."""

    def __init__(
        self,
        runtime: Runtime,
        models: ModelSelector,
        nursery: trio.Nursery,
        *,
        now: Callable[[], float],
    ) -> None:
        self._runtime = runtime
        self._models = models
        self._now = now
        self.tasks = SideTasks(nursery, kind="draft", deadline_s=DRAFT_DEADLINE_S)

    def begin(self, client: Client, hint: str) -> None:
        """Lets the model draft the client's next line; a draft that was under way for it ends.

        Raises ``CommandError`` without a story or with a narrator that cannot, ``ProviderError`` for an
        unknown model.
        """
        session = client.session
        if session is None:
            raise CommandError("There is no story here yet; /session new starts one.")
        model, _ = self._models.select(self._models.story_model(client.chosen))
        if isinstance(model.provider, Composing):  # it has no words for the player
            raise CommandError(
                "The offline narrator cannot write your lines; choose a model with /model."
            )
        self.tasks.begin(client, "draft", partial(self._draft, client, session, hint, model))

    async def _draft(self, client: Client, session: Session, hint: str, model: ChosenModel) -> None:
        client.notify("Drafting your line …")
        services = self._runtime.services
        completion = await self._completion(services, client, session, hint, model)
        async with side_stream(self._runtime, client.chosen.client, model, completion) as pieces:
            text = cleaned(await short_text(pieces, DRAFT_CHARS, LoopGuard))
        if text:
            client.notify("✓ A draft: change it, then send it.", State(draft=text))
        else:
            client.notify("✗ The model wrote nothing.")

    async def _completion(
        self, services: Services, client: Client, session: Session, hint: str, model: ChosenModel
    ) -> Completion:
        path = await services.database.read(
            stories.active_path, session.id, most=limits.PROMPT_MESSAGES
        )
        leaf = path[-1].id if path else None
        settings = await settings_of(services, session.id, model.id)
        current = await services.database.read(states.current_at, session.id, leaf, self._now())
        direction = direct(
            services.assets,
            client.chosen,
            StoryRef(session.id, session.world_id, session.character_id, model.name),
            current,
            path,
            "",
            variables=current.variables,
        )
        who = current.steering.persona.name or "the player's character"
        ask = ASK.format(who=who) + (f" It should be about: {hint}" if hint else "")
        context = model.context_tokens(settings.context_tokens)
        assembled = assemble(
            direction.sections,
            [*map(line_of, path), PromptLine((path[-1].id if path else 0) + 1, "user", ask)],
            budget=int((context - DRAFT_TOKENS - thinking_room(context)) * limits.CONTEXT_USED_SHARE),
            counter=model.counter,
            window_start=session.window_start,
        )
        return Completion(
            model=model.name,
            messages=assembled.messages,
            max_tokens=DRAFT_TOKENS + thinking_room(context),
            context_tokens=context,
            params=services.params,
            session=session.id,
            quiet=True,
        )


def cleaned(text: str) -> str:
    """Returns a model's draft as a line: one paragraph, without quotation marks around all of it."""
    text = sanitize(text).strip().partition("\n\n")[0].strip()
    if len(text) > 1 and text[0] in '"“' and text[-1] in '"”' and '"' not in text[1:-1]:
        text = text[1:-1].strip()
    return text[:DRAFT_CHARS]


# --- characters -------------------------------------------------------------------------------------

CHARACTER_TOKENS = 900  # of a draft: a page
IDEA_CHARS = 500

Done = Callable[[Mapping[str, str]], None]


class CharacterDrafts:
    """Begins drafts; ``tasks`` are those under way."""

    def __init__(self, runtime: Runtime, models: ModelSelector, nursery: trio.Nursery) -> None:
        self._runtime = runtime
        self._models = models
        self.tasks = SideTasks(nursery, kind="draft", deadline_s=DRAFT_DEADLINE_S)

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
            messages=(PromptMessage("user", drafted.ASK.format(idea=idea)),),
            max_tokens=min(CHARACTER_TOKENS, context // 2) + thinking_room(context),
            context_tokens=context,
            params=services.params,
            quiet=True,
        )
        async with side_stream(self._runtime, client.chosen.client, model, completion) as pieces:
            return await short_text(pieces, drafted.MOST_CHARS, LoopGuard)
