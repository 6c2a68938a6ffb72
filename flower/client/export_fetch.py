"""``flower export --fetch NAME``: a file that ``/export`` wrote on the engine's machine, brought to this one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit, urlunsplit

import trio

from flower import limits
from flower.client.address import EngineAddress
from flower.client.engine_http import PIECE_BYTES, Got, LostError, get
from flower.client.line import UntrustedError
from flower.errors import FlowerError, LaunchError, only, printable_line
from flower.file_io import write_whole
from flower.protocol import EXPORT_PATH

MOST_BYTES = 4 * 1024 * limits.MIB  # of a file that is fetched


def run(name: str, output: str, engine_url: Callable[[], str], token: str | None) -> int:
    """Writes an export to ``output``, a file or folder, "-" for its own name here; returns the exit code.

    Raises ``FlowerError`` with a sentence; nothing is ever overwritten.
    """
    path = place_of(name, output)
    try:
        size = trio.run(fetch, name, path, engine_url, token)
    except BaseExceptionGroup as group:
        raise only(group) from group
    print(f"✓ Written: {printable_line(str(path))} ({size:,} bytes)")
    return 0


def place_of(name: str, output: str) -> Path:
    """Returns where a fetched file goes. Raises ``FlowerError`` when something is there already."""
    last = name.replace("\\", "/").rpartition("/")[2].lstrip(".") or "export"
    path = Path(last) if output == "-" else Path(output).expanduser()
    path = path / last if path.is_dir() else path
    if path.exists():
        raise FlowerError(f"{path} exists; another --output keeps both")
    return path


async def fetch(name: str, path: Path, engine_url: Callable[[], str], token: str | None) -> int:
    """Writes an export to ``path`` and returns its size in bytes. Raises ``FlowerError``."""
    url = engine_url()
    try:
        place = EngineAddress.of(_at(url))
    except ValueError as error:
        raise LaunchError(f"'{url}' is no address of an engine") from error
    headers = [("Authorization", f"Bearer {token}")] if token else []
    try:
        async with get(place, f"{EXPORT_PATH}/{quote(name, safe='')}", headers) as got:
            if got.status != 200:
                raise FlowerError(await got.text() or f"the engine refuses (HTTP {got.status})")
            with tempfile.TemporaryFile() as draft:
                size = await _read(got, draft)
                draft.seek(0)
                pieces = iter(partial(draft.read, PIECE_BYTES), b"")
                await trio.to_thread.run_sync(lambda: write_whole(path, pieces, overwrite=False))
                return size
    except UntrustedError as error:
        raise LaunchError(f"{url}: {error}") from error
    except LostError as error:
        raise LaunchError(f"{url}: {error}") from error
    except OSError as error:
        raise FlowerError(f"{path} cannot be written: {error.strerror or error}") from error


async def _read(got: Got, draft: IO[bytes]) -> int:
    """Reads a body into a file that nobody else sees; returns its size. Raises ``FlowerError``, ``OSError``."""
    size = 0
    async for piece in got.pieces():
        size += len(piece)
        if size > MOST_BYTES:
            raise FlowerError(f"the file is larger than {MOST_BYTES // limits.MIB} MiB")
        draft.write(piece)
    if size < got.size:
        raise LostError("the connection was lost")
    return size


def _at(url: str) -> str:
    parts = urlsplit(url)
    return url if parts.scheme == "unix" else urlunsplit(parts._replace(path=EXPORT_PATH, query=""))
