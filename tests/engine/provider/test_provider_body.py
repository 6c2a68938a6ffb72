"""Bodies are read from the connection itself, and everything around them stays as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from flower.engine.provider.base import Finish, Piece, Text
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.http.client import HttpClient
from flower.engine.provider.http.response import DirectBody, LongWayBody, body_of
from flower.engine.provider.retry import Stream
from flower.engine.provider.services.openai import OpenAIProvider
from flower.engine.provider.services.remote import bearer
from flower.errors import ProviderError
from tests.bench.many_stories import HEAD, delta, part, read_request
from tests.provider_world import Body, completion, text_of

END = (
    part(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    + b"0\r\n\r\n"
)


class Server:
    """Answers every request with the given bytes; counts connections."""

    def __init__(self, *answer: bytes, close: bool = False) -> None:
        self.answer = answer
        self.close = close
        self.connections = 0

    async def handle(self, peer: trio.SocketStream) -> None:
        self.connections += 1
        async with peer:
            while await read_request(peer) is not None:
                for data in self.answer:
                    await peer.send_all(data)
                    await trio.lowlevel.checkpoint()
                if self.close:
                    return


@asynccontextmanager
async def provider_of(server: Server) -> AsyncIterator[OpenAIProvider]:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, server.handle, [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1"
        endpoint = Endpoint("acme", "compatible", url)
        provider = OpenAIProvider(endpoint, HttpClient(endpoint, bearer))
        yield provider
        await provider.aclose()
        nursery.cancel_scope.cancel()


async def hear(provider: OpenAIProvider, told: list[Piece] | None = None) -> list[Piece]:
    told = told if told is not None else []
    async with Stream(provider, completion(), tries=1) as pieces:
        async for piece in pieces:
            told.append(piece)  # what came before an error must be kept
    return told


async def test_a_real_connection_is_read_directly_and_kept_alive() -> None:
    """Two replies come over one connection, however their bytes are cut."""
    body = b"".join(part(delta(word)) for word in ("The ", "gate ", "opens."))
    server = Server(HEAD + body[:50], body[50:], END)
    async with provider_of(server) as provider:
        for _ in range(2):
            pieces = await hear(provider)
            assert text_of(pieces) == "The gate opens."
            assert pieces[-1] == Finish("done")
    assert server.connections == 1


async def test_what_came_together_is_one_piece() -> None:
    """Deltas that are in the socket already cost one step from there on."""
    server = Server(HEAD + b"".join(part(delta(word)) for word in ("The ", "gate ", "opens.")) + END)
    async with provider_of(server) as provider:
        pieces = await hear(provider)
    assert [piece for piece in pieces if isinstance(piece, Text)] == [Text("The gate opens.")]


@pytest.mark.parametrize("broken", [b"", b"zz\r\n", b"5\r\nab"])
async def test_a_connection_that_breaks_keeps_the_words(broken: bytes) -> None:
    """An end, nonsense or half a chunk in the middle of a reply is an interruption after the words."""
    server = Server(HEAD + part(delta("The gate ")), broken, close=True)
    async with provider_of(server) as provider:
        told: list[Piece] = []
        with pytest.raises(ProviderError, match="go on with /continue"):
            await hear(provider, told)
    assert text_of(told) == "The gate "


async def test_other_transports_are_read_the_long_way() -> None:
    """Nothing of httpcore's insides is taken for granted."""
    response = httpx.Response(200, stream=Body(b"a", b"b"))
    body = body_of(response)
    assert isinstance(body, LongWayBody)
    assert [await body.read(), await body.read(), await body.read()] == [b"a", b"b", b""]
    await body.aclose()


async def test_the_insides_are_where_they_were() -> None:
    """After an update of httpx or httpcore this says that bodies are read the long way again."""
    server = Server(HEAD + END)
    async with provider_of(server) as provider:
        opened = provider.open(completion())
        async with opened:
            assert isinstance(opened._body, DirectBody)
