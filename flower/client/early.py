"""A call to the engine of this machine while the client is still loading: it answers in the meantime.

Connects, greets and listens without trio, which takes longer to load than an engine takes to answer. Only
where that cannot wait: at a loopback address or a Unix socket. Whatever is read here is kept for ``connection``,
which goes on with the call as if it had been read there.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import cast

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, Ping, Request, TextMessage
from wsproto.utilities import RemoteProtocolError

from flower import limits
from flower.client.address import EngineAddress, authorization, with_client
from flower.errors import LaunchError

EARLY_CALL_S = 0.05  # an engine of this machine that takes no call within it is asked again later

_READ_BYTES = 64 * limits.KIB
_HERE = ("127.0.0.1", "::1")


class EarlyCall:
    """A connected socket over which ``protocol`` has asked for a WebSocket.

    ``accepted``: the engine has agreed. ``has_answer``: messages were taken. ``events``: what has come since.
    """

    __slots__ = ("accepted", "events", "has_answer", "protocol", "socket")

    def __init__(self, connected: socket.socket, protocol: WSConnection) -> None:
        self.socket = connected
        self.protocol = protocol
        self.accepted = self.has_answer = False
        self.events: list[Event] = []

    def messages(self, seconds: float) -> Iterator[str]:
        """Yields the messages that come, for so long at most. What is not taken is ``connection``'s.

        Ends early at whatever is no whole message: a refusal, the end.
        """
        until = time.monotonic() + seconds
        while True:
            while self.events and isinstance(self.events[0], AcceptConnection | Ping):
                self._take(self.events.pop(0))
            texts = takewhile(lambda event: isinstance(event, TextMessage), self.events)
            parts = cast(list[TextMessage], list(texts))
            end = next((place for place, part in enumerate(parts, 1) if part.message_finished), 0)
            if end:
                del self.events[:end]
                self.has_answer = True
                yield "".join(part.data for part in parts[:end])
            elif len(parts) < len(self.events) or not self._read(parts, until - time.monotonic()):
                return

    def _take(self, event: Event) -> None:
        if isinstance(event, Ping):
            with suppress(OSError):  # a line that has ended shows at the next read
                self.socket.sendall(self.protocol.send(event.response()))
        else:
            self.accepted = True

    def put_back(self, message: str) -> None:
        """Leaves the message that was taken last to ``connection``."""
        self.events.insert(0, TextMessage(data=message))

    def _read(self, parts: Sequence[TextMessage], seconds: float) -> bool:
        """Waits for more than ``parts`` of a message; False when nothing came, too much, or the end."""
        if seconds <= 0 or sum(len(part.data) for part in parts) > limits.LINK_MESSAGE_BYTES:
            return False
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(_READ_BYTES)
            if not data:
                return False
            self.protocol.receive_data(data)
            self.events.extend(self.protocol.events())
        except OSError:
            return False
        except RemoteProtocolError:
            self.socket.shutdown(
                socket.SHUT_RDWR
            )  # it ends for ``connection``, too, which connects anew
            return False
        return True


def call(engine_url: Callable[[], str], client: str, token: str | None) -> EarlyCall | None:
    """Calls the engine as ``client``. Returns None where none is ready here: then nothing was tried."""
    try:
        place = EngineAddress.of(engine_url())
    except (LaunchError, ValueError):
        return None  # whoever connects asks again, and tells it
    if place.secure or not (place.path or place.host in _HERE):
        return None
    protocol = WSConnection(ConnectionType.CLIENT)
    target = with_client(place.resource, client)
    greeting = protocol.send(Request(place.authority, target, extra_headers=authorization(token)))
    try:
        return EarlyCall(_connected(place, greeting), protocol)
    except OSError:
        return None


def _connected(place: EngineAddress, greeting: bytes) -> socket.socket:
    family = socket.AF_UNIX if place.path else socket.AF_INET6 if ":" in place.host else socket.AF_INET
    line = socket.socket(family, socket.SOCK_STREAM)
    try:
        line.settimeout(EARLY_CALL_S)
        line.connect(place.path or (place.host, place.port))
        line.sendall(greeting)
    except BaseException:
        line.close()
        raise
    return line
