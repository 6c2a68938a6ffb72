"""``python -m flower.installer ROOT FINGERPRINT [--later] [--index] [FOLDER OPTIONS] [EXTRA ...]``.

Called by ``start.sh``, which knows where it is and has compared the fingerprint. ``--later`` leaves hnswlib for
``--index``, which runs beside the game. Folder options: ``--wheels DIR``, ``--offline DIR``, and ``--venv DIR`` for an
environment elsewhere than in ``.venv``.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from flower.installer.failures import InstallError
from flower.installer.setup import Setup, say

EXTRAS = ("test", "local", "postgres", "socks", "model")


def main(arguments: Sequence[str]) -> int:
    """Carries out one set-up; returns 0, or 1 after a sentence."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    root, fingerprint, *rest = arguments
    setup = None
    try:
        flags, folders, extras = _parse(rest)
        setup = Setup(
            Path(root), fingerprint, wheels=folders.get("--wheels"), offline=folders.get("--offline"),
            venv=folders.get("--venv"),
        )  # fmt: skip
        if "--index" in flags:
            setup.finish_index()
        else:
            setup.run(extras, wait_for_index="--later" not in flags)
    except InstallError as error:
        say(f"start.sh: {error}")
        return 1
    except KeyboardInterrupt:
        if setup is not None:
            setup.pip.stop()
        say("\nstart.sh: interrupted; ./start.sh goes on from here")
        return 1
    return 0


def _interrupt(_number: int, _frame: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # one is enough; pip is being waited for
    raise KeyboardInterrupt


def _parse(words: Sequence[str]) -> tuple[set[str], dict[str, Path], list[str]]:
    flags: set[str] = set()
    folders: dict[str, Path] = {}
    extras: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in ("--later", "--index"):
            flags.add(word)
        elif word in ("--wheels", "--offline", "--venv"):
            value = next(rest, "")
            if not value:
                raise InstallError(f"{word} needs a folder behind it")
            folders[word] = Path(value).expanduser().absolute()
        elif word in EXTRAS:
            extras.append(word)
        else:
            raise InstallError(f"unknown extra '{word}'; there are: {', '.join(EXTRAS)}")
    if {"--wheels", "--offline"} <= folders.keys():
        raise InstallError(
            "--wheels fills a folder and uses it, --offline only uses it; give one of them"
        )
    if "--offline" in folders and not folders["--offline"].is_dir():
        raise InstallError(
            f"there is no folder {folders['--offline']}; ./start.sh --setup --wheels DIR makes one"
        )
    return flags, folders, extras


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
