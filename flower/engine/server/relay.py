"""A client whose story another engine plays: its frames are passed on to that engine, and what comes back to it.

The other engine is a server like any to us: its ordinary WebSocket, at the address that it gave the database, with the
client's own token, else ours. Frames are passed on as they are. Owns the connection to the other engine; which one that
is, and what happens when it is gone, is up to ``connection``, which speaks of the same sockets and hops.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from flower import limits
from flower.client.address import EngineAddress, with_client
from flower.client.line import TimedStream, open_line
from flower.client.websocket import EndedError, RejectedError, WebSocket
from flower.engine.sessions.session import ASKING
from flower.errors import CommandError, FlowerError, ProtocolError
from flower.protocol import codec
from flower.protocol.messages import ErrorEvent, Event, Prompt, SystemUpdate

log = logging.getLogger(__name__)

NORMAL, POLICY, RESTART = 1000, 1008, 1012  # RFC 6455, section 7.4.1, and the registry of codes
CONNECT_S = 2.0  # engines of one database are near each other
PING_S = 1.0
UNANSWERED_S = 4.0  # an engine that answers no ping for so long is looked for anew
ANSWER_S = 10.0
UNASKED = (
    "Another engine plays this story and does not answer; try again in some seconds, or open it first."
)
_LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, EndedError)


class Socket(Protocol):
    """What a connection needs of a WebSocket."""

    async def receive(self) -> str | bytes: ...

    async def send(self, data: str) -> None: ...

    async def close(self, code: int) -> None: ...


class Hop:
    """How a client gets to the engine that plays its story, if that is another one.

    ``authorization`` is the header that lets it in there. ``follows``: it goes there by itself when it is sent there.
    ``unsent`` is a frame of the client that no engine has taken yet.
    """

    def __init__(self, authorization: str = "", *, follows: bool = False) -> None:
        self.authorization = authorization
        self.follows = follows
        self.unsent: str | bytes | None = None


async def pass_on(hop: Hop, socket: Socket, address: str, client_id: str) -> int:
    """Passes frames both ways until the other engine ends it. Returns why, as a code of WebSocket.

    ``NORMAL`` and ``POLICY`` are meant for the client; otherwise its story is to be looked for again.
    """
    try:
        place = EngineAddress.of(address)
        with trio.fail_after(CONNECT_S):
            line = await open_line(place)
    except (ValueError, FlowerError, trio.TooSlowError, *_LOST) as error:
        log.info("client=%s: %s cannot be reached: %r", client_id, address, error)
        return RESTART
    try:
        return await _over(hop, socket, line, place, client_id)
    except* (trio.TooSlowError, *_LOST) as lost:
        log.info("client=%s: the connection to %s ended: %r", client_id, address, lost)
    finally:
        await trio.aclose_forcefully(line)
    return RESTART


async def _over(
    hop: Hop, socket: Socket, line: TimedStream, place: EngineAddress, client_id: str
) -> int:
    engine = WebSocket(line)
    target = with_client(place.resource, client_id)
    headers = [(b"Authorization", hop.authorization.encode())] if hop.authorization else []
    try:
        with trio.fail_after(CONNECT_S):
            await engine.greet(place.authority, target, headers)
            await engine.accepted()
    except RejectedError as refused:
        log.warning("client=%s: %s refuses it: %s", client_id, place.authority, refused)
        # Its token holds no longer: asked again and again, everybody whom we pass on would have to wait.
        return POLICY if refused.status in (401, 403) else RESTART
    code, silence = RESTART, Silence(line)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_to_engine, hop, socket, engine)
        nursery.start_soon(_listen_for_life, engine, silence, nursery.cancel_scope)
        code = await _to_client(socket, engine, silence)
        nursery.cancel_scope.cancel()
    return code


async def ask(hop: Hop, address: str, client_id: str, prompt: str, request: str) -> Event:
    """Returns what another engine says to one prompt that it is to carry out for a client of ours.

    Raises ``CommandError`` with a sentence when it cannot be asked or does not answer.
    """
    try:
        place = EngineAddress.of(address)
        with trio.fail_after(ANSWER_S):
            line = await open_line(place)
            try:
                return await _asked(hop, line, place, Prompt(prompt, request))
            finally:
                await trio.aclose_forcefully(line)
    except (ValueError, FlowerError, trio.TooSlowError, *_LOST) as error:
        log.info("client=%s: %s cannot be asked: %r", client_id, address, error)
        raise CommandError(UNASKED) from error


async def _asked(hop: Hop, line: TimedStream, place: EngineAddress, prompt: Prompt) -> Event:
    engine = WebSocket(line)
    target = with_client(place.resource, ASKING, moves=False)
    headers = [(b"Authorization", hop.authorization.encode())] if hop.authorization else []
    await engine.greet(place.authority, target, headers)
    await engine.accepted()
    await engine.send(codec.encode(prompt))
    while True:
        for frame in await engine.receive():
            event = codec.decode_event(frame)
            if not isinstance(event, SystemUpdate | ErrorEvent):
                continue
            if event.metadata.request == prompt.request:
                return event


async def _to_engine(hop: Hop, socket: Socket, engine: WebSocket) -> None:
    while True:
        if hop.unsent is None:
            hop.unsent = await socket.receive()
        with trio.fail_after(limits.SEND_TIMEOUT_S):
            await engine.send(hop.unsent)
        hop.unsent = None


async def _to_client(socket: Socket, engine: WebSocket, silence: Silence) -> int:
    """Passes on what the engine says until it ends; returns with which code."""
    try:
        while True:
            for frame in await engine.receive():
                text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
                if _tells_to_move(text):
                    return RESTART
                with silence.not_counted():
                    await socket.send(text)
    except EndedError as ended:
        return ended.code


def _tells_to_move(frame: str) -> bool:
    """Whether the engine says that another one has the story; inside of texts there is no such key."""
    if '"moved":' not in frame:
        return False
    try:
        event = codec.decode_event(frame)
    except ProtocolError:
        return False
    return isinstance(event, SystemUpdate) and isinstance(event.metadata.moved, str)


class Silence:
    """How long an engine has been silent; while we are waiting for a slow client it is not listened to."""

    def __init__(self, line: TimedStream) -> None:
        self._line = line
        self._listens = True
        self._since = trio.current_time()

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """Counts nothing while the block runs."""
        self._listens = False
        try:
            yield
        finally:
            self._listens, self._since = True, trio.current_time()

    @property
    def lasts_s(self) -> float:
        last_received = max(self._line.last_received, self._since)
        return trio.current_time() - last_received if self._listens else 0.0


async def _listen_for_life(engine: WebSocket, silence: Silence, scope: trio.CancelScope) -> None:
    """Ends the connection to an engine that is silent: it may be paused, and its time runs out."""
    while silence.lasts_s < UNANSWERED_S:
        with trio.move_on_after(PING_S):
            await engine.ping()
        await trio.sleep(PING_S)
    scope.cancel()
