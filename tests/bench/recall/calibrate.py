"""Fits the weights of ``ranking.chance``: ``python -m tests.bench.recall.calibrate``.

A logistic regression on the best 20 passages of every question of the collections, each collection counting
alike. Printed are the weights, and for some thresholds how much evidence stays and how much else comes along.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import trio
from numpy.typing import NDArray

from flower.engine.recall.embedder import MiniLM
from tests.bench.recall.collections.base import Collection
from tests.bench.recall.measure import MODELS, table
from tests.bench.recall.quality import collections, library_over, stored

DEPTH = 20
QUESTIONS = 250  # of one collection at most
PENALTY = 1e-3
Array = NDArray[np.float64]


async def _rows(asked: Sequence[Collection], embedder: MiniLM) -> list[list[float]]:
    """Returns (collection, question, answer?, answers, similarity, held, late, lead) of every passage found."""
    found = []
    async with stored(asked[0], embedder) as (database, folder):
        library = library_over(database, embedder, folder)
        for number, one in enumerate(asked):
            for place, q in enumerate(one.questions[:: 1 + len(one.questions) // QUESTIONS]):
                for row in await library.explain(q.scope, q.text, limit=DEPTH):
                    signals = [row.found.similarity or 0.0, row.held, row.late or 0.0, row.lead or 0.0]
                    right = float(row.found.passage.id - 1 in q.answers)
                    found.append([number, place, right, len(q.answers), *signals])
    return found


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


def main() -> None:
    warnings.simplefilter("ignore")
    by_documents: dict[str, list[Collection]] = {}
    for one in collections():
        by_documents.setdefault(one.name.split(",")[0], []).append(one)
    parts = []
    for group, asked in enumerate(by_documents.values()):
        embedder = MiniLM([MODELS])
        rows = np.array(trio.run(_rows, asked, embedder))
        embedder.close()
        foreign = asked[0].name in FOREIGN
        parts.append(np.column_stack([rows, np.full(len(rows), group), np.full(len(rows), foreign)]))
    data = np.concatenate(parts)
    for name, wanted in (("English", 0.0), ("other languages", 1.0)):
        part = data[data[:, 9] == wanted]
        keys, inverse, counts = np.unique(
            part[:, [8, 0]], axis=0, return_inverse=True, return_counts=True
        )
        weights = len(part) / len(keys) / counts[inverse.ravel()]
        for signals, columns in (
            ("similarity, held, late, lead", [4, 5, 6, 7]),
            ("similarity, held, late", [4, 5, 6]),
            ("similarity, held", [4, 5]),
        ):
            found = fit(part[:, columns], part[:, 2], weights)
            print(name, signals, [round(float(value), 2) for value in found])
            _report(part, part[:, columns], found, weights)


FOREIGN = {"german", "russian", "turkish", "hindi", "thai", "chinese"}


def _report(part: Array, signals: Array, found: Array, weights: Array) -> None:
    chance = 1 / (1 + np.exp(-(found[0] + signals @ found[1:])))
    rows = []
    answered = part[:, 3] > 0
    questions = len(np.unique(part[~answered][:, [8, 0, 1]], axis=0))
    for threshold in (0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3):
        kept = chance >= threshold
        right = (part[:, 2] * weights * kept).sum() / (part[:, 2] * weights).sum()
        wrong = 100 * (kept & ~answered).sum() / max(1, questions)
        per_answered = kept[answered].sum() / len(np.unique(part[answered][:, [8, 0, 1]], axis=0))
        rows.append([threshold, right, wrong, per_answered])
    table("", ["threshold", "evidence kept", "false per 100", "recalled per question"], rows)


if __name__ == "__main__":
    main()
