"""Commands about models in files: what this machine can run, and getting one."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from flower.engine.provider.llamacpp import fetch, sizes
from flower.engine.provider.llamacpp.files import core_count, read_memory
from flower.engine.provider.llamacpp.sizes import Measured
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.fetches import Fetch
from flower.engine.sessions.program import OWNER
from flower.engine.sessions.session import Client
from flower.errors import CommandError

SHA256 = re.compile(r"[0-9a-fA-F]{64}")
HEX = re.compile(r"[0-9a-fA-F]{4,}")
WHERE = (
    'Which file: take one whose name says "instruct", "it" or "chat": it follows what the story '
    'asks; one without ("base") only goes on with text. Each model has files of several '
    "quantisations; Q4_K_M is the one to begin with.\n"
    "Where: on the web, sites that host models have a page for each; search for GGUF and the size "
    "that fits. The page lists the files and, behind the name, the SHA-256 of each. Copy the address"
    " behind Download, which ends with .gguf.\n"
    "Then: /models get ADDRESS [SHA256], or the path of a file you have. What runs it: ./start.sh "
    "--setup local, once."
)


async def get(engine: Engine, client: Client, argument: str) -> None:
    """``/models get [ADDRESS|PATH] [SHA256]``, ``/models get stop``."""
    source, sha256 = _parts(argument)
    if not source:
        client.notify(f"{await advice(engine)}\n{WHERE}")
        return
    if client.rights != OWNER:
        raise CommandError("Models are fetched by the engine's own user on its machine only.")
    if source == "stop":
        client.notify("✓ Stopping." if engine.fetches.stop() else "Nothing is being fetched.")
        return
    if engine.program is None:
        raise CommandError("This engine has no models folder.")
    folder = engine.program.home.models
    name = fetch.file_name(source)
    work: Fetch
    if source.lower().startswith(("http://", "https://")):
        work = partial(_download, source, folder, sha256)
    elif "://" in source:
        raise CommandError("An address begins with https://; anything else is taken for a path.")
    else:
        work = partial(_take, _path(source), folder, sha256)
    engine.fetches.start(name, work, client.notify, engine.registry.look_for_files)
    client.notify(f"Fetching {name} …")


async def _download(url: str, folder: Path, sha256: str, report: fetch.Report) -> fetch.Fetched:
    return await fetch.fetch(url, folder, report, sha256=sha256)


def _path(source: str) -> Path:
    return Path(source).expanduser()


async def _take(path: Path, folder: Path, sha256: str, report: fetch.Report) -> fetch.Fetched:
    return await fetch.take(path, folder, sha256=sha256)


def _parts(argument: str) -> tuple[str, str]:
    """Returns the address or path, which may have blanks, and the SHA-256 behind it.

    Raises ``CommandError`` for digits that are none.
    """
    before, _, last = argument.strip().rpartition(" ")
    if before.endswith(".gguf") and HEX.fullmatch(last) and not SHA256.fullmatch(last):
        raise CommandError(f"A SHA-256 has 64 digits out of 0-9 and a-f, and not {len(last)}.")
    return (before.strip(), last) if before and SHA256.fullmatch(last) else (argument.strip(), "")


async def advice(engine: Engine) -> str:
    """Returns what this machine can run."""
    await engine.registry.look_for_files()
    known = engine.registry.local_bytes()
    measured = [
        Measured(model, known[model], rate)
        for model, rate in engine.metrics.rates.items()
        if model in known
    ]
    memory_bytes, _ = read_memory()
    have = f"\nHere already: {', '.join(known)}." if known else ""
    return sizes.advice(memory_bytes, core_count(), measured) + have
