"""How much of each prompt a local server has cached, with a big lorebook and without any.

Plays a story of 40 lines with the real engine and a scripted model. What a server keeps is counted as llama.cpp
does it: the longest common beginning of a prompt and the one before with the reply. No server is needed; with one,
it reads the same prompts and replies and says itself how many tokens it had (llama.cpp; a model with
sliding windows needs ``--swa-full``, else its cache cannot be cut).

    python -m tests.bench.lore_cache [LINES [ENTRIES [http://127.0.0.1:8080]]]
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import httpx
import msgspec
import trio
import trio.testing

from flower.engine.lorebook.book import Book, Entry, Position
from flower.engine.provider.base import Completion
from flower.engine.store.library import books
from flower.engine.store.library.books import Owner
from tests.bench import prompt_cache
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider, words

CONTEXT_TOKENS = 8192
KEYS_IN_LINE = 2  # drawn so that some topics return and many are named once, as words do (Zipf)
REPLY = "The tide turns and the lamps come on along the quay. " * 10
CONSTANTS = 8


def book_of(rng: random.Random, vocabulary: Sequence[str], entries: int, *, depth: bool) -> Book:
    """Returns a book like those people share: a few constants, keys, some entries at a depth."""
    made = [
        Entry(
            uid=str(number),
            keys=(vocabulary[number % len(vocabulary)],),
            constant=number < CONSTANTS,
            content=" ".join(rng.choices(vocabulary, k=40)) + f" ({number}).",
            position=Position.AT_DEPTH if depth and number % 20 == 19 else Position.BEFORE_CHARACTER,
            prevent_recursion=True,
        )
        for number in range(entries)
    ]
    return Book(name="Big", entries=tuple(made))


async def prompts(
    path: Path, lines: int, book: Book | None, vocabulary: Sequence[str]
) -> list[Completion]:
    """Returns what was asked of the model, line by line."""
    rng = random.Random(4)
    provider = ScriptedProvider(words(REPLY))
    likely = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    async with engine_world(path, provider) as world:
        services = msgspec.structs.replace(world.engine.services, context_tokens=CONTEXT_TOKENS)
        world.engine.use(services, world.engine.registry)
        if book is not None:
            number = await world.database.write(books.add, book, 1.0)
            await world.database.write(books.give, number, Owner.ALL)
        face = await world.playing()
        for turn in range(lines):
            await face.say(
                f"Turn {turn}: I ask of {' and '.join(rng.choices(vocabulary, likely, k=KEYS_IN_LINE))}."
            )
            await world.engine.turns.wait_idle()
    return [completion for completion in provider.completions if not completion.quiet]


def counted_shares(sent: Sequence[Completion]) -> list[float]:
    texts = [_text(completion) for completion in sent]
    return [_common(a, b) / len(b) for a, b in pairwise(texts)]


def measured_shares(sent: Sequence[Completion], url: str) -> list[float]:
    """The same from a server that reads each prompt, and then the reply as if it had written it."""
    with httpx.Client(base_url=url, timeout=600) as client:
        played = prompt_cache.play(
            client,
            ([{"role": m.role, "content": m.content} for m in one.messages] for one in sent),
            [REPLY] * len(sent),
        )
    return played.shares


def _text(completion: Completion) -> str:
    return "\0".join(f"{message.role}\1{message.content}" for message in completion.messages)


def _common(before: str, now: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), len(before))


async def main(arguments: Sequence[str]) -> None:
    lines = int(arguments[0]) if arguments else 40
    entries = int(arguments[1]) if len(arguments) > 1 else 2_000
    url = arguments[2] if len(arguments) > 2 else ""
    rng = random.Random(3)
    vocabulary = ["".join(rng.choices("abcdefghijklmnoprstuw", k=6)) for _ in range(entries)]
    results = {}
    for name, book in (
        ("no book", None),
        ("big book", book_of(rng, vocabulary, entries, depth=False)),
        ("1 in 20 at depth 4", book_of(rng, vocabulary, entries, depth=True)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            sent = await prompts(Path(folder) / "flower.db", lines, book, vocabulary)
        results[name] = measured_shares(sent, url) if url else counted_shares(sent)
    base = statistics.mean(results["no book"])
    print(f"{'':20}{'cached, mean':>14}{'median':>10}{'of no book':>12}")
    for name, found in results.items():
        mean = statistics.mean(found)
        print(f"{name:20}{mean:14.3f}{statistics.median(found):10.3f}{mean / base:12.2f}")


if __name__ == "__main__":
    trio.run(partial(main, sys.argv[1:]))
