"""How fast words travel from a provider through the engine to a client.

A scripted OpenAI-compatible server and a client live in this process, the real engine in another.
The baseline is the same client reading the same server directly, in the same run. ``--passages`` fills
the world's lore with so many more passages, whose vectors are made up. ``--reading`` has the engine read a text
of 10,000 passages meanwhile, its only other work; ``taskset -c 0`` before it makes a machine of one core.

    python -m tests.bench.relay [--passages 10000] [--reading]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import httpx
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from flower.engine.recall.base import lore_scope
from flower.engine.recall.minilm import MODEL_ID
from flower.engine.store import passages, vector_rows
from flower.engine.store.passages import Chunk
from flower.engine.store.sqlite.database import Database
from tests.bench.machine import vectors, write_lore
from tests.bench.recall.measure import make_texts, make_vectors

WORD = "lantern"  # with a number behind it: a model that repeats itself is stopped
WORLD = "orrinsay"
ROOT = Path(__file__).parents[2]
READING_S = 0.5
READ = 10_000


class Server:
    """An SSE endpoint that sends ``count`` tokens ``gap_s`` apart and notes when it sent each."""

    def __init__(self) -> None:
        self.count = 0
        self.gap_s = 0.0
        self.tell: Callable[[int], str] = lambda number: f"{WORD}{number} "
        self._told = 0  # in earlier replies: a story that repeats itself is stopped as well
        self.asked_at = 0.0
        self.sent: list[float] = []

    async def handle(self, stream: trio.SocketStream) -> None:
        async with stream:
            while True:
                request = await _read_request(stream)
                if request is None:
                    return
                if not request.startswith(b"POST"):
                    body = json.dumps({"data": [{"id": "bench"}]}).encode()
                    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                    await stream.send_all(head.encode() + body)
                    continue
                self.asked_at = trio.current_time()
                await self._stream_tokens(stream)
                return

    async def _stream_tokens(self, stream: trio.SocketStream) -> None:
        await stream.send_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        )
        self.sent = []
        next_at = trio.current_time()
        for number in range(self.count):
            if self.gap_s:
                next_at += self.gap_s
                await trio.sleep_until(next_at)
            self.sent.append(trio.current_time())
            delta = {"content": self.tell(self._told + number)}
            await stream.send_all(_event({"choices": [{"index": 0, "delta": delta}]}))
        self._told += self.count
        end: dict[str, object] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        await stream.send_all(_event(end) + b"data: [DONE]\n\n")


def _event(payload: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


async def _read_request(stream: trio.SocketStream) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = bytes(await stream.receive_some())
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = (int(lengths[0].split(b":")[1]) if lengths else 0) - len(body)
    while missing > 0:
        missing -= len(await stream.receive_some())
    return head


async def read_directly(port: int) -> list[float]:
    """Returns when each token arrived, read straight from the server."""
    arrived: list[float] = []
    async with (
        httpx.AsyncClient(timeout=None) as client,
        client.stream("POST", f"http://127.0.0.1:{port}/v1/chat/completions", json={}) as response,
    ):
        pending = b""
        async for data in response.aiter_raw():
            pending += data
            while b"\n\n" in pending:
                event, _, pending = pending.partition(b"\n\n")
                if b'"content"' in event:
                    arrived.append(trio.current_time())
    return arrived


async def read_through_engine(socket: WebSocketConnection, line: str) -> list[float]:
    """Returns when each token arrived at a client of the engine; a merged chunk counts its tokens."""
    await socket.send_message(json.dumps({"prompt": line}))
    arrived: list[float] = []
    end = ""  # of what came, as a word may come in two pieces
    while True:
        frame = json.loads(await socket.get_message())
        now = trio.current_time()
        if frame["event"] == "chat_chunk":
            end += frame["payload"]["content"]
            arrived += [now] * end.count(WORD)
            end = end[end.rfind(WORD) + len(WORD) :][-len(WORD) :] if WORD in end else end[-len(WORD) :]
        if frame["event"] == "error":
            raise RuntimeError(frame["payload"]["content"])
        if frame["event"] == "chat_end":
            return arrived


def cpu_s(pid: int) -> float:
    """Returns the CPU seconds that a process has used, those of its ended threads included.

    ``/proc`` counts in hundredths; Linux numbers each process's clock so (``clock_getcpuclockid``).
    """
    return time.clock_gettime(~pid << 3 | 2)


def delays_ms(sent: list[float], arrived: list[float]) -> tuple[float, float]:
    """Returns p50 and p99."""
    delays = sorted((b - a) * 1000 for a, b in zip(sent, arrived, strict=True))
    return statistics.median(delays), delays[int(len(delays) * 0.99)]


async def fill(home: Path, count: int) -> None:
    """Gives the world ``count`` passages more, with vectors, so that the engine has none to make."""
    drafts = [Chunk("Lore", text) for text in make_texts(count)]
    vectors = make_vectors(count)
    database = await Database.open(home / "flower.db")
    scope = lore_scope(WORLD)
    await database.write(
        passages.replace_source, "lore", scope, "bench", drafts, digest=b"", created=0.0
    )
    hashes = [passages.content_hash(draft.title, draft.text) for draft in drafts]
    await database.write(vector_rows.store_vectors, MODEL_ID, hashes, vectors)
    await database.aclose()


async def main(more_passages: int, *, reading: bool) -> None:
    server = Server()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, server.handle, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        with tempfile.TemporaryDirectory() as folder:
            if more_passages:
                await fill(Path(folder), more_passages)
            await _with_engine(Path(folder), server, port, reading=reading)
        nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def engine_at(home: Path, port: int, tree: Path = ROOT) -> AsyncIterator[tuple[int, str, int]]:
    """Runs a tree's engine whose model is at a port of this machine; yields its process id, host and port."""
    config = f"openai_base_url: http://127.0.0.1:{port}/v1\ndefault_model: bench\n"
    if (tree / "flower/engine/sessions/preparing.py").exists():  # not in older ones
        config += "prompt: {prepare: never}\n"  # nothing else is asked of the server meanwhile
    (home / "config.yaml").write_text(config)
    (home / "config.yaml").chmod(0o600)
    process = await trio.lowlevel.open_process(
        [sys.executable, "-P", "-m", "flower", "--home", str(home), "engine", "--port", "0"],
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not (home / "run" / "engine.json").exists():
            if process.poll() is not None:
                raise RuntimeError(f"the engine of {tree} ended with {process.returncode}")
            await trio.sleep(0.05)
        url = json.loads((home / "run" / "engine.json").read_text())["url"]
        host, number = url.removeprefix("ws://").split("/")[0].split(":")
        yield process.pid, host, int(number)
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _with_engine(home: Path, server: Server, port: int, *, reading: bool) -> None:
    async with engine_at(home, port) as (pid, host, number):  # noqa: SIM117 - a nursery ends first
        async with await trio.open_tcp_stream(host, number) as stream, trio.open_nursery() as nursery:
            socket = await wrap_client_stream(nursery, stream, host, "/ws/rpc")
            if reading:
                await _measure_reading(server, port, socket, home)
            else:
                await _measure(server, port, pid, socket)
            nursery.cancel_scope.cancel()


async def _begin(server: Server, socket: WebSocketConnection) -> None:
    for command in (f"/world select {WORLD}", "/session new"):
        await socket.send_message(json.dumps({"prompt": command}))
    server.count = 3
    await read_through_engine(socket, "Warm up: load the embedding model.")
    print(f"{'':34}{'direct':>12}{'engine':>12}{'ratio':>8}")


async def _measure(server: Server, port: int, pid: int, socket: WebSocketConnection) -> None:
    await _begin(server, socket)
    idle = 0.0
    while idle < 3:  # the world's lore is embedded meanwhile, and an index built
        before = cpu_s(pid)
        with trio.move_on_after(1):  # reading, as a client that does not is taken for dead
            while True:
                await socket.get_message()
        idle = idle + 1 if cpu_s(pid) - before < 0.1 else 0.0

    async def through(line: str) -> list[float]:
        return await read_through_engine(socket, line)

    async def direct(line: str) -> list[float]:
        return await read_directly(port)

    await _row_asked(server, direct, through)
    await _row_paced(server, direct, through, pid, tokens=1000, gap_s=0.02)
    await _row_unthrottled(server, direct, through, pid, tokens=12_000)  # within what a reply may have


Reader = Callable[[str], Awaitable[list[float]]]


async def _row_asked(server: Server, direct: Reader, through: Reader) -> None:
    """From the player's line to the request at the provider, recall and saving included.

    A person reads the reply before the next line; what the engine does meanwhile is not waited for.
    """
    server.count, server.gap_s = 1, 0.0
    figures = []
    for reader in (direct, through):
        waits = []
        for number in range(30):
            await trio.sleep(READING_S)
            started = trio.current_time()
            await reader(f"Question {number}: who keeps the light on the rock?")
            waits.append((server.asked_at - started) * 1000)
        figures.append(statistics.median(waits))
    _print_row("prompt to request, p50 ms", *figures)


async def _row_paced(
    server: Server, direct: Reader, through: Reader, pid: int, *, tokens: int, gap_s: float
) -> None:
    server.count, server.gap_s = tokens, gap_s
    arrived = await direct("")
    base = delays_ms(server.sent, arrived)
    before = cpu_s(pid)
    arrived = await through("Tell me slowly.")
    used = cpu_s(pid) - before
    own = delays_ms(server.sent, arrived)
    _print_row(f"relay at {1 / gap_s:.0f} tokens/s, p50 ms", base[0], own[0])
    _print_row(f"relay at {1 / gap_s:.0f} tokens/s, p99 ms", base[1], own[1])
    _print_row("engine CPU s per 1,000 tokens", None, used * 1000 / tokens)


async def _read_on(socket: WebSocketConnection) -> None:
    """Takes what comes, so that the engine does not give this client up."""
    while True:
        await socket.get_message()


async def _measure_reading(server: Server, port: int, socket: WebSocketConnection, home: Path) -> None:
    """The relay while passages are taken in and embedded; stops the bench if they were done before its end."""
    await _begin(server, socket)
    write_lore(home / "lore.md", READ)
    before = vectors(home)
    line = [
        sys.executable,
        "-m",
        "flower",
        "lore",
        "add",
        "--home",
        str(home),
        WORLD,
        str(home / "lore.md"),
    ]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.run_process, line, stdout=subprocess.DEVNULL))
        with trio.CancelScope() as waiting:
            nursery.start_soon(_until_read, home, before + 1, waiting)
            await _read_on(socket)
        await _compare_reading(server, port, socket, home, before)


async def _until_read(home: Path, count: int, waiting: trio.CancelScope) -> None:
    while vectors(home) < count:
        await trio.sleep(0.1)
    waiting.cancel()


async def _compare_reading(
    server: Server, port: int, socket: WebSocketConnection, home: Path, before: int, tokens: int = 1000
) -> None:
    server.count, server.gap_s = tokens, 0.02
    begun, first = trio.current_time(), vectors(home)
    arrived = await read_through_engine(socket, "Tell me while you read.")
    own = delays_ms(server.sent, arrived)
    rate = (vectors(home) - first) / (trio.current_time() - begun)
    if vectors(home) >= before + READ:
        sys.exit("everything was read before the reply ended; nothing was measured")
    arrived = await read_directly(port)
    base = delays_ms(server.sent, arrived)
    _print_row("relay beside a reading, p50 ms", base[0], own[0])
    _print_row("relay beside a reading, p99 ms", base[1], own[1])
    _print_row("passages a second meanwhile", None, rate)


async def _row_unthrottled(
    server: Server, direct: Reader, through: Reader, pid: int, *, tokens: int
) -> None:
    server.count, server.gap_s = tokens, 0.0
    rates = []
    used = 0.0
    for reader in (direct, through):
        before = cpu_s(pid)
        arrived = await reader("Tell me all at once.")
        used = cpu_s(pid) - before
        rates.append(tokens / (arrived[-1] - server.asked_at))
    _print_row("unthrottled, tokens/s", *rates)
    _print_row("engine CPU s per 1,000, unthrottled", None, used * 1000 / tokens)


def _print_row(name: str, direct: float | None, engine: float) -> None:
    base = f"{direct:12,.2f}" if direct is not None else f"{'':12}"
    ratio = f"{engine / direct:8.2f}" if direct else ""
    print(f"{name:34}{base}{engine:12,.2f}{ratio}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--passages", type=int, default=0)
    parser.add_argument("--reading", action="store_true")
    arguments = parser.parse_args()
    trio.run(partial(main, arguments.passages, reading=arguments.reading))
