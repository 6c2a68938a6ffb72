"""Reading the bodies of HTTP responses, within bounds, and translating what breaks.

Every failure of httpx becomes ``ProviderError`` here. Its own texts are not quoted: they can hold
header values, which may be keys.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx
import trio

from flower import limits
from flower.engine.provider.errors import Origin, malformed
from flower.errors import ProviderError


async def read_body(response: httpx.Response, max_bytes: int, origin: Origin) -> bytes:
    """Returns the whole body; raises ``ProviderError`` when it is longer or the connection breaks."""
    data = bytearray()
    try:
        async with aclosing(raw(response)) as parts:
            async for part in parts:
                data += part
                if len(data) > max_bytes:
                    raise malformed(origin, "far too much data")
    except httpx.HTTPError as error:
        raise network_error(error, origin) from error
    return bytes(data)


async def read_some(response: httpx.Response) -> bytes:
    """Returns the beginning of an error's body, or what came before the connection broke."""
    data = bytearray()
    try:
        async with aclosing(raw(response)) as parts:
            async for part in parts:
                data += part
                if len(data) >= limits.ERROR_BODY_BYTES:
                    break
    except httpx.HTTPError:
        return bytes(data)
    return bytes(data[: limits.ERROR_BODY_BYTES])


def raw(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    body = response.aiter_raw()
    assert isinstance(body, AsyncGenerator)  # httpx types it as an iterator; it must be closed
    return body


async def close(response: httpx.Response) -> None:
    with trio.move_on_after(limits.CLOSE_TIMEOUT_S, shield=True):
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
