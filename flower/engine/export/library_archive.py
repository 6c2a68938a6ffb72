"""Everything of a home as one archive, which ``flower import`` takes over elsewhere.

A ZIP: ``flower-library.json`` says what it is and comes first; ``rows/`` has the rows of each table as lines of
JSON; ``originals/`` the files of other programs, named by their hash; ``assets/`` the home's own YAML files.
Settings, keys and what clients chose are no part. The same library gives the same bytes.
"""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

import flower
from flower import file_io, limits
from flower.engine.store.connection import Connection
from flower.engine.store.transfer import library_rows
from flower.errors import CommandError

MANIFEST = "flower-library.json"
NAME = "flower-library"
VERSION = 1
OTHER_MEMBERS = 5_000  # rows and YAML files: room beside imported ones
ROWS, ORIGINALS, ASSETS = "rows", "originals", "assets"
ASSET_FOLDERS = ("worlds", "characters", "rules")
_EARLY = (1980, 1, 1, 0, 0, 0)
_PRIVATE_FILE = 0o600


class Written(NamedTuple):
    """An archive, and how much is in it."""

    path: Path
    characters: int
    books: int
    stories: int


def write(db: Connection, assets: Path, path: Path) -> Written:
    """Writes the library of ``db`` and the YAML files below ``assets`` to ``path``, which appears whole.

    Raises ``CommandError`` where that cannot be, ``StoreError`` for a damaged row.
    """
    if path.exists():
        raise CommandError(f"{path} exists; choose another name or move it away")
    # Not in pieces, as ``file_io`` writes: a ZIP goes back to what it wrote of each member.
    draft = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
        try:
            with open(descriptor, "w+b") as out:
                _fill(db, assets, out)
                out.flush()
                os.fsync(out.fileno())
                size = out.tell()
            if size > limits.LIBRARY_BYTES:
                raise CommandError(
                    f"the library is larger than {limits.LIBRARY_BYTES // limits.MIB} MiB, the most that can be"
                    " imported again; copy the home folder instead"
                )
            os.replace(draft, path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}.") from error
    return Written(
        path, *(library_rows.count(db, table) for table in ("characters", "books", "sessions"))
    )


def write_new(db: Connection, assets: Path, folder: Path) -> Written:
    """Writes the library of ``db`` into ``folder``, under a name that is free. Raises like ``write``."""
    number, path = 1, folder / f"{NAME}.zip"
    while path.exists():
        number += 1
        path = folder / f"{NAME} {number}.zip"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}.") from error
    return write(db, assets, path)


def _fill(db: Connection, assets: Path, out: IO[bytes]) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        manifest = {"flower_library": VERSION, "flower": flower.__version__}
        archive.writestr(_member(MANIFEST), msgspec.json.encode(manifest))
        for table in library_rows.TABLES:
            with archive.open(_member(f"{ROWS}/{table}.jsonl"), "w") as member:
                for row in library_rows.rows(db, table):
                    member.write(msgspec.json.encode(row) + b"\n")
        if library_rows.count(db, "originals") > limits.LIBRARY_MEMBERS - OTHER_MEMBERS:
            raise CommandError("there are more imported files than one archive can hold")
        for hash_, data in library_rows.files(db):
            archive.writestr(_member(f"{ORIGINALS}/{hash_.hex()}"), data)
        for path in _own_files(assets):
            name = f"{ASSETS}/{path.parent.name}/{path.name}"
            archive.writestr(_member(name), file_io.read(path, limits.ASSET_BYTES))


def _own_files(assets: Path) -> Iterator[Path]:
    for folder in ASSET_FOLDERS:
        yield from (one for one in sorted((assets / folder).glob("*.yaml")) if _is_asset(one))


def _is_asset(path: Path) -> bool:
    """Whether a file can be one that the engine reads: it refuses larger ones."""
    return path.is_file() and path.stat().st_size <= limits.ASSET_BYTES


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EARLY)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = _PRIVATE_FILE << 16
    return info
