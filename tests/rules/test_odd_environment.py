"""Odd users, odd encodings, odd disks: a sentence at most, never a traceback or a lost file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from flower import home
from flower.engine.admin import backup, home_cli
from flower.errors import ConfigError
from flower.shell import plain_letters


def test_a_user_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With FLOWER_HOME everything works; without it a sentence says what to set."""

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert home.open_home(None, {"FLOWER_HOME": str(tmp_path / "f")}).root == tmp_path / "f"
    with pytest.raises(ConfigError, match="FLOWER_HOME"):
        home.default_path({})


def test_the_home_of_a_user_nobody_knows() -> None:
    """It is named, with what to do."""
    with pytest.raises(ConfigError, match=r"~no-such-user/x.*whole path"):
        home.default_path({"FLOWER_HOME": "~no-such-user/x"})
    with pytest.raises(ConfigError, match="--home"):
        home.open_home(Path("~no-such-user/x"), {})


@pytest.mark.parametrize("encoding", ["iso-8859-1", "ascii", "koi8-r", "cp1252"])
def test_any_text_can_be_written(encoding: str) -> None:
    """What an encoding does not have is written plainly."""
    out = TextIOWrapper(BytesIO(), encoding=encoding)
    plain_letters.use_for(out)
    out.write("“The gate’s open” – Mara… 🌸 é ő \ud83c")
    out.flush()
    assert isinstance(out.buffer, BytesIO)
    text = out.buffer.getvalue().decode(encoding).replace("“", '"').replace("”", '"')
    assert "gate" in text
    assert "Mara" in text


def test_a_command_in_a_latin_locale(tmp_path: Path) -> None:
    """A sentence with a curly quote does not end the process."""
    environ = {**os.environ, "PYTHONIOENCODING": "iso-8859-1", "FLOWER_HOME": str(tmp_path / "f’…")}
    done = subprocess.run(
        [sys.executable, "-m", "flower", "restore"],
        env=environ,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("locale", [{"LANG": "C"}, {"LC_ALL": "POSIX"}])
def test_the_c_locale_gets_ascii(tmp_path: Path, locale: dict[str, str]) -> None:
    """What the C locale has is ASCII, though Python would write UTF-8: every other letter is written plainly."""
    environ = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "flower", "--home", str(tmp_path), "--plain", "é…"],
        env={**environ, **locale},
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert done.stdout + done.stderr
    assert (done.stdout + done.stderr).isascii()


def test_a_backup_on_a_disk_without_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT and network shares cannot keep others out: the copy is kept all the same."""
    database = tmp_path / "flower.db"
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE messages (id)")
    db.close()

    def refused(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refused)
    target = tmp_path / "stick" / "copy.db"
    assert backup.make(database, target) == target.stat().st_size


def test_check_names_every_broken_asset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five broken files are five lines."""
    place = home.open_home(tmp_path / "f", {})
    for number in range(5):
        (place.assets / "worlds").mkdir(exist_ok=True)
        (place.assets / "worlds" / f"bad{number}.yaml").write_text("name: no id")
    assert home_cli.check(place) == 1
    assert sum("bad" in line for line in capsys.readouterr().out.splitlines()) == 5
