"""A PNG as a small picture of plain pixels, for screens made of cells. Pure.

Reads what cards are: 8 bits a channel, grey, colour or palette, with or without transparency, not interlaced; anything
else has no thumbnail. Bounded: a row at a time is inflated and undone, so that memory is that of two rows and of the
result; pictures with more than ``MOST_PIXELS`` are not read. Source: the PNG specification, 4.5.2, 7 and 9.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from flower.engine.interchange import pictures
from flower.errors import ImportFileError

MOST_PIXELS = 6_000_000
MOST_SIDE = 8_192
THUMBNAIL_PIXELS = 15_000  # as base64 and with what frames it less than 64 KiB on the way to a terminal
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type

Channels = NDArray[np.uint8]


class Thumbnail(Struct, frozen=True):
    """``pixels`` are rows from the top, three bytes (red, green, blue) a pixel."""

    width: int
    height: int
    pixels: bytes


def of_png(data: bytes) -> Thumbnail | None:
    """Returns a picture of at most ``THUMBNAIL_PIXELS`` in the same proportions; None for what is not read."""
    try:
        return _of_png(data)
    except (ImportFileError, zlib.error, struct.error, ValueError):
        return None


def _of_png(data: bytes) -> Thumbnail | None:
    header = pictures.content(data, b"IHDR") if data.startswith(pictures.SIGNATURE) else None
    if header is None:
        return None
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if bits != 8 or colour not in _CHANNELS or interlaced or not 0 < width <= MOST_SIDE:
        return None
    if not 0 < height <= MOST_SIDE or width * height > MOST_PIXELS:
        return None
    palette = _palette(data) if colour == 3 else None
    share = min(1.0, (THUMBNAIL_PIXELS / (width * height)) ** 0.5)
    columns, rows = max(1, int(width * share)), max(1, int(height * share))
    sums = np.zeros((rows, columns, 3), np.float32)
    counts = np.zeros((rows, columns, 1), np.float32)
    to_column = np.minimum(np.arange(width) * columns // width, columns - 1)
    per_column = np.bincount(to_column, minlength=columns).astype(np.float32)[:, None]
    starts = np.searchsorted(to_column, np.arange(columns))
    for y, row in enumerate(_rows(data, width, height, _CHANNELS[colour])):
        place = min(y * rows // height, rows - 1)
        sums[place] += np.add.reduceat(_colours(row, colour, palette), starts, axis=0)
        counts[place] += per_column
    pixels = (sums / np.maximum(counts, 1)).astype(np.uint8)
    return Thumbnail(columns, rows, pixels.tobytes())


def _palette(data: bytes) -> Channels:
    """Returns 256 colours; those that the picture does not have are black."""
    entries = np.frombuffer(pictures.content(data, b"PLTE") or b"", np.uint8)[: 256 * 3]
    whole = np.zeros(256 * 3, np.uint8)
    whole[: len(entries)] = entries
    return whole.reshape(256, 3)


def _colours(row: Channels, colour: int, palette: Channels | None) -> NDArray[np.float32]:
    """Returns a row's colours on a black ground."""
    if palette is not None:
        return palette[row[:, 0]].astype(np.float32)
    values = row.astype(np.float32)
    pixels = values[:, :3] if colour in (2, 6) else np.repeat(values[:, :1], 3, axis=1)
    return pixels * (values[:, -1:] / np.float32(255)) if colour in (4, 6) else pixels


def _rows(data: bytes, width: int, height: int, channels: int) -> Iterator[Channels]:
    """Yields the rows, filters undone. Raises ``ValueError`` where the picture ends too early."""
    size = width * channels
    before = np.zeros((width, channels), np.uint8)
    lines = _lines(data, size + 1)
    for _ in range(height):
        line = next(lines, None)
        if line is None:
            raise ValueError("the picture is cut off")
        before = _unfiltered(
            line[0], np.frombuffer(line, np.uint8, size, 1).reshape(width, channels), before
        )
        yield before


def _lines(data: bytes, size: int) -> Iterator[bytes]:
    """Yields the inflated picture in pieces of ``size`` bytes, and never holds more than a few of them."""
    inflating = zlib.decompressobj()
    held = b""
    for chunk in pictures.chunks(data):
        if chunk.kind != b"IDAT":
            continue
        packed = data[chunk.start : chunk.end]
        while packed:
            held += inflating.decompress(packed, 4 * size)
            packed = inflating.unconsumed_tail
            while len(held) >= size:
                yield held[:size]
                held = held[size:]


def _unfiltered(kind: int, row: Channels, above: Channels) -> Channels:
    """Returns a row as it was before its filter (9.2); sums are those of bytes, which go around."""
    if kind == 0:
        return row
    if kind == 1:
        return np.cumsum(row, axis=0, dtype=np.uint8)
    if kind == 2:
        return row + above
    if kind not in (3, 4):
        raise ValueError(f"no filter {kind}")
    predict = _average if kind == 3 else _paeth
    whole = [predict(row[:, one].tolist(), above[:, one].tolist()) for one in range(row.shape[1])]
    return np.array(whole, np.uint8).T


def _average(row: list[int], above: list[int]) -> list[int]:
    left = 0
    whole = []
    for value, up in zip(row, above, strict=True):
        left = (value + (left + up) // 2) & 255
        whole.append(left)
    return whole


def _paeth(row: list[int], above: list[int]) -> list[int]:
    left = corner = 0
    whole = []
    for value, up in zip(row, above, strict=True):
        by_left, by_up, by_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        guess = up if by_up <= by_corner else corner
        if by_left <= by_up and by_left <= by_corner:
            guess = left
        left, corner = (value + guess) & 255, up
        whole.append(left)
    return whole
