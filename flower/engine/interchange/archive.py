"""ZIP archives from strangers: named members, read one by one, with their sum counted.

Owns the bounds: how many members, how much they may grow. It never unpacks anything to a disk, and a
member's name is never a path. An archive may stand behind a picture or a program.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

from flower import limits
from flower.errors import ImportFileError

IMPORT_ZIP_MEMBERS = 4_000
IMPORT_ZIP_NAME_BYTES = 512  # on average, of a member's entry in the directory of an archive
IMPORT_ZIP_BYTES = 64 * limits.MIB  # read from one archive, inflated
IMPORT_ZIP_RATIO = 200  # JSON shrinks to a fiftieth at best; a bomb to a thousandth

_END = b"PK\x05\x06"
_END_BYTES = 22
_COMMENT_BYTES = 65_535
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_RATIO_FROM_BYTES = 256 * limits.KIB  # a small text of one letter is no bomb
_EARLY = (1980, 1, 1, 0, 0, 0)  # equal content gives an equal file


def is_archive(data: bytes) -> bool:
    """Whether a ZIP archive is in ``data``, alone or behind something else."""
    return _end_record(data) >= 0


def _end_record(data: bytes) -> int:
    return data.rfind(_END, max(0, len(data) - _END_BYTES - _COMMENT_BYTES))


class Archive:
    """An archive that is being read. Raises ``ImportFileError``, and nothing else."""

    def __init__(self, data: bytes) -> None:
        _check_directory(data)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, OSError, ValueError, struct.error, UnicodeError) as error:
            raise ImportFileError("the archive is damaged; copy or download it again") from error
        except NotImplementedError as error:
            raise ImportFileError("the archive is of a newer kind than Flower can read") from error
        self._members = {info.filename: info for info in self._zip.infolist()}
        self._left = IMPORT_ZIP_BYTES

    def names(self) -> list[str]:
        """Returns the names of all members, folders left out, in the order of the archive."""
        return [name for name in self._members if not name.endswith("/")]

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> bytes:
        """Returns the content of a member."""
        info = self._members.get(name)
        if info is None:
            raise ImportFileError(f"the archive has no {_shown(name)} although it should")
        self._check(info)
        try:
            with self._zip.open(info) as member:
                content = member.read(self._left + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error) as error:
            raise ImportFileError(f"{_shown(name)} in the archive is damaged") from error
        except (RuntimeError, NotImplementedError) as error:
            raise ImportFileError(f"{_shown(name)} in the archive cannot be unpacked") from error
        self._left -= len(content)
        if self._left < 0:
            raise ImportFileError(_too_large())
        return content

    def _check(self, info: zipfile.ZipInfo) -> None:
        if info.flag_bits & 0x1:
            raise ImportFileError("the archive has a password; save it without one")
        if info.compress_type not in _METHODS:
            raise ImportFileError(
                f"{_shown(info.filename)} is packed in a way that Flower does not read"
            )
        if info.file_size > self._left:
            raise ImportFileError(_too_large())
        if info.file_size > max(_RATIO_FROM_BYTES, IMPORT_ZIP_RATIO * info.compress_size):
            raise ImportFileError(f"{_shown(info.filename)} grows without measure when it is unpacked")


def _check_directory(data: bytes) -> None:
    """Refuses an archive by its last record, before a directory of a million entries is built."""
    end = _end_record(data)
    if end < 0 or end + _END_BYTES > len(data):
        raise ImportFileError("the archive ends too early; copy or download it again")
    count, size = struct.unpack_from("<HI", data, end + 10)
    if count > IMPORT_ZIP_MEMBERS:
        raise ImportFileError(f"the archive has more than {IMPORT_ZIP_MEMBERS:,} files")
    if size > IMPORT_ZIP_MEMBERS * IMPORT_ZIP_NAME_BYTES:
        raise ImportFileError("the archive's list of files is too long")


def _too_large() -> str:
    return f"the archive holds more than {IMPORT_ZIP_BYTES // limits.MIB} MiB"


def _shown(name: str) -> str:
    return repr(name[-limits.KEY_SHOWN_CHARS :])


def write(members: Mapping[str, bytes]) -> bytes:
    """Returns an archive with these members, in this order; equal members give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _EARLY)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()
