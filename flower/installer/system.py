"""What the system and the folder must be like before anything is installed, and sentences for when they are not."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from flower import machine
from flower.installer import pip
from flower.installer.failures import InstallError


def check_system() -> None:
    """Raises ``InstallError`` for a system that has no builds of the packages, or lacks a part of Python."""
    if machine.is_32_bit():
        raise InstallError(
            "Flower needs a 64-bit system, as its libraries have no 32-bit builds; on a Raspberry Pi use the 64-bit"
            " Raspberry Pi OS"
        )
    if machine.is_musl():
        raise InstallError(
            "Flower needs a system with glibc, as onnxruntime has no builds for musl (Alpine); use Debian, Fedora,"
            " Arch or the like, in a container if need be"
        )
    if pip.bundled() is None or not _has_venv():
        version = (
            "3"
            if sys.executable.endswith("python3")
            else f"{sys.version_info[0]}.{sys.version_info[1]}"
        )
        raise InstallError(
            f"Python's venv module is missing; install it with: sudo apt install python{version}-venv"
        )


def _has_venv() -> bool:
    try:
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def check_owner(root: Path, venv: Path, user: int | None = None, sudo: str | None = None) -> None:
    """Raises ``InstallError`` where files would end up with the wrong owner, or cannot be written.

    ``user`` and ``sudo`` are this process's user and who called sudo, if not asked for.
    """
    user = os.geteuid() if user is None else user
    sudo = os.environ.get("SUDO_USER") if sudo is None else sudo
    owner = root.stat().st_uid
    if user == 0 and sudo and owner != 0:
        raise InstallError(f"run ./start.sh without sudo: the folder belongs to {_name(owner)}")
    holder = venv.stat().st_uid if venv.exists() else user
    if user not in (0, holder):
        raise InstallError(
            f"{venv} belongs to {_name(holder)}; run ./start.sh as {_name(holder)}, or clone a copy of your own"
        )
    if user not in (0, owner) and not os.access(root, os.W_OK):
        raise InstallError(
            f"{root} belongs to {_name(owner)} and cannot be written; clone a copy of your own"
        )


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"the user with the number {user}"
