"""Lists of a library: a page of it, a filtered page, and what every client gets when it comes, at 50 and 5,000 cards.

Run ``python -m tests.bench.library_list``. Times are medians of many runs with their spread, on a warm process; the
screen is the pure client at 80x24.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import trio
import trio.testing

from flower.engine.assets.shelves import Brief
from flower.engine.commands.library import PAGE, Ranking, arranged
from flower.engine.sessions import snapshot
from flower.protocol import codec
from flower.protocol.messages import CommandOption, LibraryItem, Listing, State, SyncState, SystemUpdate
from flower.tui.term.inputs import Key
from tests.engine_world import Face as Client
from tests.engine_world import engine_world
from tests.tui_world import COMMANDS, Face

COUNTS = (50, 5_000)
RUNS = 60
ABOUT = "Mends clocks under the bridge, and never sells one. Knows whose each of them was. " * 3


def briefs(count: int) -> list[Brief]:
    tags = ("clocks", "city", "slow", "drama", "friends")
    return [Brief(f"person-{n}", f"Person {n * 7919 % count:05}", ABOUT, tags) for n in range(count)]


def median_ms(work: Callable[[], object]) -> str:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    ranked = sorted(times)
    return f"{statistics.median(times):8.2f} ms (p95 {ranked[int(RUNS * 0.95)]:.2f})"


def pure(count: int) -> None:
    known = briefs(count)
    shelf = Ranking(frozenset({"person-3", "person-40"}), {f"person-{n}": float(n) for n in range(30)})
    print(f"{count:>6}  arranged, no words         {median_ms(lambda: arranged(known, '', shelf))}")
    print(
        f"{count:>6}  arranged, 'city person 4'  {median_ms(lambda: arranged(known, 'city person 4', shelf))}"
    )
    items = tuple(
        LibraryItem(b.id, b.name, snapshot.of(b.name, b.summary), b.tags) for b in known[:PAGE]
    )
    page = SystemUpdate("", State(listing=Listing("characters", "", count, items)))
    print(f"{count:>6}  a page on the wire         {len(codec.encode(page)):8,} bytes")
    library = CommandOption("/library", "/library KIND", "a page")
    face = Face().online(commands=(*COMMANDS, library), chosen=True).put(Key("f3")).says(page)
    keys = iter([Key("down"), Key("up")] * RUNS)
    print(f"{count:>6}  a key in the open list     {median_ms(lambda: face.put(next(keys)))}")


async def whole(count: int) -> None:
    """From a prompt to its page in the client's mailbox, database included."""
    with tempfile.TemporaryDirectory() as folder:
        async with engine_world(Path(folder) / "flower.db") as world:
            for brief in briefs(count):
                world.engine.imports.imported.put(brief, b"")
            client = await world.face()
            for line in ("/library characters", "/library characters 0 city person 4"):
                print(f"{count:>6}  {line[:26]:<26} {await asked(client, line)}")
            client.events.clear()
            await client.say("/sync")
            await trio.testing.wait_all_tasks_blocked()
            size = len(codec.encode(client.of(SyncState)[-1]))
            print(f"{count:>6}  sync_state                 {size:8,} bytes")


async def asked(client: Client, line: str) -> str:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        await client.say(line)
        times.append((time.perf_counter() - began) * 1000)
    return f"{statistics.median(times):8.2f} ms (p95 {sorted(times)[int(RUNS * 0.95)]:.2f})"


def main() -> None:
    for count in COUNTS:
        pure(count)
        trio.run(whole, count)


if __name__ == "__main__":
    main()
