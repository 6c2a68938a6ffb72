"""Every provider against every fault of a network: words kept, one clear error, keys never shown."""

from __future__ import annotations

import logging
import traceback
from functools import partial

import httpx
import pytest
import trio
from trio.testing import MockClock

from flower.engine.provider.base import Finish, Piece, Provider
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.http.client import HttpClient
from flower.engine.provider.http.response import FINISH_GRACE_S
from flower.engine.provider.services.openai import OpenAIProvider
from flower.engine.provider.services.remote import bearer
from flower.errors import ProviderError
from tests.provider_world import (
    FAMILIES,
    KEY,
    STORY,
    Body,
    Family,
    Network,
    completion,
    make_provider,
    refused,
    streamed,
    text_of,
    thought_of,
)

every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


async def play(provider: Provider, **fields: object) -> tuple[list[Piece], ProviderError | None]:
    """Returns the pieces of one completion and the error that ended it."""
    pieces: list[Piece] = []
    try:
        async with provider.open(completion(**fields)) as stream:
            async for piece in stream:
                pieces.append(piece)  # noqa: PERF401  # what came before an error must be kept
    except ProviderError as error:
        return pieces, error
    finally:
        await provider.aclose()
    return pieces, None


def halves(family: Family) -> tuple[bytes, bytes]:
    """Cuts a recorded reply in the middle of its words."""
    place = family.recorded.index(b"Who goes")
    return family.recorded[:place], family.recorded[place:]


@every_family
async def test_a_normal_reply(family: Family) -> None:
    response = streamed(
        family, *[family.recorded[i : i + 7] for i in range(0, len(family.recorded), 7)]
    )
    network = Network(response)
    pieces, error = await play(make_provider(family, network))
    assert error is None
    assert text_of(pieces) == STORY
    assert pieces[-1] == Finish("done")
    assert response.extensions["body"].closed
    (request,) = network.requests
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("flower/")
    assert KEY in "".join(request.headers.values())
    assert KEY not in str(request.url)


@every_family
async def test_a_reply_cut_in_the_middle_ends_without_an_end_mark(family: Family) -> None:
    """A clean close is no proof of a complete reply."""
    pieces, error = await play(make_provider(family, Network(streamed(family, halves(family)[0]))))
    assert error is None
    assert thought_of(pieces)
    assert not any(isinstance(piece, Finish) for piece in pieces)


@every_family
async def test_a_connection_that_breaks_in_the_middle(family: Family) -> None:
    broken = streamed(family, halves(family)[0], httpx.RemoteProtocolError("peer closed connection"))
    pieces, error = await play(make_provider(family, Network(broken)))
    assert thought_of(pieces)
    assert error is not None
    assert error.kind == "network"


@every_family
async def test_a_connection_that_breaks_after_the_last_word_is_no_error(family: Family) -> None:
    response = streamed(family, family.recorded, httpx.ReadError("reset"))
    pieces, error = await play(make_provider(family, Network(response)))
    assert error is None
    assert pieces[-1] == Finish("done")


@every_family
async def test_an_end_mark_ends_a_reply_on_an_open_line(
    family: Family, autojump_clock: MockClock
) -> None:
    """A server that keeps the line open after the last word cannot hold up the turn."""
    pieces, error = await play(
        make_provider(family, Network(streamed(family, family.recorded, 3600.0)))
    )
    assert error is None
    assert pieces[-1] == Finish("done")
    assert trio.current_time() < FINISH_GRACE_S + 1


STATUSES = {
    400: "bad_request",
    401: "auth",
    402: "payment",
    404: "model_not_found",
    413: "context_exceeded",
    422: "bad_request",
    429: "rate_limit",
    500: "server",
    503: "overloaded",
    529: "overloaded",
    302: "bad_request",
}


@every_family
@pytest.mark.parametrize("status", STATUSES)
async def test_statuses(family: Family, status: int) -> None:
    body = f'{{"error":{{"message":"no luck with key {KEY}","code":"x"}}}}'
    network = Network(refused(status, body, retry_after="7"))
    pieces, error = await play(make_provider(family, network))
    assert pieces == []
    assert error is not None
    assert error.kind == STATUSES[status]
    assert KEY not in str(error)
    if status == 429:
        assert error.retry_after_s == 7.0
    assert len(network.requests) == 1, "a provider never retries"


@every_family
async def test_an_html_page_instead_of_a_reply(family: Family) -> None:
    page = httpx.Response(
        200, headers={"content-type": "text/html"}, stream=Body(b"<html><h1>Please log in</h1></html>")
    )
    _, error = await play(make_provider(family, Network(page)))
    assert error is not None
    assert error.kind == "malformed_stream"
    assert "Please log in" in str(error)


@every_family
async def test_an_html_error_page(family: Family) -> None:
    page = "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
    _, error = await play(make_provider(family, Network(refused(502, page))))
    assert error is not None
    assert error.kind == "overloaded"


@every_family
async def test_an_endless_error_body_is_not_read_to_its_end(family: Family) -> None:
    endless = httpx.Response(500, stream=Body(*[b"x" * 65_536] * 1000))
    _, error = await play(make_provider(family, Network(endless)))
    assert error is not None
    assert error.kind == "server"


@every_family
async def test_compressed_bodies_that_are_broken_are_an_error(family: Family) -> None:
    bomb = httpx.Response(
        200, headers={"content-encoding": "gzip"}, stream=Body(b"\x1f\x8b" + b"\0" * 100)
    )
    _, error = await play(make_provider(family, Network(bomb)))
    assert error is not None
    assert error.kind == "malformed_stream"
    bomb = httpx.Response(
        500, headers={"content-encoding": "gzip"}, stream=Body(b"\x1f\x8b" + b"\0" * 100)
    )
    _, error = await play(make_provider(family, Network(bomb)))
    assert error is not None
    assert error.kind == "server"


NETWORK_ERRORS = [
    httpx.ConnectError("[Errno 111] Connection refused"),
    httpx.ConnectTimeout("timed out"),
    httpx.ReadTimeout("timed out"),
    httpx.RemoteProtocolError("illegal header"),
    httpx.PoolTimeout("pool"),
    httpx.LocalProtocolError(f"Illegal header value b'Bearer {KEY}'"),
    httpx.ProxyError("407"),
]


@every_family
@pytest.mark.parametrize("failure", NETWORK_ERRORS, ids=lambda e: type(e).__name__)
async def test_network_errors(family: Family, failure: Exception) -> None:
    _, error = await play(make_provider(family, Network(failure)))
    assert error is not None
    assert error.kind == "network"
    assert KEY not in str(error)


@every_family
async def test_stopping_closes_the_connection_at_once(
    family: Family, autojump_clock: MockClock
) -> None:
    """Leaving a running stream, by a break or by cancellation, closes it in no time."""
    response = streamed(family, halves(family)[0], 60.0, halves(family)[1])
    provider = make_provider(family, Network(response))
    with trio.move_on_after(5):
        async with provider.open(completion()) as stream:
            async for _ in stream:
                pass
    assert trio.current_time() == pytest.approx(5, abs=0.01)
    assert response.extensions["body"].closed
    again = streamed(family, family.recorded, 60.0)
    provider = make_provider(family, Network(again))
    async with provider.open(completion()) as stream:
        async for _ in stream:
            break
    assert again.extensions["body"].closed
    assert trio.current_time() < 6


@every_family
async def test_cancelled_while_waiting_for_an_answer(family: Family, autojump_clock: MockClock) -> None:
    with trio.move_on_after(5) as scope:
        await play(make_provider(family, Network(3600.0)))
    assert scope.cancelled_caught


@every_family
async def test_keys_are_never_shown(family: Family, caplog: pytest.LogCaptureFixture) -> None:
    """Not in errors, tracebacks, logs at any level, nor in any repr."""
    caplog.set_level(logging.DEBUG)
    header = "tok-canary-55aa"
    for answer in (
        refused(401, f'{{"error":{{"message":"bad key {KEY} / {header}"}}}}'),
        refused(500, f"<p>{KEY}</p>"),
        httpx.LocalProtocolError(f"Illegal header value b'{KEY}'"),
        streamed(family, family.recorded[:40], httpx.ReadError(KEY)),
    ):
        provider = make_provider(family, Network(answer), headers={"X-Token": header})
        _, error = await play(provider)
        assert error is not None
        shown = "".join(traceback.format_exception_only(error)) + repr(error) + repr(provider)
        assert KEY not in shown
        assert header not in shown
    endpoint = Endpoint(
        "acme", family.kind, "https://a.example", api_key=KEY, headers={"X-Token": header}
    )
    assert KEY not in repr(endpoint)
    assert header not in repr(endpoint)
    logged = caplog.text
    assert KEY not in logged
    assert header not in logged


@pytest.mark.parametrize("key", ["sk-with\nnewline", "sk with space", "sk-ü"])
async def test_a_key_that_cannot_be_sent_is_not_shown(key: str) -> None:
    provider = make_provider(FAMILIES["openai"], Network(refused(500)), api_key=key)
    _, error = await play(provider)
    assert error is not None
    assert error.kind == "auth"
    assert key not in str(error)
    assert "copy it again" in str(error)


@pytest.mark.parametrize("kind", ["openai", "gemini", "anthropic", "deepseek"])
async def test_a_missing_key_is_said_before_anything_is_sent(kind: str) -> None:
    network = Network(refused(500))
    _, error = await play(make_provider(FAMILIES[kind], network, api_key=""))
    assert error is not None
    assert (error.kind, network.requests) == ("auth", [])
    assert "acme_api_key in config.yaml" in str(error)


async def test_a_key_from_a_command() -> None:
    """The command runs once; its first line is the key."""
    family = FAMILIES["openai"]
    network = Network(refused(500))
    provider = make_provider(family, network, api_key="", api_key_cmd=f"printf '{KEY}\\nnoise'")
    await play(provider)
    assert network.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_key_from_a_command_is_not_quoted_either() -> None:
    """Not even by the first request, which is the one that runs the command."""
    network = Network(refused(500, f"bad {KEY}"))
    provider = make_provider(FAMILIES["openai"], network, api_key="", api_key_cmd=f"echo {KEY}")
    _, error = await play(provider)
    assert error is not None
    assert KEY not in str(error)


async def test_a_key_command_that_fails() -> None:
    provider = make_provider(
        FAMILIES["openai"], Network(refused(500)), api_key="", api_key_cmd=f"echo {KEY}; exit 3"
    )
    _, error = await play(provider)
    assert error is not None
    assert error.kind == "auth"
    assert "api_key_cmd" in str(error)
    assert KEY not in str(error)


async def test_a_full_pool_gets_a_fresh_client() -> None:
    """httpcore can lose pool slots to cancelled connects; the next try must not wait for them."""
    family = FAMILIES["openai"]
    network = Network(httpx.PoolTimeout("pool"), streamed(family, family.recorded))
    provider = make_provider(family, network)
    assert isinstance(provider, OpenAIProvider)
    with pytest.raises(ProviderError):
        async with provider.open(completion()):
            pass
    assert provider._http._client is None, "the next request makes a new one"
    pieces, error = await play(provider)
    assert error is None
    assert text_of(pieces) == STORY


async def test_an_idle_connection_that_was_closed_is_replaced_at_once() -> None:
    """The race between a keep-alive timeout and the next prompt is no failure of the turn."""
    family = FAMILIES["openai"]
    network = Network(
        streamed(family, family.recorded),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        streamed(family, family.recorded),
    )
    provider = make_provider(family, network)
    for _ in range(2):
        async with provider.open(completion()) as stream:
            assert text_of([piece async for piece in stream]) == STORY
    assert len(network.requests) == 3


async def test_lone_surrogates_in_a_prompt_can_be_sent() -> None:
    family = FAMILIES["openai"]
    network = Network(streamed(family, family.recorded))
    _, error = await play(make_provider(family, network), session="\ud83d!")
    assert error is None
    assert b"?!" in network.bodies[0]


async def test_a_document_instead_of_a_stream() -> None:
    body = b'{"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]}'
    response = httpx.Response(
        200, headers={"content-type": "application/json"}, stream=Body(body[:9], body[9:])
    )
    pieces, error = await play(make_provider(FAMILIES["openai"], Network(response)))
    assert error is None
    assert text_of(pieces) == "Hello"


async def test_a_llama_cpp_behind_any_address_is_recognised() -> None:
    """Its Server header turns on prompt progress for the next request."""
    family = FAMILIES["compatible"]
    first = streamed(family, family.recorded)
    first.headers["server"] = "llama.cpp"
    network = Network(first, streamed(family, family.recorded))
    provider = make_provider(family, network)
    for _ in range(2):
        async with provider.open(completion()) as stream:
            assert text_of([piece async for piece in stream]) == STORY
    assert b"return_progress" not in network.bodies[0]
    assert b'"return_progress":true' in network.bodies[1]


async def test_real_sockets_slow_words_and_stop() -> None:
    """Over loopback: words arrive as they are sent, and stopping closes the server's socket at once."""
    family = FAMILIES["openai"]
    gone = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            await stream.send_all(head + b"%x\r\n%b\r\n" % (len(halves(family)[0]), halves(family)[0]))
            while await stream.receive_some():
                pass
            gone.set()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        endpoint = Endpoint("acme", "compatible", f"http://127.0.0.1:{port}/v1")
        provider = OpenAIProvider(endpoint, HttpClient(endpoint, bearer))
        with trio.fail_after(5):
            async with provider.open(completion()) as stream:
                async for piece in stream:
                    if text_of([piece]):
                        break
            await gone.wait()
        await provider.aclose()
        nursery.cancel_scope.cancel()
