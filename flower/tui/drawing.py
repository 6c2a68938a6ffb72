"""When a frame is drawn, and what goes out for it: the cells of the model, and the picture over them.

Owns the frame rate and what the screen shows now. Whoever brings news also draws it, in the same step (``show``):
handing it to a drawing task would cost every streamed word another round of the scheduler. Only what has to wait
(for the frame rate, a slow terminal, an animation) is drawn by a task (``run``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import trio

from flower import limits
from flower.tui.state.model import Model, Tick
from flower.tui.state.update import next_wake, story_arrived
from flower.tui.term.diff import Painter
from flower.tui.term.pictures import KittyPicture, SixelPicture, painted, still
from flower.tui.term.terminal import Terminal
from flower.tui.view import portrait
from flower.tui.view.screen import Screen

FRAME_EARLY = 0.75  # of the time between two frames: so much before it is due a word is drawn at once
PACE_PATIENCE_S = 15.0  # a screen full of text on the slowest line; who is silent longer never answers


class FrameRate:
    """When the next frame may be drawn: ``hz`` a second on average, and at once after a rest.

    A frame may come up to ``FRAME_EARLY`` of its time before it is due, and the ones after it are due
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
        self.early_s = self.frame_s * FRAME_EARLY

    def allows(self, now: float) -> bool:
        """Whether news that came at ``now`` is drawn at once; else it is when ``due``."""
        return now >= self.due - self.early_s

    def drawn(self, now: float) -> None:
        """A frame is drawn at ``now``."""
        rested = now - self.due >= self.frame_s
        self.due = (now if rested else self.due) + self.frame_s


class Drawing:
    """Draws a model on a terminal. ``changed``: it is not as it was drawn last."""

    def __init__(
        self,
        terminal: Terminal,
        painter: Painter,
        screen: Screen,
        current: Callable[[], Model],
        tick: Callable[[Tick], None],
    ) -> None:
        """``current`` returns the model as it is, ``tick`` brings it to the time of the next frame."""
        self._terminal = terminal
        self._painter = painter
        self._screen = screen
        self._current = current
        self._tick = tick
        self.rate = FrameRate(limits.TICK_HZ_LOCAL)
        self.changed = True
        self.story_shown = trio.Event()  # or there is none to wait for
        self._caught_up = trio.Event()  # the terminal may have answered
        self._nap = trio.CancelScope()  # its deadline is when the drawing task has to wake
        self._picture: KittyPicture | SixelPicture = KittyPicture()

    def adapt(self) -> None:
        """Draws from now on with what the terminal can do by now."""
        self._painter.adapt(self._terminal.capabilities)

    def repaint(self) -> None:
        """Draws every cell anew with the next frame: something else wrote on the screen."""
        self._painter.forget()
        self.changed = True

    def start_over(self) -> None:
        """Draws everything anew with the next frame: the screen was given away."""
        self._picture.forget()
        self.repaint()

    def use_pictures(self, how: str) -> None:
        """Lays pictures over cells in another way, or for cells of another size, from now on."""
        caps = self._terminal.capabilities
        self._painter.adapt(still(caps) if how == "sixel" else caps)
        picture = SixelPicture(caps.cell, caps.registers) if how == "sixel" else KittyPicture()
        if picture.screen != self._picture.screen:
            self._picture = picture
            self.repaint()  # what sixels drew goes with the cells

    def hurry(self) -> None:
        """Answers a key: draws at once, and looks whether a slow terminal has caught up."""
        self._caught_up.set()
        self.show(urgent=True)

    def show(self, *, urgent: bool = False) -> None:
        """Draws what changed: now if the frame rate allows it or it is the answer to a key, else soon."""
        if self.changed and not self._terminal.busy:
            now = trio.current_time()
            if urgent or self.rate.allows(now):
                self._paint(now)
        wake = self._wake_at()
        if self._nap.deadline != wake:
            self._nap.deadline = wake

    def _wake_at(self) -> float:
        """Returns when the drawing task has something to do."""
        if self._terminal.busy:
            return -math.inf
        if self.changed:
            return self.rate.due
        wake = next_wake(self._current())
        return math.inf if wake is None else wake

    async def run(self) -> None:
        """Draws what could not be drawn at once, and what changes by time alone."""
        while True:
            with trio.CancelScope(deadline=self._wake_at()) as self._nap:
                await trio.sleep_forever()
            # A slow terminal gets fewer frames, never old ones.
            while not self._terminal.flush():
                await trio.lowlevel.wait_writable(self._terminal.fd)
            with trio.move_on_after(PACE_PATIENCE_S) as answer:
                while self._terminal.pace.behind:
                    self._caught_up = trio.Event()
                    await self._caught_up.wait()
            if answer.cancelled_caught:
                self._terminal.pace.stop()
            self._paint(trio.current_time())

    def _paint(self, now: float) -> None:
        self._tick(Tick(now, time.time(), time.strftime("%H:%M")))
        self.changed = False  # the tick itself is in this frame
        self.rate.drawn(now)
        model = self._current()
        if self._terminal.entered:
            self._painter.rebase(model.theme.base)
            frame, picture = self._screen.draw(model), portrait.laid_over(model)
            self._terminal.write(painted(self._painter, self._picture, frame, *picture))
        if story_arrived(model):
            self.story_shown.set()
