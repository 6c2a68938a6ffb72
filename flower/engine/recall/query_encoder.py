"""Makes queries ready for the search: their words, and the vectors of the question and of its context.

Vectors are kept for a while: a line that is sent again needs no model, and what the next line will
follow upon is known as soon as a reply has ended, so its vector is made while nobody waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from flower import limits
from flower.engine.recall.base import Embedder, Encoded, PrefixedEmbedder, Query, TokenEmbedder
from flower.engine.recall.query import Question, context_of, prepare
from flower.engine.recall.ranking import Tuning

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import TokenVectors, Vectors

QUERY_VECTORS_KEPT = 256  # 1.5 KiB each: lines sent again, and what the next lines follow upon


class QueryEncoder:
    """Turns queries into what the search goes by."""

    def __init__(self, embedder: Embedder, tuning: Tuning) -> None:
        self._embedder = embedder
        self._tuning = tuning
        self._cache = VectorCache()
        self._expected: deque[str] = deque(maxlen=QUERY_VECTORS_KEPT)

    def by_words(self, query: Query) -> tuple[Question, ...]:
        """Returns what a query asks, without vectors."""
        tuning = self._tuning
        return prepare(
            query,
            by_question=tuning.by_question,
            by_name=tuning.by_name,
            by_parts=tuning.by_parts,
        )

    async def ask(self, query: Query) -> tuple[Question, ...]:
        """Returns what a query asks, with vectors; raises ``EmbedError``."""
        questions, context = self.by_words(query), context_of(query)
        texts = [part.text for part in questions]
        vectors = await self._vectors_of([*texts, context] if context else texts)
        around = [vector for vector, _ in vectors[len(texts) :]]
        return tuple(
            replace(part, vector=_mixed([vector, *around], part.context_weight), tokens=tokens)
            for part, (vector, tokens) in zip(questions, vectors, strict=False)
        )

    def expect(self, context: str) -> bool:
        """Notes that a line may come which follows upon ``context``; returns whether that is news."""
        text = context_of(Query("", context))
        if not text or text in self._cache or text in self._expected:
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
            # Of a context only the vector as a whole is used.
            read = as_queries(self._embedder, texts)
            for text, vector in zip(texts, await self._embedder.embed(read), strict=True):
                self._cache.put(text, vector)

    async def _vectors_of(self, texts: list[str]) -> list[tuple[Vectors, TokenVectors | None]]:
        vectors_by_text = {
            text: cached for text in texts if (cached := self._cache.get(text)) is not None
        }
        missing = [text for text in dict.fromkeys(texts) if text not in vectors_by_text]
        if missing:
            read = as_queries(self._embedder, missing)
            vectors, tokens = await encode(self._embedder, read, urgent=True)
            for text, vector, of_tokens in zip(missing, vectors, tokens, strict=True):
                vectors_by_text[text] = (vector, of_tokens)
                self._cache.put(text, vector, of_tokens)
        else:
            await trio.lowlevel.checkpoint()
        return [vectors_by_text[text] for text in texts]


def as_queries(embedder: Embedder, texts: Sequence[str]) -> Sequence[str]:
    """Returns what the model is to read of texts that are looked for."""
    prefix = embedder.query_prefix if isinstance(embedder, PrefixedEmbedder) else ""
    return [prefix + text for text in texts] if prefix else texts


def as_passages(embedder: Embedder, texts: Sequence[str]) -> Sequence[str]:
    """Returns what the model is to read of texts that are to be found."""
    prefix = embedder.passage_prefix if isinstance(embedder, PrefixedEmbedder) else ""
    return [prefix + text for text in texts] if prefix else texts


async def encode(
    embedder: Embedder, texts: Sequence[str], *, urgent: bool = False
) -> tuple[Vectors, Sequence[TokenVectors | None]]:
    """Returns the vectors of texts, and those of their tokens if the model can make them."""
    if isinstance(embedder, TokenEmbedder):
        encoded: Encoded = await embedder.encode(texts, urgent=urgent)
        return encoded.vectors, encoded.tokens
    return await embedder.embed(texts, urgent=urgent), [None] * len(texts)


def _mixed(vectors: list[Vectors], context_weight: float) -> Vectors:
    """Returns one vector of length 1 for a line and, if there is a second one, its context."""
    import numpy as np

    if len(vectors) == 1:
        return vectors[0]
    mixed = (1 - context_weight) * vectors[0] + context_weight * vectors[1]
    norm = np.linalg.norm(mixed)
    return np.asarray(mixed / norm if norm else vectors[0], np.float32)


class VectorCache:
    """At most ``most`` vectors by their text."""

    def __init__(self, most: int = QUERY_VECTORS_KEPT) -> None:
        self._most = most
        self._vectors: dict[str, tuple[Vectors, TokenVectors | None]] = {}  # in order of use

    def __contains__(self, text: str) -> bool:
        return text in self._vectors

    def get(self, text: str) -> tuple[Vectors, TokenVectors | None] | None:
        """Returns the vector of ``text`` and those of its tokens, or None; it counts as used now."""
        vectors = self._vectors.pop(text, None)
        if vectors is not None:
            self._vectors[text] = vectors
        return vectors

    def put(self, text: str, vector: Vectors, tokens: TokenVectors | None = None) -> None:
        """Keeps vectors; those that were not used for longest go."""
        self._vectors.pop(text, None)
        self._vectors[text] = (vector, tokens)
        if len(self._vectors) > self._most:
            del self._vectors[next(iter(self._vectors))]
