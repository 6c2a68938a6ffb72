"""Getting a model file: whole, checked, going on where it broke off; and what fits this machine."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import h11
import pytest
import trio

from flower.engine.commands import models
from flower.engine.provider.llamacpp import fetch, gguf, sizes
from flower.engine.provider.llamacpp.files import ModelFiles
from flower.engine.sessions.fetches import Reporter
from flower.errors import CommandError, ProviderError
from tests.engine.provider.test_provider_local import GEMMA, gguf_file

MODEL = gguf_file(GEMMA) + bytes(200_000)
DIGEST = hashlib.sha256(MODEL).hexdigest()


class Server:
    """A loopback web server with one file; notes what it was asked for."""

    def __init__(
        self, data: bytes, *, breaks_after: int = 0, etag: str = '"one"', kind: str = ""
    ) -> None:
        self.data = data
        self.breaks_after = breaks_after  # bytes, the first time only
        self.etag = etag
        self.kind = kind or "application/octet-stream"
        self.ranges: list[str] = []
        self.redirect = ""

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        async with stream:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    data = await stream.receive_some(65536)
                    connection.receive_data(data)
                    if not data:
                        return
                elif isinstance(event, h11.Request):
                    await self._answer(connection, stream, dict(event.headers))
                    return
                else:
                    return

    async def _answer(
        self, connection: h11.Connection, stream: trio.SocketStream, asked: dict[bytes, bytes]
    ) -> None:
        begins = 0
        wanted = asked.get(b"range", b"").decode()
        self.ranges.append(wanted)
        if wanted and asked.get(b"if-range", b"").decode() == self.etag:
            begins = int(wanted.removeprefix("bytes=").removesuffix("-"))
        body = self.data[begins:]
        headers = [("Content-Length", str(len(body))), ("ETag", self.etag), ("Content-Type", self.kind)]
        status = 206 if begins else 200
        if self.redirect:
            status, body, headers = 302, b"", [("Location", self.redirect), ("Content-Length", "0")]
        await stream.send_all(
            connection.send(h11.Response(status_code=status, headers=headers, reason=b"OK")) or b""
        )
        cut, self.breaks_after = self.breaks_after, 0
        await stream.send_all(body[:cut] if cut else body)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await nursery.start(
            partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        yield f"http://127.0.0.1:{port}/tiny-it-Q4_K_M.gguf?download=true"
        nursery.cancel_scope.cancel()


async def get(url: str, folder: Path, sha256: str = "") -> fetch.Fetched:
    return await fetch.fetch(url, folder, lambda done, total: None, sha256=sha256, environ={})


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_file_is_there_once_it_is_whole_and_checked(tmp_path: Path) -> None:
    async with serving(Server(MODEL)) as url:
        fetched = await get(url, tmp_path, DIGEST)
        assert fetched.sha256 == DIGEST
        assert left(tmp_path) == {"tiny-it-Q4_K_M.gguf"}
        assert fetched.path.read_bytes() == MODEL
        with pytest.raises(ProviderError, match="is there already"):
            await get(url, tmp_path)


async def test_a_download_that_broke_off_goes_on(tmp_path: Path) -> None:
    server = Server(MODEL, breaks_after=70_000)
    async with serving(server) as url:
        with pytest.raises(ProviderError, match="goes on with it"):
            await get(url, tmp_path)
        assert "tiny-it-Q4_K_M.gguf" not in left(tmp_path)
        fetched = await get(url, tmp_path)
    assert fetched.sha256 == DIGEST
    assert server.ranges[0] == ""
    assert server.ranges[1].startswith("bytes=")
    assert left(tmp_path) == {"tiny-it-Q4_K_M.gguf"}


async def test_another_file_at_the_address_begins_afresh(tmp_path: Path) -> None:
    server = Server(b"x" * 100_000, breaks_after=50_000, etag='"old"')
    async with serving(server) as url:
        with pytest.raises(ProviderError, match="goes on with it"):
            await get(url, tmp_path)
        server.data, server.etag = MODEL, '"new"'
        assert (await get(url, tmp_path)).sha256 == DIGEST


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (b"<!DOCTYPE html><html>Sign in", "text/html; charset=utf-8", "a web page"),
        (b"<!DOCTYPE html><html>Sign in", "", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "", "Git LFS"),
        (b"PK\x03\x04" + bytes(100), "", "no GGUF file"),
    ],
)
async def test_what_is_no_model_is_named_and_deleted(
    tmp_path: Path, data: bytes, kind: str, says: str
) -> None:
    async with serving(Server(data, kind=kind)) as url:
        with pytest.raises(ProviderError, match=says):
            await get(url, tmp_path)
    assert left(tmp_path) == set()


async def test_a_wrong_digest_is_not_taken(tmp_path: Path) -> None:
    async with serving(Server(MODEL)) as url:
        with pytest.raises(ProviderError, match="not the one given"):
            await get(url, tmp_path, "0" * 64)
    assert left(tmp_path) == set()


async def test_a_server_that_sends_on_for_ever_or_to_a_file_is_refused(tmp_path: Path) -> None:
    server = Server(MODEL)
    async with serving(server) as url:
        server.redirect = url
        with pytest.raises(ProviderError, match="more than 5 times"):
            await get(url, tmp_path)
        server.redirect = "file:///etc/passwd"
        with pytest.raises(ProviderError, match="unsafe address"):
            await get(url, tmp_path)


async def test_a_file_of_this_machine_is_linked(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    own = tmp_path / "Mine it.gguf"
    own.write_bytes(MODEL)
    fetched = await fetch.take(own, tmp_path / "models", sha256=DIGEST)
    assert fetched.path.samefile(own)
    (tmp_path / "page.gguf").write_text("<html>")
    with pytest.raises(ProviderError, match="web page"):
        await fetch.take(tmp_path / "page.gguf", tmp_path / "models")
    with pytest.raises(ProviderError, match="cannot be used"):
        await fetch.take(tmp_path / "none.gguf", tmp_path / "models")


@pytest.mark.parametrize("source", ["https://x/y", "https://x/.gguf", "/a/b.bin", f"/{'a' * 200}.gguf"])
def test_what_names_no_file_is_refused(source: str) -> None:
    with pytest.raises(ProviderError, match="names no GGUF file"):
        fetch.file_name(source)


def test_a_name_is_never_a_path() -> None:
    assert fetch.file_name("https://x/a/..%2F..%2Fb.GGUF") == "b.gguf"


async def test_files_that_are_no_models_are_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_text("<!DOCTYPE html>")
    (tmp_path / "empty.gguf").write_bytes(b"")
    (tmp_path / "cut.gguf").write_bytes(MODEL[:40])
    (tmp_path / "good.gguf").write_bytes(MODEL)
    local = ModelFiles((tmp_path,))
    await local.scan()
    assert [info.id for info in local.listed()] == ["good"]
    told = "\n".join(local.problems)
    assert "models/page.gguf: it is a web page" in told
    assert "models/empty.gguf: it is empty" in told
    assert "models/cut.gguf: the file is cut off" in told
    assert gguf.problem_of(tmp_path / "good.gguf") == ""


# --- what fits ----------------------------------------------------------------------------------


def test_larger_machines_run_larger_models() -> None:
    fits = [len(sizes.sizes_for(int(gb * 1e9))) for gb in (0.5, 1, 2, 4, 8, 16, 64)]
    assert fits == sorted(fits)
    assert fits[0] == 0
    assert fits[-1] == len(sizes.SIZES) * len(sizes.QUANTISATIONS)


def test_advice_is_in_plain_words_with_measured_speed() -> None:
    told = sizes.advice(int(4e9), 4, ())
    assert "4.0 GB of memory and 4 processor cores" in told
    assert "8B" not in told
    measured = sizes.Measured("local/one", int(1e9), 8.0)
    told = sizes.advice(int(16e9), 4, (measured,))
    assert "Measured: local/one (1.0 GB) tells 8.0 tokens a second" in told
    assert "8B Q4_K_M    4.8 GB  a good narrator, about 1.6 tokens a second" in told
    assert "offline narrator" in sizes.advice(int(3e8), 1, ())


def test_progress_is_told_now_and_then() -> None:
    times: Iterator[float] = iter([0.0, 0.5, 3.0, 4.0, 10.0])
    said: list[str] = []
    reporter = Reporter("a.gguf", said.append, lambda: next(times))
    for done in (0, 100_000_000, 110_000_000, 500_000_000):
        reporter.report(done, 1_000_000_000)
    assert said == [
        "Fetching a.gguf: 10% of 1.0 GB, 27 s left; /models get stop ends it.",
        "Fetching a.gguf: 50% of 1.0 GB, 10 s left; /models get stop ends it.",
    ]


def test_half_a_sha256_is_said_to_be_one() -> None:
    """It is no part of the address, whose name would be blamed for it."""
    with pytest.raises(CommandError, match=r"64 digits .* not 8"):
        models._parts("https://example.org/a.gguf 0f3c0f3c")
    assert models._parts(f"~/my files/a.gguf {'0' * 64}") == ("~/my files/a.gguf", "0" * 64)
    assert models._parts("~/a 1234/b.gguf") == ("~/a 1234/b.gguf", "")
