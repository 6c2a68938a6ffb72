"""The real engine as a process: real sockets, real files, real signals."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.engine_process import REPOSITORY, begin_story, connected, engine, make_home


async def test_a_story_is_played_found_again_and_remembered(tmp_path: Path) -> None:
    """The main job: three exchanges, a restart, and a question about something said before it."""
    async with engine(tmp_path / "home") as running, connected(running) as wire:
        await begin_story(wire)
        replies = []
        for line in (
            "My brother's name is Tobias Merrow.",
            "I walk to the harbour.",
            "I wait for the tide.",
        ):
            await wire.say(line)
            replies.append(await wire.reply())
        assert len(set(replies)) == 3
        assert all(len(reply.split()) > 5 for reply in replies)
        running.process.terminate()
        assert await running.process.wait() == 0
    async with engine(tmp_path / "home") as running, connected(running) as wire:
        _, history = await wire.until("chat_history")
        assert [item["content"] for item in history["history"] if item["role"] == "assistant"][
            1:
        ] == replies
        for line in ("I sit down.", "I look out."):
            await wire.say(line)
            await wire.reply()
        await wire.say("What did I say about my brother Tobias?")
        _, recall = await wire.until("recall")
        assert any(
            item["kind"] == "memory" and "Tobias Merrow" in item["text"] for item in recall["items"]
        )
        assert "Tobias" in await wire.reply()


async def test_kill_9_in_mid_reply_loses_half_a_second_at_most(tmp_path: Path) -> None:
    make_home(tmp_path / "home", "narrator:\n  seed: 7\n  words_per_s: 15\n")
    async with engine(tmp_path / "home") as running, connected(running) as wire:
        await begin_story(wire)
        await wire.say("I run for the light.")
        received, arrived = "", []
        while len(arrived) < 15:
            content, _ = await wire.until("chat_chunk")
            received += content
            arrived.append((trio.current_time(), len(received)))
        running.process.send_signal(signal.SIGKILL)
        killed = trio.current_time()
        with pytest.raises(ConnectionClosed):
            await wire.until("never")
        await running.process.wait()
        role, content, status = running.messages()[-1]
        assert (role, status) == ("assistant", "streaming")
        due = max((length for at, length in arrived if at < killed - 0.6), default=0)
        assert due <= len(content)
        assert received.startswith(content) or content.startswith(received)
    async with engine(tmp_path / "home") as running, connected(running) as wire:
        _, history = await wire.until("chat_history")
        last = history["history"][-1]
        assert (last["content"], last["status"]) == (content, "interrupted")


async def test_sigterm_in_mid_reply_saves_tells_and_exits_in_time(tmp_path: Path) -> None:
    make_home(tmp_path / "home", "narrator:\n  seed: 7\n  words_per_s: 5\n")
    async with engine(tmp_path / "home") as running, connected(running) as wire:
        await begin_story(wire)
        await wire.say("I begin to talk.")
        await wire.until("chat_chunk")
        running.process.terminate()
        with trio.fail_after(5):
            _, metadata = await wire.until("chat_end")
            assert metadata["reason"] == "interrupted"
            assert await running.process.wait() == 0
        assert running.messages()[-1][2] == "interrupted"


async def test_the_reply_is_finished_when_the_client_goes(tmp_path: Path) -> None:
    async with engine(tmp_path / "home") as running:
        async with connected(running) as wire:
            await begin_story(wire)
            await wire.say("Tell me about this place.")
            await wire.until("chat_chunk")
        async with connected(running) as wire:
            _, history = await wire.until("chat_history")
            so_far = history["history"][-1]["content"]
            rest = await wire.reply()
        assert running.messages()[-1] == ("assistant", so_far + rest, "complete")


async def test_a_managed_engine_ends_with_the_goodbye_of_its_last_face(tmp_path: Path) -> None:
    async with engine(tmp_path / "home", "--managed") as running:
        async with connected(running) as wire:
            await begin_story(wire)
            await wire.say("A last question?")
            await wire.until("chat_chunk")
            await wire.say("/quit")
            await wire.until("system_update")
        with trio.fail_after(30):
            assert await running.process.wait() == 0
        assert running.messages()[-1][2] == "complete", "the reply was finished first"


async def test_a_second_engine_on_the_same_home_is_refused_in_one_sentence(tmp_path: Path) -> None:
    async with engine(tmp_path / "home") as running:
        second = await trio.run_process(
            [sys.executable, "-m", "flower", "--home", str(running.home), "engine", "--port", "0"],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_stderr=True,
            check=False,
        )
        assert second.returncode != 0
        (line,) = second.stderr.decode().strip().splitlines()
        assert str(running.process.pid) in line


async def test_a_stalled_client_does_not_keep_the_engine_from_stopping(tmp_path: Path) -> None:
    async with engine(tmp_path / "home") as running:
        async with connected(running) as wire:
            await begin_story(wire)
        host, port = running.url.removeprefix("ws://").split("/")[0].split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stalled:
            await stalled.send_all(
                b"GET /ws/rpc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            await stalled.receive_some(10)
            running.process.terminate()
            with trio.fail_after(6):
                assert await running.process.wait() == 0
