"""What the engine costs: time until it serves, memory idle and after a story, bytes it keeps.

The baseline is a bare process that has imported the same web stack, in the same run.

    python -m tests.bench.engine [EXCHANGES]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from flower.engine.recall.embedder import TIDY_AFTER_S
from tests.engine_process import Wire, begin_story, connected, kill, start, wait_announced

MIB = 1024 * 1024
STARTS = 5
BARE = "import trio, quart_trio, hypercorn, httpx, sys; print('ready', flush=True); sys.stdin.read()"
LINES = (
    "I look around.",
    "I ask who keeps the light.",
    "My brother's name is Tobias.",
    "I walk down to the water.",
    "What is the price of a boat?",
)


async def bare() -> tuple[float, float]:
    """Returns seconds and MiB of a process that has only imported the web stack."""
    started = time.monotonic()
    process = await trio.lowlevel.open_process([sys.executable, "-c", BARE], stdin=-1, stdout=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    async with process.stdin, process.stdout:
        await process.stdout.receive_some()
        seconds = time.monotonic() - started
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    await process.wait()
    return seconds, pages * 4096 / MIB


async def ready(home: Path) -> float:
    """Returns the seconds from starting an engine to its address being known."""
    started = time.monotonic()
    running = await start(home)
    await wait_announced(running)
    seconds = time.monotonic() - started
    await kill(running)
    return seconds


async def story(home: Path, exchanges: int) -> list[tuple[str, float]]:
    """Plays with the offline narrator; returns rows of (what, MiB)."""
    running = await start(home)
    await wait_announced(running)
    rows = [("RSS idle, MiB", running.rss / MIB)]
    async with connected(running) as wire:
        await begin_story(wire)
        for number in range(exchanges):
            await say(wire, LINES[number % len(LINES)])
            if number == 0:
                rows.append(("RSS after 1 exchange, MiB", running.rss / MIB))
        rows.append((f"RSS after {exchanges} exchanges, MiB", running.rss / MIB))
        await trio.sleep(TIDY_AFTER_S + 2)
        rows.append((f"RSS {TIDY_AFTER_S + 2:.0f} s later, MiB", running.rss / MIB))
        rows.append(("written to disk per exchange, KiB", running.written() / 1024 / exchanges))
    await kill(running)
    return rows


async def say(wire: Wire, line: str) -> None:
    await wire.say(line)
    await wire.reply()


async def main(exchanges: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = await ready(Path(folder) / "first")
        starts = [await ready(Path(folder) / "first") for _ in range(STARTS)]
        base_s, base_mib = await bare()
        rows = await story(Path(folder) / "story", exchanges)
    print(f"{'':38}{'web stack':>11}{'engine':>10}")
    print(f"{'first start, ready after s':38}{'':11}{first:10.2f}")
    print(f"{'later start, ready after s, median':38}{base_s:11.2f}{statistics.median(starts):10.2f}")
    for name, figure in rows:
        base = f"{base_mib:11.1f}" if name.startswith("RSS idle") else f"{'':11}"
        print(f"{name:38}{base}{figure:10.1f}")


def run(arguments: Sequence[str]) -> None:
    trio.run(partial(main, int(arguments[0]) if arguments else 20))


if __name__ == "__main__":
    run(sys.argv[1:])
