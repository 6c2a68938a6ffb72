"""hnswlib, the index for large lore: a wheel, Debian's own build, or compiled here; and what if none of it works.

No gate: without it recall compares with every passage, exactly and a little slower, until it is there.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path

from flower.installer.pip import Pip

COMPILING_MIB = 700  # measured with -g0: 673 at the peak
_DEBIAN_PACKAGES = Path("/usr/lib/python3/dist-packages")
_TRY = (
    "import hnswlib, numpy; i = hnswlib.Index('ip', 32); i.init_index(8);"
    " i.add_items(numpy.eye(8, 32, dtype='f')); i.knn_query(numpy.ones((1, 32), 'f'), k=3)"
)


def is_there(python: Path) -> bool:
    """Whether this very interpreter would find it; a file of another Python's does not count."""
    code = "import importlib.util as u, sys; sys.exit(u.find_spec('hnswlib') is None)"
    return _runs(python, code)


def works(python: Path) -> bool:
    """Whether it makes and asks an index; in a process of its own, as another processor's build kills it."""
    return _runs(python, _TRY)


def _runs(python: Path, code: str) -> bool:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603 - the environment's interpreter, our own code
        [python, "-s", "-c", code], capture_output=True, env=environ, cwd="/", check=False
    )
    return done.returncode == 0


def link_debian(python: Path, site_packages: Path, source: Path = _DEBIAN_PACKAGES) -> bool:
    """Takes the system's ``python3-hnswlib`` into the environment, if it is there and fits; returns whether.

    Links, so that the system's updates of it count here too.
    """
    library = source / f"hnswlib{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not library.exists():
        return False
    links = []
    for original in (library, *source.glob("hnswlib-*.*-info")):
        link = site_packages / original.name
        link.symlink_to(original)
        links.append(link)
    if works(python):
        return True
    for link in links:
        link.unlink()
    return False


def obstacle(free_mib: int | None) -> str:
    """Returns why it cannot be compiled here and now, and what helps; "" if it can."""
    if shutil.which(os.environ.get("CXX", "c++")) is None and shutil.which("g++") is None:
        return f"there is no C++ compiler; install one: {_apt('g++ python3-dev')}"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return f"Python's header files are missing; install them: {_apt('python3-dev')}"
    if free_mib is not None and free_mib < COMPILING_MIB:
        return (
            f"compiling it takes {COMPILING_MIB} MB of memory and {free_mib} MB are free, swap included;"
            " stop other programs, add swap, or take a wheel from another machine (--wheels DIR there and here)"
        )
    return ""


def _apt(packages: str) -> str:
    """Debian's package of hnswlib where there is one: it needs no compiler."""
    if shutil.which("apt-cache"):
        done = subprocess.run(
            ["apt-cache", "show", "python3-hnswlib"],  # noqa: S607 - the system's own
            capture_output=True,
            check=False,
        )
        if done.returncode == 0 and done.stdout.strip():
            packages = "python3-hnswlib"
    return f"sudo apt install {packages}"


_NAMELESS = "-Wno-builtin-macro-redefined -D__FILE__='\"hnswlib\"'"


def compiling_environ(*, portable: bool) -> dict[str, str]:
    """Returns the variables to compile with; ``portable``: for any processor of this kind.

    Off x86 -march=native gains nothing, and would tie an SD card to one model of Pi. Debug symbols would
    cost 160 MB while compiling and 6 on disk; one job, as every further one takes as much again. Messages of
    its headers name their file, whose path is a folder of this very build: a wheel for others does without.
    """
    environ = {"MAKEFLAGS": "-j1"}
    for name in ("CFLAGS", "CXXFLAGS"):  # which of them counts depends on the version of setuptools
        nameless = f" {_NAMELESS}" if portable else ""
        environ[name] = f"{os.environ.get(name, '')} -g0{nameless}".strip()
    if portable or platform.machine() != "x86_64":
        environ["HNSWLIB_NO_NATIVE"] = "1"
    return environ


def install(pip: Pip) -> None:
    """Installs it from the folder of wheels or compiles it; raises ``InstallError``."""
    pip.install("--no-deps", "hnswlib", environ=compiling_environ(portable=False))


def make_wheel(pip: Pip, folder: Path, constraints: Path) -> None:
    """Puts a wheel for every processor of this kind into ``folder``; raises ``InstallError``.

    pip's cache may hold one that was compiled for this very processor, so it is not asked.
    """
    pip.run(
        "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", str(folder), "-c", str(constraints), "hnswlib",
        environ=compiling_environ(portable=True),
    )  # fmt: skip
