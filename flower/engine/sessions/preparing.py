"""Works ahead while the player reads: the next variant of the newest reply, and three suggestions.

One at a time in the whole engine, and only while no reply is written: a local server with one place would forget the
story it has in view. The first key of a line (``/typing``) or any command ends it at once. What is ready stays with the
story until its next reply has ended, and is used only for the very request that it answers: whatever has changed since,
a line, an edit, a setting or the model, asks for something else. Never shown and never stored by itself.

A server that stopped in the middle of a variant has lost the end of the story from its cache: it reads that again while
the player types, which it would have to do before its first word otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio
from msgspec.structs import replace

from flower import limits, machine
from flower.engine.prompt.context import gather
from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.request import build_prompt
from flower.engine.prompt.turn_input import TurnInput
from flower.engine.provider.answers import answer_of
from flower.engine.provider.base import Completion
from flower.engine.provider.capabilities import Adaptable, Composing
from flower.engine.sessions import suggestions
from flower.engine.sessions.model_choice import ModelSelector
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import Session
from flower.engine.sessions.side_work import side_stream
from flower.engine.store import selections
from flower.errors import FlowerError
from flower.protocol.messages import State, SystemUpdate

log = logging.getLogger(__name__)

PREPARE_DEADLINE_S = 600.0  # a small board writes a reply in minutes; nobody waits for it


class Preparer:
    """Prepares what may be asked next. ``idle``: whether nothing else of the engine asks a model."""

    def __init__(self, runtime: Runtime, models: ModelSelector, idle: Callable[[], bool]) -> None:
        self._runtime = runtime
        self._models = models
        self._idle = idle
        self._scope: trio.CancelScope | None = None
        self._typing = False  # the player begins a line, which is not sent yet

    def interrupt(self, *, typing: bool = False) -> None:
        """Ends what is under way. ``typing``: nobody needs the model before the line is sent."""
        scope, self._scope = self._scope, None
        if scope is not None:
            self._typing = typing
            scope.cancel()

    async def prepare(self, session: Session, task: TurnInput) -> None:
        """Works ahead after the reply of ``task``, as far as it may and until something interrupts it."""
        model, _ = self._models.select(task.model_id)
        if not self._free(session) or not await self._wanted(model) or not self._free(session):
            return
        if not await self._may(task.selection) or not self._free(session):
            return
        writes_variant = False
        session.publish(SystemUpdate("", State(preparing=True)))
        with trio.CancelScope(deadline=trio.current_time() + PREPARE_DEADLINE_S) as scope:
            self._scope = scope
            try:
                writes_variant = True
                await self._prepare_variant(session, task)
                writes_variant = False
                await self._prepare_suggestions(session, task.selection)
            except FlowerError as error:
                log.info("session=%s nothing prepared: %s", session.id, error)
            finally:
                self._release(scope)
                session.publish(SystemUpdate("", State(preparing=False)))
        if scope.cancelled_caught and writes_variant and self._typing and self._idle():
            await self._read_again(session, task.selection)

    async def _may(self, selection: selections.Selection) -> bool:
        """Whether whoever said the line may use a model for what nobody has asked for."""
        return await self._runtime.may_work_ahead(selection.client)

    def _free(self, session: Session) -> bool:
        return self._scope is None and not session.busy and self._idle()

    def _release(self, scope: trio.CancelScope) -> None:
        if self._scope is scope:
            self._scope = None

    async def _wanted(self, model: ChosenModel) -> bool:
        """Whether the settings, the model and the machine allow it."""
        prepare = self._runtime.services.prepare
        if prepare == "never" or isinstance(
            model.provider, Composing
        ):  # that one answers at once anyway
            return False
        if prepare == "always":
            return True
        own = isinstance(model.provider, Adaptable) and model.provider.local
        costs = model.info is not None and bool(model.info.completion_price or model.info.price_varies)
        return own and not costs and not await trio.to_thread.run_sync(machine.on_battery)

    async def _prepare_variant(self, session: Session, task: TurnInput) -> None:
        if task.continues:  # its own line is not what a variant would answer
            return
        task = replace(task, turn=f"{task.turn}-next", variant=task.variant + 1)
        services = self._runtime.services
        context = await gather(services, task)
        model, _ = self._models.select(task.model_id, context.direction.model)
        if not await self._wanted(model):  # the speaker's own model may be a paid one
            return
        prompt = await build_prompt(services, task, model, context, session.window_start)
        await self._keep(session, model, prompt.completion, limits.REPLY_CHARS, task.selection.client)

    async def _prepare_suggestions(self, session: Session, selection: selections.Selection) -> None:
        if not await self._may(selection):
            return
        request = await suggestions.request_of(self._runtime, self._models, selection, session)
        most = suggestions.SUGGESTIONS_CHARS
        await self._keep(session, request.model, request.completion, most, selection.client)

    async def _keep(
        self,
        session: Session,
        model: ChosenModel,
        completion: Completion,
        most_chars: int,
        client: str,
    ) -> None:
        async with side_stream(self._runtime, client, model, completion, tries=1) as side:
            answer = await answer_of(side, model.provider, completion, most_chars)
        if answer is not None:
            session.prepared = (*session.prepared, answer)

    async def _read_again(self, session: Session, selection: selections.Selection) -> None:
        """Lets the server read the story to its end, so that the line that is typed finds it read."""
        with trio.CancelScope(deadline=trio.current_time() + PREPARE_DEADLINE_S) as scope:
            self._scope = scope
            try:
                request = await suggestions.request_of(self._runtime, self._models, selection, session)
                short = replace(request.completion, max_tokens=1)
                async with side_stream(
                    self._runtime, selection.client, request.model, short, tries=1
                ) as pieces:
                    async for _ in pieces:
                        pass
            except FlowerError as error:
                log.debug("session=%s not read again: %s", session.id, error)
            finally:
                self._release(scope)
