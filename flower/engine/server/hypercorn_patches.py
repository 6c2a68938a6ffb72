"""What stock hypercorn 0.18 lacks on an open network: one bad connection must stay one connection.

Each override below names the fault it mends; all were seen on hypercorn's trio worker. The module
reaches into private names, so the dependency is pinned to ``hypercorn==0.18.*`` and the tests of
this module are its contract. Remove an override when the fault is fixed upstream.

``install()`` is called once, by whoever serves. Nothing here knows about Flower.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from typing import Any

import hypercorn.protocol
import hypercorn.protocol.h11
import hypercorn.trio.run
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, RawData
from hypercorn.events import Event as TransportEvent
from hypercorn.protocol import ws_stream
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import StreamClosed
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import EventWrapper, WorkerContext
from hypercorn.typing import AppWrapper, LifespanState
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

from flower import limits

# Open sockets, those that are no clients yet included
CONNECTIONS_MAX = limits.CLIENTS_MAX + limits.CONNECTIONS_SPARE
PIPELINE_S = 10.0  # longest that a request sent ahead waits for the answer before it
FRAGMENTS_MAX = 1024  # frames of one message: endless empty ones must end too


class GuardedTCPServer(TCPServer):
    """One connection of the server."""

    open_now = 0  # of all connections of this process
    most = CONNECTIONS_MAX

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: LifespanState,
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream],
    ) -> None:
        """Puts a ``PatientStream`` where bytes meet the socket, below TLS if there is any."""
        patient: Any = stream
        if isinstance(stream, trio.SSLStream):
            patient.transport_stream = PatientStream(stream.transport_stream)
        else:
            patient = PatientStream(stream)
        super().__init__(app, config, context, state, patient)

    async def run(self) -> None:
        """Keeps an exception of this connection from ending the server (hypercorn #225, #203), and
        the number of connections below the limit of open files.

        One stray byte after an upgrade request is enough to raise in the stock worker's nursery.
        """
        if GuardedTCPServer.open_now >= GuardedTCPServer.most:
            await trio.aclose_forcefully(self.stream)
            return
        GuardedTCPServer.open_now += 1
        try:
            await self._run_isolated()
        finally:
            GuardedTCPServer.open_now -= 1

    async def _run_isolated(self) -> None:
        try:
            await super().run()
        except BaseExceptionGroup as group:
            ours, crashes = group.split((trio.Cancelled, KeyboardInterrupt, SystemExit))
            if crashes is not None:
                await self._report(crashes)
            if ours is not None:
                raise ours from None
        except Exception as crash:  # noqa: BLE001 - this is the edge that isolates connections
            await self._report(crash)

    async def _read_data(self) -> None:
        """Ends the timer of an idle connection with it: stock keeps the socket until it has run out."""
        try:
            await super()._read_data()
        except trio.ClosedResourceError:
            await self.protocol.handle(Closed())  # a request that never had its turn
        await self.idle_task.stop()

    async def _report(self, crash: BaseException) -> None:
        await self.config.log.warning("a connection broke off: %r", crash)

    async def protocol_send(self, event: TransportEvent) -> None:
        """Leaves the bounds of each write to ``PatientStream``: stock sends under a shield without a
        timeout, so one peer that does not read makes the server impossible to stop.

        And lets a close happen: the application's task, which asks for it, is cancelled at the end of
        its answer, and stock would leave the connection open until its peer goes.
        """
        if not isinstance(event, RawData):
            with trio.move_on_after(limits.SEND_TIMEOUT_S, shield=True):
                await super().protocol_send(event)
            return
        try:  # nearly always free; to wait for it would be one more round of the scheduler per token
            self.send_lock.acquire_nowait()
        except trio.WouldBlock:
            await self.send_lock.acquire()
        try:
            await self.stream.send_all(event.data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(self.stream)
            await self.protocol.handle(Closed())
        finally:
            self.send_lock.release()


class Turnstile(EventWrapper):
    """Where a request waits that came before the one ahead of it was answered.

    Stock waits without end, also when the connection has gone meanwhile: two requests in one packet can
    leave a task behind for ever.
    """

    closed = False

    async def wait(self) -> None:
        """Raises ``trio.ClosedResourceError`` when it will never be this request's turn."""
        with trio.move_on_after(PIPELINE_S) as scope:
            if not self.closed:
                await super().wait()
        if self.closed or scope.cancelled_caught:
            raise trio.ClosedResourceError("the connection ended before this request had its turn")


class GuardedH11Protocol(hypercorn.protocol.h11.H11Protocol):
    """HTTP/1.1 and nothing else on one connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.can_read: Turnstile = Turnstile()

    async def handle(self, event: TransportEvent) -> None:
        if isinstance(event, Closed):
            self.can_read.closed = True
            await self.can_read.set()
        await super().handle(event)

    async def _check_protocol(self, event: Any) -> None:
        """Never changes to HTTP/2: nobody needs it here, and its streams, windows and resets are many
        more ways to cost an engine memory."""


class GuardedWSStream(ws_stream.WSStream):
    """One WebSocket."""

    _message_bytes = 0
    _message_frames = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gone = trio.Event()

    async def handle(self, event: StreamEvent) -> None:
        if isinstance(event, StreamClosed):
            self._gone.set()
        await super().handle(event)

    async def app_send(self, message: Any) -> None:
        """Raises on a send after the close: stock returns at once without a checkpoint, so a loop
        that sends would never yield again."""
        if message is not None:
            await trio.lowlevel.checkpoint_if_cancelled()  # else the send itself yields
            connection = getattr(self, "connection", None)
            gone = connection is not None and connection.state is not ConnectionState.OPEN
            if self.closed or gone:
                if message["type"] in ("websocket.send", "websocket.accept"):
                    raise trio.BrokenResourceError("the websocket is closed")
                return  # a refusal, the end of a connection: whoever left in the middle of one is no error
        await super().app_send(message)

    async def _handle_events(self) -> None:
        """Closes on a message over the limit: stock goes on reading and buffering."""
        for event in self.connection.events():
            if isinstance(event, Message):
                if not await self._buffer_message(event):
                    return
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                if self.connection.state == ConnectionState.REMOTE_CLOSING:
                    await self._send_wsproto_event(event.response())
                await self.send(StreamClosed(stream_id=self.stream_id))
                return

    async def _buffer_message(self, event: Any) -> bool:
        """Adds a piece to the message it belongs to; returns False when that closed the stream.

        Counts bytes, where stock counts characters, and pieces, because empty ones cost time too.
        """
        data = event.data
        self._message_bytes += len(data.encode()) if isinstance(data, str) else len(data)
        self._message_frames += event.frame_finished
        most = self.config.websocket_max_message_size
        if self._message_bytes > most or self._message_frames > FRAGMENTS_MAX:
            self.buffer.clear()
            await self._send_wsproto_event(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
            await self.send(StreamClosed(stream_id=self.stream_id))
            return False
        self.buffer.extend(event)
        if event.message_finished:
            assert self.app_put is not None  # set before the handshake was accepted
            await self.app_put(self.buffer.to_message())
            self.buffer.clear()
            self._message_bytes = self._message_frames = 0
        return True

    async def _send_pings(self) -> None:
        """Ends with the connection: stock sleeps on and keeps its task until the next ping would be due.

        Nobody waits for the answers: whoever sends nothing at all is closed by the time limit of reading,
        and a busy slow line may hold an answer back longer than that while the peer's own pings arrive.
        """
        interval = self.config.websocket_ping_interval
        assert interval is not None
        while not self.closed:
            await self._send_wsproto_event(Ping())
            with trio.move_on_after(interval):
                await self._gone.wait()


class GuardedHandshake(ws_stream.Handshake):
    """One upgrade request."""

    def accept(self, *args: Any, **kwargs: Any) -> Any:
        """Never negotiates permessage-deflate: it inflates without bound, 1 MB to 1.2 GB of memory."""
        self.extensions = None
        return super().accept(*args, **kwargs)


def install(most: int = CONNECTIONS_MAX) -> None:
    """Puts the guarded classes where hypercorn looks them up. Safe to call again.

    ``most``: open connections at once.
    """
    GuardedTCPServer.most = most
    hypercorn.trio.run.TCPServer = GuardedTCPServer  # type: ignore[attr-defined] # a private name
    hypercorn.protocol.h11.WSStream = GuardedWSStream  # type: ignore[attr-defined] # a private name
    hypercorn.protocol.H11Protocol = GuardedH11Protocol  # type: ignore[attr-defined] # a private name
    ws_stream.Handshake = GuardedHandshake  # type: ignore[misc] # replaces the class itself


# --- Sending to peers of any speed: time for a slow one, none with one that takes nothing.
#
# A page of history over a line of one kilobyte a second takes minutes, and must arrive all the same. A
# peer that has stopped takes nothing at all; waiting for it costs memory and keeps a server from stopping.
# Nothing here knows about Flower or HTTP.

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
        left = left[self._at_once(left) :]
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

    def _at_once(self, data: memoryview) -> int:
        """Sends what the system takes now; returns how many bytes that were.

        Nearly always it takes a frame whole. trio's own send would let the scheduler go round once more
        for it, which is a sixth of what a token costs. A caller that sends on and on has to yield itself.
        """
        place = self.socket.fileno()
        if place == -1 or not data:
            return 0
        try:
            return os.write(place, data)
        except OSError:  # it is full, or broken: the patient way finds out which
            return 0

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
