"""What the engine does after a reply has ended: CPU seconds until it is at rest again, and when that is.

A scripted model sends replies of 3,000 and 44,000 characters to new stories, and the engine is watched until it has
used no CPU for three seconds.

    python -m tests.bench.after_reply
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
from functools import partial
from pathlib import Path

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from tests.bench.relay import ROOT, WORD, WORLD, Server, cpu_s, engine_at, read_through_engine

REST_S = 3.0
ROUNDS = 3
WORDS_CHARS = 12  # of two words


def two_words(number: int) -> str:
    """A model that repeats itself is stopped."""
    choice = random.Random(number)
    return f"{WORD[: choice.randint(2, 7)]} {''.join(choice.choices('aeiourstlnm', k=6))} "[
        :WORDS_CHARS
    ]


async def at_rest(pid: int, socket: WebSocketConnection) -> tuple[float, float]:
    """Returns the CPU seconds used from now until the engine rests, and after how many seconds it did."""
    begun, first = trio.current_time(), cpu_s(pid)
    last, last_at = first, begun
    while trio.current_time() - last_at < REST_S:
        with trio.move_on_after(0.25):
            while True:
                await socket.get_message()
        used = cpu_s(pid)
        if used > last:
            last, last_at = used, trio.current_time()
    return last - first, last_at - begun


async def measure(
    server: Server, pid: int, socket: WebSocketConnection
) -> dict[int, tuple[float, float]]:
    """Returns for each length of reply the CPU seconds and after how many seconds the engine rested."""
    for command in (f"/world select {WORLD}", "/session new"):
        await socket.send_message(json.dumps({"prompt": command}))
    server.count = 3
    await read_through_engine(socket, "Warm up.")
    await at_rest(pid, socket)
    found = {}
    for characters in (3_000, 44_000):
        server.count, server.tell = characters // WORDS_CHARS, two_words
        rows = []
        for number in range(ROUNDS):
            await socket.send_message(json.dumps({"prompt": "/session new"}))
            await read_through_engine(socket, f"Tell me of the {number}th night.")
            rows.append(await at_rest(pid, socket))
        cpu, rest = (statistics.median(column) for column in zip(*rows, strict=True))
        found[characters] = (cpu, rest)
    return found


async def measured(tree: Path = ROOT) -> dict[int, tuple[float, float]]:
    """As ``measure``, with a tree's engine in a home of its own."""
    server = Server()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, server.handle, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        with tempfile.TemporaryDirectory() as folder:
            async with engine_at(Path(folder), port, tree) as (pid, host, number):  # noqa: SIM117 - it ends last
                async with (
                    await trio.open_tcp_stream(host, number) as stream,
                    trio.open_nursery() as inner,
                ):
                    socket = await wrap_client_stream(inner, stream, host, "/ws/rpc")
                    found = await measure(server, pid, socket)
                    inner.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    return found


def main() -> None:
    print(f"{'after a reply of':24}{'CPU s':>8}{'at rest after s':>18}")
    for characters, (cpu, rest) in trio.run(measured).items():
        print(f"{characters:>12,} characters{cpu:8.3f}{rest:18.1f}")


if __name__ == "__main__":
    main()
