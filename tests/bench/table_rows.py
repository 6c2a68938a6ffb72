"""The engine's rows of ``tests.bench.table``: each group starts an engine of a given tree and measures it from outside.

``python -m tests.bench.table`` runs it. Homes are filled by the code of the tree that is measured, in a process of
its own.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from flower.engine.recall.embedder import TIDY_AFTER_S
from tests.bench import after_reply
from tests.bench.engine import LINES, say
from tests.bench.relay import WORLD, Server, cpu_s, engine_at, read_through_engine
from tests.engine_process import Process, Wire, begin_story, connected, kill, start
from tests.pty_world import Pty

HERE = Path(__file__).parent
MIB = 1024 * 1024
PROMPTS = 20
READING_S = 0.3
REST_S = 1.0
REST_CPU_S = 0.003  # in that time: less is none
Rows = dict[str, float]
Group = Callable[[Path, Path], Awaitable[Rows]]


async def run_in(tree: Path, *arguments: str) -> str:
    """Returns what a Python process prints that has the code of a tree."""
    done = await trio.run_process(
        [sys.executable, "-P", *arguments],
        capture_stdout=True,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )
    return done.stdout.decode()


@asynccontextmanager
async def running(tree: Path, home: Path) -> AsyncIterator[Process]:
    """Runs a tree's engine with the offline narrator."""
    engine = await start(
        home, program=[sys.executable, "-P", "-m", "flower"], environ={"PYTHONPATH": str(tree)}
    )
    try:
        with trio.fail_after(300):  # a large home of an earlier schema
            while not engine.announced:
                await trio.sleep(0.02)
        yield engine
    finally:
        await kill(engine)


# --- memory -------------------------------------------------------------------------------------


async def memory(tree: Path, folder: Path) -> Rows:
    """Plays fifty exchanges; the screen is the tree's too."""
    home = folder / "home"
    async with running(tree, home):
        pass  # the first start makes files
    begun = time.monotonic()
    async with running(tree, home) as engine:
        rows = {"start": time.monotonic() - begun, "idle": engine.rss / MIB}
        async with connected(engine) as wire:
            await begin_story(wire)
            await say(wire, LINES[0])
            rows["loaded"] = engine.rss / MIB
            for number in range(1, 50):
                await say(wire, LINES[number % len(LINES)])
            rows["after 50"] = engine.rss / MIB
            with Pty(
                [sys.executable, "-P", "-m", "flower", "--home", str(home)], {"PYTHONPATH": str(tree)}
            ) as screen:
                await trio.to_thread.run_sync(screen.drain, 3.0)
                pages = int(Path(f"/proc/{screen.child.pid}/statm").read_text().split()[1])
                screen_mib = pages * os.sysconf("SC_PAGE_SIZE") / MIB
                rows["whole"] = engine.rss / MIB + screen_mib
            await trio.sleep(TIDY_AFTER_S + 2)
            rows["rested"] = engine.rss / MIB
    return rows


# --- with a model over HTTP ---------------------------------------------------------------------


class Asked(Server):
    """A model that notes the engine's CPU seconds when it is asked."""

    pid = 0
    cpu = 0.0

    async def _stream_tokens(self, stream: trio.SocketStream) -> None:
        self.cpu = cpu_s(self.pid) if self.pid else 0.0
        await super()._stream_tokens(stream)


@asynccontextmanager
async def playing(tree: Path, home: Path) -> AsyncIterator[tuple[Asked, WebSocketConnection]]:
    """Runs a tree's engine with a scripted model; yields both once the engine rests."""
    server = Asked()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, server.handle, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        async with engine_at(home, port, tree) as (pid, host, number):  # noqa: SIM117 - it ends last
            async with await trio.open_tcp_stream(host, number) as stream, trio.open_nursery() as inner:
                socket = await wrap_client_stream(inner, stream, host, "/ws/rpc")
                server.pid, server.count = pid, 1
                for command in (f"/world select {WORLD}", "/session new"):
                    await socket.send_message(json.dumps({"prompt": command}))
                yield server, socket
                inner.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


async def rested(pid: int, socket: WebSocketConnection) -> None:
    """Reads until the engine has done next to nothing for a while."""
    while True:
        before = cpu_s(pid)
        with trio.move_on_after(REST_S):
            while True:
                await socket.get_message()
        if cpu_s(pid) - before < REST_CPU_S:
            return


async def asked(server: Asked, socket: WebSocketConnection) -> tuple[float, float]:
    """Returns the median CPU and wall milliseconds from a line to the request, over some lines."""
    cpu, wall = [], []
    for number in range(PROMPTS):
        with trio.move_on_after(READING_S):
            while True:
                await socket.get_message()
        before, begun = cpu_s(server.pid), trio.current_time()
        await read_through_engine(socket, f"Question {number}: who keeps the light on the rock?")
        cpu.append(1000 * (server.cpu - before))
        wall.append(1000 * (server.asked_at - begun))
    return statistics.median(cpu), statistics.median(wall)


async def prompts(passages: int, tree: Path, folder: Path) -> Rows:
    """A line's way to the request with so many more passages of lore."""
    home = folder / "home"
    home.mkdir()
    if passages:
        await run_in(tree, str(HERE / "fill_home.py"), str(home), str(passages))
    async with playing(tree, home) as (server, socket):
        begun, before = trio.current_time(), cpu_s(server.pid)
        await read_through_engine(socket, "Who keeps the light?")
        first = server.asked_at - begun
        rows = {"first": first, "first CPU": server.cpu - before}
        await rested(server.pid, socket)
        rows["CPU"], rows["wall"] = await asked(server, socket)
        rows["rss"] = rss_mib(server.pid)
    return rows


def rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


async def relay(tree: Path, folder: Path, tokens: int = 400) -> Rows:
    """CPU for words that come fifty a second, from the request to the last of them."""
    home = folder / "home"
    home.mkdir()
    async with playing(tree, home) as (server, socket):
        await read_through_engine(socket, "Warm up.")
        await rested(server.pid, socket)
        server.count, server.gap_s = tokens, 0.02
        await read_through_engine(socket, "Tell me slowly.")
        used = cpu_s(server.pid) - server.cpu
    return {"relay": used * 1000 / tokens}


async def replied(tree: Path, folder: Path) -> Rows:
    found = await after_reply.measured(tree)
    return {str(characters): cpu for characters, (cpu, _) in found.items()}


# --- large homes --------------------------------------------------------------------------------


async def stories(count: int, messages: int, tree: Path, folder: Path) -> Rows:
    """What a player does in a home of so many stories, in CPU milliseconds of the engine until the answer.

    An odd number of ``messages``: a reply at the end would be embedded first, in each of them.
    """
    home = folder / "home"
    await run_in(tree, str(HERE / "fill_home.py"), str(home), str(count), str(messages))
    async with running(tree, home):
        pass
    begun = time.monotonic()
    async with running(tree, home) as engine:
        rows = {"start": time.monotonic() - begun}
        async with connected(engine) as wire:
            cost = partial(costs, engine.process.pid, wire)
            rows["open"] = await cost(lambda number: f"/session continue s{number}", "chat_history")
            rows["line"] = await cost(lambda number: f"I look around, {number}.", "chat_chunk")
            rows["search"] = await cost(lambda _: "/session search the", "system_update")
            rows["list"] = await cost(lambda _: "/session list", "system_update")
    return rows


async def costs(pid: int, wire: Wire, line: Callable[[int], str], event: str) -> float:
    """Returns the least CPU milliseconds from a line to the event that answers it, of some after the first."""
    least = math.inf
    for number in range(6):
        await quiet(pid, wire)
        before = cpu_s(pid)
        await wire.say(line(number))
        await wire.until(event)
        if number:
            least = min(least, 1000 * (cpu_s(pid) - before))
    await quiet(pid, wire)
    return least


async def quiet(pid: int, wire: Wire) -> None:
    while True:
        before = cpu_s(pid)
        with trio.move_on_after(REST_S / 2):
            while True:
                await wire.receive()
        if cpu_s(pid) - before < REST_CPU_S:
            return


# --- benches of the tree itself, whose lines are read -------------------------------------------


async def crowd(tree: Path, folder: Path) -> Rows:
    """Twenty stories at once over real HTTP."""
    told = await run_in(tree, "-m", "tests.bench.many_stories", "--stories", "20", "--seconds", "5")
    numbers = told.splitlines()[-1].removeprefix("a story each").split()
    return {
        "first p50": float(numbers[1]),
        "first max": float(numbers[3]),
        "lag p99": float(numbers[5]),
    }


SCREEN = (
    "from tests.bench.tui import *; start(); streaming(50, 200); token_latency(50, 4); "
    "token_latency(200, 4)"
)


async def screen(tree: Path, folder: Path) -> Rows:
    told = await run_in(tree, "-c", SCREEN)
    rows = {}
    for line in told.splitlines():
        name, _, figures = line.partition("  ")
        for place, figure in enumerate(figures.replace("ms", "").replace("/", " ").split()):
            rows[f"{name.strip()} {place}"] = float(figure)
    return rows
