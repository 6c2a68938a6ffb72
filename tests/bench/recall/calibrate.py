"""Makes the weights of ``selection`` and shows what the shares and cuts of ``ranking`` are worth:
``python -m tests.bench.recall.calibrate``.

Logistic regressions over the best passages of every question of the collections that may be fitted to, each kind of
documents counting alike. Printed are the weights as they stand in ``selection``; then for settings of shares
nDCG@10, and for cuts the evidence that stays and what is recalled where nothing answers, also of the collections that
are held out. ``cuts`` or ``shares`` as argument prints that part only; ``weights`` ends with 1 if they are not those
of the code.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import trio
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from flower import limits
from flower.engine.recall import selection
from flower.engine.recall.base import Encoded, Ranked
from flower.engine.recall.minilm import MiniLM
from flower.engine.recall.ranking import Share, Tuning
from flower.engine.recall.search import RECALL_LORE_RESULTS, RECALL_MEMORY_RESULTS
from flower.engine.recall.selection import Cut, Evidence
from tests.bench.recall import quality
from tests.bench.recall.collections.base import Collection
from tests.bench.recall.measure import MODELS, table
from tests.bench.recall.quality import FITTED, HELD_OUT, documents_of

SPECIAL = (", she", ", two at once", ", order")  # questions that rules answer, not weights
DEPTH = 20  # passages of a question that count
PENALTY = 1e-2
TOLERANCE = 0.02  # of a weight: runs differ by what floating point and another Python's docstrings do
Array = NDArray[np.float64]


class Judged(Struct, frozen=True):
    """What was found for one question."""

    collection: str
    memory: bool
    answers: frozenset[int]
    rows: tuple[Ranked, ...]

    @property
    def documents(self) -> str:
        return documents_of(self.collection)

    @property
    def evidence(self) -> list[Evidence]:
        return [Evidence(row.hit.similarity, row.held, row.late or 0.0, row.lead) for row in self.rows]

    @property
    def right(self) -> list[bool]:
        return [row.hit.passage.id - 1 in self.answers for row in self.rows]


class Cached:
    """The shipped model, asked for each text once."""

    def __init__(self) -> None:
        self._model = MiniLM([MODELS])
        self.model_id, self.dimension = self._model.model_id, self._model.dimension
        self._known: dict[str, Encoded] = {}

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> NDArray[np.float32]:
        return (await self.encode(texts, urgent=urgent)).vectors

    async def encode(self, texts: Sequence[str], *, urgent: bool = False) -> Encoded:
        for text in texts:
            if text not in self._known:
                self._known[text] = await self._model.encode([text], urgent=urgent)
        known = [self._known[text] for text in texts]
        vectors = np.concatenate([one.vectors for one in known])
        return Encoded(vectors, [one.tokens[0] for one in known])

    def close(self) -> None:
        self._model.close()


async def _judged(asked: Sequence[Collection], embedder: Cached, tuning: Tuning) -> list[Judged]:
    found = []
    async with quality.stored(asked[0], embedder) as (database, folder):
        library = quality.library_over(database, embedder, folder, tuning)
        for one in asked:
            for q in one.questions:
                rows = await library.explain(q.scope, q.text, limit=DEPTH)
                found.append(Judged(one.name, one.kind == "memory", q.answers, rows))
    return found


def judged(tunings: Sequence[Tuning]) -> list[list[Judged]]:
    """Returns for each tuning what is found for all questions in English."""
    found: list[list[Judged]] = [[] for _ in tunings]
    every = [
        one
        for one in quality.collections()
        if documents_of(one.name) in FITTED | HELD_OUT and not one.name.endswith(SPECIAL)
    ]
    for asked in quality.by_documents(every):
        embedder = Cached()
        for part, tuning in zip(found, tunings, strict=True):
            part += trio.run(_judged, asked, embedder, tuning)
        embedder.close()
    return found


# --- weights ------------------------------------------------------------------------------------


def fit(signals: Array, right: Array, weights: Array) -> Array:
    """Returns intercept and weights of a logistic regression, by Newton's method."""
    x = np.column_stack([np.ones(len(signals)), signals])
    found = np.zeros(x.shape[1])
    for _ in range(40):
        chance = 1 / (1 + np.exp(-np.clip(x @ found, -40, 40)))
        slope = x.T @ (weights * (right - chance)) - PENALTY * found
        bend = (x * (weights * chance * (1 - chance))[:, None]).T @ x + PENALTY * np.eye(x.shape[1])
        found += np.linalg.solve(bend, slope)
    return found


def _of_passages(some: Sequence[Judged], names: Sequence[str]) -> Array:
    """Returns the weights for passages: each kind of documents counts alike."""
    rows = [
        ([getattr(one, name) for name in names], right, judged.documents)
        for judged in some
        for one, right in zip(judged.evidence, judged.right, strict=True)
        if one.lead is not None
    ]
    return _fitted(rows, len(some))


def _of_questions(some: Sequence[Judged], names: Sequence[str]) -> Array:
    """Returns the weights for questions: in each kind of documents those with and without an answer count alike."""
    both = {one.documents for one in some if not one.answers}
    rows = [
        (
            [max(getattr(one, name) for one in judged.evidence[: selection._JUDGED]) for name in names],
            bool(judged.answers),
            f"{judged.documents} {bool(judged.answers)}",
        )
        for judged in some
        if judged.documents in both and judged.rows
    ]
    return _fitted(rows, 20)


def _fitted(rows: Sequence[tuple[Sequence[float], bool, str]], total: float) -> Array:
    groups = [group for _, _, group in rows]
    sizes = {group: groups.count(group) for group in set(groups)}
    weights = np.array([1 / sizes[group] for group in groups])
    signals = np.array([signals for signals, _, _ in rows])
    right = np.array([float(right) for _, right, _ in rows])
    return fit(signals, right, weights / weights.sum() * total)


def weights(found: Sequence[Judged]) -> bool:
    """Prints the weights; returns whether they are those of the code."""
    fitted = [one for one in found if one.documents in FITTED]
    passages, questions = _of_passages, _of_questions
    made = {
        "_ANSWERED": questions(fitted, ["similarity", "held", "late"]),
        "_ANSWERED_PLAIN": questions(fitted, ["similarity", "held"]),
        "_WITH_LEAD": passages(fitted, ["similarity", "held", "late", "lead"]),
        "_LATE": passages(fitted, ["similarity", "held", "late"]),
        "_PLAIN": passages(fitted, ["similarity", "held"]),
    }
    same = True
    print()
    for name, values in made.items():
        print(f"{name} = ({', '.join(f'{value:.2f}' for value in values)})")
        same &= bool(np.allclose(values, getattr(selection, name), atol=TOLERANCE))
    print("These are the weights of the code." if same else "The code has other weights.")
    return same


# --- shares and cuts ----------------------------------------------------------------------------


def settings() -> Iterator[tuple[str, Tuning]]:
    """Yields the shares of the code, and others around them one at a time."""
    usual = Tuning()
    yield "as it is", usual
    for least, most in ((0.0, 0.7), (0.4, 0.7), (0.2, 0.5), (0.2, 0.9), (0.55, 0.55)):
        yield f"words {least} to {most}", replace(usual, words_share=Share(least, most))
    for least, most in ((0.6, 0.6), (0.75, 0.75), (0.9, 0.5), (0.75, 0.3)):
        yield f"late {least} to {most}", replace(usual, late_share=Share(least, most))
    for name, values in (("before", (0.0, 0.5)), ("after", (0.0, 0.3)), ("late_before", (0.0, 0.4))):
        for value in values:
            yield f"{name} {value}", replace(usual, **{name: value})


def shares() -> None:
    names, tunings = zip(*settings(), strict=True)
    rows = []
    for name, found in zip(names, judged(tunings), strict=True):
        means = [
            f"{_mean(found, group, measure):.4f}"
            for group in (FITTED, HELD_OUT)
            for measure in (quality.ndcg, quality.first_five)
        ]
        rows.append([name, *means])
    table("Shares", ["", "fitted: nDCG@10", "first 5", "held out: nDCG@10", "first 5"], rows)


def _mean(
    found: Sequence[Judged],
    group: frozenset[str],
    measure: Callable[[Sequence[int], frozenset[int]], float],
) -> float:
    by_name: dict[str, list[float]] = {}
    for one in found:
        if one.documents in group and one.answers:
            hits = [row.hit.passage.id - 1 for row in one.rows]
            by_name.setdefault(one.collection, []).append(measure(hits, one.answers))
    return sum(sum(part) / len(part) for part in by_name.values()) / len(by_name)


def cuts(found: Sequence[Judged]) -> None:
    """Prints what cuts leave of the evidence and of what is recalled where nothing answers."""
    for memory, usual in ((True, Tuning().memory_cut), (False, Tuning().lore_cut)):
        some = [one for one in found if one.memory == memory]
        rows = []
        for enough in (0.0, 0.02, 0.03, 0.05, 0.06, 0.08, 0.1, 0.15):
            for certain in (0.3, 0.4, 0.45, 0.5, 0.6):
                where = Cut(enough, certain, usual.least_of_best)
                mark = "*" if where == usual else ""
                parts = [_kept(some, where, group) for group in (FITTED, HELD_OUT)]
                rows.append(
                    [f"{enough} to {certain}{mark}", *(value for part in parts for value in part)]
                )
        head = ["cut", "fitted: evidence", "false per 100", "held out: evidence", "false per 100"]
        table("Memories" if memory else "Lore", head, rows)


def _kept(found: Sequence[Judged], where: Cut, group: frozenset[str]) -> tuple[str, str]:
    by_name: dict[str, list[float]] = {}
    wrong = []
    for one in found:
        if one.documents not in group:
            continue
        most = RECALL_MEMORY_RESULTS if one.memory else RECALL_LORE_RESULTS
        likely = selection.answered(one.evidence)
        worth = selection.worth_recalling([row.chance for row in one.rows], likely, where, most)
        room, told = limits.RECALL_TOKENS, []
        for row, kept, right in zip(one.rows, worth, one.right, strict=True):
            if kept and row.hit.tokens <= room:
                room -= row.hit.tokens
                told.append(right)
        if one.answers:
            by_name.setdefault(one.collection, []).append(float(any(told)))
        else:
            wrong.append(len(told))
    evidence = sum(sum(part) / len(part) for part in by_name.values()) / len(by_name)
    return f"{evidence:.3f}", f"{100 * sum(wrong) / len(wrong):.0f}"


def main() -> None:
    warnings.simplefilter("ignore")  # deprecated modules
    parts = sys.argv[1:] or ["weights", "cuts", "shares"]
    same = True
    if {"weights", "cuts"} & {*parts}:
        (found,) = judged([Tuning()])
        if "weights" in parts:
            same = weights(found)
        if "cuts" in parts:
            cuts(found)
    if "shares" in parts:
        shares()
    sys.exit(not same)


if __name__ == "__main__":
    main()
