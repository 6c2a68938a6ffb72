"""An engine whose narrator says the time: every word is the moment at which it was said.

``python -m tests.bench.stamped_engine --home DIR engine --port 0`` is the real engine with the real
store; only the list of models is replaced. FLOWER_BENCH_WORDS and FLOWER_BENCH_GAP_S set the reply.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import trio

from flower import cli
from flower.engine import main
from flower.engine.provider.base import Finish, Piece, Spent, Text
from tests.fakes import OneModelRegistry, ScriptedProvider


class Clock(ScriptedProvider):
    """Says CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share."""

    async def _play(self) -> AsyncIterator[Piece]:
        self.completions.clear()  # a test's notes; over thousands of exchanges they would look like a leak
        count, gap_s = int(os.environ["FLOWER_BENCH_WORDS"]), float(os.environ["FLOWER_BENCH_GAP_S"])
        begun = trio.current_time()
        for number in range(count):
            await trio.sleep_until(begun + number * gap_s)
            yield Text(f"{time.monotonic_ns()} ")
        yield Spent(100, count)
        yield Finish("done")


class ModelRegistry(OneModelRegistry):
    """The narrator above, made as an engine makes its registry."""

    def __init__(self, *_: Any) -> None:
        super().__init__(Clock())


if __name__ == "__main__":
    main.ModelRegistry = ModelRegistry  # type: ignore[attr-defined] # a fake with the same methods
    sys.exit(cli.main())
