"""What every test may need: a home of its own and an environment without the developer's keys."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import hypothesis
import pytest
import pytest_timeout
import trio

from flower.engine.store import stories, users
from flower.engine.store.connection import Connection
from flower.home import Home, open_home
from flower.settings.config import ENVIRONMENT
from tests.quick import is_quick
from tests.stores import KINDS, connected

# How long an example takes says something about the machine, nothing about the property.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
LOOP_GRACE_S = 5.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="run the long fault-injection tests too")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m quick`` the other files are not even imported: that alone takes as long as the quick tests."""
    quick_only = config.getoption("markexpr") == "quick" and collection_path.match("test_*.py")
    return True if quick_only and not is_quick(collection_path) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Importing and parsing make many objects and no garbage: the collector would take as long as all the rest.

    What was made stays, so no later collection looks at it either.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if is_quick(item.path):
            item.add_marker(pytest.mark.quick)
    if not config.getoption("--faults"):
        for item in items:
            if item.get_closest_marker("faults"):
                item.add_marker(pytest.mark.skip(reason="long; run with --faults"))


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """A test of trio that takes too long is ended by trio's own means; only a loop that hangs is broken into.

    An exception out of a signal handler leaves trio in the middle of a run, and every later test of the file fails.
    """
    if settings.method != "signal":
        return None

    def too_long() -> None:
        raise AssertionError(f"still running after {settings.timeout} s")

    asked = False

    def ring(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if trio.lowlevel.in_trio_run() and not asked:
            asked = True
            trio.lowlevel.current_trio_token().run_sync_soon(too_long)
            signal.setitimer(signal.ITIMER_REAL, LOOP_GRACE_S)
        else:
            pytest_timeout.timeout_sigalrm(item, settings)

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = cancel  # type: ignore[attr-defined]
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was left out, so that a run without PostgreSQL is not taken for one with it."""
    for module, what in (("tests.postgres_cluster", "PostgreSQL"), ("tests.haproxy", "HAProxy")):
        if module in sys.modules and (why := sys.modules[module].why_not()):
            terminalreporter.write_line(f"Left out: tests with {what}. {why}")


def pytest_sessionfinish() -> None:
    """Ends the database server of this run, if a test had one."""
    if "tests.stores" in sys.modules:
        sys.modules["tests.stores"].end()


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a real key or touches a real home."""
    for name in (*ENVIRONMENT, "FLOWER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLOWER_HOME", str(tmp_path / "default-home"))


@pytest.fixture(params=KINDS)
def db(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A database without stories, of each of the two kinds; a module may put into it what its tests need."""
    with connected(request.param) as connection:
        yield connection


@pytest.fixture
def household(db: Connection) -> None:
    """Puts a story of the home's owner into ``db``, and a user whose number is 1."""
    stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0)
    users.add(db, "ned", 1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of an engine in memory goes."""
    return tmp_path / "flower.db"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A freshly made home directory with its starter files."""
    return open_home(tmp_path / "home", os.environ)
