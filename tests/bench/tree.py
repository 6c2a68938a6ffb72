"""How long the story tree takes to move in a long story, on disk, beside reading its newest page.

Run: ``python -m tests.bench.tree [EXCHANGES]`` (default 5000, which is 10,000 messages). Prints medians
in milliseconds; the last column is how many times the plain page read they are. Moves write to a
database with ``synchronous = FULL``, so the disk's own time is part of them; ``an empty write`` shows it.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flower import limits
from flower.engine.store import branches, outline, search, stories, streaming_text, trash, tree
from flower.engine.store import exchanges as replies
from flower.engine.store.sqlite.connection import connect, in_transaction

ROUNDS = 15


def forking(db: sqlite3.Connection, messages: int) -> int:
    """Writes a story that forks at every third message; returns one of its middle."""
    stories.create_session(db, "forks", "w", "c", "The tide is out.", 1.0)
    last = stories.active_leaf(db, "forks")
    middle = 0
    for number in range(messages):
        role = "user" if number % 2 else "assistant"
        new = stories.append(db, "forks", last, role, "Wet with rain. " * 27, "complete", now=2.0)
        middle = new if number == messages // 2 else middle
        last = last if number % 3 == 0 else new
    return middle


def main() -> None:
    exchanges = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as folder:
        db = connect(Path(folder) / "flower.db", lambda version: None)

        def fill(_: object) -> None:
            stories.create_session(db, "s", "w", "c", "The tide is out.", 1.0)
            for number in range(exchanges):
                made = replies.begin_exchange(db, "s", f"I do thing {number}.", "m", None, 2.0)
                streaming_text.end(
                    db, made.reply_id, f"Then {number} came, wet with rain. " * 12, "complete"
                )

        in_transaction(db, fill)
        middle = in_transaction(db, lambda _: forking(db, 2 * exchanges))
        leaf = stories.active_leaf(db, "s")
        first = stories.path(db, leaf)[2].id

        def write(change: Callable[[], object]) -> Callable[[], object]:
            return lambda: in_transaction(db, lambda _: change())

        def another_reply() -> None:
            opened = branches.open_variant(db, "s", first, "m", 3.0)
            streaming_text.end(db, opened.reply_id, "No.", "complete")

        def away_and_back() -> None:
            tree.go(db, "s", first)
            tree.go(db, "s", leaf)

        write(another_reply)()
        tree.go(db, "s", leaf)
        cases: dict[str, Callable[[], object]] = {
            "newest page, plain": lambda: stories.path(db, leaf, most=limits.HISTORY_PAGE_MESSAGES + 1),
            "newest page, with variants and the state sheet": lambda: tree.page(db, "s"),
            "an empty write": write(lambda: db.execute("UPDATE sessions SET updated = updated + 1")),
            "undo and redo": write(lambda: (tree.undo(db, "s"), tree.redo(db, "s"))),
            "to the other variant of the first reply and back": write(
                lambda: [branches.choose_variant(db, "s", first, number) for number in (2, 1)]
            ),
            "to the first reply and back": write(away_and_back),
            "delete and restore all but the beginning": write(
                lambda: (trash.discard(db, "s", first, 9.0), trash.restore_messages(db, "s", first))
            ),
            "list the branches": lambda: branches.ends(db, "s"),
            "outline of a straight story": lambda: outline.read(db, "s", None),
            "outline of one that forks 3,000 times": lambda: outline.read(db, "forks", None),
            "the same around its middle": lambda: outline.read(db, "forks", middle),
            "search a rare word": lambda: search.search(db, f"thing {exchanges // 2}"),
            "search a common word": lambda: search.search(db, "rain"),
        }
        base = 0.0
        for name, case in cases.items():
            took = []
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                case()
                took.append((time.perf_counter() - begun) * 1000)
            median = statistics.median(took)
            base = base or median
            print(f"{name:<48} {median:8.2f} ms {median / base:8.1f}x")
        db.close()


if __name__ == "__main__":
    main()
