"""The connection over a real loopback socket: greetings, losses, reconnects, limits."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import trio
import trio_websocket
from trio.testing import MockClock

from flower import limits
from flower.client import early, line
from flower.client.connection import Link, _is_as_safe
from flower.client.events import LinkChanged, Received, Send
from flower.errors import EngineStarting, LaunchError
from flower.protocol import codec, messages
from flower.shell import options
from tests.scripted_engine import ScriptedEngine

Posted = LinkChanged | Received


class Ear:
    """Collects what a link posts and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard: list[Posted] = []
        self.moved = trio.Event()

    def post(self, happened: Posted) -> None:
        self.heard.append(happened)
        self.moved.set()
        self.moved = trio.Event()

    async def wait_for(self, condition: Callable[[Posted], bool]) -> Posted:
        """Returns the first thing heard, from now on or before, that fits."""
        seen = 0
        with trio.fail_after(5):
            while True:
                for happened in self.heard[seen:]:
                    if condition(happened):
                        return happened
                seen = len(self.heard)
                await self.moved.wait()

    def states(self) -> list[str]:
        return [one.state for one in self.heard if isinstance(one, LinkChanged)]


def is_event(kind: type[Any]) -> Callable[[Posted], bool]:
    return lambda happened: isinstance(happened, Received) and isinstance(happened.event, kind)


def is_state(state: str) -> Callable[[Posted], bool]:
    return lambda happened: isinstance(happened, LinkChanged) and happened.state == state


@asynccontextmanager
async def linked(url: Callable[[], str], token: str | None = None):
    ear = Ear()
    link = Link(url, "face 1", ear.post, token)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        yield link, ear
        nursery.cancel_scope.cancel()


async def serving(nursery: trio.Nursery, handler: Any) -> str:
    """Serves ``handler`` for every websocket request; returns the address."""
    server = await nursery.start(trio_websocket.serve_websocket, handler, "127.0.0.1", 0, None)
    return f"ws://127.0.0.1:{server.port}/ws/rpc"


async def test_the_engine_greets_the_client_by_its_id(nursery: trio.Nursery) -> None:
    engine = ScriptedEngine(story=2)
    url = await nursery.start(engine.serve)
    async with linked(lambda: url) as (_, ear):
        state = await ear.wait_for(is_event(messages.SyncState))
        assert isinstance(state, Received)
        assert state.event.metadata.client == "face 1"
        assert ear.states() == ["syncing"]


async def test_prompts_carry_client_and_request(nursery: trio.Nursery) -> None:
    engine = ScriptedEngine(story=2, words=2, rate=0)
    url = await nursery.start(engine.serve)
    async with linked(lambda: url) as (link, ear):
        await ear.wait_for(is_event(messages.ChatHistory))
        assert link.send_nowait(Send("hello", "r-1"))
        await ear.wait_for(is_event(messages.ChatEnd))
        assert engine.heard == [messages.Prompt("hello", "r-1", "face 1")]


async def test_without_connection_nothing_is_taken() -> None:
    def nowhere() -> str:
        raise LaunchError("no engine runs here")

    async with linked(nowhere) as (link, _):
        assert not link.send_nowait(Send("hello"))


async def test_a_launch_error_is_told_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.client.connection.RECONNECT_FIRST_S", 0.001)
    monkeypatch.setattr("flower.client.connection.RECONNECT_EAGER_S", 0.0)
    monkeypatch.setattr("flower.client.connection.RECONNECT_S", 0.001)
    asked = 0

    def failing() -> str:
        nonlocal asked
        asked += 1
        raise LaunchError("the engine keeps dying")

    async with linked(failing) as (_, ear):
        lost = await ear.wait_for(is_state("lost"))
        assert lost == LinkChanged("lost", "the engine keeps dying")
        await ear.wait_for(lambda _: asked > 2)


async def test_a_starting_engine_is_no_bad_news(nursery: trio.Nursery) -> None:
    engine = ScriptedEngine()
    url = await nursery.start(engine.serve)
    answers = iter([EngineStarting("the engine is starting")] * 2)

    def starting() -> str:
        for error in answers:
            raise error
        return url

    async with linked(starting) as (_, ear):
        await ear.wait_for(is_event(messages.SyncState))
        assert ear.states() == ["starting", "starting", "syncing"]


async def test_a_lost_engine_is_found_again_by_its_new_address(nursery: trio.Nursery) -> None:
    address = ""
    async with trio.open_nursery() as first:
        address = await first.start(ScriptedEngine().serve)
        async with linked(lambda: address) as (_, ear):
            await ear.wait_for(is_event(messages.SyncState))
            ear.heard.clear()
            address = await nursery.start(ScriptedEngine().serve)
            first.cancel_scope.cancel()
            await ear.wait_for(is_state("lost"))
            await ear.wait_for(is_event(messages.SyncState))


async def test_a_refused_token_is_explained(nursery: trio.Nursery) -> None:
    seen: list[bytes] = []

    async def refuse(request: trio_websocket.WebSocketRequest) -> None:
        seen.extend(value for name, value in request.headers if name.lower() == b"authorization")
        await request.reject(401)

    url = await serving(nursery, refuse)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flower.client.connection.RECONNECT_EAGER_S", 0.0)
        async with linked(lambda: url, "petal") as (_, ear):
            lost = await ear.wait_for(is_state("lost"))
            assert isinstance(lost, LinkChanged)
            assert "token" in lost.note
            assert seen[0] == b"Bearer petal"


@pytest.mark.parametrize(
    ("url", "word"),
    [("ws://127.0.0.1:9/ws/rpc", "No engine answers"), ("http://x", "no address"), ("", "no address")],
)
async def test_a_wrong_address_is_explained(
    url: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower.client.connection.RECONNECT_EAGER_S", 0.0)
    async with linked(lambda: url) as (_, ear):
        lost = await ear.wait_for(is_state("lost"))
        assert isinstance(lost, LinkChanged)
        assert word in lost.note


async def test_garbage_frames_and_unknown_events_do_not_end_the_link(nursery: trio.Nursery) -> None:
    async def babble(request: trio_websocket.WebSocketRequest) -> None:
        socket = await request.accept()
        for frame in (
            "",
            "{",
            "[1]",
            '{"event": 5}',
            '{"event": "future"}',
            b"\xff\xfe",
            '{"event": "chat_chunk"}',
        ):
            await socket.send_message(frame)
        await socket.send_message(codec.encode(messages.SystemUpdate("still here")))
        await trio.sleep_forever()

    url = await serving(nursery, babble)
    async with linked(lambda: url) as (_, ear):
        await ear.wait_for(is_event(messages.SystemUpdate))
        assert "lost" not in ear.states()
        nursery.cancel_scope.cancel()


async def test_a_message_over_the_limit_ends_only_that_connection(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINK_MESSAGE_BYTES", 1000)
    calls = 0

    async def flood(request: trio_websocket.WebSocketRequest) -> None:
        nonlocal calls
        calls += 1
        socket = await request.accept()
        size = 5000 if calls == 1 else 10
        await socket.send_message(codec.encode(messages.SystemUpdate("x" * size)))
        await trio.sleep_forever()

    url = await serving(nursery, flood)
    async with linked(lambda: url) as (_, ear):
        await ear.wait_for(is_event(messages.SystemUpdate))
        assert calls == 2
        nursery.cancel_scope.cancel()


async def test_an_engine_that_stops_answering_is_left(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-open line, as a laptop that slept leaves it: pings without answers end the connection."""
    monkeypatch.setattr(limits, "PING_INTERVAL_S", 0.02)
    monkeypatch.setattr(limits, "PONG_DEADLINE_S", 0.05)

    async def deaf(stream: trio.SocketStream) -> None:
        from wsproto import ConnectionType, WSConnection
        from wsproto.events import AcceptConnection, Request

        wire = WSConnection(ConnectionType.SERVER)
        while not any(isinstance(event, Request) for event in wire.events()):
            wire.receive_data(await stream.receive_some())
        await stream.send_all(wire.send(AcceptConnection()))
        await trio.sleep_forever()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, deaf, listeners)
    async with linked(lambda: f"ws://127.0.0.1:{port}/ws/rpc") as (_, ear):
        await ear.wait_for(is_state("syncing"))
        await ear.wait_for(is_state("lost"))
        nursery.cancel_scope.cancel()


async def test_goodbye_is_said_and_takes_no_time_without_connection(nursery: trio.Nursery) -> None:
    engine = ScriptedEngine()
    url = await nursery.start(engine.serve)
    async with linked(lambda: url) as (link, ear):
        await ear.wait_for(is_event(messages.SyncState))
        await link.disconnect()
        await ear.wait_for(is_state("lost"))
        assert engine.heard[-1].prompt == "/quit"
        await link.disconnect()


# --- other ways to an engine, and other ends ----------------------------------------------------


async def test_an_engine_behind_a_unix_socket_is_reached(nursery: trio.Nursery, tmp_path: Path) -> None:
    path, heard = str(tmp_path / "engine.sock"), bytearray()

    async def greet(stream: trio.SocketStream) -> None:
        from wsproto import ConnectionType, WSConnection
        from wsproto.events import AcceptConnection, Request, TextMessage

        wire = WSConnection(ConnectionType.SERVER)
        while not any(isinstance(event, Request) for event in wire.events()):
            data = await stream.receive_some()
            heard.extend(data)
            wire.receive_data(data)
        hello = TextMessage(codec.encode(messages.SystemUpdate("here")))
        await stream.send_all(wire.send(AcceptConnection()) + wire.send(hello))
        await trio.sleep_forever()

    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        bound.listen()
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(bound))
        nursery.start_soon(trio.serve_listeners, greet, [listener])
        async with linked(lambda: f"unix:{path}") as (_, ear):
            await ear.wait_for(is_event(messages.SystemUpdate))
        assert b"Host: localhost" in heard
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "The token is missing or wrong.", ["The token is missing or wrong.", "--token"]),
        (403, "Flower does not talk to web pages.", ["web pages"]),
        (421, "This engine does not go by that name.", ["that name"]),
        (429, "Too many wrong tokens; try again in 4 s.", ["in 4 s"]),
        (503, "256 clients are connected.", ["256 clients"]),
        (404, "<html><h1>Not found</h1></html>", ["no Flower engine", "404"]),
        (502, "", ["no Flower engine", "502"]),
    ],
)
async def test_a_refusal_is_told_in_the_engines_words(
    status: int, body: str, words: list[str], nursery: trio.Nursery
) -> None:
    async def refuse(request: trio_websocket.WebSocketRequest) -> None:
        await request.reject(status, body=body.encode() or None)

    url = await serving(nursery, refuse)
    async with linked(lambda: url) as (_, ear):
        lost = await ear.wait_for(is_state("lost"))
        assert isinstance(lost, LinkChanged)
        assert all(word in lost.note for word in words)
        assert "<" not in lost.note


async def test_a_refusal_is_not_asked_for_every_second(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A face that hammers with a wrong token would only make the engine's waiting time grow."""
    asked: list[float] = []

    async def refuse(request: trio_websocket.WebSocketRequest) -> None:
        asked.append(trio.current_time())
        await request.reject(401)

    autojump_clock.autojump_threshold = 0.1  # real sockets need a moment of real time
    url = await serving(nursery, refuse)
    async with linked(lambda: url):
        await trio.sleep(25)
    assert len(asked) == 3


async def test_a_peer_that_hangs_up_in_the_handshake_costs_no_patience(nursery: trio.Nursery) -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.aclose()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, hang_up, listeners)
    began = trio.current_time()
    async with linked(lambda: f"ws://127.0.0.1:{port}/ws/rpc") as (_, ear):
        await ear.wait_for(is_state("connecting"))
    assert trio.current_time() - began < limits.LINK_CONNECT_S / 2
    nursery.cancel_scope.cancel()


async def test_a_certificate_of_nobody_is_not_trusted(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the user names its file; then the engine is reached over TLS."""
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    engine = ScriptedEngine()

    async def greet(request: trio_websocket.WebSocketRequest) -> None:
        face = await request.accept()
        await engine._greet(face, "face 1")
        await trio.sleep_forever()

    server = await nursery.start(trio_websocket.serve_websocket, greet, "127.0.0.1", 0, context)
    url = f"wss://127.0.0.1:{server.port}/ws/rpc"
    async with linked(lambda: url) as (_, ear):
        lost = await ear.wait_for(is_state("lost"))
        assert isinstance(lost, LinkChanged)
        assert "--ca" in lost.note
    with monkeypatch.context() as by_variable:
        by_variable.setenv("SSL_CERT_FILE", str(certificate))
        async with linked(lambda: url) as (_, ear):
            await ear.wait_for(is_event(messages.SyncState))
    monkeypatch.setattr(line, "_authorities", [])  # taken back after the test
    before = dict(os.environ)
    options.connection_of(url, "", certificate, starts=False)
    assert dict(os.environ) == before, "what a program is told must not reach those it starts"
    async with linked(lambda: url) as (_, ear):
        await ear.wait_for(is_event(messages.SyncState))
    line.trust_only(key)
    async with linked(lambda: url) as (_, ear):
        lost = await ear.wait_for(is_state("lost"))
        assert isinstance(lost, LinkChanged)
        assert "holds no certificates" in lost.note
    nursery.cancel_scope.cancel()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Returns a certificate for 127.0.0.1 and its key, made by the openssl program."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl program here to make a certificate with")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=flower",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


async def test_a_story_of_an_old_engine_comes_in_one_frame(nursery: trio.Nursery) -> None:
    """V1 engines do not page: 10,000 messages are 4 MB."""
    lines = [{"role": "user", "content": "The tide goes out. " * 20}] * 10_000
    page = json.dumps(
        {"event": "chat_history", "payload": {"content": "", "metadata": {"history": lines}}}
    )
    assert 3_900_000 < len(page) < limits.LINK_MESSAGE_BYTES

    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        socket = await request.accept()
        await socket.send_message(page)
        with contextlib.suppress(trio_websocket.ConnectionClosed):
            await socket.get_message()

    url = await serving(nursery, handler)
    async with linked(lambda: url) as (_, ear):
        event = await ear.wait_for(is_event(messages.ChatHistory))
        assert isinstance(event, Received)
        assert len(event.event.metadata.history) == 10_000


# --- several engines ------------------------------------------------------------------------------


async def moving(nursery: trio.Nursery, to: Callable[[], str], asked: list[str]) -> str:
    """An engine that sends those on who ask for it, and serves the others."""

    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        asked.append(request.path)
        socket = await request.accept()
        if "moved=1" in request.path:
            event = messages.SystemUpdate("", messages.State(moved=to()))
            await socket.send_message(codec.encode(event))
            await socket.aclose(1012)
        else:
            await socket.send_message(codec.encode(messages.SystemUpdate("passed on")))
            with contextlib.suppress(trio_websocket.ConnectionClosed):
                await socket.get_message()

    return await serving(nursery, handler)


async def test_a_client_goes_where_its_story_is_played(nursery: trio.Nursery) -> None:
    """At once, and without a word about a lost connection."""
    engine = ScriptedEngine(story=2)
    there = await nursery.start(engine.serve)
    asked: list[str] = []
    url = await moving(nursery, lambda: there, asked)
    async with linked(lambda: url) as (_, ear):
        await ear.wait_for(is_event(messages.SyncState))
        assert len(asked) == 1
        assert ear.states() == ["syncing", "connecting", "syncing"]


async def test_where_that_cannot_be_reached_frames_are_passed_on(nursery: trio.Nursery) -> None:
    asked: list[str] = []
    url = await moving(nursery, lambda: "ws://127.0.0.1:1/ws/rpc", asked)
    async with linked(lambda: url) as (_, ear):
        await ear.wait_for(is_event(messages.SystemUpdate))
        assert ["moved=1" in path for path in asked] == [True, False]
        assert "lost" not in ear.states()


@pytest.mark.parametrize(
    ("url", "before", "safe"),
    [
        ("ws://b", "ws://a", True),
        ("wss://b", "ws://a", True),
        ("wss://b", "wss://a", True),
        ("ws://b", "wss://a", False),
        ("ws://127.0.0.1:1", "wss://a", False),
        ("ws://10.0.0.1:8000", "ws://127.0.0.1:8000", False),
        ("ws://10.0.0.1:8000", "ws://localhost:8000", False),
        ("ws://10.0.0.1:8000", "ws://[::1]:8000", False),
        ("ws://10.0.0.1:8000", "unix:/run/engine.sock", False),
        ("ws://127.0.0.1:8001", "ws://127.0.0.1:8000", True),
        ("wss://b", "ws://127.0.0.1:8000", True),
        ("ws://127.evil:8000", "ws://127.0.0.1:8000", False),
        ("ws://[::1", "ws://127.0.0.1:8000", False),
    ],
)
def test_a_token_that_was_encrypted_or_in_a_tunnel_stays_there(
    url: str, before: str, safe: bool
) -> None:
    assert _is_as_safe(url, before) is safe


# --- calling before the rest of the client is loaded ------------------------------------------------


async def test_an_early_call_is_taken_up_by_the_first_attempt(nursery: trio.Nursery) -> None:
    """The engine is greeted once, before there is a link; what it answered is the link's first news."""
    engine = ScriptedEngine(story=2)
    url = await nursery.start(engine.serve)
    called = early.call(lambda: url, "face 1", None)
    assert called is not None
    ear = Ear()
    link = Link(lambda: url, "face 1", ear.post, early=called)
    nursery.start_soon(link.run)
    state = await ear.wait_for(is_event(messages.SyncState))
    assert isinstance(state, Received)
    assert state.event.metadata.client == "face 1"
    assert list(engine.faces.values()) == ["face 1"]
    nursery.cancel_scope.cancel()


async def test_a_link_outlives_the_end_of_an_early_call(nursery: trio.Nursery) -> None:
    """The engine that was called went away meanwhile: the link connects anew as if nobody had called."""
    engine = ScriptedEngine(story=2)
    url = await nursery.start(engine.serve)
    called = early.call(lambda: url, "face 1", None)
    assert called is not None
    called.socket.shutdown(socket.SHUT_RDWR)
    ear = Ear()
    nursery.start_soon(Link(lambda: url, "face 1", ear.post, early=called).run)
    await ear.wait_for(is_event(messages.SyncState))
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "url",
    ["ws://engine.example:8000/ws/rpc", "wss://127.0.0.1:1/ws/rpc", "ws://127.0.0.1:9/ws/rpc", "?"],
)
def test_nobody_is_called_early_where_that_could_wait_or_fails(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine, TLS, a port where nobody listens: then the link connects, as ever."""
    real = socket.socket.connect

    def connect(self: socket.socket, place: Any) -> None:
        assert place[0] == "127.0.0.1"
        real(self, place)

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert early.call(lambda: url, "face 1", None) is None


def test_an_engine_that_starts_is_not_called_early() -> None:
    """Whoever connects asks again and shows why there is none."""

    def url() -> str:
        raise LaunchError("the engine is starting")

    assert early.call(url, "face 1", None) is None


def test_a_unix_socket_is_called_early_with_the_token(tmp_path: Path) -> None:
    """A service's engine is of this machine, too."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        called = early.call(lambda: f"unix:{path}", "face 1", "secret")
        assert called is not None
        peer, _ = server.accept()
        with peer, called.socket:
            heard = peer.recv(4096)
    assert heard.startswith(b"GET /ws/rpc?client=face%201&moved=1 HTTP/1.1\r\n")
    assert b"Bearer secret" in heard


async def test_messages_taken_early_are_not_posted_again(nursery: trio.Nursery) -> None:
    """What was taken is over, what was put back and what came behind it are the link's."""
    engine = ScriptedEngine(story=200)
    url = await nursery.start(engine.serve)
    called = early.call(lambda: url, "face 1", None)
    assert called is not None
    taken = await trio.to_thread.run_sync(lambda: list(islice(called.messages(10.0), 2)))
    assert [codec.decode_event(one).event for one in taken] == ["system_update", "sync_state"]
    called.put_back(taken[1])
    ear = Ear()
    nursery.start_soon(Link(lambda: url, "face 1", ear.post, early=called).run)
    await ear.wait_for(is_event(messages.ChatHistory))
    kinds = [one.event.event for one in ear.heard if isinstance(one, Received)]
    assert kinds == ["sync_state", "chat_history"]
    assert ear.states() == []
    nursery.cancel_scope.cancel()


async def test_a_long_message_is_put_together_early(nursery: trio.Nursery) -> None:
    """A page of a story comes in many reads, as parts of one message; a ping before it is answered."""
    page = "x" * 500_000

    async def talk(request: Any) -> None:
        socket = await request.accept()
        with trio.fail_after(20):
            await socket.ping()
        await socket.send_message(page)
        await socket.send_message("end")
        await trio.sleep_forever()

    url = await serving(nursery, talk)
    called = early.call(lambda: url, "face 1", None)
    assert called is not None
    taken = await trio.to_thread.run_sync(lambda: list(islice(called.messages(10.0), 2)))
    assert taken == [page, "end"]
    called.socket.close()
    nursery.cancel_scope.cancel()


def test_an_early_call_that_nobody_answers_in_words_is_left_to_the_link() -> None:
    """A refusal stays where it is; bytes that are no answer end the connection; silence is waited for in vain."""
    for answer, left in ((b"HTTP/1.1 401 No\r\n\r\n", 1), (b"SSH-2.0\r\n\r\n", 0), (b"", 0)):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            url = f"ws://127.0.0.1:{server.getsockname()[1]}"
            called = early.call(partial(str, url), "c", None)
            assert called is not None
            peer, _ = server.accept()
            with peer, called.socket:
                peer.sendall(answer)
                assert list(called.messages(10.0 if answer else 0.01)) == []
                assert bool(called.events) == bool(left)
                assert not called.accepted
