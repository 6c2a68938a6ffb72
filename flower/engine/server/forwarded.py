"""Whom a reverse proxy speaks for: ``X-Forwarded-For``, or ``Forwarded`` (RFC 7239). Pure.

Anybody can send these headers. They are believed of the proxies that the settings name, and only as far as those
wrote them: a proxy adds whom it saw at the end, so the last address that is no proxy of ours is the client's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence

UNIX = "unix"  # among the proxies: whoever comes through the engine's Unix socket
UNKNOWN = "unknown"  # somebody behind a proxy that does not say who
HEADER_CHARS = 4_096
MOST = 32  # addresses looked at, from the end

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Header = Callable[[str], Sequence[str]]


class Proxies:
    """The proxies that are believed: addresses, networks such as ``10.0.0.0/8``, or ``unix``."""

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._unix = UNIX in trusted
        self._networks = tuple(network_of(one) for one in trusted if one != UNIX)

    def __contains__(self, peer: str) -> bool:
        """Whether a peer's address, "" on a Unix socket, is a proxy's."""
        if not peer:
            return self._unix
        address = _address(peer)
        return address is not None and any(address in one for one in self._networks)

    def client_behind(self, peer: str, header: Header) -> str | None:
        """Returns the address of who asks through a peer, ``UNKNOWN`` for one that is hidden.

        None when the peer is no proxy of ours or says nothing: then its own address counts. ``header`` returns all
        lines of a header of the request.
        """
        if peer not in self:
            return None
        listed, forwarded = header("X-Forwarded-For"), header("Forwarded")
        if not listed and not forwarded:
            return None
        if listed and forwarded:  # a proxy writes one of them, so the other is its client's invention
            return UNKNOWN
        client = UNKNOWN
        for name in _last_first(_named(listed) if listed else _for(forwarded)):
            address = _address(name)
            if address is None:
                return UNKNOWN
            client = str(address)
            if client not in self:
                break
        return client


def network_of(text: str) -> Network:
    """Returns an address or network as a network. Raises ``ValueError``."""
    return ipaddress.ip_network(text.strip(), strict=False)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Returns the address in ``1.2.3.4``, ``1.2.3.4:80``, ``::1`` or ``[::1]:80``, None if there is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _last_first(names: Iterator[str]) -> list[str]:
    return list(names)[::-1][:MOST]


def _named(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield from (part.strip() for part in line[-HEADER_CHARS:].split(","))


def _for(lines: Sequence[str]) -> Iterator[str]:
    """Yields what ``for=`` says in each element, "" where it says nothing."""
    for line in lines:
        for element in line[-HEADER_CHARS:].split(","):
            pairs = (pair.partition("=") for pair in element.split(";"))
            values = [value.strip() for name, _, value in pairs if name.strip().lower() == "for"]
            yield values[0] if values else ""
