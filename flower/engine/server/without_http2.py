"""Puts a refusal where hypercorn would speak HTTP/2; to be imported before anything of hypercorn.

No client of ours speaks it, and what nobody uses is only a way in. The packages behind it take 2 MB of memory and
keep every start waiting for the tables of HPACK.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

NAME = "hypercorn.protocol.h2"
# RFC 9110, section 15.6.6.
REFUSAL = b"HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Http2Refusal:
    """Answers whoever begins in HTTP/2, or asks for it, that there is none, and hangs up."""

    def __init__(self, *arguments: Any) -> None:
        self._send: Callable[[Any], Awaitable[None]] = arguments[-1]

    async def initiate(self, *_: Any) -> None:
        """Refuses."""
        from hypercorn.events import Closed, RawData

        await self._send(RawData(REFUSAL))
        await self._send(Closed())

    async def handle(self, event: Any) -> None:
        """Passes over what still comes."""


if NAME not in sys.modules:
    _stand_in = ModuleType(NAME)
    _stand_in.__dict__["H2Protocol"] = Http2Refusal
    sys.modules[NAME] = _stand_in
