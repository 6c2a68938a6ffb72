"""``GET`` of a file from an engine, read piece by piece as it comes: by a person's machine, and by other engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import h11
import trio

from flower import limits
from flower.client.address import EngineAddress
from flower.client.line import open_line
from flower.errors import FlowerError

PIECE_BYTES = 64 * limits.KIB
SILENCE_S = 60.0  # between two pieces
REFUSAL_BYTES = 4 * limits.KIB  # of what is read of an answer that is no file


class LostError(FlowerError):
    """The engine cannot be reached, or ended in the middle of its answer."""


class Got:
    """An answer: its HTTP ``status``, the ``size`` of its body, -1 for unknown, and the body itself."""

    def __init__(self, line: trio.abc.Stream, http: h11.Connection, response: h11.Response) -> None:
        self._line, self._http = line, http
        self.status = response.status_code
        known = {bytes(name).lower(): bytes(value) for name, value in response.headers}
        length = known.get(b"content-length", b"")
        self.size = int(length) if length.isdigit() and len(length) < 16 else -1

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yields the body. Raises ``LostError``."""
        while True:
            event = await _next(self._line, self._http)
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return

    async def text(self) -> str:
        """Returns the beginning of the body as one line of text."""
        found = b""
        async for piece in self.pieces():
            found += piece
            if len(found) > REFUSAL_BYTES:
                break
        return " ".join(found[:REFUSAL_BYTES].decode("utf-8", "replace").split())[
            : limits.REFUSAL_CHARS
        ]


@asynccontextmanager
async def get(
    place: EngineAddress, target: str, headers: Sequence[tuple[str, str]] = ()
) -> AsyncIterator[Got]:
    """The answer to a request; the line is closed at the end of the block.

    Raises ``LostError``, and ``UntrustedError`` where the peer is not who it says.
    """
    try:
        with trio.fail_after(limits.LINK_CONNECT_S):
            line = await open_line(place)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
        raise LostError("no engine answers there") from error
    try:
        http = h11.Connection(h11.CLIENT)
        sent = [("Host", place.authority), ("Connection", "close"), *headers]
        try:
            await line.send_all(
                http.send(h11.Request(method="GET", target=target, headers=sent)) or b""
            )
            await line.send_all(http.send(h11.EndOfMessage()) or b"")
        except (OSError, trio.BrokenResourceError) as error:
            raise LostError("the connection was lost") from error
        while True:
            event = await _next(line, http)
            if isinstance(event, h11.Response):
                break
        yield Got(line, http, event)
    finally:
        await trio.aclose_forcefully(line)


async def _next(line: trio.abc.Stream, http: h11.Connection) -> h11.Event:
    try:
        with trio.fail_after(SILENCE_S):
            while True:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    http.receive_data(bytes(await line.receive_some(PIECE_BYTES)))
                elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                    raise LostError("the connection was lost")
                elif isinstance(event, h11.Event):
                    return event
    except (OSError, trio.BrokenResourceError, trio.TooSlowError, h11.ProtocolError) as error:
        raise LostError("the connection was lost") from error
