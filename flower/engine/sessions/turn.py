"""One turn, from a line that is stored to a reply that is saved, in five steps.

1. context: the story, what is recalled for the line, who speaks (``prompt.context``)
2. model: the speaker's own or the story's (``model_choice``)
3. prompt: what of the context fits the model (``prompt.request``)
4. stream: the model's text, published as it comes (``provider.retry``)
5. finish: the text is saved, then exactly one ``chat_end`` is published

A turn owns its cancel scope and the text of its reply until that is saved. It runs in the engine's
nursery, not in a connection's, so it outlives whoever asked. Whatever happens inside, it ends with the
fifth step.
"""

from __future__ import annotations

import logging
from typing import assert_never

import trio
from msgspec.structs import replace

from flower import limits
from flower.engine.game.proposals import UpdateFilter
from flower.engine.prompt.context import PromptContext, gather
from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.record import recall_event
from flower.engine.prompt.request import (
    PreparedPrompt,
    build_prompt,
    goes_on_exactly,
    once_more,
    shorter,
)
from flower.engine.prompt.sent import SentPrompt
from flower.engine.prompt.turn_input import Services, TurnInput
from flower.engine.provider.answers import Prepared
from flower.engine.provider.base import (
    Finish,
    Loading,
    Piece,
    Proposal,
    Reasoning,
    Spent,
    Text,
    Withdrawn,
)
from flower.engine.provider.capabilities import Composing
from flower.engine.provider.retry import Stream
from flower.engine.sessions.model_choice import ModelSelector
from flower.engine.sessions.reply_watch import (
    RETRY_ASK,
    STILL_ALIKE,
    ReplyWatch,
    less_alike,
    shared_sentence,
)
from flower.engine.sessions.session import GrowingReply, Session
from flower.engine.sessions.turn_outcome import (
    STATUS_OF,
    EndReason,
    ReplyMeter,
    ReplyStorage,
    TurnOutcome,
    complaint_of,
    end_event,
    reason_of,
)
from flower.errors import FlowerError, ProviderError, only
from flower.protocol.messages import ErrorEvent, ErrorMeta, Progress, State, SystemUpdate, Usage
from flower.text import sanitize

log = logging.getLogger(__name__)


class Turn:
    """Writes one reply of a story."""

    def __init__(
        self,
        session: Session,
        reply: GrowingReply,
        task: TurnInput,
        *,
        services: Services,
        models: ModelSelector,
    ) -> None:
        self._session = session
        self._reply = reply
        self._input = task
        self._services = services
        self._models = models
        self._scope = trio.CancelScope()
        self._cancel_reason: EndReason = "stopped"
        self._storage = ReplyStorage(services.database, reply, session.notify_once)
        self._model: ChosenModel | None = None
        self._prompt: PreparedPrompt | None = None
        self._update_filter = UpdateFilter() if services.narrator_updates else None
        self._finish_mark: Finish | None = None
        self._meter = ReplyMeter(trio.current_time())
        self._elsewhere = False  # a fallback was asked
        self._begins = reply.length
        self._watch = ReplyWatch(())
        self._prepared: Prepared | None = None  # the answer was there before it was asked for
        self._progress_shown = 0.0

    def cancel(self, reason: EndReason = "stopped") -> None:
        """Ends the turn now; what has been written so far is kept."""
        self._cancel_reason = reason
        self._scope.cancel()

    async def run(self) -> TurnOutcome:
        """The five steps; returns how they ended.

        Only cancellation of the whole engine passes through, after saving.
        """
        reason: EndReason = "interrupted"
        error: FlowerError | None = None
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._storage.flush_regularly)
                    context = await self._gather_context()
                    model = self._select_model(context)
                    prompt = await self._build_prompt(context, model)
                    reason = await self._stream_fitting(context, model, prompt)
                    nursery.cancel_scope.cancel()
            if self._scope.cancelled_caught:
                reason = self._cancel_reason
        except Exception as failure:  # the turn's edge: a bug in one reply must not end the engine
            cause = only(failure)
            if not isinstance(cause, FlowerError):
                log.exception("turn=%s crashed", self._reply.turn)
                kind = type(cause).__name__
                cause = FlowerError(f"The engine failed on this reply ({kind}); see its log.")
            reason, error = reason_of(cause), cause
        finally:
            outcome = await self._finish(reason, error)
        return outcome

    # --- 1: context -----------------------------------------------------------------------------

    async def _gather_context(self) -> PromptContext:
        context = await gather(self._services, self._input)
        self._reply.scripted = bool(context.acted.scripts)
        if context.recall_late:
            self._session.publish(SystemUpdate("✗ Recall took too long; this reply does without it."))
        if context.entries.trouble:
            self._session.notify_once(f"✗ {context.entries.trouble}")
        self._session.tell_speaker(context.direction.speaker)
        shared = self._session.shared
        event = recall_event(self._reply.turn, context.hits, context.entries, shared=shared)
        if event.metadata.items:
            self._session.publish(event)
        return context

    # --- 2: model -------------------------------------------------------------------------------

    def _select_model(self, context: PromptContext) -> ChosenModel:
        model, note = self._models.select(self._input.model_id, context.direction.model)
        if note:
            self._session.notify_once(note)
        self._model = model
        self._reply.model = model.id
        return model

    # --- 3: prompt ------------------------------------------------------------------------------

    async def _build_prompt(self, context: PromptContext, model: ChosenModel) -> PreparedPrompt:
        prompt = await build_prompt(
            self._services, self._input, model, context, self._session.window_start
        )
        start = prompt.assembled.window_start
        if start != self._session.window_start and context.leaves_out(start):
            self._services.library.embed_soon()
        self._session.move_window(start)
        prompt = self._against_loops(prompt, model)
        self._prompt = prompt
        self._storage.record = prompt.record
        self._watch = ReplyWatch(prompt.completion.banned)
        return prompt

    def _against_loops(self, prompt: PreparedPrompt, model: ChosenModel) -> PreparedPrompt:
        """Returns the prompt with another sampler, once, when the last replies share a sentence; then says so."""
        if isinstance(model.provider, Composing):
            return prompt
        before, completion = self._session.looped, prompt.completion
        replies = [one.content for one in completion.messages if one.role == "assistant"]
        self._session.looped = shared_sentence(replies)
        if before and self._session.looped:
            self._session.notify_once(STILL_ALIKE)
        elif self._session.looped:
            completion = replace(completion, params=less_alike(completion.params))
            return replace(prompt, completion=completion)
        return prompt

    # --- 4: stream ------------------------------------------------------------------------------

    async def _stream_fitting(
        self, context: PromptContext, model: ChosenModel, prompt: PreparedPrompt
    ) -> EndReason:
        """Streams the reply; a prompt that the server finds too long is made and sent once more."""
        try:
            return await self._stream_well(prompt, model)
        except ProviderError as error:
            if error.kind != "context_exceeded" or self._meter.tokens:
                raise
            model = self._model = shorter(model, prompt, error)
        self._session.publish(
            SystemUpdate("The prompt was too long for this model; trying a shorter one.")
        )
        return await self._stream_well(await self._build_prompt(context, model), model)

    async def _stream_well(self, prompt: PreparedPrompt, model: ChosenModel) -> EndReason:
        """Streams one completion; one in which a banned phrase comes is taken back, and tried once more."""
        reason = await self._stream(prompt, model)
        if not self._watch.phrase:
            return reason
        self._session.publish(
            SystemUpdate(f"The model wrote {self._watch.phrase!r}, which is banned here; once more …")
        )
        self._take_back(self._begins)
        banned = prompt.completion.banned
        self._watch, self._finish_mark = ReplyWatch(banned), None
        again = once_more(prompt, RETRY_ASK.format(phrases="; ".join(banned)))
        reason = await self._stream(again, model, last_try=True)
        if self._watch.phrase:
            text = f"✗ The model wrote {self._watch.phrase!r} again; /retry tells it anew, /edit changes it."
            self._session.publish(SystemUpdate(text))
        return reason

    async def _stream(
        self, prompt: PreparedPrompt, model: ChosenModel, *, last_try: bool = False
    ) -> EndReason:
        """Streams one completion to its end, or to a banned phrase if there may be another try."""
        self._reply.join_with(message.content for message in prompt.completion.messages)
        self._prepared = self._session.take_prepared(model.provider, prompt.completion)
        streaming = Stream(
            model.provider,
            prompt.completion,
            rng=self._services.rng,
            fallbacks=model.fallbacks,
            prepared=self._prepared,
        )
        try:
            async with streaming:
                async for piece in streaming:
                    self._take(piece, streaming, model)
                    if self._has_enough(last_try=last_try):
                        return "length"
        finally:
            self._elsewhere = _steps_in(streaming, model)
            self._session.sent = SentPrompt(
                self._reply.message_id,
                f"{streaming.provider.name}/{streaming.model}",
                prompt.completion.messages,
                streaming.body,
            )
            for note in streaming.notes:
                self._session.notify_once(note)
        self._watch.end()
        return self._finish_mark.reason if self._finish_mark is not None else "interrupted"

    def _has_enough(self, *, last_try: bool) -> bool:
        """Whether nothing more of the stream is worth reading: it is too much, a loop, or to be tried again."""
        if self._watch.in_loop or (self._watch.phrase and not last_try):
            return True
        updates = self._update_filter
        return self._reply.full or (updates is not None and updates.full)

    def _take(self, piece: Piece, streaming: Stream, model: ChosenModel) -> None:
        match piece:
            case Text(text):
                if not self._meter.first_text_at:
                    self._begin_text(streaming, model)
                    self._join_exactly(streaming, model)
                clean = sanitize(text)
                self._meter.tokens += model.counter.count(clean)
                self._publish(
                    self._update_filter.take(clean) if self._update_filter is not None else clean
                )
            case Withdrawn():
                self._take_back(0)
            case Reasoning(text):
                self._session.publish(self._reply.think(sanitize(text), self._speed()))
            case Loading(what, done, total):
                self._show_progress(Progress(what, done, total))
            case Proposal(changes):
                self._reply.proposed = changes
            case Spent():
                self._meter.spent = piece
            case Finish():
                self._finish_mark = piece
                if piece.cut:
                    self._storage.note_end(f"ended at {piece.cut!r}", "not the narrator's to say")
            case _:
                assert_never(piece)

    def _publish(self, text: str) -> None:
        chunk = self._reply.append(text, self._speed())
        if chunk is None:
            return
        self._session.publish(chunk)
        worth = self._watch.feed(chunk.content)
        if worth is not None:
            self._end_loop(worth)

    def _end_loop(self, worth: int) -> None:
        """Ends a reply that goes round in circles, with what of it is worth keeping."""
        self._take_back(self._begins + worth)
        self._storage.note_end("ended in a loop", "the same again and again; left out")
        self._session.publish(
            SystemUpdate("✗ The model went round in circles and was stopped; /retry tells it anew.")
        )

    def _take_back(self, length: int) -> None:
        """Keeps the first characters of the reply only; some of the rest may be on screens and on disk."""
        self._session.publish(self._reply.keep(length, self._speed()))
        self._storage.take_back()
        if self._update_filter is not None:
            self._update_filter = UpdateFilter()

    def _begin_text(self, streaming: Stream, model: ChosenModel) -> None:
        self._meter.first_text_at = trio.current_time()
        if _steps_in(streaming, model):
            self._reply.model = f"{streaming.provider.name}/{streaming.model}"
        if self._progress_shown:
            self._session.publish(SystemUpdate("✓ The narrator begins.", State(progress=None)))

    def _join_exactly(self, streaming: Stream, model: ChosenModel) -> None:
        """A reply that the model goes on with in its own words needs no guess where it was cut."""
        if self._prompt is None or _steps_in(streaming, model):
            return
        last, template = self._prompt.completion.messages[-1], self._prompt.completion.template
        if last.role == "assistant" and goes_on_exactly(
            model, template
        ):  # else it was refused meanwhile
            self._reply.goes_on_exactly(last.content)

    def _show_progress(self, progress: Progress) -> None:
        now = trio.current_time()
        if self._progress_shown and now - self._progress_shown < limits.PROGRESS_INTERVAL_S:
            return
        self._progress_shown = now
        self._session.publish(SystemUpdate(f"{progress.what} …", State(progress=progress)))

    def _speed(self) -> float:
        return self._meter.speed(trio.current_time())

    # --- 5: finish ------------------------------------------------------------------------------

    async def _finish(self, reason: EndReason, error: FlowerError | None) -> TurnOutcome:
        """Saves the reply, then tells the watchers; returns how it ended."""
        self._publish_rest()
        usage = self._meter.usage(self._prompt)
        failure = await self._storage.save_end(STATUS_OF.get(reason, reason), usage)
        self._announce(reason, error, usage, failure)
        return self._meter.outcome(
            reason,
            error,
            saved=not failure,
            model=self._model,
            prompt=self._prompt,
            client=self._input.selection.client,
            elsewhere=self._elsewhere,
            prepaid=self._prepared is not None,
            rate=self._speed(),
        )

    def _publish_rest(self) -> None:
        """Publishes what waited for more text, now that none comes; what is no story is set aside."""
        if self._update_filter is not None:
            self._publish(self._update_filter.end())
            self._reply.proposed = self._update_filter.block
        rest = self._reply.rest(self._speed())
        if rest is not None:
            self._session.publish(rest)

    def _announce(
        self, reason: EndReason, error: FlowerError | None, usage: Usage, failure: str
    ) -> None:
        """Tells the watchers what went wrong, ``failure`` with saving it, and that the reply has ended."""
        reply, session = self._reply, self._session
        if failure:
            log.error("turn=%s %s", reply.turn, failure)
            text = f"{failure}. The reply stays on screen and is tried again."
            session.publish(ErrorEvent(text, ErrorMeta("store")))
        complaint = complaint_of(reply.turn, reason, error, self._finish_mark)
        if complaint is not None:
            session.publish(complaint)
        info = self._model.info if self._model is not None else None
        cost = self._meter.price(info, usage, elsewhere=self._elsewhere)
        seconds = trio.current_time() - self._meter.started_at
        session.publish(end_event(session.id, reply, reason, usage, cost, seconds, self._speed()))


def _steps_in(streaming: Stream, model: ChosenModel) -> bool:
    """Whether a fallback answers, not the model that was asked."""
    return (streaming.provider, streaming.model) != (model.provider, model.name)
