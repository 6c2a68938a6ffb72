"""What the place of the stories costs a line: from the prompt to the request, SQLite beside PostgreSQL.

One run, turns in turn, with a story of a hundred exchanges; both write durably. PostgreSQL is a private server on a
Unix socket. The processor's time, of the engine and of the server, is what a machine that does other things as well
does not change; it leaves out what is waited for, which is the commit.

    python -m tests.bench.fleet [TURNS]
"""

from __future__ import annotations

import contextlib
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio
import trio.testing

from flower.engine.provider.base import Piece
from flower.engine.store.connection import Store
from flower.engine.store.sqlite.database import Database
from tests import postgres_cluster, stores
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, words
from tests.postgres_cluster import Cluster

EXCHANGES = 100
DURABLE = ("max_connections=60", "shared_buffers=128MB")


class _Stamped(ScriptedProvider):
    """Notes when it is asked."""

    asked = worked = 0.0
    server: Cluster | None = None

    @asynccontextmanager
    async def _open(self, completion: object) -> AsyncIterator[AsyncIterator[Piece]]:
        self.asked, self.worked = time.perf_counter(), _worked(self.server)
        async with super()._open(completion) as pieces:  # type: ignore[arg-type]
            yield pieces


def _worked(server: Cluster | None) -> float:
    """Returns the seconds of processor time that this process and a server's have used."""
    mine = time.process_time()
    if server is None:
        return mine
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    used = 0
    for child in children:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            used += int(Path(f"/proc/{child}/schedstat").read_text().split()[0])
    return mine + used / 1e9


class _Side:
    """One engine with its story."""

    def __init__(
        self, world: EngineWorld, face: Face, provider: _Stamped, server: Cluster | None
    ) -> None:
        self.world, self.face, self.provider, self.server = world, face, provider, server
        provider.server = server
        self.times: list[float] = []
        self.work: list[float] = []
        self.turns: list[float] = []

    async def turn(self, number: int, *, counted: bool = True) -> None:
        self.provider.pieces = words(f"Lamp {number} comes on and the tide of day {number} turns.")
        began, worked = time.perf_counter(), _worked(self.server)
        await self.face.say_and_wait(f"I light lamp {number} on pier {number * 7}.")
        if counted:
            self.times.append((self.provider.asked - began) * 1000)
            self.work.append((self.provider.worked - worked) * 1000)
            self.turns.append((time.perf_counter() - began) * 1000)


async def main(turns: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            sides = {"sqlite": await _side(stack, Path(folder, "a"), None, None)}
            cluster = None
            if not postgres_cluster.why_not():
                cluster = Cluster(DURABLE)
                cluster.make()
                cluster.sql("CREATE DATABASE flower")
                database = await stores.opened(
                    "postgres", Path(folder, "b", "flower.db"), None, cluster.url("flower")
                )
                sides["postgres"] = await _side(stack, Path(folder, "b"), database, cluster)
            for number in range(EXCHANGES):
                for side in sides.values():
                    await side.turn(number, counted=False)
            for number in range(turns):
                for side in sides.values():
                    await side.turn(EXCHANGES + number)
        if cluster is not None:
            cluster.remove()
    base, quiet_base = (pick(sides["sqlite"].times) for pick in (statistics.median, _quiet))
    work_base = statistics.median(sides["sqlite"].work)
    for name, side in sides.items():
        median = statistics.median(side.times)
        quiet = _quiet(side.times)
        work = statistics.median(side.work)
        whole = statistics.median(side.turns)
        print(
            f"{name:9} prompt -> request {median:6.2f} ms, {median / base:4.2f} x;"
            f" when nothing else ran (p10) {quiet:6.2f} ms, {quiet / quiet_base:4.2f} x;"
            f" processor {work:6.2f} ms, {work / work_base:4.2f} x; a whole turn {whole:6.2f} ms"
        )


def _quiet(times: list[float]) -> float:
    """Returns what a turn costs on a machine that does nothing else, as far as a busy one tells."""
    return statistics.quantiles(times, n=10)[0]


async def _side(
    stack: AsyncExitStack, folder: Path, database: Store | None, server: Cluster | None
) -> _Side:
    folder.mkdir(exist_ok=True)
    path = folder / "flower.db"
    path.touch()
    provider = _Stamped()
    database = database if database is not None else await Database.open(path)
    world = await stack.enter_async_context(engine_world(path, provider, database=database))
    return _Side(world, await world.playing(), provider, server)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 200)
