"""An archive of a whole home (``engine.export.library_archive``), taken over in one transaction.

It is read member by member from the disk, with bounds on all of them: how many, how large, how much they grow.
Nothing is unpacked under a name of the archive's: rows go into the database, YAML files under plain names into the
home's assets, and only where there is none of that name.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from flower import file_io, limits
from flower.engine.assets.shelves import brief_of
from flower.engine.importing.take import State, Taken, TakeOutcome
from flower.engine.store.connection import Connection
from flower.engine.store.library.characters import Stored
from flower.engine.store.packing import pack
from flower.engine.store.transfer import library_rows
from flower.engine.store.transfer.library_loader import Loader
from flower.errors import ImportFileError
from flower.file_io import write_whole

__all__ = ["is_library", "take"]

KIND = "Flower library"
MANIFEST = "flower-library.json"
VERSION = 1
_FIRST = struct.Struct("<4s22xHH")  # signature, lengths of name and extra field
_END = b"PK\x05\x06"
_TAIL_BYTES = 65_557
_NAME_BYTES = 200  # on average, of a member in the archive's directory
_RATIO = 2_000  # rows of one kind are much alike
_ASSET = re.compile(r"assets/(worlds|characters|rules)/([\w][\w .-]{0,100}\.yaml)")
_ASSET_BYTES = 4 * limits.MIB
_PIECE = 64 * limits.KIB
_DAMAGED = "the library archive is damaged; copy or write it again"


def is_library(path: Path) -> bool:
    """Whether a file is such an archive, by its first bytes. Raises ``OSError``."""
    with file_io.opened(path) as file:
        head = file.read(_FIRST.size + len(MANIFEST))
    if len(head) < _FIRST.size:
        return False
    signature, name, _ = _FIRST.unpack_from(head)
    return bool(signature == b"PK\x03\x04" and name == len(MANIFEST)) and head.endswith(
        MANIFEST.encode()
    )


def take(
    db: Connection, path: Path, name: str, assets: Path, *, scripts_allowed: bool = False
) -> TakeOutcome:
    """Takes a library over, beside what is here. Raises ``ImportFileError``, ``StoreError``.

    Files that were written below ``assets`` stay when the transaction fails later: each is whole by itself.
    """
    try:
        _check_directory(path)
        with file_io.opened(path) as file, zipfile.ZipFile(file) as archive:
            return _take(db, _Archive(archive), name, assets, scripts_allowed=scripts_allowed)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError) as error:
        raise ImportFileError(_DAMAGED) from error
    except (OSError, RuntimeError, UnicodeError) as error:
        raise ImportFileError(f"the library archive cannot be read ({error})") from error


def _check_directory(path: Path) -> None:
    """Refuses an archive by its last record, before a directory of a million entries is built."""
    size = path.stat().st_size
    if size > limits.LIBRARY_BYTES:
        raise ImportFileError(f"the library is larger than {limits.LIBRARY_BYTES // limits.MIB} MiB")
    with file_io.opened(path) as file:
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    end = tail.rfind(_END)
    if end < 0 or end + 22 > len(tail):
        raise ImportFileError(_DAMAGED)
    count, length = struct.unpack_from("<HI", tail, end + 10)
    if count > limits.LIBRARY_MEMBERS or length > limits.LIBRARY_MEMBERS * _NAME_BYTES:
        raise ImportFileError(f"the library has more than {limits.LIBRARY_MEMBERS:,} files")


class _Archive:
    """Members by name, with what is left of the bytes they may grow to."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._zip = archive
        self._members = {info.filename: info for info in archive.infolist()}
        self._left = limits.LIBRARY_BYTES

    def names(self) -> list[str]:
        return list(self._members)

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yields what a member holds, nothing for one that is not there."""
        info = self._members.get(name)
        if info is None:
            return
        if info.flag_bits & 0x1 or info.file_size > max(limits.MIB, _RATIO * info.compress_size):
            raise ImportFileError(_DAMAGED)
        with self._zip.open(info) as member:
            while piece := member.read(_PIECE):
                self._left -= len(piece)
                if self._left < 0:
                    raise ImportFileError(
                        f"the library grows beyond {limits.LIBRARY_BYTES // limits.MIB} MiB"
                    )
                yield piece

    def read(self, name: str, most: int) -> bytes | None:
        """Returns a whole member, None if it is not there."""
        if name not in self._members:
            return None
        body = bytearray()
        for piece in self.pieces(name):
            body += piece
            if len(body) > most:
                raise ImportFileError(f"{name!r} in the library is too large")
        return bytes(body)

    def lines(self, name: str) -> Iterator[bytes]:
        """Yields the lines of a member."""
        rest = bytearray()
        for piece in self.pieces(name):
            rest += piece
            if b"\n" in piece:
                *whole, last = bytes(rest).split(b"\n")
                yield from whole
                rest = bytearray(last)
            if len(rest) > limits.LIBRARY_ROW_BYTES:
                raise ImportFileError(_DAMAGED)
        if rest:
            yield bytes(rest)


def _take(
    db: Connection, archive: _Archive, name: str, assets: Path, *, scripts_allowed: bool
) -> TakeOutcome:
    _check_version(archive)
    loader = Loader(db, _originals(archive), scripts_allowed=scripts_allowed)
    for table in library_rows.TABLES:
        for line in archive.lines(f"rows/{table}.jsonl"):
            loader.take(table, _row(line))
    loader.finish()
    notices = _put_assets(archive, assets)
    if loader.resting:
        notices.append(
            f"{loader.resting} scripts are off; say yes to them with /script on, or import with --scripts"
        )
    counts = {table: loader.counts[table] for table in _NAMED if table in loader.counts}
    items = tuple(f"{count} {_NAMED[table]}" for table, count in counts.items())
    if items:
        notices.insert(0, f"It brings {', '.join(items)}")
    state: State = "new" if loader.counts else "already here"
    characters = tuple(Stored(brief_of(one), pack(one)) for _, one in loader.characters)
    report = Taken(KIND, state, items or (name,), tuple(notices))
    return TakeOutcome(report, characters, tuple(loader.stories))


_NAMED = {
    "characters": "characters",
    "books": "lorebooks",
    "personas": "personas",
    "scripts": "scripts",
    "sessions": "stories",
    "messages": "messages",
}


def _check_version(archive: _Archive) -> None:
    manifest = _row(archive.read(MANIFEST, limits.MIB) or b"")
    version = manifest.get("flower_library")
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        raise ImportFileError(
            "the library is of a newer Flower; update this one" if newer else _DAMAGED
        )


def _row(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ImportFileError(_DAMAGED) from error


def _originals(archive: _Archive) -> Callable[[bytes], bytes | None]:
    def find(hash_: bytes) -> bytes | None:
        data = archive.read(f"originals/{hash_.hex()}", limits.IMPORT_BYTES)
        if data is not None and hashlib.sha256(data).digest() != hash_:
            raise ImportFileError(_DAMAGED)
        return data

    return find


def _put_assets(archive: _Archive, assets: Path) -> list[str]:
    """Writes the YAML files that are not here; returns sentences about them."""
    new, other = [], []
    for name in archive.names():
        match = _ASSET.fullmatch(name)
        if match is None:
            continue
        data = archive.read(name, _ASSET_BYTES) or b""
        path = assets / match[1] / match[2]
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, [data], overwrite=False)
            new.append(match[2])
        elif file_io.read(path, len(data) + 1) != data:
            other.append(f"{match[1]}/{match[2]}")
    notices = []
    if new:
        notices.append(f"{len(new)} files of worlds, characters and rules came; restart the engine")
    if other:
        notices.append(f"these files are others here and stay as they are: {', '.join(other[:20])}")
    return notices
