"""How fast files of other programs are read, and what that takes of memory:
``python -m tests.bench.interchange [FOLDER]`` from the repository's root.

Reads made-up files, or those of a folder, and prints the time for each kind, for 500 cards in a row, and for
chats and lorebooks of 1x and 100x size, whose ratio says whether time grows in proportion. Each value is the
median of several runs.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from flower.engine.interchange import card_writer, pictures, sillytavern_chats
from flower.engine.interchange.reader import read
from flower.engine.interchange.values import Kind
from flower.errors import ImportFileError
from tests.interchange_files import V3, as_json, as_lines, as_png, files

CARDS = 500
PICTURE_BYTES = 600_000  # of a usual card


def milliseconds(work: Callable[[], object], runs: int = 5) -> float:
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def usual_card() -> bytes:
    """Returns a PNG card of usual size: its picture cannot be compressed further."""
    noise = pictures.chunk_bytes(b"IDAT", random.Random(1).randbytes(PICTURE_BYTES))
    data = as_png(
        chara={**V3, "data": {**V3["data"], "description": "She mends nets. " * 300}}, ccv3=V3
    )
    place = data.index(b"tEXt") - 4
    return data[:place] + noise + data[place:]


def chat(count: int) -> bytes:
    lines = [{"name": "A", "is_user": n % 2 == 0, "mes": f"{n} words of a line. " * 10, "send_date": 1752740306202}
             for n in range(count)]  # fmt: skip
    return as_lines({"chat_metadata": {}}, *lines)


def book(count: int) -> bytes:
    entry = {"key": ["net", "quay"], "content": "Nets are tarred. " * 20, "order": 100, "position": 0}
    return as_json({"entries": {str(n): {"uid": n, **entry} for n in range(count)}})


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if folder:
        for path in sorted(folder.iterdir()):
            data = path.read_bytes()
            try:
                read(data, "x", "x")
            except ImportFileError as error:
                print(f"{path.name:42} {error}")
                continue
            print(
                f"{path.name:42} {len(data) / 1e6:7.2f} MB {milliseconds(lambda d=data: read(d, 'x', 'x')):8.1f} ms"
            )
        return
    for kind, data in files().items():
        print(f"{kind.value:36} {milliseconds(lambda d=data: read(d)):8.2f} ms")
    card = usual_card()
    assert read(card).kind is Kind.CARD_PNG
    before = peak_mib()
    begun = time.perf_counter()
    for _ in range(CARDS):
        read(bytes(bytearray(card)))  # a copy, as from a disk
    spent = time.perf_counter() - begun
    print(
        f"{CARDS} cards of {len(card) / 1e3:.0f} KB: {spent:.2f} s, peak +{peak_mib() - before:.1f} MiB"
    )
    found = read(card).cards[0]
    print(f"a card as PNG: {milliseconds(lambda: card_writer.card_png(found)):.1f} ms")
    for name, make, small in (("chat", chat, 100), ("lorebook", book, 200)):
        one, many = make(small), make(100 * small)
        times = [milliseconds(lambda d=data: read(d), 3) for data in (one, many)]
        print(
            f"{name}: {small} in {times[0]:.1f} ms, {100 * small} in {times[1]:.0f} ms: x{times[1] / times[0]:.0f}"
        )
    tree = read(chat(10_000)).chats[0]
    print(
        "a chat of 10,000 lines written: "
        f"{milliseconds(lambda: list(sillytavern_chats.write_tree(tree, 'x')), 3):.0f} ms"
    )
    print(f"peak {peak_mib():.0f} MiB; {json.dumps({'python': sys.version.split()[0]})}")


if __name__ == "__main__":
    main()
