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
from collections.abc import Sequence
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
from flower.engine.sessions.reply_storage import ReplyStorage
from flower.engine.sessions.reply_watch import (
    RETRY_ASK,
    BannedPhrases,
    LoopGuard,
    less_alike,
    told_too_often,
)
from flower.engine.sessions.session import GrowingReply, Session
from flower.engine.sessions.turn_outcome import (
    STATUS_OF,
    EndReason,
    ReplyMeter,
    TurnOutcome,
    complaint_of,
    end_event,
    kind_of,
    reason_of,
)
from flower.engine.store import stories
from flower.engine.store.extra import ManifestEntry
from flower.errors import FlowerError, ProviderError, only
from flower.protocol.messages import ErrorEvent, ErrorMeta, Progress, State, SystemUpdate
from flower.text import sanitize

log = logging.getLogger(__name__)

CUT = "not the narrator's to say"
LOOP = "the same again and again; left out"


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
        self._loops = LoopGuard()
        self._banned = BannedPhrases(())
        self._wrote_banned = ""
        self._prepared: Prepared | None = None  # the answer was there before it was asked for
        self._progress_shown = 0.0

    def cancel(self, reason: EndReason = "stopped") -> None:
        """Ends the turn now; what has been written so far is kept."""
        self._cancel_reason = reason
        self._scope.cancel()

    async def run(self) -> TurnOutcome:
        """Returns how it ended. Only cancellation of the whole engine passes through, after saving."""
        reason: EndReason = "interrupted"
        error: FlowerError | None = None
        try:
            with self._scope:
                reason, error = await self._generate_and_flush()
            if self._scope.cancelled_caught:
                reason = self._cancel_reason
        except Exception as bug:  # the turn's edge: a bug in one reply must not end the engine
            log.exception("turn=%s crashed", self._reply.turn)
            kind = type(only(bug)).__name__
            reason = "error"
            error = FlowerError(f"The engine failed on this reply ({kind}); see its log.")
        finally:
            outcome = await self._finish(reason, error)
        return outcome

    async def _generate_and_flush(self) -> tuple[EndReason, FlowerError | None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._storage.flush_regularly)
            try:
                return await self._generate(), None
            except ProviderError as failed:
                return reason_of(failed), failed
            except FlowerError as failed:
                return "error", failed
            finally:
                nursery.cancel_scope.cancel()

    async def _generate(self) -> EndReason:
        """The first four steps; a prompt that the server finds too long is made and sent once more."""
        context = await self._gather_context()
        model = self._select_model(context)
        prompt = await self._build_prompt(context, model)
        self._banned = BannedPhrases(prompt.completion.banned)
        try:
            return await self._stream_well(prompt, model)
        except ProviderError as error:
            if error.kind != "context_exceeded" or self._meter.tokens:
                raise
            model = self._model = shorter(model, prompt, error)
        self._session.publish(
            SystemUpdate("The prompt was too long for this model; trying a shorter one.")
        )
        prompt = await self._build_prompt(context, model)
        return await self._stream_well(prompt, model)

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
        event = recall_event(self._reply.turn, context.found, context.entries, shared=shared)
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
        if start != self._session.window_start and _leaves_out(context.path, start):
            self._services.library.embed_soon()
        self._session.move_window(start)
        prompt = self._against_loops(prompt, model)
        self._prompt = prompt
        self._storage.record = prompt.record
        return prompt

    def _against_loops(self, prompt: PreparedPrompt, model: ChosenModel) -> PreparedPrompt:
        """Returns the prompt with another sampler, once, when the last replies share a sentence; then says so."""
        if isinstance(model.provider, Composing):
            return prompt
        completion = prompt.completion
        replies = [one.content for one in completion.messages if one.role == "assistant"]
        sentence = told_too_often(replies)
        known, self._session.looped = self._session.looped, sentence
        if not sentence:
            return prompt
        if known:
            self._session.notify_once(
                "✗ This model says the same sentence in one reply after the other, also with another sampler."
                " /edit takes it out of the story, /model chooses another model."
            )
            return prompt
        stirred = replace(completion, params=less_alike(completion.params))
        return replace(prompt, completion=stirred)

    # --- 4: stream ------------------------------------------------------------------------------

    async def _stream_well(self, prompt: PreparedPrompt, model: ChosenModel) -> EndReason:
        """Streams one completion; one in which a banned phrase comes is taken back, and tried once more."""
        reason = await self._stream(prompt, model)
        if not self._wrote_banned:
            return reason
        self._session.publish(
            SystemUpdate(f"The model wrote {self._wrote_banned!r}, which is banned here; once more …")
        )
        self._take_back(self._begins)
        self._loops, self._finish_mark, self._wrote_banned = LoopGuard(), None, ""
        self._banned.end()
        phrases = "; ".join(prompt.completion.banned)
        again = once_more(prompt, RETRY_ASK.format(phrases=phrases))
        reason = await self._stream(again, model, last_try=True)
        if self._wrote_banned:
            text = f"✗ The model wrote {self._wrote_banned!r} again; /retry tells it anew, /edit changes it."
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
                    if self._loops.found or (self._wrote_banned and not last_try):
                        return "length"
                    if self._reply.full or (
                        self._update_filter is not None and self._update_filter.full
                    ):
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
        self._wrote_banned = self._wrote_banned or self._banned.end()
        return self._finish_mark.reason if self._finish_mark is not None else "interrupted"

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
                    self._storage.ending = ManifestEntry("reply", f"ended at {piece.cut!r}", 0, CUT)
            case _:
                assert_never(piece)

    def _publish(self, text: str) -> None:
        chunk = self._reply.append(text, self._speed())
        if chunk is None:
            return
        self._session.publish(chunk)
        self._wrote_banned = self._wrote_banned or self._banned.feed(chunk.content)
        worth = self._loops.feed(chunk.content)
        if worth is not None:
            self._end_loop(worth)

    def _end_loop(self, worth: int) -> None:
        """Ends a reply that goes round in circles, with what of it is worth keeping."""
        self._take_back(self._begins + worth)
        self._storage.ending = ManifestEntry("reply", "ended in a loop", 0, LOOP)
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
        asked = self._prompt.completion if self._prompt is not None else None
        if asked is None or _steps_in(streaming, model) or asked.messages[-1].role != "assistant":
            return
        if goes_on_exactly(model, asked.template):  # else it was refused meanwhile
            self._reply.goes_on_exactly(asked.messages[-1].content)

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
        """Saves the reply, then tells the watchers."""
        self._publish_rest()
        saved = await self._save_and_announce(reason, error)
        return TurnOutcome(
            reason=reason,
            saved=saved,
            model=self._model,
            counter=self._meter.counter(self._prompt, self._model),
            tokens=self._meter.tokens,
            first_text_s=self._meter.first_text_s,
            rate=self._speed(),
            elsewhere=self._elsewhere,
            trouble=kind_of(error) if error is not None else "",
            prompt=self._prompt,
            client=self._input.selection.client,
            prompt_tokens=self._meter.usage(self._prompt).prompt_tokens,
            cost=self._meter.cost or 0.0,
            prepaid=self._prepared is not None,
        )

    def _publish_rest(self) -> None:
        """Publishes what waited for more text, now that none comes; what is no story is set aside."""
        if self._update_filter is not None:
            self._publish(self._update_filter.end())
            self._reply.proposed = self._update_filter.block
        rest = self._reply.rest(self._speed())
        if rest is not None:
            self._session.publish(rest)

    async def _save_and_announce(self, reason: EndReason, error: FlowerError | None) -> bool:
        """Saves the reply, then tells the watchers; returns whether it could be saved."""
        reply, session = self._reply, self._session
        usage = self._meter.usage(self._prompt)
        failure = await self._storage.save_end(STATUS_OF.get(reason, reason), usage)
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
        return not failure


def _steps_in(streaming: Stream, model: ChosenModel) -> bool:
    """Whether a fallback answers, not the model that was asked."""
    return (streaming.provider, streaming.model) != (model.provider, model.name)


def _leaves_out(path: Sequence[stories.Message], start: int | None) -> bool:
    """Whether a history that begins with message ``start`` has not all of the story."""
    return start is not None and bool(path) and (path[0].id != start or path[0].parent_id is not None)
