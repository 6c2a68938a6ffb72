"""A narrator on a socket whose replies stop in the middle until a test lets them go on.

An OpenAI-compatible server, for engines that run as processes: what has to happen during a reply then needs none that
is slow enough for a busy machine, and nobody waits for its end.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

BEGINNING = ("The bell ", "swings, ", "slowly, ", "and out ", "on the ", "water ", "a second ", "one ")
END = ("answers. ", "Then ", "it is quiet.")
PACE_S = 0.05  # between pieces, so that each comes by itself
CONFIG = "default_model: openai/held\nfallback_models: []\n"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"


class HeldNarrator:
    """``held``: set when a reply waits; whoever sets ``goes_on`` lets this one and all later ones end."""

    def __init__(self) -> None:
        self.environ: dict[str, str] = {}  # for an engine, to find it
        self.held = trio.Event()
        self.goes_on = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        try:
            head, _, rest = (await _until(stream, b"\r\n\r\n")).partition(b"\r\n\r\n")
            lengths = [row for row in head.lower().split(b"\r\n") if row.startswith(b"content-length:")]
            size = int(lengths[0].split(b":")[1]) if lengths else 0
            while len(rest) < size:
                rest += await stream.receive_some()
            if json.loads(rest or b"{}").get("stream"):
                await self._stream(stream)
            else:  # a summary, a suggestion, the list of models
                await stream.send_all(
                    _HEAD % b"application/json" + _event({"content": "A bell."}, "message")
                )
        except trio.BrokenResourceError:  # the engine was killed
            pass
        await stream.aclose()

    async def _stream(self, stream: trio.SocketStream) -> None:
        await stream.send_all(_HEAD % b"text/event-stream")
        for piece in BEGINNING:
            await stream.send_all(b"data: " + _event({"content": piece}, "delta") + b"\n\n")
            await trio.sleep(PACE_S)
        self.held.set()
        await self.goes_on.wait()
        for piece in END:
            await stream.send_all(b"data: " + _event({"content": piece}, "delta") + b"\n\n")
        await stream.send_all(b"data: " + _event({}, "delta", "stop") + b"\n\ndata: [DONE]\n\n")


def _event(delta: dict[str, str], kind: str, finish: str | None = None) -> bytes:
    return json.dumps({"choices": [{"index": 0, kind: delta, "finish_reason": finish}]}).encode()


async def _until(stream: trio.SocketStream, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = await stream.receive_some()
        if not piece:
            raise trio.BrokenResourceError
        data += piece
    return data


@asynccontextmanager
async def held_narrator() -> AsyncIterator[HeldNarrator]:
    async with trio.open_nursery() as nursery:
        narrator = HeldNarrator()
        (listener,) = await nursery.start(partial(trio.serve_tcp, narrator.serve, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1"
        narrator.environ = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "a-key-of-this-test"}
        yield narrator
        nursery.cancel_scope.cancel()
