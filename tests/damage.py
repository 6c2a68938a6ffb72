"""Damage to files, as cards that wear out, cut writes and careless hands do it. Chance is the caller's."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

PAGE_BYTES = 4096  # of SQLite


def flip(path: Path, rng: random.Random) -> None:
    """Flips up to eight bits anywhere."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 8) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def truncate(path: Path, rng: random.Random) -> None:
    """Loses everything from somewhere on."""
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(max(1, len(data)))])


def empty(path: Path, rng: random.Random) -> None:
    """Leaves a file without a byte, as a power cut after its creation does."""
    path.write_bytes(b"")


def noise(path: Path, rng: random.Random) -> None:
    """Overwrites one page with noise."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(max(1, (len(data) + PAGE_BYTES - 1) // PAGE_BYTES)) * PAGE_BYTES
    data[at : at + PAGE_BYTES] = rng.randbytes(min(PAGE_BYTES, max(1, len(data) - at)))
    path.write_bytes(data)


def zeros(path: Path, rng: random.Random) -> None:
    """Turns the file's second half to zeros, as file systems do that wrote lengths before contents."""
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] + bytes(len(data) - half))


def folder(path: Path, rng: random.Random) -> None:
    """Puts a folder where the file was."""
    path.unlink()
    path.mkdir()


def newer(path: Path, rng: random.Random) -> None:
    """Makes the file one of a version that nobody knows yet: a database's number, or the first bytes."""
    data = path.read_bytes()
    if data.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version = {rng.randint(900, 999)}")
    else:
        path.write_bytes(rng.randbytes(min(8, len(data))) + data[8:])


KINDS = (flip, truncate, empty, noise, zeros, folder, newer)
