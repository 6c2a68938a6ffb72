"""What an engine answers over HTTP, read piece by piece as it comes: by a person's machine, and by other engines.

Knows nothing of what is asked for; ``get`` asks, ``answer_on`` reads the answer to a request that others have sent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import h11
import trio

from flower import limits
from flower.client.address import EngineAddress
from flower.client.line import open_line
from flower.errors import FlowerError

PIECE_BYTES = 64 * limits.KIB
SILENCE_S = 60.0  # between two pieces
REFUSAL_BYTES = 4 * limits.KIB  # of what is read of an answer that is no file


def one_line(body: bytes) -> str:
    """Returns what an engine says in a body, bounded."""
    return " ".join(body.decode("utf-8", "replace").split())[: limits.REFUSAL_CHARS]


class LostError(FlowerError):
    """The engine cannot be reached, or ended in the middle of its answer."""


class Got:
    """An answer: its HTTP ``status``, the ``size`` of its body, -1 for unknown, and the body itself."""

    def __init__(
        self, line: trio.abc.Stream, http: h11.Connection, response: h11.Response, silence_s: float
    ) -> None:
        self._line, self._http, self._silence_s = line, http, silence_s
        self.status = response.status_code
        fields = {bytes(name).lower(): bytes(value) for name, value in response.headers}
        length = fields.get(b"content-length", b"")
        self.size = int(length) if length.isdigit() and len(length) < 16 else -1

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yields the body. Raises ``LostError``."""
        while True:
            event = await _next(self._line, self._http, self._silence_s)
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return

    async def start(self, most: int) -> bytes:
        """Returns the beginning of the body, all of it where that is no longer than ``most`` bytes."""
        beginning = bytearray()
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                beginning += piece
                if len(beginning) > most:
                    break
        return bytes(beginning[:most])

    async def text(self) -> str:
        """Returns the beginning of the body as one line of text."""
        return one_line(await self.start(REFUSAL_BYTES))


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
        yield await answer_on(line, http)
    finally:
        await trio.aclose_forcefully(line)


async def answer_on(line: trio.abc.Stream, http: h11.Connection, silence_s: float = SILENCE_S) -> Got:
    """Returns the answer to a request that has been sent. Raises ``LostError``.

    ``silence_s``: how long nothing may come, before it and in it.
    """
    while True:
        event = await _next(line, http, silence_s)
        if isinstance(event, h11.Response):
            return Got(line, http, event, silence_s)


async def _next(line: trio.abc.Stream, http: h11.Connection, silence_s: float) -> h11.Event:
    try:
        with trio.fail_after(silence_s):
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
