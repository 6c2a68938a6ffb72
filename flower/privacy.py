"""Nothing leaves the machine unasked: libraries that report home are kept from it before they load.

Owns the variables they look at and the files they left behind before that. What Flower
itself sends are the lines of your story, to the model you chose; no other module opens a connection.
Imported first in every process, so it imports nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

# onnxruntime 1.32 sends a device id, the path of the program, processor and memory to
# mobile.events.data.microsoft.com unless this is set when it is first imported.
QUIET = {"ORT_DISABLE_TELEMETRY": "1"}

_LEFT_IN_CACHE = Path("Microsoft", "DeveloperTools", ".onnxruntime")
_LEFT_FILES = ("deviceid", "onnxruntime.db", "onnxruntime.db-wal", "onnxruntime.db-shm")


def keep_quiet(environ: MutableMapping[str, str]) -> None:
    """Sets the variables for this process and its children; a value that says otherwise is replaced."""
    environ.update(QUIET)


def remove_leftovers(environ: Mapping[str, str]) -> bool:
    """Deletes the device id and the unsent reports of onnxruntime; returns whether there were any.

    Folders go with them when they are empty. What cannot be deleted stays: it is never read again.
    """
    cache = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME", ""), ".cache")
    folder = Path(cache, _LEFT_IN_CACHE)
    if not folder.is_absolute() or not folder.is_dir():
        return False
    removed = False
    try:
        for name in _LEFT_FILES:
            path = folder / name
            if path.is_file():
                path.unlink()
                removed = True
        for empty in (folder, *folder.parents[:2]):
            empty.rmdir()
    except OSError:
        return removed  # not ours to delete, or something else lives there
    return removed
