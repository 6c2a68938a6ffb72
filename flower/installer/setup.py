"""The steps from nothing to an environment that plays, each of which may be interrupted and begun again.

First a look at the system and the folder. A stamp holds the fingerprint of the set-up that was completed last, one per
extra ("" is Flower itself); it is written last. hnswlib comes after everything else and stops nothing: while
``flower-index-later`` is there it is still to be had.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from flower import machine
from flower.errors import printable
from flower.installer import hnswlib, pip
from flower.installer.failures import InstallError
from flower.installer.pip import DEVELOPERS, Pip, requirements
from flower.installer.slim import slim

_IMPORTS = "import numpy, numpy.linalg, onnxruntime, trio, quart_trio, hypercorn.trio, httpx, watchfiles, blessed"


def say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


class Setup:
    """One run for one checkout. ``wheels`` is filled and used, ``offline`` only used."""

    def __init__(
        self, root: Path, fingerprint: str, *, wheels: Path | None = None, offline: Path | None = None,
        venv: Path | None = None,
    ) -> None:  # fmt: skip
        self.root = root
        self.venv = venv or root / ".venv"
        self.pip = Pip(root, self.venv, offline=offline or wheels)
        self._fingerprint = fingerprint
        self._wheels = wheels
        self._later = self.venv / "flower-index-later"

    def is_ready(self, extra: str) -> bool:
        try:
            return self._stamp(extra).read_text().rstrip("\n") == self._fingerprint
        except OSError:
            return False

    def _stamp(self, extra: str) -> Path:
        return self.venv / f"flower-stamp{f'-{extra}' if extra else ''}"

    def run(self, extras: Sequence[str], *, wait_for_index: bool) -> None:
        """Sets up Flower and ``extras``; raises ``InstallError``. Safe to run twice, also at once.

        With ``wait_for_index`` hnswlib is compiled now, else it is only noted that it is to come.
        """
        check_owner(self.root, self.venv)
        with self._alone():
            if self._wheels is None and all(self.is_ready(extra) for extra in ("", *extras)):
                if wait_for_index:
                    self._get_index()
                return
            check_system()
            self._make_venv()
            for extra in ("", *extras):
                self._stamp(extra).unlink(missing_ok=True)
            everything = sorted({*extras, *self._installed_extras()})
            if self._wheels is not None:
                self._fill_wheels(self._wheels, everything)
            self._install(everything)
            if wait_for_index:
                self._get_index()
            elif not hnswlib.is_there(self.pip.python):
                self._later.touch()
            self._slim(everything)
            for extra in ("", *extras):
                draft = self._stamp(extra).with_suffix(".new")
                draft.write_text(f"{self._fingerprint}\n")
                draft.replace(self._stamp(extra))

    def finish_index(self) -> None:
        """Compiles hnswlib beside a Flower that is being played, as the least important thing on the machine."""
        os.setsid()
        os.nice(19)
        with self._alone(wait=False):
            self.pip.log = self.venv / "index.log"
            try:
                self._get_index()
            finally:
                self._later.unlink(missing_ok=True)  # what failed is in the log; --setup tries again

    def _installed_extras(self) -> list[str]:
        return [
            path.name.removeprefix("flower-stamp-")
            for path in self.venv.glob("flower-stamp-*")
            if not path.suffix
        ]

    @contextmanager
    def _alone(self, *, wait: bool = True) -> Iterator[None]:
        with (self.root / "start.sh").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise InstallError("another ./start.sh is setting up") from None
                say("Another ./start.sh is setting up; waiting for it.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_venv(self) -> None:
        version = ".".join(map(str, sys.version_info[:3]))
        if self.venv.exists():
            say(f"Bringing .venv up to date with Python {version}.")
        else:
            say(f"Setting Flower up with Python {version}. This happens once.")
        if self.pip.was_cut_off:
            say("The last run was cut off while unpacking; starting afresh.")
            shutil.rmtree(self.venv)
        if _runs(self.pip.python, "import sys; sys.exit(sys.version_info < (3, 11))"):
            return
        say("[1/3] Making a Python environment in .venv")
        shutil.rmtree(self.venv, ignore_errors=True)
        # The interpreter's real name, so that a system upgrade cannot exchange it under the packages.
        real = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        line = [real, "-m", "venv", "--without-pip", str(self.venv)]
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if subprocess.run(line, env=environ, check=False).returncode:  # noqa: S603 - the system's Python
            raise InstallError(f"Python could not make {self.venv}; see the message above")

    def _fill_wheels(self, folder: Path, extras: Sequence[str]) -> None:
        """Makes ``folder`` hold a wheel of everything, hnswlib's for any processor of this kind."""
        folder.mkdir(parents=True, exist_ok=True)
        online = Pip(self.root, self.venv)
        self.pip, offline = online, self.pip
        constraints = self.root / "constraints.txt"
        say(f"Collecting wheels in {folder}")
        if not list(folder.glob("hnswlib-*.whl")):
            if reason := hnswlib.obstacle(machine.free_mib()):
                raise InstallError(f"no wheel of hnswlib can be made here: {reason}")
            hnswlib.make_wheel(online, folder, constraints)
        packages = self._requirements_file(extras)
        online.run(
            "wheel", "--wheel-dir", str(folder), "--find-links", str(folder), "-c", str(constraints),
            "-r", str(packages), *_build_system(self.root),
        )  # fmt: skip
        self.pip = offline

    def _requirements_file(self, extras: Sequence[str]) -> Path:
        lines = requirements((self.root / "setup.cfg").read_text(), extras)
        path = self.venv / "requirements.txt"
        path.write_text("\n".join([*lines, ""]))
        return path

    def _install(self, extras: Sequence[str]) -> None:
        say("[2/3] Installing about 40 packages, 50 MB (1 minute on a PC, up to 10 on a Raspberry Pi)")
        self.pip.install("-r", str(self._requirements_file(extras)))
        self.pip.install("--no-deps", "-e", str(self.root))
        if "test" in extras:
            _runs(
                self.pip.python, "import ensurepip; ensurepip.bootstrap()"
            )  # developers want pip at hand
        line = [str(self.pip.python), "-m", "compileall", "-q", str(self.root / "flower")]
        subprocess.run(line, check=False)  # noqa: S603 - only makes the first start faster

    def _get_index(self) -> None:
        """Gets hnswlib the cheapest way there is; what is in the way is said and stops nothing."""
        python = self.pip.python
        if hnswlib.is_there(python) or hnswlib.link_debian(python, self._site_packages):
            self._later.unlink(missing_ok=True)
            return
        if self.pip.offline is None and (reason := hnswlib.obstacle(machine.free_mib())):
            say(f"Without hnswlib, the index for large lore, everything works, and large lore is searched"
                f" a little slower: {reason}")  # fmt: skip
            return
        if self.pip.offline is None:
            say(
                "[3/3] Compiling hnswlib, the index for large lore (1 minute on a PC, 3 to 6 on a Raspberry Pi)"
            )
        else:
            say("[3/3] Installing hnswlib, the index for large lore")
        try:
            hnswlib.install(self.pip)
        except InstallError as error:
            say(f"Flower plays without hnswlib, the index for large lore: {error}")
        self._later.unlink(missing_ok=True)

    @property
    def _site_packages(self) -> Path:
        (folder,) = self.venv.glob(
            f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        )
        return folder

    def _slim(self, extras: Sequence[str]) -> None:
        if set(extras) & set(DEVELOPERS):
            return
        if any((self._site_packages / name).is_dir() for name in ("pip", "setuptools")):
            with suppress(InstallError):  # older versions had them installed
                self.pip.run("uninstall", "-y", "pip", "setuptools")
        slim(self._site_packages, lambda: _runs(self.pip.python, _IMPORTS))


def _build_system(root: Path) -> list[str]:
    """Returns what builds Flower itself: an index would be asked for it."""
    import tomllib

    with (root / "pyproject.toml").open("rb") as file:
        return [str(line) for line in tomllib.load(file)["build-system"]["requires"]]


def _runs(python: Path, code: str) -> bool:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        done = subprocess.run(  # noqa: S603 - our interpreter, our own code
            [python, "-s", "-c", code], capture_output=True, env=environ, cwd="/", check=False
        )
    except OSError:
        return False
    return done.returncode == 0


# --- What the system and the folder must be like, and sentences for when they are not.


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
