"""Stand-ins with real behaviour for what costs time, memory or a network."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
import trio

from flower.engine.provider.base import (
    Completion,
    Composing,
    Finish,
    ModelInfo,
    Piece,
    Provider,
    Spent,
    Text,
)
from flower.engine.recall.base import Considered, Found, Query
from flower.engine.store.passages import Kind, Passage
from flower.errors import ProviderError
from flower.protocol.messages import ModelOption

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors


class ScriptedProvider:
    """Plays a script of pieces, ``gap_s`` apart; an exception in the script is raised.

    Keeps the completions it was asked for. ``opened`` and ``closed`` count streams.
    """

    def __init__(self, pieces: Sequence[Piece | Exception] | None = None, gap_s: float = 0.0) -> None:
        self.pieces = pieces if pieces is not None else words("The tide turns and the lamps come on. ")
        self.gap_s = gap_s
        self.completions: list[Completion] = []
        self.opened = 0
        self.closed = 0

    @property
    def name(self) -> str:
        return "scripted"

    def open(self, completion: Completion) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        return self._open(completion)

    @asynccontextmanager
    async def _open(self, completion: Completion) -> AsyncIterator[AsyncIterator[Piece]]:
        self.completions.append(completion)
        self.opened += 1
        pieces = self._play()
        try:
            yield pieces
        finally:
            self.closed += 1
            await pieces.aclose()  # type: ignore[attr-defined] # a generator, closed where it was opened

    async def _play(self) -> AsyncIterator[Piece]:
        for piece in self.pieces:
            await trio.sleep(self.gap_s)
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo("one", "Scripted model", 8192),)

    async def count_tokens(self, text: str) -> int | None:
        return None

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def words(text: str) -> list[Piece | Exception]:
    """A script that says ``text`` word by word and ends well."""
    pieces: list[Piece | Exception] = [Text(word) for word in re.findall(r"\S+\s*", text)]
    return [*pieces, Spent(100, len(pieces)), Finish("done")]


class OneModelRoster:
    """A roster with the one model ``scripted/one``."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.problems: dict[str, str] = {}
        self.on_change: Callable[[], None] = lambda: None

    def default(self) -> str:
        return "scripted/one"

    def resolve(self, model_id: str) -> tuple[Provider, str]:
        prefix, _, model = model_id.partition("/")
        if prefix != "scripted":
            raise ProviderError(
                "model_not_found", f"There is no model {model_id!r}. Did you mean scripted/one?"
            )
        return self.provider, model

    def info(self, model_id: str) -> ModelInfo | None:
        return (
            ModelInfo("one", "Scripted model", 8192, 1.0, 2.0) if model_id == "scripted/one" else None
        )

    def options(self) -> tuple[ModelOption, ...]:
        return (ModelOption("scripted/one", "Scripted model", 1.0, 2.0),)

    def composes(self, model_id: str) -> bool:
        return isinstance(self.provider, Composing)


class HashEmbedder:
    """Vectors from word hashes: texts that share words are similar. Counts what it embedded."""

    model_id = "hash"
    dimension = 64

    def __init__(self) -> None:
        self.embedded: list[str] = []

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        await trio.lowlevel.checkpoint()
        self.embedded += texts
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[hashlib.blake2s(word.encode()).digest()[0] % self.dimension] += 1.0
            norm = float(np.linalg.norm(row))
            row /= norm or 1.0
        return rows


class WordLibrary:
    """Recall by shared words over what it was given, in memory."""

    trouble = ""
    hurried = False  # memories are to have their vectors now

    def __init__(self) -> None:
        self.passages: list[Passage] = []
        self._last_id = 0  # an id is never used twice
        self._sources: dict[tuple[str, str], str] = {}
        self.queries: list[Query] = []
        self.expected: list[str] = []

    async def sync_source(self, scope: str, source: str, title: str, text: str) -> int:
        await trio.lowlevel.checkpoint()
        if self._sources.get((scope, source)) == text:
            return 0
        self._sources[scope, source] = text
        self.passages = [p for p in self.passages if (p.scope, p.source) != (scope, source)]
        paragraphs = [part for part in text.split("\n\n") if part.strip()]
        for paragraph in paragraphs:
            self._add("lore", scope, source, title, paragraph, None)
        return len(paragraphs)

    async def sync_sources(self, scope: str, texts: Mapping[str, tuple[str, str]]) -> int:
        await trio.lowlevel.checkpoint()
        self.passages = [p for p in self.passages if p.scope != scope]
        for source, (title, text) in texts.items():
            self._add("lore", scope, source, title, text, None)
        return len(texts)

    async def sources(self, scope: str) -> dict[str, int]:
        await trio.lowlevel.checkpoint()
        return dict(Counter(p.source for p in self.passages if p.scope == scope))

    async def drop_source(self, scope: str, source: str) -> int:
        await trio.lowlevel.checkpoint()
        before = len(self.passages)
        self.passages = [p for p in self.passages if (p.scope, p.source) != (scope, source)]
        return before - len(self.passages)

    async def drop_scope(self, scope: str) -> None:
        await trio.lowlevel.checkpoint()
        self.passages = [p for p in self.passages if p.scope != scope]

    async def forget_messages(self, message_ids: Sequence[int]) -> None:
        await trio.lowlevel.checkpoint()
        self.passages = [p for p in self.passages if p.message_id not in message_ids]

    def expect(self, context: str) -> None:
        self.expected.append(context)

    def embed_soon(self) -> None:
        self.hurried = True

    async def remember(self, scope: str, message_id: int, title: str, text: str) -> None:
        await trio.lowlevel.checkpoint()
        self.passages = [p for p in self.passages if (p.scope, p.message_id) != (scope, message_id)]
        self._add("memory", scope, f"message:{message_id}", title, text, message_id)

    def _add(
        self, kind: Kind, scope: str, source: str, title: str, text: str, message_id: int | None
    ) -> None:
        self._last_id += 1
        passage = Passage(self._last_id, kind, scope, source, title, text, message_id)
        self.passages.append(passage)

    async def consider(self, query: Query) -> Considered:
        return Considered(await self.recall(query))

    async def recall(self, query: Query) -> tuple[Found, ...]:
        await trio.lowlevel.checkpoint()
        self.queries.append(query)
        wanted = set(re.findall(r"\w{4,}", query.text.lower()))
        found = []
        for passage in self.passages:
            hidden = (
                query.visible_messages is not None and passage.message_id not in query.visible_messages
            )
            if passage.scope not in (query.lore_scope, *query.cast_scopes, query.memory_scope) or (
                passage.message_id and hidden
            ):
                continue
            if passage.message_id in query.recent_messages:
                continue
            shared = tuple(sorted(wanted & set(re.findall(r"\w{4,}", passage.text.lower()))))
            if shared:
                found.append(Found(passage, len(shared), None, None, 1, shared, len(passage.text) // 4))
        return tuple(sorted(found, key=lambda f: -f.score))
