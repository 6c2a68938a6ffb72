"""Thousands of exchanges with clients coming and going: ``python -m tests.bench.soak --exchanges 10000``.

Prints memory and descriptors of the engine at even distances; the slope of the second half should be
flat. The narrator says 40 words without pauses, so an exchange is what the engine itself costs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import trio

from tests.engine_process import Process, connected, engine, make_home

MIB = 1024 * 1024
EXCHANGES_PER_STORY = 250
EXCHANGES_PER_CONNECTION = 25


async def exchanges(running: Process, count: int, name: str) -> None:
    """Plays ``count`` exchanges over several connections and stories."""
    done = 0
    while done < count:
        async with connected(running, f"/ws/rpc?client={name}") as wire:
            if done % EXCHANGES_PER_STORY == 0:
                await wire.say("/world select orrinsay")
                await wire.say("/session new")
                while "new story begins" not in (await wire.until("system_update"))[0]:
                    pass
            for _ in range(EXCHANGES_PER_CONNECTION):
                await wire.say(f"I turn over stone number {done}.")
                await wire.reply()
                done += 1


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--exchanges", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=4)
    arguments = parser.parse_args()
    environ = {"FLOWER_BENCH_WORDS": "40", "FLOWER_BENCH_GAP_S": "0"}
    program = [sys.executable, "-m", "tests.bench.stamped_engine"]
    rounds = 10
    share = (
        arguments.exchanges // rounds // arguments.clients // EXCHANGES_PER_STORY * EXCHANGES_PER_STORY
    )
    share = max(share, EXCHANGES_PER_STORY)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        make_home(home)
        async with engine(home, environ=environ, program=program) as running:
            print(f"{'exchanges':>9} {'MiB':>7} {'files':>6} {'per s':>7} {'database MiB':>12}")
            for number in range(1, rounds + 1):
                begun = time.monotonic()
                async with trio.open_nursery() as nursery:
                    for client in range(arguments.clients):
                        nursery.start_soon(exchanges, running, share, f"c{client}")
                rate = share * arguments.clients / (time.monotonic() - begun)
                await trio.sleep(1)
                size = (home / "flower.db").stat().st_size / MIB
                print(
                    f"{number * share * arguments.clients:>9} {running.rss / MIB:>7.1f} {running.descriptors:>6}"
                    f" {rate:>7.0f} {size:>12.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    trio.run(main)
