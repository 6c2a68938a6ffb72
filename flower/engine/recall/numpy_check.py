"""Imports numpy, without which nothing can be recalled: in a child process first, and never fatally.

Owns the error that says so. A numpy that is loaded already runs here and is not asked about again; one that
could not be loaded is asked about again by the next start of the program: a child takes a second, and every
line of a story would wait for it.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import trio

from flower.engine.recall.native_check import check_native
from flower.errors import EmbedError


class NoNumpyError(EmbedError):
    """numpy cannot be used here."""


_refused: dict[Path | None, str] = {}  # why not, by where it would be remembered that it can


async def load_numpy(marker_dir: Path | None) -> None:
    """Imports numpy; raises ``NoNumpyError`` with the reason."""
    if "numpy" in sys.modules:
        await trio.lowlevel.checkpoint()
        return
    if marker_dir in _refused:
        await trio.lowlevel.checkpoint()
        raise NoNumpyError(_refused[marker_dir])
    try:
        await trio.to_thread.run_sync(_load, marker_dir)
    except EmbedError as error:
        _refused[marker_dir] = str(error)
        raise NoNumpyError(str(error)) from error


def _load(marker_dir: Path | None) -> None:
    check_native(("numpy",), "import numpy", marker_dir)
    try:
        importlib.import_module("numpy")
    except Exception as error:  # whatever a damaged package raises; the marker was of a whole one
        if marker_dir is not None:
            (marker_dir / "native-numpy.ok").unlink(missing_ok=True)
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EmbedError(f"numpy cannot be used: {line}") from error
