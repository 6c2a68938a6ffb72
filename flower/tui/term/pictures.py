"""A picture laid over cells: with kitty's graphics protocol, or as sixels.

Owns what the terminal has of the picture. With kitty it is sent once and placed by its name: terminals move placements
when lines scroll and remove them when cells are erased, so that after such output the picture is placed anew, which
takes some 50 bytes. Sixels have no names: what was drawn stays until its cells are written again, and goes where they
go. So whoever draws the cells must not scroll while one is there, and has to draw them all anew when ``stale`` says so.
Sources: "Terminal graphics protocol" of kitty's documentation; VT330/VT340 Programmer Reference Manual, volume 2,
chapter 14.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

from flower.tui.term.inputs import Reply
from flower.tui.term.pen import Capabilities

if TYPE_CHECKING:
    from flower.tui.render.frame import Frame
    from flower.tui.term.diff import Painter

KITTY_QUESTION = b"\x1b_Gi=71,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
KITTY_ANSWER = "Gi=71;OK"
REMOVED = b"\x1b_Ga=d,d=I,i=70,q=2\x1b\\"  # placements and what they show
PICTURE_BYTES = 64 * 1024  # on the way to the terminal, once
_CHUNK = 4096
# Lines scroll, are put in or erased.
ERASED_OR_MOVED = re.compile(rb"\x1b\[\d*+(?:[JLMST]|;?+\d*+r)|\x1bM")

Where = tuple[int, int, int, int]  # cells from 0: x, y, columns, rows
Pixels = tuple[int, int, bytes]  # width, height, rows of red, green and blue from the top
# How large is a cell, how many colour registers are there (XTSMGRAPHICS). Not everybody answers the second one.
SIXEL_QUESTIONS = b"\x1b[16t\x1b[?1;1;0S"
MOST_COLOURS = 64
_FEWEST_COLOURS = 16
_SIXELS = "4"  # among the attributes, behind the terminal's class
_SIZE = re.compile(r"(\d{1,4});(\d{1,4})")
_REGISTERS = re.compile(r"\?1;0;(\d{1,9})S")
_CELL_PIXELS = range(4, 65)  # a side of a cell; other answers are not believed
_ENCODED_MOST = 8  # encoded pictures: a cast of that many takes turns at no cost
_BAND = 6  # rows of pixels in a row of sixels
_COARSEST = 16
_PERCENT = bytes((value * 100 + 127) // 255 for value in range(256))  # as sixels give colours
Colour = bytes  # red, green, blue in percent


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
    """The picture as kitty's protocol has it. ``sent`` counts the bytes of pictures that went out."""

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


class SixelPicture:
    """The picture drawn as sixels. ``sent`` counts the bytes of pictures that went out."""

    def __init__(self, cell: tuple[int, int], colours: int = MOST_COLOURS) -> None:
        """``cell``: its width and height in pixels; ``colours``: that the terminal has, at least 2."""
        self.sent = 0
        self.screen = cell, min(colours, MOST_COLOURS)
        self._drawn: tuple[Pixels, Where] | None = None

    def forget(self) -> None:
        """The screen was given away: nothing of the picture may be there any more."""
        self._drawn = None

    def stale(self, picture: Pixels | None, where: Where | None) -> bool:
        """True when pixels are left over that only drawing all cells anew takes away."""
        return self._drawn is not None and (picture is None or where != self._drawn[1])

    def follow(self, picture: Pixels | None, where: Where | None, written: bytes) -> bytes:
        """Returns what to write behind a frame's bytes, so that the picture is ``where``."""
        if picture is None or where is None:
            self._drawn = None
            return b""
        if self._drawn == (picture, where) and not ERASED_OR_MOVED.search(written):
            return b""
        self._drawn = (picture, where)
        x, y, columns, rows = where
        cell, colours = self.screen
        drawn = encoded(picture, columns * cell[0], rows * cell[1], colours)
        self.sent += len(drawn)
        return f"\x1b7\x1b[{y + 1};{x + 1}H".encode() + drawn + b"\x1b8"


def refined(caps: Capabilities, reply: Reply) -> Capabilities:
    """Returns the capabilities with what an answer says about pictures."""
    if reply.kind == "attributes":
        return caps._replace(sixel=_SIXELS in reply.value.split(";")[1:])
    if reply.kind == "cell" and (match := _SIZE.fullmatch(reply.value)):
        height, width = int(match[1]), int(match[2])
        plausible = width in _CELL_PIXELS and height in _CELL_PIXELS
        return caps._replace(cell=(width, height) if plausible else (0, 0))
    if reply.kind == "other" and reply.value == KITTY_ANSWER:
        return caps._replace(graphics=True)
    if reply.kind == "other" and (match := _REGISTERS.fullmatch(reply.value)):
        return caps._replace(registers=int(match[1]))
    return caps


def sixels_usable(caps: Capabilities) -> bool:
    """Whether pictures can be drawn so here, and better than as half blocks."""
    return caps.sixel and caps.cell[0] > 0 and caps.registers >= _FEWEST_COLOURS and caps.colors > 0


def way_of(caps: Capabilities) -> str:
    """Returns the best way to show pictures: kitty, sixel, blocks (two half cells in one), or "" for none."""
    if caps.graphics:
        return "kitty"
    if sixels_usable(caps):
        return "sixel"
    return "blocks" if caps.utf8 and caps.colors >= 256 and not caps.ambiguous_wide else ""


def still(caps: Capabilities) -> Capabilities:
    """Returns what is left to a painter that may not move what it does not draw."""
    return caps._replace(
        scroll_region=False,
        scroll_count=False,
        insert_delete_line=False,
        insert_delete_char=False,
        margins=False,
    )


@lru_cache(maxsize=_ENCODED_MOST)
def encoded(picture: Pixels, width: int, height: int, colours: int = MOST_COLOURS) -> bytes:
    """Returns the picture as sixels, ``width`` x ``height`` pixels large and at most ``PICTURE_BYTES``.

    It has as many of its own pixels as fit into that; b"" when not even the fewest do.
    """
    palette, rows = quantised(picture, colours)
    step = 1
    while step <= _COARSEST:
        sampled = [row[::step] for row in rows[::step]]
        drawn = _drawn(palette, sampled, width, height)
        if len(drawn) <= PICTURE_BYTES:
            return drawn
        step *= 2
    return b""


# --- colours --------------------------------------------------------------------------------------


def quantised(picture: Pixels, colours: int) -> tuple[list[Colour], list[list[int]]]:
    """Returns at most ``colours`` (at least 1) and for every pixel which one it has, in rows.

    By median cut: the box of colours with the widest side is halved at the median of its pixels.
    Source: Heckbert, "Color image quantization for frame buffer display", 1982.
    """
    width, height, pixels = picture
    percent = pixels.translate(_PERCENT)
    cells = [percent[at : at + 3] for at in range(0, 3 * width * height, 3)]
    counted = Counter(cells)
    boxes = [list(counted)]
    spreads = [_spread(boxes[0])]
    while len(boxes) < colours:
        (spread, channel), place = max((spread, place) for place, spread in enumerate(spreads))
        if not spread:
            break
        halves = _halved(boxes[place], channel, counted)
        boxes[place : place + 1] = halves
        spreads[place : place + 1] = map(_spread, halves)
    number = {colour: index for index, box in enumerate(boxes) for colour in box}
    indices = [number[cell] for cell in cells]
    rows = [indices[at : at + width] for at in range(0, width * height, width)]
    return [_mean(box, counted) for box in boxes], rows


def _spread(box: Sequence[Colour]) -> tuple[int, int]:
    """Returns the width of the box's widest side, and which it is."""
    sides = zip(*box, strict=True)
    return max((max(side) - min(side), channel) for channel, side in enumerate(sides))


def _halved(
    box: Sequence[Colour], channel: int, counted: Mapping[Colour, int]
) -> tuple[list[Colour], list[Colour]]:
    box = sorted(box, key=itemgetter(channel))
    half, seen, cut = sum(counted[colour] for colour in box) / 2, 0, 1
    for place, colour in enumerate(box[:-1], start=1):
        seen, cut = seen + counted[colour], place
        if seen >= half:
            break
    return box[:cut], box[cut:]


def _mean(box: Sequence[Colour], counted: Mapping[Colour, int]) -> Colour:
    weight = sum(counted[colour] for colour in box)
    sums = (sum(colour[channel] * counted[colour] for colour in box) for channel in range(3))
    return bytes((total + weight // 2) // weight for total in sums)


# --- sixels ---------------------------------------------------------------------------------------


def _drawn(palette: Sequence[Colour], rows: Sequence[Sequence[int]], width: int, height: int) -> bytes:
    """Returns the rows of colour numbers blown up to ``width`` x ``height``, each pixel in its nearest place."""
    registers = "".join(
        f"#{number};2;{red};{green};{blue}" for number, (red, green, blue) in enumerate(palette)
    )
    columns = [x * len(rows[0]) // width for x in range(width)]
    runs = [(column, len(list(same))) for column, same in groupby(columns)]
    tops = [tuple(y * len(rows) // height for y in range(top, min(top + _BAND, height)))
            for top in range(0, height, _BAND)]  # fmt: skip
    bands: dict[tuple[int, ...], str] = {}
    for sources in tops:
        if sources not in bands:
            bands[sources] = "$".join(_planes(rows, sources, runs))
    body = "-".join(bands[sources] for sources in tops)
    # Pixels that are not set keep what is there; pixels are square.
    return f'\x1bP0;1q"1;1;{width};{height}{registers}{body}\x1b\\'.encode()


def _planes(
    rows: Sequence[Sequence[int]], sources: tuple[int, ...], runs: Sequence[tuple[int, int]]
) -> Iterator[str]:
    """Yields a band's pixels of one colour after the other."""
    masks: dict[int, int] = {}
    for bit, source in enumerate(sources):
        masks[source] = masks.get(source, 0) | 1 << bit
    planes: dict[int, list[tuple[int, int, int]]] = {}  # by colour: from where, how many, which bits
    at = 0
    for column, count in runs:
        bits: dict[int, int] = {}
        for source, mask in masks.items():
            colour = rows[source][column]
            bits[colour] = bits.get(colour, 0) | mask
        for colour, mask in bits.items():
            planes.setdefault(colour, []).append((at, count, mask))
        at += count
    for colour, parts in planes.items():
        yield f"#{colour}{_plane(parts)}"


def _plane(parts: Sequence[tuple[int, int, int]]) -> str:
    out, end, before, length = [], 0, 0, 0
    for at, count, mask in parts:
        if at > end or mask != before:
            out += [_repeated(before, length), _repeated(0, at - end)]
            before, length = mask, 0
        length += count
        end = at + count
    out.append(_repeated(before, length))
    return "".join(out)


def _repeated(mask: int, count: int) -> str:
    char = chr(63 + mask)
    return char * count if count < 4 else f"!{count}{char}"
