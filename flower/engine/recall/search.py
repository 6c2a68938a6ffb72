"""One recall: from a query to the passages a prompt gets, by meaning, by words, by tokens.

``Searcher`` leaves every decision to the pure functions of ``ranking`` and ``selection``. It embeds
nothing and writes nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.recall import ranking, selection
from flower.engine.recall.base import Considered, Hit, Query, Ranked
from flower.engine.recall.candidates import Candidates, Finder, is_open
from flower.engine.recall.query import Question, words_found
from flower.engine.recall.ranking import Signals, Tuning
from flower.engine.recall.selection import Evidence, in_order
from flower.engine.store.passages import Passage
from flower.engine.token_counter import TokenCounter

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors

RECALL_LORE_RESULTS = 6
RECALL_MEMORY_RESULTS = 12  # the budget and what a memory is worth cut before
RECALL_NEARLY = 3  # passages that /why tells of though they were not recalled

NO_ROOM = "no room"
UNLIKELY = "too unlikely"


class _Kind(Struct, frozen=True):
    """Lore or memories, ranked and judged, best first; ``beside`` are those beside each."""

    pinned: Sequence[Passage]
    rows: Sequence[Ranked]
    likely: float  # that any of them answers
    beside: Mapping[int, Sequence[Hit]]
    vectors: Mapping[int, Vectors]


class Searcher:
    """Finds passages in the scopes of a query."""

    def __init__(self, finder: Finder, clock: Callable[[], float], tuning: Tuning) -> None:
        self._finder = finder
        self._clock = clock
        self._tuning = tuning

    async def recall(self, query: Query, questions: Sequence[Question]) -> Considered:
        """Returns what fits the query and its budget: pinned first, then best first; and what nearly does.

        ``questions``: what the line asks, at least one thing. Raises ``StoreError``.
        """
        kinds = [kind for part in questions for kind in await self._kinds(query, part)]
        rows = _once([row for kind in kinds for row in kind.rows])
        vectors = {i: vector for kind in kinds for i, vector in kind.vectors.items()}
        pinned = {passage.id: passage for kind in kinds for passage in kind.pinned}
        best = [row for row in rows if row.worth]
        hits = [_described(row.hit, questions) for row in best]
        room = query.budget_tokens or limits.RECALL_TOKENS
        recalled = selection.cut([*(_pinned(one, questions) for one in pinned.values()), *hits], room)
        beside = {
            i: [_described(item, questions) for item in items]
            for kind in kinds
            if kind.likely >= self._tuning.beside
            for i, items in kind.beside.items()
        }
        recalled = selection.with_neighbours(recalled, beside, vectors, room)
        recalled_ids = {item.passage.id for item in recalled}
        left = [(item, NO_ROOM) for item in hits if item.passage.id not in recalled_ids]
        unlikely = [row for row in rows if not row.worth and row.hit.passage.id not in recalled_ids]
        unlikely.sort(key=lambda row: -row.chance)
        nearly = unlikely[:RECALL_NEARLY]
        left += [(_described(row.hit, questions), UNLIKELY) for row in nearly]
        return Considered(recalled, tuple(left[:RECALL_NEARLY]))

    async def _kinds(self, query: Query, part: Question) -> list[_Kind]:
        """Returns what lore and memories have for one question of a turn."""
        lore = [scope for scope in (query.lore_scope, *query.cast_scopes) if scope]
        memory = [query.memory_scope] if query.memory_scope else []
        offered = await self._finder.find((*lore, *memory), part, query)
        both = ([offered[scope] for scope in scopes] for scopes in (lore, memory) if scopes)
        return [self._of_kind(reduce(operator.or_, scopes), query, part) for scopes in both]

    def _of_kind(self, candidates: Candidates, query: Query, part: Question) -> _Kind:
        fixed = [passage for passage in candidates.pinned if is_open(passage, query)]
        rows = self._ranked(candidates, part, {passage.id for passage in fixed})
        beside = _neighbours(candidates, rows)
        best, likely = self._judged(rows, candidates, 2 * _most(memory=candidates.memory))
        return _Kind(fixed, best, likely, beside, candidates.vectors)

    async def search(self, scope: str, questions: Sequence[Question], count: int) -> tuple[Hit, ...]:
        """Returns the best passages of one scope, whatever their length; raises ``StoreError``."""
        return tuple(row.hit for row in await self.explain(scope, questions, count))

    async def explain(
        self, scope: str, questions: Sequence[Question], count: int, query: Query | None = None
    ) -> tuple[Ranked, ...]:
        """Returns the best passages of one scope with what their places are made of, best first.

        With a query only memories that are open to it. Raises ``StoreError``.
        """
        rows: list[Ranked] = []
        for part in questions:
            candidates = (await self._finder.find((scope,), part, query))[scope]
            rows += self._judged(self._ranked(candidates, part, ()), candidates, count)[0]
        return tuple(replace(row, hit=_described(row.hit, questions)) for row in _once(rows)[:count])

    def _judged(
        self, rows: Sequence[Ranked], candidates: Candidates, count: int
    ) -> tuple[list[Ranked], float]:
        """Returns the best, those that say the same once, with whether each is worth recalling; and how likely any
        of them answers.
        """
        picked = selection.distinct([row.hit for row in rows], candidates.vectors, count)
        by_id = {row.hit.passage.id: row for row in rows}
        best = [by_id[item.passage.id] for item in picked]
        evidence = [_evidence(row) for row in best]
        likely = selection.answered(evidence, foreign=candidates.foreign)
        cut = self._tuning.memory_cut if candidates.memory else self._tuning.lore_cut
        worth = selection.worth_recalling(
            [row.chance for row in best], likely, cut, _most(memory=candidates.memory)
        )
        return [replace(row, worth=is_worth) for row, is_worth in zip(best, worth, strict=True)], likely

    def _ranked(
        self, candidates: Candidates, question: Question, excluded: Container[int]
    ) -> list[Ranked]:
        """Returns candidates, best first; words and sizes are left for ``_described``.

        ``excluded`` are ids that are not wanted.
        """
        signals = Signals(
            words=candidates.words,
            similarity=_similarity(question, candidates),
            held=candidates.held,
            before=candidates.before,
            after=candidates.after,
            foreign=candidates.foreign,
        )
        scores = ranking.rank(signals, self._tuning)
        to_rank, of_tokens = _late(question, ranking.best_of(scores), candidates)
        scores = ranking.rank_again(scores, to_rank, signals, self._tuning)
        rows = []
        for i, score in scores.items():
            passage = candidates.rows.get(i)
            if passage is None or i in excluded:
                continue
            total = score.total
            if candidates.memory:
                total = ranking.weigh_memory(total, passage, self._clock())
            item = Hit(passage, total, signals.similarity.get(i), (), tokens=0)
            held = signals.held.get(i, 0.0)
            rows.append(Ranked(item, score, 0.0, held, of_tokens.get(i)))
        rows.sort(key=lambda row: -row.hit.score)
        rows = _with_chances(rows, foreign=signals.foreign)
        return (
            in_order(rows, question.order, candidates.before, candidates.after)
            if self._tuning.by_order
            else rows
        )


def _most(*, memory: bool) -> int:
    """Returns how many passages of a kind are recalled at most."""
    return RECALL_MEMORY_RESULTS if memory else RECALL_LORE_RESULTS


def _once(rows: Sequence[Ranked]) -> list[Ranked]:
    """Returns rows of several questions, best first, each where it is best."""
    best: dict[int, Ranked] = {}
    for row in sorted(rows, key=lambda row: (not row.worth, -row.hit.score)):
        best.setdefault(row.hit.passage.id, row)
    return sorted(best.values(), key=lambda row: -row.hit.score)


def _neighbours(candidates: Candidates, rows: Sequence[Ranked]) -> dict[int, list[Hit]]:
    """Returns what is before and after each memory in the story."""
    by_id = {row.hit.passage.id: row.hit for row in rows}
    beside: dict[int, list[Hit]] = {}
    for sides in (candidates.before, candidates.after):
        for i, other in sides.items():
            if other in by_id:
                beside.setdefault(i, []).append(replace(by_id[other], beside=i))
    return beside


def _with_chances(rows: Sequence[Ranked], *, foreign: bool) -> list[Ranked]:
    """Returns passages of one question, best first, with how likely each answers."""
    leads = selection.leads([row.hit.score for row in rows])
    led = rows if leads is None else [replace(r, lead=n) for r, n in zip(rows, leads, strict=True)]
    return [replace(row, chance=selection.chance(_evidence(row), foreign=foreign)) for row in led]


def _evidence(row: Ranked) -> Evidence:
    return Evidence(row.hit.similarity, row.held, row.late, row.lead)


def _similarity(question: Question, candidates: Candidates) -> dict[int, float]:
    import numpy as np

    vectors = candidates.vectors
    if question.vector is None or not vectors:
        return {}
    cosines = np.stack(list(vectors.values())) @ question.vector
    return dict(zip(vectors, cosines.tolist(), strict=True))


def _late(
    question: Question, best: Sequence[int], candidates: Candidates
) -> tuple[dict[int, float], dict[int, float]]:
    """Returns late interaction of the best: to rank by, and as it is."""
    if question.tokens is None or not len(question.tokens):
        return {}, {}
    ids = [i for i in best if i in candidates.tokens]
    to_rank, plain = ranking.late_scores(question.tokens, [candidates.tokens[i] for i in ids])
    ranked = dict(zip(ids, to_rank.tolist(), strict=True))
    return ranked, dict(zip(ids, plain.tolist(), strict=True))


def _pinned(passage: Passage, questions: Sequence[Question]) -> Hit:
    return _described(Hit(passage, 1.0, None, (), 0), questions)


def _described(hit: Hit, questions: Sequence[Question]) -> Hit:
    """Returns it with its words and size, which are worth counting only for what was picked."""
    text = f"{hit.passage.title}\n{hit.passage.text}"
    words = dict.fromkeys(
        word for part in questions for word in words_found(text, part.words, part.language)
    )
    return replace(hit, keywords=tuple(words), tokens=TokenCounter().count(text))
