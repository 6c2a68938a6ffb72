"""Every limit on what clients send, at its edge: just below is taken, just above is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from quart.testing.connections import WebsocketResponseError
from quart.typing import TestWebsocketConnectionProtocol as WebsocketConnection
from trio.testing import MockClock

from flower import limits
from flower.engine.server import connection
from flower.engine.server.app import create_app
from flower.engine.server.lifetime import Lifetime
from flower.engine.sessions import outbox as outbox_module
from flower.engine.sessions import snapshot
from flower.engine.sessions.outbox import Outbox
from flower.engine.store import exchanges as replies
from flower.engine.store import stories, world_lore
from flower.protocol.codec import REQUEST_ID_CHARS
from flower.protocol.messages import ChatHistory, ErrorEvent, SystemUpdate
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider, words


class Socket:
    """A socket in memory: what a client sends, and what it gets."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[str | bytes](1000)
        self.got: list[dict[str, Any]] = []

    def say(self, prompt: str, **extra: str) -> None:
        self._send.send_nowait(json.dumps({"prompt": prompt, **extra}))

    def hang_up(self) -> None:
        self._send.close()

    async def receive(self) -> str | bytes:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise trio.BrokenResourceError("gone") from None

    async def send(self, data: str) -> None:
        await trio.lowlevel.checkpoint()
        self.got.append(json.loads(data))

    async def close(self, code: int) -> None:
        await trio.lowlevel.checkpoint()

    def errors(self) -> list[str]:
        return [f["payload"]["content"] for f in self.got if f["event"] == "error"]


async def test_a_prompt_at_the_limit_is_played_and_one_above_is_refused(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world, trio.open_nursery() as nursery:
        socket = Socket()
        nursery.start_soon(connection.serve, world.engine, socket, "", lambda: None)
        socket.say("/world select harbour")
        socket.say("x" * limits.PROMPT_CHARS)
        await trio.sleep(5)
        assert socket.errors() == []
        socket.say("x" * (limits.PROMPT_CHARS + 1))
        socket.say("still here", client="c" * (limits.CLIENT_ID_CHARS + 1))
        socket.say("still here", request="r" * (REQUEST_ID_CHARS + 1))
        socket.say("And on.", client="c" * limits.CLIENT_ID_CHARS, request="r" * REQUEST_ID_CHARS)
        await trio.sleep(5)
        assert [str(limits.PROMPT_CHARS) in socket.errors()[0], len(socket.errors())] == [True, 3]
        assert sum(f["event"] == "chat_end" for f in socket.got) == 2
        socket.hang_up()


async def test_a_flood_of_prompts_is_slowed_down_and_told(
    autojump_clock: MockClock, path: Path
) -> None:
    """A burst is taken; what is above it is refused at the pace, and later prompts are taken again."""
    async with engine_world(path) as world, trio.open_nursery() as nursery:
        socket = Socket()
        nursery.start_soon(connection.serve, world.engine, socket, "", lambda: None)
        begun = trio.current_time()
        for number in range(limits.PROMPTS_BURST + 5):
            socket.say("/why", request=f"r{number}")
        await trio.sleep(20)
        refused = [f for f in socket.got if f["payload"]["metadata"].get("kind") == "pace"]
        assert 1 <= len(refused) <= 5
        assert refused[0]["payload"]["metadata"]["request"] == f"r{limits.PROMPTS_BURST}"
        assert "not taken" in refused[0]["payload"]["content"]
        socket.say("/why", request="later")
        await trio.sleep(1)
        assert [f["payload"]["metadata"].get("request") for f in socket.got][-1] == "later"
        assert trio.current_time() - begun < 60
        socket.hang_up()


async def test_errors_about_floods_are_no_flood(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world, trio.open_nursery() as nursery:
        socket = Socket()
        nursery.start_soon(connection.serve, world.engine, socket, "", lambda: None)

        async def flood() -> None:
            with trio.move_on_after(10):
                while True:
                    await socket._send.send("{")

        await flood()
        assert len(socket.errors()) <= limits.PROMPTS_BURST + 10 * limits.PROMPTS_PER_S + 1
        nursery.cancel_scope.cancel()


async def _read_on(socket: WebsocketConnection) -> None:
    while True:
        await socket.receive()


async def test_one_client_more_than_the_most_is_refused(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CLIENTS_MAX", 3)
    async with engine_world(path) as world:
        client = create_app(world.engine, Lifetime(managed=False, linger_s=1)).test_client()
        for _ in range(2):
            await world.engine.connect(Outbox())
        async with client.websocket("/ws/rpc") as third, trio.open_nursery() as reading:
            await third.receive()
            reading.start_soon(_read_on, third)  # who takes nothing is sent away when a thread is slow
            with pytest.RaisesGroup(
                pytest.RaisesExc(
                    WebsocketResponseError, check=lambda error: error.response.status_code == 503
                ),
                flatten_subgroups=True,
            ):
                async with client.websocket("/ws/rpc") as fourth:
                    await fourth.receive()
            reading.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        async with client.websocket("/ws/rpc") as again:
            await again.receive()


async def test_lines_wait_up_to_the_most_and_the_next_is_refused(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=1.0)) as world:
        face = await world.playing()
        for number in range(limits.PROMPT_QUEUE + 2):
            await face.say(f"Line {number}")
        await trio.testing.wait_all_tasks_blocked()
        told = [u.metadata.queued for u in face.of(SystemUpdate) if isinstance(u.metadata.queued, int)]
        assert told == list(range(1, limits.PROMPT_QUEUE + 1))
        (error,) = face.of(ErrorEvent)
        assert f"{limits.PROMPT_QUEUE} lines are waiting already" in error.content


async def test_stories_up_to_the_most(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stories, "SESSIONS_MAX", 2)
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/session new")
        await face.say("/session new")
        await trio.testing.wait_all_tasks_blocked()
        (error,) = face.of(ErrorEvent)
        assert "2 stories, the most" in error.content
        assert await world.database.read(stories.count_sessions) == 2


async def test_attached_lore_up_to_the_most(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/world attach_lore " + "x" * limits.ATTACHED_LORE_CHARS)
        await face.say("/world attach_lore " + "x" * (limits.ATTACHED_LORE_CHARS + 1))
        await trio.testing.wait_all_tasks_blocked()
        (error,) = face.of(ErrorEvent)
        assert str(limits.ATTACHED_LORE_CHARS) in error.content
        assert len(await world.database.read(world_lore.listed, "harbour")) == 1


@pytest.mark.parametrize(("exchanges", "text"), [(80, "short"), (60, "x" * 10_000)])
async def test_a_page_of_history_is_bounded_in_messages_and_bytes(
    autojump_clock: MockClock, path: Path, exchanges: int, text: str
) -> None:
    """And all pages together are the whole story."""
    async with engine_world(path, ScriptedProvider(words(text))) as world:
        face = await world.playing()
        for number in range(exchanges):
            await face.say_and_wait(f"Line {number}")
        face.events.clear()
        await face.say("/sync")
        await trio.testing.wait_all_tasks_blocked()
        seen = []
        for _ in range(exchanges):
            page = face.of(ChatHistory)[-1]
            items = page.metadata.history
            assert len(items) <= limits.HISTORY_PAGE_MESSAGES
            assert sum(len(item.content.encode()) for item in items) <= snapshot.HISTORY_PAGE_BYTES
            seen = [item.message for item in items] + seen
            if not isinstance(page.metadata.more, int):
                break
            await face.say(f"/history {page.metadata.more}")
            await trio.testing.wait_all_tasks_blocked()
        assert len(seen) == len(set(seen)) == 2 * exchanges + 1


async def test_a_reply_stops_at_the_most(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REPLY_CHARS", 50)
    async with engine_world(path, ScriptedProvider(words("again and " * 1000))) as world:
        face = await world.playing()
        await face.say_and_wait("Speak.")
        assert face.reasons == ["length"]
        assert len(face.text) == 50
        assert world.provider.closed == world.provider.opened


async def test_a_slow_client_costs_a_bounded_mailbox(autojump_clock: MockClock, path: Path) -> None:
    """Nobody takes anything out while hundreds of replies pass by."""
    async with engine_world(path, ScriptedProvider(words("word " * 400))) as world:
        face = await world.playing()
        stopped = await world.engine.connect(Outbox())
        most = size = 0
        for number in range(outbox_module.OUTBOX_EVENTS // 3):
            await face.say_and_wait(f"Line {number}")
            most = max(most, len(stopped.outbox))
            size = max(size, stopped.outbox._size)
        assert most <= outbox_module.OUTBOX_EVENTS
        assert size <= outbox_module.OUTBOX_BYTES


async def test_a_waiting_line_and_a_new_one_begin_one_after_the_other(
    autojump_clock: MockClock, path: Path
) -> None:
    """The line that waited is taken out of its queue; one that comes at that very moment is next."""
    async with engine_world(path, ScriptedProvider(words("a b "), gap_s=1.0)) as world:
        face = await world.playing()
        session = face.client.session
        assert session is not None
        write = world.database.write
        racing = False

        async def slow_write(function: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal racing
            if function is replies.begin_exchange and "Second." in args:
                racing = True
                await face.say("Third.")
            return await write(function, *args, **kwargs)

        world.database.write = slow_write  # type: ignore[method-assign] # the moment is made wide
        await face.say("First.")
        await face.say("Second.")
        await world.engine.turns.wait_idle()
        await trio.sleep(30)
        assert racing
        rows = await world.database.read(stories.active_path, session.id)
        assert [m.content for m in rows if m.role == "user"] == ["First.", "Second.", "Third."]
        assert face.reasons == ["done"] * 3
