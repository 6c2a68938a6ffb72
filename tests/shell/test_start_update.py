"""``./start.sh update``: real git, a program and packages of the test's own, and every step failing once.

The home and the checkout are whole afterwards: commit, packages and stories belong together.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from flower import launch
from flower.engine.admin import migrate
from flower.engine.store import schema
from flower.home import Home
from flower.installer.failures import InstallError
from flower.installer.update import Update, run_command

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="no git here")

# In place of Python: what it is asked to do with the stories, done to a file of 100 bytes and a word.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
*" backup "*) for last; do :; done; cp "$HOME_DIR/flower.db" "$last" ;;
*" backup") cp "$HOME_DIR/flower.db" "$HOME_DIR/backups-newest" ;;
*migrate*) { head -c 63 /dev/zero; printf '2'; head -c 36 /dev/zero; printf migrated; } >"$HOME_DIR/flower.db" ;;
esac
"""
SETUP = """#!/bin/sh
rm .venv/packages
cat version >.venv/packages
"""
OLD = b"\0" * 63 + b"1" + b"\0" * 36 + b"stories"
STEPS = ("fetch", "backup", "merge", "start.sh", "migrate")


def git(folder: Path, *arguments: str) -> str:
    line = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
    return subprocess.run(line, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


class Checkout:
    """A clone that is one commit behind, set up, with a home."""

    def __init__(self, folder: Path, home: Home) -> None:
        self.origin, self.root, self.home = folder / "origin", folder / "clone", home
        self.origin.mkdir()
        git(self.origin, "init", "--quiet", "--initial-branch=main")
        (self.origin / ".gitignore").write_text(".venv/\n.venv.back/\n.update/\n.update.new/\n")
        (self.origin / "start.sh").write_text(SETUP)
        self.publish("one")
        git(folder, "clone", "--quiet", str(self.origin), str(self.root))
        (self.root / ".venv" / "bin").mkdir(parents=True)
        python = self.root / ".venv" / "bin" / "python"
        python.write_text(FAKE_PYTHON)
        python.chmod(0o755)
        (self.root / ".venv" / "packages").write_text("one")
        home.database.write_bytes(OLD)
        self.publish("two")

    def publish(self, version: str) -> None:
        (self.origin / "version").write_text(version)
        git(self.origin, "add", "--all")
        git(self.origin, "commit", "--quiet", "--message", version)

    @property
    def state(self) -> tuple[str, str, bytes]:
        """Version of the files, of the packages, and the stories."""
        return (
            (self.root / "version").read_text(),
            (self.root / ".venv" / "packages").read_text(),
            self.home.database.read_bytes() if self.home.database.exists() else b"",
        )


@pytest.fixture
def checkout(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.setenv("HOME_DIR", str(home.root))
    return Checkout(tmp_path, home)


def is_whole(checkout: Checkout) -> None:
    assert git(checkout.root, "status", "--porcelain") == ""
    assert not list(checkout.home.root.glob("*.back"))
    with launch.claim(checkout.home, wait_s=0):
        pass  # the home is free for an engine again


def test_an_update_and_the_way_back(checkout: Checkout) -> None:
    update = Update(checkout.root, checkout.home)
    assert update.forward()
    version, packages, stories = checkout.state
    assert (version, packages) == ("two", "two")
    assert stories.endswith(b"migrated")
    is_whole(checkout)
    assert not update.forward(), "there is nothing newer"
    update.back()
    assert checkout.state == ("one", "one", OLD)
    assert (checkout.home.root / "backups-newest").read_bytes() == stories, "what came since is kept"
    is_whole(checkout)
    with pytest.raises(InstallError, match="no update to go back"):
        update.back()
    assert update.forward(), "and forward again"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_whatever_fails_leaves_everything_as_it_was(checkout: Checkout, step: str, after: bool) -> None:
    """Before the step has done anything, and after it has done all of it."""
    failed = []

    def run(command: Sequence[str], cwd: Path) -> int:
        if any(step in word for word in command[1:]) and not failed:
            if after:
                run_command(command, cwd)
            failed.append(step)
            return 1
        return run_command(command, cwd)

    with pytest.raises(InstallError, match=r"as it was before|nothing was changed"):
        Update(checkout.root, checkout.home, run).forward()
    assert failed == [step]
    assert checkout.state == ("one", "one", OLD)
    is_whole(checkout)
    assert Update(checkout.root, checkout.home).forward(), "the next try works"


def test_an_interrupted_update_goes_back_too(checkout: Checkout) -> None:
    def run(command: Sequence[str], cwd: Path) -> int:
        if "--setup" in command:
            run_command(command, cwd)
            raise KeyboardInterrupt
        return run_command(command, cwd)

    with pytest.raises(KeyboardInterrupt):
        Update(checkout.root, checkout.home, run).forward()
    assert checkout.state == ("one", "one", OLD)
    is_whole(checkout)


def test_stories_of_the_same_form_go_on_after_going_back(checkout: Checkout) -> None:
    Update(checkout.root, checkout.home).forward()
    newer = OLD + b" and more"
    checkout.home.database.write_bytes(newer)
    Update(checkout.root, checkout.home).back()
    assert checkout.state == ("one", "one", newer)


def test_without_stories_an_update_makes_none(checkout: Checkout) -> None:
    checkout.home.database.unlink()

    def run(command: Sequence[str], cwd: Path) -> int:
        return 1 if any("migrate" in word for word in command) else run_command(command, cwd)

    with pytest.raises(InstallError, match="as it was before"):
        Update(checkout.root, checkout.home, run).forward()
    assert checkout.state == ("one", "one", b"")


def test_own_changes_are_not_lost(checkout: Checkout) -> None:
    (checkout.root / "version").write_text("mine")
    with pytest.raises(InstallError, match="git status"):
        Update(checkout.root, checkout.home).forward()
    assert (checkout.root / "version").read_text() == "mine"


def test_a_folder_without_git_is_refused_in_a_sentence(tmp_path: Path, home: Home) -> None:
    with pytest.raises(InstallError, match="cannot be updated"):
        Update(tmp_path, home).forward()


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS) + 1))
def test_stories_of_every_version_are_taken_over(home: Home, version: int) -> None:
    """From the form that the first version of all made."""
    with closing(sqlite3.connect(home.database, isolation_level=None)) as db:
        for script in schema.MIGRATIONS[:version]:
            for statement in schema.statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute(
            "INSERT INTO sessions (id, world_id, character_id, title, created, updated)"
            " VALUES ('old', 'w', 'c', 'Old', 1, 1)"
        )
    assert migrate.main(home.root) == 0
    with closing(sqlite3.connect(home.database)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert db.execute("SELECT title FROM sessions").fetchall() == [("Old",)]


def test_stories_that_cannot_be_taken_over_are_an_error(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate.main(home.root) == 0
    assert not home.database.exists(), "there was nothing to migrate"
    home.database.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    assert migrate.main(home.root) == 1
    assert capsys.readouterr().err.startswith("flower: ")
