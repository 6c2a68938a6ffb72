"""Keys stay in the engine: a canary key must turn up nowhere else, whatever goes wrong."""

from __future__ import annotations

import contextlib
import json
import logging
from functools import partial
from pathlib import Path

import trio

from flower.engine.logs import RedactingFormatter, known_secrets
from flower.settings.config import parse
from tests.engine_process import connected, engine

CANARY = "sk-canary-9d1c6e0b7a"


async def unfriendly(stream: trio.SocketStream) -> None:
    """A provider that answers every request with an error that quotes the key."""
    with contextlib.suppress(trio.BrokenResourceError):  # the engine ends in the middle of a request
        await _refuse(stream)


async def _refuse(stream: trio.SocketStream) -> None:
    async with stream:
        while await stream.receive_some():
            body = json.dumps(
                {"error": {"message": f"Incorrect API key provided: {CANARY}", "code": 401}}
            ).encode()
            head = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: "
            await stream.send_all(f"{head}{len(body)}\r\n\r\n".encode() + body)


async def test_a_key_shows_up_in_no_event_log_file_or_process_list(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, unfriendly, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        (home / "config.yaml").write_text(
            f"openai_base_url: http://127.0.0.1:{port}/v1\nopenai_api_key: {CANARY}\ndefault_model: any\n"
        )
        (home / "config.yaml").chmod(0o600)
        frames: list[str] = []
        async with engine(home) as running, connected(running) as wire:
            for prompt in (
                "/world select orrinsay",
                "/session new",
                "Hello?",
                "/why",
                "/models refresh",
            ):
                await wire.say(prompt)
            with trio.move_on_after(20):
                while not (frames and '"chat_end"' in frames[-1]):
                    frames.append(await wire.socket.get_message())
            with trio.move_on_after(1):
                while True:
                    frames.append(await wire.socket.get_message())
            command = Path(f"/proc/{running.process.pid}/cmdline").read_text()
            running.process.terminate()
            await running.process.wait()
        nursery.cancel_scope.cancel()
    assert any('"error"' in frame for frame in frames), "the provider's refusal was told"
    assert not [frame for frame in frames if CANARY in frame]
    assert CANARY not in command
    holders = [
        path.name
        for path in tmp_path.rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    ]
    assert holders == ["config.yaml"]


def test_the_log_masks_every_known_secret() -> None:
    config = parse({"groq_api_key": CANARY, "engine": {"token": "tok-" + CANARY}}, {}, {})
    formatter = RedactingFormatter(known_secrets(config))
    record = logging.LogRecord(
        "flower", logging.INFO, "", 0, "tried %s with tok-%s", (CANARY, CANARY), None
    )
    assert CANARY not in formatter.format(record)
    assert "tok-" not in formatter.format(record)
