"""Types of recall: what is asked for, what was found and why it was chosen; and the names of scopes. Pure.

A scope is what belongs together and is searched together: the lore of a world, the memories of a story.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec import Struct

from flower import limits
from flower.engine.store.passages import Passage

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import TokenVectors, Vectors


class Hit(Struct, frozen=True):
    """A recalled passage and why it was chosen."""

    passage: Passage
    score: float  # fused; only its order means something
    similarity: float | None  # cosine to the query, -1 to 1; None: it has no vector
    keywords: tuple[str, ...]  # words of the query that the passage holds
    tokens: int
    beside: int = 0  # id of the memory it is beside, for whose sake alone it is recalled

    @property
    def why(self) -> str:
        """Returns the reason in a few words, for example ``similar 0.62, words: tide, bell``."""
        if self.beside:
            return f"stands beside {self.beside}"
        parts = []
        if self.passage.pinned:
            parts.append("pinned")
        if self.similarity is not None:
            parts.append(f"similar {self.similarity:.2f}")
        if self.keywords:
            parts.append("words: " + ", ".join(self.keywords[:4]))
        return ", ".join(parts) or "recent"


class Score(Struct, frozen=True):
    """A passage's place in the ranking and what it is made of; only the order of ``total`` means something."""

    total: float
    words: float = 0.0  # parts of the sum, in standard scores
    similarity: float = 0.0
    neighbours: float = 0.0
    late: float = 0.0


class Ranked(Struct, frozen=True):
    """A passage in the ranking, what its place is made of, and how likely it is of use (0 to 1).

    ``held`` is the share of the query's words in it, weighed by what they tell; ``late`` how well its
    tokens answer, ``lead`` by how much its score is above the usual: None where they are not known.
    ``worth``: likely enough to be recalled, if there is room.
    """

    hit: Hit
    score: Score
    chance: float
    held: float = 0.0
    late: float | None = None
    worth: bool = False
    lead: float | None = None


class Considered(Struct, frozen=True):
    """What a turn is reminded of, and what nearly was, best first, each with the reason why it was not."""

    hits: tuple[Hit, ...] = ()
    nearly: tuple[tuple[Hit, str], ...] = ()


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


@runtime_checkable
class PrefixedEmbedder(Embedder, Protocol):
    """An embedder whose model wants to know what is looked for and what is found."""

    query_prefix: str
    passage_prefix: str


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


class Library(Protocol):
    """Lore and memories: text comes in under a scope, passages of it are found again.

    What is stored is found from then on. Changes and questions raise ``StoreError``.
    """

    @property
    def trouble(self) -> str:
        """Why recall goes by words only at the moment, "" if it does not."""

    # --- changes

    async def sync_source(self, scope: str, source: str, title: str, text: str) -> int:
        """Makes the passages of one source equal to ``text``; returns how many came or went."""

    async def sync_sources(self, scope: str, texts: Mapping[str, tuple[str, str]]) -> int:
        """Makes a scope equal to some sources, each a title and a text; returns what came or went."""

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
        """Stores the memory that ends with a message, in place of an earlier one."""

    async def title_memories(self, scope: str, title: str, *, after: int = 0) -> int:
        """Gives some memories that have no title one; returns the id to go on after, 0 at the end."""

    async def drop_source(self, scope: str, source: str) -> int:
        """Deletes the passages of one source; returns how many there were."""

    async def drop_scope(self, scope: str) -> int:
        """Deletes all passages of a scope; returns how many there were."""

    def doubt(self, scope: str) -> None:
        """Lets the next recall look at the rows of a scope, or of all, again: another engine may have changed them."""

    async def forget(self, passage_id: int) -> bool:
        """Deletes one passage; returns whether there was one."""

    async def rewrite(self, passage_id: int, text: str) -> int:
        """Gives a passage another text; returns its new number, 0 if there is none. Raises ``StoreError``."""

    async def forget_messages(self, message_ids: Iterable[int]) -> int:
        """Deletes the memories that end with these messages; returns how many there were."""

    async def pin(self, passage_id: int, pinned: bool = True) -> bool:
        """Makes a passage come first in every recall; returns whether there is such a passage."""

    # --- questions

    async def get(self, passage_id: int) -> Passage | None:
        """Returns one passage, or None."""

    async def list(
        self, scope: str, *, limit: int = limits.PASSAGES_LISTED, after: int = 0
    ) -> tuple[Passage, ...]:
        """Returns a page of a scope by id; ``after`` is the last id of the page before."""

    async def sources(self, scope: str) -> dict[str, int]:
        """Returns how many passages each source of a scope has."""

    async def search(self, scope: str, words: str, *, limit: int = 10) -> tuple[Hit, ...]:
        """Returns the passages of a scope that fit best; may raise ``EmbedError``."""

    async def explain(
        self, scope: str, words: str, *, limit: int = 10, visible: Container[int] | None = None
    ) -> tuple[Ranked, ...]:
        """Returns what ``search`` does, with what each place in the ranking is made of."""

    async def consider(self, query: Query) -> Considered:
        """Returns what a turn should be reminded of, within the query's budget, and what nearly was."""

    # --- hints

    def expect(self, context: str) -> None:
        """Gets ready for a line that follows upon ``context``, while nobody waits."""

    def warm(self, scopes: Iterable[str]) -> None:
        """Reads the indexes of large scopes while nobody waits: lines will be asked about them."""

    def embed_soon(self) -> None:
        """Gives memories their vectors now instead of when nobody plays."""


# --- scopes


def scopes_of(query: Query) -> tuple[str, ...]:
    """Returns the scopes a query is asked in: lore first, the memories of the story last."""
    scopes = (query.lore_scope, *query.cast_scopes, query.memory_scope)
    return tuple(scope for scope in scopes if scope)


CAST_PREFIX = "lore:cast/"  # no world's: their ids have no slash


def lore_scope(world_id: str) -> str:
    """Returns the recall scope of a world's lore, "" for no world."""
    return f"lore:{world_id}" if world_id else ""


def memory_scope(session_id: str) -> str:
    """Returns the recall scope of a story's memories."""
    return f"memory:{session_id}"


def book_scope(book_id: int) -> str:
    """Returns the recall scope of the entries of a lorebook that are recalled by meaning."""
    return f"lore:book/{book_id}"  # no world's either


def cast_scope(character_id: str) -> str:
    """Returns the recall scope of what a character alone knows."""
    return f"{CAST_PREFIX}{character_id}"
