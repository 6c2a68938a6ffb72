"""A real ``./start.sh update`` with every step failing once: ``python3 -m tests.bench.update_walk OLD``.

Makes a remote on disk whose newest commit is this checkout's with one package changed, a clone of it at the commit
``OLD``, and a home in which that version has played. Then each step of an update fails, before it has done anything
and after it has done all of it, and the packages once more for want of a network. Compared each time with what was
there: the commit, every file of the environment, every row of the database, the other files of the home. At the end
the update works, plays, and goes back.

Takes minutes and the network, which is why it is no test; ``tests/shell/test_start_update.py`` is the one with
packages of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[2]
STEPS = ("fetch", "backup", "merge", "start.sh", "migrate")
EVENING = (
    "/world select orrinsay\n/character select mara\n/session new\nI knock at the door.\nI wait.\n"
)
# Runs the update of the version that is there, with one command that fails.
DRIVER = """
import os, sys
from pathlib import Path
from flower.errors import FlowerError
from flower.home import open_home
from flower.installer import update
step, after = sys.argv[1], sys.argv[2] == "after"
failed = []
def run(command, cwd):
    if failed or not any(step in word for word in command[1:]):
        return update.run_command(command, cwd)
    failed.append(step)
    if after:
        update.run_command(command, cwd)
    return 1
try:
    update.Update(Path.cwd(), open_home(None, os.environ), run).forward()
except FlowerError as error:
    print(error)
sys.exit(0 if failed else 3)
"""


class Walk:
    """A remote, a clone of it at an older commit, and its home."""

    def __init__(self, folder: Path, old: str, package: str) -> None:
        self.remote, self.clone, self.home = folder / "remote", folder / "flower", folder / "home"
        self.environ = {**os.environ, "FLOWER_HOME": str(self.home)}
        self.environ.pop("PYTHONPATH", None)
        self.call(["git", "clone", "--quiet", str(ROOT), str(self.remote)], folder)
        self.git("checkout", "--quiet", "-B", "main", old)
        self.call(["git", "clone", "--quiet", str(self.remote), str(self.clone)], folder)
        self.git("merge", "--quiet", "--ff-only", self.call(["git", "rev-parse", "HEAD"], ROOT))
        constraints = self.remote / "constraints.txt"
        name = package.partition("==")[0]
        lines = constraints.read_text().splitlines()
        changed = [package if line.startswith(f"{name}==") else line for line in lines]
        if changed == lines:
            sys.exit(f"{package} is no change of constraints.txt")
        constraints.write_text("\n".join([*changed, ""]))
        self.git(
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.org",
            "commit",
            "-qam",
            "Another package",
        )
        self.package = package

    def call(self, line: Sequence[str], cwd: Path, text: str = "", **environ: str) -> str:
        done = subprocess.run(
            line, cwd=cwd, env={**self.environ, **environ}, input=text, capture_output=True, text=True, check=False
        )  # fmt: skip
        if done.returncode:
            sys.exit(
                f"{' '.join(line[:4])}: {done.returncode}\n{done.stderr[-1500:]}{done.stdout[-1500:]}"
            )
        return done.stdout.strip()

    def git(self, *arguments: str) -> str:
        return self.call(["git", *arguments], self.remote)

    def play(self) -> str:
        """Plays a few lines; returns how many messages there are then."""
        script = f'(printf "{EVENING.encode("unicode_escape").decode()}"; sleep 8) | ./start.sh --plain'
        self.call(["sh", "-c", script], self.clone)
        with closing(sqlite3.connect(self.home / "flower.db")) as db:
            return str(db.execute("SELECT count(*) FROM messages").fetchone()[0])

    def state(self) -> dict[str, str]:
        """Returns what must be whole, as fingerprints."""
        with closing(sqlite3.connect(self.home / "flower.db")) as db:
            rows = "\n".join(db.iterdump())
            sound = db.execute("PRAGMA integrity_check").fetchone()[0]
            form = db.execute("PRAGMA user_version").fetchone()[0]
        environment = _files(
            self.clone / ".venv", without=("__pycache__", "setup.log", "index.log", "tmp")
        )
        own = _files(
            self.home, without=("flower.db", "flower.db-wal", "flower.db-shm", "run", "logs", "backups")
        )
        return {
            "commit": self.call(["git", "rev-parse", "HEAD"], self.clone),
            "changes": self.call(["git", "status", "--porcelain"], self.clone),
            "environment": _print(environment),
            "packages": _print(
                sorted(p.name for p in self.clone.glob(".venv/lib/*/site-packages/*.dist-info"))
            ),
            "rows": _print([rows]),
            "database": f"form {form}, {sound}",
            "home": _print(own),
        }

    def fail(self, step: str, when: str, **environ: str) -> str:
        """Returns what the update said when this step failed."""
        line = [sys.executable, "-P", "-c", DRIVER, step, when]
        more = {"PYTHONPATH": str(self.clone), "PYTHONDONTWRITEBYTECODE": "1", **environ}
        return self.call(line, self.clone, **more)


def _files(folder: Path, *, without: Sequence[str]) -> list[str]:
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not set(parts) & set(without):
            found.append(f"{'/'.join(parts)} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return found


def _print(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("old", help="the commit to begin with")
    parser.add_argument(
        "--package", default="certifi==2025.8.3", help="what the newest commit pins instead"
    )
    parser.add_argument("--folder", default=None)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        walk = Walk(folder, arguments.old, arguments.package)
        walk.call(["./start.sh", "--setup"], walk.clone)
        print("before:", walk.play(), "messages,", before := walk.state(), flush=True)
        tries = [(step, when, {}) for step in STEPS for when in ("before", "after")]
        tries.append(
            ("nothing", "before", {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"})
        )
        for step, when, environ in tries:
            begun = time.monotonic()
            if step == "nothing":
                step = "packages without a network"
                shell = ["sh", "-c", "./start.sh update 2>&1 || :"]
                said = walk.call(shell, walk.clone, **environ).splitlines()[-1]
            else:
                said = walk.fail(step, when)
            differing = [name for name, value in walk.state().items() if value != before[name]]
            verdict = f"DIFFERS: {', '.join(differing)}" if differing else "whole"
            print(f"{step}, {when}: {verdict} ({time.monotonic() - begun:.0f} s): {said}", flush=True)
        walk.call(["./start.sh", "update"], walk.clone)
        after = walk.state()
        name, _, version = arguments.package.partition("==")
        assert list(walk.clone.glob(f".venv/lib/*/site-packages/{name}-{version}.dist-info"))
        print("updated:", after, "and", walk.play(), "messages", flush=True)
        walk.call(["./start.sh", "update", "--back"], walk.clone)
        back = walk.state()
        differing = [name for name, value in back.items() if value != before[name]]
        print("back, different from before:", differing or "nothing", "and", walk.play(), "messages")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
