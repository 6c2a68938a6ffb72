"""The pieces of one completion, from request to close.

Owns one response. Hands its bytes to an interpreter and gives out what that makes of them; deadlines
and retries belong to those who listen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Any

import httpx
import trio
from msgspec import Struct

from flower import limits
from flower.engine.provider.base import Piece
from flower.engine.provider.body import close, network_error, raw, read_body
from flower.engine.provider.errors import Origin, malformed
from flower.engine.provider.interpret import Interpreter, Item
from flower.engine.provider.quote import excerpt
from flower.errors import ProviderError


class Call(Struct, frozen=True):
    """One completion, ready to be sent: where, what, and how to read the answer."""

    path: str
    body: dict[str, Any]
    origin: Origin
    interpreter: Interpreter


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

    async def __aenter__(self) -> PieceStream:
        call = await self._prepare()
        self._call = call
        self._response = await self._send(call)
        try:
            await self._begin()
        except BaseException:
            await close(self._response)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._over and self._body is not None:
            with trio.move_on_after(limits.DRAIN_S):
                await self._drain(self._body)
        with trio.move_on_after(limits.CLOSE_TIMEOUT_S, shield=True):
            if self._body is not None:
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

    async def _begin(self) -> None:
        """Looks at what kind of body this is; a whole document is read here."""
        self._body: AsyncGenerator[bytes, None] | None = None
        kind = self._response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("application/json", "text/html"):
            self._body = raw(self._response)
            return
        data = await read_body(self._response, limits.WHOLE_REPLY_BYTES, self._call.origin)
        self._over = True
        if kind == "text/html":
            raise malformed(self._call.origin, excerpt(data))
        self._items += self._call.interpreter.whole(data)

    async def _read(self) -> None:
        assert self._body is not None
        interpreter = self._call.interpreter
        data: bytes | None = None
        try:
            if interpreter.finished:
                with trio.move_on_after(limits.FINISH_GRACE_S):
                    data = await anext(self._body, None)
            else:
                data = await anext(self._body, None)
        except httpx.HTTPError as error:
            self._broken(error)
            return
        if data is not None:
            self._items += interpreter.feed(data)
        if data is None or interpreter.ended:
            self._items += interpreter.end()
            self._over = True

    def _broken(self, error: httpx.HTTPError) -> None:
        """Takes what is left; a connection that breaks after the last word has done its work."""
        self._over = True
        finished = self._call.interpreter.finished
        self._items += self._call.interpreter.end()
        if not finished:
            self._items.append(network_error(error, self._call.origin))

    async def _drain(self, body: AsyncGenerator[bytes, None]) -> None:
        try:
            async for _ in body:
                pass
        except httpx.HTTPError:
            return  # only the connection is lost, and it is closed next
