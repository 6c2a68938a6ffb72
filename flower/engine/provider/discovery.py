"""Looks whether a server listens, without bothering it.

Opens a connection and closes it again; never sends a byte. Only for addresses on this machine, where
an answer takes microseconds.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import trio

from flower import limits


async def listens(base_url: str) -> bool:
    """Returns whether something accepts connections at the address within ``PROBE_TIMEOUT_S``."""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with trio.move_on_after(limits.PROBE_TIMEOUT_S):
        try:
            stream = await trio.open_tcp_stream(parts.hostname or "127.0.0.1", port)
        except OSError:
            return False
        await trio.aclose_forcefully(stream)
        return True
    return False
