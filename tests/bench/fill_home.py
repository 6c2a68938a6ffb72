"""Writes a home's database with so many stories, by the code of whichever Flower is found first.

PYTHONPATH=TREE python -P tests/bench/fill_home.py HOME STORIES MESSAGES
"""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import trio

from flower.engine.recall.minilm import DIMENSION, MODEL_ID, TOKEN_WIDTH
from flower.engine.store import passages, stories, vector_rows
from flower.engine.store.sqlite.database import Database

WORDS = ["river", "door", "lamp", "rain", "tide", "keeper", "stone", "bell", "the", "night"]
RARE = [f"word{number}" for number in range(5_000)]
TOKENS = 60  # of a passage
AT_ONCE = 50  # stories in a transaction


def write(numbers: range, messages: int, db: Any) -> None:
    choice = random.Random(numbers.start)
    for story in (f"s{number}" for number in numbers):
        stories.create_session(db, story, "orrinsay", "", "", 1.0)
        last = None
        for number in range(messages):
            text = " ".join(choice.choices(WORDS, k=12) + choice.choices(RARE, k=8))
            role = ("user", "assistant")[number % 2]
            last = stories.append(db, story, last, role, text, "complete", now=float(numbers.start))


async def lore(home: Path, count: int) -> None:
    choice, numbers = random.Random(1), np.random.default_rng(1)
    texts = [" ".join(choice.choices(WORDS, k=20) + choice.choices(RARE, k=20)) for _ in range(count)]
    vectors = numbers.normal(size=(count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tokens = [numbers.bytes(TOKENS * TOKEN_WIDTH // 8) for _ in range(count)]
    hashes = [passages.content_hash("Lore", text) for text in texts]
    database = await Database.open(home / "flower.db")
    await database.write(
        passages.replace_source,
        "lore",
        "lore:orrinsay",
        "bench",
        [passages.Chunk("Lore", text) for text in texts],
        digest=b"",
        created=0.0,
    )
    await database.write(vector_rows.store_vectors, MODEL_ID, hashes, vectors, tokens)
    await database.aclose()


async def main(home: Path, count: int, messages: int) -> None:
    database = await Database.open(home / "flower.db")
    for first in range(0, count, AT_ONCE):
        await database.write(partial(write, range(first, min(first + AT_ONCE, count)), messages))
    await database.aclose()


if __name__ == "__main__":
    folder, *counts = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    trio.run(lore if len(counts) == 1 else main, Path(folder), *map(int, counts))
