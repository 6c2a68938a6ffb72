"""Asks a child process whether native modules run on this processor; numpy is imported only after that.

A wheel built for another processor dies with SIGILL, which no ``try`` can catch: it would take the
engine and every story in it down. So the first use on a machine happens in a child. Success is
remembered in a marker file until a package, the interpreter or the processor changes.

Owns the marker files, and the error that says that there is no numpy, without which nothing can be recalled. A numpy
that is loaded already runs here and is not asked about again; one that could not be loaded is asked about again by the
next start of the program: a child takes a second, and every line of a story would wait for it.
"""

from __future__ import annotations

import hashlib
import importlib
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import trio

from flower.errors import EmbedError
from flower.installation import own_python

EMBED_PROBE_S = 120.0  # first run of the native modules in a child process, from an SD card

_CPU_KEYS = ("model name", "flags", "CPU part", "CPU implementer", "Features")


def check_native(packages: Sequence[str], code: str, marker_dir: Path | None) -> None:
    """Runs ``code`` in a child process, once per machine and versions; blocks, so call it in a thread.

    Raises ``EmbedError`` with the reason when a package is missing or the child fails. With no
    ``marker_dir`` success is not remembered.
    """
    fingerprint = _fingerprint(packages, code)
    marker = None if marker_dir is None else marker_dir / f"native-{'-'.join(packages)}.ok"
    if marker is not None and _read(marker) == fingerprint:
        return
    _run(packages, code)
    if marker is not None:
        try:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.write_text(fingerprint)
        except OSError:
            return  # a read-only disk only means that the next start asks again


def _fingerprint(packages: Sequence[str], code: str) -> str:
    lines = [sys.version, platform.machine(), code, _processor()]
    for package in packages:
        try:
            lines.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError as error:
            raise EmbedError(f"the package {package} is not installed; run start.sh again") from error
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _processor() -> str:
    """Returns what tells one processor from another; empty where the system does not say."""
    text = _read(Path("/proc/cpuinfo"))
    return "\n".join(sorted({line for line in text.splitlines() if line.startswith(_CPU_KEYS)}))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _run(packages: Sequence[str], code: str) -> None:
    names = " and ".join(packages)
    command, environ = own_python("-c", code)
    try:
        child = subprocess.run(  # noqa: S603 - our own interpreter and our own code
            command,
            capture_output=True,
            timeout=EMBED_PROBE_S,
            env={**environ, "PYTHONFAULTHANDLER": ""},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbedError(f"{names} could not be tried in a child process: {error}") from error
    if child.returncode < 0:
        died = signal.Signals(-child.returncode).name
        raise EmbedError(f"{names} cannot run on this processor ({died}); install another version")
    if child.returncode:
        last = child.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise EmbedError(f"{names} cannot be used: {(last or ['no reason given'])[0]}")


# --- numpy, without which nothing can be recalled


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
