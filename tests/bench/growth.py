"""What things cost against the size of what they work on, at three sizes each.

Run: ``python -m tests.bench.growth``. Prints the CPU milliseconds (median of five) at each size, and the exponent by
which the cost grows: 0 is flat, 1 is in proportion. Fails when one grows faster than its row says.
"""

from __future__ import annotations

import itertools
import math
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from flower.engine.assets.loader import load_assets
from flower.engine.assets.shelves import Brief
from flower.engine.commands.library import Ranking, arranged
from flower.engine.export import files
from flower.engine.export.render import render
from flower.engine.prompt.context import _story_so_far
from flower.engine.prompt.turn_input import TurnInput
from flower.engine.store import (
    branches,
    exchanges,
    outline,
    paths,
    search,
    selections,
    stories,
    streaming_text,
    tree,
)
from flower.engine.store.sqlite.connection import connect

ROUNDS = 5
LEAST_MS = 0.3  # what is faster than this is noise, and fast enough at any size
SIZES = (1, 10, 100)
WORDS = ["river", "door", "lamp", "rain", "tide", "keeper", "stone", "bell", "the", "night"] + [
    f"word{number}" for number in range(3_000)
]

WORLD = "id: one-{number}\nname: World {number}\nscene: Dusk on the quay.\nlore: |\n  The tide has turned.\n"
CHARACTER = "id: one-{number}\nname: Person {number}\npersona: Mends clocks, and never sells one.\n"

Cost = Callable[[sqlite3.Connection, int], Callable[[], object]]


def _story(db: sqlite3.Connection, name: str, messages: int, *, fork: int = 0) -> None:
    """Writes a story; with ``fork`` every so many messages one stays without what follows."""
    choice = random.Random(name)
    stories.create_session(db, name, "w", "c", "The tide is out.", 1.0)
    last = stories.active_leaf(db, name)
    for number in range(messages):
        role = ("user", "assistant")[number % 2]
        text = " ".join(choice.choices(WORDS[:10], k=8) + choice.choices(WORDS, k=8))
        new = stories.append(db, name, last, role, text, "complete", now=2.0)
        last = last if fork and number % fork == 0 else new
    db.execute("UPDATE sessions SET active_leaf = ? WHERE id = ?", (last, name))


def _home(db: sqlite3.Connection, size: int) -> None:
    """Writes 15 stories of 50 messages for each unit of size, 75,000 messages at the largest."""
    for number in range(15 * size):
        _story(db, f"h{number}", 50)
    _story(db, "s", 200)


def _variants(db: sqlite3.Connection, size: int) -> Callable[[], object]:
    stories.create_session(db, "s", "w", "c", "The tide is out.", 1.0)
    line = stories.append(
        db, "s", stories.active_leaf(db, "s"), "user", "I knock.", "complete", now=2.0
    )
    for _ in range(10 * size):
        last = stories.append(db, "s", line, "assistant", "Nobody answers.", "complete", now=2.0)
    return lambda: branches.choose_variant(db, "s", last, 2)


def _in_home(work: Callable[[sqlite3.Connection], object]) -> Cost:
    def prepare(db: sqlite3.Connection, size: int) -> Callable[[], object]:
        _home(db, size)
        return lambda: work(db)

    return prepare


def _exported(db: sqlite3.Connection, size: int) -> Callable[[], object]:
    _story(db, "s", 100 * size)
    return lambda: sum(map(len, render(files.read_story(db, "s", {}, 3.0, whole=True), "md")))


def _tree(db: sqlite3.Connection, size: int) -> Callable[[], object]:
    _story(db, "s", 200 * size, fork=3)
    return lambda: outline.read(db, "s", None)


def _opened(db: sqlite3.Connection, size: int) -> Callable[[], object]:
    _story(db, "s", 100 * size)
    return lambda: (stories.session(db, "s"), tree.window_start(db, "s"), tree.page(db, "s"))


def _switched(db: sqlite3.Connection, size: int) -> Callable[[], object]:
    """Goes to and fro between two ends of a tree that part at its middle."""
    _story(db, "s", 200 * size, fork=3)
    end = stories.active_leaf(db, "s")
    middle = [message.id for message in stories.path(db, end)][100 * size // 3]
    ends = itertools.cycle([end, stories.append(db, "s", middle, "user", "I go.", "complete", now=2.0)])
    return lambda: (tree.go(db, "s", next(ends)), tree.page(db, "s"))


def _many_open(db: sqlite3.Connection, size: int) -> Callable[[], object]:
    """A prompt in each of so many stories in turn."""
    names = [f"o{number}" for number in range(size)]
    for name in names:
        _story(db, name, 200)
    for name in names:
        _prompt(db, name)
    turn = itertools.cycle(names)
    return lambda: _prompt(db, next(turn))


def _after_start(db: sqlite3.Connection, size: int) -> Callable[[], object]:
    """The first prompt in a story after a start: its way is not in memory."""
    _story(db, "s", 100 * size)
    return lambda: (paths.forgotten(db), _prompt(db))


def _killed(db: sqlite3.Connection, size: int) -> Callable[[], object]:
    """A start after a kill: the files as they lay, with a log, and a reply that was being written."""
    _home(db, size)
    stories.append(db, "s", stories.active_leaf(db, "s"), "assistant", "", "streaming", now=2.0)
    db.execute("COMMIT")
    (*_, file) = db.execute("PRAGMA database_list").fetchone()
    copies = []
    for number in range(ROUNDS + 1):
        copies.append(Path(f"{file}.{number}"))
        for ending in ("", "-wal"):
            shutil.copy(file + ending, f"{copies[-1]}{ending}")
    db.execute("BEGIN")

    def start() -> None:
        with closing(connect(copies.pop(), lambda version: None)) as opened:
            streaming_text.recover(opened)
            exchanges.unremembered(opened)

    return start


def _library(db: sqlite3.Connection, size: int) -> Callable[[], object]:
    """A page of a library of characters, by two words."""
    known = [
        Brief(f"p{n}", f"Person {n}", "Mends clocks under the bridge.", ("clocks", "city"))
        for n in range(50 * size)
    ]
    shelf = Ranking(frozenset({"p3"}), {"p4": 4.0})
    return lambda: arranged(known, "city person 4", shelf)


def _read(kind: str, each: int, text: str) -> Cost:
    """A start's reading of so many files of a kind for each unit of size."""

    def prepare(db: sqlite3.Connection, size: int) -> Callable[[], object]:
        (*_, file) = db.execute("PRAGMA database_list").fetchone()
        folder = Path(file).parent / kind
        folder.mkdir()
        for number in range(each * size):
            (folder / f"one-{number}.yaml").write_text(text.format(number=number))
        return lambda: load_assets([folder.parent])

    return prepare


def _prompt(db: sqlite3.Connection, session_id: str = "s") -> object:
    turn = TurnInput(
        turn="t",
        session_id=session_id,
        world_id="w",
        character_id="c",
        reply_id=0,
        leaf=stories.active_leaf(db, session_id) or 0,
        line="I knock.",
        selection=selections.Selection("bench"),
        model_id="m",
    )
    return _story_so_far(db, turn, 400)


def _prompt_far_on(db: sqlite3.Connection, size: int) -> Callable[[], object]:
    _story(db, "s", 100 * size)
    return lambda: _prompt(db)


# What is done, at which sizes, and the exponent that its cost may grow by at most
ROWS: tuple[tuple[str, Cost, float], ...] = (
    ("open a story of 100 to 10,000 messages", _opened, 0.4),
    ("open one in a home of 750 to 75,000", _in_home(lambda db: tree.page(db, "s")), 0.1),
    ("gather a prompt there", _in_home(_prompt), 0.1),
    ("gather a prompt at 100 to 10,000", _prompt_far_on, 0.4),  # 400 messages are in a window, at most
    ("the first one after a start", _after_start, 0.9),  # walks up the whole story, once
    ("gather one in each of 1 to 100 stories", _many_open, 0.1),
    ("list the stories there (200 shown)", _in_home(stories.sessions), 0.7),
    ("search a common word there", _in_home(lambda db: search.search(db, "the")), 0.9),
    ("search a rare word there", _in_home(lambda db: search.search(db, "word77")), 0.7),
    ("look for what is not remembered there", _in_home(exchanges.unremembered), 1.1),
    ("export 100 to 10,000 messages", _exported, 1.1),
    ("outline of a tree of 200 to 20,000", _tree, 1.1),
    ("go to another end of such a tree", _switched, 1.1),  # notes the way for each message above
    ("start after a kill, 750 to 75,000", _killed, 0.7),  # looks at the last exchange of each story
    ("a page of 50 to 5,000 characters", _library, 1.1),  # looks for the words in each
    ("read 5 to 500 worlds at a start", _read("worlds", 5, WORLD), 1.1),
    ("read 50 to 5,000 characters, 1,000 used", _read("characters", 50, CHARACTER), 1.1),
    ("go to a variant of 10 to 1,000", _variants, 1.1),
)


def measure(prepare: Cost, size: int, folder: Path) -> float:
    """Returns the median CPU time of one row at one size, in milliseconds."""
    with closing(connect(folder / "flower.db", lambda version: None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        work = prepare(db, size)
        db.execute("COMMIT")
        db.execute("ANALYZE")  # as it is after the first orderly end
        work()
        times = []
        for _ in range(ROUNDS):
            begun = time.process_time()
            work()
            times.append(1000 * (time.process_time() - begun))
    return statistics.median(times)


def main() -> int:
    """Prints the table; returns 1 when a cost grows faster than its row says."""
    failed = 0
    print(
        f"{'CPU ms at size':<40}" + "".join(f"{f'x{size}':>9}" for size in SIZES) + "   grows  at most"
    )
    for name, prepare, most in ROWS:
        costs = []
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                costs.append(measure(prepare, size, Path(folder)))
        first, last = (max(LEAST_MS, cost) for cost in (costs[0], costs[-1]))
        exponent = math.log(last / first) / math.log(SIZES[-1] / SIZES[0])
        failed += exponent > most
        mark = "  TOO FAST" if exponent > most else ""
        print(
            f"{name:<40}"
            + "".join(f"{cost:9.2f}" for cost in costs)
            + f"{exponent:8.2f}{most:9.1f}{mark}"
        )
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
