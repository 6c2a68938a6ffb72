"""How often a terminal gets a frame, and how much is under way to one at the end of a slow line.

Over SSH a write never waits: servers and routers between here and the terminal take in many seconds of
frames, and a key's answer would queue behind them. So after every ``PACE_BYTES`` the terminal is asked
for a sign of life (DSR 5, answered by every terminal); while more than ``PACE_WINDOW_BYTES`` are
unanswered no frame is drawn, and the next one shows the newest state. Pure counting, no clock.
"""

from __future__ import annotations

from flower import limits

QUESTION = b"\x1b[5n"
ANSWER = b"\x1b[0n"


class Pace:
    """Counts bytes that were written and not yet seen by the terminal."""

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
        if self._since < limits.PACE_BYTES:
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
        return bool(self._marks) and sum(self._marks) > limits.PACE_WINDOW_BYTES

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


class FrameRate:
    """When the next frame may be drawn: ``hz`` a second on average, and at once after a rest.

    A frame may come up to ``limits.FRAME_EARLY`` of its time before it is due, and the ones after it are due
    as if it had not: so frames fall together with the words that are to be seen, most of which wait for
    nothing, and a program that woke up for a word need not wake up again for its frame.
    """

    __slots__ = ("due", "early_s", "frame_s")

    def __init__(self, hz: float) -> None:
        self.due = 0.0  # in the seconds of whoever asks
        self.use(hz)

    def use(self, hz: float) -> None:
        """Goes on with ``hz`` frames a second."""
        self.frame_s = 1 / hz
        self.early_s = self.frame_s * limits.FRAME_EARLY

    def allows(self, now: float) -> bool:
        """Whether news that came at ``now`` is drawn at once; else it is when ``due``."""
        return now >= self.due - self.early_s

    def drawn(self, now: float) -> None:
        """A frame is drawn at ``now``."""
        rested = now - self.due >= self.frame_s
        self.due = (now if rested else self.due) + self.frame_s
