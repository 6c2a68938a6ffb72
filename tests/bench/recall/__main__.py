"""Runs the recall benchmarks and prints their tables: ``python -m tests.bench.recall [model|recall|index|quality]``."""

from __future__ import annotations

import json
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the engine does, before numpy is loaded

from tests.bench.recall import model, quality, scale

PARTS = {
    "model": model.report,
    "recall": scale.report_recall,
    "index": scale.report,
    "quality": quality.report,
}


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(_child(*sys.argv[2:])))
        return
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


def _child(part: str, *arguments: str) -> dict[str, float]:
    if part == "model":
        return model.child(arguments[0], int(arguments[1]))
    run = {
        "index": scale.index_child,
        "open": scale.open_child,
        "kinds": scale.kinds_child,
        "recall": scale.recall_child,
    }[part]
    return run(int(arguments[0]), arguments[1])


if __name__ == "__main__":
    main()
