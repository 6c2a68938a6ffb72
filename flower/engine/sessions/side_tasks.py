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
    """The work under way, by the client that asked for it. ``kind``: of the errors it ends in."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        kind: str = "side_task",
        deadline_s: float = SIDE_TASK_DEADLINE_S,
    ) -> None:
        self._nursery = nursery
        self._kind = kind
        self._deadline_s = deadline_s
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
            with scope, trio.move_on_after(self._deadline_s) as deadline:
                await work()
            if deadline.cancelled_caught:
                client.notify(
                    f"✗ No {what}: the model was not done in {self._deadline_s / 60:.0f} minutes."
                )
        except FlowerError as error:
            client.send(ErrorEvent(f"No {what}: {error}", ErrorMeta(self._kind)))
        except Exception as bug:  # an edge like a turn's: a bug here must not end the engine
            log.exception("%s for %r crashed", what, client)
            text = f"No {what}: the engine failed ({type(bug).__name__}); see its log."
            client.send(ErrorEvent(text, ErrorMeta("engine")))
        finally:
            if self._running.get(client) is scope:
                del self._running[client]
