"""Which tests are near a package, and what their last traced run said of them: the lines they run, and for how long.

Owns the file between runs. A test file is traced anew when it or the package has changed.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable
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
    """Returns a few test files that import a module, first those of its own folder, else such as are called like it:
    for what no near test runs, as a class of values alone.
    """
    dotted = module.removesuffix(".py").replace("/", ".")
    parent, _, name = dotted.rpartition(".")
    imports = re.compile(
        rf"\bfrom {re.escape(dotted)} import\b|\bfrom {re.escape(parent)} import .*\b{name}\b"
    )
    words = [word[:6] for word in name.split("_") if len(word) > 3]
    own = f"{parent.replace('flower.', 'tests/', 1).replace('.', '/')}/"
    choice = []
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        text = path.read_text()
        if "faults" in path.parts or _OTHER_PROCESSES.search(text):
            continue
        importing = imports.search(text) is not None
        if importing or any(word in path.stem for word in words):
            file = path.relative_to(REPOSITORY).as_posix()
            far = not file.startswith(own)
            choice.append((not importing, far, path.stat().st_size, file))
    return [file for *_, file in sorted(choice)[:FAR_FILES]]


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
        first those that run a line with the name that is assigned there.
        """
        names = _names_at(mutant) if at_import else frozenset()
        statement = _statement_at(mutant)
        choice = []
        users = _lines_that_use(mutant) if at_import else frozenset()
        for data in self._by_file.values():
            for test, (seconds, lines) in data["tests"].items():
                run = lines.get(mutant.module, ())
                if seconds < SLOW_S and (mutant.line in run or (at_import and run)):
                    cost = len(run) * (seconds + 0.01)
                    choice.append((users.isdisjoint(run), cost, seconds, test))
        tests, spent = [], 0.0
        for _, _, seconds, test in sorted(choice):
            spent += seconds
            if spent > BUDGET_S:
                break
            tests.append(test)
        return tests


def _lines_that_use(mutant: Mutant) -> frozenset[int]:
    """Returns the other lines of a module with the name that is assigned at the line of a mutant."""
    rows = (REPOSITORY / mutant.module).read_text().splitlines()
    assigned = re.match(r"\s*(\w+)(?:: [^=]*)? = ", rows[mutant.line - 1])
    if assigned is None:
        return frozenset()
    name = re.compile(rf"\b{assigned[1]}\b")
    return frozenset(n for n, row in enumerate(rows, 1) if n != mutant.line and name.search(row))
