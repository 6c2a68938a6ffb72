"""Where an engine is: its address taken apart, and a line of bytes to it.

Knows TCP, TLS and Unix sockets; speaks nothing over them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import trio

from flower.errors import FlowerError
from flower.protocol import PATH

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


_authorities: list[Path] = []  # of this process, which joins one engine


def trust_only(file: Path) -> None:
    """Lets TLS trust the certificates in a PEM file instead of the system's, in this process alone.

    No variable of the environment: whatever this process starts would trust them too.
    """
    _authorities[:] = [file]


class UntrustedError(FlowerError):
    """The peer's certificate is not to be trusted."""


class TimedStream(trio.abc.Stream):
    """A stream that knows when it was heard.

    ``heard`` is when bytes last came, on trio's clock: any of them, from the middle of a long page too.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.heard = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Returns what came; ``b""`` at the end. Raises what the stream raises."""
        if max_bytes is not None and isinstance(self._stream, trio.SocketStream):
            data: bytes | bytearray = await _read_at_once(self._stream.socket, max_bytes)
        else:
            data = await self._stream.receive_some(max_bytes)
        self.heard = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends all of ``data``."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Waits until sending makes sense."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Closes it, TLS's goodbye included."""
        await self._stream.aclose()


class EngineAddress(NamedTuple):
    """``path`` of a Unix socket, else ``host`` and ``port``; ``authority`` goes into the Host header."""

    secure: bool
    host: str
    port: int
    path: str
    authority: str
    resource: str

    @classmethod
    def of(cls, url: str) -> EngineAddress:
        """Returns the parts of ``ws://``, ``wss://`` or ``unix:/path``.

        Raises ``ValueError`` when ``url`` is none of them.
        """
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path.startswith("/"):
            return cls(False, "", 0, parts.path, "localhost", PATH)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(url)
        secure = parts.scheme == "wss"
        resource = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        port = parts.port or (443 if secure else 80)
        return cls(secure, parts.hostname, port, "", parts.netloc.rpartition("@")[2], resource)

    async def open(self) -> TimedStream:
        """Returns a connected line.

        Raises ``UntrustedError``, ``OSError`` and trio's errors of streams.
        """
        if self.path:
            return TimedStream(await trio.open_unix_socket(self.path))
        stream = await trio.open_tcp_stream(self.host, self.port)
        if not self.secure:
            return TimedStream(stream)
        import ssl  # only here, as hardly anyone reaches an engine that way

        # Without ``--ca`` the system's authorities, or those of SSL_CERT_FILE.
        file = _authorities[0] if _authorities else None
        try:
            context = ssl.create_default_context(cafile=file)
        except ssl.SSLError as error:
            await trio.aclose_forcefully(stream)
            raise UntrustedError(f"{file} holds no certificates (--ca).") from error
        secured = trio.SSLStream(stream, context, server_hostname=self.host)
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(stream)
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise UntrustedError(
                    f"its certificate is not trusted ({error.__cause__.verify_message}); "
                    "name the authority's file with --ca."
                ) from error
            raise
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return TimedStream(secured)


async def _read_at_once(socket: trio.socket.SocketType, max_bytes: int) -> bytes:
    """Returns what came, in the very step that is woken by it; raises ``OSError``.

    trio's own way tries first and gives way once more after the bytes are there: two rounds of the
    scheduler for every streamed word.
    """
    while True:
        await trio.lowlevel.wait_readable(socket)
        with suppress(BlockingIOError):  # woken for nothing, as POSIX allows
            return os.read(socket.fileno(), max_bytes)


def is_here(url: str) -> bool:
    """Whether an engine's address is on this machine: a Unix socket, ``localhost``, a loopback address."""
    import ipaddress  # only here, as hardly anyone is sent elsewhere

    try:
        parts = urlsplit(url)
        if parts.scheme == "unix" or parts.hostname == "localhost":
            return True
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
