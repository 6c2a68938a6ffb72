"""Plays recorded lines through a real engine with the offline narrator and prints what it answers.

    python -m tests.bench.evening WORLD [--character ID] [--seed 7] [--lines FILE] [--out FILE]

The lines are those of ``tests/bench/narrator/WORLD.txt``, one in a line. ``--out`` keeps line and reply as
JSON, which is what ``tests.bench.prefer`` compares.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import trio

from tests.engine_process import Wire, connected, engine, make_home

LINES = Path(__file__).with_name("narrator")


async def _told(wire: Wire) -> str:
    """Returns the text of the reply that comes next, or what the engine says in its place."""
    text = ""
    while True:
        event, content, _ = await wire.receive()
        if event == "chat_chunk":
            text += content
        elif event == "chat_end":
            return text
        elif event in ("error", "info") and not text:
            return f"<{event}> {content}"


async def play(world: str, lines: list[str], seed: int, character: str) -> list[tuple[str, str]]:
    """Returns every line with its reply, from a story of its own in a home of its own."""
    told = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        make_home(home, f"narrator:\n  seed: {seed}\n  words_per_s: 0\n")
        async with engine(home) as running, connected(running) as wire:
            await wire.say(f"/world select {world}")
            if character:
                await wire.say(f"/character select {character}")
            await wire.say("/session new")
            await wire.until("chat_history")
            for line in lines:
                await wire.say(line)
                told.append((line, await _told(wire)))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world")
    parser.add_argument("--character", default="")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--lines", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    path = args.lines or LINES / f"{args.world}.txt"
    told = trio.run(play, args.world, path.read_text("utf-8").splitlines(), args.seed, args.character)
    for number, (line, reply) in enumerate(told, 1):
        print(f"\n[{number}] > {line}\n{reply}")
    if args.out:
        args.out.write_text(json.dumps(told, ensure_ascii=False, indent=1), "utf-8")


if __name__ == "__main__":
    main()
