"""One recall: from a query to the passages a prompt gets, by meaning, by words, by tokens.

``Searcher`` asks the vector indexes and the keyword indexes, and leaves every decision to the pure
functions of ``ranking`` and ``query``. It embeds nothing and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.recall import late, ranking
from flower.engine.recall.base import Considered, Found, Query, Ranked
from flower.engine.recall.index import Indexes
from flower.engine.recall.keywords import Keywords
from flower.engine.recall.query import Asked, words_found
from flower.engine.recall.ranking import Cut, Evidence, Signals, Tuning
from flower.engine.store import passages, vector_rows
from flower.engine.store.connection import Connection, Store
from flower.engine.store.passages import Passage
from flower.engine.store.term_rows import term_hash
from flower.engine.store.words import ENGLISH, stem
from flower.engine.tokens import TokenCounter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flower.engine.recall.word_index import QueryTerm, Scores, WordIndex
    from flower.engine.store.vector_rows import Vectors

    Flags = NDArray[np.bool_]


NO_ROOM = "no room"
UNLIKELY = "too unlikely"


class Searcher:
    """Finds passages in the scopes of a query."""

    def __init__(
        self,
        database: Store,
        indexes: Indexes,
        keywords: Keywords,
        model_id: str,
        dimension: int,
        clock: Callable[[], float],
        tuning: Tuning,
    ) -> None:
        self._database = database
        self._indexes = indexes
        self._keywords = keywords
        self._model_id = model_id
        self._dimension = dimension
        self._clock = clock
        self._tuning = tuning

    async def recall(self, query: Query, asked: Asked) -> Considered:
        """Returns what fits the query and its budget: pinned first, then best first; and what nearly does.

        Raises ``StoreError``.
        """
        lore = [scope for scope in (query.lore_scope, *query.cast_scopes) if scope]
        memory = [query.memory_scope] if query.memory_scope else []
        pinned: list[Found] = []
        best: list[Ranked] = []
        unlikely: list[Ranked] = []
        beside: dict[int, list[Found]] = {}
        offered = await self._candidates((*lore, *memory), asked, query)
        for scopes in (lore, memory):
            some = [offered[scope] for scope in scopes]
            fixed = [p for one in some for p in one.pinned if _is_open(p, query)]
            pinned += [_pinned(passage, asked) for passage in fixed]
            rows, vectors = self._ranked(some, asked, {passage.id for passage in fixed})
            if scopes is memory:
                beside = _neighbours(some, rows)
            several = ranking.distinct(
                [row.found for row in rows], vectors, 2 * _most(memory=scopes is memory)
            )
            picked = {found.passage.id for found in several}
            rows = [row for row in rows if row.found.passage.id in picked]
            rows = self._judged(rows, memory=scopes is memory)
            best += [row for row in rows if row.worth]
            unlikely += [row for row in rows if not row.worth][: limits.RECALL_NEARLY]
        best.sort(key=lambda row: -row.found.score)
        unlikely.sort(key=lambda row: -row.chance)
        found = [_described(row.found, asked) for row in best]
        room = query.budget_tokens or limits.RECALL_TOKENS
        kept = ranking.cut([*pinned, *found], room)
        sure = {row.found.passage.id for row in best if row.chance >= self._tuning.beside}
        sized = {
            i: [_described(item, asked) for item in items] for i, items in beside.items() if i in sure
        }
        kept = ranking.with_neighbours(kept, sized, vectors, room)
        given = {item.passage.id for item in kept}
        left = [(item, NO_ROOM) for item in found if item.passage.id not in given]
        left += [(_described(row.found, asked), UNLIKELY) for row in unlikely]
        return Considered(kept, tuple(left[: limits.RECALL_NEARLY]))

    def _judged(self, rows: Sequence[Ranked], *, memory: bool) -> list[Ranked]:
        """Returns rows of one kind, best first, with whether each is worth recalling."""
        chances = [row.chance for row in rows]
        worth = ranking.worth_recalling(chances, self._cut(memory=memory), _most(memory=memory))
        return [replace(row, worth=kept) for row, kept in zip(rows, worth, strict=True)]

    def _cut(self, *, memory: bool) -> Cut:
        return self._tuning.memory_cut if memory else self._tuning.lore_cut

    async def search(self, scope: str, asked: Asked, count: int) -> tuple[Found, ...]:
        """Returns the best passages of one scope, whatever their length; raises ``StoreError``."""
        return tuple(row.found for row in await self.explain(scope, asked, count))

    async def explain(
        self, scope: str, asked: Asked, count: int, query: Query | None = None
    ) -> tuple[Ranked, ...]:
        """Returns the best passages of one scope with what their places are made of, best first.

        With a query only memories that are open to it. Raises ``StoreError``.
        """
        candidates = (await self._candidates((scope,), asked, query))[scope]
        rows, vectors = self._ranked([candidates], asked, ())
        picked = ranking.distinct([row.found for row in rows], vectors, count)
        by_id = {row.found.passage.id: row for row in rows}
        memory = scope.startswith("memory:")
        best = self._judged([by_id[item.passage.id] for item in picked], memory=memory)
        return tuple(replace(row, found=_described(row.found, asked)) for row in best)

    def _ranked(
        self, candidates: Sequence[Candidates], asked: Asked, taken: Container[int]
    ) -> tuple[list[Ranked], dict[int, Vectors]]:
        """Returns the candidates of scopes of one kind, scored on one scale, and their vectors.

        Words and sizes are left for ``_described``. ``taken`` are ids that are not wanted.
        """
        rows = _together(candidates, "rows")
        vectors = _together(candidates, "vectors")
        signals = Signals(
            words=_together(candidates, "words"),
            similarity=_similarity(asked, vectors),
            held=_together(candidates, "held"),
            before=_together(candidates, "before"),
            after=_together(candidates, "after"),
            foreign=any(one.foreign for one in candidates),
        )
        scores = ranking.rank(signals, self._tuning)
        late_scores = _late(asked, ranking.best_of(scores), _together(candidates, "tokens"))
        scores = ranking.rank_again(scores, late_scores, self._tuning, foreign=signals.foreign)
        near, worded = _ranks(signals.similarity), _ranks(signals.words)
        found = []
        for passage_id, score in scores.items():
            if passage_id in taken or passage_id not in rows:
                continue
            passage, total = rows[passage_id], score.total
            if passage.kind == "memory":
                total = ranking.weigh_memory(total, passage, self._clock())
            similarity = signals.similarity.get(passage_id)
            held, of_tokens = signals.held.get(passage_id, 0.0), late_scores.get(passage_id)
            near_rank, word_rank = near.get(passage_id), worded.get(passage_id)
            item = Found(passage, total, similarity, near_rank, word_rank, keywords=(), tokens=0)
            found.append(Ranked(item, score, 0.0, held, of_tokens))
        found.sort(key=lambda row: -row.found.score)
        memory = any(one.memory for one in candidates)
        lead_share = self._cut(memory=memory).lead_share
        return _with_chances(found, lead_share, foreign=signals.foreign), vectors

    async def _candidates(
        self, scopes: Sequence[str], asked: Asked, query: Query | None
    ) -> dict[str, Candidates]:
        """Returns what each scope offers; with a query, what is open to it. One turn of the database's thread."""
        worded = {scope: await self._worded(scope, asked, query) for scope in scopes}
        return await self._database.read(_look_up_all, worded, self._model_id, self._dimension)

    async def _worded(self, scope: str, asked: Asked, query: Query | None) -> Worded:
        """Returns which passages of a scope come into question, by meaning and by words."""
        memory = scope.startswith("memory:")
        near: list[int] = []
        if asked.vector is not None:
            # Of a story's memories those of other branches and of the window are taken out below.
            count = limits.RECALL_CANDIDATES * (4 if memory else 1)
            near = (await self._indexes.search(scope, asked.vector, count)).ids.tolist()
        index = await self._keywords.index(scope)
        # Not in a thread: nobody changes the index meanwhile. 100,000 passages take 5 ms.
        return _by_words(index, asked, near, query, memory)


def _most(*, memory: bool) -> int:
    """Returns how many passages of a kind are recalled at most."""
    return limits.RECALL_MEMORY_RESULTS if memory else limits.RECALL_LORE_RESULTS


class Worded(Struct, frozen=True):
    """Candidates of one scope by their words; ``before`` and ``after`` are ids of exchanges beside."""

    words: dict[int, float]
    held: dict[int, float]
    before: dict[int, int]
    after: dict[int, int]
    foreign: bool


class Candidates(Struct, frozen=True):
    """What one scope offers: what is pinned, and rows and signals by id."""

    pinned: tuple[Passage, ...]
    rows: dict[int, Passage]
    vectors: dict[int, Vectors]
    tokens: dict[int, bytes]
    words: dict[int, float]
    held: dict[int, float]
    before: dict[int, int]
    after: dict[int, int]
    foreign: bool
    memory: bool


def _by_words(
    index: WordIndex, asked: Asked, near: Sequence[int], query: Query | None, memory: bool
) -> Worded:
    """Returns the best by words together with those that are near, and with those beside them."""
    import numpy as np

    opened = _open_places(index, query) if memory else index.alive
    languages = index.languages
    scores, held = index.scores(_terms(asked, languages or [ENGLISH]))
    scores = np.where(opened, scores, 0.0)
    best = _top(scores, limits.RECALL_CANDIDATES)
    nearest = [place for i in near if (place := index.place(i)) is not None and opened[place]]
    places = dict.fromkeys([*best, *nearest[: limits.RECALL_CANDIDATES]])
    before, after = _beside(index, opened, list(places)) if memory else ({}, {})
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


def _terms(asked: Asked, languages: Sequence[str]) -> list[QueryTerm]:
    from flower.engine.recall.word_index import QueryTerm

    return [
        QueryTerm(tuple({term_hash(stem(word, language)) for language in languages}), weight)
        for word, weight in asked.weights
    ]


def _top(scores: Scores, count: int) -> list[int]:
    """Returns the places of the largest scores above 0, the largest first."""
    import numpy as np

    places = np.flatnonzero(scores > 0)
    if len(places) > count:
        places = places[np.argpartition(-scores[places], count)[:count]]
    return [int(place) for place in places[np.argsort(-scores[places], kind="stable")]]


def _beside(
    index: WordIndex, opened: Flags, places: Sequence[int]
) -> tuple[dict[int, int], dict[int, int]]:
    """Returns for memories the places of the pieces before and after them, in the order of the story."""
    import numpy as np

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


def _open_places(index: WordIndex, query: Query | None) -> Flags:
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


def _look_up_all(
    db: Connection, worded: Mapping[str, Worded], model_id: str, dimension: int
) -> dict[str, Candidates]:
    return {scope: _look_up(db, scope, one, model_id, dimension) for scope, one in worded.items()}


def _look_up(db: Connection, scope: str, worded: Worded, model_id: str, dimension: int) -> Candidates:
    """Returns the candidates of a scope."""
    rows = {i: p for i, p in passages.get(db, worded.words).items() if p.scope == scope}
    found = vector_rows.vectors_of(db, model_id, rows, dimension)
    vectors = dict(zip(found.ids.tolist(), found.vectors, strict=True))
    tokens = vector_rows.tokens_of(db, model_id, rows)
    words = {i: score for i, score in worded.words.items() if i in rows}
    return Candidates(
        passages.list_pinned(db, scope),
        rows,
        vectors,
        tokens,
        words,
        worded.held,
        worded.before,
        worded.after,
        worded.foreign,
        scope.startswith("memory:"),
    )


def _together(candidates: Sequence[Candidates], name: str) -> dict[int, Any]:
    merged: dict[int, Any] = {}
    for one in candidates:
        merged |= getattr(one, name)
    return merged


def _neighbours(candidates: Sequence[Candidates], rows: Sequence[Ranked]) -> dict[int, list[Found]]:
    """Returns what is before and after each memory in the story."""
    by_id = {row.found.passage.id: row.found for row in rows}
    found: dict[int, list[Found]] = {}
    for one in candidates:
        for sides in (one.before, one.after):
            for i, other in sides.items():
                if other in by_id:
                    found.setdefault(i, []).append(replace(by_id[other], beside=i))
    return found


def _with_chances(rows: Sequence[Ranked], lead_share: float, *, foreign: bool) -> list[Ranked]:
    """Returns passages of one question, best first, with how likely each answers."""
    leads = ranking.leads([row.found.score for row in rows])
    found = []
    for place, row in enumerate(rows):
        lead = leads[place] if leads is not None else None
        known = Evidence(row.found.similarity, row.held, row.late, lead)
        likely = ranking.chance(known, lead_share, foreign=foreign)
        found.append(replace(row, lead=lead, chance=likely))
    return found


def _similarity(asked: Asked, vectors: Mapping[int, Vectors]) -> dict[int, float]:
    import numpy as np

    if asked.vector is None or not vectors:
        return {}
    found = np.stack(list(vectors.values())) @ asked.vector
    return dict(zip(vectors, found.tolist(), strict=True))


def _late(asked: Asked, best: Sequence[int], tokens: Mapping[int, bytes]) -> dict[int, float]:
    if asked.tokens is None or not len(asked.tokens):
        return {}
    ids = [i for i in best if i in tokens]
    return dict(zip(ids, late.scores(asked.tokens, [tokens[i] for i in ids]).tolist(), strict=True))


def _ranks(scores: Mapping[int, float]) -> dict[int, int]:
    """Returns ids with their rank by score, from 1; what has no score above 0 has no rank."""
    ids = [i for i, score in scores.items() if score > 0]
    return {i: rank for rank, i in enumerate(sorted(ids, key=lambda i: -scores[i]), 1)}


def _pinned(passage: Passage, asked: Asked) -> Found:
    return _described(Found(passage, 1.0, None, None, None, (), 0), asked)


def _described(found: Found, asked: Asked) -> Found:
    """Returns it with its words and size, which are worth counting only for what was picked."""
    text = f"{found.passage.title}\n{found.passage.text}"
    words = words_found(text, asked.words, asked.language)
    return replace(found, keywords=words, tokens=TokenCounter().count(text))


def _is_open(passage: Passage, query: Query) -> bool:
    """Returns whether a passage may be recalled: of this branch, and not in the window already."""
    if passage.message_id is None:
        return True
    if query.visible_messages is not None and passage.message_id not in query.visible_messages:
        return False
    return passage.message_id not in query.recent_messages
