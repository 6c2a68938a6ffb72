"""Commands in messages are those that can be typed here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flower.installation import as_typed, command_name
from tests.paths import ROOT


def test_flower_on_the_path_is_flower_only_if_it_is_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "flower"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert command_name(str(tmp_path)) == str(ROOT / "start.sh")
    own = Path(sys.prefix, "bin", "flower")
    other.unlink()
    if own.exists():
        other.symlink_to(own)
        assert command_name(str(tmp_path)) == "flower"


def test_in_the_checkout_it_is_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", "")
    assert as_typed("`flower check`, or `flower`.") == "`./start.sh check`, or `./start.sh`."
    assert as_typed("a flower, `flowers`") == "a flower, `flowers`"
