"""Files written whole: as a draft beside, then renamed, so that a crash leaves the old file or the new one.

Owns how that is done, and that what is written is its owner's alone. Knows nothing of what is in a file.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

PRIVATE_FILE = 0o600
_NAME_CHARS = 100  # of the file's own in the name beside it: names have at most 255 bytes
_DRAFT = re.compile(r"\..+\.[0-9a-f]{8}", re.DOTALL)


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
