"""What every test may need: a home of its own and an environment without the developer's keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flower.home import Home, open_home
from flower.settings.config import ENVIRONMENT


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="run the long fault-injection tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--faults"):
        for item in items:
            if item.get_closest_marker("faults"):
                item.add_marker(pytest.mark.skip(reason="long; run with --faults"))


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a real key or touches a real home."""
    for name in (*ENVIRONMENT, "FLOWER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLOWER_HOME", str(tmp_path / "default-home"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A freshly made home directory with its starter files."""
    return open_home(tmp_path / "home", os.environ)
