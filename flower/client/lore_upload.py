"""``flower lore add WORLD FILE…``: sends files of lore to the engine, which keeps and reads them.

The files are read here, by the person's own hand; the engine never opens a path it is told.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from flower import limits
from flower.errors import EngineStarting, FlowerError, LaunchError, only

BAR_COLUMNS = 30
CLIENT = "flower-lore"


def add(world: str, files: Sequence[str], engine_url: Callable[[], str], token: str | None) -> int:
    """Makes files lore of a world; returns the exit code. Raises ``FlowerError`` with a sentence."""
    texts = [(Path(name).name, read(Path(name))) for name in files]
    try:
        trio.run(_add, world, texts, engine_url, token)
    except KeyboardInterrupt:
        return 130
    except BaseExceptionGroup as group:  # the nursery wraps what was refused, and Ctrl-C
        raise only(group) from group
    return 0


def read(path: Path) -> str:
    """Returns a file of lore; raises ``FlowerError`` saying why it cannot be one."""
    try:
        if path.stat().st_size > limits.SOURCE_BYTES:
            most = limits.SOURCE_BYTES // limits.MIB
            raise FlowerError(f"{path} is larger than {most} MiB; split it")
        text = path.read_bytes().decode()
    except OSError as error:
        raise FlowerError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FlowerError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    if "\0" in text or not text.strip():
        raise FlowerError(f"{path} holds no text")
    return text


def parts(text: str, most: int = limits.ATTACHED_LORE_CHARS) -> Iterator[str]:
    """Yields ``text`` in pieces of at most ``most`` characters, cut between paragraphs if possible."""
    piece = ""
    for paragraph in text.split("\n\n"):
        for start in range(0, max(len(paragraph), 1), most):
            slice_ = paragraph[start : start + most]
            if piece and len(piece) + 2 + len(slice_) > most:
                yield piece
                piece = ""
            piece = f"{piece}\n\n{slice_}" if piece else slice_
    if piece.strip():
        yield piece


async def _add(
    world: str, texts: Sequence[tuple[str, str]], engine_url: Callable[[], str], token: str | None
) -> None:
    address = urlsplit(await _ready(engine_url))
    host, port = address.hostname or "127.0.0.1", address.port or 80
    headers = [(b"Authorization", f"Bearer {token}".encode())] if token else []
    try:
        async with await trio.open_tcp_stream(host, port) as stream, trio.open_nursery() as nursery:
            resource = f"{address.path}?client={CLIENT}"
            socket = await wrap_client_stream(
                nursery, stream, f"{host}:{port}", resource, extra_headers=headers
            )
            await _send_all(socket, world, texts)
            nursery.cancel_scope.cancel()
    except* (OSError, HandshakeError, ConnectionClosed) as group:
        raise LaunchError(
            f"the engine at {host}:{port} does not answer: {group.exceptions[0]}"
        ) from group


async def _ready(engine_url: Callable[[], str]) -> str:
    """Returns the engine's address; waits for one that is starting."""
    with trio.fail_after(limits.ENGINE_START_S):
        while True:
            try:
                return engine_url()
            except EngineStarting:
                await trio.sleep(limits.LAUNCH_POLL_S)


async def _send_all(socket: WebSocketConnection, world: str, texts: Sequence[tuple[str, str]]) -> None:
    pieces = [(name, piece) for name, text in texts for piece in parts(text)]
    for number, (name, piece) in enumerate(pieces, start=1):
        await socket.send_message(json.dumps({"prompt": f"/lore add {world} {piece}"}))
        await _answer(socket)
        if len(pieces) > limits.PROMPTS_BURST:  # else the engine refuses the ones after that
            await trio.sleep(1 / limits.PROMPTS_PER_S)
        _show(f"sent {name}", number, len(pieces))
    await _follow(socket)
    print(f"\n✓ {len(texts)} files are lore of {world} now.")


async def _answer(socket: WebSocketConnection) -> None:
    while True:
        event, content, _ = _frame(await socket.get_message())
        if event == "error":
            raise FlowerError(content)
        if event == "system_update" and content.startswith("✓") and "knows this" in content:
            return


async def _follow(socket: WebSocketConnection) -> None:
    """Shows how far the engine has read, until it is through or has nothing more to say.

    It may have been through before we listened; it reads on without us in any case.
    """
    progress: Any = ...
    while progress is not None:
        with trio.move_on_after(limits.LORE_QUIET_S) as quiet:
            _, _, metadata = _frame(await socket.get_message())
            progress = metadata.get("progress", ...)
        if quiet.cancelled_caught:
            return
        if isinstance(progress, dict):
            _show("reading", progress.get("done", 0), progress.get("total", 0))


def _frame(data: str | bytes) -> tuple[str, str, dict[str, Any]]:
    frame = json.loads(data)
    return frame["event"], frame["payload"]["content"], frame["payload"]["metadata"]


def _show(what: str, done: int, total: int) -> None:
    if not sys.stderr.isatty():
        return
    filled = BAR_COLUMNS * done // total if total else 0
    bar = "#" * filled + "." * (BAR_COLUMNS - filled)
    print(f"\r\x1b[K[{bar}] {done}/{total} {what}", end="", file=sys.stderr, flush=True)
