"""Where an engine is: its address taken apart, and how a client introduces itself there. Opens nothing."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlsplit

from flower.protocol import PATH


class EngineAddress(NamedTuple):
    """``path`` of a Unix socket, else ``host`` and ``port``; ``authority`` goes into the Host header."""

    secure: bool
    host: str
    port: int
    path: str
    authority: str
    resource: str

    @classmethod
    def of(cls, url: str) -> EngineAddress:
        """Returns the parts of ``ws://``, ``wss://`` or ``unix:/path``.

        Raises ``ValueError`` when ``url`` is none of them.
        """
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path.startswith("/"):
            return cls(False, "", 0, parts.path, "localhost", PATH)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(url)
        secure = parts.scheme == "wss"
        resource = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        port = parts.port or (443 if secure else 80)
        return cls(secure, parts.hostname, port, "", parts.netloc.rpartition("@")[2], resource)


def with_client(resource: str, client: str, *, moves: bool = True) -> str:
    """Returns the path that tells the engine who calls, so that it greets with our own story.

    ``moves``: the client can be sent to another engine.
    """
    target = f"{resource}{'&' if '?' in resource else '?'}client={quote(client, safe='')}"
    return f"{target}&moved=1" if moves else target


def authorization(token: str | None) -> list[tuple[bytes, bytes]]:
    """Returns the headers that show ``token``, none without one."""
    return [(b"Authorization", b"Bearer " + token.encode())] if token else []


def is_here(url: str) -> bool:
    """Whether an engine's address is on this machine: a Unix socket, ``localhost``, a loopback address."""
    import ipaddress  # only here, as hardly anyone is sent elsewhere

    try:
        parts = urlsplit(url)
        if parts.scheme == "unix" or parts.hostname == "localhost":
            return True
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
