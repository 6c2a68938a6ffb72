"""``GET /export/NAME``: whoever exported gets the file, from any machine, and nobody gets another's."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import FrameType, SimpleNamespace
from urllib.parse import quote

import pytest
import trio
from quart.testing import QuartClient

from flower import limits
from flower.client import export_fetch
from flower.client.export_fetch import MOST_BYTES
from flower.engine.export import files
from flower.engine.server import file_transfer
from flower.engine.server.access import Access
from flower.engine.server.app import create_app
from flower.engine.server.lifetime import Lifetime
from flower.engine.store import users
from flower.errors import FlowerError, LaunchError
from tests.engine_world import EngineWorld, engine_world
from tests.table_world import OWNER, face_of, hear

NAME = "the ferry \N{SNOWMAN}.md"


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[EngineWorld, QuartClient, dict[str, str]]]:
    """An engine with an export of Ines's and one of the home's owner; tokens by name."""
    async with engine_world(folder / "flower.db") as world:
        tokens = {"home": "secret"}
        for name in ("ines", "ned"):
            token = users.new_token()
            number = await world.database.write(users.add, name, 1.0)
            await world.database.write(users.add_token, number, token, "laptop", 1.0)
            tokens[name] = token.text
        for place, text in (("@ines~1", "She leaves at dawn."), ("", "The owner's.")):
            (folder / "exports" / place).mkdir(parents=True, exist_ok=True)
            (folder / "exports" / place / NAME).write_text(text)
        app = create_app(world.engine, Lifetime(managed=False, linger_s=1), access=Access("secret"))
        yield world, app.test_client(), tokens


async def asked(client: QuartClient, name: str, token: str = "", **headers: str) -> tuple[int, str]:
    sent = {"Host": "localhost", **headers}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    answer = await client.get(f"/export/{name}", headers=sent)
    return answer.status_code, (await answer.get_data()).decode()


async def test_everybody_gets_what_is_theirs(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, client, tokens):
        assert await asked(client, quote(NAME), tokens["ines"]) == (200, "She leaves at dawn.")
        assert await asked(client, quote(NAME), tokens["home"]) == (200, "The owner's.")
        assert (await asked(client, quote(NAME), tokens["ned"]))[0] == 404
        assert (await asked(client, quote(NAME)))[0] == 401
        assert (await asked(client, quote(NAME), "0" * 12 + ".wrong"))[0] == 401
        assert (await asked(client, quote(NAME), tokens["ines"], Origin="http://x"))[0] == 403


@pytest.mark.parametrize("name", [
    "../flower.db", "%2e%2e%2fflower.db", "..%2f..%2fflower.db", "@ines~1%2f" + quote(NAME), "@ines~1",
    "..%2f@ines~1%2f" + quote(NAME), "%2fetc%2fpasswd", ".", "..", "%00", "x%00.md", "x" * 300, "%ff",
    "@ines~1%5c" + quote(NAME), "pipe", "folder", "",
])  # fmt: skip
async def test_no_name_leads_elsewhere(tmp_path: Path, name: str) -> None:
    async with served(tmp_path) as (_, client, tokens):
        for place in ("", "@ned~2"):
            (tmp_path / "exports" / place / "folder").mkdir(parents=True)
            os.mkfifo(tmp_path / "exports" / place / "pipe")
        for who in ("ned", "home"):
            status, text = await asked(client, name, tokens[who])
            assert status in (404, 308), text
            assert "dawn" not in text


async def test_a_long_file_comes_whole_with_its_size(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, client, tokens):
        text = "She waits. " * 100_000
        (tmp_path / "exports" / "@ines~1" / "long.md").write_text(text)
        assert await asked(client, "long.md", tokens["ines"]) == (200, text)
        sent = {"Host": "localhost", "Authorization": f"Bearer {tokens['ines']}"}
        answer = await client.get("/export/long.md", headers=sent)
        assert answer.headers["Content-Length"] == str(len(text))
        assert answer.headers["Content-Disposition"].startswith("attachment")


async def test_a_user_is_told_how_to_get_what_was_written(tmp_path: Path) -> None:
    async with served(tmp_path) as (world, client, tokens):
        face = await face_of(world, OWNER)
        for line in ("/world select harbour", "/session new"):
            await face.say(line)
        heard = await hear(face, "/export md mine")
        assert "/fetch mine.md" in heard
        assert str(tmp_path) not in heard
        status, text = await asked(client, "mine.md", tokens["ines"])
        assert (status, "The tide is out." in text) == (200, True)


def test_files_end_with_their_time_and_their_user(tmp_path: Path) -> None:
    kept = [tmp_path / "exports" / name for name in ("@ines~1/new.md", "home.md", "@old/x.md")]
    gone = [
        tmp_path / "exports" / name for name in ("@ines~1/old.md", "@guest-0a~2/x.md", "@ines~3/x.md")
    ]
    for path in (*kept, *gone):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    os.utime(gone[0], (1.0, 1.0))
    assert files.drop_old(tmp_path / "flower.db", {1}, 1000.0) == 3
    assert [path.exists() for path in (*kept, *gone)] == [True] * 3 + [False] * 3
    assert not gone[1].parent.exists()


@pytest.mark.parametrize(
    ("name", "goes_to"), [("a b.md", "a b.md"), ("../a.md", "a.md"), ("/", "export"), ("..\\.b", "b")]
)
def test_what_is_fetched_stays_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, goes_to: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export_fetch.place_of(name, "-") == Path(goes_to)
    assert export_fetch.place_of(name, str(tmp_path)) == tmp_path / goes_to
    (tmp_path / goes_to).write_text("x")
    with pytest.raises(FlowerError, match="exists"):
        export_fetch.place_of(name, "-")


ANSWER = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s"


@asynccontextmanager
async def other_engine(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """An engine on a socket that gives one answer; yields its address and what it was asked."""
    heard: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        while not heard or not heard[-1].endswith(b"\r\n\r\n"):
            piece = await stream.receive_some()
            if not piece:
                return
            heard.append((heard.pop() if heard else b"") + piece)
        await stream.send_all(answer)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws/rpc", heard
        nursery.cancel_scope.cancel()


async def test_a_file_of_another_engine_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        served(tmp_path) as (world, client, tokens),
        other_engine(ANSWER % (b"200 OK", 7, b"At sea.")) as (address, heard),
    ):
        database = world.database

        async def others() -> tuple[str, ...]:
            return ("ws://127.0.0.1:1/ws/rpc", "nowhere", address)

        monkeypatch.setattr(type(database), "shared", True)
        monkeypatch.setattr(database, "others", others)
        assert await asked(client, "far.md", tokens["ned"]) == (200, "At sea.")
        assert f"Bearer {tokens['ned']}".encode() in heard[0]
        assert file_transfer.PASSED.lower().encode() in heard[0].lower()
        assert (await asked(client, "far.md", tokens["ned"], **{file_transfer.PASSED: "1"}))[0] == 404


async def test_the_line_to_another_engine_ends_with_a_client_that_goes_before_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    @asynccontextmanager
    async def get(*_: object) -> AsyncIterator[SimpleNamespace]:
        lines.append("opened")
        try:
            yield SimpleNamespace(status=200, size=7, pieces=lambda: pytest.fail("nobody reads it"))
        finally:
            lines.append("closed")

    async def others() -> tuple[str, ...]:
        return ("ws://a:1/ws/rpc",)

    answered = trio.Event()

    async def send(event: dict[str, object]) -> None:
        assert event["type"] == "http.response.start"
        kept.append(sys._getframe(1))  # as a traceback would: nothing is collected by chance
        answered.set()
        await trio.sleep_forever()

    async def receive() -> dict[str, object]:
        if not received:
            received.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}
        await answered.wait()
        return {"type": "http.disconnect"}

    received: list[bool] = []
    kept: list[FrameType] = []
    async with served(tmp_path) as (world, client, tokens):
        monkeypatch.setattr(type(world.database), "shared", True)
        monkeypatch.setattr(world.database, "others", others)
        monkeypatch.setattr(file_transfer, "get", get)
        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {tokens['ned']}".encode())]
        scope = {
            "type": "http", "method": "GET", "scheme": "http", "path": "/export/far.md", "query_string": b"",
            "headers": headers, "http_version": "1.1", "root_path": "", "client": ("127.0.0.1", 1),
        }  # fmt: skip
        await client.app(scope, receive, send)  # type: ignore[arg-type]
        assert lines == ["opened", "closed"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ANSWER % (b"200 OK", 7, b"At sea."), ""),
        (ANSWER % (b"404 NOT FOUND", 8, b"No such."), "No such"),
        (ANSWER % (b"200 OK", 70, b"At sea."), "lost"),
        (b"", "lost"),
        (b"nonsense\r\n\r\n", "lost"),
    ],
)
async def test_a_fetched_file_is_whole_or_not_there(tmp_path: Path, answer: bytes, said: str) -> None:
    path = tmp_path / "far.md"
    async with other_engine(answer) as (address, heard):
        if said:
            with pytest.raises(FlowerError, match=said):
                await export_fetch.fetch("far ä.md", path, lambda: address, "t")
            assert list(tmp_path.iterdir()) == []
        else:
            assert await export_fetch.fetch("far ä.md", path, lambda: address, "t") == 7
            assert path.read_text() == "At sea."
        assert heard[0].startswith(b"GET /export/far%20%C3%A4.md ")


async def test_no_engine_is_one_sentence(tmp_path: Path) -> None:
    for url in ("ws://127.0.0.1:1/ws/rpc", "x"):
        with pytest.raises(LaunchError, match="no "):
            await export_fetch.fetch("a.md", tmp_path / "a.md", lambda url=url: url, None)  # type: ignore[misc]
    assert MOST_BYTES > limits.IMPORT_BYTES
