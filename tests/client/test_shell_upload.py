"""``flower lore add``: files become lore of a world, through the engine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio_websocket
from hypothesis import given
from hypothesis import strategies as st

from flower.client import shell_upload
from flower.client.shell_upload import add_lore, parts, read_lore
from flower.client.shell_upload import connected as linked
from flower.errors import FlowerError, LaunchError, printable_line
from flower.protocol import codec, messages
from tests.engine_process import REPOSITORY, connected, engine


@given(
    st.lists(st.text(st.characters(exclude_characters="\n"), max_size=60), max_size=12),
    st.integers(5, 40),
)
def test_pieces_are_within_the_limit_and_lose_no_word(paragraphs: list[str], most: int) -> None:
    text = "\n\n".join(paragraphs)
    pieces = list(parts(text, most))
    assert all(0 < len(piece) <= most for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"\xff\xfe", "not UTF-8"), (b"  \n", "no text"), (b"a\0b", "no text"), (None, "cannot be read")],
)
def test_a_file_that_is_no_lore_is_named(tmp_path: Path, content: bytes | None, part: str) -> None:
    path = tmp_path / "lore.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FlowerError, match=part):
        read_lore(path)


async def flower(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return await trio.run_process(
        [sys.executable, "-m", "flower", *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )


async def test_files_are_found_by_the_next_search(tmp_path: Path) -> None:
    lore = tmp_path / "chandler.md"
    lore.write_text("# Wren\n\nThe chandler Wren sells green candles to drowned men.")
    async with engine(tmp_path / "home") as running:
        done = await flower("--home", str(running.home), "lore", "add", "orrinsay", str(lore))
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"1 file is lore of orrinsay" in done.stdout
        async with connected(running) as wire:
            await wire.say("/world select orrinsay")
            await wire.say("/lore search green candles chandler")
            content = ""
            with trio.fail_after(20):
                while "Wren" not in content:
                    content, _ = await wire.until("system_update")
        wrong = await flower("--home", str(running.home), "lore", "add", "nowhere", str(lore))
        assert wrong.returncode == 1
        assert b"There is no world 'nowhere'" in wrong.stderr


# --- prompts with their answers ---------------------------------------------------------------------


async def answering(nursery: trio.Nursery, *answers: messages.Event) -> str:
    """Serves an engine that greets and says ``answers`` to every prompt; returns its address."""

    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        socket = await request.accept()
        await socket.send_message(codec.encode(messages.SystemUpdate("Guten Tag.")))
        while True:
            prompt = codec.decode_prompt(await socket.get_message())
            for answer in answers:
                text = codec.encode(answer).replace("THIS", prompt.request or "")
                await socket.send_message(text)

    async def serve(request: trio_websocket.WebSocketRequest) -> None:
        with contextlib.suppress(trio_websocket.ConnectionClosed):
            await handler(request)

    server = await nursery.start(trio_websocket.serve_websocket, serve, "127.0.0.1", 0, None)
    return f"ws://127.0.0.1:{server.port}/ws/rpc"


async def test_an_answer_is_known_by_its_request_not_by_its_words(nursery: trio.Nursery) -> None:
    url = await answering(
        nursery,
        messages.SystemUpdate("\u2713 someone else's", messages.State(request="another")),
        messages.ErrorEvent("of another", messages.ErrorMeta(request="another")),
        messages.SystemUpdate("Das wei\u00df die Welt.", messages.State(request="THIS")),
    )
    async with linked(lambda: url, "test", None) as talk:
        assert (await talk.ask("/lore add x y")).content == "Das wei\u00df die Welt."
        assert (await talk.ask("/lore add x z")).content == "Das wei\u00df die Welt."


async def test_a_refusal_is_the_engines_sentence(nursery: trio.Nursery) -> None:
    url = await answering(
        nursery, messages.ErrorEvent("Es gibt sie nicht.", messages.ErrorMeta(request="THIS"))
    )
    with pytest.raises(FlowerError, match="Es gibt sie nicht"):
        async with linked(lambda: url, "test", None) as talk:
            await talk.ask("/lore add nowhere x")


async def test_silence_is_one_sentence(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_upload, "_ANSWER_S", 0.05)
    url = await answering(nursery)
    with pytest.raises(LaunchError, match="has not answered"):
        async with linked(lambda: url, "test", None) as talk:
            await talk.ask("/lore add x y")


def test_no_engine_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.client.connection.RECONNECT_EAGER_S", 0.0)
    lore = tmp_path / "lore.md"
    lore.write_text("The bell rings.")
    for url in ("ws://127.0.0.1:9/ws/rpc", f"unix:{tmp_path}/no.socket", "ftp://x"):
        with pytest.raises(LaunchError, match=r"engine[^;]*\.$|looks like"):
            add_lore("orrinsay", [str(lore)], lambda url=url: url, None)


async def test_an_engine_on_a_socket_gets_the_lore_and_no_port_the_token(tmp_path: Path) -> None:
    lore = tmp_path / "lore.md"
    lore.write_text("The chandler Wren sells green candles.")
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.yaml").write_text(f"engine:\n  socket: {tmp_path}/e.socket\n")
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "flower", "--home", str(home)]
    engine_process = await trio.lowlevel.open_process([*command, "engine"], env=environ)
    try:
        with trio.fail_after(20):
            while not (home / "run" / "engine.json").exists():
                await trio.sleep(0.05)
        done = await flower("--home", str(home), "lore", "add", "orrinsay", str(lore))
        assert (done.returncode, done.stderr) == (0, b"")
    finally:
        engine_process.terminate()
        await engine_process.wait()


def test_a_files_name_reaches_the_terminal_without_escapes() -> None:
    assert printable_line("a\x1b[31m\u202eb.md") == "a\ufffd[31m\ufffdb.md"
