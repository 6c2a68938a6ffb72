"""Whatever lies where Flower expects a file: it is read within bounds or refused at once, by one sentence."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from flower import file_io, limits
from flower.client import import_upload, shell_upload
from flower.engine.assets import loader, yaml_files
from flower.engine.importing import importer
from flower.engine.provider import endpoint
from flower.engine.provider.llamacpp import fetch, gguf
from flower.engine.recall import lore_files
from flower.engine.store.sqlite import file as store_file
from flower.errors import FlowerError
from flower.home import Home, change_setting, load_config, own_token, read_token
from flower.tui import user_files
from tests.engine_process import REPOSITORY
from tests.sources import modules, name_of, tree_of

KINDS = ("fifo", "socket", "folder", "device", "loop", "sparse")


@pytest.fixture(params=KINDS)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Something that is no ordinary file, where a file is expected."""
    path = tmp_path / "odd"
    kept: list[socket.socket] = []
    match request.param:
        case "fifo":
            os.mkfifo(path)
        case "socket":
            kept.append(socket.socket(socket.AF_UNIX))
            kept[0].bind(os.path.relpath(path))
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case _:
            with path.open("wb") as file:
                file.truncate(1 << 40)
    yield path
    for one in kept:
        one.close()


def placed(odd: Path, place: Path) -> Path:
    """Puts the odd thing where it is looked for."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(odd)
    return place


def test_it_is_opened_at_once_or_refused(odd: Path) -> None:
    """Nothing but a regular file is opened, and of that no more is read than was asked for."""
    try:
        assert file_io.read(odd, 10) == bytes(10)
        assert odd.stat().st_size == 1 << 40
    except OSError as error:
        assert error.strerror  # noqa: PT017 -- some of them are files


def test_settings_and_token(odd: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    placed(odd, home.config)
    placed(odd, home.root / "token")
    home.run.mkdir()
    assert own_token(home, {}) is None
    for call in (
        lambda: load_config(home, {}),
        lambda: change_setting(home, "theme", "dark", {}),
        lambda: read_token(home),
        lambda: endpoint.key_from_file(str(odd), tmp_path),
    ):
        try:
            told = call()  # type: ignore[no-untyped-call]
            assert not told or not told.strip("\0"), "a key of NULs is refused before it is sent"
        except FlowerError as error:
            assert str(home.root) in str(error) or str(odd) in str(error)  # noqa: PT017 -- some are files


def test_assets(odd: Path, tmp_path: Path) -> None:
    place = placed(odd, tmp_path / "assets" / "characters" / "odd.yaml")
    with pytest.raises(FlowerError):
        loader._document(place)
    if odd.is_file():
        return  # 32 MiB of nothing take the scanner seconds, and no more than that
    assert yaml_files.find(tmp_path / "assets", "odd") is None


def test_themes_and_scratch_files(odd: Path, tmp_path: Path) -> None:
    placed(odd, tmp_path / "themes" / "odd.yaml")
    own, problems = user_files._own_themes(tmp_path / "themes")
    assert own == {}
    assert len(problems) == 1
    try:
        assert len(user_files._read(odd).text) == limits.PASTE_BYTES
    except OSError as error:
        assert error.strerror  # noqa: PT017 -- some of them are files


async def test_what_is_imported_or_followed(odd: Path) -> None:
    with pytest.raises(FlowerError):
        importer._content(odd)
    with pytest.raises(FlowerError):
        shell_upload.read_lore(odd)
    text, wrong = lore_files.read_text(odd)
    assert (text, bool(wrong)) == ("", True)
    with trio.fail_after(5):
        answer = await import_upload.send_one(odd, lambda: "ws://127.0.0.1:1/ws", None)
    assert answer.error


async def test_models(odd: Path, tmp_path: Path) -> None:
    try:
        assert gguf.problem_of(odd)
    except OSError as error:
        assert error.strerror  # noqa: PT017 -- some of them are files
    with trio.fail_after(5), pytest.raises(FlowerError):
        await fetch.take(odd.rename(tmp_path / "odd.gguf"), tmp_path / "models")


def test_backups(odd: Path) -> None:
    with pytest.raises(FlowerError):
        store_file.check_usable(odd)
    assert not store_file.is_copy(odd)


@pytest.mark.parametrize(
    "arguments",
    [("restore",), ("lore", "add", "w"), ("import",), ("check",), ("export",), ("--version",)],
)
@pytest.mark.parametrize("where", ["config.yaml", "flower.db", "argument"])
def test_every_command_ends_with_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], where: str
) -> None:
    """A pipe that nobody writes into costs no command its end."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if where != "config.yaml":
        (home / "config.yaml").write_text("engine: {port: 0, linger_s: 1}\n")  # what starts, ends
        (home / "config.yaml").chmod(0o600)
    pipe = home / where if where != "argument" else tmp_path / "pipe"
    os.mkfifo(pipe)
    named = (str(pipe),) if arguments[0] in ("restore", "lore", "import") else ()
    done = subprocess.run(
        [sys.executable, "-m", "flower", "--home", str(home), *arguments, *named],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 6


# Files of Flower's own, which it makes itself or which come with it; of the system, or of the installer.
OWN = {
    "installation.py", "home.py", "machine.py", "file_io.py", "shell/processes.py",
    "engine/admin/doctor.py", "engine/export/library_archive.py",
    "engine/provider/llamacpp/files.py",
    "engine/provider/llamacpp/process.py", "engine/recall/embedding_models.py",
    "engine/recall/lore_files.py", "engine/recall/hnsw.py",
    "engine/recall/native_check.py", "engine/server/health.py", "engine/server/door.py", "tui/boot.py",
}  # fmt: skip
READS = {"read_text", "read_bytes"}


def test_no_other_module_opens_a_file_itself() -> None:
    """A new reader of somebody's files takes ``file_io``; the list above only ever gets shorter."""
    found = set()
    for path in modules():
        name = name_of(path)
        if not name.startswith("installer/") and any(map(_opens, ast.walk(tree_of(path)))):
            found.add(name)
    assert found == OWN


def _opens(node: ast.AST) -> bool:
    """Whether a call reads a file by its path, but for one that ``file_io`` opens."""
    if not isinstance(node, ast.Call) or any(one.arg == "opener" for one in node.keywords):
        return False
    match node.func:
        case ast.Name("open"):
            return True
        case ast.Attribute(value, "open"):
            mode = node.args[0] if node.args else None
            text = isinstance(mode, ast.Constant) and str(mode.value)[:1] in ("r", "w", "a")
            return text or ast.unparse(value) == "table"
        case ast.Attribute(ast.Name("file_io"), _):
            return False
        case ast.Attribute(_, name):
            return name in READS
    return False
