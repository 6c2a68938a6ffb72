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
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import httpx
import msgspec
import trio

from flower import __version__, limits
from flower.engine.provider.endpoint import KINDS, Endpoint, field_names, read_key
from flower.engine.provider.error_body import excerpt
from flower.engine.provider.errors import Origin, from_response, malformed
from flower.engine.provider.http.proxies import certificates, proxy_for
from flower.engine.provider.http.response import (
    Call,
    PieceStream,
    Prepare,
    can_unpack,
    close,
    network_error,
    read_body,
    read_some,
)
from flower.errors import ProviderError

CONNECT_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 60.0  # a long prompt over a slow uplink
KEEPALIVE_S = 90.0  # the next turn within it needs no new TLS handshake
CATALOGUE_BYTES = 16 * limits.MIB  # OpenRouter's list is about 1 MiB

Auth = Callable[[str], dict[str, str]]


class HttpClient:
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
        """Closes all connections. The client can be used again afterwards."""
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
                data = await read_body(response, CATALOGUE_BYTES, origin)
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
                connect=self._endpoint.timeouts.connect_s or CONNECT_TIMEOUT_S,
                read=None,  # those who listen have deadlines of their own
                write=WRITE_TIMEOUT_S,
                pool=CONNECT_TIMEOUT_S,
            ),
            limits=httpx.Limits(
                max_connections=limits.CONNECTIONS_PER_PROVIDER, keepalive_expiry=KEEPALIVE_S
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
            with trio.move_on_after(CONNECT_TIMEOUT_S):
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
