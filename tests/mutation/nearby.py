"""Which tests are near a package, and what their last traced run said of them: the lines they run, and for how long.

Owns the file between runs. A test file is traced anew when it or the package has changed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.mutation.mutants import REPOSITORY, Mutant
from tests.quick import is_quick

FILE = (
    Path(tempfile.gettempdir())
    / f"flower-mutation-{hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:8]}"
)
# Who imports these starts other processes, which are neither traced nor changed.
_OTHER_PROCESSES = re.compile(r"\b(engine_process|pty_world|subprocess|haproxy)\b")
FAR_FILES = 5
SLOW_S = 2.0  # a slower test is worth more than a mutant
BUDGET_S = 6.0  # of tests for one mutant: enough to kill it, if near tests can


class Run(NamedTuple):
    """One test in its traced run."""

    seconds: float
    lines: dict[str, list[int]]  # by module, as ``Mutant.module`` says it


def importers_of(module: str) -> list[str]:
    """Returns a few test files that import a module, else such as are called like it: for what no near test runs."""
    dotted = module.removesuffix(".py").replace("/", ".")
    parent, _, name = dotted.rpartition(".")
    imports = re.compile(
        rf"\bfrom {re.escape(dotted)} import\b|\bfrom {re.escape(parent)} import .*\b{name}\b"
    )
    words = [word[:6] for word in name.split("_") if len(word) > 3]
    choice = []
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        text = path.read_text()
        if "faults" in path.parts or _OTHER_PROCESSES.search(text):
            continue
        importing = imports.search(text) is not None
        if importing or any(word in path.stem for word in words):
            choice.append((not importing, path.stat().st_size, str(path.relative_to(REPOSITORY))))
    return [name_of_file for _, _, name_of_file in sorted(choice)[:FAR_FILES]]


def files_of(package: str) -> list[str]:
    """Returns the test files near a package: those of its folder, and quick ones that import something from it."""
    dotted = f"flower.{package.replace('/', '.')}"
    parent, _, name = dotted.rpartition(".")
    imports = re.compile(
        rf"\b(import|from) {re.escape(dotted)}\b|\bfrom {re.escape(parent)} import .*\b{name}\b"
    )
    folder = f"tests/{package}/"
    near = []
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        name_of_file, text = path.relative_to(REPOSITORY).as_posix(), path.read_text()
        if name_of_file.startswith(("tests/faults/", "tests/rules/")) or _OTHER_PROCESSES.search(text):
            continue
        if name_of_file.startswith(folder) or (is_quick(path) and imports.search(text)):
            near.append(name_of_file)
    return near


class Nearby:
    """What is known of the tests near a package."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.files = files_of(package)
        self._path = FILE.with_name(f"{FILE.name}-{package.replace('/', '-')}.json")
        sources = sorted((REPOSITORY / "flower" / package).rglob("*.py"))
        state = hashlib.sha256("".join(one.read_text() for one in sources).encode()).hexdigest()
        self._states = {
            file: hashlib.sha256((state + (REPOSITORY / file).read_text()).encode()).hexdigest()
            for file in self.files
        }
        saved = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._by_file: dict[str, Any] = {
            file: saved[file]
            for file in self.files
            if saved.get(file, {}).get("state") == self._states[file]
        }

    def untraced(self) -> list[str]:
        return [file for file in self.files if file not in self._by_file]

    def learn(self, runs: dict[str, Run], files: Iterable[str]) -> None:
        """Keeps what a traced run of some files said, by test; tests that failed are not in it."""
        for file in files:
            tests = {test: run for test, run in runs.items() if test.startswith(f"{file}::")}
            self._by_file[file] = {"state": self._states[file], "tests": tests}
        self._path.write_text(json.dumps(self._by_file))

    def tests_of(self, mutant: Mutant, at_import: bool) -> list[str]:
        """Returns the tests that run the line of a mutant, as many as fit into ``BUDGET_S``: first those that run least
        of its module, for they are about that line. Of a line that runs at import: that run anything of its module,
        or import all of a package, or look at all that the module has, first those that name the function, class,
        constant or field.
        """
        names = _names_at(mutant) if at_import else frozenset()
        statement = _statement_at(mutant)
        choice = []
        for file, data in self._by_file.items():
            text = (REPOSITORY / file).read_text() if at_import else ""
            imports_all = "walk_packages" in text or f"vars({Path(mutant.module).stem})" in text
            naming = _tests_naming(file, names)
            for test, (seconds, lines) in data["tests"].items():
                run = lines.get(mutant.module, ())
                if seconds < SLOW_S and (
                    not statement.isdisjoint(run) or (at_import and (run or imports_all))
                ):
                    is_far = test.removeprefix(f"{file}::").partition("[")[0] not in naming
                    choice.append((is_far, len(run) * (seconds + 0.01), seconds, test))
        tests, spent = [], 0.0
        for _, _, seconds, test in sorted(choice):
            spent += seconds
            if spent > BUDGET_S:
                break
            tests.append(test)
        return tests


def _statement_at(mutant: Mutant) -> frozenset[int]:
    """Returns the lines of the statement that a mutant is in, of one with a body those before it: of a condition over
    several lines not each is traced.
    """
    lines = range(mutant.line, mutant.line + 1)
    for node in ast.walk(ast.parse((REPOSITORY / mutant.module).read_text())):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            if node.lineno <= mutant.line <= last:  # one within another comes later
                lines = range(node.lineno, last + 1)
    return frozenset(lines)


def _names_at(mutant: Mutant) -> frozenset[str]:
    """Returns what the innermost code around a line that runs at import is called, by decorator or default too."""
    nearest, names = 0, frozenset[str]()
    for node in ast.walk(ast.parse((REPOSITORY / mutant.module).read_text())):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                first = min((one.lineno for one in node.decorator_list), default=node.lineno)
                last, called = node.body[0].lineno - 1, [node.name]
            case ast.AnnAssign(target=ast.Name(id=name)):
                first, last, called = node.lineno, node.end_lineno or node.lineno, [name]
            case ast.Assign(targets=[target]):
                first, last = node.lineno, node.end_lineno or node.lineno
                called = [one.id for one in ast.walk(target) if isinstance(one, ast.Name)]
            case _:
                continue
        if nearest < first <= mutant.line <= last:
            nearest, names = first, frozenset(called)
    return names


@cache
def _tests_naming(file: str, names: frozenset[str]) -> frozenset[str]:
    """Returns the functions of a test file in whose text one of these names is."""
    if not names:
        return frozenset()
    text = (REPOSITORY / file).read_text()
    word = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")
    rows = text.splitlines()
    return frozenset(
        node.name
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and word.search("\n".join(rows[node.lineno - 1 : node.end_lineno]))
    )
