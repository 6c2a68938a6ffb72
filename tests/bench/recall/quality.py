"""Does recall find what answers? Over many kinds of text, through the engine's own library.

Prints nDCG@10 and how often evidence is among the first five, for vectors, words, reciprocal ranks, the
algorithm of before, and recall as it is; then recall with each signal switched off in turn; then how many
passages are recalled for questions that nothing answers. ``collections`` says what the texts are.

    python -m tests.bench.recall quality
"""

from __future__ import annotations

import math
import sqlite3
import tempfile
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import trio
from msgspec import structs

from flower.engine.recall.base import Query
from flower.engine.recall.library import PassageLibrary
from flower.engine.recall.minilm import MiniLM
from flower.engine.recall.ranking import Share, Tuning
from flower.engine.store import passages
from flower.engine.store.passages import Chunk, Passage
from flower.engine.store.sqlite.database import Database
from tests.bench.recall.baseline import Baseline
from tests.bench.recall.collections import dialogue, load
from tests.bench.recall.collections.base import Collection
from tests.bench.recall.measure import MODELS, table
from tests.fakes import without_vectors

Runs = Mapping[str, Sequence[Sequence[int]]]  # by what was asked: for each question the documents found
ABLATIONS = {
    "recall": Tuning(),
    "without words": Tuning(words_share=Share(0.0, 0.0), foreign_words_share=0.0),
    "without similarity": Tuning(words_share=Share(1.0, 1.0), foreign_words_share=1.0),
    "without late interaction": Tuning(late_share=Share(0.0, 0.0), foreign_late_share=0.0),
    "without neighbours": Tuning(before=0.0, after=0.0, late_before=0.0),
    "one share for all questions": Tuning(words_share=Share(0.45, 0.45), late_share=Share(0.6, 0.6)),
    "without question sentence": Tuning(by_question=False),
    "without parts, names, order": Tuning(by_parts=False, by_name=False, by_order=False),
}
QUESTIONS = 200  # of one collection at most
MEMORY_BUDGETS = (300, 450, 600, 900)


def collections() -> list[Collection]:
    """Returns all collections, those that share their documents one after the other."""
    friends, tale = load.friends(), load.tale()
    fitted = [
        dialogue.load(),
        friends,
        load.plain(friends),
        tale,
        load.plain(tale),
        load.vael(),
        load.stdlib(),
        load.technical(),
    ]
    housemates, orchard = load.friends("housemates"), load.tale("orchard")
    held_out = [
        dialogue.load("voyage"),
        dialogue.load("voyage", plain=True),
        housemates,
        load.plain(housemates),
        orchard,
        load.plain(orchard),
        load.reference(),
    ]
    lines = [load.longer(one) for one in (*fitted[:6], *held_out[:6])]
    others = [
        made
        for name in ("dialogue", "voyage")
        for made in (
            dialogue.by_pronoun(name),
            dialogue.two_at_once(dialogue.load(name)),
            dialogue.by_order(name),
        )
    ]
    return [_fewer(one) for one in (*fitted, *held_out, *lines, *others, *load.languages())]


# By the name of the documents: what weights, shares and cuts were fitted to, and what judged them.
FITTED = frozenset({"dialogue", "friends", "tale", "vael", "stdlib", "technical"})
HELD_OUT = frozenset({"voyage", "housemates", "orchard", "reference"})


def documents_of(name: str) -> str:
    """Returns the name of the documents that a collection asks about."""
    return name.partition(",")[0]


def by_documents(every: Sequence[Collection]) -> list[list[Collection]]:
    """Returns collections together that ask about the same documents."""
    groups: dict[str, list[Collection]] = {}
    for one in every:
        groups.setdefault(documents_of(one.name), []).append(one)
    return list(groups.values())


def _fewer(collection: Collection) -> Collection:
    """Returns the collection with every n-th question, so that a run takes minutes."""
    return structs.replace(
        collection, questions=collection.questions[:: 1 + len(collection.questions) // QUESTIONS]
    )


async def embed_all(embedder: MiniLM, texts: Sequence[str]) -> np.ndarray:
    parts = [await embedder.embed(texts[start : start + 32]) for start in range(0, len(texts), 32)]
    return np.concatenate(parts)


@asynccontextmanager
async def stored(collection: Collection, embedder: MiniLM) -> AsyncIterator[tuple[Database, Path]]:
    """Stores a collection as the engine does, with all vectors; document n has the id n + 1."""
    with tempfile.TemporaryDirectory() as folder:
        database = await Database.open(Path(folder) / "flower.db")
        await database.write(_store, collection)
        async with trio.open_nursery() as nursery:
            library = library_over(database, embedder, Path(folder))
            nursery.start_soon(library.run)
            while await without_vectors(library):
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
        try:
            yield database, Path(folder)
        finally:
            await database.aclose()


def _store(db: sqlite3.Connection, collection: Collection) -> None:
    for number, document in enumerate(collection.documents):
        title, text = document.title, document.text
        if collection.kind == "memory":
            memory = Passage(
                0, "memory", document.scope, f"message:{number + 1}", title, text, number + 1
            )
            passages.add_memories(db, [memory])
        else:
            source = f"attached:{number}"
            passages.replace_source(
                db, "lore", document.scope, source, [Chunk(title, text)], digest=b"", created=0.0
            )


def library_over(
    database: Database, embedder: MiniLM, folder: Path, tuning: Tuning | None = None
) -> PassageLibrary:
    return PassageLibrary(
        database,
        embedder,
        folder / "index",
        notify=lambda line, progress: None,
        tuning=tuning or Tuning(),
    )


async def _runs(
    collection: Collection, embedder: MiniLM, asked: Sequence[Collection]
) -> dict[str, Runs]:
    """Returns by the collection's name what was found for its questions, all over the same documents."""
    texts = [passages.embedded_text(one.title, one.text) for one in collection.documents]
    baseline = Baseline(collection, await embed_all(embedder, texts))
    found: dict[str, Runs] = {}
    async with stored(collection, embedder) as (database, folder):
        for one in asked:
            questions = one.questions
            vectors = await embed_all(embedder, [q.text for q in questions])
            both = list(zip(questions, vectors, strict=True))
            runs = {
                "vectors": [list(baseline.by_vectors(q.scope, v, 10)) for q, v in both],
                "words (FTS5)": [list(baseline.by_words(q.scope, q.text, 10)) for q in questions],
                "reciprocal ranks": [baseline.by_ranks(q.scope, q.text, v) for q, v in both],
                "before": [baseline.search(q.scope, q.text, v, 10) for q, v in both],
            }
            for name, tuning in ABLATIONS.items():
                library = library_over(database, embedder, folder, tuning)
                runs[name] = [
                    [hit.passage.id - 1 for hit in await library.search(q.scope, q.text, limit=10)]
                    for q in questions
                ]
            found[one.name] = runs
            found[f"{one.name} recalled before"] = {
                str(budget): [baseline.recall(q.scope, q.text, v, budget) for q, v in both]
                for budget in MEMORY_BUDGETS
            }
            found[f"{one.name} recalled"] = await _recalled(
                one, library_over(database, embedder, folder)
            )
    return found


async def _recalled(collection: Collection, library: PassageLibrary) -> Runs:
    """Returns by budget what a turn would be given."""
    runs: dict[str, list[list[int]]] = {}
    for budget in MEMORY_BUDGETS:
        for q in collection.questions:
            scope = {"memory_scope" if collection.kind == "memory" else "lore_scope": q.scope}
            query = Query(q.text, budget_tokens=budget, **scope)
            hits = await library.recall(query)
            runs.setdefault(str(budget), []).append([hit.passage.id - 1 for hit in hits])
    return runs


def report() -> None:
    warnings.simplefilter("ignore")  # deprecated modules
    every = collections()
    found: dict[str, Runs] = {}
    for asked in by_documents(every):
        embedder = MiniLM([MODELS])
        found |= trio.run(_runs, asked[0], embedder, asked)
        embedder.close()
    _print_quality(every, found)
    _print_recalled(every, found)


def _print_quality(every: Sequence[Collection], found: Mapping[str, Runs]) -> None:
    names = list(found[every[0].name])
    for what, measure in (("nDCG@10", ndcg), ("evidence in the first 5", first_five)):
        rows = []
        for one in every:
            scores = [mean(one, found[one.name][name], measure) for name in names]
            rows.append([one.name, *(f"{score:.3f}" for score in scores)])
        for label, some in _kinds(every).items():
            means = [_mean_of(some, found, name, measure) for name in names]
            rows.append([label, *(f"{value:.3f}" for value in means)])
        table(what, ["collection", *names], rows)


def _kinds(every: Sequence[Collection]) -> dict[str, list[Collection]]:
    """Returns collections under what their mean is called."""
    return {
        "mean, fitted to": [one for one in every if documents_of(one.name) in FITTED],
        "mean, held out": [one for one in every if documents_of(one.name) in HELD_OUT],
        "mean, other languages": [
            one for one in every if documents_of(one.name) not in FITTED | HELD_OUT
        ],
    }


def _mean_of(
    some: Sequence[Collection], found: Mapping[str, Runs], name: str, measure: object
) -> float:
    return sum(mean(one, found[one.name][name], measure) for one in some) / len(some)


def _print_recalled(every: Sequence[Collection], found: Mapping[str, Runs]) -> None:
    rows = []
    for one in every:
        row: list[str] = [one.name]
        for name in (f"{one.name} recalled before", f"{one.name} recalled"):
            runs = found[name]
            wrong = [
                len(hits) for q, hits in zip(one.questions, runs["900"], strict=True) if not q.answers
            ]
            row.append(f"{100 * sum(wrong) / len(wrong):.0f}" if wrong else "-")
            row += [f"{mean(one, runs[budget], held):.3f}" for budget in runs]
        rows.append(row)
    for label, some in _kinds(every).items():
        row = [label]
        for then in (" recalled before", " recalled"):
            wrong = [
                100 * len(hits)
                for one in some
                for q, hits in zip(one.questions, found[one.name + then]["900"], strict=True)
                if not q.answers
            ]
            row.append(f"{sum(wrong) / len(wrong):.0f}")
            for budget in MEMORY_BUDGETS:
                scores = [mean(one, found[one.name + then][str(budget)], held) for one in some]
                row.append(f"{sum(scores) / len(scores):.3f}")
        rows.append(row)
    budgets = [str(budget) for budget in MEMORY_BUDGETS]
    head = ["collection", "before: false per 100", *budgets, "now: false per 100", *budgets]
    title = "Recalled for a turn: passages where nothing answers; questions with evidence within so many tokens"
    table(title, head, rows)


def mean(collection: Collection, run: Sequence[Sequence[int]], measure: object) -> float:
    scores = [
        measure(list(hits), q.answers)  # type: ignore[operator]
        for q, hits in zip(collection.questions, run, strict=True)
        if q.answers
    ]
    return sum(scores) / len(scores)


def ndcg(hits: Sequence[int], answers: frozenset[int]) -> float:
    gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits[:10]) if hit in answers)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(10, len(answers))))


def first_five(hits: Sequence[int], answers: frozenset[int]) -> float:
    return float(bool(answers & set(hits[:5])))


def held(hits: Sequence[int], answers: frozenset[int]) -> float:
    return float(bool(answers & set(hits)))
