"""The edges of work that nobody waits for: a bug in it costs that work, never the stories beside it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec

import trio

log = logging.getLogger(__name__)

TASK_RESTART_S = 30.0  # before a background task that crashed starts again

P = ParamSpec("P")


async def guarded(
    what: str, work: Callable[P, Awaitable[None]], /, *args: P.args, **kwargs: P.kwargs
) -> None:
    """Runs ``work`` once in a nursery that others live in as well; a bug in it is logged as ``what``."""
    try:
        await work(*args, **kwargs)
    except Exception:
        log.exception("%s crashed", what)


async def keep_running(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Runs ``work``, which never ends by itself; a bug in it is logged and it starts again later.

    An edge like those of a turn and of a connection: what works in the background must not take
    stories down with it.
    """
    while True:
        try:
            await work()
            return
        except Exception:
            log.exception("%s crashed; it starts again in %.0f s", what, TASK_RESTART_S)
        await trio.sleep(TASK_RESTART_S)
