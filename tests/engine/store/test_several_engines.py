"""Several engines, real processes, on one PostgreSQL database: clients are passed on, stories taken over."""

from __future__ import annotations

import http.client
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed

from tests import haproxy, held_narrator, postgres_cluster, stores
from tests.engine_process import (
    Process,
    Wire,
    begin_story,
    connected,
    engine,
    kill,
    make_home,
    output,
    start,
    wait_announced,
    with_limits,
)
from tests.held_narrator import HeldNarrator
from tests.postgres_cluster import Cluster

pytestmark = postgres_cluster.needed

SHORT = {"BEAT_S": 0.3, "LEASE_S": 1.5, "UNANSWERED_S": 1.5}


def rows(url: str) -> list[tuple[Any, ...]]:
    """Returns role, text so far and status of every message, as another program would read them."""
    text = (
        "m.content || coalesce((SELECT string_agg(text, '' ORDER BY place) FROM flower.growth g"
        " WHERE g.place >> 20 = m.id), '')"
    )
    name = url.split("/")[3].split("?")[0]
    return stores.cluster().sql(f"SELECT role, {text}, status FROM flower.messages m ORDER BY id", name)


def prepared(home: Path, config: str = held_narrator.CONFIG) -> Path:
    home.parent.mkdir(exist_ok=True)
    make_home(home, config)
    return home


class Fleet(NamedTuple):
    """Two engines on one database, with the same narrator."""

    first: Process
    second: Process
    url: str
    narrator: HeldNarrator


@asynccontextmanager
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    url = stores.new_url()
    async with held_narrator.held_narrator() as narrator:
        environ = {**narrator.environ, "FLOWER_STORE": url}
        pair = []
        try:
            for name in ("a", "b"):
                home = prepared(tmp_path / name / "home")
                pair.append(await start(home, environ=environ, program=with_limits(**SHORT)))
            for running in pair:
                await wait_announced(running)
            yield Fleet(pair[0], pair[1], url, narrator)
        finally:
            for running in pair:
                await kill(running)


async def said_so_far(wire: Wire, words: int) -> str:
    """Returns the reply up to a number of pieces, while it goes on."""
    text = ""
    for _ in range(words):
        text += (await wire.until("chat_chunk"))[0]
    return text


async def story(wire: Wire) -> str:
    """Returns which story a client that has just come is in."""
    return str((await wire.until("sync_state"))[1]["session_id"])


async def closing(wire: Wire) -> int:
    """Reads to the end of a connection; returns the code it was closed with."""
    try:
        while True:
            await wire.receive()
    except ConnectionClosed as closed:
        return int(closed.reason.code) if closed.reason is not None else 0


def readiness(running: Process, words: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection(*running.address, timeout=5)
    connection.request("GET", f"/readyz{words}")
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


async def is_done_elsewhere(first: Process, second: Process, url: str) -> None:
    """Pinning, putting away and deleting a story that another engine plays is done there."""
    async with (
        connected(first, "/ws/rpc?client=zero") as zero,
        connected(second, "/ws/rpc?client=three") as three,
    ):
        await begin_story(zero)
        async with connected(first, "/ws/rpc?client=zero") as again:
            session = await story(again)
        for command, told in (("pin", "At the top"), ("archive", "Put away"), ("delete", "Deleted")):
            for _ in range(1 if command == "delete" else 2):  # sent twice, done once
                await three.say(f"/session {command} {session}", request=command)
                while not (await three.until("system_update"))[0].startswith(f"✓ {told}"):
                    pass
        while (await zero.until("system_update"))[0] != "This story was deleted.":
            pass
    name = url.split("/")[3].split("?")[0]
    query = f"SELECT pinned, archived, deleted IS NULL FROM flower.sessions WHERE id = '{session}'"
    assert stores.cluster().sql(query, name) == [(1, 1, False)]


async def test_any_engine_takes_any_client_and_the_story_of_one_that_dies(tmp_path: Path) -> None:
    """A client of V1 notices nothing but the interrupted reply, and hears once that it has ended."""
    async with (
        fleet(tmp_path) as (first, second, url, narrator),
        connected(first, "/ws/rpc?client=one") as one,
        connected(second, "/ws/rpc?client=two") as two,
    ):
        await is_done_elsewhere(first, second, url)
        await begin_story(one)
        async with connected(first, "/ws/rpc?client=one") as again:
            session = await story(again)
        await two.say(f"/session continue {session}")
        while (await two.until("sync_state"))[1]["session_id"] != session:
            pass
        async with connected(second, "/ws/rpc?client=one&moved=1") as knowing:
            while not (moved := (await knowing.until("system_update"))[1].get("moved")):
                pass
            assert moved == first.url
            assert await closing(knowing) == 1012
        await one.say("/table code")
        while "/table join " not in (told := (await one.until("system_update"))[0]):
            pass
        code = f"Bearer {told.split()[-1]}"
        async with connected(second, "/ws/rpc?client=guest", Authorization=code) as guest:
            assert await story(guest) == session, "seated by the engine of the table"
        await two.say("I ring the bell and wait.", request="r1")
        seen = await said_so_far(two, 4)
        assert seen == await said_so_far(one, 4), "both see the same, word by word"
        with trio.fail_after(5):
            while not rows(url)[-1][1].startswith(seen):
                await trio.testing.wait_all_tasks_blocked(0.05)
        first.process.kill()
        await first.process.wait()
        ends, history = [], {}
        with trio.fail_after(15):
            while not ends:
                event, _, metadata = await two.receive()
                history = metadata if event == "chat_history" else history
                ends += [metadata] if event == "chat_end" else []
        reply = history["history"][-1]
        assert reply["status"] == "interrupted"
        assert reply["content"].startswith(seen)
        line, answer = rows(url)[-2:]
        assert (line[0], line[2]) == ("user", "complete")
        assert line[1].endswith("I ring the bell and wait.")
        assert answer == ("assistant", reply["content"], "interrupted")
        assert (ends[0]["reason"], ends[0]["message"]) == ("interrupted", reply["message"])
        narrator.goes_on.set()
        await two.say("I go on.")
        event = ""
        while event != "chat_message":
            event, _, _ = await two.receive()
            assert event != "chat_end", "told once"
        assert await two.reply()


async def test_a_paused_engine_changes_nothing_when_it_comes_back(tmp_path: Path) -> None:
    """Stopped in mid reply, taken over from, and continued: it notices and ends by itself."""
    async with fleet(tmp_path) as (first, second, url, narrator):
        async with connected(first, "/ws/rpc?client=one") as one:
            await begin_story(one)
            await one.say("I ring the bell and wait.")
            await said_so_far(one, 4)
            first.process.send_signal(signal.SIGSTOP)
            try:
                async with connected(second, "/ws/rpc?client=one") as back:
                    with trio.fail_after(15):
                        await back.until("chat_end")
                    before = rows(url)
                    assert before[-1][2] == "interrupted"
                    first.process.send_signal(signal.SIGCONT)
                    with trio.fail_after(15):
                        await first.process.wait()
                    assert rows(url) == before
                    narrator.goes_on.set()
                    await back.say("I go on.")
                    assert await back.reply()
            finally:
                if first.process.returncode is None:
                    first.process.send_signal(signal.SIGCONT)
        assert "others play its stories now" in output(first.home)


async def test_an_engine_that_drains_ends_its_replies_and_hands_over(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (first, second, _, narrator):
        async with (
            connected(first, "/ws/rpc?client=one") as one,
            connected(first, "/ws/rpc?client=idle&moved=1") as idle,
        ):
            await begin_story(one)
            await one.say("I ring the bell and wait.")
            await said_so_far(one, 1)
            first.process.send_signal(signal.SIGUSR1)
            while not (moved := (await idle.until("system_update"))[1].get("moved")):
                pass
            assert moved == second.url
            assert await trio.to_thread.run_sync(readiness, first) == (
                503,
                "store: OK\nrecall: OK\nengine: draining\n",
            )
            assert (await trio.to_thread.run_sync(readiness, first, "?draining=404"))[0] == 404
            await one.say("And then I sleep.", request="r2")
            while "queued" not in (await one.until("system_update"))[1]:
                pass
            narrator.goes_on.set()
            with trio.fail_after(60):
                assert (await one.until("chat_end"))[1]["reason"] == "done"
                assert await closing(one) == 1012
            with trio.fail_after(10):
                assert await first.process.wait() == 0
        async with connected(second, "/ws/rpc?client=one") as one:
            assert await one.reply(), "the line that waited is answered"


@haproxy.needed
def test_the_documented_configuration_of_haproxy_is_right(tmp_path: Path) -> None:
    """As it stands, and as the long test uses it."""
    name = haproxy.program()
    assert name is not None
    changed = tmp_path / "changed.cfg"
    changed.write_text(haproxy.configured(8001, [("127.0.0.1", 8002), ("127.0.0.1", 8003)]))
    assert changed.read_text().count("server engine") == 2
    for file in (haproxy.GIVEN, changed):
        told = subprocess.run(
            [name, "-c", "-f", str(file)], env={"FLOWER_TOKEN": "t"}, capture_output=True, text=True
        )
        assert told.returncode == 0, told.stderr
        assert "warning" not in told.stderr.lower(), told.stderr


# --- a primary that dies --------------------------------------------------------------------------


SLOW = "narrator:\n  seed: 7\n  words_per_s: 8\n"


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
            engine(
                prepared(tmp_path / "a" / "home", SLOW),
                environ={"FLOWER_STORE": url},
                program=with_limits(**SHORT),
            ) as running,
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
