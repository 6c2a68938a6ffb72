"""How fast a folder of cards is imported, what that costs in memory, and whether the engine answers meanwhile.

Run: python -m tests.bench.importing [CARDS]
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import trio

from flower.client.import_upload import UploadSummary, files_in, send
from flower.engine.interchange import card_writer, reader
from tests import import_files
from tests.engine_process import connected, engine

WORDS = [
    "lamp",
    "harbour",
    "fog",
    "oak",
    "bell",
    "letter",
    "river",
    "clock",
    "winter",
    "glass",
    "road",
    "song",
]


def prose(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(words))


def make(folder: Path, count: int) -> None:
    """Cards of the usual size: 1,500 words, a book of 20 entries, in a PNG."""
    for number in range(count):
        chance = random.Random(number)
        entries = [
            {"id": i, "keys": [chance.choice(WORDS)], "content": prose(chance, 60)} for i in range(20)
        ]
        value = import_files.card(
            f"Person {number}",
            description=prose(chance, 1000),
            first_mes=prose(chance, 200),
            mes_example=prose(chance, 300),
            creator=f"author {number}",
            character_book={"name": f"Book {number}", "entries": entries},
        )
        path = import_files.write(folder / "card.json", value)
        (card,) = reader.read(path.read_bytes()).cards
        path.unlink()
        (folder / f"card{number}.png").write_bytes(card_writer.card_png(card) + bytes(0))


def memory_kib(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field)))


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "cards").mkdir()
        make(root / "cards", count)
        size = sum(path.stat().st_size for path in (root / "cards").iterdir())
        async with engine(root / "home") as running, connected(running) as wire:
            await wire.until("sync_state")
            before = memory_kib(running.process.pid, "VmRSS")
            waits: list[float] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, running.address, waits)
                began = time.perf_counter()
                summary = UploadSummary()
                files = files_in([root / "cards"])
                async for sent in send(files, lambda: running.url, None):
                    summary.add(sent)
                took = time.perf_counter() - began
                nursery.cancel_scope.cancel()
            peak = memory_kib(running.process.pid, "VmHWM")
            database = (root / "home" / "flower.db").stat().st_size
    print(f"{count} cards, {size / 1e6:.1f} MB: {summary.sentence}")
    print(f"took {took:.1f} s, {count / took:.0f} cards/s; database {database / 1e6:.1f} MB")
    print(f"memory {before / 1024:.0f} MiB before, peak +{(peak - before) / 1024:.0f} MiB")
    print(f"answers meanwhile: {len(waits)}, median {statistics.median(waits) * 1000:.1f} ms,", end=" ")
    print(f"longest {max(waits) * 1000:.0f} ms")


async def ask(address: tuple[str, int], waits: list[float]) -> None:
    """Asks the engine for a sign of life, again and again."""
    while True:
        began = time.perf_counter()
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(
                b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            await stream.receive_some()
        waits.append(time.perf_counter() - began)
        await trio.sleep(0.05)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 500)
