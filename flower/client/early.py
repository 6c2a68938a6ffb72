"""A call to the engine of this machine while the client is still loading: it answers in the meantime.

Connects and greets without trio, which takes longer to load than an engine takes to answer. Only where that
cannot wait: at a loopback address or a Unix socket. Reads nothing; ``connection`` goes on with it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NamedTuple

from wsproto import ConnectionType, WSConnection
from wsproto.events import Request

from flower import limits
from flower.client.address import EngineAddress, authorization, with_client
from flower.errors import LaunchError

_HERE = ("127.0.0.1", "::1")


class EarlyCall(NamedTuple):
    """A connected socket over which ``protocol`` has asked for a WebSocket."""

    socket: socket.socket
    protocol: WSConnection


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
        line.settimeout(limits.EARLY_CALL_S)
        line.connect(place.path or (place.host, place.port))
        line.sendall(greeting)
    except BaseException:
        line.close()
        raise
    return line
