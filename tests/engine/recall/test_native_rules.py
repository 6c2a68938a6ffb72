"""Small rules of native modules, one by one: what the end of a child says of them, and what is remembered."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from flower.engine.recall import native_check
from flower.errors import EmbedError


@pytest.mark.parametrize(
    ("code", "errors", "says"),
    [
        (0, b"", None),
        (1, b"Traceback\nImportError: no x\n", "a and b cannot be used: ImportError: no x"),
        (2, b"", "a and b cannot be used: no reason given"),
        (-4, b"", r"a and b cannot run on this processor \(SIGILL\)"),
    ],
)
def test_how_a_child_ended_says_whether_a_module_runs(
    monkeypatch: pytest.MonkeyPatch, code: int, errors: bytes, says: str | None
) -> None:
    ended = SimpleNamespace(returncode=code, stderr=errors)

    def run(*_: object, capture_output: bool, check: bool, **__: object) -> object:
        assert (capture_output, check) == (True, False)
        return ended

    monkeypatch.setattr(subprocess, "run", run)
    if says is None:
        native_check._run(("a", "b"), "import a, b")
        return
    with pytest.raises(EmbedError, match=says):
        native_check._run(("a", "b"), "import a, b")


def test_what_ran_once_is_not_tried_again_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    monkeypatch.setattr(native_check, "_run", lambda _packages, code: runs.append(code))
    for code in ("1", "1", "2", "2", "1", "2"):
        native_check.check_native(("numpy",), code, tmp_path / "deep" / "er")
    native_check.check_native(("numpy",), "2", None)
    assert runs == ["1", "2", "1", "2", "2"]
    with pytest.raises(EmbedError, match="no-such-package is not installed"):
        native_check.check_native(("no-such-package",), "1", None)
