"""Changes the code in small ways and counts the changes that no test notices.

    python -m tests.mutation.run --cover             # once: which tests run which line (ten minutes)
    python -m tests.mutation.run --cover tests/engine/test_new.py   # adds the tests of a file to that
    python -m tests.mutation.run [-n 200] [--seed 1] [PACKAGE ...]

Mutants are cosmic-ray's, drawn evenly over the packages; each is tried by the tests that run its line, in a
copy of the tree, so that the working tree is never changed. Prints the mutants that survive, and the share that
was killed in each package. What ``explained.txt`` names is not tried. Needs the extra ``mutation``.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.mutation import coverage_map, mutants
from tests.mutation.coverage_map import environment
from tests.mutation.mutants import REPOSITORY, Mutant, Reason

PACKAGES = ("engine/sessions", "engine/store", "engine/prompt", "engine/recall", "protocol")
TIMEOUT_S = 120
FAILED, TIMED_OUT = 1, -1  # the first is pytest's
_FAILURE = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)


class Tally(NamedTuple):
    killed: int
    tried: int
    explained: int  # drawn, but not tried


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("packages", nargs="*", default=PACKAGES)
    options.add_argument("-n", type=int, default=200, help="how many mutants")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--cover", action="store_true", help="find out which tests run which line")
    chosen = options.parse_args()
    if chosen.cover:
        files = [one for one in chosen.packages if one.endswith(".py")]
        return coverage_map.write(PACKAGES, files)
    reasons = mutants.explained()
    for line in mutants.outdated(reasons):
        print(f"explained.txt names a line that is no longer there: {line}")
    every = {package: _of_package(package) for package in chosen.packages}
    total = sum(map(len, every.values()))
    tallies = {}
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        for package, found in every.items():
            draw = random.Random(f"{chosen.seed} {package}")
            draw.shuffle(found)
            share = max(1, round(chosen.n * len(found) / total))
            tallies[package] = _tally(trial, found, share, reasons)
    for package, tally in tallies.items():
        print(_told(package, tally))
    print(_told("all", Tally(*map(sum, zip(*tallies.values(), strict=True)))))
    return 0


def _told(name: str, tally: Tally) -> str:
    killed, tried, explained = tally
    share = (killed + explained) / max(tried + explained, 1)
    return f"{name:16} {killed:4} of {tried:4} killed, {explained:3} explained: {share:.1%}"


def _of_package(package: str) -> list[Mutant]:
    paths = sorted((REPOSITORY / "flower" / package).rglob("*.py"))
    return [one for path in paths for one in mutants.possible(str(path.relative_to(REPOSITORY)))]


def _tally(trial: Trial, found: Iterable[Mutant], most: int, reasons: Sequence[Reason]) -> Tally:
    """Tries mutants until ``most`` of them that compile were tried or are explained."""
    results: list[bool] = []
    explained = 0
    for mutant, after in itertools.islice(_compiling(found), most):
        if mutants.is_explained(mutant, reasons):
            explained += 1
        else:
            results.append(trial.kills(mutant, after))
    return Tally(sum(results), len(results), explained)


def _compiling(found: Iterable[Mutant]) -> Iterator[tuple[Mutant, str]]:
    for mutant in found:
        after = mutants.mutated(mutant)
        if after is not None:
            yield mutant, after


class Trial:
    """A copy of the tree in which modules are changed and tests are run; what is large is linked to."""

    def __init__(self, folder: Path) -> None:
        self._tree = folder / "tree"
        skip = shutil.ignore_patterns(".*", "__pycache__", "models", "docs")
        shutil.copytree(REPOSITORY, self._tree, symlinks=True, ignore=skip)
        for name in ("models", "docs"):
            (self._tree / name).symlink_to(REPOSITORY / name)
        self._known = coverage_map.known_tests(self._tree)
        self._sound: dict[str, bool] = {}  # by test: whether it passes in the copy as it is
        self._times = itertools.count(1_000_000_000)

    def kills(self, mutant: Mutant, after: str) -> bool:
        """Returns whether a test fails, or the tests no longer end, with the change in place."""
        before = (REPOSITORY / mutant.module).read_text()
        tests = coverage_map.tests_of(mutant, self._known)
        started = time.monotonic()
        while tests:
            self._write(mutant.module, after)
            code, failed = self._run(tests)
            self._write(mutant.module, before)
            if code and (code != FAILED or self._is_sound(failed)):
                return True
            if failed not in tests:  # nothing failed, or one of a file that is run whole
                break
            self._known -= {failed}  # it fails in the copy anyway and says nothing
            tests.remove(failed)
        seconds = time.monotonic() - started
        print(f"\nSURVIVES {mutant.module}:{mutant.line} {mutant.operator}", end=" ")
        print(f"({len(tests)} tests in {seconds:.0f} s)")
        print("\n".join(_changed_lines(before, after)), flush=True)
        return False

    def _is_sound(self, test: str) -> bool:
        """Returns whether a test passes without any change."""
        if test not in self._sound:
            self._sound[test] = self._run([test])[0] == 0
        return self._sound[test]

    def _write(self, module: str, text: str) -> None:
        # Python takes compiled code for that of a module by size and whole seconds: each text has its own.
        path = self._tree / module
        path.write_text(text)
        os.utime(path, (moment := next(self._times), moment))

    def _run(self, tests: Sequence[str]) -> tuple[int, str]:
        """Runs tests until one fails; returns pytest's exit code, and which one."""
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--tb=no",
            "-p",
            "no:cacheprovider",
            *tests,
        ]
        try:
            done = subprocess.run(
                command,
                cwd=self._tree,
                env=environment(self._tree),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return TIMED_OUT, ""
        failure = _FAILURE.search(done.stdout)
        return done.returncode, failure[1] if failure else ""


def _changed_lines(before: str, after: str) -> Iterable[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


if __name__ == "__main__":
    sys.exit(main())
