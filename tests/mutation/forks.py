"""Tests run in forks of a process that has collected them: a trial costs what its tests cost, and no start.

A change inside a function is put into the functions there are. What runs at import is not seen this way.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import pytest

from tests.mutation.mutants import REPOSITORY
from tests.mutation.nearby import SLOW_S, Run

FAILED, TIMED_OUT, BROKEN = 1, -1, 3  # exit codes of a fork
GRACE_S = 10.0
IN_FUNCTION = 0x1  # CO_OPTIMIZED: not the code of a module or a class


class Session:
    """pytest with everything collected; as a plugin it calls ``work`` in place of the tests."""

    def __init__(self, work: Callable[[Session], None]) -> None:
        self._work = work
        self.items: dict[str, pytest.Item] = {}
        self._failed = False

    def pytest_configure(self) -> None:
        import hypothesis  # pytest warns of plugins that were imported before it

        # The same examples each time, and none is made smaller: that it fails is all there is to know.
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        hypothesis.settings.register_profile(
            "mutation", deadline=None, derandomize=True, database=None, phases=phases
        )
        hypothesis.settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        gc.unfreeze()
        self.items = {item.nodeid: item for item in session.items if "[postgres" not in item.nodeid}
        self._work(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed |= report.failed

    def failure(self, tests: Sequence[str]) -> str:
        """Runs tests until one fails; returns which one did, "" if none."""
        self._failed = False
        chosen = [self.items[test] for test in tests if test in self.items]
        for item, following in zip(chosen, [*chosen[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                return item.nodeid
        return ""

    def traced(self, package: str, files: Iterable[str]) -> dict[str, Run]:
        """Returns what the tests of some files run, by test, in this very process: call it in a fork."""
        chosen = [test for test in self.items if test.startswith(tuple(f"{file}::" for file in files))]
        tracer = coverage.Coverage(
            data_file=None,
            config_file=False,
            include=[f"{REPOSITORY}/flower/{package}{rest}" for rest in ("", "/*", "/**/*")],
            messages=False,
        )
        tracer.set_option("run:disable_warnings", ["no-data-collected"])  # of files near by name alone
        seconds: dict[str, float] = {}
        tracer.start()
        for test in chosen:
            tracer.switch_context(test)
            begun = time.perf_counter()
            if not self.failure([test]):
                seconds[test] = time.perf_counter() - begun
        tracer.stop()
        runs = {test: Run(spent, {}) for test, spent in seconds.items()}
        data = tracer.get_data()
        for path in data.measured_files():
            module = Path(path).relative_to(REPOSITORY).as_posix()
            for line, tests in data.contexts_by_lineno(path).items():
                for test in runs.keys() & set(tests):
                    runs[test].lines.setdefault(module, []).append(line)
        return {test: run for test, run in runs.items() if run.seconds < SLOW_S}


def forked(work: Callable[[], int], timeout_s: float) -> int:
    """Returns the exit code of a function in a fork of this process, which is ended with all its children."""
    sys.stdout.flush()  # what waits in it would be written twice
    child = os.fork()
    if child == 0:
        code = BROKEN
        try:
            os.setsid()
            loud = os.fdopen(os.dup(2), "w")
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            code = work()
        except BaseException:
            traceback.print_exc(file=loud)
            loud.flush()
            raise
        finally:
            os._exit(code)
    done = os.pidfd_open(child)
    try:
        in_time, _, _ = select.select([done], [], [], timeout_s)
        end(child)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(done)
    return os.waitstatus_to_exitcode(status) if in_time else TIMED_OUT


def end(group: int) -> None:
    """Ends the processes of a group, if there are any."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def changed_functions(before: CodeType, after: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    """Returns the outermost functions that differ, None if something differs that runs at import."""
    if before == after:
        return []
    if before.co_flags & IN_FUNCTION:
        return [(before, after)]
    inner = [[one for one in code.co_consts if isinstance(one, CodeType)] for code in (before, after)]
    outer = [
        (code.co_code, code.co_names, [one for one in code.co_consts if not isinstance(one, CodeType)])
        for code in (before, after)
    ]
    if outer[0] != outer[1] or len(inner[0]) != len(inner[1]):
        return None
    pairs = []
    for one, other in zip(*inner, strict=True):
        changed = changed_functions(one, other)
        if changed is None:
            return None
        pairs += changed
    return pairs


def compiled(module: str, text: str) -> CodeType:
    return compile(text, str(REPOSITORY / module), "exec", dont_inherit=True)


def functions_of(module: str) -> dict[CodeType, list[FunctionType]]:
    """Returns the living functions of a module by their code."""
    found: dict[CodeType, list[FunctionType]] = {}
    path = str(REPOSITORY / module)
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename == path:
            found.setdefault(one.__code__, []).append(one)
    return found


def replace(module: str, before: str, after: str) -> bool:
    """Puts a changed source into the living functions; returns whether all of the change is in them."""
    pairs = changed_functions(compiled(module, before), compiled(module, after))
    living = functions_of(module)
    if not pairs or any(old not in living for old, _ in pairs):
        return False
    for old, new in pairs:
        for function in living[old]:
            if len(new.co_freevars) != len(old.co_freevars):
                return False
            function.__code__ = new
    return True
