"""Stand-ins with real behaviour for what costs time, memory or a network."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
import trio
from msgspec.structs import replace

from flower import limits
from flower.engine.provider.base import (
    Completion,
    Finish,
    ModelInfo,
    Piece,
    Provider,
    Spent,
    Text,
)
from flower.engine.provider.capabilities import Composing
from flower.engine.recall.background import makes_tokens
from flower.engine.recall.base import Considered, Hit, Query, Ranked, Score
from flower.engine.recall.library import PassageLibrary
from flower.engine.recall.search import RECALL_LORE_RESULTS, RECALL_MEMORY_RESULTS
from flower.engine.store import vector_rows
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


class HeldProvider(ScriptedProvider):
    """One that stops after some pieces: ``held`` is set then, and ``goes_on`` lets this reply and later ones end."""

    def __init__(self, pieces: Sequence[Piece | Exception], after: int) -> None:
        super().__init__(pieces)
        self._after = after
        self.held, self.goes_on = trio.Event(), trio.Event()

    async def _play(self) -> AsyncIterator[Piece]:
        for number, piece in enumerate(self.pieces, 1):
            await trio.lowlevel.checkpoint()
            if isinstance(piece, Exception):
                raise piece
            yield piece
            if number == self._after:
                self.held.set()
                await self.goes_on.wait()


class ComposingProvider(ScriptedProvider):
    """One that gets the cue, as the offline narrator does."""

    composes = True


def passage(sentences: int) -> str:
    """Returns that many sentences, no two the same: the same ones again and again are a loop."""
    return "".join(f"The water moves {chr(97 + n % 26)}{chr(97 + n // 26)}. " for n in range(sentences))


def words(text: str) -> list[Piece | Exception]:
    """A script that says ``text`` word by word and ends well."""
    pieces: list[Piece | Exception] = [Text(word) for word in re.findall(r"\S+\s*", text)]
    return [*pieces, Spent(100, len(pieces)), Finish("done")]


class OneModelRegistry:
    """A registry with the one model ``scripted/one``."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.problems: Mapping[str, str] = {}
        self.file_problems: tuple[str, ...] = ()
        self.on_change: Callable[[], None] = lambda: None

    def default(self) -> str:
        return "scripted/one"

    async def look_for_files(self) -> None:
        self.on_change()

    def local_bytes(self) -> Mapping[str, int]:
        return {}

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
        return model_id == "scripted/one" and isinstance(self.provider, Composing)

    async def refresh(self) -> tuple[str, ...]:
        await trio.lowlevel.checkpoint()
        return ()

    async def run(self) -> None:
        await trio.sleep_forever()

    async def aclose(self) -> None:
        await self.provider.aclose()


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
        self.warmed: list[str] = []

    def doubt(self, scope: str) -> None:
        """It has no copy of anything."""

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
        self._sources.pop((scope, source), None)
        return await self._keep(lambda passage: (passage.scope, passage.source) != (scope, source))

    async def drop_scope(self, scope: str) -> int:
        return await self._keep(lambda passage: passage.scope != scope)

    async def title_memories(self, scope: str, title: str, *, after: int = 0) -> int:
        await trio.lowlevel.checkpoint()
        return 0

    async def forget(self, passage_id: int) -> bool:
        return bool(await self._keep(lambda passage: passage.id != passage_id))

    async def forget_messages(self, message_ids: Iterable[int]) -> int:
        gone = frozenset(message_ids)
        return await self._keep(lambda passage: passage.message_id not in gone)

    async def _keep(self, stays: Callable[[Passage], bool]) -> int:
        await trio.lowlevel.checkpoint()
        before = len(self.passages)
        self.passages = [passage for passage in self.passages if stays(passage)]
        return before - len(self.passages)

    async def pin(self, passage_id: int, pinned: bool = True) -> bool:
        old = await self.get(passage_id)
        if old is None:
            return False
        self.passages[self.passages.index(old)] = replace(old, pinned=pinned)
        return True

    async def get(self, passage_id: int) -> Passage | None:
        await trio.lowlevel.checkpoint()
        return next((p for p in self.passages if p.id == passage_id), None)

    async def list(
        self, scope: str, *, limit: int = limits.PASSAGES_LISTED, after: int = 0
    ) -> tuple[Passage, ...]:
        await trio.lowlevel.checkpoint()
        return tuple(p for p in self.passages if p.scope == scope and p.id > after)[:limit]

    async def rewrite(self, passage_id: int, text: str) -> int:
        old = await self.get(passage_id)
        if old is None:
            return 0
        self.passages.remove(old)
        self._add(old.kind, old.scope, old.source, old.title, text, old.message_id)
        return self._last_id

    def warm(self, scopes: Iterable[str]) -> None:
        self.warmed += [scope for scope in scopes if scope]

    def expect(self, context: str) -> None:
        self.expected.append(context)

    def embed_soon(self) -> None:
        self.hurried = True

    async def remember(
        self,
        scope: str,
        message_id: int | None,
        title: str,
        text: str,
        *,
        importance: float = 0.0,
        pinned: bool = False,
    ) -> None:
        source = f"message:{message_id}" if message_id is not None else "told"
        if message_id is not None:
            await self._keep(lambda passage: (passage.scope, passage.message_id) != (scope, message_id))
        self._add("memory", scope, source, title, text, message_id)
        self.passages[-1] = replace(self.passages[-1], importance=importance, pinned=pinned)

    def _add(
        self, kind: Kind, scope: str, source: str, title: str, text: str, message_id: int | None
    ) -> None:
        self._last_id += 1
        passage = Passage(self._last_id, kind, scope, source, title, text, message_id)
        self.passages.append(passage)

    async def search(self, scope: str, words: str, *, limit: int = 10) -> tuple[Hit, ...]:
        return (await self.recall(Query(words, lore_scope=scope)))[:limit]

    async def explain(
        self, scope: str, words: str, *, limit: int = 10, visible: Container[int] | None = None
    ) -> tuple[Ranked, ...]:
        found = await self.recall(Query(words, lore_scope=scope, visible_messages=visible))
        return tuple(Ranked(one, Score(one.score), 0.5) for one in found[:limit])

    async def consider(self, query: Query) -> Considered:
        return Considered(await self.recall(query))

    async def recall(self, query: Query) -> tuple[Hit, ...]:
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
                found.append(Hit(passage, len(shared), None, shared, len(passage.text) // 4))
        best = sorted(found, key=lambda f: (not f.passage.pinned, -f.score))
        lore = [one for one in best if one.passage.kind == "lore"][:RECALL_LORE_RESULTS]
        memories = [one for one in best if one.passage.kind != "lore"][:RECALL_MEMORY_RESULTS]
        return tuple(one for one in best if one in lore or one in memories)


async def without_vectors(library: PassageLibrary) -> int:
    """Returns how many texts of a library wait for their vector."""
    embedder = library._background._embedder
    return await library._database.read(
        vector_rows.count_pending, embedder.model_id, tokens=makes_tokens(embedder)
    )
