"""A thousand clients on two engines of one database, beside half of them on one: how late words come, what each takes.

Every client is a user with a story of their own: clients of one user would all begin where the last one was, at the
engine that plays that story. Transactions that write are counted while replies stream, signs of life included.
One in ten of those who play is at the engine that does not have its story, so that its frames are passed on; they are
counted by themselves. PostgreSQL is a private server on a Unix socket.

    python -m tests.bench.fleet_clients [--clients 1000] [--playing 100] [--seconds 20]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
import trio

from flower.engine.store import users
from flower.engine.store.postgres.connection import PostgresConnection
from tests.bench.faces import GAP_S, KIB, Ear, Ears, line_of, listen, percentile, warm
from tests.engine_process import Process, engine, make_home
from tests.postgres_cluster import Cluster

SETTLED_S = 3.0  # after the replies have begun, and before they end
AT_ONCE = 20  # clients that come in the same moment
ELSEWHERE = 10  # of so many players one is at the other engine


class _Crowd:
    """The clients of one run."""

    def __init__(self, engines: list[Process], tokens: list[str]) -> None:
        self.engines = engines
        self.tokens = tokens
        self.direct, self.passed_on = Ears(), Ears()
        self.ready = trio.Event()
        self.there = 0
        self._door = trio.CapacityLimiter(AT_ONCE)

    async def rest(self, number: int) -> None:
        """A client that has a story of its own open and says nothing."""
        async with self._door:
            place, token = self.engines[number % len(self.engines)], self.tokens.pop()
            ear = await Ear.connect(place, f"idle{number}", token)
            await _begin_story(ear)
        self.there += 1
        while True:
            await ear.receive()

    async def play(self, number: int) -> None:
        """A client with a story of its own, which hears one reply."""
        name, home = f"p{number}", number % len(self.engines)
        async with self._door:
            token = self.tokens.pop()
            ear = await Ear.connect(self.engines[home], name, token)
            history = await _begin_story(ear)
            ears, reader = self.direct, ear
            if number % ELSEWHERE == 0 and len(self.engines) > 1:
                ears = self.passed_on
                reader = await Ear.connect(self.engines[1 - home], f"{name}-elsewhere", token)
                await reader.say(f"/session continue {history['session']}")
                await reader.until("✓ Story".encode())
        self.there += 1
        await self.ready.wait()
        said = time.monotonic_ns()
        await ear.say(line_of(name))
        await listen(reader, ears, said)


def _add_users(url: str, count: int) -> list[str]:
    """Returns a token of each of so many new users."""
    made = []
    with psycopg.connect(url, options="-c search_path=flower") as raw:
        db = PostgresConnection(raw)
        for number in range(count):
            token = users.new_token()
            user = db.execute(
                "INSERT INTO users (name, created) VALUES (?, 0)", (f"user-{number}",)
            ).lastrowid
            db.execute(
                "INSERT INTO user_tokens (mark, hash, user_id, label, created) VALUES (?, ?, ?, 'here', 0)",
                (token.mark, token.hash, user),
            )
            made.append(token.text)
    return made


async def _begin_story(ear: Ear) -> dict[str, Any]:
    """Returns what a client is told of its new story."""
    await ear.say("/world select orrinsay")
    await ear.say("/session new")
    await ear.until("✓ A new story".encode())  # until then it may watch the story played last
    history: dict[str, Any] = json.loads(await ear.until(b"chat_history"))["payload"]["metadata"]
    return history


async def _measure(
    label: str, count: int, clients: int, playing: int, seconds: float, folder: Path, url: str
) -> None:
    environ = {
        "FLOWER_BENCH_WORDS": str(int(seconds / GAP_S)),
        "FLOWER_BENCH_GAP_S": str(GAP_S),
        "FLOWER_STORE": url,
    }
    program = [sys.executable, "-m", "tests.bench.stamped_engine"]
    async with AsyncExitStack() as stack:
        engines = []
        for number in range(count):
            home = folder / label.replace(" ", "-") / str(number) / "home"
            home.parent.mkdir(parents=True)
            make_home(home)
            running = engine(home, environ=environ, program=program)
            engines.append(await stack.enter_async_context(running))
            await warm(engines[-1])
        before = [one.rss for one in engines]
        crowd = _Crowd(engines, await trio.to_thread.run_sync(_add_users, url, clients))
        async with trio.open_nursery() as nursery:
            for number in range(clients - playing):
                nursery.start_soon(crowd.rest, number)
            while crowd.there < clients - playing:
                await trio.sleep(0.1)
            idle = sum(one.rss - rss for one, rss in zip(engines, before, strict=True))
            async with trio.open_nursery() as players:
                for number in range(playing):
                    players.start_soon(crowd.play, number)
                while crowd.there < clients:
                    await trio.sleep(0.1)
                await trio.sleep(2)
                crowd.ready.set()
                await trio.sleep(SETTLED_S)
                written, began = _transactions(url), trio.current_time()
                await trio.sleep(max(seconds - 2 * SETTLED_S, 1.0))
                a_minute = (_transactions(url) - written) / (trio.current_time() - began) * 60 / count
            nursery.cancel_scope.cancel()
        cells = [
            f"{percentile(ears.lag_ms, share):7.1f}" if ears.lag_ms else "      -"
            for ears in (crowd.direct, crowd.passed_on)
            for share in (0.5, 0.99)
        ]
        print(
            f"{label:<12} {clients:>7} {playing:>7} {' '.join(cells)} {idle / KIB / (clients - playing):>9.0f}"
            f" {a_minute:>9.0f}",
            flush=True,
        )


def _transactions(url: str) -> int:
    """Returns the number of the newest transaction that wrote something."""
    with psycopg.connect(url) as raw:
        row = raw.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchone()
    assert row is not None
    return int(row[0])


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--playing", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    wanted = parser.parse_args()
    # The server's own upkeep would count as commits of the engines.
    cluster = Cluster(("max_connections=60", "shared_buffers=128MB", "autovacuum=off"))
    cluster.make()
    try:
        print(
            "lag of a word in ms, at its own engine and passed on; KiB for each client at rest;"
            " commits of an engine in a streamed minute"
        )
        print(
            f"{'':<12} {'clients':>7} {'playing':>7} {'p50':>7} {'p99':>7} {'p50 on':>7} {'p99 on':>7} {'KiB':>9}"
            f" {'commits':>9}"
        )
        with tempfile.TemporaryDirectory() as folder:
            for label, count in (("one engine", 1), ("two engines", 2)):
                name = f"clients{count}"
                cluster.sql(f"CREATE DATABASE {name}")
                share = 3 - count
                await _measure(
                    label,
                    count,
                    wanted.clients // share,
                    wanted.playing // share,
                    wanted.seconds,
                    Path(folder),
                    cluster.url(name),
                )
    finally:
        cluster.remove()


if __name__ == "__main__":
    trio.run(main)
