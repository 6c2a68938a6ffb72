"""The escape sequences and tty settings that ``terminal`` switches on and off.

Pure data and functions; never writes anything.
"""

from __future__ import annotations

import base64
import termios
from typing import Any

from flower import limits

ALTERNATE_ON, ALTERNATE_OFF = b"\x1b[?1049h", b"\x1b[?1049l"
NO_ALTERNATE_ON, NO_ALTERNATE_OFF = b"\x1b[H\x1b[2J", b"\x1b[H\x1b[2J"
# Autowrap off (the painter places every cell), bracketed paste and focus reports on.
MODES_ON, MODES_OFF = b"\x1b[?7l\x1b[?2004h\x1b[?1004h", b"\x1b[?1004l\x1b[?2004l\x1b[?7h"
# Presses and the wheel only: reports of every move would keep a slow line busy.
MOUSE_ON, MOUSE_OFF = b"\x1b[?1000h\x1b[?1006h", b"\x1b[?1006l\x1b[?1000l"
KITTY_ON, KITTY_OFF = b"\x1b[>1u", b"\x1b[<u"
PLAIN = b"\x1b[r\x1b[m\x1b[?25h"
# The cursor's column after a box line in the second row tells how wide such marks are here.
WIDTH_QUESTION = b"\x1b[2H\xe2\x94\x80\x1b[6n"
# Is there synchronised output, are there margins, which kitty keys are on; everyone answers the last one.
QUESTIONS = b"\x1b[?2026$p\x1b[?69$p\x1b[?u\x1b[c"
SYNC_MODE, MARGIN_MODE = "mode:2026", "mode:69"
TITLE_PUSH, TITLE_POP = b"\x1b[22;2t", b"\x1b[23;2t"
CANCEL = b"\x18"  # ends a sequence that was cut off in the middle


def raw(before: list[Any]) -> list[Any]:
    """Returns the termios attributes of raw mode: every byte as typed, every byte as written.

    Signals too: Ctrl-C and Ctrl-Z come as keys, so that the program restores the screen itself.
    """
    iflag, oflag, cflag, lflag, *speeds, characters = before
    off = termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.IXON
    characters = list(characters)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [
        iflag & ~off,
        oflag & ~termios.OPOST,
        cflag,
        lflag & ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG),
        *speeds,
        characters,
    ]


def title(text: str) -> bytes:
    """Returns the bytes that set the window's title."""
    shown = "".join(char for char in text if char.isprintable())[: limits.TITLE_CHARS]
    return b"\x1b]2;" + shown.encode("utf-8", "replace") + b"\x07"


def clipboard(text: str, term: str, *, tmux: bool) -> bytes:
    """Returns the OSC 52 sequence that copies ``text``, wrapped for the multiplexer in between."""
    data = text.encode("utf-8", "replace")[: limits.CLIPBOARD_BYTES]
    command = b"\x1b]52;c;" + base64.b64encode(data) + b"\x07"
    if tmux:
        return b"\x1bPtmux;" + command.replace(b"\x1b", b"\x1b\x1b") + b"\x1b\\"
    if term.startswith("screen"):
        size = limits.SCREEN_DCS_BYTES
        pieces = [command[at : at + size] for at in range(0, len(command), size)]
        return b"".join(b"\x1bP" + piece + b"\x1b\\" for piece in pieces)
    return command
