"""What a database of very many stories costs: opening one, listing, searching, beside one of a thousand stories.

Every user has a hundred stories of fifty messages. PostgreSQL is a private server on a Unix socket, filled by itself;
the index of words is the engine's, and the first search makes it.

    python -m tests.bench.fleet_size [--stories 1000 100000]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from flower.engine.store import search, states, stories
from flower.engine.store.connection import Connection, Store
from tests import stores
from tests.postgres_cluster import Cluster

MESSAGES = 50  # of a story
OWN = 100  # stories of a user
TRIES = 1_000
WORDS = 20_000  # different ones; the text of a message has a dozen of them
FAST = ("fsync=off", "max_connections=60", "shared_buffers=512MB", "max_wal_size=8GB")
_STORIES = """
    INSERT INTO sessions (id, world_id, character_id, title, created, updated, owner, changed_in)
    SELECT 's' || n, 'harbour', '', 'Story ' || n, n, n, n % {users}, '0' FROM generate_series(0, {count} - 1) n
"""
_MESSAGES = """
    INSERT INTO messages (id, session_id, parent_id, role, content, status, created, extra)
    SELECT n + 1, 's' || n / {each}, CASE WHEN n % {each} > 0 THEN n END,
        CASE n % 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
        (SELECT string_agg('w' || (hashint8(n * 16 + k) & 2147483647) % {words}, ' ') FROM generate_series(1, 12) k),
        'complete', n, '{{}}'
    FROM generate_series({first}::bigint, {last}::bigint - 1) n
"""


def _fill(cluster: Cluster, database: str, count: int) -> None:
    """Adds the rows as a copy would, past triggers and checks."""
    import psycopg

    with psycopg.connect(cluster.url(database), autocommit=True) as raw:
        raw.execute("SET search_path = flower")
        raw.execute("SET session_replication_role = replica")
        raw.execute(_STORIES.format(count=count, users=max(count // OWN, 1)).encode())
        for first in range(0, count * MESSAGES, 250_000):
            last = min(first + 250_000, count * MESSAGES)
            raw.execute(_MESSAGES.format(each=MESSAGES, words=WORDS, first=first, last=last).encode())
        raw.execute(
            f"UPDATE sessions SET active_leaf = (substr(id, 2)::bigint + 1) * {MESSAGES}"
            " WHERE active_leaf IS NULL"
        )
        raw.execute("VACUUM ANALYZE")


def _open(db: Connection, story: str) -> int:
    assert stories.session(db, story) is not None
    path = stories.active_path(db, story, most=100)
    states.current_at(db, story, path[-1].id, 0.0)
    return len(path)


Asked = Callable[[int], Awaitable[object]]


async def _measure(label: str, of_each: dict[int, Asked]) -> None:
    """Asks all databases in turn, so that other work of the machine costs one what it costs the others."""
    chosen = random.Random(7)
    times: dict[int, list[float]] = {count: [] for count in of_each}
    for _ in range(TRIES):
        number = chosen.randrange(1 << 40)
        for count, one in of_each.items():
            began = time.perf_counter()
            await one(number)
            times[count].append((time.perf_counter() - began) * 1000)
    for count, found in times.items():
        cut = statistics.quantiles(found, n=100)
        print(
            f"{count:>7} stories: {label:<9} p50 {cut[49]:7.2f} ms, p99 {cut[98]:7.2f} ms", flush=True
        )


async def _asked(store: Store, count: int) -> dict[str, Asked]:
    """Returns what a database is asked, after its index of words was made."""
    users = max(count // OWN, 1)

    async def opening(number: int) -> None:
        assert await store.read(_open, f"s{number % count}") == MESSAGES

    async def listing(number: int) -> None:
        assert await store.read(stories.sessions, user=number % users)

    async def searching(number: int) -> None:
        word, more = f"w{number % WORDS}", f"w{number // WORDS % WORDS}"
        await store.read_slowly(
            search.search, word if number % 2 else f"{word} {more}", user=number % users
        )

    began = time.perf_counter()
    await store.read_slowly(search.search, "w1", user=0)
    print(f"{count:>7} stories: the index of words made in {time.perf_counter() - began:.0f} s")
    return {"opening": opening, "listing": listing, "searching": searching}


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stories", type=int, nargs="*", default=[1_000, 100_000])
    wanted = parser.parse_args()
    cluster = Cluster(FAST)
    cluster.make()
    try:
        with tempfile.TemporaryDirectory() as folder:
            opened, asked = [], {}
            for count in wanted.stories:
                name = f"size{count}"
                cluster.sql(f"CREATE DATABASE {name}")
                path = Path(folder, name, "flower.db")
                store = await stores.opened("postgres", path, None, cluster.url(name))
                opened.append(store)
                began = time.perf_counter()
                await trio.to_thread.run_sync(_fill, cluster, name, count)
                print(f"{count:>7} stories: filled in {time.perf_counter() - began:.0f} s", flush=True)
                asked[count] = await _asked(store, count)
            for label in ("opening", "listing", "searching"):
                await _measure(label, {count: asked[count][label] for count in asked})
            for store in opened:
                await store.aclose()
    finally:
        cluster.remove()


if __name__ == "__main__":
    trio.run(main)
