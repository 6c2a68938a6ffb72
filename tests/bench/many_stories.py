"""Many stories at once through the real HTTP client, over real sockets: first token, relay, CPU.

    python -m tests.bench.many_stories [--stories 20 100 200] [--seconds 15] [--places N] [--gap-ms 50]

A scripted OpenAI-compatible server in a process of its own sends every story 20 tokens a second; a token is
the time at which it was sent, so its age when a client has it is the relay's lag, HTTP client included. The
baseline of the same run is one story alone. ``--places`` lets the server refuse (429) what is more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from tests.bench.faces import Ears, crowd, percentile
from tests.engine_process import Process, engine, make_home

CONFIG = """
default_model: bench/bench
providers:
  - {{name: bench, kind: compatible, base_url: "http://127.0.0.1:{port}/v1", models: [bench]}}
"""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FULL = b'{"error":{"message":"all places are taken","type":"rate_limit"}}'


# --- the server, in a process of its own


class Server:
    """Sends ``words`` stamped tokens ``gap_s`` apart to every request, ``places`` at once (0: any number)."""

    def __init__(self, words: int, gap_s: float, places: int) -> None:
        self._words = words
        self._gap_s = gap_s
        self._places = places
        self._telling = 0

    async def handle(self, stream: trio.SocketStream) -> None:
        async with stream:
            try:
                while (request := await read_request(stream)) is not None:
                    await self._answer(stream, request)
            except trio.BrokenResourceError:
                return

    async def _answer(self, stream: trio.SocketStream, request: bytes) -> None:
        if not request.startswith(b"POST"):
            await stream.send_all(whole(b"200 OK", b'{"data":[{"id":"bench"}]}'))
        elif self._places and self._telling >= self._places:
            await stream.send_all(whole(b"429 Too Many Requests", FULL))
        else:
            self._telling += 1
            try:
                await self._tell(stream)
            finally:
                self._telling -= 1

    async def _tell(self, stream: trio.SocketStream) -> None:
        await stream.send_all(HEAD)
        due = trio.current_time()
        for _ in range(self._words):
            await stream.send_all(part(delta(f"{time.monotonic_ns()} ")))
            due += self._gap_s
            await trio.sleep_until(due)
        end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        await stream.send_all(part(end) + b"0\r\n\r\n")


async def read_request(stream: trio.SocketStream) -> bytes | None:
    """Returns one request, head and body; None when the peer has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some(65_536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    size = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < size:
        body += await stream.receive_some(65_536)
    return data


def whole(status: bytes, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (status, len(body))
        + body
    )


def part(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def delta(text: str) -> bytes:
    chunk = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": text}}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def serve(words: int, gap_s: float, places: int) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    print(listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(Server(words, gap_s, places).handle, listeners)


@asynccontextmanager
async def server(words: int, gap_s: float, places: int) -> AsyncIterator[int]:
    """Runs the server; gives its port."""
    order = [
        sys.executable,
        "-m",
        "tests.bench.many_stories",
        "--serve",
        str(words),
        str(gap_s),
        str(places),
    ]
    process = await trio.lowlevel.open_process(order, stdout=subprocess.PIPE)
    assert process.stdout is not None
    async with process.stdout:
        try:
            yield int(await process.stdout.receive_some(64))
        finally:
            process.kill()
            await process.wait()


# --- the measurement


def cpu_s(running: Process) -> float:
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(label: str, stories: int, seconds: float, gap_s: float, places: int) -> str:
    words = int(seconds / gap_s)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        make_home(home)
        async with server(words, gap_s, places) as port:
            (home / "config.yaml").write_text(CONFIG.format(port=port))
            async with engine(home) as running:
                await crowd(running, 1, 0, 1, one=False)  # what is loaded once
                before = cpu_s(running)
                ears: Ears = await crowd(running, stories, 0, seconds, one=False)
                cpu = cpu_s(running) - before
    return (
        f"{label:<22} {stories:>7} {statistics.median(ears.first_ms):>9.0f} {percentile(ears.first_ms, 0.99):>9.0f}"
        f" {max(ears.first_ms):>9.0f} {percentile(ears.lag_ms, 0.5):>8.1f} {percentile(ears.lag_ms, 0.99):>8.1f}"
        f" {max(ears.lag_ms):>8.1f} {cpu / max(ears.words, 1) * 1000:>9.2f} {stories * words - ears.words:>5}"
    )


async def compare(arguments: argparse.Namespace) -> None:
    gap_s = arguments.gap_ms / 1000
    print(
        "times in ms; CPU of the engine in s per 1,000 tokens, prompts and what follows a reply included"
    )
    print(
        f"{'':<22} {'stories':>7} {'first p50':>9} {'first p99':>9} {'first max':>9} {'lag p50':>8} {'lag p99':>8}"
        f" {'lag max':>8} {'cpu/1000':>9} {'lost':>5}"
    )
    print(await measure("one alone (baseline)", 1, arguments.seconds, gap_s, 0), flush=True)
    for stories in arguments.stories:
        print(
            await measure("a story each", stories, arguments.seconds, gap_s, arguments.places),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stories", type=int, nargs="*", default=[20, 100, 200])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--gap-ms", type=float, default=50.0)
    parser.add_argument("--places", type=int, default=0)
    parser.add_argument("--serve", nargs=3)
    arguments = parser.parse_args()
    if arguments.serve:
        words, gap_s, places = arguments.serve
        trio.run(partial(serve, int(words), float(gap_s), int(places)))
    else:
        trio.run(compare, arguments)


if __name__ == "__main__":
    main()
