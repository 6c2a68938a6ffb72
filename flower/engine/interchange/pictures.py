"""What pictures say in words: the texts of a PNG, the comments in EXIF data, and a card's object in either. Pure.

Owns the walk over a PNG's chunks, with its bounds: lengths, checksums, counts, inflated sizes. Of EXIF data only the
two lists of tags that lead to the comment are read. It never decodes a picture. Sources: the PNG specification, 5
"Datastream structure" and 11.3.3 "Textual information"; the Exif 2.32 standard (TIFF directories, tag 0x9286), the
WebP container specification, ITU T.81 annex B (JPEG segments).
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from flower import limits
from flower.engine.interchange import json_text
from flower.errors import ImportFileError

IMPORT_PICTURE_BYTES = 32 * limits.MIB  # a card that is a picture
IMPORT_CHUNK_BYTES = 16 * limits.MIB  # of one text inside a picture, inflated: a card with its assets
IMPORT_PNG_CHUNKS = 16_000  # 32 MiB in the 8 KiB pieces that old programs write, four times over
IMPORT_EXIF_TAGS = 1_000

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT_KINDS = (b"tEXt", b"zTXt", b"iTXt")
_HEAD = struct.Struct(">I4s")
_OVERHEAD = 12  # length, kind and checksum
_KEYWORD_BYTES = 4096  # the standard says 79; old Risu cards put paths of assets there


class PngChunk(NamedTuple):
    """One chunk: ``data[start:end]`` is its content, ``data[start - 8:end + 4]`` all of it."""

    kind: bytes
    start: int
    end: int


def chunks(data: bytes) -> list[PngChunk]:
    """Returns the chunks of a PNG up to its end chunk. Raises ``ImportFileError`` where it is broken."""
    if len(data) > IMPORT_PICTURE_BYTES:
        most = IMPORT_PICTURE_BYTES // limits.MIB
        raise ImportFileError(f"the picture is larger than {most} MiB; make it smaller and try again")
    parts: list[PngChunk] = []
    place = len(SIGNATURE)
    while not parts or parts[-1].kind != b"IEND":
        if len(parts) >= IMPORT_PNG_CHUNKS:
            raise ImportFileError(f"the PNG has more than {IMPORT_PNG_CHUNKS:,} chunks")
        chunk = _chunk_at(data, place)
        parts.append(chunk)
        place = chunk.end + 4
    return parts


def _chunk_at(data: bytes, place: int) -> PngChunk:
    if place + _OVERHEAD > len(data):
        raise ImportFileError("the PNG ends too early; copy or download it again")
    length, kind = _HEAD.unpack_from(data, place)
    start = place + _HEAD.size
    end = start + length
    if end + 4 > len(data):
        raise ImportFileError("a chunk of the PNG is longer than the file; copy or download it again")
    (checksum,) = struct.unpack_from(">I", data, end)
    if zlib.crc32(memoryview(data)[place + 4 : end]) != checksum:
        raise ImportFileError("a checksum in the PNG is wrong; copy or download it again")
    return PngChunk(kind, start, end)


def content(data: bytes, kind: bytes) -> bytes | None:
    """Returns the content of the first chunk of a kind, None without one."""
    return next((data[part.start : part.end] for part in chunks(data) if part.kind == kind), None)


def keyword(data: bytes, chunk: PngChunk) -> str:
    """Returns the keyword of a text chunk in lower case: programs differ in it. "" for other chunks."""
    if chunk.kind not in TEXT_KINDS:
        return ""
    end = data.find(b"\0", chunk.start, min(chunk.end, chunk.start + _KEYWORD_BYTES))
    return "" if end < 0 else data[chunk.start : end].decode("latin-1").lower()


def texts(data: bytes, keywords: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yields (keyword, text) of the text chunks with these keywords, wherever they stand.

    Raises ``ImportFileError`` for a broken file and for a text that is larger than a card may be.
    """
    for chunk in chunks(data):
        word = keyword(data, chunk)
        if word in keywords:
            yield word, _text(data, chunk)


def _text(data: bytes, chunk: PngChunk) -> bytes:
    if chunk.end - chunk.start > IMPORT_CHUNK_BYTES:
        raise ImportFileError("a text in the PNG is too large to be a card")
    _, _, rest = data[chunk.start : chunk.end].partition(b"\0")
    if chunk.kind == b"tEXt":
        return rest
    if chunk.kind == b"zTXt":
        return inflate(rest[1:])
    compressed = rest[:1] == b"\1"  # iTXt: flag, method, language, translated keyword, text
    parts = rest[2:].split(b"\0", 2)
    body = parts[2] if len(parts) == 3 else b""
    return inflate(body) if compressed else body


def inflate(packed: bytes) -> bytes:
    """Returns what a zlib stream holds. Raises ``ImportFileError`` if it is broken or a bomb."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(packed, IMPORT_CHUNK_BYTES)
    except zlib.error as error:
        raise ImportFileError("a compressed text in the PNG is damaged") from error
    if stream.unconsumed_tail or not stream.eof:
        raise ImportFileError("a compressed text in the PNG is damaged or too large to be a card")
    return text


def chunk_bytes(kind: bytes, body: bytes) -> bytes:
    """Returns a whole chunk."""
    return _HEAD.pack(len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def with_texts(data: bytes, new: Iterable[tuple[str, bytes]], dropped: Sequence[str] = ()) -> bytes:
    """Returns a PNG with text chunks before its end; those with the keywords ``dropped`` are left out.

    Every other byte stays. Raises ``ImportFileError`` if ``data`` is broken.
    """
    pieces = [SIGNATURE]
    for chunk in chunks(data):
        if chunk.kind == b"IEND":
            pieces.extend(
                chunk_bytes(b"tEXt", word.encode("latin-1", "replace") + b"\0" + body)
                for word, body in new
            )
            pieces.append(data[chunk.start - 8 :])  # what some programs put behind the end stays too
        elif keyword(data, chunk) not in dropped:
            pieces.append(data[chunk.start - 8 : chunk.end + 4])
    return b"".join(pieces)


# --- The user's comment in EXIF data, and where WebP, JPEG and PNG files keep EXIF data


_EXIF_DIRECTORY = 0x8769
_COMMENTS = (0x9286, 0x010E)  # UserComment, ImageDescription
_SIZES = {1: 1, 2: 1, 7: 1}  # bytes per part of the types a comment may have
_CODES = (b"ASCII\0\0\0", b"UNICODE\0", b"JIS\0\0\0\0\0", b"\0\0\0\0\0\0\0\0")
_MARK = b"Exif\0\0"
_JPEG_BARE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_JPEG_SCAN, _JPEG_EXIF = 0xDA, 0xE1


def comments(data: bytes) -> Iterator[bytes]:
    """Yields the comments in a PNG, WebP or JPEG file. Raises ``ImportFileError`` where it is broken."""
    if len(data) > IMPORT_PICTURE_BYTES:
        raise ImportFileError("the picture is too large; make it smaller and try again")
    for block in _blocks(data):
        yield from _comments_in(block.removeprefix(_MARK))


def _blocks(data: bytes) -> Iterator[bytes]:
    if data.startswith(SIGNATURE):
        block = content(data, b"eXIf")
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
    for index in range(min(count, IMPORT_EXIF_TAGS)):
        entry = place + 2 + 12 * index
        if entry + 12 > len(block):
            return
        tag, kind, parts = struct.unpack_from(f"{order}HHI", block, entry)
        yield tag, kind, parts, entry + 8


def _number(block: bytes, order: str, place: int) -> int:
    (number,) = struct.unpack_from(f"{order}I", block, place)
    return int(number)


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


# --- The object of a card out of the text that a picture carries, and the way back


_SPACE = re.compile(rb"\s+")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")  # some writers use the signs for addresses
_NUMBERS = re.compile(rb"[0-9, ]+")


def card_object(text: bytes) -> dict[str, Any]:
    """Returns the object in a text. Raises ``ImportFileError``."""
    value = json_text.parse(json_text.decode(_json_of(text.rstrip(b"\0").strip())))
    if not isinstance(value, dict):
        raise ImportFileError("the text in the picture is no character card")
    return value


def _json_of(text: bytes) -> bytes:
    if text.startswith((b"{", b"[")):
        return text
    if b"," in text[:8] and _NUMBERS.fullmatch(text):  # a WebP writer of 2023 listed the bytes
        return bytes(
            int(part) & 255 for part in text.replace(b" ", b"").split(b",") if len(part) in (1, 2, 3)
        )
    packed = _SPACE.sub(b"", text).translate(_URL_SAFE).rstrip(b"=")
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise ImportFileError("the card in the picture is damaged: it is no base64 text") from error


def packed_card(value: object) -> bytes:
    """Returns base64 of JSON in UTF-8, as ``chara`` and ``ccv3`` chunks hold it."""
    return base64.b64encode(json_text.compact(value).encode())
