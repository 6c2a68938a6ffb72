"""Which build of Flower this is: its version, and in a checkout the commit.

The version alone says nothing between two releases, while an engine that was started yesterday goes on with
yesterday's files. Reads ``.git`` without starting git, once per process and at its very start, so that the
answer is what this process was loaded from.
"""

from __future__ import annotations

import os

_HASH_CHARS = 9
_FILE_BYTES = 1 << 20  # packed-refs of a large repository


def of_checkout(root: str, version: str) -> str:
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
        if found := _checked(_read(os.path.join(folder, name)).strip()):
            return found
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
