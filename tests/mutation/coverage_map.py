"""Which tests run which line: kept in a file between runs, with paths that fit every copy of the tree."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from coverage.numbits import numbits_to_nums

from tests.conftest import is_quick
from tests.mutation.mutants import REPOSITORY, Mutant

FILE = Path(tempfile.gettempdir()) / "flower-mutation-coverage"
OTHER_PROCESSES = (
    "engine_process",
    "pty_world",
)  # who imports these runs children, which are not traced
# They read the source itself, or need more time than a mutant is worth.
LEFT_OUT = {
    "test_layering.py",
    "test_patterns.py",
    "test_docs.py",
    "test_hostile.py",
    "test_prompt_path.py",
}
TESTS_MOST = 60  # for one mutant: enough to kill it if it can be, in half a minute


def write(packages: tuple[str, ...], files: list[str]) -> int:
    """Runs the suite with a trace and writes the map; returns pytest's exit code.

    With ``files`` only those tests are run, and added to the map there is.
    """
    chosen = files or [
        str(path.relative_to(REPOSITORY))
        for path in sorted((REPOSITORY / "tests").rglob("test_*.py"))
        if _in_process(path)
    ]
    settings = FILE.with_suffix(".ini")
    sources = ", ".join(f"flower.{package.replace('/', '.')}" for package in packages)
    settings.write_text(f"[run]\nsource = {sources}\ndata_file = {FILE}\nrelative_files = True\n")
    trace = ["--cov", f"--cov-config={settings}", "--cov-context=test", "--cov-report="]
    trace += ["--cov-append"] if files else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *trace, *chosen]
    return subprocess.run(command, cwd=REPOSITORY, env=environment(REPOSITORY), check=False).returncode


def tests_of(mutant: Mutant, known: frozenset[str]) -> list[str]:
    """Returns the ids of tests that run the line of a mutant: first those about its module, then quick ones, and of
    those the ones that run least of the module, for they are about that line.

    ``known`` are those there still are.
    """
    query = (
        "SELECT context.context, line_bits.numbits FROM line_bits "
        "JOIN file ON file.id = line_bits.file_id JOIN context ON context.id = line_bits.context_id "
        "WHERE file.path = ?"
    )
    with closing(sqlite3.connect(FILE)) as db:
        rows = db.execute(query, (mutant.module,)).fetchall()
    breadth: dict[str, int] = {}  # by test: how many lines of the module it runs
    for context, bits in rows:
        lines, test = numbits_to_nums(bits), context.partition("|")[0].partition("[")[0]
        if mutant.line in lines:
            breadth[test] = max(breadth.get(test, 0), len(lines))
    ids = breadth.keys() & known
    if not ids:  # run at import: whoever imports the module may notice
        ids = {one for one in known if "::" not in one and _imports(REPOSITORY / one, mutant.module)}
    return sorted(
        ids,
        key=lambda one: (
            *_remoteness(one.partition("::")[0], mutant.module),
            breadth.get(one, 0),
            one,
        ),
    )[:TESTS_MOST]


@cache
def _remoteness(test_file: str, module: str) -> tuple[bool, bool]:
    """Returns how far from a module a test is: whether its file is not about it, and is slow."""
    path = REPOSITORY / test_file
    words = [word.rstrip("s") for word in Path(module).stem.split("_")]
    near = _imports(path, module) or any(word in path.stem for word in words if len(word) > 3)
    return not near, not is_quick(path)


def known_tests(tree: Path) -> frozenset[str]:
    """Returns the ids of all tests that run in one process, without parameters, and their files."""
    files = [
        str(path.relative_to(tree))
        for path in sorted(tree.glob("tests/**/test_*.py"))
        if _in_process(path)
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", *files]
    done = subprocess.run(
        command, cwd=tree, env=environment(tree), capture_output=True, text=True, check=False
    )
    ids = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    return frozenset(ids | {one.partition("::")[0] for one in ids})


def environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tree), *filter(None, sys.path[1:])])}


def _in_process(path: Path) -> bool:
    text = path.read_text()
    return path.name not in LEFT_OUT and not any(name in text for name in OTHER_PROCESSES)


def _imports(path: Path, module: str) -> bool:
    text = path.read_text()
    package, _, name = module.removesuffix(".py").replace("/", ".").rpartition(".")
    return f"{package}.{name} " in text or (f"from {package} import" in text and name in text)
