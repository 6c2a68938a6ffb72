"""A picture laid over cells with kitty's graphics protocol: sent once, then placed again where it has to be.

Owns what the terminal has of the picture. Terminals move placements when lines scroll and remove them when cells are
erased, so that after such output the picture is placed anew, which takes some 50 bytes. Source: "Terminal graphics
protocol" of kitty's documentation.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flower.tui.render.frame import Frame
    from flower.tui.term.diff import Painter

QUESTION = b"\x1b_Gi=71,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
ANSWER = "Gi=71;OK"
REMOVED = b"\x1b_Ga=d,d=I,i=70,q=2\x1b\\"  # placements and what they show
PICTURE_BYTES = 64 * 1024  # on the way to the terminal, once
_CHUNK = 4096
ERASED_OR_MOVED = re.compile(
    rb"\x1b\[\d*+(?:[JLMST]|;?+\d*+r)|\x1bM"
)  # lines scroll, are put in or erased

Where = tuple[int, int, int, int]  # cells from 0: x, y, columns, rows
Pixels = tuple[int, int, bytes]  # width, height, rows of red, green and blue from the top


class Overlay(Protocol):
    """A way to lay one picture over cells."""

    def stale(self, picture: Pixels | None, where: Where | None) -> bool:
        """True when pixels are left over that only drawing all cells anew takes away."""

    def follow(self, picture: Pixels | None, where: Where | None, written: bytes) -> bytes:
        """Returns what to write behind a frame's bytes, so that the picture is ``where``."""


def painted(
    painter: Painter, overlay: Overlay, frame: Frame, picture: Pixels | None, where: Where | None
) -> bytes:
    """Returns the bytes that make the screen show ``frame`` and over it the picture, or none."""
    if overlay.stale(picture, where):
        painter.forget()
    cells = painter.paint(frame)
    laid = overlay.follow(picture, where, cells)
    if laid:
        painter.unsaved()  # the picture's place was reached by way of the saved cursor
    return cells + laid


class KittyPicture:
    """The one picture on the screen. ``sent`` counts the bytes of pictures that went out."""

    def __init__(self) -> None:
        self.sent = 0
        self.screen: tuple[tuple[int, int], int] | None = None  # nothing about it has to be known
        self._has: Pixels | None = None  # what the terminal has
        self._where: Where | None = None

    def forget(self) -> None:
        """The screen was given away: the terminal may have nothing of it any more."""
        self._has = self._where = None

    def stale(self, picture: Pixels | None, where: Where | None) -> bool:
        """Never: what is not wanted any more is taken away by its name."""
        return False

    def follow(self, picture: Pixels | None, where: Where | None, written: bytes) -> bytes:
        """Returns what to write behind a frame's bytes, so that the picture is ``where``."""
        if picture is None or where is None:
            gone, self._where = self._where is not None, None
            return b"\x1b_Ga=d,d=i,i=70,q=2\x1b\\" if gone else b""
        out = b""
        if self._has != picture:
            out = _transmitted(*picture)
            if len(out) > PICTURE_BYTES:
                return b""
            self.sent += len(out)
            self._has, self._where = picture, None
        if where == self._where and not ERASED_OR_MOVED.search(written):
            return out
        self._where = where
        x, y, columns, rows = where
        put = f"\x1b7\x1b[{y + 1};{x + 1}H\x1b_Ga=p,i=70,p=1,c={columns},r={rows},C=1,q=2\x1b\\\x1b8"
        return out + put.encode()


def _transmitted(width: int, height: int, pixels: bytes) -> bytes:
    packed = base64.b64encode(zlib.compress(pixels, 6))
    return b"".join(_chunks(f"a=t,i=70,f=24,s={width},v={height},o=z,q=2", packed))


def _chunks(keys: str, packed: bytes) -> Iterator[bytes]:
    for start in range(0, len(packed), _CHUNK):
        more = int(start + _CHUNK < len(packed))
        head = f"{keys},m={more}" if not start else f"m={more},q=2"
        yield b"\x1b_G" + head.encode() + b";" + packed[start : start + _CHUNK] + b"\x1b\\"
