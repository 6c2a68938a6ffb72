"""Many faces on one engine: attaching anywhere in a reply is exact, and nobody waits for anybody."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import trio
import trio.testing
from trio.testing import MockClock

from flower import limits
from flower.engine.provider.base import Text
from flower.engine.sessions import outbox as outbox_module
from flower.engine.sessions.outbox import Outbox, Resync
from flower.protocol.messages import ChatChunk, ChatEnd, ChatHistory, ChatMessage, Event
from tests.engine_process import begin_story, connected, engine, make_home
from tests.engine_world import EngineWorld, engine_world
from tests.fakes import ScriptedProvider, words

STORY = " ".join(f"word{number}" for number in range(400)) + " "


class Replica:
    """What a face believes about the newest message, from events alone; complains about gaps."""

    def __init__(self) -> None:
        self.text = ""
        self.ends = 0

    def take(self, event: Event | Resync) -> None:
        match event:
            case ChatHistory(metadata=metadata) if metadata.history:
                self.text = metadata.history[-1].content
            case ChatMessage(content=content):
                self.text = content
            case ChatChunk(content=content, metadata=metadata):
                assert metadata.offset == len(self.text), "a gap, or the same text twice"
                self.text += content
            case ChatEnd():
                self.ends += 1
            case _:
                return


async def hop(world: EngineWorld, rng: random.Random, points: list[float], replica: Replica) -> None:
    """Attaches and detaches at the given times; the last time it stays."""
    for number, at in enumerate(points):
        await trio.sleep_until(at)
        client = await world.engine.connect(Outbox(), "hopper")
        leave = points[number + 1] - 0.01 if number + 1 < len(points) else float("inf")
        leave = min(leave, at + rng.uniform(0.0, 2.0)) if leave != float("inf") else leave
        with trio.move_on_at(leave):
            while True:
                event = await client.outbox.get()
                assert event is not None
                replica.take(event)
                if isinstance(event, ChatEnd):
                    return
        world.engine.disconnect(client)


async def test_attaching_at_a_hundred_points_of_a_reply_is_exact(
    autojump_clock: MockClock, path: Path
) -> None:
    rng = random.Random(5)
    async with engine_world(path, ScriptedProvider(words(STORY), gap_s=0.05)) as world:
        face = await world.playing()
        begun = trio.current_time()
        replicas = [Replica() for _ in range(20)]
        async with trio.open_nursery() as nursery:
            for replica in replicas:
                points = sorted(begun + rng.uniform(0.5, 19.0) for _ in range(5))
                nursery.start_soon(hop, world, rng, points, replica)
            await face.say("Tell me everything.")
        await trio.testing.wait_all_tasks_blocked()
        assert face.text == STORY
        assert [(replica.text, replica.ends) for replica in replicas] == [(STORY, 1)] * 20
        assert len(face.of(ChatEnd)) == 1


async def test_all_watchers_see_the_same(autojump_clock: MockClock, path: Path) -> None:
    """Two who type: one order for both, one reply at a time, further lines wait."""
    async with engine_world(path, ScriptedProvider(words("a b c "), gap_s=0.1)) as world:
        one = await world.playing()
        two = await world.face("two")
        await two.say(f"/session continue {one.client.chosen.session_id}")
        await trio.testing.wait_all_tasks_blocked()
        one.events.clear()
        two.events.clear()
        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(one.say, f"One says {number}.")
                nursery.start_soon(two.say, f"Two says {number}.")
        await trio.sleep(60)
        told = [
            [e for e in face.events if isinstance(e, ChatMessage | ChatChunk | ChatEnd)]
            for face in (one, two)
        ]
        assert told[0] == told[1]
        kinds = [type(e) for e in told[0] if not isinstance(e, ChatChunk)]
        assert kinds == [ChatMessage, ChatMessage, ChatEnd] * 4


async def test_stories_stream_side_by_side(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path, ScriptedProvider(words("word " * 50), gap_s=0.1)) as world:
        faces = []
        for number in range(10):
            face = await world.face(f"face{number}")
            await face.say("/world select harbour")
            await face.say("/session new")
            faces.append(face)
        begun = trio.current_time()
        for face in faces:
            await face.say("Go.")
        await world.engine.turns.wait_idle()
        assert trio.current_time() - begun < 8, "ten replies of five seconds each"
        await trio.testing.wait_all_tasks_blocked()
        assert all(face.text == "word " * 50 for face in faces)


async def test_a_stopped_client_delays_nobody(autojump_clock: MockClock, path: Path) -> None:
    """Its mailbox is never emptied; the others get every word at the moment it comes."""
    stamps = [Text(f"{number} ") for number in range(2000)]
    async with engine_world(path, ScriptedProvider([*stamps, *words("end ")], gap_s=0.01)) as world:
        face = await world.playing()
        for _ in range(5):
            await world.engine.connect(Outbox())  # nobody reads from these
        lag: list[float] = []
        taking = face.client.outbox.get

        async def timed() -> Any:
            event = await taking()
            if isinstance(event, ChatChunk):
                lag.append(trio.current_time() - face.client.outbox.taken_since)
            return event

        face.client.outbox.get = timed  # type: ignore[method-assign] # the reader with a watch
        await face.say_and_wait("Go.")
        assert max(lag) < 0.001
        stalled = [c for c in world.engine.clients if c is not face.client]
        assert all(len(c.outbox) <= outbox_module.OUTBOX_EVENTS for c in stalled)
        assert len(stalled) == 5


# --- real sockets ---------------------------------------------------------------------------------


async def test_hopping_between_connections_misses_and_doubles_nothing(tmp_path: Path) -> None:
    """One face keeps losing its connection while a real engine speaks; another one watches."""
    rng = random.Random(8)
    hops = 0
    async with engine(tmp_path / "home") as running, connected(running) as witness:
        await begin_story(witness)
        await witness.say("Tell me about this place, at length.")
        await witness.until("chat_message")
        async with trio.open_nursery() as nursery:
            said: list[str] = []

            async def watch() -> None:
                said.append(await witness.reply())
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            text = ""
            while True:
                hops += 1
                async with connected(running) as wire:
                    _, history = await wire.until("chat_history")
                    seen = history["history"][-1]["content"]
                    assert seen.startswith(text), "what was seen before has changed"
                    text = seen
                    with trio.move_on_after(rng.uniform(0.0, 0.05)):
                        while True:
                            event, content, metadata = await wire.receive()
                            if event == "chat_chunk":
                                assert metadata["offset"] == len(text)
                                text += content
                            if event == "chat_end":
                                await trio.sleep_forever()
        (whole,) = said
        assert whole.startswith(text) or text == whole
        assert running.messages()[-1] == ("assistant", whole, "complete")
        async with connected(running) as wire:
            _, history = await wire.until("chat_history")
            assert history["history"][-1]["content"] == whole
        assert hops > 10


async def test_sigterm_is_in_time_with_clients_that_do_not_read(tmp_path: Path) -> None:
    """Three faces have stopped reading in the middle of a stream, one is well: it is told, all is saved."""
    make_home(tmp_path / "home", "narrator:\n  seed: 7\n  words_per_s: 5\n")
    async with engine(tmp_path / "home") as running, connected(running) as wire:
        await begin_story(wire)
        stalled = []
        for _ in range(3):
            stream = await trio.open_tcp_stream(*running.address)
            stream.setsockopt(1, 8, 4096)  # a small receive buffer: SOL_SOCKET, SO_RCVBUF
            await stream.send_all(
                b"GET /ws/rpc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            stalled.append(stream)
        for number in range(60):  # fill their pipes, and leave the one that is well alone
            await stalled[number % 3].send_all(_masked({"prompt": "/sync"}))
        await wire.say("I begin to talk.")
        await wire.until("chat_chunk")
        running.process.terminate()
        begun = trio.current_time()
        with trio.fail_after(6):
            _, metadata = await wire.until("chat_end")
            assert metadata["reason"] == "interrupted"
            assert await running.process.wait() == 0
        assert trio.current_time() - begun < limits.HARD_EXIT_S + 0.5
        assert running.messages()[-1][2] == "interrupted"
        for stream in stalled:
            await trio.aclose_forcefully(stream)


def _masked(message: dict[str, str]) -> bytes:
    data = json.dumps(message).encode()
    return bytes([0x81, 0x80 | len(data)]) + b"\0\0\0\0" + data
