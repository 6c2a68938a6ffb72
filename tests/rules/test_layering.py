"""The shape of the code: what is pure imports nothing that acts, and the two processes stay apart."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.sources import PACKAGE, modules, name_of, text_of, tree_of

# Everything that touches the outside or differs from run to run. Pure code gets these as arguments.
ACTING = {
    "asyncio", "blessed", "curses", "fcntl", "glob", "hnswlib", "httpx", "hypercorn", "importlib", "io",
    "logging", "onnxruntime", "os", "pathlib", "platformdirs", "quart", "quart_trio", "random", "secrets",
    "select", "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "termios",
    "threading", "time", "tokenizers", "trio", "trio_websocket", "tty", "urllib.request", "watchfiles",
}  # fmt: skip
# These begin with one of the names above but only compute.
HARMLESS = {"os.path"}

# Who may import whom: a line may import what stands on lines below it, never the other way round, and
# names on one line know nothing of each other. A name stands for a module and all that is in it, the
# longest one counts. Imports that only type checkers see count like any other.
ORDER = """
    __main__                     installer
    cli
    shell
    engine.main                  tui.boot
    engine.reconfigure           tui.app
    engine.server                tui.plain
    engine.admin                 tui.user_files     tui.drawing
    engine.commands              tui.view           tui.reading        tui.speech
    engine.sessions              tui.state
    engine.prompt                tui.term
    engine.export                engine.importing   engine.forms       tui.render
    engine.provider.registry
    engine.interchange           engine.offline
    engine.recall                engine.provider
    engine.store.transfer
    engine.store.sqlite          engine.store.postgres
    engine.store
    engine.scripts
    engine.lorebook
    engine.assets
    engine.game
    engine.logs                  engine.tasks       engine.token_counter
    engine.folder_events
    client                       service
    protocol.codec               protocol.tree_text
    launch
    home
    settings
    protocol.messages
    privacy                      installation
    limits                       errors             machine          file_io
    text
    engine                       tui                protocol           .
"""
LAYER = {name: floor for floor, line in enumerate(ORDER.strip().splitlines()) for name in line.split()}
# (who, whom): arrows against the order that are known and on their way out.
EXCEPTIONS = {
    (".", "installation"),  # as early as can be: an update may replace files under a running process
    (".", "privacy"),  # before anything else is imported, in every process
}

# A queue waits for its reader, so it may know trio; zipfile wants its bytes as a file, which is one in memory.
MAY = {
    "engine/sessions/outbox.py": {"trio"},
    "engine/interchange/archive.py": {"io"},
}


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Returns every module a file imports, inside functions too, as absolute dotted names."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: relative imports hide the layers"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str:
    """Returns the name in ``ORDER`` that a module (without ``flower.``) belongs to; "" if none."""
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((name for name in names if name in LAYER), "")


@cache
def dotted(path: Path) -> str:
    """Returns a module's name without ``flower.``; "." for the package itself."""
    name = name_of(path).removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".")
    return name or "."


@cache
def names_of_modules() -> frozenset[str]:
    return frozenset(map(dotted, modules()))


def imported_modules(path: Path) -> Iterator[str]:
    """Yields the modules of ours that a file imports, each name without ``flower.``."""
    known = names_of_modules()
    for name in imports(path):
        if name == "flower":
            yield "."
        elif name.startswith("flower.") and name.removeprefix("flower.") in known:
            yield name.removeprefix("flower.")


def excepted(who: str, whom: str) -> bool:
    """Whether an arrow is a known one, or names the package of a module that is."""
    return any(one == who and f"{other}.".startswith(f"{whom}.") for one, other in EXCEPTIONS)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_nothing_is_imported_against_the_order(path: Path) -> None:
    module = dotted(path)
    mine = part_of(module)
    assert mine, f"give flower/{name_of(path)} a place in ORDER"
    for other in imported_modules(path):
        theirs = part_of(other)
        if theirs != mine and not excepted(module, other):
            assert LAYER[theirs] > LAYER[mine], f"{module} imports {other}, which is not below it"


def test_no_module_imports_itself() -> None:
    """What once were two modules has no need of their names any more."""
    for path in modules():
        assert dotted(path) not in imported_modules(path), name_of(path)


@cache
def calls_itself_pure(path: Path) -> bool:
    """Whether a module's docstring has the sentence "Pure", or one that begins with "Pure:"."""
    docstring = re.match(r'"""(.*?)"""', text_of(path), re.DOTALL)
    return docstring is not None and re.search(r"\bPure[.:]", docstring[1]) is not None


def pure_modules() -> list[Path]:
    """What calls itself pure, and what is in a package that does."""
    return [
        path
        for path in modules()
        if calls_itself_pure(path) or calls_itself_pure(path.with_name("__init__.py"))
    ]


def test_what_decides_calls_itself_pure() -> None:
    """The word must not go out of use: whatever decides something says it, and so do these folders."""
    for folder in ("protocol", "settings", "engine/game", "tui/render", "tui/state", "tui/view"):
        assert calls_itself_pure(PACKAGE / folder / "__init__.py"), folder
    assert len(pure_modules()) > 90


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
        crossing = [name for name in imports(path) if name.startswith(("flower.engine", "flower.tui"))]
        assert not crossing, path.name


def test_every_module_says_what_it_is() -> None:
    for path in modules():
        assert not path.stat().st_size or ast.get_docstring(tree_of(path)), name_of(path)


def test_only_the_store_knows_sqlite() -> None:
    """Statements and the module that runs them stay in one folder; others get ``database.Connection``."""
    for path in modules():
        if not name_of(path).startswith("engine/store/"):
            assert "sqlite3" not in set(imports(path)), name_of(path)
            calls = [node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)]
            assert "execute" not in calls, name_of(path)
