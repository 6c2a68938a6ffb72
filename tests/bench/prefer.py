"""A blind comparison of two narrators: shows pairs of replies without saying whose they are, then counts.

    python -m tests.bench.prefer show OLD.json NEW.json [--seed 1]      prints the pairs, A and B
    python -m tests.bench.prefer count OLD.json NEW.json VERDICTS [--seed 1]

The JSON files are those of ``tests.bench.evening --out``. ``VERDICTS`` has a line for every pair: its number
and ``A``, ``B`` or ``=``. Pairs of equal replies are not shown and count as ties.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path


def pairs(old: Path, new: Path, seed: int) -> list[tuple[int, str, str, str, bool]]:
    """Returns (number, line, A, B, whether A is the new one) of every pair of unequal replies, shuffled."""
    chance = random.Random(seed)
    found = []
    told = zip(json.loads(old.read_text("utf-8")), json.loads(new.read_text("utf-8")), strict=True)
    for number, ((line, before), (_, after)) in enumerate(told, 1):
        swapped = chance.random() < 0.5
        if before != after:
            found.append((number, line, *((after, before) if swapped else (before, after)), swapped))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("show", "count"))
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("verdicts", type=Path, nargs="?")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found = pairs(args.old, args.new, args.seed)
    if args.what == "show":
        for number, line, one, other, _ in found:
            print(f"\n[{number}] > {line}\n  A: {one}\n  B: {other}")
        return
    verdicts = dict(row.split()[:2] for row in args.verdicts.read_text("utf-8").splitlines() if row)
    count: Counter[str] = Counter()
    for number, _, _, _, a_is_new in found:
        verdict = verdicts[str(number)]
        count["tie" if verdict == "=" else "new" if (verdict == "A") == a_is_new else "old"] += 1
    total = len(json.loads(args.old.read_text("utf-8")))
    print(
        f"{total} lines: new {count['new']}, old {count['old']}, tie {count['tie']}, same {total - len(found)}"
    )


if __name__ == "__main__":
    main()
