"""Drafts of the player's next line, written by the model when the player asks for one.

A draft is no part of the story: it goes to the one client that asked, as text to change and send.
Runs beside the turns, in the engine's nursery, and one at a time for a client.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from flower import limits
from flower.engine.prompt.assemble import Line, assemble
from flower.engine.prompt.context import Services
from flower.engine.prompt.direction import Direction, Place, direct
from flower.engine.prompt.request import line_of
from flower.engine.prompt.tokens import TokenCounter
from flower.engine.provider.base import Completion, ModelInfo, Provider, Text
from flower.engine.provider.retry import stream
from flower.engine.sanitize import sanitize
from flower.engine.sessions.session import Session
from flower.engine.store import states, stories
from flower.engine.store.states import Standing
from flower.errors import CommandError, FlowerError
from flower.protocol.messages import ErrorEvent, ErrorMeta, State

if TYPE_CHECKING:
    from flower.engine.sessions.engine import Engine
    from flower.engine.sessions.session import Client

log = logging.getLogger(__name__)

OFFLINE = "offline"  # this narrator plays the world, it has no words for the player
ASK = (
    "Now step out of the narrator's part for one message. Write the next line of {who} in this story, in the"
    " first person, as the player would type it: what they say or try, one to three sentences, no results,"
    " no quotation marks around the whole. Write only the line."
)


class Drafts:
    """The drafts under way."""

    def __init__(self, engine: Engine, nursery: trio.Nursery) -> None:
        self._engine = engine
        self._nursery = nursery
        self._running: dict[Client, trio.CancelScope] = {}

    def begin(self, client: Client, hint: str) -> None:
        """Lets the model draft the client's next line; a draft that was under way for it ends.

        Raises ``CommandError`` without a story or with a narrator that cannot, ``ProviderError`` for an
        unknown model.
        """
        session = client.session
        if session is None:
            raise CommandError("There is no story here yet; /session new starts one.")
        model_id = client.chosen.model or self._engine.roster.default()
        provider, model = self._engine.roster.resolve(model_id)
        if provider.name == OFFLINE:
            raise CommandError(
                "The offline narrator cannot write your lines; choose a model with /model."
            )
        self.cancel(client)
        scope = self._running[client] = trio.CancelScope()
        self._nursery.start_soon(self._run, client, session, hint, provider, model, scope)

    def cancel(self, client: Client) -> bool:
        """Ends the client's draft; returns whether there was one."""
        scope = self._running.pop(client, None)
        if scope is not None:
            scope.cancel()
        return scope is not None

    async def _run(
        self,
        client: Client,
        session: Session,
        hint: str,
        provider: Provider,
        model: str,
        scope: trio.CancelScope,
    ) -> None:
        client.tell("Drafting your line …")
        try:
            with scope, trio.move_on_after(limits.DRAFT_DEADLINE_S):
                completion = await self._completion(client, session, hint, provider, model)
                text = cleaned(await _written(provider, completion, self._engine.services))
                if text:
                    client.tell("✓ A draft: change it, then send it.", State(draft=text))
                else:
                    client.tell("✗ The model wrote nothing.")
        except FlowerError as error:
            client.send(ErrorEvent(f"No draft: {error}", ErrorMeta("draft")))
        except Exception as bug:  # an edge like a turn's: a bug in a draft must not end the engine
            log.exception("a draft in session=%s crashed", session.id)
            text = f"No draft: the engine failed ({type(bug).__name__}); see its log."
            client.send(ErrorEvent(text, ErrorMeta("engine")))
        finally:
            if self._running.get(client) is scope:
                del self._running[client]

    async def _completion(
        self, client: Client, session: Session, hint: str, provider: Provider, model: str
    ) -> Completion:
        services = self._engine.services
        path = await services.database.read(
            stories.active_path, session.id, most=limits.PROMPT_MESSAGES
        )
        leaf = path[-1].id if path else None
        standing = await services.database.read(states.standing, session.id, leaf, self._engine.now())
        place = Place(session.id, session.world_id, session.character_id, model)
        direction = direct(
            services.assets,
            client.chosen,
            place,
            standing,
            path,
            "",
            variables=standing.variables,
        )
        info = self._engine.roster.info(client.chosen.model or self._engine.roster.default())
        return _prompt(services, session, path, direction, standing, hint, model, info)


def _prompt(
    services: Services,
    session: Session,
    path: list[stories.Message],
    direction: Direction,
    standing: Standing,
    hint: str,
    model: str,
    info: ModelInfo | None,
) -> Completion:
    who = standing.steering.persona.name or "the player's character"
    ask = ASK.format(who=who) + (f" It should be about: {hint}" if hint else "")
    lines = [line_of(message) for message in path]
    known = info.context_tokens if info is not None else 0
    context = min(services.context_tokens, known or services.context_tokens)
    budget = int((context - limits.DRAFT_TOKENS) * limits.CONTEXT_USED_SHARE)
    assembled = assemble(
        direction.sections,
        [*lines, Line((path[-1].id if path else 0) + 1, "user", ask)],
        budget=budget,
        counter=TokenCounter(),
        window_start=session.window_start,
    )
    return Completion(
        model=model,
        messages=assembled.messages,
        max_tokens=limits.DRAFT_TOKENS,
        context_tokens=context,
        params=services.params,
        session=session.id,
    )


async def _written(provider: Provider, completion: Completion, services: Services) -> str:
    text = ""
    async with stream(provider, completion, rng=services.rng) as pieces:
        async for piece in pieces:
            if isinstance(piece, Text):
                text += piece.text
            if len(text) >= limits.DRAFT_CHARS:
                break
    return text


def cleaned(text: str) -> str:
    """Returns a model's draft as a line: one paragraph, without quotation marks around all of it."""
    text = sanitize(text).strip().partition("\n\n")[0].strip()
    if len(text) > 1 and text[0] in '"“' and text[-1] in '"”' and '"' not in text[1:-1]:
        text = text[1:-1].strip()
    return text[: limits.DRAFT_CHARS]
