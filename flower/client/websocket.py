"""One WebSocket to an engine, over a line of bytes: messages come in the very step that read them.

Owns frames, pings, the handshake and the bound on a message, with wsproto, which knows RFC 6455 and no sockets.
A library of tasks and queues around it would cost every streamed word another round of the scheduler: about a
seventh of what the client spends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from flower import limits
from flower.client.early import EarlyCall
from flower.client.line import TimedStream
from flower.errors import FlowerError

_READ_BYTES = 64 * limits.KIB
_REFUSAL_BYTES = 4 * limits.KIB  # of the page of a refusal: ours is a sentence


class EndedError(FlowerError):
    """The connection is over; the text says why, for the user, or nothing.

    ``code`` is the peer's reason as a number of RFC 6455, 1006 when it gave none.
    """

    def __init__(self, text: str, code: int = 1006) -> None:
        super().__init__(text)
        self.code = code


class RejectedError(FlowerError):
    """The handshake was refused with an HTTP ``status`` and ``body``."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


class WebSocket:
    """The client's end: ``greet``, ``accepted``, then ``read`` in one task and ``send`` and ``ping`` in any."""

    def __init__(self, line: TimedStream, begun: EarlyCall | None = None) -> None:
        """``line`` is neither opened nor closed here. ``begun`` has greeted over it already."""
        self._line = line
        self._protocol = begun.protocol if begun else WSConnection(ConnectionType.CLIENT)
        self._sending = trio.Lock()  # frames of two tasks must not mix
        self._parts: list[str | bytes] = []
        self._size = 0
        # What came together with the end of the handshake, and before anybody was here to read it.
        self._early: list[Event] = begun.events if begun else []

    async def greet(self, host: str, target: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Asks for the connection. Raises ``EndedError``, ``OSError`` and trio's errors of streams."""
        await self._send(Request(host=host, target=target, extra_headers=headers))

    async def accepted(self) -> None:
        """Waits until the peer has agreed. Raises ``RejectedError``, and what ``greet`` raises."""
        status, body = 0, b""
        while True:
            events, self._early = self._early or await self._events(), []
            for place, event in enumerate(events, 1):
                match event:
                    case AcceptConnection():
                        self._early = events[place:]
                        return
                    case RejectConnection():
                        status = event.status_code
                        if not event.has_body:
                            raise RejectedError(status, body)
                    case RejectData():
                        body += event.data[: _REFUSAL_BYTES - len(body)]
                        if event.body_finished or len(body) >= _REFUSAL_BYTES:
                            raise RejectedError(status, body)

    async def read(self, take: Callable[[str | bytes], None]) -> None:
        """Gives every message to ``take`` until the connection ends; then raises ``EndedError`` or its error."""
        while True:
            events, self._early = self._early or await self._events(), []
            for event in events:
                match event:
                    case Message():
                        if (message := self._message(event)) is not None:
                            take(message)
                    case Ping():
                        await self._send(event.response())
                    case CloseConnection():
                        await self._send(event.response())
                        raise EndedError(event.reason or "", int(event.code))

    async def receive(self) -> list[str | bytes]:
        """Returns the messages that came next, at least one; for a reader that has to wait between them."""
        got: list[str | bytes] = []
        while not got:
            events, self._early = self._early or await self._events(), []
            for place, event in enumerate(events):
                match event:
                    case Message():
                        if (message := self._message(event)) is not None:
                            got.append(message)
                    case Ping():
                        await self._send(event.response())
                    case CloseConnection() if got:
                        self._early = events[place:]
                    case CloseConnection():
                        await self._send(event.response())
                        raise EndedError(event.reason or "", int(event.code))
        return got

    def _message(self, event: Message[Any]) -> str | bytes | None:
        """Returns the whole message that ``event`` ends, None while more of it is to come."""
        self._size += len(event.data)
        if self._size > limits.LINK_MESSAGE_BYTES:
            most = limits.LINK_MESSAGE_BYTES // limits.MIB
            raise EndedError(f"it sent more than {most} MiB at once")
        if event.message_finished and not self._parts:
            self._size = 0
            return bytes(event.data) if isinstance(event.data, bytearray) else event.data
        self._parts.append(event.data)
        if not event.message_finished:
            return None
        parts, self._parts, self._size = self._parts, [], 0
        if isinstance(parts[0], str):
            return "".join(part for part in parts if isinstance(part, str))
        return b"".join(part for part in parts if not isinstance(part, str))

    async def _events(self) -> list[Event]:
        """Returns what the next bytes mean."""
        data = await self._line.receive_some(_READ_BYTES)
        if not data:
            raise EndedError("")
        try:
            self._protocol.receive_data(bytes(data))
            return list(self._protocol.events())
        except RemoteProtocolError as error:
            raise EndedError("") from error

    async def send(self, text: str | bytes) -> None:
        """Sends a message. Raises ``EndedError`` and the line's errors."""
        await self._send(TextMessage(data=text) if isinstance(text, str) else BytesMessage(data=text))

    async def ping(self) -> None:
        """Asks for a sign of life; any byte that comes is one."""
        await self._send(Ping())

    async def _send(self, event: Event) -> None:
        async with self._sending:
            try:
                data = self._protocol.send(event)
            except LocalProtocolError as error:
                raise EndedError("") from error
            await self._line.send_all(data)
