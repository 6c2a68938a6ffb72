"""HAProxy of a test's own, with the configuration that the documentation gives."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
import trio
import trio.testing

from tests.engine_process import REPOSITORY

GIVEN = REPOSITORY / "docs" / "haproxy.cfg"


def program() -> str | None:
    """Returns where HAProxy is."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")


def why_not() -> str:
    """Returns why none can be started here, "" if one can."""
    return "" if program() else "HAProxy is not installed here (Debian: apt-get install haproxy)"


needed = pytest.mark.skipif(bool(why_not()), reason=why_not())


def configured(port: int, engines: Sequence[tuple[str, int]]) -> str:
    """Returns the documented configuration for engines of this machine."""
    text = GIVEN.read_text()
    servers = "\n".join(
        f"    server engine{number} {host}:{port}" for number, (host, port) in enumerate(engines)
    )
    text = re.sub(r"(?m)^    server .*\n?", "", text) + servers + "\n"
    text = text.replace("maxconn 20000", "maxconn 500")  # two files for each: a test may open few
    return text.replace("bind :8000", f"bind 127.0.0.1:{port}")


def free_port() -> int:
    """Returns a port that nobody uses at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _out(folder: Path) -> BinaryIO:
    return open(folder / "haproxy.out", "ab")


@asynccontextmanager
async def proxy(
    folder: Path, engines: Sequence[tuple[str, int]], token: str
) -> AsyncIterator[tuple[str, int]]:
    """Runs HAProxy before engines; yields where it listens."""
    port = free_port()
    file = folder / "haproxy.cfg"
    file.write_text(configured(port, engines))
    name = program()
    assert name is not None
    environ: Mapping[str, str] = {**os.environ, "FLOWER_TOKEN": token}
    with _out(folder) as out:
        process = await trio.lowlevel.open_process(
            [name, "-db", "-f", str(file)], env=environ, stdout=out, stderr=out
        )
    try:
        with trio.fail_after(10):
            while True:
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    await trio.testing.wait_all_tasks_blocked(0.05)
        yield "127.0.0.1", port
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
