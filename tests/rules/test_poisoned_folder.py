"""A folder full of Python files is a folder of somebody's files: none of them is ever run.

People start Flower wherever they stand, in a cloned "world pack" too. Each entry point is started there with
modules named like everything that Flower and its libraries import; each would leave a mark.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flower.engine.provider.llamacpp import process
from flower.installation import own_python
from tests.engine_process import REPOSITORY, engine, make_home

NAMES = (
    "blessed", "click", "curses", "encodings", "flower", "hnswlib", "httpx", "hypercorn", "jinja2",
    "json", "logging", "msgspec", "numpy", "onnxruntime", "platformdirs", "psycopg", "quart",
    "quart_trio", "regex", "signal", "sitecustomize", "socket", "sqlite3", "ssl", "tokenizers", "trio",
    "trio_websocket", "typing", "usercustomize", "watchfiles", "wcwidth", "xllamacpp", "yaml",
)  # fmt: skip
PYTHON_PATHS = (None, "", ".", "relative/folder", ":/nowhere")


@pytest.fixture
def poisoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: every module in it writes a file ``ran-NAME`` when it is imported."""
    folder = tmp_path / "pack"
    (folder / "relative/folder").mkdir(parents=True)
    for name in NAMES:
        code = f"open({str(tmp_path / f'ran-{name}')!r}, 'w').close()\nraise ImportError('poison')\n"
        (folder / f"{name}.py").write_text(code)
        (folder / "relative/folder" / f"{name}.py").write_text(code)
    monkeypatch.chdir(folder)
    return folder


def marks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.glob("ran-*"))


def test_the_poison_works(poisoned: Path) -> None:
    """Python itself would take the folder's modules; else the tests below would see nothing."""
    subprocess.run([sys.executable, "-c", "import yaml"], capture_output=True, check=False)
    assert marks(poisoned) == ["ran-yaml"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("--help",),
        ("doctor",),
        ("check",),
        ("backup",),
        ("export",),
        ("token",),
        ("import", "."),
        ("export", "--library", "library.zip"),
        ("lore", "add", "orrinsay", "json.py"),
        ("migrate", "--to", "postgresql:///nowhere?host=/nowhere"),
        ("models",),
        ("say", "Hello."),
        ("service", "status"),
        ("status",),
        ("stop",),
    ],
)
def test_no_command_runs_them(poisoned: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    make_home(
        tmp_path / "home", "engine: {port: 0, linger_s: 1}\n"
    )  # what a command starts ends by itself
    done = subprocess.run(
        [sys.executable, "-P", "-m", "flower", "--home", str(tmp_path / "home"), *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=40,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert marks(poisoned) == []


@pytest.mark.parametrize("path", PYTHON_PATHS)
def test_no_child_of_an_engine_runs_them(
    poisoned: Path, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    """The tries of native modules and the llama.cpp child, whatever PYTHONPATH says."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", path)
    command, environ = own_python("-c", "import numpy, onnxruntime, json, yaml, flower.cli")
    subprocess.run(command, env=environ, capture_output=True, check=True)
    command, environ = own_python("-m", "flower.engine.provider.llamacpp.child")
    assert tuple(command) == process.COMMAND
    subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert marks(poisoned) == []


async def test_no_engine_that_starts_there_runs_them(poisoned: Path, tmp_path: Path) -> None:
    """Through its first use of the embedding model, which is tried in a child."""
    own = [*own_python()[0], "-m", "flower"]
    async with engine(tmp_path / "home", program=own) as running:
        assert running.url
    assert marks(poisoned) == []
