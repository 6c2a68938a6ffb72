"""The shape of the code: what is pure imports nothing that acts, and the two processes stay apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import flower

PACKAGE = Path(flower.__file__).parent

# Everything that touches the outside or differs from run to run. Pure code gets these as arguments.
ACTING = {
    "asyncio", "blessed", "curses", "fcntl", "glob", "hnswlib", "httpx", "hypercorn", "importlib", "io",
    "logging", "onnxruntime", "os", "pathlib", "platformdirs", "quart", "quart_trio", "random", "secrets",
    "select", "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "termios",
    "threading", "time", "tokenizers", "trio", "trio_websocket", "tty", "urllib.request", "watchfiles",
}  # fmt: skip
# These begin with one of the names above but only compute.
HARMLESS = {"os.path"}

PURE = [
    "engine/interchange/*.py",
    "errors.py", "limits.py", "protocol/*.py", "settings/*.py", "client/events.py",
    "engine/sanitize.py", "engine/admin/export.py",
    "engine/commands/catalogue.py", "engine/game/*.py",
    "engine/prompt/assemble.py", "engine/prompt/sections.py", "engine/prompt/tokens.py",
    "engine/prompt/macros.py", "engine/prompt/macro_values.py",
    "engine/provider/base.py", "engine/provider/framing.py", "engine/provider/quote.py",
    "engine/recall/chunking.py", "engine/recall/ranking.py", "engine/recall/query.py",
    "engine/sessions/session.py", "engine/sessions/outbox.py", "engine/sessions/turn_outcome.py",
    "engine/sessions/metrics.py", "engine/store/outline_fold.py",
    "tui/render/*.py", "tui/state/*.py", "tui/view/*.py",
    "tui/term/diff.py", "tui/term/keys.py", "tui/term/key_names.py", "tui/term/sequences.py",
]  # fmt: skip
# A mailbox waits for its reader, so it may know trio; nothing else.
# An archive is read by zipfile, which wants its bytes as a file: a file in memory.
MAY = {"engine/sessions/outbox.py": {"trio"}, "engine/interchange/archive.py": {"io"}}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Yields every module a file imports, inside functions too, as absolute dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: relative imports hide the layers"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def pure_modules() -> list[Path]:
    return [path for pattern in PURE for path in sorted(PACKAGE.glob(pattern))]


@pytest.mark.parametrize("pattern", PURE)
def test_the_pure_modules_exist(pattern: str) -> None:
    """A renamed module must not drop out of the check below."""
    assert list(PACKAGE.glob(pattern)), f"no module flower/{pattern}; change the list or the module"


@pytest.mark.parametrize("path", pure_modules(), ids=name_of)
def test_pure_modules_import_nothing_that_acts(path: Path) -> None:
    acting = ACTING - MAY.get(name_of(path), set())
    found = {
        name
        for name in imports(path)
        if name not in HARMLESS and any(name == bad or name.startswith(f"{bad}.") for bad in acting)
    }
    assert not found


def test_the_two_processes_do_not_import_each_other() -> None:
    """Their only common ground is protocol, config and the like in ``flower/`` itself."""
    for path in modules():
        for part, other in (("tui/", "flower.engine"), ("engine/", "flower.tui")):
            if name_of(path).startswith(part):
                crossing = [
                    name for name in imports(path) if name == other or name.startswith(f"{other}.")
                ]
                assert not crossing, name_of(path)


def test_the_common_ground_knows_neither_process() -> None:
    """Only the command line does, where it starts one of them."""
    for path in PACKAGE.glob("*.py"):
        if path.name not in ("cli.py", "cli_commands.py"):
            crossing = [
                name for name in imports(path) if name.startswith(("flower.engine", "flower.tui"))
            ]
            assert not crossing, path.name


def test_every_module_says_what_it_is() -> None:
    for path in modules():
        source = path.read_text()
        assert not source or ast.get_docstring(ast.parse(source)), name_of(path)
