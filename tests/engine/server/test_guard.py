"""One bad connection stays one connection. The contract of ``flower.engine.server.hypercorn_patches``."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from quart import websocket
from quart_trio import QuartTrio
from trio_websocket import open_websocket_url

from flower import limits
from flower.engine.server import hypercorn_patches, listener

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


class Served:
    """A small echo application behind the real server, and what happened in it."""

    def __init__(self, port: int, stop: trio.Event) -> None:
        self.port = port
        self.stop = stop
        self.url = f"ws://127.0.0.1:{port}/ws"
        self.send_after_close: BaseException | None = None

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def echo_works(self) -> bool:
        async with open_websocket_url(self.url) as socket:
            await socket.send_message("still there?")
            return bool(await socket.get_message() == "still there?")


@asynccontextmanager
async def served(connections: int = 100) -> AsyncIterator[Served]:
    app = QuartTrio("echo")
    bound = listener.bind("127.0.0.1", 0)
    world = Served(bound.getsockname()[1], trio.Event())

    async def echo() -> None:
        while True:
            await websocket.send(await websocket.receive())

    async def babble() -> None:
        """Sends for ever without looking whether anybody is there."""
        try:
            while True:
                await websocket.send("x" * 100_000)
        except BaseException as error:
            world.send_after_close = error
            raise

    app.add_websocket("/ws", view_func=echo)
    app.add_websocket("/babble", view_func=babble, endpoint="babble")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            serve = partial(listener.serve, connections=connections)
            await nursery.start(serve, app, bound, world.stop)
            yield world
            world.stop.set()


async def frames_until_closed(stream: trio.SocketStream) -> bytes:
    """Returns what the server sends before it closes, without its pings."""
    received = b""
    with trio.fail_after(10):
        while data := bytes(await stream.receive_some()):
            received += data
    return received.replace(b"\x89\x00", b"")


HOSTILE = [
    UPGRADE + b"\r\nx",
    UPGRADE + b"\r\n\x00\x00\x00\x00",
    UPGRADE + b"Content-Length: 5\r\n\r\nhello",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
    b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\nxxxx",
    b"GET /ws HTTP/1.0\r\nUpgrade: websocket\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x00" * 1000,
    b"GET " + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("opening", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_bytes_cost_only_their_own_connection(opening: bytes) -> None:
    async with served() as world:
        stream = await world.connect()
        async with stream:
            await stream.send_all(opening)
            with trio.move_on_after(0.2):
                await stream.send_eof()
                while await stream.receive_some():
                    pass
        assert await world.echo_works()


async def test_as_many_connections_are_open_as_an_engine_says() -> None:
    async with served(connections=2) as world:
        kept = [await world.connect() for _ in range(2)]
        for stream in kept:
            await stream.send_all(UPGRADE + b"\r\n")
            assert await stream.receive_some()
        async with await world.connect() as one_more:
            assert await frames_until_closed(one_more) == b""
        for stream in kept:
            await stream.aclose()


async def test_hostile_connections_leave_no_file_descriptors() -> None:
    async with served() as world:
        assert await world.echo_works()
        before = len(os.listdir("/proc/self/fd"))
        for opening in HOSTILE * 3:
            async with await world.connect() as stream:
                await stream.send_all(opening)
        assert await world.echo_works()
        with trio.move_on_after(10):
            while len(os.listdir("/proc/self/fd")) > before:
                await trio.testing.wait_all_tasks_blocked(0.05)
        assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("first", [b"Connection: close\r\n", b"", b"Content-Length: 5\r\n"])
async def test_requests_in_one_packet_leave_no_task_behind(first: bytes) -> None:
    """The connection may end before the second one has its turn."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\n"
    async with served() as world:
        for end in (b"", b"\x00\x00", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
            for _ in range(5):
                async with await world.connect() as stream:
                    await stream.send_all(head + first + b"\r\n" + head + b"\r\n" + end)
        assert await world.echo_works()
        with trio.fail_after(hypercorn_patches.PIPELINE_S):
            while hypercorn_patches.GuardedTCPServer.open_now:
                await trio.testing.wait_all_tasks_blocked(0.05)


async def test_http_2_is_not_spoken() -> None:
    for opening in (HOSTILE[5], HOSTILE[6]):
        async with served() as world, await world.connect() as stream:
            await stream.send_all(opening)
            with trio.fail_after(10):
                answer = bytes(await stream.receive_some())
            assert answer.startswith(b"HTTP/1.1 4") or answer == b""


async def test_a_message_in_too_many_pieces_closes_the_connection() -> None:
    async with served() as world, await world.connect() as stream:
        await stream.send_all(UPGRADE + b"\r\n")
        await stream.receive_some(4096)
        piece = b"\x80\0\0\0\0"
        await stream.send_all(b"\x01" + piece + (b"\x00" + piece) * hypercorn_patches.FRAGMENTS_MAX)
        closing = await frames_until_closed(stream)
        assert struct.unpack("!H", closing[2:4]) == (1009,)


async def test_the_limit_of_a_message_counts_bytes() -> None:
    """As many characters as the limit, each of three bytes."""
    async with served() as world, await world.connect() as stream:
        await stream.send_all(UPGRADE + b"\r\n")
        await stream.receive_some(4096)
        text = "€".encode() * (listener.FRAME_IN_BYTES // 3 + 1)
        await stream.send_all(b"\x81\xff" + struct.pack("!Q", len(text)) + b"\0\0\0\0" + text)
        assert (await frames_until_closed(stream))[2:4] == struct.pack("!H", 1009)


async def test_a_message_at_the_limit_is_taken() -> None:
    async with served() as world, open_websocket_url(world.url) as socket:
        await socket.send_message("x" * listener.FRAME_IN_BYTES)
        assert len(await socket.get_message()) == listener.FRAME_IN_BYTES


@pytest.mark.parametrize(
    "asking", [b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"]
)
async def test_a_connection_is_closed_when_the_client_asks_for_it(asking: bytes) -> None:
    async with served() as world, await world.connect() as stream:
        await stream.send_all(asking)
        with trio.fail_after(listener.HEADERS_S / 2):
            while await stream.receive_some():
                pass


async def test_a_connection_that_asks_nothing_more_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEADERS_S", 1.0)
    async with served() as world, await world.connect() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with trio.fail_after(listener.HEADERS_S + 3):
            while await stream.receive_some():
                pass


async def test_an_idle_connection_that_goes_frees_its_place_at_once() -> None:
    async with served() as world:
        streams = [await world.connect() for _ in range(5)]
        for stream in streams:
            await stream.aclose()
        with trio.fail_after(listener.HEADERS_S / 2):
            while hypercorn_patches.GuardedTCPServer.open_now:
                await trio.testing.wait_all_tasks_blocked(0.05)


async def test_a_send_after_the_close_raises_instead_of_spinning() -> None:
    async with served() as world:
        async with open_websocket_url(world.url.replace("/ws", "/babble")) as socket:
            await socket.get_message()
        with trio.fail_after(10):
            while world.send_after_close is None:
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert isinstance(world.send_after_close, trio.BrokenResourceError | trio.Cancelled)
        assert await world.echo_works()


async def test_a_client_that_never_reads_cannot_keep_the_server_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SEND_TIMEOUT_S", 1.0)
    async with served() as world:
        stream = await world.connect()
        await stream.send_all(UPGRADE.replace(b"/ws", b"/babble") + b"\r\n")
        await stream.receive_some(200)  # the answer to the upgrade, and then never again
        await trio.testing.wait_all_tasks_blocked(0.3)
        world.stop.set()
        started = trio.current_time()
    assert trio.current_time() - started < limits.SEND_TIMEOUT_S + listener.GRACEFUL_S + 2
    await trio.aclose_forcefully(stream)


async def test_a_slow_reader_is_waited_for_and_a_stopped_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A message that takes many times the limit arrives, as long as the peer takes some of it."""
    monkeypatch.setattr(limits, "SEND_TIMEOUT_S", 0.4)
    async with served() as world:
        stream = trio.SocketStream(trio.socket.socket())
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await stream.socket.connect(("127.0.0.1", world.port))
        await stream.send_all(UPGRADE.replace(b"/ws", b"/babble") + b"\r\n")
        until = trio.current_time() + 4 * limits.SEND_TIMEOUT_S
        while trio.current_time() < until:
            assert await stream.receive_some(1024), "it was let go although it reads"
            await trio.sleep(0.02)
        assert world.send_after_close is None
        with trio.fail_after(10):
            while world.send_after_close is None:
                await trio.testing.wait_all_tasks_blocked(0.05)
        await trio.aclose_forcefully(stream)


async def test_deflate_is_never_negotiated() -> None:
    async with served() as world, await world.connect() as stream:
        await stream.send_all(UPGRADE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        answer = bytes(await stream.receive_some())
        assert answer.startswith(b"HTTP/1.1 101")
        assert b"permessage-deflate" not in answer.lower()
        # A compressed frame is then a protocol error, not a gigabyte.
        bomb = zlib.compress(b"\x00" * 1_000_000)
        await stream.send_all(
            b"\xc1\xfe" + struct.pack("!H", min(len(bomb), 65535)) + b"\x00" * 4 + bomb
        )
        assert (await frames_until_closed(stream))[:1] in (b"\x88", b"")


async def test_a_message_over_the_limit_closes_the_connection() -> None:
    async with served() as world:
        async with await world.connect() as stream:
            await stream.send_all(UPGRADE + b"\r\n")
            await stream.receive_some(4096)
            size = listener.FRAME_IN_BYTES + 1
            await stream.send_all(b"\x81\xff" + struct.pack("!Q", size) + b"\x00" * 4 + b"x" * size)
            closing = await frames_until_closed(stream)
            assert closing[:1] == b"\x88"
            assert struct.unpack("!H", closing[2:4]) == (1009,)
        assert await world.echo_works()


async def test_a_peer_that_answers_no_ping_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PING_INTERVAL_S", 0.05)
    monkeypatch.setattr(limits, "PONG_DEADLINE_S", 1)
    async with served() as world, await world.connect() as stream:
        await stream.send_all(UPGRADE + b"\r\n")
        received = b""
        with trio.fail_after(10):
            while data := bytes(await stream.receive_some()):
                received += data
        assert received.count(b"\x89\x00") >= 3, "it was pinged before it was given up"


async def test_an_upgrade_of_an_unknown_path_is_refused() -> None:
    async with served() as world, await world.connect() as stream:
        await stream.send_all(UPGRADE.replace(b"/ws", b"/nowhere") + b"\r\n")
        assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 404")
