"""Two engines, real processes, over one PostgreSQL database: one plays, the other takes over when it dies."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests import postgres_cluster, stores
from tests.engine_process import (
    Process,
    Wire,
    begin_story,
    connected,
    engine,
    make_home,
    output,
    start,
    with_limits,
)
from tests.postgres_cluster import Cluster

pytestmark = postgres_cluster.needed

CONFIG = "narrator:\n  seed: 7\n  words_per_s: 8\n"  # slow: it is killed in the middle
SHORT = {"LEASE_S": 2.0, "RENEWED_S": 0.4}


def rows(url: str) -> list[tuple[Any, ...]]:
    """Returns role, text so far and status of every message, as another program would read them."""
    text = (
        "m.content || coalesce((SELECT string_agg(text, '' ORDER BY place) FROM flower.growth g"
        " WHERE g.place >> 20 = m.id), '')"
    )
    name = url.split("/")[3].split("?")[0]
    return stores.cluster().sql(f"SELECT role, {text}, status FROM flower.messages m ORDER BY id", name)


@asynccontextmanager
async def playing(home: Path, environ: Mapping[str, str]) -> AsyncIterator[Process]:
    make_home(home, CONFIG)
    async with engine(home, environ=environ, program=with_limits(**SHORT)) as running:
        yield running


async def said_so_far(wire: Wire, words: int) -> str:
    """Returns the reply up to a number of pieces, while it goes on."""
    text = ""
    for _ in range(words):
        text += (await wire.until("chat_chunk"))[0]
    return text


@pytest.mark.parametrize("words", [3, 9])
async def test_a_killed_engine_is_followed_by_the_next(tmp_path: Path, words: int) -> None:
    """Its reply is there up to the last flush, interrupted, once; what was acknowledged is all there."""
    url = stores.new_url()
    environ = {"FLOWER_STORE": url}
    async with playing(tmp_path / "a", environ) as first, connected(first) as wire:
        await begin_story(wire)
        await wire.say("I ring the bell and wait.", request_id="r1")
        seen = await said_so_far(wire, words)
        with trio.fail_after(5):
            while not rows(url)[-1][1].startswith(seen):
                await trio.testing.wait_all_tasks_blocked(0.05)
        first.process.kill()
        await first.process.wait()
    async with playing(tmp_path / "b", environ) as second, connected(second) as wire:
        line, reply = rows(url)[-2:]
        assert line == ("user", "I ring the bell and wait.", "complete")
        role, text, status = reply
        assert (role, status) == ("assistant", "interrupted")
        assert text.startswith(seen)
        content = await wire.until("chat_history")
        assert content is not None
        await wire.say("I go on.")
        assert await wire.reply()


async def test_a_paused_engine_changes_nothing_when_it_comes_back(tmp_path: Path) -> None:
    """Stopped in mid reply, taken over from, and continued: it notices and ends by itself."""
    url = stores.new_url()
    environ = {"FLOWER_STORE": url}
    async with playing(tmp_path / "a", environ) as first, connected(first) as wire:
        await begin_story(wire)
        await wire.say("I ring the bell and wait.")
        await said_so_far(wire, 4)
        first.process.send_signal(signal.SIGSTOP)
        try:
            async with playing(tmp_path / "b", environ):
                before = rows(url)
                assert before[-1][2] == "interrupted"
                first.process.send_signal(signal.SIGCONT)
                with trio.fail_after(15):
                    await first.process.wait()
                assert rows(url) == before
        finally:
            first.process.send_signal(signal.SIGCONT)
    assert "taken the stories over" in output(tmp_path / "a")


async def test_a_second_engine_says_who_plays(tmp_path: Path) -> None:
    environ = {"FLOWER_STORE": stores.new_url()}
    async with playing(tmp_path / "a", environ):
        make_home(tmp_path / "b", CONFIG)
        second = await start(tmp_path / "b", environ=environ, program=with_limits(**SHORT))
        with trio.fail_after(20):
            assert await second.process.wait() != 0
    assert "has these stories open" in output(tmp_path / "b")


async def test_a_stopped_engine_hands_over_at_once(tmp_path: Path) -> None:
    """With the lease as long as it is: nobody waits for it after an orderly end."""
    environ = {"FLOWER_STORE": stores.new_url()}
    for name in ("a", "b"):
        make_home(tmp_path / name, CONFIG)
        with trio.fail_after(12):
            async with engine(tmp_path / name, environ=environ) as running:
                running.process.terminate()
                assert await running.process.wait() == 0


# --- a primary that dies --------------------------------------------------------------------------


@pytest.mark.faults
async def test_a_replica_that_is_promoted_goes_on(tmp_path: Path) -> None:
    """The primary is killed; the engine finds the replica by the hosts in its URL and goes on."""
    primary, replica = Cluster(("max_connections=40",)), Cluster(("max_connections=40",))
    try:
        primary.make()
        primary.sql("CREATE DATABASE flower")
        replica.run(
            "pg_basebackup", "-D", str(replica.data), "-h", str(primary.folder), "-U", "flower",
            "-R", "-X", "stream", "-c", "fast",
        )  # fmt: skip
        replica.start()
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")
        url = (
            f"postgresql://flower@/flower?host={primary.folder},{replica.folder}"
            "&target_session_attrs=read-write"
        )
        async with (
            playing(tmp_path / "a", {"FLOWER_STORE": url}) as running,
            connected(running) as wire,
        ):
            await begin_story(wire)
            await wire.say("I ring the bell and wait.")
            await said_so_far(wire, 3)
            await trio.to_thread.run_sync(primary.stop)
            await trio.to_thread.run_sync(
                replica.run, "pg_ctl", "-D", str(replica.data), "-w", "promote"
            )
            newest = "SELECT status FROM flower.messages ORDER BY id DESC LIMIT 1"
            with trio.fail_after(40):
                while replica.sql(newest, "flower") != [("complete",)]:
                    await trio.testing.wait_all_tasks_blocked(0.5)
            await wire.say("I go on.")
            assert await wire.reply()
    finally:
        primary.remove()
        replica.remove()
