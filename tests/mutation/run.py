"""Changes the code in small ways and counts the changes that no test notices.

    python -m tests.mutation.run [-n 60] [--seed 1] [PACKAGE or MODULE ...]

Mutants are cosmic-ray's, drawn evenly over a package. Each is tried by the tests near its package that run its line:
first in a fork of a process that has collected them, then, if it lives or runs at import, in a copy of the tree with
a process of its own. The first run of a package traces its tests, later ones only those that changed. Prints
the share that was killed, and at the end the survivors as diffs, each with tests that run the line. What
``explained.txt`` names is not tried. Needs the extra ``mutation``.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import os
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mutation import forks, mutants, nearby
from tests.mutation.mutants import REPOSITORY, Mutant
from tests.mutation.nearby import BUDGET_S, Nearby

PACKAGES = ("engine/sessions", "engine/store", "engine/prompt", "engine/recall", "protocol")
TIMEOUT_S = 4 * BUDGET_S + forks.GRACE_S
TRACE_S = 600.0
IN_COPY_MOST = 120  # tests


class Survivor(NamedTuple):
    mutant: Mutant
    after: str
    tests: Sequence[str]  # that ran the line


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("packages", nargs="*", default=PACKAGES, help="below flower/")
    options.add_argument("-n", type=int, default=60, help="how many mutants of each package")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    if len(chosen.packages) > 1:  # each in a process of its own, for pytest runs once in one
        one = [
            sys.executable,
            "-m",
            "tests.mutation.run",
            "-n",
            str(chosen.n),
            "--seed",
            str(chosen.seed),
        ]
        return max(
            subprocess.run([*one, package], check=False).returncode for package in chosen.packages
        )
    for line in mutants.outdated(mutants.explained()):
        print(f"explained.txt names a line that is no longer there: {line}")
    return run(chosen.packages[0], chosen.n, chosen.seed)


def run(package: str, most: int, seed: int) -> int:
    with tempfile.TemporaryDirectory(prefix="flower-mutation-") as folder:
        trial = Trial(package, most, seed, Path(folder))
        options = [
            "-q",
            "-s",
            "-p",
            "no:cacheprovider",
            "-o",
            "faulthandler_timeout=0",
            f"--basetemp={folder}/tests",
        ]
        return int(pytest.main([*options, *trial.nearby.files], plugins=[forks.Session(trial.run)]))


class Trial:
    """The mutants of one package and what became of them."""

    def __init__(self, package: str, most: int, seed: int, folder: Path) -> None:
        self.package, self.most, self.seed = package, most, seed
        self.nearby = Nearby(package.rpartition("/")[0] if package.endswith(".py") else package)
        self.copy = Copy(folder / "tree")
        self.folder = folder
        self._failure = folder / "failure"  # which test failed in a fork
        self._sound: dict[str, bool] = {}
        self.results: Counter[str] = Counter()
        self.survivors: list[Survivor] = []

    def run(self, session: forks.Session) -> None:
        begun = time.monotonic()
        self._trace(session)
        print(f"{self.package}: traced after {time.monotonic() - begun:.0f} s", flush=True)
        reasons = mutants.explained()
        for mutant, after in itertools.islice(_compiling(self._drawn()), self.most):
            if mutants.is_explained(mutant, reasons):
                self.results["explained"] += 1
                continue
            result, tests = self._tried(session, mutant, after)
            self.results[result] += 1
            print(
                f"{result:9} {mutant.module}:{mutant.line} {mutant.operator.removeprefix('core/')}",
                flush=True,
            )
            if result == "survives":
                self.survivors.append(Survivor(mutant, after, tests))
        self._report(time.monotonic() - begun)

    def _trace(self, session: forks.Session) -> None:
        files = self.nearby.untraced()
        if not files:
            return
        saved = self.folder / "traced"

        def trace() -> int:
            saved.write_bytes(pickle.dumps(session.traced(self.nearby.package, files)))
            return 0

        code = forks.forked(trace, TRACE_S)
        assert code == 0, f"tracing the tests ended with {code}"
        self.nearby.learn(pickle.loads(saved.read_bytes()), files)

    def _drawn(self) -> list[Mutant]:
        path = REPOSITORY / "flower" / self.package
        paths = [path] if path.suffix else sorted(path.rglob("*.py"))
        every = [one for path in paths for one in mutants.possible(str(path.relative_to(REPOSITORY)))]
        random.Random(f"{self.seed} {self.package}").shuffle(every)
        return every

    def _tried(self, session: forks.Session, mutant: Mutant, after: str) -> tuple[str, Sequence[str]]:
        """Returns "killed" or "survives", and the tests that had the chance."""
        before = (REPOSITORY / mutant.module).read_text()
        codes = (forks.compiled(mutant.module, text) for text in (before, after))
        at_import = forks.changed_functions(*codes) is None
        tests = self.nearby.tests_of(mutant, at_import)

        def in_fork() -> int:
            forks.replace(mutant.module, before, after)
            failure = session.failure(tests)
            self._failure.write_text(failure)
            return forks.FAILED if failure else 0

        if tests and not at_import:
            self._failure.write_text("")
            code = forks.forked(in_fork, TIMEOUT_S)
            assert code != forks.BROKEN, "the trial itself failed, see above"
            if code and (code != forks.FAILED or self._is_sound(session, self._failure.read_text())):
                return "killed", tests
        last = tests[:IN_COPY_MOST] or nearby.importers_of(mutant.module)
        if last and self.copy.kills(mutant, after, last):
            return "killed", tests
        return "survives", tests

    def _is_sound(self, session: forks.Session, test: str) -> bool:
        """Returns whether a test that failed passes without the change."""
        if test not in self._sound:
            self._sound[test] = forks.forked(lambda: len(session.failure([test])), TIMEOUT_S) == 0
        return self._sound[test]

    def _report(self, seconds: float) -> None:
        for mutant, after, tests in self.survivors:
            print()
            print("\n".join(_diff(mutant, after)))
            print(f"  run by {len(tests)} near tests" + "".join(f"\n    {test}" for test in tests[:3]))
        killed, explained, lived = (self.results[name] for name in ("killed", "explained", "survives"))
        share = (killed + explained) / max(killed + explained + lived, 1)
        print(
            f"\n{self.package:16} {killed:4} killed, {lived:4} survive, {explained:3} explained: {share:.0%}",
            end="",
        )
        print(f" ({seconds:.0f} s, seed {self.seed})", flush=True)


class Copy:
    """A copy of the tree in which modules are changed and tests are run; what is large is linked to."""

    def __init__(self, tree: Path) -> None:
        self._place = tree
        self._sound: set[str] = set()  # tests that pass in the copy as it is
        self._times = itertools.count(1_000_000_000)

    @cached_property
    def _tree(self) -> Path:
        skip = shutil.ignore_patterns(".*", "__pycache__", "models", "docs")
        shutil.copytree(REPOSITORY, self._place, symlinks=True, ignore=skip)
        for name in ("models", "docs"):
            (self._place / name).symlink_to(REPOSITORY / name)
        return self._place

    def kills(self, mutant: Mutant, after: str, tests: Sequence[str]) -> bool:
        """Returns whether a test fails, or the tests no longer end, with the change in place."""
        self._write(mutant.module, after)
        failed = self._run(tests) != 0
        self._write(mutant.module, (REPOSITORY / mutant.module).read_text())
        if failed and not self._sound.issuperset(tests):
            if self._run(tests) != 0:  # they fail in the copy anyway and say nothing
                return False
            self._sound.update(tests)
        return failed

    def _write(self, module: str, text: str) -> None:
        # Python takes compiled code for that of a module by size and whole seconds: each text has its own.
        path = self._tree / module
        path.write_text(text)
        os.utime(path, (moment := next(self._times), moment))

    def _run(self, tests: Sequence[str]) -> int:
        options = ("-q", "-x", "--tb=no", "-p", "no:cacheprovider")
        paths = os.pathsep.join([str(self._tree), *filter(None, sys.path[1:])])
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=self._tree,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return forks.TIMED_OUT
        finally:
            forks.end(process.pid)
            process.wait()


def _compiling(drawn: Iterable[Mutant]) -> Iterator[tuple[Mutant, str]]:
    for mutant in drawn:
        after = mutants.mutated(mutant)
        if after is not None:
            yield mutant, after


def _diff(mutant: Mutant, after: str) -> Iterator[str]:
    before = (REPOSITORY / mutant.module).read_text()
    name = f"{mutant.module}:{mutant.line} {mutant.operator}"
    return difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="", n=1)


if __name__ == "__main__":
    sys.exit(main())
