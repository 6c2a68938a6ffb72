"""Writes a home's database with so many stories, by the code of whichever Flower is found first.

PYTHONPATH=TREE python -P tests/bench/fill_home.py HOME STORIES MESSAGES
"""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import trio

from flower.engine.store import stories
from flower.engine.store.database import Database

WORDS = ["river", "door", "lamp", "rain", "tide", "keeper", "stone", "bell", "the", "night"]
RARE = [f"word{number}" for number in range(5_000)]
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


async def main(home: Path, count: int, messages: int) -> None:
    home.mkdir(parents=True, exist_ok=True)
    database = await Database.open(home / "flower.db")
    for first in range(0, count, AT_ONCE):
        await database.write(partial(write, range(first, min(first + AT_ONCE, count)), messages))
    await database.aclose()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
