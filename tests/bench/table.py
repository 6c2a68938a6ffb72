"""What Flower costs, in one table: this tree beside another one, both measured in turn in one run.

    python -m tests.bench.table [BEFORE] [--rounds 3] [--groups memory,reply,...] [--large]

``BEFORE`` is a folder with an older checkout. Figures are medians over the rounds; wall times depend on what else the
machine does, CPU and memory hardly. ``--large`` adds a home of 750,000 messages and one of 100,000 passages.
Fails when a row is worse than before by more than a quarter.
"""

from __future__ import annotations

import argparse
import compileall
import statistics
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from tests.bench import table_rows
from tests.bench.relay import ROOT
from tests.bench.table_rows import Group, Rows

WORSE = 1.25
GROUPS: dict[str, Group] = {
    "memory": table_rows.memory,
    "p10": partial(table_rows.prompts, 0),
    "p1000": partial(table_rows.prompts, 1_000),
    "p10000": partial(table_rows.prompts, 10_000),
    "relay": table_rows.relay,
    "reply": table_rows.replied,
    "empty": partial(table_rows.stories, 10, 501),
    "list": partial(table_rows.stories, 5_000, 1),
    "crowd": table_rows.crowd,
    "screen": table_rows.screen,
}
LARGE: dict[str, Group] = {
    "p100000": partial(table_rows.prompts, 100_000),
    "large": partial(table_rows.stories, 1_500, 501),
}
# What it is, its unit, where it comes from, and what it should be at most; None: nothing was asked
TABLE: tuple[tuple[str, str, str, str, float | None], ...] = (
    ("line to request, CPU", "ms", "p10", "CPU", None),
    ("line to request, p50", "ms", "p10", "wall", 12),
    ("... with 1,000 passages, CPU", "ms", "p1000", "CPU", None),
    ("... with 1,000 passages, p50", "ms", "p1000", "wall", 13),
    ("... with 10,000 passages, CPU", "ms", "p10000", "CPU", None),
    ("... with 10,000 passages, p50", "ms", "p10000", "wall", 15),
    ("... with 100,000 passages, CPU", "ms", "p100000", "CPU", 40),
    ("memory there", "MB", "p100000", "rss", 330),
    ("the first prompt there after a start", "s", "p100000", "first", 1.5),
    ("20 stories at once: first token, p50", "ms", "crowd", "first p50", 300),
    ("20 stories at once: first token, most", "ms", "crowd", "first max", 600),
    ("CPU for 1,000 tokens at 50/s, engine", "s", "relay", "relay", 0.7),
    ("CPU after a reply of 3,000 characters", "s", "reply", "3000", 0.02),
    ("CPU after a reply of 44,000 characters", "s", "reply", "44000", 0.5),
    ("engine ready after", "s", "memory", "start", None),
    ("memory at rest", "MB", "memory", "idle", None),
    ("memory, model loaded", "MB", "memory", "loaded", 105),
    ("memory after 50 prompts", "MB", "memory", "after 50", 115),
    ("memory 7 s later", "MB", "memory", "rested", None),
    ("engine and screen together", "MB", "memory", "whole", 150),
    ("a line in a home of 10 stories, CPU", "ms", "empty", "line", None),
    ("a line in a home of 750,000 messages, CPU", "ms", "large", "line", None),
    ("opening a story there", "ms", "large", "open", 30),
    ("search for `the` there, first page", "ms", "large", "search", 150),
    ("engine ready there after", "s", "large", "start", None),
    ("list of 5,000 stories", "ms", "list", "list", 20),
    ("first frame", "ms", "screen", "exec -> first frame (median of 7) 0", 60),
    ("story on the screen", "ms", "screen", "exec -> story on screen 0", 200),
    ("CPU for 1,000 tokens at 50/s, screen", "s", "screen", "CPU s per 1,000 tokens at 50/s 0", 0.8),
    ("token to screen at 50/s, p50", "ms", "screen", "token -> screen at 50/s p50 / p99 0", 1.2),
    ("token to screen at 50/s, p99", "ms", "screen", "token -> screen at 50/s p50 / p99 1", 6),
    ("token to screen at 200/s, p50", "ms", "screen", "token -> screen at 200/s p50 / p99 0", 5),
    ("token to screen at 200/s, p99", "ms", "screen", "token -> screen at 200/s p50 / p99 1", 16),
)


async def measure(
    trees: Sequence[Path], groups: dict[str, Group], rounds: int
) -> list[dict[str, Rows]]:
    """Returns for each tree the medians of every group's rows; the trees take turns."""
    found: list[dict[str, list[Rows]]] = [{name: [] for name in groups} for _ in trees]
    for turn in range(rounds):
        for name, group in groups.items():
            for tree, of_tree in zip(trees, found, strict=True):
                with tempfile.TemporaryDirectory() as folder:
                    rows = await group(tree, Path(folder))
                figures = ", ".join(f"{row} {figure:.3g}" for row, figure in rows.items())
                print(f"{turn + 1}/{rounds} {tree.name} {name}: {figures}", file=sys.stderr, flush=True)
                of_tree[name].append(rows)
    return [{name: _medians(rows) for name, rows in of_tree.items()} for of_tree in found]


def _medians(rounds: Sequence[Rows]) -> Rows:
    return {name: statistics.median(row[name] for row in rounds) for name in rounds[0]}


def verdict(before: float, now: float, goal: float | None) -> str:
    words = [] if goal is None else ["reached" if now <= goal else "missed"]
    return ", ".join(words + (["worse"] if now > before * WORSE else []))


def show(found: Sequence[dict[str, Rows]]) -> int:
    """Prints the table; returns how many rows are worse than before."""
    worse = 0
    print("| what | before | now | ratio | goal | |\n| --- | --- | --- | --- | --- | --- |")
    for what, unit, group, name, goal in TABLE:
        if group not in found[0]:
            continue
        before, now = found[0][group][name], found[-1][group][name]
        said = verdict(before, now, goal)
        worse += "worse" in said
        asked = f"{goal:g}" if goal is not None else ""
        print(f"| {what}, {unit} | {before:.3g} | {now:.3g} | {now / before:.2f} | {asked} | {said} |")
    return worse


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("before", nargs="?", type=Path, default=ROOT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--groups", default="")
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    groups = GROUPS | (LARGE if arguments.large else {})
    if arguments.groups:
        groups = {name: (GROUPS | LARGE)[name] for name in arguments.groups.split(",")}
    trees = [arguments.before.resolve(), ROOT] if arguments.before != ROOT else [ROOT]
    for tree in trees:  # else what is compiled at the start would be measured
        compileall.compile_dir(tree / "flower", quiet=1)
    found = trio.run(partial(measure, trees, groups, arguments.rounds))
    return min(1, show(found))


if __name__ == "__main__":
    sys.exit(main())
