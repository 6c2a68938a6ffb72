"""What Flower writes to storage, as the kernel counts it: ``python -m tests.bench.sd_card``.

An SD card wears by what is written. Measured on the engine process: one exchange, a minute of
streaming with the end of that reply, what follows it, a minute in which nothing happens. The baseline
is SQLite committing one row of 100 bytes with the same durability, in the same run. Needs a home on a
real file system (``--folder``): memory file systems count nothing.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import trio

from tests.engine_process import Wire, connected, engine, make_home

KIB = 1024


def own_writes() -> int:
    lines = Path(f"/proc/{os.getpid()}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def baseline(folder: Path, commits: int = 200) -> float:
    """Returns the bytes that a commit of one small row costs."""
    with closing(sqlite3.connect(folder / "baseline.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE t (x TEXT)")
        before = own_writes()
        for _ in range(commits):
            db.execute("INSERT INTO t VALUES (?)", ("x" * 100,))
        return (own_writes() - before) / commits


async def one_reply(wire: Wire, line: str) -> int:
    """Returns how many characters the reply has."""
    await wire.say(line)
    return len(await wire.reply())


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", default=None, help="where the home is made; default: /tmp")
    parser.add_argument("--exchanges", type=int, default=20)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds")
    parser.add_argument("--stream", type=float, default=60.0, help="seconds")
    arguments = parser.parse_args()
    words = int(arguments.stream / 0.05)
    environ = {"FLOWER_BENCH_WORDS": str(words), "FLOWER_BENCH_GAP_S": "0.05"}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        commit = baseline(Path(folder))
        home = Path(folder) / "home"
        make_home(home, "narrator:\n  seed: 7\n  words_per_s: 60\n")
        rows: list[tuple[str, float, str]] = [("one commit (baseline)", commit, "")]
        async with engine(home) as running, connected(running) as wire:
            await wire.say("/world select orrinsay")
            await wire.say("/session new")
            await one_reply(wire, "I look around.")
            await trio.sleep(3)
            before, characters = running.written(), 0
            for number in range(arguments.exchanges):
                characters += await one_reply(wire, f"I turn over stone number {number}.")
                await trio.sleep(0.5)
            each = (running.written() - before) / arguments.exchanges
            rows.append(("one exchange", each, f"{characters / arguments.exchanges:.0f} characters"))
            await trio.sleep(5)
            before = running.written()
            await trio.sleep(arguments.idle)
            idle = (running.written() - before) * 60 / arguments.idle
            rows.append(("a minute of nothing", idle, "one face connected"))
        program = [sys.executable, "-m", "tests.bench.stamped_engine"]
        async with (
            engine(home, environ=environ, program=program) as running,
            connected(running) as wire,
        ):
            await wire.until("chat_history")
            await trio.sleep(2)
            before = running.written()
            characters = await one_reply(wire, "Speak.")
            minute = (running.written() - before) * 60 / arguments.stream
            rows.append(("a minute of streaming", minute, f"{characters} characters in one reply"))
            before = running.written()
            await trio.sleep(10)
            rows.append(("what follows it", running.written() - before, "memories and their vectors"))
    print(f"{'written to storage':<24} {'KiB':>9} {'commits':>8}")
    for what, written, note in rows:
        print(f"{what:<24} {written / KIB:>9.1f} {written / commit:>8.1f}  {note}")


if __name__ == "__main__":
    trio.run(main)
