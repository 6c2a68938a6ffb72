"""The edge of work that nobody waits for: a bug in it costs that work, never the stories beside it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec

log = logging.getLogger(__name__)

P = ParamSpec("P")


async def guarded(
    what: str, work: Callable[P, Awaitable[None]], /, *args: P.args, **kwargs: P.kwargs
) -> None:
    """Runs ``work`` once in a nursery that others live in as well; a bug in it is logged as ``what``."""
    try:
        await work(*args, **kwargs)
    except Exception:
        log.exception("%s crashed", what)
