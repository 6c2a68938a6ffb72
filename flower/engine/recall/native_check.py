"""Asks a child process whether native modules run on this processor.

A wheel built for another processor dies with SIGILL, which no ``try`` can catch: it would take the
engine and every story in it down. So the first use on a machine happens in a child. Success is
remembered in a marker file until a package, the interpreter or the processor changes.

Owns the marker files. Never imports the modules it asks about.
"""

from __future__ import annotations

import hashlib
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from flower import limits
from flower.errors import EmbedError
from flower.launch import own_python

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
            timeout=limits.EMBED_PROBE_S,
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
