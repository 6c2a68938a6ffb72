"""A real program in a pseudo-terminal: what it writes, what it is sent, how it leaves the terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, LINES = 100, 30
WITHOUT = ("SSH_CONNECTION", "TMUX", "NO_COLOR", "COLORTERM")


class Pty:
    """A child in a pseudo-terminal and everything it wrote. Close it at the end."""

    def __init__(self, arguments: list[str], environ: dict[str, str] | None = None) -> None:
        self.begun = time.perf_counter()
        self.master, self.slave = pty.openpty()
        self.resize(COLUMNS, LINES)
        self.before = termios.tcgetattr(self.slave)
        env = {name: value for name, value in os.environ.items() if name not in WITHOUT}
        env |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environ or {})}
        self.child = subprocess.Popen(
            arguments,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=env,
            cwd=ROOT,
            start_new_session=True,
        )
        self.output = b""
        self.last_at = self.begun

    def __enter__(self) -> Pty:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resize(self, columns: int, lines: int) -> None:
        """Changes the size of the terminal; the child is told when it has one."""
        ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def pump(self, seconds: float) -> bytes:
        """Reads for ``seconds``; returns what came."""
        start = len(self.output)
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            if not select.select([self.master], [], [], left)[0]:
                break
            self._read()
        return self.output[start:]

    def pump_some(self, seconds: float) -> bool:
        """Reads once as soon as something comes; returns whether anything did within ``seconds``."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        self._read()
        return True

    def drain(self, seconds: float) -> None:
        """Reads for ``seconds``, also when nothing comes."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            if select.select([self.master], [], [], left)[0]:
                self._read()

    def wait(self, done: Callable[[bytes], bool], seconds: float = 10.0) -> float:
        """Reads until ``done(everything since now)``; returns the seconds that took."""
        start, began = len(self.output), time.perf_counter()
        while not done(self.output[start:]):
            if time.perf_counter() - began > seconds:
                raise TimeoutError(repr(self.output[start:][-400:]))
            if select.select([self.master], [], [], 0.2)[0]:
                self._read()
        return self.last_at - began

    def wait_for(self, text: str, seconds: float = 10.0) -> float:
        """Reads until ``text`` was written since the child began; returns the seconds that took."""
        start = len(self.output)
        return self.wait(lambda fresh: text.encode() in self.output[:start] + fresh, seconds)

    def _read(self) -> None:
        self.output += os.read(self.master, 65536)
        self.last_at = time.perf_counter()

    def read_some(self, size: int) -> int:
        """Reads at most ``size`` bytes, as a slow terminal does; returns how many."""
        if not select.select([self.master], [], [], 0.05)[0]:
            return 0
        data = os.read(self.master, size)
        self.output += data
        return len(data)

    def type(self, keys: str) -> None:
        """Types bytes as they are."""
        os.write(self.master, keys.encode())

    def wait_end(self, seconds: float = 5.0) -> int:
        """Reads until the child has ended; returns its exit code."""
        until = time.perf_counter() + seconds
        while self.child.poll() is None:
            if time.perf_counter() > until:
                raise TimeoutError(f"still running: {self.output[-300:]!r}")
            self.pump(0.02)
        self.pump(0.02)
        return self.child.returncode

    def close(self) -> None:
        """Ends the child if it still runs, and the terminal."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.wait_end(3.0)
            except TimeoutError:
                self.child.kill()
                self.child.wait()
        os.close(self.slave)
        os.close(self.master)
