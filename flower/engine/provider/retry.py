"""What a turn wants from a provider: pieces in time, or one clear error.

Owns the deadlines, the retries before the first word, the fallback models and the parameters a model
refused. A provider below only talks; the turn above only listens. Nothing is ever repeated after a
word of the story has arrived.

Deadlines: any sign of life (a comment, an empty delta, loading progress) keeps the deadline for silence
alive, which is shorter once the reply has begun; but without content or real loading progress nobody waits
longer than the deadline for the first piece, so that a provider that sends comments for ever is cut.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any

import msgspec
import trio
from msgspec import Struct

from flower import limits
from flower.engine.provider.answers import Prepared
from flower.engine.provider.base import (
    Completion,
    Finish,
    Loading,
    Piece,
    Provider,
    Reasoning,
    Text,
    Withdrawn,
)
from flower.engine.provider.capabilities import Adaptable, Bodied, Gated, Patient, Remarking
from flower.engine.provider.gate import Gate, Ticket
from flower.errors import ProviderError

FIRST_PIECE_TIMEOUT_S = 600.0  # a reasoning model may be queued for minutes
IDLE_TIMEOUT_S = 90.0
OWN_FIRST_TIMEOUT_S = 3600.0  # a large model on a small board reads a long prompt for half an hour
OWN_IDLE_TIMEOUT_S = 900.0  # it may swap, or somebody else's prompt is read in between
RETRY_AFTER_MAX_S = 60.0
FIRST_SIGN_TIMEOUT_S = 120.0  # a cloud endpoint sends a comment or a word before that, or is dead
RETRY_BASE_S = 0.5  # full jitter below RETRY_BASE_S * 2**tries
RETRY_CAP_S = 8.0
LOADING_POLL_S = 1.0  # a server that says it is loading is asked again after this

_RETRIED = frozenset({"rate_limit", "overloaded", "network", "server", "loading", "interrupted"})
_FULL = frozenset({"rate_limit", "overloaded"})
_NOT_ELSEWHERE = frozenset({"blocked", "bad_request", "context_exceeded"})


class Deadlines(Struct, frozen=True):
    """How long to wait, in seconds: without a sign of life, for the first content, between contents."""

    silence_s: float
    first_s: float
    idle_s: float


CLOUD = Deadlines(FIRST_SIGN_TIMEOUT_S, FIRST_PIECE_TIMEOUT_S, IDLE_TIMEOUT_S)
LOCAL = Deadlines(OWN_FIRST_TIMEOUT_S, OWN_FIRST_TIMEOUT_S, OWN_IDLE_TIMEOUT_S)


def deadlines_of(provider: Provider) -> Deadlines:
    """Returns how long to wait for a provider: what its settings say, else long for one's own servers."""
    usual = LOCAL if not isinstance(provider, Adaptable) or provider.local else CLOUD
    if not isinstance(provider, Patient):
        return usual
    own = provider.timeouts
    first_s = own.first_s or usual.first_s
    silence_s = own.silence_s or (own.first_s if usual is LOCAL else 0.0) or usual.silence_s
    return Deadlines(silence_s, max(first_s, own.idle_s), own.idle_s or usual.idle_s)


class Stream:
    """The pieces of one completion, with deadlines, retries and fallbacks: ``async with``, then ``async for``.

    Leaving it closes the connection at once. The last piece is ``Finish``; anything else ends in
    ``ProviderError``, ``interrupted`` when the provider just stopped. ``provider`` and ``model`` say who
    narrates, which changes when a fallback steps in; ``notes`` are sentences for the user about what was
    left out or replaced. ``rng`` gives the jitter between tries. ``fallbacks`` are tried in order when
    ``provider`` fails before the first word. ``prepared``: the answer to this very completion, which is not
    asked for again.
    """

    def __init__(
        self,
        provider: Provider,
        completion: Completion,
        *,
        rng: random.Random | None = None,
        fallbacks: Sequence[tuple[Provider, str]] = (),
        tries: int = limits.TRIES_BEFORE_FIRST_PIECE,
        deadlines: Deadlines | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        self.provider = provider
        self.model = completion.model
        self.notes: list[str] = []
        self._completion = completion
        self._fallbacks = list(fallbacks)
        self._rng = rng or random.Random()
        self._tries = tries
        self._failures = 0
        self._asked_deadlines = deadlines
        self._prepared = prepared  # what the provider has answered already
        self._wait_s = 0.0
        self._has_text = False  # a word of the story has arrived
        self._thought = False  # the model has been seen thinking
        self._over = False
        self._manager: AbstractAsyncContextManager[AsyncIterator[Piece]] | None = None
        self._pieces: AsyncIterator[Piece] | None = None
        self._opened: AbstractAsyncContextManager[AsyncIterator[Piece]] | None = None
        self._gate: Gate | None = None
        self._ticket: Ticket | None = None
        self._place = 0  # in the line, as it was last sent
        self._start_clock()

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self.provider, Remarking):
            for remark in self.provider.remarks(self.model):
                self._note(remark)
        try:
            await self._close(kind, error, trace)
        finally:
            self._leave_line()

    @property
    def body(self) -> dict[str, Any] | None:
        """The body of the last request as it was sent; None where nothing was."""
        return self._opened.body if isinstance(self._opened, Bodied) else None

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Piece:
        if self._over:
            raise StopAsyncIteration
        try:
            piece = await self._next()
            if type(piece) is Text:  # nearly always: the short way, taken for every token
                self._has_text = self._has_content = True
                self._content_at = self._life_at = trio.current_time()
                return piece
            self._note_progress(piece)
            if isinstance(piece, Finish) and not self._has_text:
                self._check_empty(piece)
        except ProviderError as error:
            return await self._failed(error)
        self._over = isinstance(piece, Finish)
        return piece

    async def _next(self) -> Piece:
        """Returns the next piece, opening the provider first if need be."""
        if self._wait_s:
            wait_s, self._wait_s = self._wait_s, 0.0
            await trio.sleep(wait_s)
        if self._pieces is None and (place := await self._wait_in_line()) is not None:
            return place
        with trio.move_on_at(self._deadline()):
            if self._pieces is None:
                await self._open()
            assert self._pieces is not None
            try:
                return await anext(self._pieces)
            except StopAsyncIteration:
                raise self._cut_short() from None
        raise self._timed_out()

    async def _wait_in_line(self) -> Loading | None:
        """Returns the place in the line when it has changed; None when it is this request's turn."""
        if self._prepared is not None or not isinstance(self.provider, Gated):
            return None
        if self._ticket is None:
            with trio.move_on_at(self._deadline()):
                self._gate = self.provider.gate(self.model)
                self._ticket = await self._gate.enter()
        while self._gate is not None and self._ticket is not None and not self._ticket.admitted:
            place = self._gate.place(self._ticket)
            if place != self._place:
                self._place = place
                return Loading(f"waiting for the model, place {place} in line")
            with trio.move_on_after(self._gate.wait_s() or limits.GATE_GROW_S):
                await self._ticket.moved.wait()
            self._gate.reopen()
        if self._place:
            self._place = 0
            self._restart()
        return None

    def _leave_line(self) -> None:
        gate, ticket, self._gate, self._ticket = self._gate, self._ticket, None, None
        if gate is not None and ticket is not None:
            gate.leave(ticket)

    async def _open(self) -> None:
        if self._prepared is not None:
            self._opened = self._manager = self._prepared.open()
            self._pieces = await self._manager.__aenter__()
            return
        completion = msgspec.structs.replace(self._completion, model=self.model)
        if isinstance(self.provider, Adaptable):
            for name in self.provider.left_out(completion):
                self._note(
                    f"{self.provider.name} does not take {name} for this model; it was left out."
                )
        manager = self.provider.open(completion)
        self._opened = manager
        self._pieces = await manager.__aenter__()
        self._manager = manager

    async def _close(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        manager, self._manager, self._pieces = self._manager, None, None
        if manager is not None:
            await manager.__aexit__(kind, error, trace)

    # --- progress and deadlines -----------------------------------------------------------------

    def _start_clock(self) -> None:
        self._deadlines = self._asked_deadlines or deadlines_of(self.provider)
        self._content_at = self._life_at = trio.current_time()
        self._progress: dict[str, int] = {}  # units done, by what is under way
        self._has_content = False

    def _deadline(self) -> float:
        deadlines = self._deadlines
        silence_s = deadlines.idle_s if self._has_content else deadlines.silence_s
        return min(self._life_at + silence_s, self._content_at + deadlines.first_s)

    def _note_progress(self, piece: Piece) -> None:
        self._life_at = trio.current_time()
        match piece:
            case Reasoning():
                self._has_content = self._thought = True
                self._content_at = self._life_at
            case Withdrawn():
                self._has_text = False  # it was thinking, and may be asked for again
            case Loading(what, done) if done > self._progress.get(what, 0):
                self._progress[what] = done
                self._content_at = self._life_at
            case _:
                pass

    def _timed_out(self) -> ProviderError:
        name = self.provider.name
        if self._has_content:
            return ProviderError(
                "timeout_idle",
                f"{name} stopped in the middle of the reply; continue it with /continue, or try again.",
            )
        return ProviderError(
            "timeout_first_byte",
            f"{name} did not begin to answer; try again, or choose another model with /model.",
        )

    def _check_empty(self, finish: Finish) -> None:
        """Raises when a complete reply has no word of story, unless the provider says it was blocked."""
        if finish.reason == "length":
            raise ProviderError(
                "bad_request",
                f"{self.model} used all {self._completion.max_tokens} tokens of the reply for thinking; "
                "raise max_tokens or lower reasoning_effort with /set.",
            )
        if finish.reason == "done" and self._thought:
            raise ProviderError(
                "bad_request",
                f"{self.model} only thought and told nothing; lower its reasoning_effort or raise "
                "max_tokens, or choose another model with /model.",
            )
        if finish.reason == "done":
            raise self._cut_short()

    def _cut_short(self) -> ProviderError:
        if self._has_text:
            return ProviderError(
                "interrupted",
                f"{self.provider.name} broke off in the middle of the reply; go on with /continue.",
            )
        return ProviderError(
            "interrupted",
            f"{self.provider.name} sent an empty reply; try again, or choose another model with /model.",
        )

    # --- failures -------------------------------------------------------------------------------

    async def _failed(self, error: ProviderError) -> Piece:
        """Returns the piece that says what happens next, or raises when nothing can be done."""
        await self._close()
        if self._has_text:
            self._over = True
            raise _after_words(error) from error
        retry = self._adapt(error) or self._queue(error) or self._retry(error) or self._fall_back(error)
        if retry is None:
            self._over = True
            raise error
        return retry

    def _adapt(self, error: ProviderError) -> Piece | None:
        provider, field = self.provider, error.field
        if (
            field is None
            or not isinstance(provider, Adaptable)
            or not provider.refuse(self.model, field)
        ):
            return None
        return Loading("asking again")

    def _queue(self, error: ProviderError) -> Piece | None:
        """A server that is full while it answers others of ours is asked again when one of them has ended."""
        if error.kind not in _FULL or self._fallbacks or self._gate is None or self._ticket is None:
            return None
        after_s = error.retry_after_s or 0.0
        if after_s > RETRY_AFTER_MAX_S or not self._gate.refused(self._ticket, after_s):
            return None
        self._place = self._gate.place(self._ticket)
        return Loading(f"waiting for the model, place {self._place} in line")

    def _retry(self, error: ProviderError) -> Piece | None:
        if error.kind not in _RETRIED:
            return None
        if error.kind == "loading":
            return self._poll()
        self._failures += 1
        after_s = error.retry_after_s or 0.0
        if self._failures >= self._tries or after_s > RETRY_AFTER_MAX_S:
            return None
        ceiling = min(RETRY_CAP_S, RETRY_BASE_S * 2**self._failures)
        self._wait_s = after_s + self._rng.uniform(0.0, ceiling)
        self._restart()
        return Loading(f"trying {self.provider.name} again in {max(1, round(self._wait_s))} s")

    def _poll(self) -> Piece | None:
        """A server that is loading its model is asked again until the deadline for the first piece ends."""
        self._life_at = trio.current_time()
        self._wait_s = LOADING_POLL_S
        if self._life_at + self._wait_s >= self._content_at + self._deadlines.first_s:
            return None
        return Loading("loading the model")

    def _fall_back(self, error: ProviderError) -> Piece | None:
        if error.kind in _NOT_ELSEWHERE or not self._fallbacks:
            return None
        self._note(str(error))
        self._leave_line()
        self.provider, self.model = self._fallbacks.pop(0)
        self._note(f"{self.provider.name}/{self.model} narrates instead.")
        self._failures = 0
        self._restart()
        return Loading(f"asking {self.provider.name}/{self.model}")

    def _restart(self) -> None:
        self._start_clock()
        self._life_at = self._content_at = trio.current_time() + self._wait_s

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def _after_words(error: ProviderError) -> ProviderError:
    """A lost connection after the first word is an interruption: the words stay."""
    if error.kind != "network":
        return error
    return ProviderError("interrupted", f"{str(error).rstrip('.')}; go on with /continue.")
