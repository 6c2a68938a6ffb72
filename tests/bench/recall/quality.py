"""Does recall find the right passage? By vectors, by words, by both, by the whole library.

Two collections. ``vael``: a small world written for this benchmark, with questions a player might
ask, mostly in other words than the lore's. ``stdlib``: for functions and classes of Python's standard
library the first paragraph of the docstring is the query and the rest is the passage to find.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import trio
from msgspec import Struct

from flower.engine.recall.chunking import chunk
from flower.engine.recall.embedder import MiniLM
from flower.engine.recall.library import Library
from flower.engine.recall.query import keywords
from flower.engine.store import passages, schema
from flower.engine.store.database import Database
from flower.engine.store.passages import Draft
from tests.bench.recall.measure import MODELS, table

SCOPE = "lore:bench"
RRF_K = 60
_NAMES = """
os shutil subprocess threading socket json csv sqlite3 datetime decimal statistics random string
re difflib textwrap calendar collections heapq bisect copy pprint functools itertools pathlib
tempfile pickle zlib gzip zipfile tarfile configparser hashlib hmac secrets io time argparse
logging getpass platform asyncio selectors signal http.client urllib.request urllib.parse
smtplib imaplib uuid ipaddress gettext locale shlex unittest doctest timeit inspect ast tokenize
dis
"""
MODULES = _NAMES.split()


class Collection(Struct, frozen=True):
    name: str
    drafts: Sequence[Draft]
    questions: Sequence[tuple[str, int]]  # text, index of the draft that answers it


def vael() -> Collection:
    here = Path(__file__).parent
    drafts = chunk((here / "vael.md").read_text())
    number = {draft.title: index for index, draft in enumerate(drafts)}
    lines = (here / "questions.tsv").read_text().splitlines()
    return Collection("vael", drafts, [(q, number[a]) for q, a in (line.split("\t") for line in lines)])


def stdlib() -> Collection:
    pairs: dict[str, str] = {}
    for doc in _docstrings():
        first, *rest = re.split(r"\n\s*\n", doc, maxsplit=1)
        body = " ".join(" ".join(rest).split())[:700]
        if 25 < len(first) < 200 and len(body) > 120:
            pairs.setdefault(body, " ".join(first.split()))
    drafts = [Draft("", body) for body in pairs]
    return Collection("stdlib", drafts, [(query, index) for index, query in enumerate(pairs.values())])


def _docstrings() -> Iterator[str]:
    for name in MODULES:
        module = importlib.import_module(name)
        for value in _public(module):
            yield inspect.getdoc(value) or ""
            if inspect.isclass(value) and value.__module__ == name:
                for member in _public(value):
                    yield inspect.getdoc(member) or ""


def _public(holder: object) -> Iterator[object]:
    for name, value in vars(holder).items():
        if not name.startswith("_") and callable(value):
            yield value


async def _runs(collection: Collection, embedder: MiniLM) -> dict[str, list[list[int]]]:
    texts = [passages.embedded_text(draft.title, draft.text) for draft in collection.drafts]
    vectors = await embedder.embed(texts)
    queries = await embedder.embed([question for question, _ in collection.questions])
    by_vector = [np.argsort(-row)[:60].tolist() for row in queries @ vectors.T]
    db = sqlite3.connect(":memory:")
    db.executescript(schema.PASSAGES_SCHEMA)
    passages.replace_source(db, "lore", SCOPE, "a", collection.drafts, digest=b"", created=0.0)
    by_words = [
        [i - 1 for i, _ in passages.search_keywords(db, SCOPE, keywords(question), limit=60)]
        for question, _ in collection.questions
    ]
    db.close()
    return {
        "vectors": by_vector,
        "words (BM25)": by_words,
        "reciprocal ranks": [_rrf(*lists) for lists in zip(by_vector, by_words, strict=True)],
        "library": await _ask_library(collection, embedder),
    }


def _rrf(*lists: Sequence[int]) -> list[int]:
    scores: dict[int, float] = {}
    for ranked in lists:
        for rank, index in enumerate(ranked, 1):
            scores[index] = scores.get(index, 0.0) + 1 / (RRF_K + rank)
    return sorted(scores, key=lambda index: -scores[index])


async def _ask_library(collection: Collection, embedder: MiniLM) -> list[list[int]]:
    """Returns what ``Library.search`` finds, ingestion and all."""
    with tempfile.TemporaryDirectory() as folder:
        database = await Database.open(Path(folder) / "flower.db")
        library = Library(database, embedder, Path(folder), notify=lambda line, progress: None)
        await database.write(
            lambda db: passages.replace_source(
                db, "lore", SCOPE, "a", collection.drafts, digest=b"", created=0.0
            )
        )
        found = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(library.run)
            while await library.pending():
                await trio.sleep(0.05)
            for question, _ in collection.questions:
                hits = await library.search(SCOPE, question, limit=10)
                found.append([hit.passage.id - 1 for hit in hits])
            nursery.cancel_scope.cancel()
        await database.aclose()
    return found


def report() -> None:
    warnings.simplefilter("ignore")  # deprecated modules
    rows = []
    for collection in (vael(), stdlib()):
        embedder = MiniLM([MODELS])
        runs = trio.run(_runs, collection, embedder)
        embedder.close()
        for name, run in runs.items():
            rows.append(
                [collection.name, name, *_scores(run, [answer for _, answer in collection.questions])]
            )
        size = f"{len(collection.drafts)} passages, {len(collection.questions)} queries"
        print(f"\n{collection.name}: {size}")
    table("Quality", ["collection", "by", "hit@1", "hit@3", "nDCG@10"], rows)


def _scores(run: Sequence[Sequence[int]], answers: Sequence[int]) -> list[str]:
    places = [
        list(found[:10]).index(a) if a in found[:10] else None
        for found, a in zip(run, answers, strict=True)
    ]
    count = len(answers)
    hit1 = sum(place == 0 for place in places) / count
    hit3 = sum(place is not None and place < 3 for place in places) / count
    gain = sum(1 / math.log2(place + 2) for place in places if place is not None) / count
    return [f"{value:.3f}" for value in (hit1, hit3, gain)]
