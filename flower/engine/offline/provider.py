"""The offline narrator: a provider that plays without a model, a key or a network.

Owns the pace of the stream. Never reads a file, never opens a socket; what is said is composed by
``compose`` from the cue and the last messages, the same for the same seed, turn and line.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from flower.engine.provider.base import Completion, Cue, Finish, ModelInfo, Piece, Proposal, Spent, Text

if TYPE_CHECKING:
    from flower.engine.offline.compose import Composed
    from flower.engine.offline.tables import Phrases

log = logging.getLogger(__name__)

OFFLINE_WORDS_PER_S = 50.0  # faster than anyone reads, slow enough to be seen arriving

MODEL = "narrator"
_CHARS_PER_TOKEN = 4  # of English prose, near enough for a figure that costs nothing
_WORD = re.compile(r"\S++\s*+|\s++")
_SENTENCE_END = re.compile(r"[.!?…][\"”’)]?(?=\s)")


class OfflineNarrator:
    """A ``Provider`` without a model.

    ``words_per_s`` paces the stream; 0 sends without waiting. ``phrases`` is a folder with phrases of the
    player's own; it need not exist, and is read with the first reply.
    """

    composes = True

    def __init__(
        self, *, words_per_s: float = OFFLINE_WORDS_PER_S, phrases: Path | None = None
    ) -> None:
        self._folder = phrases
        self._phrases: Phrases | None = None  # read with the first reply
        self._gap_s = 1 / words_per_s if words_per_s > 0 else 0.0

    def __repr__(self) -> str:
        return f"OfflineNarrator(gap_s={self._gap_s:.3f})"

    @property
    def name(self) -> str:
        return "offline"

    def open(self, completion: Completion) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        """Opens one reply: words, then ``Spent``, then ``Finish``. Never raises ``ProviderError``."""
        return _open(self._pieces(completion))

    async def _pieces(self, completion: Completion) -> AsyncGenerator[Piece, None]:
        await trio.lowlevel.checkpoint()
        if self._phrases is None:
            self._phrases = _load(self._folder)
        sent = 0
        whole = composed(completion, self._phrases)
        text = _within(whole.text, completion.max_tokens * _CHARS_PER_TOKEN)
        cut = text != whole.text
        for word in _WORD.findall(text):
            yield Text(word)
            sent += len(word)
            if self._gap_s:
                await trio.sleep(self._gap_s)
            else:
                await trio.lowlevel.checkpoint()
        prompt = sum(len(message.content) for message in completion.messages)
        yield Spent(
            prompt_tokens=-(-prompt // _CHARS_PER_TOKEN),
            completion_tokens=-(-sent // _CHARS_PER_TOKEN),
            cost=0.0,
        )
        if whole.changes and not cut:
            yield Proposal(whole.changes)
        yield Finish("length" if cut else "done")

    async def suggestions(self, completion: Completion) -> tuple[str, ...]:
        """Returns what the player could do next, as lines of theirs; another ``turn_number``, others."""
        await trio.lowlevel.checkpoint()
        if self._phrases is None:
            self._phrases = _load(self._folder)
        from flower.engine.offline.context import Context

        cue = completion.cue
        context = Context(cue, cue.story or completion.messages, _chance(cue), self._phrases)
        return context.suggestions()

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the one model there is; it costs nothing."""
        await trio.lowlevel.checkpoint()
        return (
            ModelInfo(
                id=MODEL, name="Offline narrator (no AI model)", prompt_price=0.0, completion_price=0.0
            ),
        )

    async def count_tokens(self, text: str) -> int | None:
        """Returns None: without a model there is no tokenizer to be exact about."""
        await trio.lowlevel.checkpoint()
        return None

    async def aclose(self) -> None:
        """Has nothing to close."""
        await trio.lowlevel.checkpoint()


def _within(text: str, most: int) -> str:
    """Returns the whole sentences of ``text`` that have at most ``most`` characters, the first one in any case."""
    if len(text) <= most:
        return text
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    fitting = [end for end in ends if end <= most] or ends[:1]
    return text[: fitting[-1]] if fitting else text


def reply(completion: Completion, phrases: Phrases | None = None) -> str:
    """Returns the text of the whole reply to a completion; the same one every time. Never empty."""
    return composed(completion, phrases).text


def composed(completion: Completion, phrases: Phrases | None = None) -> Composed:
    """Returns the reply to a completion with what it changes on the state sheet.

    ``phrases`` None: those that come with the program.
    """
    # What composes is loaded with the first reply: who plays with a model never pays for it.
    from flower.engine.offline.compose import compose, resumed
    from flower.engine.offline.tables import shipped

    cue = completion.cue
    if not cue.line:
        last = completion.messages[-1] if completion.messages else None
        if last is not None and last.role == "user":
            cue = replace(cue, line=last.content)
    tell = resumed if cue.begun else compose
    return tell(cue, cue.story or completion.messages, _chance(cue), phrases or shipped())


def _load(folder: Path | None) -> Phrases:
    from flower.engine.offline.tables import load

    phrases = load(folder)
    for problem in phrases.problems:
        log.warning("phrases of the offline narrator: %s", problem)
    return phrases


def _chance(cue: Cue) -> random.Random:
    # Bytes, as a str seed with a lone surrogate in it would not encode.
    return random.Random(f"{cue.seed}:{cue.turn_number}:{cue.line}".encode("utf-8", "surrogatepass"))


@asynccontextmanager
async def _open(
    pieces: AsyncGenerator[Piece, None],
) -> AsyncGenerator[AsyncIterator[Piece], None]:
    try:
        yield pieces
    finally:
        await pieces.aclose()
