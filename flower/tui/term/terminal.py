"""The terminal: taken and given back, its modes and capabilities; ``tty`` reads and writes.

Owns the tty from ``enter`` to ``leave`` and gives it back as it was, whatever happens: on every exit path
of the program, and by ``atexit`` if all else failed. Never draws and never decodes keys.

The first frame must not wait for slow imports, so this module uses the standard library and what the
environment and terminfo say. ``adopt`` then hands the modes of keys, mouse, paste and focus to blessed, and
``answered`` takes in what the terminal itself says to the questions asked by ``enter``.
"""

from __future__ import annotations

import atexit
import base64
import os
import signal
import termios
import tty
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from flower import limits
from flower.errors import TerminalError
from flower.tui.term import capabilities, pictures
from flower.tui.term.inputs import Reply
from flower.tui.term.pen import Capabilities
from flower.tui.term.tty import Tty

if TYPE_CHECKING:  # 36 ms: not before the first frame
    from flower.tui.term.blessed_terminal import BlessedTerminal

RESTORE_S = 1.0  # longest that leaving the screen may wait for a blocked terminal
CLIPBOARD_BYTES = 72 * limits.KIB  # xterm and tmux drop OSC 52 texts over about 100,000 bytes of base64
SCREEN_DCS_BYTES = 700  # GNU screen passes at most 768 bytes of one string on

# Sequences that are needed before blessed is there, and those that it does not have.
ALTERNATE_ON, ALTERNATE_OFF = b"\x1b[?1049h", b"\x1b[?1049l"
NO_ALTERNATE_ON, NO_ALTERNATE_OFF = b"\x1b[H\x1b[2J", b"\x1b[H\x1b[2J"
AUTOWRAP_OFF, AUTOWRAP_ON = b"\x1b[?7l", b"\x1b[?7h"  # the painter places every cell
PLAIN = b"\x1b[r\x1b[m\x1b[?25h"
# The cursor's column after a box line in the second row tells how wide such marks are here.
WIDTH_QUESTION = b"\x1b[2H\xe2\x94\x80\x1b[6n"
# Are there synchronised output, margins, marked pastes, which kitty keys are on; everyone answers the last one.
QUESTIONS = b"\x1b[?2026$p\x1b[?69$p\x1b[?2004$p\x1b[?u\x1b[c"
TITLE_PUSH, TITLE_POP = b"\x1b[22;2t", b"\x1b[23;2t"
CANCEL = b"\x18"  # ends a sequence that was cut off in the middle


class Terminal(Tty):
    """One tty. Use it as a context manager, or call ``enter`` and ``leave``."""

    def __init__(
        self, fd: int, *, environ: Mapping[str, str] | None = None, mouse: bool = False
    ) -> None:
        """``fd`` is a tty open for reading and writing; it is neither duplicated nor closed here."""
        super().__init__(fd)
        self._environ = os.environ if environ is None else environ
        self._mouse = mouse
        self._term = self._environ.get("TERM", "")
        terminfo = capabilities.terminfo_of(self._term)
        self.usable = capabilities.usable(self._term, terminfo)
        self._alternate = terminfo is None or bool(terminfo("smcup"))
        self._caps = capabilities.detect(self._term, self._environ, terminfo)
        self._before: list[Any] | None = None  # termios attributes while we own the tty
        self._was_blocking = True
        self._blessed: BlessedTerminal | None = None
        self._modes = ExitStack()  # blessed's contexts: what is on, and how it goes off
        self._mouse_mode = ExitStack()
        self._kitty = False
        self._titled = False  # the window's title was ours at some time
        self._unanswered = False

    @classmethod
    def open(cls, *, environ: Mapping[str, str] | None = None, mouse: bool = False) -> Terminal:
        """Returns the process's terminal. Raises ``TerminalError`` when there is none.

        The tty is opened anew: its non-blocking mode is then ours alone and not that of the shell,
        which shares standard input and output with us.
        """
        for number in (0, 1, 2):
            if os.isatty(number):
                try:
                    path = os.ttyname(number)
                    return cls(
                        os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC),
                        environ=environ,
                        mouse=mouse,
                    )
                except OSError:
                    # Another user's tty (su, sudo) cannot be opened by name, but it is open already.
                    return cls(os.dup(number), environ=environ, mouse=mouse)
        raise TerminalError(
            "There is no terminal to draw on; run this in a terminal, or use --plain for pipes."
        )

    # --- state ----------------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        """What the terminal can do, as far as is known now."""
        return self._caps

    @property
    def name(self) -> str:
        """What ``TERM`` calls it."""
        return self._term

    @property
    def console(self) -> bool:
        """True on a text console, whose font has few glyphs."""
        return self._term.startswith(("linux", "cons25"))

    @property
    def entered(self) -> bool:
        """True while the tty is ours."""
        return self._before is not None

    # --- entering and leaving -------------------------------------------------------------------

    def enter(self) -> None:
        """Takes the tty: raw input without echo, alternate screen, paste and focus reports.

        Keys typed before are kept. Raises ``TerminalError`` when the tty is gone.
        """
        if self._before is not None:
            return
        try:
            before = termios.tcgetattr(self.fd)
        except termios.error as error:
            raise TerminalError(f"The terminal cannot be used: {error}.") from error
        self._make_raw()
        self._before = before
        self._was_blocking = os.get_blocking(self.fd)
        os.set_blocking(self.fd, False)
        atexit.register(self.leave)
        self._rest = b""
        self._start()

    def _make_raw(self) -> None:
        """Every byte as typed and as written; Ctrl-C and Ctrl-Z too, so that we restore the screen."""
        try:
            tty.setraw(self.fd, termios.TCSANOW)
        except termios.error as error:
            raise TerminalError(f"The terminal cannot be used: {error}.") from error

    def _start(self) -> None:
        start = ALTERNATE_ON if self._alternate else NO_ALTERNATE_ON
        if capabilities.answers(self._term):
            start += (WIDTH_QUESTION if self._caps.utf8 else b"") + QUESTIONS
            self._unanswered = True
        self.write(start + AUTOWRAP_OFF)
        self._modes_on()

    def adopt(self, blessed: BlessedTerminal) -> None:
        """Lets blessed switch the modes of keys, paste, focus and mouse, and name the colours it knows of."""
        self._blessed = blessed
        if not self._environ.get("NO_COLOR"):
            colors = capabilities.more_colors(
                self._term, self._environ, self._caps.colors, blessed.number_of_colors
            )
            self._caps = self._caps._replace(colors=colors)
        if self.entered:
            self._modes_on()

    def _modes_on(self) -> None:
        if self._blessed is None:
            return
        self._kitty = False
        self._modes, self._mouse_mode = ExitStack(), ExitStack()
        self._modes.enter_context(self._blessed.bracketed_paste())
        self._modes.enter_context(self._blessed.focus_events())
        if self._mouse:
            # Presses and the wheel only: reports of every move would keep a slow line busy.
            self._mouse_mode.enter_context(self._blessed.mouse_enabled())
        self.write(self._blessed.written())

    def _modes_off(self) -> bytes:
        """Returns the bytes that end what blessed switched on."""
        self._mouse_mode.close()
        self._modes.close()
        self._kitty = False
        return self._blessed.written() if self._blessed is not None else b""

    def leave(self) -> None:
        """Gives the tty back as it was. Safe to call again, from anywhere, on a dead tty too."""
        before, self._before = self._before, None
        if before is None:
            return
        atexit.unregister(self.leave)
        end = CANCEL if self._rest else b""
        end += self._modes_off()
        if self._caps.graphics:
            end += pictures.REMOVED
        if self._titled:
            end += TITLE_POP
        if self._caps.sync:
            end += b"\x1b[?2026l"
        if self._caps.margins:
            end += b"\x1b[?69l"
        end += AUTOWRAP_ON + PLAIN + (ALTERNATE_OFF if self._alternate else NO_ALTERNATE_OFF)
        self._rest = b""
        self._titled = False
        self.write_for(end, RESTORE_S)
        self.swallow(self.pace.owed)
        self.pace.forget()
        # Answers still on their way would be typed into the shell.
        when = termios.TCSAFLUSH if self._unanswered else termios.TCSANOW
        self._unanswered = False
        try:
            os.set_blocking(self.fd, self._was_blocking)
            termios.tcsetattr(self.fd, when, before)
        except (OSError, termios.error):
            return  # the tty is gone: nobody is left to see it

    def suspend(self) -> None:
        """Gives the tty back and stops the process group, as Ctrl-Z does; after ``fg`` enters again.

        The next frame has to be drawn whole. Without a job-control shell above it nothing stops.
        Must be called in the main thread.
        """
        self.leave()
        # The whole group: a script that started us has to stop too, or the shell would not come back.
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(0, signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self.enter()

    def resume(self) -> None:
        """Sets all modes again after someone else stopped the process or changed the terminal."""
        if self._before is None:
            self.enter()
            return
        self._make_raw()
        os.set_blocking(self.fd, False)
        self._modes_off()  # whoever had the terminal has ended them
        self._start()

    def __enter__(self) -> Terminal:
        self.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def use_mouse(self, on: bool) -> None:
        """Switches reports of presses and of the wheel on or off, now and for later."""
        if on != self._mouse and self.entered and self._blessed is not None:
            if on:
                self._mouse_mode.enter_context(self._blessed.mouse_enabled())
            else:
                self._mouse_mode.close()
            self.write(self._blessed.written())
        self._mouse = on

    # --- what goes out beside the cells -----------------------------------------------------------

    def bell(self) -> bytes:
        """Returns the bytes that ring the bell."""
        return b"\x07"

    def title(self, text: str) -> bytes:
        """Returns the bytes that set the window's title; ``leave`` brings the old one back."""
        if not capabilities.answers(self._term):
            return b""
        first, self._titled = not self._titled, True
        return (TITLE_PUSH if first else b"") + title_of(text)

    def copy(self, text: str) -> bytes:
        """Returns the bytes that put ``text`` on the clipboard (OSC 52), through tmux and screen too.

        At most ``CLIPBOARD_BYTES`` of it: terminals refuse more.
        """
        return clipboard(text, self._term, tmux=bool(self._environ.get("TMUX")))

    # --- refining -------------------------------------------------------------------------------

    def answered(self, reply: Reply) -> bool:
        """Takes in an answer of the terminal. Returns True when its capabilities changed."""
        if reply.kind == "attributes":
            self._unanswered = False
            self.pace.on = self._slow
        elif reply.kind == "status":
            self.pace.answered()
        elif reply.kind == "kitty":
            self._use_kitty_keys(reply.value)
        before = self._caps
        self._caps = pictures.refined(capabilities.refined(before, reply), reply)
        return self._caps != before

    def ask_for_graphics(self) -> None:
        """Asks whether pictures can be laid over cells, and how large cells are.

        Only somebody who wants pictures has it asked.
        """
        if self.entered and capabilities.answers(self._term) and not self._slow:
            self.write(pictures.KITTY_QUESTION + pictures.SIXEL_QUESTIONS)

    def picture_way(self) -> str:
        """Returns how pictures are shown here: kitty, sixel, blocks, or "" over a slow line and without colours."""
        return "" if self._slow else pictures.way_of(self._caps)

    @property
    def _slow(self) -> bool:
        return bool(self._environ.get("SSH_CONNECTION"))

    def _use_kitty_keys(self, flags: str) -> None:
        """Asks for keys that differ from each other, and for what they would be on a Latin layout."""
        if self._blessed is None or self._kitty or not self.entered:
            return
        self._kitty = True
        self._blessed.kitty_flags = int(flags) if flags.isdecimal() and len(flags) < 4 else 0
        self._modes.enter_context(
            self._blessed.enable_kitty_keyboard(report_alternates=True, force=True)
        )
        self.write(self._blessed.written())


def title_of(text: str) -> bytes:
    """Returns the bytes that set the window's title."""
    printable = "".join(char for char in text if char.isprintable())[: limits.TITLE_CHARS]
    return b"\x1b]2;" + printable.encode("utf-8", "replace") + b"\x07"


def clipboard(text: str, term: str, *, tmux: bool) -> bytes:
    """Returns the OSC 52 sequence that copies ``text``, wrapped for the multiplexer in between."""
    data = text.encode("utf-8", "replace")[:CLIPBOARD_BYTES]
    command = b"\x1b]52;c;" + base64.b64encode(data) + b"\x07"
    if tmux:
        return b"\x1bPtmux;" + command.replace(b"\x1b", b"\x1b\x1b") + b"\x1b\\"
    if term.startswith("screen"):
        size = SCREEN_DCS_BYTES
        pieces = [command[at : at + size] for at in range(0, len(command), size)]
        return b"".join(b"\x1bP" + piece + b"\x1b\\" for piece in pieces)
    return command
