"""Files that somebody else may have put there, opened so that nothing can hang or never end.

A pipe waits for whoever writes into it, a device may never end, a socket cannot be opened at all: only regular files
are read. Owns how they are opened; knows nothing of what is in them.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

IRREGULAR = "it is no regular file"


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
