"""The connection to the engine: keeps one WebSocket open, for ever, and knows no meaning.

Owns the socket, its reconnects, pings and deadlines. Whatever happens is posted as an ``Input``
(``LinkChanged``, ``Received``); what the model wants said comes through ``send_nowait``. A prompt that
could not be sent is not kept here: ``update`` repeats what the engine has not confirmed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import trio

from flower import limits
from flower.client.address import EngineAddress, authorization, is_here, with_client
from flower.client.early import EarlyCall
from flower.client.events import LinkChanged, Received, Send
from flower.client.line import TimedStream, UntrustedError, of_socket, open_line
from flower.client.websocket import EndedError, RejectedError, WebSocket
from flower.errors import EngineStarting, LaunchError, ProtocolError, only
from flower.installation import as_typed
from flower.protocol import PATH, PORT, codec, messages

RECONNECT_S = 1.0
RECONNECT_REFUSED_S = 10.0  # a wrong token does not get right by asking every second
QUIT_PROMPT_S = 0.3  # how long leaving may wait for `/quit` to be sent
LINK_QUEUE = 64  # frames read ahead of the screen; above it the engine's outbox merges
RECONNECT_FIRST_S = 0.1  # a starting engine is found within a moment ...
RECONNECT_EAGER_S = 1.0  # ... and after so long it is asked only every RECONNECT_S

Post = Callable[[LinkChanged | Received], None]
LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, EndedError)

_COMES_BACK = 503  # full, or about to stop: behind a proxy another engine answers the next time
PASSED_ON_S = 15.0  # an engine that was just killed is the usual reason


class Link:
    """One client's line to its engine.

    ``engine_url`` is asked before every attempt; its ``LaunchError`` is shown and tried again.
    """

    def __init__(
        self,
        engine_url: Callable[[], str],
        client: str,
        post: Post,
        token: str | None = None,
        *,
        patient: bool = True,
        early: EarlyCall | None = None,
    ) -> None:
        """``patient``: whoever listens waits until an engine is there, and is notified of it.

        ``early``: a connection for the first attempt, where somebody has called the engine already.
        """
        self._again = "; trying again every second" if patient else ""
        self._engine_url = engine_url
        self._client = client
        self._post = post
        self._headers = authorization(token)
        self._early = early
        self._outgoing, self._queue = trio.open_memory_channel[Send](LINK_QUEUE)
        self._socket: WebSocket | None = None
        self._moved_to = ""  # where the engine that was asked has sent us
        self._passed_on_until = (
            0.0  # such a place could not be reached: for a while frames are passed on to us
        )
        self._refused = False  # by an engine that heard us: asking again soon is of no use

    async def run(self) -> None:
        """Connects and reconnects until cancelled.

        Tries often in the first moment, when an engine may just be starting, then once a second.
        """
        since = trio.current_time()
        met = False
        while True:
            try:
                url = self._engine_url()
            except EngineStarting as starting:
                self._post(LinkChanged("starting", as_typed(str(starting))))
                await trio.sleep(limits.LAUNCH_POLL_S)
                continue
            except LaunchError as error:
                self._post(LinkChanged("lost", as_typed(str(error))))
                await trio.sleep(RECONNECT_S)
                continue
            moved, self._moved_to = self._moved_to, ""
            note = await self._attempt(moved or url)
            unreachable = bool(moved) and self._socket is None
            if self._socket is not None:
                self._socket, met = None, True
                since = trio.current_time()
            if self._moved_to and not _is_as_safe(self._moved_to, url):
                self._moved_to, unreachable = "", True
            if unreachable:
                self._passed_on_until = trio.current_time() + PASSED_ON_S
            if unreachable or self._moved_to:
                self._post(LinkChanged("connecting"))
                await trio.sleep(RECONNECT_FIRST_S)
                continue
            eager = trio.current_time() - since < RECONNECT_EAGER_S
            hopeful = eager and not met and not self._refused  # a starting engine is no bad news
            self._post(LinkChanged("connecting") if hopeful else LinkChanged("lost", note))
            if self._refused:
                await trio.sleep(RECONNECT_REFUSED_S)
            else:
                await trio.sleep(RECONNECT_FIRST_S if eager else RECONNECT_S)

    def send_nowait(self, message: Send) -> bool:
        """Returns whether ``message`` was taken for sending; False when there is no connection."""
        if self._socket is None:
            return False
        try:
            self._outgoing.send_nowait(message)
        except trio.WouldBlock:
            return False
        return True

    async def disconnect(self) -> None:
        """Tells the engine that the user left on purpose; takes at most ``QUIT_PROMPT_S``."""
        if self._socket is None:
            return
        with trio.move_on_after(QUIT_PROMPT_S):
            await self._send(self._socket, Send("/quit"))

    async def _attempt(self, url: str) -> str:
        """One connection, from its first try to its end. Returns why it ended, for the user."""
        self._refused = False
        try:
            place = EngineAddress.of(url)
        except ValueError:
            return f"'{url}' is no address of an engine; it looks like ws://127.0.0.1:{PORT}{PATH}."
        early, self._early = self._early, None
        try:
            with trio.fail_after(limits.LINK_CONNECT_S):
                line = await open_line(place) if early is None else of_socket(early.socket)
        except UntrustedError as error:
            self._refused = True
            return f"{url}: {error}"
        except (OSError, trio.BrokenResourceError, trio.TooSlowError):
            return f"No engine answers at {url}{self._again}."
        try:
            return await self._over(line, place, url, early)
        finally:
            await trio.aclose_forcefully(line)

    async def _over(
        self, line: TimedStream, place: EngineAddress, url: str, early: EarlyCall | None
    ) -> str:
        """Speaks over an open line until it ends. Returns why, for the user."""
        socket = WebSocket(line, early)
        moves = trio.current_time() >= self._passed_on_until
        target = with_client(place.resource, self._client, moves=moves)
        try:
            with trio.fail_after(limits.LINK_CONNECT_S):
                if early is None:
                    await socket.greet(place.authority, target, self._headers)
                if early is None or not early.accepted:
                    await socket.accepted()
        except RejectedError as rejection:
            self._refused = rejection.status != _COMES_BACK
            return _rejected(url, rejection)
        except (*LOST, trio.TooSlowError):
            return f"{url} answers, but not as an engine; check --url."
        try:
            if early is None or not early.has_answer:
                self._post(LinkChanged("syncing"))
            return await self._converse(socket, line)
        except* LOST as ended:
            reason = str(only(ended)) if isinstance(only(ended), EndedError) else ""
        return f"The engine closed the connection ({reason})." if reason else "The connection ended."

    async def _converse(self, socket: WebSocket, line: TimedStream) -> str:
        self._forget_queue()
        self._socket = socket
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, socket, nursery.cancel_scope)
            nursery.start_soon(self._ping, socket)
            nursery.start_soon(self._watch, line, nursery.cancel_scope)
            await socket.read(self._take)
        return "The engine stopped answering; trying again."

    def _take(self, frame: str | bytes) -> None:
        try:
            event = codec.decode_event(frame)
        except ProtocolError:
            return  # one frame of another dialect must not end a story
        if isinstance(event, messages.SystemUpdate) and isinstance(event.metadata.moved, str):
            self._moved_to = event.metadata.moved
        elif not isinstance(event, messages.UnknownEvent):
            self._post(Received(event))

    async def _write(self, socket: WebSocket, scope: trio.CancelScope) -> None:
        """Sends what is queued; ends the conversation when the peer does not take it in time."""
        try:
            async for message in self._queue:
                with trio.fail_after(limits.SEND_TIMEOUT_S):
                    await self._send(socket, message)
        except (*LOST, trio.TooSlowError):
            scope.cancel()

    async def _ping(self, socket: WebSocket) -> None:
        """Gives the engine a sign of life, and asks for one."""
        while True:
            await trio.sleep(limits.PING_INTERVAL_S)
            with trio.move_on_after(limits.PING_INTERVAL_S), suppress(*LOST):
                await socket.ping()

    async def _watch(self, line: TimedStream, scope: trio.CancelScope) -> None:
        """Finds half-open lines, as a laptop that slept leaves them: not a byte comes any more.

        Any byte is a sign of life: on a slow line the answer to a ping waits behind a page of history.
        """
        until = line.last_received + limits.PONG_DEADLINE_S
        while until > trio.current_time():
            await trio.sleep_until(until)
            until = line.last_received + limits.PONG_DEADLINE_S
        scope.cancel()

    async def _send(self, socket: WebSocket, message: Send) -> None:
        prompt = messages.Prompt(message.prompt, message.request, self._client, message.fields)
        await socket.send(codec.encode(prompt))

    def _forget_queue(self) -> None:
        """Drops what an earlier connection left unsent; the model repeats it after the sync."""
        while True:
            try:
                self._queue.receive_nowait()
            except trio.WouldBlock:
                return


def _rejected(url: str, error: RejectedError) -> str:
    """Returns what a refused handshake means, for the user: in the engine's words where it has some."""
    status, reason = error.status, _sentence(error.body)
    if not reason and status not in (401, 403):
        return f"{url} answers, but is no Flower engine (HTTP {status}); check --url."
    reason = reason or f"The engine at {url} refuses this screen."
    return f"{reason} Start with --token, or set FLOWER_TOKEN." if status == 401 else reason


def _sentence(body: bytes) -> str:
    """Returns the one line of text that a refusal consists of; nothing for pages of other servers."""
    text = body.decode("utf-8", "replace").strip()
    if len(text) > limits.REFUSAL_CHARS or "\n" in text or text[:1] in ("<", "{"):
        return ""
    return text


def _is_as_safe(url: str, before: str) -> bool:
    """Whether the token may go to ``url`` too: not in the clear where it was encrypted, or stayed on this machine.

    An address of this machine may be the near end of a tunnel; what ``url`` names is then in another network.
    """
    if url.startswith("wss:"):
        return True
    stays = is_here(before)
    return not before.startswith("wss:") and (not stays or is_here(url))
