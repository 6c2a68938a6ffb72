"""A line of bytes to an engine: TCP, TLS or a Unix socket. Speaks nothing over it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import trio

from flower.client.address import EngineAddress
from flower.errors import FlowerError

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
    """A stream that knows when something came.

    ``last_received`` is when bytes last came, on trio's clock: any of them, from the middle of a long page too.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.last_received = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Returns what came; ``b""`` at the end. Raises what the stream raises."""
        if max_bytes is not None and isinstance(self._stream, trio.SocketStream):
            data: bytes | bytearray = await _read_at_once(self._stream.socket, max_bytes)
        else:
            data = await self._stream.receive_some(max_bytes)
        self.last_received = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends all of ``data``."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Waits until sending makes sense."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Closes it, the end of TLS included."""
        await self._stream.aclose()


async def _read_at_once(line: trio.socket.SocketType, max_bytes: int) -> bytes:
    """Returns what came, in the very step that is woken by it; raises ``OSError``.

    trio's own way tries first and gives way once more after the bytes are there: two rounds of the
    scheduler for every streamed word.
    """
    while True:
        await trio.lowlevel.wait_readable(line)
        with suppress(BlockingIOError):  # woken for nothing, as POSIX allows
            return os.read(line.fileno(), max_bytes)


async def open_line(place: EngineAddress) -> TimedStream:
    """Returns a connected line.

    Raises ``UntrustedError``, ``OSError`` and trio's errors of streams.
    """
    if place.path:
        return TimedStream(await trio.open_unix_socket(place.path))
    stream = await trio.open_tcp_stream(place.host, place.port)
    if not place.secure:
        return TimedStream(stream)
    import ssl  # only here, as hardly anyone reaches an engine that way

    # Without ``--ca`` the system's authorities, or those of SSL_CERT_FILE.
    file = _authorities[0] if _authorities else None
    try:
        context = ssl.create_default_context(cafile=file)
    except ssl.SSLError as error:
        await trio.aclose_forcefully(stream)
        raise UntrustedError(f"{file} holds no certificates (--ca).") from error
    secured = trio.SSLStream(stream, context, server_hostname=place.host)
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


def of_socket(connected: socket.socket) -> TimedStream:
    """Returns the line over a socket that is connected; it is this line's from now on."""
    return TimedStream(trio.SocketStream(trio.socket.from_stdlib_socket(connected)))
