"""A picture for a character that has none: a small PNG, the same for the same name.

Programs that keep cards in pictures need one. It is a head and shoulders on a ground that changes from top
to bottom, in colours that follow from the name; no font, no picture library.
"""

from __future__ import annotations

import colorsys
import struct
import zlib

from flower.engine.interchange import png

WIDTH, HEIGHT = 256, 384  # two to three, as cards are
_HEAD_RADIUS = 56
_HEAD_AT = (WIDTH // 2, 170)
_SHOULDERS_AT = (WIDTH // 2, HEIGHT + 10)
_SHOULDERS = (100, 130)  # radii of an ellipse


def portrait(name: str) -> bytes:
    """Returns a PNG without any text chunk."""
    hue = (zlib.crc32(name.encode("utf-8", "replace")) % 360) / 360
    figure = _colour(hue, 0.35, 0.92)
    rows = b"".join(b"\0" + _row(y, hue, figure) for y in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)  # 8 bits, RGB
    return png.SIGNATURE + b"".join(
        png.chunk_bytes(kind, body)
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    )


def _row(y: int, hue: float, figure: bytes) -> bytes:
    ground = _colour((hue + 0.5) % 1, 0.55, 0.30 + 0.40 * y / HEIGHT)
    half = max(_half_width(y, _HEAD_AT, (_HEAD_RADIUS, _HEAD_RADIUS)),
               _half_width(y, _SHOULDERS_AT, _SHOULDERS))  # fmt: skip
    side = WIDTH // 2 - half
    return ground * side + figure * (2 * half) + ground * side


def _half_width(y: int, centre: tuple[int, int], radii: tuple[int, int]) -> int:
    """Returns half the width of an ellipse in a row, 0 outside of it."""
    share = (y - centre[1]) / radii[1]
    return int(radii[0] * (1 - share * share) ** 0.5) if abs(share) < 1 else 0


def _colour(hue: float, saturation: float, value: float) -> bytes:
    return bytes(round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
