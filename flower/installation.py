"""This copy of Flower: which build it is, how it is typed in a shell, how another Python runs it.

The version alone says nothing between two releases, while an engine that was started yesterday goes on with
yesterday's files. So ``.git`` is read, without starting git, once per process and at its very start: the answer is
what this process was loaded from. A message that names a command is of use only if it can be typed as it is:
sentences say `flower ...`; what is printed goes through ``as_typed``. Starts nothing.

Imported first in every process, so it imports nothing heavy.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_HASH_CHARS = 9
_FILE_BYTES = 1 << 20  # packed-refs of a large repository


def build_of(root: str, version: str) -> str:
    """Returns ``0.1.0+1a2b3c4d5`` for a checkout at ``root``, ``version`` alone for anything else."""
    commit = _commit(os.path.join(root, ".git"))
    return f"{version}+{commit[:_HASH_CHARS]}" if commit else version


def _commit(git: str) -> str:
    pointer = _read(git)  # a worktree has a file that says where its folder is
    if pointer.startswith("gitdir: "):
        git = os.path.join(os.path.dirname(git), pointer.removeprefix("gitdir: ").strip())
    head = _read(os.path.join(git, "HEAD")).strip()
    if not head.startswith("ref: "):
        return _checked(head)
    name = head.removeprefix("ref: ")
    shared = os.path.join(git, _read(os.path.join(git, "commondir")).strip())
    for folder in (git, shared):
        if commit := _checked(_read(os.path.join(folder, name)).strip()):
            return commit
    for line in _read(os.path.join(shared, "packed-refs")).splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            return _checked(commit)
    return ""


def _checked(text: str) -> str:
    """Returns ``text`` if it is the name of a commit, else ""."""
    return text if len(text) >= 40 and text.isascii() and text.isalnum() else ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(_FILE_BYTES)
    except OSError:
        return ""


# --- How it is typed.


def as_typed(text: str) -> str:
    """Returns ``text`` with the commands in it, such as `flower check`, as they can be typed here."""
    if "`flower" not in text:
        return text
    name = command_name(os.environ.get("PATH", ""))
    return text.replace("`flower ", f"`{name} ").replace("`flower`", f"`{name}`")


def command_name(search_path: str) -> str:
    """Returns ``flower`` if the shell finds this copy by it, else the shortest name that works."""
    import shutil  # 6 ms that a start does without

    own = Path(sys.prefix, "bin", "flower")
    first = shutil.which("flower", path=search_path)
    if first is not None and os.path.realpath(first) == os.path.realpath(own):
        return "flower"
    script = Path(__file__).parents[1] / "start.sh"
    if script.is_file():
        return "./start.sh" if Path.cwd() == script.parent else str(script)
    return str(own) if own.is_file() else f"{sys.executable} -m flower"


# --- How another Python runs it.


def own_command(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """Returns command and environment that run Flower again with ``arguments``."""
    return own_python("-m", "flower", *arguments)


def own_python(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """Returns command and environment of a child Python that can import Flower.

    Every child is made by this: the current directory is the user's, a folder of somebody's files maybe, and no
    place to import modules from. So ``-P``, and of PYTHONPATH only what does not depend on the current directory.
    """
    package = str(Path(__file__).parents[1])
    others = [
        entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(entry)
    ]
    path = os.pathsep.join([package, *others])
    return [sys.executable, "-P", *arguments], {**os.environ, "PYTHONPATH": path}
