"""The escape sequences that ``terminal`` needs before blessed is there, and those that blessed does not have.

Pure data and functions; never writes anything. Mouse, paste, focus and kitty keys are blessed's.
"""

from __future__ import annotations

import base64

from flower import limits

ALTERNATE_ON, ALTERNATE_OFF = b"\x1b[?1049h", b"\x1b[?1049l"
NO_ALTERNATE_ON, NO_ALTERNATE_OFF = b"\x1b[H\x1b[2J", b"\x1b[H\x1b[2J"
AUTOWRAP_OFF, AUTOWRAP_ON = b"\x1b[?7l", b"\x1b[?7h"  # the painter places every cell
PLAIN = b"\x1b[r\x1b[m\x1b[?25h"
# The cursor's column after a box line in the second row tells how wide such marks are here.
WIDTH_QUESTION = b"\x1b[2H\xe2\x94\x80\x1b[6n"
# Are there synchronised output, margins, marked pastes, which kitty keys are on; everyone answers the last one.
QUESTIONS = b"\x1b[?2026$p\x1b[?69$p\x1b[?2004$p\x1b[?u\x1b[c"
SYNC_MODE, MARGIN_MODE, PASTE_MODE = "mode:2026", "mode:69", "mode:2004"
TITLE_PUSH, TITLE_POP = b"\x1b[22;2t", b"\x1b[23;2t"
CANCEL = b"\x18"  # ends a sequence that was cut off in the middle


def title(text: str) -> bytes:
    """Returns the bytes that set the window's title."""
    printable = "".join(char for char in text if char.isprintable())[: limits.TITLE_CHARS]
    return b"\x1b]2;" + printable.encode("utf-8", "replace") + b"\x07"


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
