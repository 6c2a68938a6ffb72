"""Connections that nobody should make: sequences of HTTP pieces, broken upgrades, mutated frames."""

from __future__ import annotations

import random
import socket
import struct
import zlib
from collections.abc import Callable

import trio

UPGRADE = (
    b"GET /ws/rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PIECES = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /ws/rpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /ws/rpc HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"\x00\x00\x00\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /" + b"a" * 20_000,
    UPGRADE,
    UPGRADE.replace(b"127.0.0.1", b"evil.example"),
    UPGRADE.replace(b"Version: 13", b"Version: 8"),
    UPGRADE.replace(b"\r\n\r\n", b"\r\nOrigin: http://evil.example\r\n\r\n"),
    UPGRADE.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer x\r\nContent-Length: 5\r\n\r\nhello"),
    UPGRADE.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
)  # fmt: skip


def frame(data: bytes, opcode: int = 1, *, last: bool = True, reserved: int = 0) -> bytes:
    """Returns one masked frame."""
    head = bytes([(0x80 if last else 0) | reserved << 4 | opcode])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 1 << 16:
        head += b"\xfe" + struct.pack("!H", len(data))
    else:
        head += b"\xff" + struct.pack("!Q", len(data))
    return head + b"\0\0\0\0" + data


BOMB = zlib.compressobj(9, wbits=-15)
DEFLATED = BOMB.compress(b"\0" * 4_000_000) + BOMB.flush(zlib.Z_SYNC_FLUSH)
FRAMES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda rng: frame(rng.randbytes(rng.randrange(200))),
    lambda rng: frame(b'{"prompt": "/help"}'),
    lambda rng: frame(b"{" * rng.randrange(50_000)),
    lambda rng: frame(b"[" * 100_000),
    lambda rng: frame(b'{"prompt": ' + b"9" * 5000 + b"}"),
    lambda rng: frame(b'{"prompt": "\xff\xfe"}'),
    lambda rng: frame(b'{"prompt": "\\ud800"}'),
    lambda rng: frame(b"", opcode=rng.randrange(16), last=rng.random() < 0.5),
    lambda rng: frame(rng.randbytes(rng.randrange(300)), opcode=rng.randrange(16), reserved=rng.randrange(8)),
    lambda rng: frame(DEFLATED[:60_000], reserved=4),
    lambda rng: frame(b"", last=False) + frame(b"", 0, last=False) * rng.randrange(3000),
    lambda rng: frame(b"x" * 10_000, last=False) + frame(b"x" * 10_000, 0, last=False) * 30,
    lambda rng: b"\x81\xff" + struct.pack("!Q", rng.choice([1 << 62, 1 << 63, 1 << 33])) + b"\0\0\0\0abc",
    lambda rng: b"\x81\x05hello",  # not masked
    lambda rng: frame(b"", 9) * rng.randrange(500),
    lambda rng: frame(struct.pack("!H", rng.randrange(6000)) + b"bye", 8),
)  # fmt: skip


def attack(rng: random.Random) -> bytes:
    """Returns what one hostile client sends."""
    kind = rng.random()
    if kind < 0.4:
        data = b"".join(rng.choices(PIECES, k=rng.randint(1, 4)))
    elif kind < 0.5:
        data = UPGRADE + rng.randbytes(rng.randrange(300))
    else:
        data = UPGRADE + b"".join(rng.choice(FRAMES)(rng) for _ in range(rng.randint(1, 4)))
    if rng.random() < 0.3:
        data = mutated(data, rng)
    return data


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Returns ``data`` with some bytes changed, cut out or doubled."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(3):
            case 0 if at < len(changed):
                changed[at] = rng.randrange(256)
            case 1:
                del changed[at : at + rng.randrange(20)]
            case _:
                changed[at:at] = changed[at : at + rng.randrange(20)]
    return bytes(changed)


async def strike(address: tuple[str, int], data: bytes, rng: random.Random) -> None:
    """Makes one connection, sends ``data`` in some pieces, and leaves in some way."""
    try:
        stream = await trio.open_tcp_stream(*address)
    except OSError:
        return
    async with stream:
        try:
            with trio.move_on_after(2):
                cut = rng.randrange(len(data) + 1) if rng.random() < 0.3 else 0
                for part in filter(None, (data[:cut], data[cut:])):
                    await stream.send_all(part)
                if rng.random() < 0.5:
                    with trio.move_on_after(0.02):
                        await stream.receive_some(4096)
                if rng.random() < 0.3:
                    await stream.send_eof()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            return  # it threw us out, as it should
        if rng.random() < 0.3:  # leave with a reset
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def storm(address: tuple[str, int], count: int, seed: int, at_once: int = 24) -> None:
    """Makes ``count`` hostile connections."""
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        for number in numbers:
            rng = random.Random(seed * 1_000_003 + number)
            await strike(address, attack(rng), rng)

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(one_after_the_other)
