"""``flower models``: which models this machine can run, and getting one, without an engine."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import trio

from flower.engine.provider.llamacpp import fetch, gguf, sizes
from flower.engine.provider.llamacpp.files import completes_only, core_count, read_memory
from flower.engine.provider.text_prompts import BASE_NOTE
from flower.engine.sessions.fetches import Reporter
from flower.errors import UsageError, printable, printable_line
from flower.home import Home

WHERE = (
    "Take a file whose name says instruct, it or chat, and begin with Q4_K_M. `/models get` in the program and "
    "docs/local-models.md say where people get them and how to check them.\n"
    "What runs files: ./start.sh --setup local, once."
)


def run(home: Home, source: str, sha256: str) -> int:
    """Prints what fits, or gets the file of ``source``; returns the exit code. Raises ``FlowerError``."""
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError("--sha256 takes 64 digits out of 0-9 and a-f")
    if source:
        return _get(home, source, sha256)
    memory_bytes, _ = read_memory()
    print(printable(sizes.advice(memory_bytes, core_count(), ())))
    print(WHERE)
    for path in sorted(home.models.glob("*.gguf")):
        print(f"  {printable_line(path.name)}: {printable_line(gguf.trouble_of(path) or _kind(path))}")
    return 0


def _kind(path: Path) -> str:
    """Returns what a file is that may be a model."""
    return f"a {BASE_NOTE}" if completes_only(path) else "a model"


def _get(home: Home, source: str, sha256: str) -> int:
    name, path = fetch.file_name(source), Path(source).expanduser()
    reporter = Reporter(
        name, lambda line: print(printable_line(line.partition(";")[0]), file=sys.stderr, flush=True)
    )

    async def work() -> fetch.Fetched:
        if source.lower().startswith(("http://", "https://")):
            return await fetch.fetch(source, home.models, reporter.report, sha256=sha256)
        return await fetch.take(path, home.models, sha256=sha256)

    fetched = trio.run(work)
    print(
        f"{printable_line(fetched.path)} ({fetched.size_bytes / 1e9:.1f} GB)\nSHA-256 {printable_line(fetched.sha256)}"
    )
    return 0
