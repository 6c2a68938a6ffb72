"""Takes out of an environment what playing never needs: half of what the packages bring along.

Nothing is taken whose absence an import could notice: what is left is tried before anything is gone
for good.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

# Tools beside onnxruntime's core, for people who make models.
_UNUSED = (
    "onnxruntime/backend",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "numpy/f2py",
)
_TESTS = ("tests", "_tests")
_TESTED = ("numpy", "trio", "sniffio", "onnxruntime", "watchfiles", "hypercorn", "priority")


def slim(site_packages: Path, still_works: Callable[[], bool]) -> int:
    """Removes what is not needed; returns how many bytes that were.

    Everything is set aside first and put back if ``still_works`` says no.
    """
    aside = site_packages.parent / "set-aside"
    shutil.rmtree(aside, ignore_errors=True)
    moved = []
    for path in _found(site_packages):
        target = aside / path.relative_to(site_packages)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        moved.append((path, target))
    if moved and not still_works():
        for path, target in reversed(moved):
            target.rename(path)
        moved = []
    freed = sum(_size(target) for _, target in moved)
    shutil.rmtree(aside, ignore_errors=True)
    return freed


def _found(site_packages: Path) -> Iterator[Path]:
    for name in _UNUSED:
        if (site_packages / name).is_dir():
            yield site_packages / name
    for name in _TESTED:
        for path in sorted((site_packages / name).rglob("*")):
            if path.name in _TESTS and path.is_dir() and not _is_within(path, _UNUSED, site_packages):
                yield path
    yield from _second_copies(site_packages / "onnxruntime" / "capi")


def _is_within(path: Path, names: tuple[str, ...], site_packages: Path) -> bool:
    return any(path.is_relative_to(site_packages / name) for name in names) or any(
        parent.name in _TESTS for parent in path.relative_to(site_packages).parents
    )


def _second_copies(capi: Path) -> Iterator[Path]:
    """onnxruntime's library for programs in C: the Python module has all of it built in."""
    modules = [path.read_bytes() for path in capi.glob("onnxruntime_pybind11_state*.so")]
    for path in sorted(capi.glob("libonnxruntime.so.*")):
        soname = ".".join(
            path.name.split(".")[:3]
        ).encode()  # libonnxruntime.so.1, as a linker notes it
        if modules and not any(soname in module for module in modules):
            yield path


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
