"""The only place of the engine that talks HTTP to providers.

Owns one client per endpoint, its connections and the endpoint's key. Sends a request, hands the
bytes of the response to an interpreter, translates every failure into ``ProviderError`` once. Never
follows redirects, never reads an unbounded body, never shows a key.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

import httpx
import msgspec
import trio

from flower import __version__, limits
from flower.engine.provider.base import Completion, Template
from flower.engine.provider.decode import Dialect, Interpreter
from flower.engine.provider.endpoint import KINDS, Endpoint, read_key
from flower.engine.provider.errors import Origin, from_response, malformed
from flower.engine.provider.framing import NdjsonDecoder, SseDecoder
from flower.engine.provider.gate import Gate
from flower.engine.provider.proxies import certificates, proxy_for
from flower.engine.provider.quote import excerpt
from flower.engine.provider.request_fields import Refusals, field_names
from flower.engine.provider.response import (
    Call,
    PieceStream,
    Prepare,
    can_unpack,
    close,
    network_error,
    read_body,
    read_some,
)
from flower.engine.provider.text_prompts import ChatFormat, TextPrompts
from flower.errors import ProviderError

Auth = Callable[[str], dict[str, str]]


class Edge:
    """Connections to one endpoint.

    ``auth`` makes the headers that carry the key. ``transport`` replaces the network in tests;
    ``clock`` is Unix time, for HTTP dates only; ``environ`` may name a proxy.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        auth: Auth,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._endpoint = endpoint
        self._environ = environ
        self._auth = auth
        self._transport = transport
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._retired: list[httpx.AsyncClient] = []
        self._key: str | None = None
        self._used = False  # there may be idle connections
        self.server = ""  # the last Server header, which tells a llama.cpp behind any address

    def origin(self, model: str = "", body: Mapping[str, Any] | None = None) -> Origin:
        """Returns what error sentences need to know about a request to this endpoint."""
        endpoint = self._endpoint
        key = (self._key,) if self._key else ()
        return Origin(
            label=endpoint.name,
            base_url=endpoint.base_url,
            key_hint=endpoint.key_hint,
            model=model,
            secrets=key + endpoint.secrets(),
            sent=field_names(body or {}),
            local=endpoint.local,
        )

    def stream(self, prepare: Prepare) -> PieceStream:
        """Returns the pieces of the completion that ``prepare`` makes when the stream is entered."""

        async def prepare_with_key() -> Call:
            await self._read_key()  # first, so that no sentence about a failure can quote it
            return await prepare()

        async def send(call: Call) -> httpx.Response:
            return await self.send("POST", call.path, call.body, call.origin)

        return PieceStream(prepare_with_key, send)

    async def get_json(self, path: str, *, base_url: str = "", timeout_s: float = 0.0) -> Any:
        """Returns the JSON document at ``path``; raises ``ProviderError``."""
        return await self._json("GET", path, None, base_url, timeout_s)

    async def post_json(
        self, path: str, body: Mapping[str, Any], *, base_url: str = "", timeout_s: float = 0.0
    ) -> Any:
        """Returns the JSON answer to a posted document; raises ``ProviderError``."""
        return await self._json("POST", path, body, base_url, timeout_s)

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        origin: Origin,
        *,
        base_url: str = "",
    ) -> httpx.Response:
        """Returns a response whose status is success and whose body is unread.

        Raises ``ProviderError``; the connection is closed then.
        """
        client = await self._connected()
        url = (base_url or self._endpoint.base_url) + path
        headers = self._headers(origin)
        content = None if body is None else _encode(body)
        try:
            request = client.build_request(method, url, headers=headers, content=content)
            try:
                response = await client.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if not self._used:
                    raise
                # The server closed an idle connection at the moment it was used again.
                response = await client.send(request, stream=True)
        except httpx.PoolTimeout as error:
            self._discard(client)
            raise network_error(error, origin) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise network_error(error, origin) from error
        self._used = True
        self.server = response.headers.get("server", "")
        if not response.is_success:
            raise await self._refusal(response, origin)
        if not can_unpack(response.headers.get("content-encoding", "")):
            await close(response)
            raise malformed(origin, "compressed data, which was not asked for")
        return response

    async def aclose(self) -> None:
        """Closes all connections. The edge can be used again afterwards."""
        clients = [*self._retired, self._client]
        self._client = None
        self._retired.clear()
        for client in clients:
            if client is not None:
                await client.aclose()

    async def _json(
        self, method: str, path: str, body: Mapping[str, Any] | None, base_url: str, timeout_s: float
    ) -> Any:
        await self._read_key()
        origin = self.origin()
        with trio.move_on_after(timeout_s or limits.CATALOGUE_TIMEOUT_S):
            response = await self.send(method, path, body, origin, base_url=base_url)
            try:
                data = await read_body(response, limits.CATALOGUE_BYTES, origin)
            finally:
                await close(response)
            return _decoded(data, origin)
        raise ProviderError("network", f"{origin.label} did not answer in time; try again.")

    async def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            proxy = "" if self._transport is not None else self._proxy()
            secure = self._endpoint.base_url.startswith("https:") or proxy.startswith("https:")
            plain = self._transport is not None or not secure
            verify = False if plain else await trio.to_thread.run_sync(_tls_context)
            if self._client is None:  # another task may have made it meanwhile
                self._client = self._make_client(verify, proxy)
        return self._client

    def _proxy(self) -> str:
        return proxy_for(self._endpoint.base_url, self._environ)

    def _make_client(self, verify: ssl.SSLContext | bool, proxy: str) -> httpx.AsyncClient:
        # httpx logs addresses, httpcore headers; neither belongs into our logs.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        return httpx.AsyncClient(
            verify=verify,
            trust_env=False,  # it fails on what other programs bear, and takes .netrc's passwords
            proxy=proxy or None,
            follow_redirects=False,
            transport=self._transport,
            headers={"User-Agent": f"flower/{__version__}", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(
                connect=self._endpoint.timeouts.connect_s or limits.CONNECT_TIMEOUT_S,
                read=None,  # those who listen have deadlines of their own
                write=limits.WRITE_TIMEOUT_S,
                pool=limits.CONNECT_TIMEOUT_S,
            ),
            limits=httpx.Limits(
                max_connections=limits.CONNECTIONS_PER_PROVIDER, keepalive_expiry=limits.KEEPALIVE_S
            ),
        )

    async def _read_key(self) -> None:
        if self._key is None:
            self._key = await read_key(self._endpoint)

    def _headers(self, origin: Origin) -> dict[str, str]:
        key = self._key or ""
        endpoint = self._endpoint
        if not key and KINDS[endpoint.kind].needs_key and not (endpoint.headers or endpoint.local):
            raise ProviderError("auth", f"{origin.label} needs an API key; set {endpoint.key_hint}.")
        return {
            "Accept": "*/*",
            "Content-Type": "application/json",
            **self._auth(key),
            **endpoint.headers,
        }

    def _discard(self, client: httpx.AsyncClient) -> None:
        """Retires a client whose pool lost its slots to cancelled connects (httpcore issue 1093).

        It is closed at the end only: another story's reply may still be streaming through it.
        """
        if self._client is client:
            self._client = None
            self._retired.append(client)

    async def _refusal(self, response: httpx.Response, origin: Origin) -> ProviderError:
        body = b""
        if can_unpack(response.headers.get("content-encoding", "")):
            with trio.move_on_after(limits.CONNECT_TIMEOUT_S):
                body = await read_some(response)
        await close(response)
        return from_response(response.status_code, response.headers, body, origin, now=self._clock())


@cache
def _tls_context() -> ssl.SSLContext:
    """Reading the certificates takes 0.1 s on a Pi: once, off the event loop, shared by all."""
    return certificates(os.environ)


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:  # a lone surrogate from an old story or a card becomes "?"
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _decoded(data: bytes, origin: Origin) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise malformed(origin, excerpt(data)) from error


# --- What the providers over HTTP have in common: an endpoint, an edge, and what models refused there.
#
# A family adds what its API says: the call for a completion, its models, how it counts. One level, no more:
# nothing inherits from a family.


class RemoteProvider(ABC):
    """The part of a ``Provider`` that is the same for every API; ``needed`` fields are always sent."""

    def __init__(self, endpoint: Endpoint, edge: Edge, *, needed: Collection[str] = ()) -> None:
        self._endpoint = endpoint
        self._edge = edge
        self._refusals = Refusals(needed)
        self._seen_thinking: set[str] = set()
        self._texts = TextPrompts(endpoint, self._chat_format)
        self._gates: dict[str, Gate] = {}
        self.local = endpoint.own
        self.timeouts = endpoint.timeouts

    @property
    def name(self) -> str:
        """The prefix of this provider's model ids."""
        return self._endpoint.name

    def open(self, completion: Completion) -> PieceStream:
        """Returns the stream of one completion; the call is made when it is entered."""
        return self._edge.stream(lambda: self._prepared(completion))

    @abstractmethod
    async def _prepared(self, completion: Completion) -> Call:
        """Returns the call that asks for ``completion``; raises ``ProviderError``."""

    def refuse(self, model: str, field: str) -> bool:
        """Remembers that ``model`` does not take ``field``; returns whether leaving it out may help."""
        return self._refusals.add(model, field)

    def gate(self, model: str) -> Gate:
        """Returns the line of those who wait for ``model``."""
        gate = self._gates.get(model)
        if gate is None:
            for idle in [name for name, other in self._gates.items() if not other.active][
                : -limits.GATES
            ]:
                del self._gates[idle]
            gate = self._gates[model] = Gate(self._places)
        return gate

    async def _places(self) -> int | None:
        """Returns how many requests the server takes at once, None when it does not say.

        Raises ``ProviderError`` when it cannot say it yet.
        """
        return None

    async def count_tokens(self, text: str) -> int | None:
        """Returns None: most APIs do not count, or only whole requests over the network."""
        return None

    def _interpreter(
        self,
        decoder: SseDecoder | NdjsonDecoder,
        dialect: Dialect,
        origin: Origin,
        completion: Completion,
    ) -> Interpreter:
        """Returns what reads the answer to ``completion``."""
        return Interpreter(
            origin,
            decoder,
            dialect,
            expects=self._thinks(completion.model),
            names=completion.player_names,
            marks=(*completion.scaffold, *self._texts.marks(completion)),
        )

    async def _chat_format(self) -> ChatFormat:
        """Returns the chat template that the server says it uses; none where it does not tell."""
        return ChatFormat()

    def prefills(self, model: str, template: Template | str | None) -> bool:
        """Returns whether a reply can go on in its own words: a prompt that is text always does."""
        return self._texts.template(model, template) is not None

    def remarks(self, model: str) -> tuple[str, ...]:
        """Returns what the player should know about a model."""
        return self._texts.remarks(model)

    def _thinks(self, model: str) -> bool:
        """Whether replies of ``model`` begin inside its thinking: the user says so, or it was seen."""
        if model in self._seen_thinking:
            return True
        return any(patch.thinks and patch.fits(model) for patch in self._endpoint.patch)

    def _learned(self, model: str) -> Callable[[], None]:
        """Returns what to call when a reply of ``model`` ended thinking that nobody had begun."""

        def learn() -> None:
            if len(self._seen_thinking) < limits.CATALOGUE_MODELS:
                self._seen_thinking.add(model)

        return learn

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._edge.aclose()
