"""The bytes of a response's body, with as little as possible between socket and reader.

httpx and httpcore hand a body through six nested generators and two time limits; at a token at a time that is a
tenth of what relaying it costs. Here the same connection is read directly: same HTTP parser (h11), same socket,
so that closing, keeping alive and errors stay httpcore's. Where its insides are not as known, as on another
transport or after an update, the body is read the long way. Everything that came in one read is given at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

import h11
import httpcore
import httpx
import trio

READ_BYTES = 64 * 1024


class Body(Protocol):
    """The parts of a body; raises ``httpx.HTTPError`` when the connection breaks."""

    async def read(self) -> bytes:
        """Returns what has come, b"" at the end."""

    async def aclose(self) -> None: ...


def body_of(response: httpx.Response) -> Body:
    """Returns the body of a streamed response that nobody has begun to read."""
    connection = _connection(response)
    if connection is not None:
        return DirectBody(*connection)
    return LongWayBody(response)


def _connection(response: httpx.Response) -> tuple[h11.Connection, trio.abc.ReceiveStream] | None:
    """Returns parser and socket of an HTTP/1.1 response over trio; None when they are not where they were."""
    inner: Any = response.stream
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection"):
        inner = getattr(inner, name, None)
    if type(inner) is not httpcore.AsyncHTTP11Connection:
        return None
    parser = getattr(inner, "_h11_state", None)
    socket = getattr(getattr(inner, "_network_stream", None), "_stream", None)
    if isinstance(parser, h11.Connection) and isinstance(socket, trio.abc.ReceiveStream):
        return parser, socket
    return None


class DirectBody:
    """Reads from the connection itself."""

    def __init__(self, parser: h11.Connection, socket: trio.abc.ReceiveStream) -> None:
        self._parser = parser
        self._socket = socket
        self._over = False

    async def read(self) -> bytes:
        """Returns all that has come, b"" at the end."""
        try:
            while not self._over:
                if data := self._parsed():
                    return data
                if not self._over:
                    self._parser.receive_data(bytes(await self._socket.receive_some(READ_BYTES)))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(str(error)) from error
        return b""

    def _parsed(self) -> bytes:
        parts: list[bytes] = []
        while True:
            event = self._parser.next_event()
            if isinstance(event, h11.Data):
                parts.append(bytes(event.data))
                continue
            if event is not h11.NEED_DATA:
                self._over = True
            return parts[0] if len(parts) == 1 else b"".join(parts)

    async def aclose(self) -> None:
        """Does nothing: the response closes its connection, or keeps it alive."""


class LongWayBody:
    """Reads through httpx."""

    def __init__(self, response: httpx.Response) -> None:
        parts = response.aiter_raw()
        assert isinstance(parts, AsyncGenerator)  # httpx types it as an iterator; it must be closed
        self._parts: AsyncGenerator[bytes, None] = parts

    async def read(self) -> bytes:
        """Returns the next part, b"" at the end."""
        async for part in self._parts:
            if part:
                return part
        return b""

    async def aclose(self) -> None:
        """Ends the generator where it was begun."""
        await self._parts.aclose()
