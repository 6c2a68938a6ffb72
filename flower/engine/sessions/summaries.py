"""Keeps a summary of what is about to leave the history, made while nobody waits.

Runs after a turn, in the background; a new line of the player ends it at once, because a local model
can only do one thing at a time. What it has not finished it begins again after the next turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import trio
from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.prompt.assemble import PromptLine, is_filling
from flower.engine.prompt.context import most_messages
from flower.engine.prompt.model import ChosenModel, settings_of, thinking_room
from flower.engine.prompt.request import PreparedPrompt, line_of
from flower.engine.prompt.summary import (
    LINE_CHARS,
    MIN_NEW_LINES,
    extract,
    lines_to_cover,
    summary_prompt,
)
from flower.engine.provider.answers import short_text
from flower.engine.provider.base import Completion
from flower.engine.provider.capabilities import Composing
from flower.engine.sessions.model_choice import ModelSelector
from flower.engine.sessions.reply_watch import LoopGuard
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import Session
from flower.engine.sessions.side_work import side_stream
from flower.engine.store import search, stories
from flower.engine.store.connection import Store
from flower.engine.store.search import Summary
from flower.engine.token_counter import MESSAGE_TOKENS, TokenCounter
from flower.errors import FlowerError, ProviderError
from flower.text import sanitize

log = logging.getLogger(__name__)

SUMMARY_FAILURES_KEPT = 200  # stories whose failures are remembered
SUMMARY_FAILURES = 2  # in a row, after which a story's summaries wait ...
SUMMARY_WAIT_TURNS = 8  # ... so many turns, then twice as many, up to ...
SUMMARY_WAIT_TURNS_MAX = 128

SUMMARY_TOKENS = 400  # of the record of what left the history
REMAKE_MESSAGES = 4_000  # the last of a story, from which its whole record is made anew
SUMMARY_DEADLINE_S = 300.0  # a small board reads a long text slowly; nobody waits for it


class Failures(Struct, frozen=True):
    """How often in a row a story could not be summarised, and how many turns it waits for the next try."""

    times: int = 0
    wait: int = 0


class Reading(Struct, frozen=True):
    """How much a model reads at once for a record, and how it is counted."""

    context_tokens: int
    room: int  # tokens of the story in one request
    counter: TokenCounter


class Summariser:
    """Brings the summaries of stories up to date."""

    def __init__(
        self, runtime: Runtime, models: ModelSelector, now: Callable[[], float] = time.time
    ) -> None:
        self._runtime = runtime
        self._models = models
        self._now = now
        self._running: dict[str, trio.CancelScope] = {}
        self._failures: dict[str, Failures] = {}

    @property
    def _database(self) -> Store:
        return self._runtime.services.database

    @property
    def running(self) -> int:
        """How many stories are being summarised."""
        return len(self._running)

    def interrupt(self, session_id: str) -> None:
        """Stops what is being summarised in a story: its next turn begins."""
        scope = self._running.pop(session_id, None)
        if scope is not None:
            scope.cancel()

    async def refresh(
        self, session: Session, model_id: str, prompt: PreparedPrompt, reply: str, client: str = ""
    ) -> None:
        """Summarises what the next trim of this story's history would leave out, if that is enough.

        ``model_id``: the story's model; ``prompt``: the last one of this story, and its ``reply``. ``client``: for
        whose user it is counted; when they have used what they may, nothing is summarised.
        """
        session_id, assembled = session.id, prompt.assembled
        if self._waits(session_id):
            return
        grown = assembled.history + prompt.counter.count(reply) + MESSAGE_TOKENS
        if not is_filling(grown, assembled.room):
            return  # as after most turns, without reading the story again
        if not await self._runtime.may_work_ahead(client):
            return
        with trio.CancelScope() as scope:
            self._running[session_id] = scope
            try:
                await self._refresh(session, self._models.select(model_id)[0], prompt, client)
            except FlowerError as error:
                log.info("session=%s not summarised: %s", session_id, error)
                self._failed(session, error)
            else:
                self._failures.pop(session_id, None)
            finally:
                if self._running.get(session_id) is scope:
                    del self._running[session_id]

    def _waits(self, session_id: str) -> bool:
        """Returns whether this turn is one of those that a story waits after failures."""
        failures = self._failures.get(session_id)
        if failures is None or not failures.wait:
            return False
        self._failures[session_id] = replace(failures, wait=failures.wait - 1)
        return True

    def _failed(self, session: Session, error: FlowerError) -> None:
        """Counts a failure; from the second on the story waits longer each time, and says so once."""
        times = self._failures.pop(session.id, Failures()).times + 1
        wait = 0
        if times >= SUMMARY_FAILURES:
            doubled = SUMMARY_WAIT_TURNS * 2 ** min(times - SUMMARY_FAILURES, 8)
            wait = min(doubled, SUMMARY_WAIT_TURNS_MAX)
            session.notify_once(
                "✗ The model could not summarise the older part of this story; it is tried again less often. "
                f"The reason: {error}"
            )
        while len(self._failures) >= SUMMARY_FAILURES_KEPT:
            self._failures.pop(next(iter(self._failures)))
        self._failures[session.id] = Failures(times, wait)

    async def _refresh(
        self, session: Session, model: ChosenModel, prompt: PreparedPrompt, client: str
    ) -> None:
        path = await self._database.read(
            stories.active_path,
            session.id,
            most=most_messages(prompt.completion.context_tokens),
        )
        start = session.window_start
        whole = [
            replace(line_of(message), content=message.content)
            for message in path
            if not message.extra.hidden
        ]
        lines = [line for line in whole if start is None or line.id >= start]
        count = lines_to_cover(lines, prompt.assembled.room, prompt.counter)
        if not count:
            return
        newest = await self._database.read(search.newest, path[-1].id if path else None)
        reading = Reading(prompt.completion.context_tokens, prompt.assembled.room, prompt.counter)
        # Also what left the history before anybody had the time to summarise it.
        new = _fitting(
            [
                line
                for line in whole
                if line.id <= lines[count - 1].id and (newest is None or line.id > newest.last_id)
            ],
            reading,
        )
        if len(new) < MIN_NEW_LINES:
            return
        before = newest.text if newest is not None else ""
        own_task = await self._database.read(search.own_task, session.id)
        text = await self._record(model, reading, before, new, own_task, client)
        if text:
            await self._database.write(search.add, new[-1].id, text, self._now())
            log.info("session=%s summarised %d messages", session.id, len(new))

    async def remake(
        self, session: Session, model: ChosenModel, tell: Callable[[str], None], client: str = ""
    ) -> Summary | None:
        """Makes the record of a story anew, from its beginning to where it ended, and returns it.

        Where there was none, it reaches to the newest message. A line of the player that comes meanwhile ends
        it: None, and the old one stays. ``tell`` gets how far it is. Raises ``ProviderError``.
        """
        self.interrupt(session.id)
        with trio.CancelScope() as scope:
            self._running[session.id] = scope
            try:
                return await self._remake(session, model, tell, client)
            finally:
                if self._running.get(session.id) is scope:
                    del self._running[session.id]
        return None

    async def _remake(
        self, session: Session, model: ChosenModel, tell: Callable[[str], None], client: str
    ) -> Summary | None:
        database = self._database
        path = await database.read(stories.active_path, session.id, most=REMAKE_MESSAGES)
        newest = await database.read(search.newest, path[-1].id if path else None)
        own_task = await database.read(search.own_task, session.id)
        left = [
            replace(line_of(message), content=message.content)
            for message in path
            if not message.extra.hidden and (newest is None or message.id <= newest.last_id)
        ]
        if not left:
            return None
        last_id = newest.last_id if newest is not None else left[-1].id
        settings = await settings_of(self._runtime.services, session.id, model.id)
        context = model.context_tokens(settings.context_tokens)
        room = int((context - SUMMARY_TOKENS - thinking_room(context)) * limits.CONTEXT_USED_SHARE)
        reading = Reading(context, room, model.counter)
        text, whole = "", len(left)
        while left:
            part = _fitting(left, reading) or left[:1]
            if len(part) < whole:
                tell(f"Summarising message {whole - len(left) + 1} of {whole} …")
            text = await self._record(model, reading, text, part, own_task, client)
            left = left[len(part) :]
        if not text:
            raise ProviderError("bad_request", f"{model.id} wrote nothing; the old summary stays.")
        await database.write(search.add, last_id, text, self._now())
        return Summary(last_id, text)

    async def _record(
        self,
        model: ChosenModel,
        reading: Reading,
        before: str,
        lines: list[PromptLine],
        own_task: str,
        client: str,
    ) -> str:
        """Returns the record with the lines in it; ``own_task``: in the player's own words how to write it."""
        if isinstance(model.provider, Composing):  # it plays, it does not summarise
            return extract(before, lines)
        completion = Completion(
            model=model.name,
            messages=summary_prompt(before, lines, own_task),
            max_tokens=SUMMARY_TOKENS + thinking_room(reading.context_tokens),
            context_tokens=reading.context_tokens,  # another one makes Ollama load anew
            params={"temperature": 0.3},
            quiet=True,
        )
        text = ""
        with trio.move_on_after(SUMMARY_DEADLINE_S):
            async with side_stream(self._runtime, client, model, completion, tries=1) as pieces:
                text = await short_text(pieces, limits.SUMMARY_CHARS, LoopGuard)
        return sanitize(text).strip()


def _fitting(lines: list[PromptLine], reading: Reading) -> list[PromptLine]:
    """Returns as many of the oldest lines as one request can hold; the others are next."""
    left = reading.room - SUMMARY_TOKENS
    for index, line in enumerate(lines):
        left -= reading.counter.count(line.content[:LINE_CHARS])
        if left < 0:
            return lines[:index]
    return lines
