"""A network line of our own that can be slow, far, lossy, or silently dead.

Two TUN devices, one here and one in a network namespace of its own, and a task that carries the packets
between them: what netem does, also where the kernel has no netem. Needs root, ``ip`` and ``/dev/net/tun``.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path

import trio

_NETWORK = f"198.18.{os.getpid() % 256}"  # from the range that RFC 2544 keeps for tests
_NAME = f"flower-{os.getpid()}"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_PACKET_BYTES = 65_536
_QUEUE_BYTES = 64 * 1024  # a router's: what does not fit is lost


class BadLine:
    """The line; change what it does at any time. One way: ``delay_s``, then ``bytes_per_s``."""

    def __init__(self, here: int, there: int, address: str) -> None:
        self._ends = here, there
        self.address = address  # of the far end
        self._rng = random.Random(7)
        self.cut = False  # every packet vanishes, and nobody is told
        self.delay_s = 0.0
        self.loss = 0.0  # share of packets
        self.bytes_per_s = 0.0  # 0 is without limit
        self.carried = 0  # bytes

    async def carry(self) -> None:
        """Carries packets both ways until cancelled."""
        async with trio.open_nursery() as nursery:
            for start, end in (self._ends, self._ends[::-1]):
                send, receive = trio.open_memory_channel[tuple[float, bytes]](10_000)
                nursery.start_soon(self._take, start, send)
                nursery.start_soon(self._give, end, receive)

    async def _take(self, end: int, queue: trio.MemorySendChannel[tuple[float, bytes]]) -> None:
        free_at = 0.0
        while True:
            await trio.lowlevel.wait_readable(end)
            packet = os.read(end, _PACKET_BYTES)
            if self.cut or self._rng.random() < self.loss:
                continue
            now = trio.current_time()
            free_at = max(free_at, now)
            if self.bytes_per_s:
                if (free_at - now) * self.bytes_per_s > _QUEUE_BYTES:
                    continue
                free_at += len(packet) / self.bytes_per_s
            with suppress(trio.WouldBlock):
                queue.send_nowait((free_at + self.delay_s, packet))

    async def _give(self, end: int, queue: trio.MemoryReceiveChannel[tuple[float, bytes]]) -> None:
        async for due, packet in queue:
            await trio.sleep_until(due)
            if not self.cut:
                self.carried += len(packet)
                os.write(end, packet)


@cache
def why_not() -> str:
    """Returns why there can be no such line here, "" if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if shutil.which("ip") is None or not Path("/dev/net/tun").exists():
        return "needs the command ip and /dev/net/tun"
    tried = subprocess.run(["ip", "netns", "add", _NAME], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip()}"
    _ip("netns", "del", _NAME)
    try:
        os.close(_tun(f"flw{os.getpid() % 100_000}"))
    except OSError as error:
        return f"no TUN devices here: {error}"
    return ""


@asynccontextmanager
async def bad_lines(count: int) -> AsyncIterator[list[BadLine]]:
    """Lines from here to one namespace; ``inside`` starts programs there."""
    _ip("netns", "add", _NAME)
    ends: list[int] = []
    lines: list[BadLine] = []
    try:
        for number in range(count):
            here, there = (f"flw{os.getpid() % 100_000}{end}{number}" for end in "ht")
            ends += [_tun(here), _tun(there)]
            _ip("link", "set", there, "netns", _NAME)
            _ip("addr", "add", f"{_NETWORK}.{4 * number + 1}/30", "dev", here)
            _ip("link", "set", here, "up")
            lines.append(BadLine(ends[-2], ends[-1], f"{_NETWORK}.{4 * number + 2}"))
            _ip("-n", _NAME, "addr", "add", f"{lines[-1].address}/30", "dev", there)
            _ip("-n", _NAME, "link", "set", there, "up")
        _ip("-n", _NAME, "link", "set", "lo", "up")
        async with trio.open_nursery() as nursery:
            for line in lines:
                nursery.start_soon(line.carry)
            yield lines
            nursery.cancel_scope.cancel()
    finally:
        for end in ends:
            os.close(end)
        _ip("netns", "del", _NAME)


def inside(*command: str) -> list[str]:
    """Returns the command that runs ``command`` at the far end."""
    return ["ip", "netns", "exec", _NAME, *command]


def _tun(device: str) -> int:
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI))
    return end


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
