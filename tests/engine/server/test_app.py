"""The wire as clients see it: V1 conversations, the two extra keys, and who may enter."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from quart.testing.connections import WebsocketResponseError
from trio.testing import MockClock

from flower.engine.server.access import Access
from flower.engine.server.app import create_app
from flower.engine.server.lifetime import Lifetime
from flower.engine.sessions import outbox
from tests.engine_world import EngineWorld, engine_world
from tests.fakes import ScriptedProvider, words


class Wire:
    """A bare V1 client: JSON out, JSON in."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> tuple[str, str, dict[str, Any]]:
        frame = json.loads(await self.socket.receive())
        assert set(frame) == {"event", "payload"}
        assert set(frame["payload"]) == {"content", "metadata"}
        return frame["event"], frame["payload"]["content"], frame["payload"]["metadata"]

    async def until(self, event: str) -> tuple[str, dict[str, Any]]:
        """Skips to the next frame of that kind."""
        while True:
            name, content, metadata = await self.receive()
            if name == event:
                return content, metadata


@asynccontextmanager
async def wired(
    path: Path, provider: ScriptedProvider | None = None, token: str | None = None
) -> AsyncIterator[tuple[EngineWorld, Any, Lifetime]]:
    async with engine_world(path, provider) as world:
        lifetime = Lifetime(managed=False, linger_s=1)
        app = create_app(world.engine, lifetime, access=Access(token))
        yield world, app.test_client(), lifetime


async def refused(client: Any, headers: dict[str, str]) -> int:
    """Returns the status that an upgrade with these headers is refused with."""
    statuses: list[int] = []
    with pytest.RaisesGroup(
        pytest.RaisesExc(
            WebsocketResponseError, check=lambda error: not statuses.append(error.response.status_code)
        ),
        flatten_subgroups=True,
    ):
        async with client.websocket("/ws/rpc", headers=headers) as socket:
            await socket.receive()
    return statuses[0]


async def test_a_v1_conversation_from_connect_to_the_end_of_a_reply(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with wired(tmp_path / "db") as (_, client, _lifetime), client.websocket("/ws/rpc") as socket:
        wire = Wire(socket)
        assert await wire.receive() == ("system_update", "✓ Engine ready.", {"status": "ok"})
        _, state = await wire.until("sync_state")
        v1_keys = {
            "model", "model_confirmed", "world_id", "character_id", "session_id", "available_worlds",
            "available_characters", "available_models", "available_rules", "available_sessions", "active_rules",
        }  # fmt: skip
        assert v1_keys <= set(state)
        assert state["available_models"] == [
            {
                "id": "scripted/one",
                "name": "Scripted model",
                "prompt_price": 1.0,
                "completion_price": 2.0,
            }
        ]
        await wire.send(prompt="/world select harbour")
        content, metadata = await wire.until("system_update")
        assert content.startswith("✓ World: Harbour.")
        assert metadata["world_id"] == "harbour"
        await wire.send(prompt="/session new")
        _, metadata = await wire.until("chat_history")
        assert [(h["role"], h["content"]) for h in metadata["history"]] == [
            ("assistant", "The tide is out.")
        ]
        await wire.send(prompt="I look at the sea.")
        text = ""
        while True:
            name, content, metadata = await wire.receive()
            if name == "chat_chunk":
                assert metadata["offset"] == len(text)
                assert {"model", "tokens_per_second", "world_id"} <= set(metadata)
                text += content
            if name == "chat_end":
                break
        assert text == "The tide turns and the lamps come on. "
        assert content == ""
        assert isinstance(metadata["total_tokens"], int)


async def test_plain_text_frames_and_broken_ones(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with wired(tmp_path / "db") as (_, client, _lifetime), client.websocket("/ws/rpc") as socket:
        wire = Wire(socket)
        await socket.send("/world select harbour")
        await wire.until("system_update")
        for frame in ('{"prompt": 5}', "{", b"\xff"):
            await socket.send(frame)
            content, _ = await wire.until("error")
            assert content.startswith("Not understood:")
        await socket.send("/help")
        content, _ = await wire.until("system_update")
        while "/session new" not in content:
            content, _ = await wire.until("system_update")


async def test_the_client_key_selects_and_the_query_does_too(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with wired(tmp_path / "db") as (_, client, _lifetime):
        async with client.websocket("/ws/rpc") as socket:
            wire = Wire(socket)
            await wire.send(prompt="/world select forest", client="phone")
            while (await wire.until("system_update"))[1].get("world_id") != "forest":
                pass
        async with client.websocket("/ws/rpc?client=phone") as socket:
            _, state = await Wire(socket).until("sync_state")
            assert (state["client"], state["world_id"]) == ("phone", "forest")


async def test_a_client_that_stops_reading_is_brought_up_to_date(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """It misses more than its mailbox holds and then gets one sync with the whole story."""
    provider = ScriptedProvider(words("a b c "))
    async with wired(tmp_path / "db", provider) as (world, client, _lifetime):
        face = await world.playing()
        async with client.websocket("/ws/rpc") as socket:
            wire = Wire(socket)
            await wire.until("chat_history")
            for number in range(outbox.OUTBOX_EVENTS):
                await face.say_and_wait(f"Line {number}")
            seen = []
            with trio.move_on_after(5):
                while True:
                    seen.append(await wire.receive())
            history = [metadata["history"] for name, _, metadata in seen if name == "chat_history"]
            ends = sum(name == "chat_end" for name, _, _ in seen)
            assert history or ends == outbox.OUTBOX_EVENTS
            if history:
                assert history[-1][-1]["content"] == "a b c "
                assert history[-1][-2]["content"] == f"Line {outbox.OUTBOX_EVENTS - 1}"


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1"}]
)
async def test_no_web_page_may_enter(
    autojump_clock: MockClock, tmp_path: Path, headers: dict[str, str]
) -> None:
    async with wired(tmp_path / "db") as (_, client, _lifetime):
        assert await refused(client, headers) == 403


@pytest.mark.parametrize(
    ("sent", "status"),
    [({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "secret"}, 401)],
)
async def test_a_token_is_asked_for_when_there_is_one(
    autojump_clock: MockClock, tmp_path: Path, sent: dict[str, str], status: int
) -> None:
    async with wired(tmp_path / "db", token="secret") as (_, client, _lifetime):
        assert await refused(client, sent) == status
        async with client.websocket("/ws/rpc", headers={"Authorization": "Bearer secret"}) as socket:
            assert (await Wire(socket).receive())[1] == "✓ Engine ready."


@pytest.mark.parametrize("path", ["/", "/healthz"])
async def test_health_is_told_without_a_socket(
    autojump_clock: MockClock, tmp_path: Path, path: str
) -> None:
    async with wired(tmp_path / "db") as (_, client, _lifetime):
        response = await client.get(path)
        assert response.status_code == 200
        assert b"Flower" in await response.get_data()


async def test_goodbye_is_noted_and_answered_with_a_close(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with wired(tmp_path / "db") as (_, client, lifetime):
        async with client.websocket("/ws/rpc") as socket:
            wire = Wire(socket)
            await wire.until("sync_state")
            await wire.send(prompt="/quit")
            content, _ = await wire.until("system_update")
            assert content == "Goodbye."
        await trio.testing.wait_all_tasks_blocked()
        assert "expected back: False" in repr(lifetime)
