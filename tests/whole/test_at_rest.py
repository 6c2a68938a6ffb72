"""An engine at rest: what is loaded for nobody, and how often it wakes for nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from hypercorn.events import Closed, RawData
from trio.testing import MockClock

from flower.engine.folder_events import FolderEvents
from flower.engine.server import without_http2
from tests.engine_process import connected, engine

UNNEEDED = ("httpx", "hpack", "h2.connection", "watchfiles", "onnxruntime", "numpy", "PIL", "pygments")
WATCHED_S = 2.0
MOST_WAKES = 4  # a thread that looked every 300 ms would make six, a timer of the loop's at least that
SETTLES_S = 0.5  # a start has done what it does first when so long nothing has woken
ASKING = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
)
LOADED = "import sys, flower.engine.main, flower.engine.server.listener; print(*sys.modules)"


def test_a_start_loads_nothing_that_only_some_need() -> None:
    """Models over HTTP, synced folders and HTTP/2 cost those who have them."""
    told = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    loaded = set(told.stdout.split())
    assert "trio" in loaded
    assert loaded.isdisjoint(UNNEEDED)


@pytest.mark.skipif(sys.platform != "linux", reason="counts what Linux tells of a process")
async def test_an_engine_with_a_quiet_client_sleeps(tmp_path: Path) -> None:
    """No thread and no timer looks for changed files."""
    async with engine(tmp_path / "home") as running, connected(running) as wire:
        await wire.until("sync_state")
        before = await settled(running.process.pid)
        await trio.sleep(WATCHED_S)
        after = waits(running.process.pid)
    assert sum(count - before.get(thread, 0) for thread, count in after.items()) <= MOST_WAKES


async def settled(process: int) -> dict[str, int]:
    """Returns the waits of a process once what begins at a start has been done; fails if that never ends."""
    before: dict[str, int] = {}
    with trio.fail_after(60):
        while (now := waits(process)) != before:
            before = now
            await trio.sleep(SETTLES_S)
    return now


def waits(process: int) -> dict[str, int]:
    """Returns how often each thread of a process has gone to sleep by itself so far."""
    counts = {}
    for thread in os.listdir(f"/proc/{process}/task"):
        for line in Path(f"/proc/{process}/task/{thread}/status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                counts[thread] = int(line.split()[1])
    return counts


async def test_changes_in_folders_are_told(tmp_path: Path) -> None:
    """Of those watched, also when they came later; a folder that is gone is no trouble."""
    inner = tmp_path / "inner"
    with FolderEvents() as events:
        assert events.watch([tmp_path, inner])
        assert not events.watch([tmp_path, inner])
        with trio.fail_after(10):
            inner.mkdir()
            await events.wait(60)
            assert events.watch([tmp_path, inner])
            (inner / "file").write_text("x")
            await events.wait(60)
            (inner / "file").unlink()
            inner.rmdir()
            await events.wait(60)
        assert not events.watch([tmp_path, inner])


async def test_where_nothing_tells_of_changes_the_wait_is_short(
    autojump_clock: MockClock,
) -> None:
    """Whoever waits then looks themselves."""
    with FolderEvents() as events:
        begun = trio.current_time()
        await events.wait(60)
        assert trio.current_time() - begun < 5


@pytest.mark.parametrize(
    "asking", [ASKING, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], ids=["upgrade", "prior"]
)
async def test_http2_is_not_spoken(tmp_path: Path, asking: bytes) -> None:
    """Whoever asks for it, or begins in it, is answered in HTTP/1.1."""
    async with engine(tmp_path / "home") as running:
        stream = await trio.open_tcp_stream(*running.address)
        async with stream:
            await stream.send_all(asking)
            with trio.fail_after(10):
                answer = await stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 ")
    assert not answer.startswith(b"HTTP/1.1 101 ")


async def test_what_stands_in_for_http2_refuses() -> None:
    """Should hypercorn ever come that far, the connection is told and ends."""
    sent: list[object] = []

    async def send(event: object) -> None:
        sent.append(event)

    refusal = without_http2.Http2Refusal("app", send)
    await refusal.initiate()
    await refusal.handle(RawData(b"more"))
    assert sent == [RawData(without_http2.REFUSAL), Closed()]
