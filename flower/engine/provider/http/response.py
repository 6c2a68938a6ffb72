"""The pieces of one completion, from request to close.

Owns one response. Hands its bytes to an interpreter and gives out what that makes of them; deadlines
and retries belong to those who listen.
"""

from __future__ import annotations

import ssl
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Protocol

import h11
import httpcore
import httpx
import trio
from msgspec import Struct

from flower import limits
from flower.engine.provider.base import Piece, Reasoning, Text
from flower.engine.provider.errors import Origin, malformed
from flower.engine.provider.http.decode import Interpreter, Item
from flower.errors import ProviderError

FINISH_GRACE_S = 2.0  # usage follows the finish reason; a line kept open after it delays no end
CLOSE_TIMEOUT_S = 1.0  # closing a connection must not delay Esc
DRAIN_S = 0.1  # reading a finished response to its end keeps the connection for the next turn


class Call(Struct, frozen=True):
    """One completion, ready to be sent: where, what, and how to read the answer."""

    path: str
    body: dict[str, Any]
    origin: Origin
    interpreter: Interpreter
    learn: Callable[[], None]  # called when the model thinks without a start mark


Prepare = Callable[[], Awaitable[Call]]
Send = Callable[[Call], Awaitable[httpx.Response]]


class PieceStream:
    """The pieces of one completion: an async context manager over an async iterator.

    Entering sends the request and waits for the response's head. An error inside the stream is
    raised after every piece before it. Leaving closes the connection at once.
    """

    def __init__(self, prepare: Prepare, send: Send) -> None:
        self._send = send
        self._prepare = prepare
        self._items: deque[Item] = deque()
        self._over = False
        self.body: dict[str, Any] | None = None  # as it is sent, once it is

    async def __aenter__(self) -> PieceStream:
        call = await self._prepare()
        self._call = call
        self.body = call.body
        self._response = await self._send(call)
        self._body = body_of(self._response)
        self._unpack = Unpacker(self._response.headers.get("content-encoding", ""))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._call.interpreter.unopened:
            self._call.learn()
        if kind is None and self._over:
            with trio.move_on_after(DRAIN_S):
                await self._drain(self._body)
        with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            await self._body.aclose()
        await close(self._response)

    def __aiter__(self) -> PieceStream:
        return self

    async def __anext__(self) -> Piece:
        while not self._items:
            if self._over:
                raise StopAsyncIteration
            await self._read()
        item = self._items.popleft()
        if isinstance(item, ProviderError):
            self._over = True
            raise item
        return item

    async def _read(self) -> None:
        interpreter = self._call.interpreter
        data = b""
        try:
            if interpreter.finished:
                with trio.move_on_after(FINISH_GRACE_S):
                    data = await self._body.read()
            else:
                data = await self._body.read()
        except httpx.HTTPError as error:
            self._broken(error)
            return
        if data:
            self._items += self._interpreted(data)
        if not self._over and (not data or interpreter.ended):
            self._items += interpreter.end()
            self._over = True

    def _interpreted(self, data: bytes) -> list[Item]:
        try:
            return _together(self._call.interpreter.feed(self._unpack.feed(data)))
        except zlib.error:
            self._over = True
            return [malformed(self._call.origin, "compressed data that is broken")]

    def _broken(self, error: httpx.HTTPError) -> None:
        """Takes what is left; a connection that breaks after the last word has done its work."""
        self._over = True
        finished = self._call.interpreter.finished
        self._items += self._call.interpreter.end()
        if not finished:
            self._items.append(network_error(error, self._call.origin))

    async def _drain(self, body: Body) -> None:
        try:
            while await body.read():
                pass
        except httpx.HTTPError:
            return  # only the connection is lost, and it is closed next


def _together(items: list[Item]) -> list[Item]:
    """Returns the items with neighbouring texts joined: what came in one read costs one step from here on."""
    if len(items) < 2:
        return items
    joined: list[Item] = []
    for item in items:
        last = joined[-1] if joined else None
        if type(item) is Text and type(last) is Text:
            joined[-1] = Text(last.text + item.text)
        elif type(item) is Reasoning and type(last) is Reasoning:
            joined[-1] = Reasoning(last.text + item.text)
        else:
            joined.append(item)
    return joined


# --- Reading the bodies of HTTP responses, within bounds, and translating what breaks.
#
# Every failure of httpx becomes ``ProviderError`` here. Its own texts are not quoted: they can hold
# header values, which may be keys.


async def read_body(response: httpx.Response, max_bytes: int, origin: Origin) -> bytes:
    """Returns the whole body; raises ``ProviderError`` when it is longer or the connection breaks."""
    data = bytearray()
    try:
        await _read_into(data, response, max_bytes + 1)
    except httpx.HTTPError as error:
        raise network_error(error, origin) from error
    except zlib.error as error:
        raise malformed(origin, "compressed data that is broken") from error
    if len(data) > max_bytes:
        raise malformed(origin, "far too much data")
    return bytes(data)


async def read_some(response: httpx.Response) -> bytes:
    """Returns the beginning of an error's body, or what came before the connection broke."""
    data = bytearray()
    with suppress(httpx.HTTPError, zlib.error):
        await _read_into(data, response, limits.ERROR_BODY_BYTES)
    return bytes(data[: limits.ERROR_BODY_BYTES])


async def _read_into(data: bytearray, response: httpx.Response, enough: int) -> None:
    """Adds the unpacked body, to its end or until ``enough`` bytes are there; raises what httpx and zlib do."""
    unpack = Unpacker(response.headers.get("content-encoding", ""))
    async with aclosing(body_of(response)) as body:
        while len(data) < enough and (part := await body.read()):
            data += unpack.feed(part)


# --- Packed bodies: nobody asked for them, some servers and proxies send them all the same.

_PACKINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_GZIP = b"\x1f\x8b"


def can_unpack(encoding: str) -> bool:
    """Returns whether a body with this ``Content-Encoding`` can be read."""
    return encoding.strip().lower() in _PACKINGS


class Unpacker:
    """Unpacks a body as it arrives; gzip is known by its first bytes too, where no header says so.

    A part never becomes more than ``WHOLE_REPLY_BYTES``.
    """

    def __init__(self, encoding: str) -> None:
        self._packed = encoding.strip().lower() in ("gzip", "x-gzip", "deflate")
        self._begun = False
        self._tool: zlib._Decompress | None = None

    def feed(self, data: bytes) -> bytes:
        """Returns what ``data`` holds; raises ``zlib.error`` when it is broken."""
        if not self._begun and data:
            self._begun = True
            if self._packed or data.startswith(_GZIP):
                # 32: gzip or zlib, as their heads say; without a head it is bare deflate.
                bare = not data.startswith(_GZIP) and data[:1] != b"\x78"
                self._tool = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
        if self._tool is None:
            return data
        return self._tool.decompress(data, limits.WHOLE_REPLY_BYTES)


async def close(response: httpx.Response) -> None:
    """Closes a response, within ``CLOSE_TIMEOUT_S`` also where its reader is cancelled."""
    with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
        await response.aclose()


def network_error(error: Exception, origin: Origin) -> ProviderError:
    """The exception's own text is not quoted: it can hold a header value, which may be a key."""
    where = origin.base_url
    match error:
        case httpx.ConnectError() if isinstance(_root(error), ssl.SSLError):
            text = f"{origin.label} at {where} has no valid certificate; check the address and this machine's clock."
        case httpx.ConnectError() | httpx.ConnectTimeout() if origin.local:
            text = f"no server at {where}; start {origin.label}, or change its base_url in config.yaml."
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
            text = f"{origin.label} at {where} cannot be reached; check the network and try again."
        case httpx.PoolTimeout():
            text = f"too many requests to {origin.label} are waiting; try again."
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            text = f"{where!r} is no web address; change base_url of {origin.label} in config.yaml."
        case httpx.TimeoutException():
            text = f"{origin.label} stopped answering; try again."
        case _:
            text = f"the connection to {origin.label} broke; try again."
    return ProviderError("network", text)


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


# --- The bytes of a body, with as little as possible between socket and reader.
#
# httpx and httpcore hand a body through six nested generators and two time limits; at a token at a time that is a
# tenth of what relaying it costs. Here the same connection is read directly: same HTTP parser (h11), same socket,
# so that closing, keeping alive and errors stay httpcore's. Where its insides are not as expected, as on another
# transport or after an update, the body is read the long way. Everything that came in one read is given at once.


READ_BYTES = 64 * 1024


class Body(Protocol):
    """The parts of a body; raises ``httpx.HTTPError`` when the connection breaks."""

    async def read(self) -> bytes:
        """Returns what has come, b"" at the end."""

    async def aclose(self) -> None: ...


def body_of(response: httpx.Response) -> Body:
    """Returns the body of a streamed response that nobody has begun to read."""
    connection = _connection(response)
    if connection is not None:
        return DirectBody(*connection)
    return LongWayBody(response)


def _connection(response: httpx.Response) -> tuple[h11.Connection, trio.abc.ReceiveStream] | None:
    """Returns parser and socket of an HTTP/1.1 response over trio; None when they are not where they were."""
    inner: Any = response.stream
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection"):
        inner = getattr(inner, name, None)
    if type(inner) is not httpcore.AsyncHTTP11Connection:
        return None
    parser = getattr(inner, "_h11_state", None)
    socket = getattr(getattr(inner, "_network_stream", None), "_stream", None)
    if isinstance(parser, h11.Connection) and isinstance(socket, trio.abc.ReceiveStream):
        return parser, socket
    return None


class DirectBody:
    """Reads from the connection itself."""

    def __init__(self, parser: h11.Connection, socket: trio.abc.ReceiveStream) -> None:
        self._parser = parser
        self._socket = socket
        self._over = False

    async def read(self) -> bytes:
        """Returns all that has come, b"" at the end."""
        try:
            while not self._over:
                if data := self._parsed():
                    return data
                if not self._over:
                    self._parser.receive_data(bytes(await self._socket.receive_some(READ_BYTES)))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(str(error)) from error
        return b""

    def _parsed(self) -> bytes:
        parts: list[bytes] = []
        while True:
            event = self._parser.next_event()
            if isinstance(event, h11.Data):
                parts.append(bytes(event.data))
                continue
            if event is not h11.NEED_DATA:
                self._over = True
            return parts[0] if len(parts) == 1 else b"".join(parts)

    async def aclose(self) -> None:
        """Does nothing: the response closes its connection, or keeps it alive."""


class LongWayBody:
    """Reads through httpx."""

    def __init__(self, response: httpx.Response) -> None:
        parts = response.aiter_raw()
        assert isinstance(parts, AsyncGenerator)  # httpx types it as an iterator; it must be closed
        self._parts: AsyncGenerator[bytes, None] = parts

    async def read(self) -> bytes:
        """Returns the next part, b"" at the end."""
        async for part in self._parts:
            if part:
                return part
        return b""

    async def aclose(self) -> None:
        """Ends the generator where it was begun."""
        await self._parts.aclose()
