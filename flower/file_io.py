"""Files read so that nothing can hang, and written whole, so that a crash leaves the old file or the new one.

Reading: a pipe waits for whoever writes into it, a device may never end, a socket cannot be opened at all, so only
regular files are opened. Writing: a draft beside the file, then renamed; what is written is its owner's alone. Knows
nothing of what is in a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

IRREGULAR = "it is no regular file"
PRIVATE_FILE = 0o600
_NAME_CHARS = 100  # of the file's own in the name beside it: names have at most 255 bytes
_DRAFT = re.compile(r"\..+\.[0-9a-f]{8}", re.DOTALL)


def opener(path: str, flags: int) -> int:
    """For ``open(path, opener=opener)``: a descriptor of a regular file. Raises ``OSError``.

    The file is looked at once it is open, so that nothing can take its place between the two.
    """
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device without a driver
            raise OSError(errno.EINVAL, IRREGULAR, path) from error
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, IRREGULAR, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def opened(path: Path) -> BufferedReader:
    """Returns a regular file that is open for reading bytes. Raises ``OSError``."""
    return open(path, "rb", opener=opener)


def read(path: Path, most: int) -> bytes:
    """Returns at most ``most`` bytes from the beginning of a regular file. Raises ``OSError``."""
    with opened(path) as file:
        return file.read(most)


def read_text(path: Path, most: int) -> str:
    """Returns the UTF-8 text of a regular file of at most ``most`` bytes. Raises ``OSError``, ``ValueError``."""
    data = read(path, most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most} bytes")
    return data.decode()


# --- Written whole.


def write_whole(
    path: Path,
    pieces: Iterable[bytes],
    *,
    overwrite: bool = True,
    aside: Path | None = None,
    durable: bool = True,
) -> None:
    """Puts ``pieces`` into a file, in the place of one that is there, which goes to ``aside`` if that is given.

    ``durable`` waits until the disk has it. Raises ``OSError``, ``FileExistsError`` where there is a file that
    ``overwrite`` forbids to replace; then everything is as it was.
    """
    draft = path.with_name(f".{path.name[:_NAME_CHARS]}.{os.urandom(4).hex()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb") as file:
            file.writelines(pieces)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if not overwrite and path.exists():
            raise FileExistsError(None, "it exists already")
        if aside is not None and path.exists():
            _keep(path, aside)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def sweep(folder: Path, before: float) -> int:
    """Deletes the drafts in ``folder`` whose writers were killed; returns how many.

    ``before`` is Unix time in seconds: a draft that was touched since may be one that is being written. A
    folder that cannot be read, and a draft that cannot be deleted, are left for the next time.
    """
    count = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not _DRAFT.fullmatch(entry.name):
                continue
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < before:
                    os.unlink(entry)
                    count += 1
    return count


def _keep(path: Path, aside: Path) -> None:
    """Keeps a file under another name as well, so that there is one of its own name all the time."""
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    try:
        os.link(path, aside)
    except OSError:  # a file system without links
        os.replace(path, aside)
