"""Frames passed on between a client and the engine that plays its story, over streams in memory."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

from flower.client.address import EngineAddress
from flower.client.line import TimedStream
from flower.engine.server import relay
from flower.engine.server.relay import NORMAL, POLICY, RESTART, Hop


class Slow:
    """A client that takes each frame after a while, and says nothing."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.got: list[str] = []

    async def receive(self) -> str:
        await trio.sleep_forever()
        raise AssertionError

    async def send(self, data: str) -> None:
        await trio.sleep(self.seconds)
        self.got.append(data)

    async def close(self, code: int) -> None:
        raise AssertionError("not for the relay")


async def other_engine(stream: trio.abc.Stream, frames: list[str], status: int = 101) -> None:
    """Sends the frames, answers pings, ends when all that is asked for has been told."""
    protocol, pings = WSConnection(ConnectionType.SERVER), 0
    while data := await stream.receive_some(65_536):
        protocol.receive_data(bytes(data))
        for event in protocol.events():
            if isinstance(event, Request) and status != 101:
                await stream.send_all(protocol.send(RejectConnection(status_code=status)))
                return
            if isinstance(event, Request):
                out = protocol.send(AcceptConnection())
                out += b"".join(protocol.send(TextMessage(data=frame)) for frame in frames)
                await stream.send_all(out)
            elif isinstance(event, Ping):
                pings += 1
                await stream.send_all(protocol.send(event.response()))
                if pings == 3:
                    await stream.send_all(protocol.send(CloseConnection(code=NORMAL)))
                    return


async def passed_on(client: Slow, frames: list[str], status: int = 101) -> int:
    near, far = memory_stream_pair()
    place = EngineAddress.of("ws://engine/ws/rpc")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other_engine, far, frames, status)
        code = await relay._over(Hop(), client, TimedStream(near), place, "c")
        nursery.cancel_scope.cancel()
    return code


async def test_a_client_on_a_slow_line_gets_its_page_though_it_takes_long(
    autojump_clock: MockClock,
) -> None:
    """As long as its client takes a frame the other engine is not listened to, and not silent."""
    client = Slow(10 * relay.UNANSWERED_S)
    assert await passed_on(client, ['{"page":1}', '{"page":2}']) == NORMAL
    assert client.got == ['{"page":1}', '{"page":2}']


@pytest.mark.parametrize(
    ("status", "code"), [(401, POLICY), (403, POLICY), (429, RESTART), (503, RESTART)]
)
async def test_who_is_refused_elsewhere_does_not_ask_for_ever(
    autojump_clock: MockClock, status: int, code: int
) -> None:
    assert await passed_on(Slow(0), [], status) == code
