"""Types of recall: what is asked for, what was found and why it was chosen. Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec import Struct

from flower.engine.store.passages import Passage

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import TokenVectors, Vectors


class Found(Struct, frozen=True):
    """A recalled passage and why it was chosen. Ranks count from 1; None: not in that list."""

    passage: Passage
    score: float  # fused; only its order means something
    similarity: float | None  # cosine to the query, -1 to 1
    vector_rank: int | None
    keyword_rank: int | None
    keywords: tuple[str, ...]  # words of the query that the passage holds
    tokens: int

    @property
    def why(self) -> str:
        """Returns the reason in a few words, for example ``similar 0.62, words: tide, bell``."""
        parts = []
        if self.passage.pinned:
            parts.append("pinned")
        if self.similarity is not None:
            parts.append(f"similar {self.similarity:.2f}")
        if self.keywords:
            parts.append("words: " + ", ".join(self.keywords[:4]))
        return ", ".join(parts) or "recent"


class Considered(Struct, frozen=True):
    """What a turn is reminded of, and what nearly was, best first, each with the reason why it was not."""

    found: tuple[Found, ...] = ()
    nearly: tuple[tuple[Found, str], ...] = ()


class Embedder(Protocol):
    """Turns text into vectors of length 1."""

    @property
    def model_id(self) -> str:
        """Changes whenever the same text would get another vector."""

    @property
    def dimension(self) -> int: ...

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """Returns one row per text, shape (n, dimension); raises ``EmbedError``.

        ``urgent`` requests (a turn is waiting) go before all others.
        """


class Encoded(Struct, frozen=True):
    """Texts as vectors: one of the whole text, and one for each of its tokens."""

    vectors: Vectors
    tokens: list[TokenVectors]

    def put(self, row: int, vector: Vectors, tokens: TokenVectors) -> None:
        """Fills one row."""
        self.vectors[row] = vector
        self.tokens[row] = tokens


@runtime_checkable
class TokenEmbedder(Embedder, Protocol):
    """An embedder that can say what each token means; without it recall does without late interaction."""

    async def encode(self, texts: Sequence[str], *, urgent: bool = False) -> Encoded:
        """Returns what ``embed`` does and the vectors of the tokens; raises ``EmbedError``."""


class Query(Struct, frozen=True):
    """What a turn wants to be reminded of."""

    text: str  # the player's line
    context: str = ""  # scene and last lines: widens the search, weighs less
    lore_scope: str = ""  # "" = none
    cast_scopes: tuple[str, ...] = ()  # lore of the characters that speak
    memory_scope: str = ""
    budget_tokens: int = 0
    visible_messages: Container[int] | None = None  # memories of other branches stay hidden
    recent_messages: Container[int] = ()  # already in the history window: no need to recall
