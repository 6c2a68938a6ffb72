"""Styles of cells, and the shortest escape text that turns one style into another.

Owns ``Style`` and its reduction to what a terminal can show: 16 million colours, 256, 16, 8 or none.
Never looks at a terminal: the number of colours is an argument.

Codes are those of ECMA-48 (SGR) with xterm's 256 colour palette, whose entries 16-255 are a
6x6x6 cube and 24 greys that every terminal shares.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

TRUE_COLOR = 1 << 24


class Style(NamedTuple):
    """How a cell looks. Colours are ``0xRRGGBB``; ``None`` is the terminal's own default."""

    fg: int | None = None
    bg: int | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False

    def over(self, base: Style) -> Style:
        """Returns this style laid on ``base``: own colours win, attributes add up."""
        return Style(
            base.fg if self.fg is None else self.fg,
            base.bg if self.bg is None else self.bg,
            self.bold or base.bold,
            self.dim or base.dim,
            self.italic or base.italic,
            self.underline or base.underline,
            self.reverse or base.reverse,
        )


PLAIN = Style()
Span = tuple[str, Style]

_CUBE_LEVELS = (0, 95, 135, 175, 215, 255)
_CUBE_EDGES = (48, 115, 155, 195, 235)  # halfway between the levels
# The hue of a colour, in sixths of the circle from red, as one of the ANSI colours 1-6.
_HUES = (1, 3, 2, 6, 4, 5)


def blank(style: Style) -> Style:
    """Returns the part of ``style`` that shows on a space: two equal ones look the same there."""
    if style.underline or style.reverse:
        return style
    return _blank_of(style.bg)


@lru_cache(maxsize=256)
def _blank_of(bg: int | None) -> Style:
    return Style(bg=bg)


@lru_cache(maxsize=4096)
def palette_256(color: int) -> tuple[int, bool]:
    """Returns the nearest entry of xterm's palette (16-255) and whether it is exactly ``color``."""
    red, green, blue = color >> 16 & 255, color >> 8 & 255, color & 255
    steps = [sum(value >= edge for edge in _CUBE_EDGES) for value in (red, green, blue)]
    cube = tuple(_CUBE_LEVELS[step] for step in steps)
    grey_step = min(23, max(0, round(((red + green + blue) / 3 - 8) / 10)))
    grey = (8 + 10 * grey_step,) * 3
    target = (red, green, blue)
    if _distance(grey, target) < _distance(cube, target):
        return 232 + grey_step, grey == target
    return 16 + 36 * steps[0] + 6 * steps[1] + steps[2], cube == target


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


@lru_cache(maxsize=1024)
def palette_16(color: int) -> int:
    """Returns the ANSI colour 0-15 with the same hue and about the same lightness.

    Nearest-by-distance turns most soft colours into grey; keeping the hue keeps roles apart.
    """
    red, green, blue = color >> 16 & 255, color >> 8 & 255, color & 255
    high, low = max(red, green, blue), min(red, green, blue)
    if high - low < 48:  # too little colour to have a hue
        return 0 if high < 64 else 8 if high < 144 else 7 if high < 216 else 15
    spread = high - low
    if high == red:
        hue = (green - blue) / spread % 6
    elif high == green:
        hue = (blue - red) / spread + 2
    else:
        hue = (red - green) / spread + 4
    nearest = 0 if hue >= 5.75 else min(5, int(hue + 0.5))  # pinks count as magenta, not as red
    return _HUES[nearest] + (8 if high > 200 else 0)


def _color_codes(color: int | None, colors: int, *, background: bool) -> str:
    base = 40 if background else 30
    if color is None:
        return str(base + 9)
    if colors >= TRUE_COLOR:
        index, exact = palette_256(color)
        if exact:  # 7 bytes less than the three numbers, and the same colour
            return f"{base + 8};5;{index}"
        return f"{base + 8};2;{color >> 16 & 255};{color >> 8 & 255};{color & 255}"
    if colors >= 256:
        return f"{base + 8};5;{palette_256(color)[0]}"
    index = palette_16(color)
    if colors < 16:
        index = 7 if index == 8 else index & 7  # dark grey as black would vanish
    return str(base + index if index < 8 else base + 60 + index - 8)


def _codes(style: Style, colors: int) -> list[str]:
    """Returns the SGR parameters that turn the plain style into ``style``."""
    codes = []
    if style.bold:
        codes.append("1")
    if style.dim:
        codes.append("2")
    if style.italic:
        codes.append("3")
    if style.underline:
        codes.append("4")
    if style.reverse:
        codes.append("7")
    if colors and style.fg is not None:
        codes.append(_color_codes(style.fg, colors, background=False))
    if colors and style.bg is not None:
        codes.append(_color_codes(style.bg, colors, background=True))
    return codes


def _delta_codes(old: Style, new: Style, colors: int) -> list[str]:
    """Returns the SGR parameters that change only what differs."""
    codes = []
    if (old.bold and not new.bold) or (old.dim and not new.dim):
        codes.append("22")  # ends both
        old = old._replace(bold=False, dim=False)
    if new.bold and not old.bold:
        codes.append("1")
    if new.dim and not old.dim:
        codes.append("2")
    for was, now, on, off in (
        (old.italic, new.italic, "3", "23"),
        (old.underline, new.underline, "4", "24"),
        (old.reverse, new.reverse, "7", "27"),
    ):
        if was != now:
            codes.append(on if now else off)
    if colors:
        if old.fg != new.fg:
            codes.append(_color_codes(new.fg, colors, background=False))
        if old.bg != new.bg:
            codes.append(_color_codes(new.bg, colors, background=True))
    return codes


@lru_cache(maxsize=4096)
def sgr(old: Style | None, new: Style, colors: int) -> str:
    """Returns the shortest escape text that changes the pen from ``old`` to ``new``.

    ``old`` None means that nothing is known about the pen. Empty when nothing has to change.
    """
    if old is not None:
        delta = _delta_codes(old, new, colors)
        if not delta:
            return ""
        changed = ";".join(delta)
    full = ";".join(["", *_codes(new, colors)])  # an empty first parameter is 0: reset
    if old is None or len(full) < len(changed):
        changed = full
    return f"\x1b[{changed}m"
