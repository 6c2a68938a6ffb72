"""PNG and APNG as chunks: the texts in them, and the same picture with other texts.

Owns the walk over the chunks, with its bounds: lengths, checksums, counts, inflated sizes. It never
decodes a picture. Source: the PNG specification, 5 "Datastream structure" and 11.3.3 "Textual information".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from flower import limits
from flower.errors import ImportFileError

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
    if len(data) > limits.IMPORT_PICTURE_BYTES:
        most = limits.IMPORT_PICTURE_BYTES // limits.MIB
        raise ImportFileError(f"the picture is larger than {most} MiB; make it smaller and try again")
    found: list[PngChunk] = []
    place = len(SIGNATURE)
    while not found or found[-1].kind != b"IEND":
        if len(found) >= limits.IMPORT_PNG_CHUNKS:
            raise ImportFileError(f"the PNG has more than {limits.IMPORT_PNG_CHUNKS:,} chunks")
        chunk = _chunk_at(data, place)
        found.append(chunk)
        place = chunk.end + 4
    return found


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


def texts(data: bytes, wanted: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yields (keyword, text) of the text chunks with these keywords, wherever they stand.

    Raises ``ImportFileError`` for a broken file and for a text that is larger than a card may be.
    """
    for chunk in chunks(data):
        word = keyword(data, chunk)
        if word in wanted:
            yield word, _text(data, chunk)


def _text(data: bytes, chunk: PngChunk) -> bytes:
    if chunk.end - chunk.start > limits.IMPORT_CHUNK_BYTES:
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
        text = stream.decompress(packed, limits.IMPORT_CHUNK_BYTES)
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
