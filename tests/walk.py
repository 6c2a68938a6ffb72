"""A random walk over the real socket of a real engine: whoever may come, whatever they may send.

``Walk`` owns one home, the engine that runs on it and the clients at it; every step is drawn from one seed. What
must hold after each step is in ``Walk.judge``, what must hold at the end in ``Walk.finish``.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import trio
import trio.testing
from trio_websocket import ConnectionClosed, HandshakeError

from flower.engine.commands import catalogue
from flower.protocol.codec import FRAME_MOST_BYTES
from tests.engine_process import (
    Process,
    Wire,
    command,
    connected,
    kill,
    look_into,
    make_home,
    output,
    start,
    wait_announced,
)

CONFIG = "narrator:\n  seed: 7\n  words_per_s: {speed}\n"
BROKEN_CONFIGS = (
    "narrator: [",
    "engine: 7\n",
    "narrator:\n  words_per_s: .nan\n",
    "narrator:\n  words_per_s: -1e400\n",
    "\x00",
)
HEALTH_S = 5.0  # most of it is the machine's other work; half a minute is what a stuck engine takes
STOP_S = 20.0
RSS_MOST = 400 << 20
GONE = (OSError, ConnectionClosed, HandshakeError, trio.BrokenResourceError, trio.ClosedResourceError)
# Read by nothing, understood by nothing, or nearly what is meant.
RUDE_FRAMES: tuple[str | bytes, ...] = (
    "", "{", "null", "[]", "7", '"prompt"', "{}", '{"prompt": null}', '{"prompt": 7}', '{"prompt": ["a"]}',
    '{"prompt": {"prompt": "a"}}', '{"prompt": "a", "request": 7}', '{"prompt": "a", "client": []}',
    '{"prompt": "a", "prompt": "b"}', '{"prompt": "\\ud800"}', '{"prompt": "\\u0000"}', '{"prompt": 1e400}',
    '{"prompt": NaN}', '{"prompt": "a"} {"prompt": "b"}', "[" * 50_000, '{"prompt":' * 20_000, "[1," * 60_000,
    '{"prompt": "a", "request": "' + "r" * 70_000 + '"}', '{"prompt": "' + "\\u0007" * 9_000 + '"}',
    '{"prompt": "' + "x" * 70_000 + '"}', '{"prompt": "' + "x" * 400_000 + '"}', '{"PROMPT": "a"}',
    b"\x00\xff\xfe", b"", b'{"prompt": "bytes"}', "9" * 100_000, "\ufeff" + '{"prompt": "mark"}',
)  # fmt: skip
# After the handshake: half frames, masks that are none, lengths that never come, codes nobody has.
RAW_BYTES = (
    b"\x81", b"\x81\xfe", b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x81\x05hello", b"\xf1\x80aaaa",
    b"\x83\x80aaaa", b"\x88\x80aaaa", b"\x88\x81aaaa\x00", b"\x89\xfe\x00\xffaaaa", b"\x01\x81aaaa\x00",
    b"\x80\x80aaaa", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 5_000,
)  # fmt: skip
ARGUMENTS = (
    "", "1", "2", "3", "0", "-1", "99999999999999999999", "1e400", "NaN", "-inf", "\u0661", "1.5", "none",
    "off", "on", "all", "orrinsay", "nan-okoro", "temperature 1e400", "temperature nan",
    "top_k -99999999999999999999", "2d6", "99999d99999", "0d0", "1d1e400", "4dF vs 1e9", "stealth vs 9",
    "hp -3", "hp 1e400", "hp " + "9" * 400, "place The mill", "Mara: keeps the lamp", "Mara +10 kind",
    "Mara +" + "9" * 400, '"Flood" 6 every turn: wet', '"Flood" 0', "Flood 2", "Flood -" + "9" * 30,
    "depth 99999999999999999999, every 0, x", "depth -1, x", "html", "md", "jsonl ../../x", "txt \x00",
    "{{roll:1d6}} {{user}} {{" * 30, "\u202e\u2066", "\x1b]0;x\x07", "%s%n{0}", "' OR 1=1 --", '"', "'", '"*',
    "NEAR(", "a*", "# a" + " " * 2_500 + "b", "*" * 3_000, "`" * 3_000, "<think>" * 300, "> " * 900,
    "x" * 9_000, "\U0001f469\u200d" * 300, "/", "/etc", "/dev/zero", "/proc/self", "~", "..", ".", "\\\\",
    "a|b", "|", "a|" + "b" * 5_000, "The bell rings.", "I am here.\n" * 40,
)  # fmt: skip
LINES = (
    "I knock.", "I look at the sea.", "*I wait.*", '"Who is there?"', "# a" + " " * 2_500 + "b",
    "//not a command", "I go\n\nnorth.", "\u00e9" * 2_000, "```\ncode",
    "I ask for the key [[and]] {{the}} lamp.", "\u202eI", "I " + "very " * 3_000 + "tired",
)  # fmt: skip
NOT_WALKED = {"/quit"}  # ends the connection that the walk's own books are kept on


class Face:
    """One client: what it heard, and by what id it spoke."""

    def __init__(self, walk: Walk, name: str) -> None:
        self.walk = walk
        self.name = name  # "" for a client of the first protocol
        self.wire: Wire | None = None
        self.sent: list[tuple[str, str]] = []  # id, text
        self.turns: dict[str, int] = {}  # turn -> ends heard
        self.scope = trio.CancelScope()
        self.alive = False

    async def live(self) -> None:
        """Connects and listens until the engine or the walk ends it."""
        if self.alive:
            return
        self.alive = True
        self.turns.clear()
        with trio.CancelScope() as self.scope:
            try:
                path = f"/ws/rpc?client={self.name}" if self.name else "/ws/rpc"
                async with connected(self.walk.running, path) as wire:
                    self.wire = wire
                    while True:
                        self.hear(await wire.socket.get_message())
            except* GONE:
                self.walk.seen["connections ended"] += 1
        self.wire, self.alive = None, False

    def hear(self, frame: str | bytes) -> None:
        size = len(frame.encode() if isinstance(frame, str) else frame)
        assert size <= FRAME_MOST_BYTES, f"a frame of {size} bytes"
        self.walk.seen["frames heard"] += 1
        data: dict[str, Any] = json.loads(frame)
        metadata = data["payload"]["metadata"]
        if data["event"] == "chat_message" and metadata["role"] == "user" and metadata.get("request"):
            self.walk.acknowledged[metadata["request"]] = metadata["message"]
        elif data["event"] == "chat_message" and metadata.get("turn"):
            self.turns.setdefault(metadata["turn"], 0)
        elif data["event"] == "chat_end" and metadata.get("turn"):
            ends = self.turns[metadata["turn"]] = self.turns.get(metadata["turn"], 0) + 1
            assert ends == 1, f"turn {metadata['turn']} ended {ends} times"
            self.walk.seen["replies ended"] += 1


class Walk:
    """Steps on one home from one seed; raises ``AssertionError`` where something does not hold."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.rng = random.Random(seed)
        self.seen: Counter[str] = Counter()
        self.acknowledged: dict[str, int] = {}  # id -> message
        self.faces = [Face(self, name) for name in ("one", "two", "three", "", "")]
        self.running: Process
        self.nursery: trio.Nursery
        self.number = 0
        self.slowest_s = 0.0
        self.rss = 0
        self.last = ""  # what the newest step was, for the message of a failure

    async def run(self, seconds: float) -> None:
        """Walks that long, then brings everything to rest and looks it through."""
        make_home(self.home, CONFIG.format(speed=600))
        deadline = trio.current_time() + seconds
        try:
            async with trio.open_nursery() as self.nursery:
                await self.engine_starts()
                while trio.current_time() < deadline:
                    await self.step()
                    await self.judge()
                await self.finish()
                self.nursery.cancel_scope.cancel()
        finally:
            await kill(self.running)

    async def engine_starts(self) -> None:
        self.running = await start(self.home, environ={"HOME": str(self.home.parent)})
        await wait_announced(self.running)
        for face in self.faces:
            self.nursery.start_soon(face.live)
        await self.healthy()

    async def step(self) -> None:
        steps = {
            self.line: 30, self.typed_command: 60, self.repeated: 8, self.id_of_another: 5, self.rude_frame: 12,
            self.rude_socket: 6, self.leaves_in_mid_reply: 5, self.reload: 3, self.stop: 1, self.end: 1,
        }  # fmt: skip
        (step,) = self.rng.choices(list(steps), weights=list(steps.values()))
        self.last = step.__name__
        self.seen[step.__name__] += 1
        self.seen["steps"] += 1
        try:
            await step()
        except GONE:
            self.seen["sent in vain"] += 1

    # --- What people do

    def face(self) -> Face:
        return self.rng.choice(self.faces)

    async def say(self, face: Face, text: str, request: str = "") -> None:
        self.last += f" {text[:80]!r}"
        if face.wire is None:
            self.nursery.start_soon(face.live)
            return
        extra = {"request": request} if request else {}
        await face.wire.say(text, **extra)

    def next_id(self, face: Face, text: str) -> str:
        if not face.name:
            return ""
        self.number += 1
        face.sent.append((f"{face.name}-{self.number}", text))
        return face.sent[-1][0]

    async def line(self) -> None:
        face = self.face()
        if self.rng.random() < 0.15 and face.wire is not None:
            await begin(face.wire)
        text = f"{self.rng.choice(LINES)} {self.number}"
        await self.say(face, text, self.next_id(face, text))

    async def typed_command(self) -> None:
        face = self.face()
        name = self.rng.choice([one.name for one in catalogue.OPTIONS if one.name not in NOT_WALKED])
        if self.rng.random() < 0.4:
            text = catalogue.EXAMPLES[name]
        else:
            text = " ".join([name, *(self.rng.choice(ARGUMENTS) for _ in range(self.rng.randrange(3)))])
        self.seen[f"command {name}"] += 1
        await self.say(face, text, self.next_id(face, text))

    async def repeated(self) -> None:
        face = self.face()
        if face.sent:
            request, text = self.rng.choice(face.sent[-20:])
            await self.say(face, text, request)

    async def id_of_another(self) -> None:
        face = self.face()
        if face.sent:
            request, _ = self.rng.choice(face.sent[-20:])
            await self.say(face, self.rng.choice([*LINES, "/undo", "/retry"]), request)

    async def leaves_in_mid_reply(self) -> None:
        face = self.face()
        await self.say(face, "I walk on and on.")
        face.scope.cancel()

    # --- What programs do

    async def rude_frame(self) -> None:
        frame = self.rng.choice(RUDE_FRAMES)
        self.last += f" {frame[:60]!r}"
        with trio.move_on_after(HEALTH_S):
            try:
                async with connected(self.running) as wire:
                    for _ in range(self.rng.choice([1, 1, 40])):
                        await wire.socket.send_message(frame)
            except* GONE:
                self.seen["shown the door"] += 1

    async def rude_socket(self) -> None:
        data = self.rng.choice(RAW_BYTES)
        self.last += f" {data[:30]!r}"
        host, port = self.running.address
        with trio.move_on_after(HEALTH_S):
            async with await trio.open_tcp_stream(host, port) as stream:
                if self.rng.random() < 0.8:
                    await stream.send_all(
                        b"GET /ws/rpc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                    )
                    await stream.receive_some(4_096)
                await stream.send_all(data)
                if self.rng.random() < 0.5:
                    await stream.send_eof()

    # --- What owners do

    async def reload(self) -> None:
        config = self.rng.choice(
            [*BROKEN_CONFIGS, *(CONFIG.format(speed=speed) for speed in (60, 600, 5_000))]
        )
        (self.home / "config.yaml").write_text(config)
        self.running.process.send_signal(signal.SIGHUP)
        await self.healthy()
        if config in BROKEN_CONFIGS:
            (self.home / "config.yaml").write_text(CONFIG.format(speed=600))
            self.running.process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        (self.home / "config.yaml").write_text(CONFIG.format(speed=600))
        self.running.process.terminate()
        with trio.move_on_after(STOP_S) as waiting:
            code = await self.running.process.wait()
        assert not waiting.cancelled_caught, f"SIGTERM was not heard for {STOP_S} s"
        assert code == 0, f"stopped with {code}"
        await self.again()

    async def end(self) -> None:
        (self.home / "config.yaml").write_text(CONFIG.format(speed=600))
        await kill(self.running)
        await self.again()

    async def again(self) -> None:
        for face in self.faces:
            face.scope.cancel()
        while any(face.alive for face in self.faces):
            await trio.testing.wait_all_tasks_blocked()
        self.stored_once()
        await self.engine_starts()

    # --- What must hold

    async def healthy(self) -> None:
        began = time.monotonic()
        with trio.move_on_after(HEALTH_S) as waiting:
            host, port = self.running.address
            async with await trio.open_tcp_stream(host, port) as stream:
                await stream.send_all(
                    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                answer = await stream.receive_some(100)
        assert not waiting.cancelled_caught, f"no answer from /healthz in {HEALTH_S} s"
        assert answer.split()[1:2] == [b"200"], answer
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    async def judge(self) -> None:
        assert self.running.process.poll() is None, f"the engine died after {self.last}"
        await self.healthy()
        self.rss = max(self.rss, self.running.rss)
        assert self.running.rss < RSS_MOST, f"{self.running.rss >> 20} MiB after {self.last}"
        assert "Traceback" not in output(self.home), self.last

    def stored_once(self) -> None:
        with closing(look_into(self.home)) as db:
            rows = stored(db)
        for request in self.acknowledged:
            assert rows[request] == 1, f"{request} is stored {rows[request]} times"
        twice = [request for request, count in rows.items() if count > 1]
        assert not twice, f"stored twice: {twice}"

    async def finish(self) -> None:
        """Lets every reply come to its end, then stops the engine and has the home checked."""
        for face in self.faces:
            if face.wire is not None:
                await self.say(face, "/cancel")
        await self.stop()
        self.running.process.terminate()
        await self.running.process.wait()
        self.stored_once()
        done = await trio.run_process(
            command(self.home, "check"), capture_stdout=True, capture_stderr=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert b"No damage found" in done.stdout, done.stdout
        assert not re.search("(?i)traceback", output(self.home))

    def figures(self) -> str:
        commands = sum(name.startswith("command ") for name in self.seen)
        rest = {name: count for name, count in self.seen.items() if not name.startswith("command ")}
        return (
            f"{commands} of {len(catalogue.OPTIONS)} commands, {len(self.acknowledged)} lines acknowledged, slowest"
            f" /healthz {self.slowest_s * 1000:.0f} ms, most memory {self.rss >> 20} MiB, {rest}"
        )


def stored(db: sqlite3.Connection) -> Counter[str]:
    """Returns how often the id of each line is stored; a waiting line has not become a message yet."""
    found: Counter[str] = Counter()
    for (request,) in db.execute("SELECT request FROM messages WHERE request IS NOT NULL"):
        found[request] += 1
    for (request,) in db.execute("SELECT request FROM waiting_lines WHERE request IS NOT NULL"):
        found[request] += 1
    return found


async def begin(wire: Wire) -> None:
    """Asks for a story without waiting for its page, which the listener takes."""
    await wire.say("/world select orrinsay")
    await wire.say("/session new")


def seed_given() -> int:
    """Returns the seed of ``FLOWER_WALK_SEED``, else a new one."""
    return int(os.environ.get("FLOWER_WALK_SEED") or random.SystemRandom().randrange(1 << 32))
