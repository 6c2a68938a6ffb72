"""A tty, read and written without ever waiting, and never faster than the terminal at its other end takes it.

Over SSH a write never waits: servers and routers between here and the terminal take in many seconds of
frames, and a key's answer would queue behind them. So after every ``PACE_BYTES`` the terminal is asked
for a sign of life (DSR 5, answered by every terminal); while more than ``PACE_WINDOW_BYTES`` are
unanswered no frame is drawn, and the next one shows the newest state.
"""

from __future__ import annotations

import os
import select
import time

from flower import limits

TTY_READ_BYTES = 64 * limits.KIB
PACE_BYTES = 512  # over SSH the terminal is asked for a sign of life this often: under 1 % more bytes
PACE_WINDOW_BYTES = 1024  # unanswered: a quarter of a second on a 4 kB/s line
PACE_LEAVE_S = 0.5  # answers on their way must not be typed into the shell

QUESTION = b"\x1b[5n"
ANSWER = b"\x1b[0n"


class Pace:
    """Counts bytes that were written and not yet seen by the terminal. Has no clock."""

    __slots__ = ("_marks", "_since", "on")

    def __init__(self) -> None:
        self.on = False
        self._marks: list[int] = []  # bytes before each question that waits for its answer
        self._since = 0

    def marked(self, data: bytes) -> bytes:
        """Returns ``data`` with a question behind it when enough went out without one."""
        if not self.on:
            return data
        self._since += len(data)
        if self._since < PACE_BYTES:
            return data
        self._marks.append(self._since)
        self._since = 0
        return data + QUESTION

    def answered(self) -> None:
        """The terminal has seen everything up to the oldest question."""
        if self._marks:
            self._marks.pop(0)

    @property
    def behind(self) -> bool:
        """True when drawing more would only make the queue longer."""
        return bool(self._marks) and sum(self._marks) > PACE_WINDOW_BYTES

    @property
    def owed(self) -> int:
        """How many answers are still to come."""
        return len(self._marks)

    def stop(self) -> None:
        """Asks no more: this terminal, or something before it, does not answer."""
        self.on = False
        self.forget()

    def forget(self) -> None:
        """Expects no more answers."""
        self._marks.clear()
        self._since = 0


class Tty:
    """An open tty. ``pace`` says whether the terminal behind it keeps up."""

    def __init__(self, fd: int) -> None:
        """``fd`` is a tty open for reading and writing; it is neither duplicated nor closed here."""
        self.fd = fd
        self.pace = Pace()
        self._rest = b""  # bytes of the last write that the tty has not taken yet

    def size(self) -> tuple[int, int]:
        """Returns columns and lines, at least 1; 80 x 24 when the tty does not know."""
        try:
            columns, lines = os.get_terminal_size(self.fd)
        except OSError:
            columns = lines = 0
        return columns or 80, lines or 24

    def read(self) -> bytes:
        """Returns what was typed since, b"" if nothing. Raises ``EOFError`` when the tty is gone."""
        try:
            data = os.read(self.fd, TTY_READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise EOFError("the terminal is gone") from error
        if not data:
            raise EOFError("the terminal is gone")
        return data

    @property
    def busy(self) -> bool:
        """True while bytes wait for a slow tty: do not draw, wait until it is writable, ``flush``."""
        return bool(self._rest) or self.pace.behind

    def write(self, data: bytes) -> bool:
        """Writes without waiting; what the tty does not take now is kept for ``flush``.

        Returns True when all is out. Raises ``EOFError`` when the tty is gone.
        """
        self._rest += self.pace.marked(data)
        return self.flush()

    def flush(self) -> bool:
        """Writes what is left over, without waiting. Returns True when all is out."""
        while self._rest:
            try:
                written = os.write(self.fd, self._rest)
            except BlockingIOError:
                return False
            except OSError as error:
                self._rest = b""
                raise EOFError("the terminal is gone") from error
            self._rest = self._rest[written:]
        return True

    def write_for(self, data: bytes, seconds: float) -> None:
        """Writes as much as the tty takes within ``seconds``."""
        deadline = time.monotonic() + seconds
        while data:
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                select.select([], [self.fd], [], left)
            except OSError:
                return  # the tty is gone

    def swallow(self, answers: int) -> None:
        """Reads away the answers that are still on their way, for a moment."""
        deadline, seen = time.monotonic() + PACE_LEAVE_S, b""
        while seen.count(ANSWER) < answers:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return
            try:
                seen += os.read(self.fd, TTY_READ_BYTES) or ANSWER * answers
            except OSError:
                return  # the tty is gone
