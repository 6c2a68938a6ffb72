"""Hostile connections to a real engine: the same process, the same descriptors, little more memory."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from flower import limits
from flower.engine.server import access, hypercorn_patches, listener
from tests.engine_process import (
    Process,
    Wire,
    connected,
    engine,
    kill,
    output,
    start,
    wait_announced,
    with_limits,
)
from tests.hostile import UPGRADE, frame, storm

MIB = 1024 * 1024


async def settled(running: Process, most: int) -> int:
    """Waits until closed connections are gone; returns how many descriptors are left."""
    with trio.move_on_after(listener.HEADERS_S + limits.SEND_TIMEOUT_S + 5):
        while running.descriptors > most:
            await trio.testing.wait_all_tasks_blocked(0.1)
    return running.descriptors


async def number(running: Process, name: str) -> float:
    """Returns a sample of the engine's own numbers."""
    async with await trio.open_tcp_stream(*running.address) as stream:
        await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        page = b""
        while data := await stream.receive_some():
            page += data
    return float(re.findall(rf"(?m)^{name} (\S+)$", page.decode())[0])


async def settled_tasks(running: Process, most: float) -> float:
    """Waits until the tasks of closed connections have ended; returns how many are left."""
    with trio.move_on_after(listener.HEADERS_S + limits.SEND_TIMEOUT_S + 5):
        while (tasks := await number(running, "flower_tasks")) > most:
            await trio.testing.wait_all_tasks_blocked(0.1)
    return tasks


async def greeted(wire: Wire) -> str:
    content, _ = await wire.until("system_update")
    return content


async def listen(wire: Wire, errors: list[str]) -> None:
    """Reads what an idle player gets; the socket answers pings only while somebody reads."""
    while True:
        content, _ = await wire.until("error")
        errors.append(content)


async def survive_storm(tmp_path: Path, count: int) -> dict[str, float]:
    """Returns figures of a storm against an engine that a player is using."""
    async with (
        engine(tmp_path / "home") as running,
        connected(running) as player,
        trio.open_nursery() as nursery,
    ):
        errors: list[str] = []
        await greeted(player)
        nursery.start_soon(listen, player, errors)
        tasks = await number(running, "flower_tasks")
        await storm(running.address, 200, seed=0)  # warm: modules loaded, buffers grown
        await settled_tasks(running, tasks)
        descriptors = await settled(running, running.descriptors)
        memory, begun = running.rss, time.monotonic()
        await storm(running.address, count, seed=1)
        seconds = time.monotonic() - begun
        left = await settled(running, descriptors)
        assert running.process.poll() is None, output(running.home)[-3000:]
        async with connected(running) as again:
            assert await greeted(again) == "✓ Engine ready."
        await player.say("/why")
        with trio.fail_after(5):
            while not errors:
                await trio.testing.wait_all_tasks_blocked(0.05)
        found: dict[str, float] = {
            "connections": count,
            "per second": round(count / seconds),
            "descriptors": left - descriptors,
            "tasks": await settled_tasks(running, tasks) - tasks,
            "MiB": round((running.rss - memory) / MIB, 1),
        }
        nursery.cancel_scope.cancel()
    return found


@pytest.mark.timeout(120)
async def test_a_storm_of_hostile_connections_changes_nothing(tmp_path: Path) -> None:
    found = await survive_storm(tmp_path, 1000)
    assert found["descriptors"] <= 0
    assert found["tasks"] <= 0
    assert found["MiB"] <= 20


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_a_long_storm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = await survive_storm(tmp_path, 100_000)
    with capsys.disabled():
        print(f"\nhostile connections: {found}")
    assert found["descriptors"] <= 1, "the database may have opened its log meanwhile"
    assert found["tasks"] <= 0
    assert found["MiB"] <= 20


async def test_nothing_a_stranger_sends_costs_much_memory(tmp_path: Path) -> None:
    """Endless fragments, a flood of bytes in one message, a compressed one, pings without end."""
    flood = [
        frame(b"x" * 60_000, last=False) + frame(b"x" * 60_000, 0, last=False) * 300,
        frame(b"", last=False) + frame(b"", 0, last=False) * 200_000,
        b"\x81\xff\x00\x00\x00\x00\x40\x00\x00\x00\0\0\0\0" + b"y" * 20_000_000,
        frame(b"z" * 100_000, reserved=4) * 50,
        frame(b"", 9) * 100_000,
        frame(b"{" * 100) * 20_000,
    ]
    async with engine(tmp_path / "home") as running:
        async with connected(running) as wire:
            await greeted(wire)
        before = running.rss
        for data in flood:
            with trio.move_on_after(3):
                async with await trio.open_tcp_stream(*running.address) as stream:
                    await stream.send_all(UPGRADE)
                    with contextlib.suppress(trio.BrokenResourceError):  # closed in the middle of it
                        await stream.send_all(data)
            assert running.rss - before < 20 * MIB
        async with connected(running) as wire:
            with trio.fail_after(5):
                assert await greeted(wire) == "✓ Engine ready."


HEADERS_S = 1.0  # a fifth of what is shipped


async def test_whoever_sends_headers_byte_by_byte_is_thrown_out(tmp_path: Path) -> None:
    """And many of them do not keep others from coming in."""
    async with engine(tmp_path / "home", program=with_limits(HEADERS_S=HEADERS_S)) as running:
        async with trio.open_nursery() as nursery:
            ended: list[float] = []

            async def drip() -> None:
                begun = trio.current_time()
                async with await trio.open_tcp_stream(*running.address) as stream:
                    try:
                        for number in range(1000):
                            await stream.send_all(UPGRADE[number : number + 1])
                            with trio.move_on_after(0.3):
                                if not await stream.receive_some(1):
                                    break
                    except trio.BrokenResourceError:
                        pass  # that is the point
                ended.append(trio.current_time() - begun)

            for _ in range(50):
                nursery.start_soon(drip)
            with trio.fail_after(3):
                async with connected(running) as wire:
                    await greeted(wire)
        assert max(ended) < HEADERS_S + 2


async def test_more_connections_than_the_most_are_closed_and_clients_stay(tmp_path: Path) -> None:
    async with engine(tmp_path / "home") as running, connected(running) as player:
        await greeted(player)
        count = hypercorn_patches.CONNECTIONS_MAX + 50
        idle = [await trio.open_tcp_stream(*running.address) for _ in range(count)]
        await trio.testing.wait_all_tasks_blocked(0.3)
        assert running.descriptors < hypercorn_patches.CONNECTIONS_MAX + 60
        await player.say("/help")
        with trio.fail_after(5):
            await player.until("system_update")
        for stream in idle:
            await stream.aclose()
        await trio.testing.wait_all_tasks_blocked(0.5)
        with trio.fail_after(listener.HEADERS_S / 2):
            async with connected(running) as wire:
                await greeted(wire)


async def test_guessing_a_token_over_the_wire_is_slowed_down(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text("engine:\n  token: correct-horse-battery\n")
    (home / "config.yaml").chmod(0o600)
    request = UPGRADE.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer guess\r\n\r\n")
    statuses = []
    async with engine(home) as running:
        for _ in range(6):
            async with await trio.open_tcp_stream(*running.address) as stream:
                await stream.send_all(request)
                statuses.append(bytes(await stream.receive_some())[9:12])
        assert statuses == [b"401"] * 4 + [b"429"] * 2
        with trio.fail_after(access.TOKEN_WAIT_S + 5):
            await trio.testing.wait_all_tasks_blocked(access.TOKEN_WAIT_S + 0.1)
            async with connected(running, Authorization="Bearer correct-horse-battery") as wire:
                assert await greeted(wire) == "✓ Engine ready."
        assert "correct-horse" not in output(home)


async def test_leaving_in_the_middle_of_a_greeting_or_goodbye_is_no_error(tmp_path: Path) -> None:
    """Nor is an empty frame of bytes, which the libraries below turn into nothing at all."""
    home = tmp_path / "home"
    async with engine(home) as running:
        for _ in range(30):  # some of them leave before they are let in, some after
            async with await trio.open_tcp_stream(*running.address) as stream:
                await stream.send_all(UPGRADE + b"\x88\x80aaaa" + b"\x81\x05hello")
        async with connected(running) as wire:
            await greeted(wire)
            await wire.socket.send_message(b"")
            await wire.say("/help")
            with trio.fail_after(5):
                await wire.until("system_update")
    assert "Traceback" not in output(home)


async def test_a_hangup_while_an_engine_stops_does_not_kill_it(tmp_path: Path) -> None:
    """A terminal that closes sends both; the signal's default is death."""
    for _ in range(5):
        running = await start(tmp_path / "home")
        try:
            await wait_announced(running)
            running.process.send_signal(signal.SIGHUP)
            running.process.terminate()
            with trio.fail_after(20):
                while running.process.poll() is None:
                    running.process.send_signal(signal.SIGHUP)
                    await trio.testing.wait_all_tasks_blocked(0.005)
            assert running.process.returncode == 0
        finally:
            await kill(running)
