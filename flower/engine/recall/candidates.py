"""Candidates: which passages of a scope come into question, and what is known about each.

``Finder`` asks the vector index and the keyword index of a scope, and reads the rows. It ranks nothing, embeds nothing
and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from flower.engine.recall.base import Query
from flower.engine.recall.keyword_indexes import KeywordIndexes
from flower.engine.recall.query import Question
from flower.engine.recall.vector_indexes import VectorIndexes
from flower.engine.store import passages, vector_rows
from flower.engine.store.connection import Connection, Store
from flower.engine.store.passages import Passage
from flower.engine.store.term_rows import term_hash
from flower.engine.store.words import ENGLISH, stem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flower.engine.recall.keyword_index import KeywordIndex, QueryTerm, Scores
    from flower.engine.store.vector_rows import Vectors

    Flags = NDArray[np.bool_]

RECALL_CANDIDATES = 60  # taken from each list before fusion


class Worded(Struct, frozen=True):
    """Candidates of one scope by their words; ``before`` and ``after`` are ids of exchanges beside."""

    words: dict[int, float]
    held: dict[int, float]
    before: dict[int, int]
    after: dict[int, int]
    foreign: bool


class Candidates(Struct, frozen=True):
    """What scopes of one kind offer: what is pinned, and rows and signals by id."""

    memory: bool
    pinned: tuple[Passage, ...] = ()
    rows: dict[int, Passage] = {}
    vectors: dict[int, Vectors] = {}
    tokens: dict[int, bytes] = {}
    words: dict[int, float] = {}
    held: dict[int, float] = {}
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    foreign: bool = False

    def __or__(self, other: Candidates) -> Candidates:
        """Returns what both offer; no passage is in two scopes."""
        return Candidates(
            self.memory or other.memory,
            self.pinned + other.pinned,
            self.rows | other.rows,
            self.vectors | other.vectors,
            self.tokens | other.tokens,
            self.words | other.words,
            self.held | other.held,
            self.before | other.before,
            self.after | other.after,
            self.foreign or other.foreign,
        )


class Finder:
    """Finds candidates with the indexes of one model."""

    def __init__(
        self,
        database: Store,
        indexes: VectorIndexes,
        keywords: KeywordIndexes,
        model_id: str,
        dimension: int,
    ) -> None:
        self._database = database
        self._indexes = indexes
        self._keywords = keywords
        self._model_id = model_id
        self._dimension = dimension

    async def find(
        self, scopes: Sequence[str], question: Question, query: Query | None
    ) -> dict[str, Candidates]:
        """Returns what each scope offers; with a query, what is open to it. One turn of the database's thread.

        Raises ``StoreError``.
        """
        worded = {scope: await self._worded(scope, question, query) for scope in scopes}
        return await self._database.read(_look_up_all, worded, self._model_id, self._dimension)

    async def _worded(self, scope: str, question: Question, query: Query | None) -> Worded:
        """Returns which passages of a scope come into question, by meaning and by words."""
        memory = is_memory(scope)
        near: list[int] = []
        if question.vector is not None:
            # Of a story's memories those of other branches and of the window are taken out below.
            count = RECALL_CANDIDATES * (4 if memory else 1)
            near = (await self._indexes.search(scope, question.vector, count)).ids.tolist()
        index = await self._keywords.index(scope)
        # Not in a thread: nobody changes the index meanwhile. 100,000 passages take 5 ms.
        return by_words(index, question, near, query, memory=memory)


def is_memory(scope: str) -> bool:
    """Returns whether a scope holds what happened in a story."""
    return scope.startswith("memory:")


def by_words(
    index: KeywordIndex, question: Question, near: Sequence[int], query: Query | None, *, memory: bool
) -> Worded:
    """Returns the best by words together with those that are ``near``, and with those beside them."""
    import numpy as np

    opened = open_places(index, query) if memory else index.alive
    languages = index.languages
    scores, held = index.scores(_terms(question, languages or [ENGLISH]))
    scores = np.where(opened, scores, 0.0)
    best = _top(scores, RECALL_CANDIDATES)
    nearest = [place for i in near if (place := index.place(i)) is not None and opened[place]]
    places = dict.fromkeys([*best, *nearest[:RECALL_CANDIDATES]])
    before, after = beside(index, opened, list(places)) if memory else ({}, {})
    ids = index.ids
    for place in [*before.values(), *after.values()]:
        places.setdefault(place)
    return Worded(
        {int(ids[place]): float(scores[place]) for place in places},
        {int(ids[place]): float(held[place]) for place in places},
        {int(ids[place]): int(ids[other]) for place, other in before.items()},
        {int(ids[place]): int(ids[other]) for place, other in after.items()},
        bool(languages) and languages[0] != ENGLISH,
    )


def _terms(question: Question, languages: Sequence[str]) -> list[QueryTerm]:
    from flower.engine.recall.keyword_index import QueryTerm

    return [
        QueryTerm(tuple({term_hash(stem(word, language)) for language in languages}), weight)
        for word, weight in question.weights
    ]


def _top(scores: Scores, count: int) -> list[int]:
    """Returns the places of the largest scores above 0, the largest first."""
    import numpy as np

    places = np.flatnonzero(scores > 0)
    if len(places) > count:
        places = places[np.argpartition(-scores[places], count)[:count]]
    return [int(place) for place in places[np.argsort(-scores[places], kind="stable")]]


def beside(
    index: KeywordIndex, opened: Flags, places: Sequence[int]
) -> tuple[dict[int, int], dict[int, int]]:
    """Returns for memories the places of the pieces before and after them, in the order of the story."""
    import numpy as np

    # The order of the story is that of messages, pieces of one message in the order of their ids. Beside a memory is
    # the nearest one that is open: those of other branches between them are not there for this story.
    order = np.flatnonzero(opened)
    order = order[np.lexsort((index.ids[order], index.messages[order]))]
    rank = np.full(len(index.ids), -1, np.int64)
    rank[order] = np.arange(len(order))
    before, after = {}, {}
    for place in places:
        at = int(rank[place])
        if at > 0:
            before[place] = int(order[at - 1])
        if 0 <= at < len(order) - 1:
            after[place] = int(order[at + 1])
    return before, after


def open_places(index: KeywordIndex, query: Query | None) -> Flags:
    """Returns for each place whether a memory there may be recalled: of this branch, not in the window."""
    import numpy as np

    if query is None:
        return index.alive
    visible, recent = query.visible_messages, query.recent_messages
    messages = index.messages.tolist()
    opened = np.fromiter(
        (
            not message or ((visible is None or message in visible) and message not in recent)
            for message in messages
        ),
        bool,
        len(messages),
    )
    return opened & index.alive


def is_open(passage: Passage, query: Query) -> bool:
    """Returns whether a passage may be recalled: of this branch, and not in the window already."""
    if passage.message_id is None:
        return True
    if query.visible_messages is not None and passage.message_id not in query.visible_messages:
        return False
    return passage.message_id not in query.recent_messages


def _look_up_all(
    db: Connection, worded: Mapping[str, Worded], model_id: str, dimension: int
) -> dict[str, Candidates]:
    return {scope: _look_up(db, scope, one, model_id, dimension) for scope, one in worded.items()}


def _look_up(db: Connection, scope: str, worded: Worded, model_id: str, dimension: int) -> Candidates:
    rows = {i: p for i, p in passages.get(db, worded.words).items() if p.scope == scope}
    vectors = vector_rows.vectors_of(db, model_id, rows, dimension)
    return Candidates(
        is_memory(scope),
        passages.list_pinned(db, scope),
        rows,
        dict(zip(vectors.ids.tolist(), vectors.vectors, strict=True)),
        vector_rows.tokens_of(db, model_id, rows),
        {i: score for i, score in worded.words.items() if i in rows},
        worded.held,
        worded.before,
        worded.after,
        worded.foreign,
    )
