"""Many clients on one engine: how late each word arrives, what each client costs.

    python -m tests.bench.faces [--clients 100] [--seconds 20] [--stalled 0] [--watch-one]

Every client plays a story of its own at 20 words a second (``--watch-one``: all watch the same one).
A word is the time at which the narrator said it, so its age when a client has it is the relay's lag.
The baseline of the same run is one client alone. The last columns but two are the memory that stays
after the clients have left, 5 and 60 s later.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import trio
import trio.testing

from tests.engine_process import Process, connected, engine, make_home

GAP_S = 0.05
KIB = 1024
LEFT_AFTER_S = (5, 55)  # after the clients have gone, their memory is looked for, twice
LONGEST_LINE = "lamp " * 300  # one batch of the embedding model at its largest


class Ears:
    """What all clients together have heard."""

    def __init__(self) -> None:
        self.lag_ms: list[float] = []
        self.first_ms: list[float] = []
        self.ended = 0
        self.words = 0

    def hear(self, content: str) -> None:
        now = time.monotonic_ns()
        for word in content.split():
            self.lag_ms.append((now - int(word)) / 1e6)
            self.words += 1


class Ear:
    """A client that costs next to nothing: on small machines it shares the cores with the engine."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._frames: deque[bytes] = deque()

    @classmethod
    async def connect(cls, running: Process, name: str, token: str = "") -> Ear:
        ear = cls(await trio.open_tcp_stream(*running.address))
        await ear._stream.send_all(upgrade(name, token))
        while b"\r\n\r\n" not in ear._buffer:
            ear._buffer += await ear._stream.receive_some()
        del ear._buffer[: ear._buffer.index(b"\r\n\r\n") + 4]
        return ear

    async def say(self, prompt: str) -> None:
        data = json.dumps({"prompt": prompt}).encode()
        assert len(data) < 126
        await self._stream.send_all(bytes([0x81, 0x80 | len(data)]) + b"\0\0\0\0" + data)

    async def until(self, wanted: bytes) -> bytes:
        """Returns the next frame in which ``wanted`` occurs."""
        while True:
            frame = await self.receive()
            if wanted in frame:
                return frame

    async def receive(self) -> bytes:
        while not self._frames:
            data = await self._stream.receive_some(65_536)
            if not data:
                raise trio.BrokenResourceError("the engine has closed the connection")
            self._buffer += data
            await self._split()
        return self._frames.popleft()

    async def _split(self) -> None:
        view, at = self._buffer, 0
        while len(view) - at >= 2:
            size, start = view[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(view[start : start + 2], "big"), start + 2
            elif size == 127:
                size, start = int.from_bytes(view[start : start + 8], "big"), start + 8
            if len(view) < start + size:
                break
            if view[at] & 15 == 9:  # a ping
                await self._stream.send_all(b"\x8a\x80\0\0\0\0")
            elif view[at] & 15 == 1:
                self._frames.append(bytes(view[start : start + size]))
            at = start + size
        del view[:at]

    async def aclose(self) -> None:
        await self._stream.aclose()


def upgrade(name: str, token: str = "") -> bytes:
    access = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"GET /ws/rpc?client={name} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Version: 13\r\n{access}\r\n"
    ).encode()


async def play(running: Process, name: str, ears: Ears, story: str, ready: trio.Event) -> None:
    """One client: makes or joins a story, waits for the start, listens to one reply."""
    ear = await Ear.connect(running, name)
    await ear.say("/world select orrinsay")
    await ear.say(f"/session continue {story}" if story else "/session new")
    await ear.until("✓ Story".encode() if story else "✓ A new story".encode())
    await ear.until(b"chat_history")
    await ready.wait()
    said = time.monotonic_ns()
    if not story:
        await ear.say(line_of(name))
    await listen(ear, ears, said)
    await ear.aclose()


def line_of(name: str) -> str:
    """Returns a line that nobody else says, of 4 to 15 words: equal lines would be embedded once."""
    words = ["and then to the quay", "past the old boats", "with my lamp"][: sum(name.encode()) % 4]
    return f"I walk with {name} {' '.join(words)}."


async def listen(ear: Ear, ears: Ears, said: int) -> None:
    first = True
    while True:
        frame = await ear.receive()
        if b'"chat_chunk"' in frame[:30]:
            content = json.loads(frame)["payload"]["content"]
            if first:
                ears.first_ms.append((int(content.split()[0]) - said) / 1e6)
                first = False
            ears.hear(content)
        elif b'"chat_end"' in frame[:30]:
            ears.ended += 1
            return


async def stall(running: Process, name: str) -> None:
    """A client that stops reading at once."""
    stream = await trio.open_tcp_stream(*running.address)
    stream.setsockopt(1, 8, 4096)  # SOL_SOCKET, SO_RCVBUF
    await stream.send_all(upgrade(name))
    await trio.sleep_forever()


async def crowd(running: Process, clients: int, stalled: int, seconds: float, *, one: bool) -> Ears:
    ears = Ears()
    ready = trio.Event()
    async with trio.open_nursery() as background:
        for number in range(stalled):
            background.start_soon(stall, running, f"stalled{number}")
        async with trio.open_nursery() as nursery:
            if one:
                host = await Ear.connect(running, "host")
                await host.say("/world select orrinsay")
                await host.say("/session new")
                await host.until("✓ A new story".encode())
                history = json.loads(await host.until(b"chat_history"))["payload"]["metadata"]
                for number in range(clients):
                    nursery.start_soon(play, running, f"c{number}", ears, history["session"], ready)
                await trio.sleep(1 + clients / 50)
                ready.set()
                await host.say("Go.")
                await listen(host, ears, time.monotonic_ns())
                await host.aclose()
            else:
                for number in range(clients):
                    nursery.start_soon(play, running, f"c{number}", ears, "", ready)
                await trio.sleep(1 + clients / 40)
                ready.set()
        background.cancel_scope.cancel()
    return ears


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def warm(running: Process) -> None:
    """Two exchanges, so that the embedding model has all the memory it ever takes and is not measured."""
    async with connected(running, "/ws/rpc?client=first") as wire:
        await wire.say("/world select orrinsay")
        await wire.say("/session new")
        await wire.until("chat_history")
        for line in ("I look around.", LONGEST_LINE):
            await wire.say(line)
            await wire.until("chat_chunk")
            await wire.say("/cancel")
            await wire.until("chat_end")
        await trio.sleep(2)


async def measure(
    label: str, clients: int, stalled: int, seconds: float, *, one: bool = False
) -> tuple[Ears, str]:
    words = int(seconds / GAP_S)
    environ = {"FLOWER_BENCH_WORDS": str(words), "FLOWER_BENCH_GAP_S": str(GAP_S)}
    program = [sys.executable, "-m", "tests.bench.stamped_engine"]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        make_home(home)
        async with engine(home, environ=environ, program=program) as running:
            await warm(running)
            before = running.rss
            peak = before

            async def watch_memory() -> None:
                nonlocal peak
                while True:
                    peak = max(peak, running.rss)
                    await trio.sleep(0.2)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_memory)
                ears = await crowd(running, clients, stalled, seconds, one=one)
                nursery.cancel_scope.cancel()
            ticks = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
            cpu = (int(ticks[11]) + int(ticks[12])) / 100
            left = []
            for seconds_more in LEFT_AFTER_S:
                await trio.sleep(seconds_more)
                left.append((running.rss - before) / KIB)
    expected = (clients + one) * words
    row = (
        f"{label:<26} {clients:>7} {percentile(ears.lag_ms, 0.5):>7.1f} {percentile(ears.lag_ms, 0.99):>7.1f}"
        f" {max(ears.lag_ms):>7.1f} {statistics.median(ears.first_ms):>9.0f} {max(ears.first_ms):>9.0f}"
        f" {(peak - before) / KIB / max(clients, 1):>9.0f} {left[0]:>9.0f} {left[1]:>8.0f} {cpu:>6.1f}"
        f" {expected - ears.words:>5}"
    )
    return ears, row


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, nargs="*", default=[100, 200])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--stalled", type=int, default=2)
    arguments = parser.parse_args()
    print("lag from narrator to client in ms; memory in KiB; 20 words a second for each client")
    print(
        f"{'':<26} {'clients':>7} {'p50':>7} {'p99':>7} {'worst':>7} {'first p50':>9} {'first max':>9}"
        f" {'peak/cl.':>9} {'after 5 s':>9} {'60 s':>8} {'cpu s':>6} {'lost':>5}"
    )
    print((await measure("one alone (baseline)", 1, 0, arguments.seconds))[1], flush=True)
    for clients in arguments.clients:
        print((await measure("a story each", clients, 0, arguments.seconds))[1], flush=True)
    few = 4
    calm, row = await measure("a story each", few, 0, arguments.seconds)
    print(row, flush=True)
    beside, row = await measure(
        f"... {arguments.stalled} stalled beside", few, arguments.stalled, arguments.seconds
    )
    print(row, flush=True)
    print((await measure("all watch one story", 100, 0, arguments.seconds, one=True))[1], flush=True)
    more = percentile(beside.lag_ms, 0.99) - percentile(calm.lag_ms, 0.99)
    print(f"stalled clients raise the others' p99 by {more:.1f} ms")


if __name__ == "__main__":
    trio.run(main)
