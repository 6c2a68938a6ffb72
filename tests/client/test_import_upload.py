"""Files travel from the machine of a person to the engine, and nobody else's do."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from flower import limits
from flower.client import import_upload, shell_upload
from flower.client.import_upload import Answer, Sent, UploadSummary, Wishes, files_in, send_one
from flower.errors import FlowerError, LaunchError
from tests import import_files
from tests.engine_process import Process, connected, engine

HOUR = "narrator:\n  seed: 7\n"


async def upload(running: Process, path: Path, token: str | None = None, me: str = "") -> Answer:
    return await send_one(path, lambda: running.url, token, Wishes(me))


async def test_a_card_on_a_laptop_reaches_the_engine(tmp_path: Path) -> None:
    """It is in the list of characters of whoever watches, and can be chosen."""
    card = import_files.write(tmp_path / "ada lovelace's.json", import_files.card("Ada Ünlü"))
    async with engine(tmp_path / "home") as running, connected(running) as wire:
        await wire.until("sync_state")
        answer = await upload(running, card)
        assert (answer.state, answer.items) == ("new", ("character Ada Ünlü (ada-unlu)",))
        while True:
            _, state = await wire.until("system_update")
            if "available_characters" in state:
                break
        assert "ada-unlu" in [one["id"] for one in state["available_characters"]]
        assert (await upload(running, card)).state == "already here"
        assert not list((tmp_path / "home" / "run").glob("upload-*"))


async def test_a_broken_file_is_one_sentence(tmp_path: Path) -> None:
    """And the speakers are named where the player must be."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 10)
    cai = import_files.write(tmp_path / "cai.jsonl", [{"name": "A", "is_name": True, "mes": "Hi."}])
    cai.write_text(
        '{"name": "A", "is_name": true, "mes": "Hi."}\n{"name": "B", "is_name": true, "mes": "Yo."}'
    )
    async with engine(tmp_path / "home") as running:
        answer = await upload(running, broken)
        assert answer.error
        assert "\n" not in answer.error
        asked = await upload(running, cai)
        assert asked.speakers == ("A", "B")
        assert (await upload(running, cai, me="B")).state == "new"


async def test_strangers_bring_nothing(tmp_path: Path) -> None:
    """The rules are those of the WebSocket: the token counts, and pages of browsers are refused."""
    card = import_files.write(tmp_path / "ada.json", import_files.card())
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text("engine:\n  token: abcdefghijklmnopqrstuvwxyz123456\n")
    (home / "config.yaml").chmod(0o600)
    async with engine(home) as running:
        with pytest.raises(LaunchError, match="token"):
            await upload(running, card)
        assert (await upload(running, card, "abcdefghijklmnopqrstuvwxyz123456")).state == "new"


async def test_a_page_of_a_browser_is_refused(tmp_path: Path) -> None:
    """Only browsers send an Origin."""
    async with engine(tmp_path / "home") as running:
        host, port = running.address
        async with await trio.open_tcp_stream(host, port) as stream:
            head = f"POST /import HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://evil\r\n"
            request = f"{head}Content-Length: 2\r\n\r\n{{}}"
            await stream.send_all(request.encode())
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize("declared", [True, False])
async def test_a_file_has_a_bound(tmp_path: Path, declared: bool) -> None:
    """What says that it is too long is refused at once, and what only is, while it comes."""
    async with engine(tmp_path / "home") as running:
        host, port = running.address
        async with await trio.open_tcp_stream(host, port) as stream:
            size = limits.IMPORT_BYTES + 1
            length = f"Content-Length: {size}" if declared else "Transfer-Encoding: chunked"
            await stream.send_all(f"POST /import HTTP/1.1\r\nHost: {host}\r\n{length}\r\n\r\n".encode())
            if not declared:
                piece = b"%x\r\n" % limits.MIB + bytes(limits.MIB) + b"\r\n"
                try:
                    for _ in range(limits.IMPORT_BYTES // limits.MIB + 1):
                        await stream.send_all(piece)
                except trio.BrokenResourceError:
                    pass  # it has heard enough; its answer may be gone with the connection
                else:
                    assert (await stream.receive_some()).startswith(b"HTTP/1.1 413")
            else:
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 413")
        assert not list((tmp_path / "home" / "run").glob("upload-*"))


def test_a_folder_is_walked_without_what_is_none_of_a_library(tmp_path: Path) -> None:
    """Keys are never read, nor pictures of backgrounds."""
    for name in (
        "characters/Ada.png",
        "secrets.json",
        "backgrounds/bed.png",
        "chats/Ada/x.jsonl",
        "a.log",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    found = [path.relative_to(tmp_path).as_posix() for path in files_in([tmp_path])]
    assert found == ["characters/Ada.png", "chats/Ada/x.jsonl"]
    assert files_in([tmp_path / "secrets.json", tmp_path / "secrets.json"]) == [
        tmp_path / "secrets.json"
    ]
    with pytest.raises(FlowerError, match="no file or folder"):
        files_in([tmp_path / "nothing"])


def test_a_command_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole disk is no library."""
    monkeypatch.setattr(import_upload, "FILES_MOST", 1)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(FlowerError, match="in parts"):
        files_in([tmp_path])


def test_the_summary_counts_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    """A name from the disk cannot move the cursor."""
    summary = UploadSummary()
    summary.add(Sent(Path("a.png"), Answer("character card V2", "new", notices=("It sings.",)), 1, 2))
    summary.add(Sent(Path("b\x1b[2J.png"), Answer(error="the file is empty"), 2, 2))
    shell_upload._print_summary(summary)
    told = capsys.readouterr()
    assert summary.sentence == "Imported: 1 new, 1 not imported."
    assert "character card V2     1" in told.out
    assert "a.png: It sings." in told.out
    assert "\x1b" not in told.err
