"""Small pieces of work that one client asked for and that are no part of a story, one at a time for each.

Owns their scopes: what a client begins ends with its next one, with ``/cancel`` and when it leaves. Runs in the
engine's nursery, beside the turns. Knows nothing of what the work is.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from flower.engine.sessions.session import Client
from flower.errors import FlowerError
from flower.protocol.messages import ErrorEvent, ErrorMeta

log = logging.getLogger(__name__)

SIDE_TASK_DEADLINE_S = 600.0  # a small board reads a whole story in parts


class SideTasks:
    """The work under way, by the client that asked for it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._running: dict[Client, trio.CancelScope] = {}

    def begin(self, client: Client, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Starts ``work``; what the client had begun before ends. ``what`` names it in sentences: "suggestions"."""
        self.cancel(client)
        scope = self._running[client] = trio.CancelScope()
        self._nursery.start_soon(self._run, client, what, work, scope)

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self._running)

    def cancel(self, client: Client) -> bool:
        """Ends what a client has begun; returns whether there was anything."""
        scope = self._running.pop(client, None)
        if scope is not None:
            scope.cancel()
        return scope is not None

    async def _run(
        self, client: Client, what: str, work: Callable[[], Awaitable[None]], scope: trio.CancelScope
    ) -> None:
        try:
            with scope, trio.move_on_after(SIDE_TASK_DEADLINE_S) as patience:
                await work()
            if patience.cancelled_caught:
                client.notify(f"✗ No {what}: the model took too long.")
        except FlowerError as error:
            client.send(ErrorEvent(f"No {what}: {error}", ErrorMeta("side_task")))
        except Exception as bug:  # an edge like a turn's: a bug here must not end the engine
            log.exception("%s for %r crashed", what, client)
            text = f"No {what}: the engine failed ({type(bug).__name__}); see its log."
            client.send(ErrorEvent(text, ErrorMeta("engine")))
        finally:
            if self._running.get(client) is scope:
                del self._running[client]
