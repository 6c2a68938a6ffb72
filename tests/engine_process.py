"""A real engine as a process, and V1 clients on real sockets: what end-to-end tests share."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, BinaryIO

import trio
import trio.testing
from trio_websocket import WebSocketConnection, wrap_client_stream

import flower
from flower.engine.store import streaming_text

REPOSITORY = Path(flower.__file__).parents[1]
CONFIG = "narrator:\n  seed: 7\n  words_per_s: 300\n"


class Process:
    """An engine under test."""

    def __init__(self, process: trio.Process, home: Path) -> None:
        self.process = process
        self.home = home

    @property
    def announced(self) -> bool:
        """Whether this very process, not one that was killed before it, has said where it listens."""
        try:
            address = json.loads((self.home / "run" / "engine.json").read_bytes())
        except (OSError, ValueError):  # none yet, or a damaged one of an engine before it
            return False
        return bool(address["pid"] == self.process.pid)

    @property
    def url(self) -> str:
        return str(json.loads((self.home / "run" / "engine.json").read_text())["url"])

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("ws://").split("/")[0].split(":")
        return host, int(port)

    def messages(self) -> list[tuple[str, str, str]]:
        """(role, text so far, status) of everything on disk, read as another program would."""
        text = streaming_text.text_of("m")
        with closing(look_into(self.home)) as db:
            rows = db.execute(f"SELECT role, {text}, status FROM messages m ORDER BY id").fetchall()
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return rows

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def written(self) -> int:
        """Bytes that this process has sent to storage so far."""
        lines = Path(f"/proc/{self.process.pid}/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["write_bytes"])


class Wire:
    """A V1 client on a real socket."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket

    async def say(self, prompt: str, **extra: str) -> None:
        await self.socket.send_message(json.dumps({"prompt": prompt, **extra}))

    async def receive(self) -> tuple[str, str, dict[str, Any]]:
        """Returns (event, content, metadata) of the next frame."""
        frame = json.loads(await self.socket.get_message())
        return frame["event"], frame["payload"]["content"], frame["payload"]["metadata"]

    async def until(self, event: str) -> tuple[str, dict[str, Any]]:
        while True:
            name, content, metadata = await self.receive()
            if name == event:
                return content, metadata

    async def reply(self) -> str:
        """Returns the text of the reply that comes next."""
        text = ""
        while True:
            name, content, _ = await self.receive()
            if name == "chat_chunk":
                text += content
            if name == "chat_end":
                return text


def look_into(home: Path) -> sqlite3.Connection:
    """Returns a connection that reads a home's database as another program would."""
    return sqlite3.connect(f"file:{home / 'flower.db'}?mode=ro", uri=True)


def command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "flower", "--home", str(home), *arguments]


def make_home(home: Path, config: str = CONFIG) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    if not (home / "config.yaml").exists():
        (home / "config.yaml").write_text(config)
        (home / "config.yaml").chmod(0o600)


def with_limits(**values: float) -> list[str]:
    """Returns a ``program`` for ``start`` with other limits: waits that are only configured become short.

    A limit is looked for where it is defined, as many live beside their only use.
    """
    changes = "; ".join(
        f"import {module}; {module}.{name} = {value!r}"
        for name, value in values.items()
        for module in [home_of(name)]
    )
    return [
        sys.executable,
        "-c",
        f"import sys; {changes}; from flower.cli import main; sys.exit(main())",
    ]


def home_of(limit: str) -> str:
    """Returns the one module that defines a limit."""
    (found,) = (
        path
        for path in sorted((REPOSITORY / "flower").rglob("*.py"))
        if re.search(rf"(?m)^{limit} = ", path.read_text())
    )
    return ".".join(found.relative_to(REPOSITORY).with_suffix("").parts)


async def start(
    home: Path,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    program: list[str] | None = None,
) -> Process:
    """Starts an engine on a free port and returns at once; its output goes beside the home.

    ``program`` takes the place of ``python -m flower``.
    """
    make_home(home)
    line = command(home, "engine", "--port", "0", *arguments)
    if program is not None:
        line = [*program, *line[3:]]
    with _out(home) as out:
        process = await trio.lowlevel.open_process(
            line,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(environ or {})},
        )
    return Process(process, home)


def _out(home: Path) -> BinaryIO:
    return open(home.parent / "engine.out", "ab")


async def kill(running: Process) -> None:
    """Ends an engine the hard way, if it still runs."""
    with trio.CancelScope(shield=True):
        if running.process.poll() is None:
            running.process.kill()
        await running.process.wait()


async def wait_announced(running: Process) -> None:
    with trio.fail_after(30):
        while not running.announced:
            assert running.process.poll() is None, output(running.home)[-4000:]
            await trio.testing.wait_all_tasks_blocked(0.02)


def output(home: Path) -> str:
    """Returns what the engines of a home have printed."""
    return (home.parent / "engine.out").read_text()


@asynccontextmanager
async def engine(
    home: Path,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    program: list[str] | None = None,
) -> AsyncIterator[Process]:
    """Starts an engine on a free port and waits until it has announced its address."""
    running = await start(home, *arguments, environ=environ, program=program)
    try:
        await wait_announced(running)
        yield running
    finally:
        await kill(running)


@asynccontextmanager
async def connected(running: Process, path: str = "/ws/rpc", **headers: str) -> AsyncIterator[Wire]:
    """A connection on a stream of our own: trio-websocket leaves streams open that the peer broke off."""
    host, port = running.address
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with await trio.open_tcp_stream(host, port) as stream, trio.open_nursery() as nursery:
        socket = await wrap_client_stream(nursery, stream, f"{host}:{port}", path, extra_headers=extra)
        yield Wire(socket)
        nursery.cancel_scope.cancel()


async def begin_story(wire: Wire) -> None:
    await wire.say("/world select orrinsay")
    await wire.say("/session new")
    await wire.until("chat_history")
