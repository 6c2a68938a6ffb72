"""PostgreSQL servers of a test's own: in a temporary folder, on a Unix socket, as an ordinary user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

DEBIAN = Path("/usr/lib/postgresql")
FAST = ("fsync=off", "full_page_writes=off", "max_connections=60", "shared_buffers=32MB")


def program(name: str) -> Path | None:
    """Returns where a program of PostgreSQL is, the newest one that Debian has first."""
    for folder in sorted(DEBIAN.glob("*/bin"), reverse=True):
        if (folder / name).exists():
            return folder / name
    found = shutil.which(name)
    return Path(found).resolve() if found else None


@cache
def why_not() -> str:
    """Returns why no server can be started here, "" if one can."""
    if program("initdb") is None:
        return "PostgreSQL is not installed here (Debian: apt-get install postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "the extra `postgres` is not set up (./start.sh --setup postgres)"
    return ""


needed = pytest.mark.skipif(bool(why_not()), reason=why_not())


class Cluster:
    """A server. ``settings``: lines of its configuration."""

    def __init__(self, settings: tuple[str, ...] = FAST) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="flower-pg-"))
        self.data = self.folder / "data"
        self._settings = settings
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            somebody = next(name for name in ("postgres", "nobody") if _exists(name))
            entry = pwd.getpwnam(somebody)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            self._user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def make(self) -> None:
        """Makes the files of a new server and starts it."""
        self.run(
            "initdb", "-D", str(self.data), "-U", "flower", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        options = " ".join(f"-c {setting}" for setting in self._settings)
        self.run(
            "pg_ctl", "-D", str(self.data), "-w", "-l", str(self.folder / "log"), "start",
            "-o", f"-c listen_addresses='' -c unix_socket_directories={self.folder} {options}",
        )  # fmt: skip

    def run(self, name: str, *words: str) -> None:
        """Runs a program of PostgreSQL; raises with what it said."""
        path = program(name)
        assert path is not None
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        done = subprocess.run(
            [str(path), *words], capture_output=True, text=True, cwd="/", env=environment, **self._user
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"

    def stop(self, mode: str = "immediate") -> None:
        """Stops the server; ``immediate`` is a crash."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    @property
    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def kill(self) -> None:
        """Kills the server as ``kill -9`` does: all of it, as if the machine were gone."""
        os.kill(self.pid, signal.SIGKILL)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://flower@/{database}?host={self.folder}"

    def sql(self, statement: str, database: str = "postgres") -> list[Any]:
        """Returns the rows of a statement that is no part of a transaction."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as raw:
            cursor = raw.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def remove(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
