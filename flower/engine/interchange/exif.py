"""The user's comment in EXIF data, and where WebP, JPEG and PNG files keep EXIF data.

Some programs put a card there. Only the two lists of tags that lead to the comment are read; nothing else
of a picture is looked at. Sources: the Exif 2.32 standard (TIFF directories, tag 0x9286), the WebP container
specification, ITU T.81 annex B (JPEG segments).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from flower import limits
from flower.engine.interchange import png
from flower.errors import ImportFileError

_EXIF_DIRECTORY = 0x8769
_COMMENTS = (0x9286, 0x010E)  # UserComment, ImageDescription
_SIZES = {1: 1, 2: 1, 7: 1}  # bytes per part of the types a comment may have
_CODES = (b"ASCII\0\0\0", b"UNICODE\0", b"JIS\0\0\0\0\0", b"\0\0\0\0\0\0\0\0")
_MARK = b"Exif\0\0"
_JPEG_BARE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_JPEG_SCAN, _JPEG_EXIF = 0xDA, 0xE1


def comments(data: bytes) -> Iterator[bytes]:
    """Yields the comments in a PNG, WebP or JPEG file. Raises ``ImportFileError`` where it is broken."""
    if len(data) > limits.IMPORT_PICTURE_BYTES:
        raise ImportFileError("the picture is too large; make it smaller and try again")
    for block in _blocks(data):
        yield from _comments_in(block.removeprefix(_MARK))


def _blocks(data: bytes) -> Iterator[bytes]:
    if data.startswith(png.SIGNATURE):
        block = png.content(data, b"eXIf")
        if block is not None:
            yield block
    elif data.startswith(b"RIFF"):
        yield from _webp_blocks(data)
    else:
        yield from _jpeg_blocks(data)


def _webp_blocks(data: bytes) -> Iterator[bytes]:
    place = 12  # behind "RIFF", a length and "WEBP"
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        start = place + 8
        if start + length > len(data):
            raise ImportFileError(
                "a chunk of the WebP is longer than the file; copy or download it again"
            )
        if kind == b"EXIF":
            yield data[start : start + length]
        place = start + length + length % 2


def _jpeg_blocks(data: bytes) -> Iterator[bytes]:
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in _JPEG_BARE:
            place += 2
        elif marker == 0xFF:  # fill
            place += 1
        elif marker == _JPEG_SCAN:
            return
        else:
            (length,) = struct.unpack_from(">H", data, place + 2)
            if marker == _JPEG_EXIF and data.startswith(_MARK, place + 4):
                yield data[place + 4 : place + 2 + length]
            place += 2 + max(length, 2)


def _comments_in(block: bytes) -> Iterator[bytes]:
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return
    (first,) = struct.unpack_from(f"{order}I", block, 4)
    directories = [first]
    for depth in range(2):  # the first directory, and the Exif directory it may name
        tags = list(_tags(block, order, directories[depth]))
        for tag, kind, count, place in tags:
            if tag in _COMMENTS and kind in _SIZES:
                yield _without_code(_value(block, order, count, place))
        directories += [
            _number(block, order, place) for tag, *_, place in tags if tag == _EXIF_DIRECTORY
        ]
        if len(directories) < depth + 2:
            return


def _tags(block: bytes, order: str, place: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields tag, type, count and the place of the value of every entry of a directory."""
    if place + 2 > len(block):
        return
    (count,) = struct.unpack_from(f"{order}H", block, place)
    for index in range(min(count, limits.IMPORT_EXIF_TAGS)):
        entry = place + 2 + 12 * index
        if entry + 12 > len(block):
            return
        tag, kind, parts = struct.unpack_from(f"{order}HHI", block, entry)
        yield tag, kind, parts, entry + 8


def _number(block: bytes, order: str, place: int) -> int:
    (found,) = struct.unpack_from(f"{order}I", block, place)
    return int(found)


def _value(block: bytes, order: str, count: int, place: int) -> bytes:
    start = place if count <= 4 else _number(block, order, place)
    return block[start : start + count]


def _without_code(value: bytes) -> bytes:
    """Returns a comment without its eight bytes for the encoding and without the zeros behind it."""
    for code in _CODES:
        if value.startswith(code):
            value = value[len(code) :]
            if code.startswith(b"UNICODE"):
                value = _utf8(value)
            break
    return value.strip(b"\0")


def _utf8(value: bytes) -> bytes:
    """Programs disagree about what UNICODE is; text that already looks like UTF-8 is left alone."""
    if b"\0" not in value[:4]:
        return value
    encoding = "utf-16-be" if value[:1] == b"\0" else "utf-16-le"
    return value.decode(encoding, "replace").encode("utf-8", "replace")
