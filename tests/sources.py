"""The source of the package, for the tests that read it."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path

import flower

PACKAGE = Path(flower.__file__).parent


@cache
def modules() -> tuple[Path, ...]:
    """Returns the files of the package, in the order of their paths."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


def name_of(path: Path) -> str:
    """Returns a module's path below ``flower/``."""
    return path.relative_to(PACKAGE).as_posix()


@cache
def text_of(path: Path) -> str:
    return path.read_text()


def tree_of(path: Path) -> ast.Module:
    return parsed(text_of(path))


def parsed(text: str) -> ast.Module:
    """Returns the tree of a source: the collector would look through each half-made one and take four times as long.

    Trees are not kept: those of the package take 140 MB.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        if collects:
            gc.enable()
