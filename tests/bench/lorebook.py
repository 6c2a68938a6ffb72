"""How long a scan of large lorebooks takes. Run it: ``python -m tests.bench.lorebook``.

Books and messages are made of invented words as frequent as those of a language. The naive loop, in the
same run, looks for each key by itself in the joined messages; it does nothing else, while ours decides
and places entries too. "first" is the first sight of all messages, "next" a line later: two are new.
"""

from __future__ import annotations

import random
import resource
import statistics
import time
from collections.abc import Callable, Sequence

from flower.engine.lorebook import matching
from flower.engine.lorebook.book import Book, Entry, Scope
from flower.engine.lorebook.rules import KeyedBooks, Matching, Shelved
from flower.engine.lorebook.scan import Tools, scan
from flower.engine.lorebook.situation import ScanSettings, Situation, SpokenLine, seeded

KEYS_EACH = 5
MESSAGE_WORDS = 200
ROUNDS = 15
_CONSONANTS, _VOWELS, _ENDS = "bcdfghklmnprstvw", "aeiou", ("", "n", "r", "s", "l")


class Writer:
    """Makes words, texts and books, the same in every run."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._words = [self.word(self._random.choice((1, 2, 2, 3, 3, 4))) for _ in range(9_000)]
        self._frequency = [1 / (rank + 1) for rank in range(len(self._words))]

    def word(self, syllables: int) -> str:
        """Returns one word."""
        draw = self._random.choice
        body = "".join(draw(_CONSONANTS) + draw(_VOWELS) for _ in range(syllables))
        return body + draw(_ENDS)

    def message(self) -> SpokenLine:
        """Returns a message of ``MESSAGE_WORDS`` words."""
        chosen = self._random.choices(self._words, self._frequency, k=MESSAGE_WORDS)
        return SpokenLine("Mara", " ".join(chosen).capitalize() + ".")

    def key(self, patterns: float) -> str:
        """Returns a key: one word, two, one that the messages may have, or a pattern."""
        kind = self._random.random()
        if kind < patterns:
            return f"/\\b{self.word(3)}(s|es)?\\b/i"
        if kind > 0.99:
            return self._random.choice(self._words[500:])
        name = self.word(self._random.choice((3, 4, 4, 5)))
        return f"{name} {self.word(2)}" if kind > 0.75 else name

    def book(self, entries: int, patterns: float) -> Book:
        """Returns a book."""
        return Book(
            name="bench",
            entries=tuple(
                Entry(
                    uid=str(number),
                    keys=tuple(self.key(patterns) for _ in range(KEYS_EACH)),
                    content=self.message().text[:300],
                )
                for number in range(entries)
            ),
        )


def naive(books: Sequence[Book], messages: Sequence[SpokenLine], whole: bool) -> int:
    """Returns how many entries have a key in the messages, found key by key."""
    text = "\n".join(f"{m.speaker}: {m.text}" for m in messages).lower()
    count = 0
    for book in books:
        for entry in book.entries:
            for key in entry.keys:
                low = key.lower()
                if low in text and (not whole or " " in low or matching.has_word(text, low)):
                    count += 1
                    break
    return count


def timed(action: Callable[[], object]) -> float:
    """Returns the milliseconds that an action takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def measure(title: str, entries: int, messages: int, whole: bool, patterns: float = 0.0) -> None:
    """Prints one row of the table."""
    writer = Writer()
    book = writer.book(entries, patterns)
    shelved = [Shelved(book, frozenset({Scope.GLOBAL}))]
    start = time.perf_counter()
    library = KeyedBooks(shelved, Matching(whole_words=whole))
    built = (time.perf_counter() - start) * 1000
    settings = ScanSettings(depth=messages, budget=100_000, recursive=True)
    tools = Tools(tokens=lambda text: len(text) / 4, chance=seeded("bench"), clock=time.monotonic)
    first: list[float] = []
    later: list[float] = []
    loop: list[float] = []
    fired = 0
    rounds = ROUNDS if entries <= 20_000 and messages <= 200 else 3
    for number in range(rounds):
        lines = tuple(writer.message() for _ in range(messages))
        situation = Situation(messages=lines)
        following = Situation(messages=(*lines[2:], writer.message(), writer.message()))
        first.append(timed(lambda: scan(library, situation, settings, tools)))  # noqa: B023
        later.append(timed(lambda: scan(library, following, settings, tools)))  # noqa: B023
        if number < 3:
            loop.append(timed(lambda: naive([book], lines, whole)))  # noqa: B023
        fired = len(scan(library, situation, settings, tools).fired)
    p50, p50_next, p50_naive = (statistics.median(times) for times in (first, later, loop))
    worst = max(first)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{title:34} {entries:8,} {entries * KEYS_EACH:10,} {messages:6,} {fired:6,} {built:9.0f}"
        f" {p50:8.2f} {worst:8.2f} {p50_next:8.2f} {p50_naive:9.1f} {p50_naive / p50:7.1f} {peak:7.0f}"
    )


def main() -> None:
    """Prints the table. Times in milliseconds, memory in MiB."""
    print(
        f"{'':34} {'entries':>8} {'keys':>10} {'lines':>6} {'fired':>6} {'build':>9}"
        f" {'first':>8} {'max':>8} {'next':>8} {'naive':>9} {'ratio':>7} {'peak':>7}"
    )
    measure("whole words", 2_000, 20, True)
    measure("parts of words", 2_000, 20, False)
    measure("whole words, 2 % patterns", 2_000, 20, True, 0.02)
    measure("one small book", 20, 20, True)
    measure("10 times the entries", 20_000, 20, True)
    measure("50 times the messages", 2_000, 1_000, True)
    measure("100 times the entries", 200_000, 20, True)


if __name__ == "__main__":
    main()
