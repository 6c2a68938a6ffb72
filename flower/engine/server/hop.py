"""What a connection and the relay both speak of: a client's socket, its way to another engine, codes of WebSocket."""

from __future__ import annotations

from typing import Protocol

NORMAL, POLICY, RESTART = 1000, 1008, 1012  # RFC 6455, section 7.4.1, and the registry of codes


class Socket(Protocol):
    """What a connection needs of a WebSocket."""

    async def receive(self) -> str | bytes: ...

    async def send(self, data: str) -> None: ...

    async def close(self, code: int) -> None: ...


class Hop:
    """How a client gets to the engine that plays its story, if that is another one.

    ``authorization`` is the header that lets it in there. ``follows``: it goes there by itself when told.
    ``unsent`` is a frame of the client that no engine has taken yet.
    """

    def __init__(self, authorization: str = "", *, follows: bool = False) -> None:
        self.authorization = authorization
        self.follows = follows
        self.unsent: str | bytes | None = None
