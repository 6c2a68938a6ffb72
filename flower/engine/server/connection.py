"""One client's socket: a reader, a writer and the outbox between story and socket.

Dies with the socket and takes nothing along: turns belong to the engine. Only the writer sends, and
it waits for its outbox in every round: on this stack a send to a peer that does not read cannot be
cancelled, and a send to one that has gone returns at once without yielding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio
from msgspec import UNSET

from flower import limits
from flower.engine.commands import dispatch
from flower.engine.server.relay import NORMAL, POLICY, RESTART, Hop, Socket
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.outbox import Outbox, Resync
from flower.engine.sessions.rights import STRANGER, Visitor
from flower.engine.sessions.session import HOME_OWNER, Client
from flower.errors import ElsewhereError, FlowerError, ProtocolError
from flower.protocol.codec import Encoder, decode_prompt
from flower.protocol.messages import (
    ChatChunk,
    ErrorEvent,
    ErrorMeta,
    Event,
    Prompt,
    State,
    SystemUpdate,
)

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.25

_frames = Encoder()  # of all connections: those that watch one story get the same events


async def serve(
    engine: Engine,
    socket: Socket,
    client_id: str,
    on_leave: Callable[[], None],
    rights: str = STRANGER,
    visitor: Visitor = HOME_OWNER,
    hop: Hop | None = None,
) -> None:
    """Talks with one client until either side goes; ``on_leave`` is called if it says that it leaves.

    While another engine plays its story the client is sent there, or its frames are passed on (``relay``).
    """
    hop = hop if hop is not None else Hop()
    client_id = client_id[: limits.CLIENT_ID_CHARS]
    while True:
        client_id, elsewhere = await _serve_here(
            engine, socket, client_id, on_leave, rights, visitor, hop
        )
        if elsewhere is None:
            return
        if hop.follows and elsewhere.address and hop.unsent is None:
            await socket.send(_frames.encode(SystemUpdate("", State(moved=elsewhere.address))))
        if (hop.follows and hop.unsent is None) or engine.drain.begun:
            await socket.close(RESTART)
            return
        code = await pass_on(engine, socket, elsewhere.address, client_id, hop)
        if code in (NORMAL, POLICY):
            await socket.close(code)
            return
        await trio.sleep(LOOK_AGAIN_S)  # the other engine may be dead: its time has to run out


async def _serve_here(
    engine: Engine,
    socket: Socket,
    client_id: str,
    on_leave: Callable[[], None],
    rights: str,
    visitor: Visitor,
    hop: Hop,
) -> tuple[str, ElsewhereError | None]:
    """Serves a client as long as its story is ours; returns its id, and where it has to go on, if so."""
    try:
        client = await engine.connect(Outbox(), client_id, on_leave, rights, visitor)
    except ElsewhereError as elsewhere:
        return client_id, elsewhere

    async def ask_there(address: str, prompt: str, request: str) -> Event:
        from flower.engine.server import relay  # an engine that is alone never needs it

        return await relay.ask(hop, address, client.name, prompt, request)

    client.ask_there = ask_there
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_write, engine, client, socket, nursery.cancel_scope)
            nursery.start_soon(_read, engine, client, socket, nursery.cancel_scope, hop)
    finally:
        engine.disconnect(client)
    return client.name, client.elsewhere


async def pass_on(engine: Engine, socket: Socket, address: str, client_id: str, hop: Hop) -> int:
    """Passes frames on until the other engine ends it, or this one is about to end."""
    from flower.engine.server import relay  # an engine that is alone never needs it

    code = RESTART
    async with trio.open_nursery() as nursery:

        async def until_draining() -> None:
            await engine.drain.wait_begun()
            nursery.cancel_scope.cancel()

        nursery.start_soon(until_draining)
        code = await relay.pass_on(hop, socket, address, client_id)
        nursery.cancel_scope.cancel()
    return code


class TokenBucket:
    """How fast one client may send prompts: a burst, then so many a second."""

    def __init__(self) -> None:
        self._left = float(limits.PROMPTS_BURST)
        self._at = trio.current_time()

    def allows(self) -> bool:
        """Returns whether one more prompt may be taken now, and counts it if so."""
        now = trio.current_time()
        gained = (now - self._at) * limits.PROMPTS_PER_S
        self._left, self._at = min(self._left + gained, limits.PROMPTS_BURST), now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


async def _read(
    engine: Engine, client: Client, socket: Socket, done: trio.CancelScope, hop: Hop
) -> None:
    pace = TokenBucket()
    try:
        while True:
            data, hop.unsent = hop.unsent, None
            if data is None:
                data = await socket.receive()
            try:
                prompt = decode_prompt(data)
            except ProtocolError as error:
                engine.metrics.error("protocol")
                client.send(ErrorEvent(f"Not understood: {error}.", ErrorMeta("protocol")))
                while not pace.allows():  # noqa: ASYNC110 - it is time that has to pass
                    await trio.sleep(1 / limits.PROMPTS_PER_S)
                continue
            if pace.allows():
                await _handle(engine, client, prompt)
                if client.elsewhere is not None:
                    hop.unsent = data if client.elsewhere.unanswered else None
                    return
                continue
            text = "Too many prompts at once: this one was not taken. Send it again in a moment."
            client.send(ErrorEvent(text, ErrorMeta("pace", request=prompt.request or UNSET)))
            await trio.sleep(1 / limits.PROMPTS_PER_S)
    except trio.BrokenResourceError:
        done.cancel()


async def _handle(engine: Engine, client: Client, prompt: Prompt) -> None:
    client.answering = True
    try:
        await dispatch.handle(engine, client, prompt)
    except Exception as bug:  # the connection's edge: one prompt must not end the connection
        engine.metrics.error("bug")
        log.exception("client=%s: a prompt crashed", client.chosen.client)
        text = f"The engine failed on this ({type(bug).__name__}); see its log."
        client.send(ErrorEvent(text, ErrorMeta("engine", request=prompt.request or UNSET)))
    finally:
        client.answering = False


async def _write(engine: Engine, client: Client, socket: Socket, done: trio.CancelScope) -> None:
    try:
        while True:
            event = await client.outbox.get()
            if event is None:
                if client.elsewhere is None:
                    await socket.close(NORMAL)
                break
            if isinstance(event, Resync):
                await engine.sync(client)
                continue
            await socket.send(_frames.encode(event))
            if len(
                client.outbox
            ):  # a send that is taken at once does not yield, others are due as well
                await trio.lowlevel.checkpoint()
            if isinstance(event, ChatChunk):
                engine.metrics.relay.add(trio.current_time() - client.outbox.taken_since)
    except (trio.BrokenResourceError, FlowerError) as gone:
        log.info("client=%s left: %s", client.chosen.client, gone)
    done.cancel()
