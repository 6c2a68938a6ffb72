"""What our side of a provider costs: pieces per second and CPU per 1,000 tokens, over loopback.

    python -m tests.bench.provider_stream [TOKENS] [ROUNDS]

A server in another process sends recorded-shape chunks; only the reader's CPU is counted. The baseline
reads the same bytes with httpx alone and decodes nothing, so the ratio is what decoding, interpreting
and the deadlines add.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import httpx
import trio

from flower.engine.provider.base import Completion, PromptMessage, Text
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.retry import Stream
from flower.engine.provider.services import build

CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795370340,"model":"m1",'
    b'"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"connection: close\r\n\r\n"
)
PROMPT = Completion("m1", (PromptMessage("user", "Go on."),), 100, 4096)


async def read_request(connection: trio.SocketStream) -> None:
    """Reads a request to its end; closing a socket with unread bytes would reset the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await connection.receive_some()
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += await connection.receive_some()


async def serve(tokens: int, per_second: float, connection: trio.SocketStream) -> None:
    """Sends ``tokens`` chunks; ``per_second`` 0 means as fast as they are taken."""
    async with connection:
        await read_request(connection)
        await connection.send_all(HEAD)
        framed = b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK)
        start = trio.current_time()
        for number in range(tokens):
            if per_second:
                await trio.sleep_until(start + number / per_second)
            await connection.send_all(framed)
        await connection.send_all(b"%x\r\n%b\r\n0\r\n\r\n" % (len(END), END))


async def through_flower(url: str, tokens: int) -> None:
    provider = build(Endpoint("bench", "compatible", url))
    count = 0
    async with Stream(provider, PROMPT) as pieces:
        async for piece in pieces:
            count += isinstance(piece, Text)
    await provider.aclose()
    assert count == tokens, count


async def through_httpx(url: str, tokens: int) -> None:
    size = 0
    async with (
        httpx.AsyncClient(trust_env=False, verify=False) as client,
        client.stream("POST", f"{url}/chat/completions", content=b"{}") as response,
    ):
        async for data in response.aiter_raw():
            size += len(data)
    assert size == tokens * len(CHUNK) + len(END), size


async def measure(
    read: Callable[[str, int], Awaitable[None]], url: str, tokens: int
) -> tuple[float, float]:
    """Returns (wall seconds, CPU seconds of this process) of one reply."""
    wall, cpu = time.perf_counter(), time.process_time()
    await read(url, tokens)
    return time.perf_counter() - wall, time.process_time() - cpu


async def serve_until_killed(tokens: int, per_second: float) -> None:
    async with trio.open_nursery() as nursery:
        server = partial(trio.serve_tcp, partial(serve, tokens, per_second), 0, host="127.0.0.1")
        (listener,) = await nursery.start(server)
        print(f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1", flush=True)


@contextmanager
def server(tokens: int, per_second: float) -> Iterator[str]:
    """Runs a server in a process of its own, so that its CPU is not counted; yields its address."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.provider_stream",
        "--serve",
        str(tokens),
        str(per_second),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        trio.run(serve_until_killed, int(sys.argv[2]), float(sys.argv[3]))
    tokens = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    print(f"{'pace':>12} {'path':>8} {'tokens/s':>10} {'CPU s per 1,000':>16}   (medians of {rounds})")
    for name, per_second, count in (("unthrottled", 0.0, tokens), ("50/s", 50.0, 250)):
        costs = {}
        for path, read in (("httpx", through_httpx), ("flower", through_flower)):
            with server(count, per_second) as url:
                runs = [trio.run(measure, read, url, count) for _ in range(rounds)]
            wall = statistics.median(run[0] for run in runs)
            costs[path] = statistics.median(run[1] for run in runs) / count * 1000
            print(f"{name:>12} {path:>8} {count / wall:>10.0f} {costs[path]:>16.4f}")
        print(f"{name:>12} {'ratio':>8} {'':>10} {costs['flower'] / costs['httpx']:>16.2f}")


if __name__ == "__main__":
    main()
