"""Makes queries ready for the search: their words, and one vector of the line and what it follows upon.

Vectors are kept for a while: a line that is sent again needs no model, and what the next line will
follow upon is known as soon as a reply has ended, so its vector is made while nobody waits.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from flower import limits
from flower.engine.recall.base import Embedder, Query
from flower.engine.recall.kept import Kept
from flower.engine.recall.query import context_of, context_weight, keywords
from flower.engine.recall.search import Asked

if TYPE_CHECKING:
    from flower.engine.recall.base import Vectors


class Questions:
    """Turns queries into what the search goes by."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._kept = Kept()
        self._expected: deque[str] = deque(maxlen=limits.QUERY_VECTORS_KEPT)

    def by_words(self, query: Query) -> Asked:
        """Returns the query without a vector."""
        words, context = keywords(query.text), context_of(query)
        weight = context_weight(words) if context else 0.0
        newest = keywords(context, known=words)[-limits.CONTEXT_TERMS :]
        return Asked(words, newest, None, weight)

    async def ask(self, query: Query) -> Asked:
        """Returns the query with its vector; raises ``EmbedError``."""
        asked, context = self.by_words(query), context_of(query)
        vectors = await self._vectors_of([query.text, context] if context else [query.text])
        return replace(asked, vector=_mixed(vectors, asked.context_weight))

    def expect(self, context: str) -> bool:
        """Notes that a line may come which follows upon ``context``; returns whether that is news."""
        text = context_of(Query("", context))
        if not text or text in self._kept or text in self._expected:
            return False
        self._expected.append(text)
        return True

    async def prepare(self) -> None:
        """Makes the vectors of what is expected, without haste; raises ``EmbedError``."""
        while self._expected:
            texts = [
                self._expected.popleft()
                for _ in range(min(len(self._expected), limits.EMBED_REQUEST_TEXTS))
            ]
            for text, vector in zip(texts, await self._embedder.embed(texts), strict=True):
                self._kept.put(text, vector)

    async def _vectors_of(self, texts: list[str]) -> list[Vectors]:
        found = {text: vector for text in texts if (vector := self._kept.get(text)) is not None}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found |= zip(missing, await self._embedder.embed(missing, urgent=True), strict=True)
            for text in missing:
                self._kept.put(text, found[text])
        else:
            await trio.lowlevel.checkpoint()
        return [found[text] for text in texts]


def _mixed(vectors: list[Vectors], context_weight: float) -> Vectors:
    """Returns one vector of length 1 for a line and, if there is a second one, its context."""
    import numpy as np

    if len(vectors) == 1:
        return vectors[0]
    mixed = (1 - context_weight) * vectors[0] + context_weight * vectors[1]
    norm = np.linalg.norm(mixed)
    return np.asarray(mixed / norm if norm else vectors[0], np.float32)
