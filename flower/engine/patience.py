"""Sending to peers of any speed: patience with a slow one, none with one that takes nothing.

A page of history over a line of one kilobyte a second takes minutes, and must arrive all the same. A
peer that has stopped takes nothing at all; waiting for it costs memory and keeps a server from stopping.
Nothing here knows about Flower or HTTP.
"""

from __future__ import annotations

import fcntl
import struct
import sys

import trio

from flower import limits

_SIOCOUTQ = 0x5411  # Linux, socket(7): bytes sent that the peer's system has not acknowledged


class PatientStream(trio.abc.HalfCloseableStream):
    """A socket stream whose sending ends when the peer takes nothing for ``SEND_TIMEOUT_S``."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.socket = stream.socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends everything; raises ``trio.BrokenResourceError`` when the peer stops taking it.

        Cancellation is put off for ``SEND_TIMEOUT_S``, because half a frame is worth nothing.
        """
        left = memoryview(data)
        if not left:
            await self._stream.send_all(b"")  # says whether the stream is closed
        shield = True
        while left:
            unread, length = self._unread(), len(left)
            with trio.move_on_after(limits.SEND_TIMEOUT_S, shield=shield) as waiting:
                while left:
                    left = left[await self._some(left) :]
            took = len(left) < length or self._unread() < unread
            if waiting.cancelled_caught and not took:
                raise trio.BrokenResourceError("the peer does not read")
            shield = False

    async def _some(self, data: memoryview) -> int:
        """Sends what fits now, waiting until something does; returns how many bytes that were."""
        try:
            return await self.socket.send(data)
        except OSError as error:
            if self.socket.fileno() == -1:
                raise trio.ClosedResourceError("this stream was closed") from None
            raise trio.BrokenResourceError(f"the connection broke: {error}") from error

    def _unread(self) -> int:
        """Returns how many of the bytes sent the peer's system has not acknowledged, 0 if unknown.

        A sender is woken only when a third of the system's buffer is free: on a slow line much later
        than the peer's last sign that it reads.
        """
        if sys.platform != "linux" or self.socket.fileno() == -1:
            return 0
        count: int = struct.unpack("i", fcntl.ioctl(self.socket.fileno(), _SIOCOUTQ, b"\0" * 4))[0]
        return count

    async def wait_send_all_might_not_block(self) -> None:
        """Waits until sending makes sense."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Returns what came, ``b""`` at the end."""
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        """Tells the peer that nothing follows."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Closes the socket."""
        await self._stream.aclose()
