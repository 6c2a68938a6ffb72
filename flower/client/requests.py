"""Prompts with their answers, one after the other, over the one connection: for programs, not for a screen.

Owns which answer belongs to which prompt: the engine repeats a prompt's ``request`` in what it says to it.
The connection itself (addresses, TLS, sockets, tokens, deadlines) is ``connection``'s.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf

import trio

from flower import limits
from flower.client.connection import Link
from flower.client.events import LinkChanged, Received, Send
from flower.errors import FlowerError, LaunchError, only
from flower.protocol import messages

_ANSWER_S = 60.0  # a busy engine on a small board, with a disk that is slow to write


class Requests:
    """A connection on which every prompt is answered before the next one is sent."""

    def __init__(self, engine_url: Callable[[], str], client: str, token: str | None) -> None:
        """``client`` is this program's stable id; see ``Link`` for the others."""
        self.link = Link(engine_url, client, self._post, token, patient=False)
        # Bounded by the rate of the engine: what it says between two answers is a handful of events.
        self._posted, self._news = trio.open_memory_channel[LinkChanged | Received](inf)
        self._nonce = os.urandom(6).hex()
        self._count = 0

    def _post(self, happened: LinkChanged | Received) -> None:
        self._posted.send_nowait(happened)

    async def event(self) -> messages.Event:
        """Returns what the engine says next. Raises ``LaunchError`` when the connection is lost."""
        while True:
            happened = await self._news.receive()
            if isinstance(happened, Received):
                return happened.event
            if happened.state == "lost":
                raise LaunchError(happened.note or "The connection to the engine was lost.")

    async def greeted(self) -> None:
        """Waits for an engine, also for one that is starting. Raises ``LaunchError`` if none comes."""
        with trio.move_on_after(limits.ENGINE_START_S):
            await self.event()
            return
        raise LaunchError(f"The engine has not started within {limits.ENGINE_START_S:.0f} seconds.")

    async def ask(self, prompt: str) -> messages.SystemUpdate:
        """Returns what the engine answers to ``prompt``.

        Raises ``FlowerError`` with its sentence when it refuses, ``LaunchError`` when it does not answer.
        """
        self._count += 1
        request = f"{self._nonce}-{self._count}"
        if not self.link.send_nowait(Send(prompt, request)):
            raise LaunchError("The connection to the engine was lost.")
        with trio.move_on_after(_ANSWER_S):
            while True:
                event = await self.event()
                if isinstance(event, messages.ErrorEvent) and event.metadata.request == request:
                    raise FlowerError(event.content)
                if isinstance(event, messages.SystemUpdate) and event.metadata.request == request:
                    return event
        raise LaunchError(f"The engine has not answered within {_ANSWER_S:.0f} seconds.")


@asynccontextmanager
async def connected(
    engine_url: Callable[[], str], client: str, token: str | None
) -> AsyncIterator[Requests]:
    """A connection that an engine has greeted; closed at the end of the block."""
    requests = Requests(engine_url, client, token)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(requests.link.run)
            await requests.greeted()
            yield requests
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:  # the nursery wraps what was refused, and Ctrl-C
        raise only(group) from group
