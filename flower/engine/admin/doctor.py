"""``flower doctor``: looks an installation through and says what to do, a line each.

Reads and tries things out; changes nothing that is yours. Names of keys are shown, never their values. Every check
returns lines instead of raising, so that one trouble does not hide the next.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

import trio
from msgspec import Struct

import flower
from flower import launch, limits
from flower.engine.admin import backup, board
from flower.engine.assets.loader import SHIPPED, load_assets
from flower.engine.provider.llamacpp import gguf
from flower.engine.provider.setup import read_setup
from flower.engine.recall import embedding_models
from flower.engine.store import stories
from flower.engine.store.sqlite import file, recovery
from flower.errors import ConfigError, FlowerError, StoreError, printable
from flower.home import Home, load_config, read_token
from flower.installation import as_typed
from flower.settings.config import ENVIRONMENT, Config
from flower.text import counted

MEMORY_LOW_BYTES = 200 * limits.MIB  # what engine, model and screen take together

SHIPPED_MODELS = Path(flower.__file__).parent / "models"
PACKAGES = (
    "trio", "wsproto", "quart", "quart-trio", "hypercorn", "httpx", "msgspec", "PyYAML", "blessed",
    "numpy", "hnswlib", "onnxruntime",
)  # fmt: skip


class Finding(Struct, frozen=True):
    """One line: what was looked at and how it is. ``advice``: what to do, "" when all is well."""

    what: str
    state: str
    advice: str = ""

    def __str__(self) -> str:
        mark = "--" if self.advice else "OK"
        advice = f"; {self.advice}" if self.advice else ""
        return f"{mark}  {self.what:<11} {self.state}{advice}"


def run(home: Home, environ: Mapping[str, str], write: Callable[[str], object]) -> int:
    """Writes one line per check; returns 0 if all is well, else 1."""
    advised = 0
    for finding in findings(home, environ):
        write(as_typed(f"{printable(finding)}\n"))
        advised += bool(finding.advice)
    write(
        "\nAll is well.\n"
        if not advised
        else f"\n{counted(advised, 'thing')} to look at (the lines with --).\n"
    )
    return 1 if advised else 0


def findings(home: Home, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yields the checks as they are done; the slow one, the embedding model, comes last."""
    yield _python()
    yield _compiler()
    yield from _packages()
    yield _home(home)
    config, finding = _config(home, environ)
    yield finding
    yield from _assets(home)
    yield from _models(home)
    yield from _keys(home, config, environ)
    yield _database(home) if not config.store else _server(config.store)
    yield _backups(home)
    yield _index(home)
    yield from _machine(home)
    yield _port(home, config)
    yield from _terminal(environ)
    yield _embedding(home, config)


def _python() -> Finding:
    state = f"{platform.python_version()} on {platform.machine()}, SQLite {file.SQLITE_VERSION}"
    if sys.maxsize < 2**32:
        return Finding("Python", state, "the libraries have no 32-bit builds; use a 64-bit system")
    return Finding("Python", state)


def _compiler() -> Finding:
    """A compiler is needed once, for hnswlib; without that package it is missed."""
    compiler = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if _version("hnswlib"):
        return Finding("compiler", "not needed any more: hnswlib is there")
    if compiler is None:
        return Finding("compiler", "none", "sudo apt install g++")
    if not header.exists():
        return Finding("compiler", compiler, "sudo apt install python3-dev")
    return Finding("compiler", compiler)


def _packages() -> Iterator[Finding]:
    versions = {name: _version(name) for name in PACKAGES}
    missing = [name for name, version in versions.items() if version is None]
    there = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if missing:
        yield Finding("packages", f"missing: {', '.join(missing)}", "run ./start.sh --setup")
    yield Finding("packages", there)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _home(home: Home) -> Finding:
    mode = home.root.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding(
            "home", f"{home.root} (mode {mode:o})", f"others can read it: chmod 700 {home.root}"
        )
    return Finding("home", str(home.root))


def _config(home: Home, environ: Mapping[str, str]) -> tuple[Config, Finding]:
    try:
        return load_config(home, environ), Finding("config", str(home.config))
    except ConfigError as error:
        return Config(), Finding(
            "config", str(error), "mend that line; the engine does not start with it"
        )


def _models(home: Home) -> Iterator[Finding]:
    for path in sorted(home.models.glob("*.gguf")):
        try:
            why = gguf.problem_of(path)
        except OSError as error:
            why = f"it cannot be read ({error.strerror or error})"
        advice = "delete it, or get it again with /models get" if why else ""
        yield Finding("model", f"{path.name}: {why}" if why else path.name, advice)


def _assets(home: Home) -> Iterator[Finding]:
    assets = load_assets((SHIPPED, home.assets))
    for problem in assets.problems:
        yield Finding("assets", str(problem), "mend or delete that file")
    yield Finding(
        "assets",
        f"{counted(len(assets.worlds), 'world')}, {counted(len(assets.characters), 'character')},"
        f" {counted(len(assets.rules), 'rule')}",
    )


def _keys(home: Home, config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Says which keys are there and which providers cannot be used, never a key itself."""
    present = [
        key for key in config.__struct_fields__ if key.endswith("_api_key") and getattr(config, key)
    ]
    present += [provider.name for provider in config.providers if provider.api_key]
    from_environ = [name for name in ENVIRONMENT if environ.get(name, "").strip()]
    state = ", ".join(present) or "none; the offline narrator needs none"
    yield Finding(
        "keys", state + (f" (environment: {', '.join(from_environ)})" if from_environ else "")
    )
    for name, problem in read_setup(config, environ, home.root).problems.items():
        yield Finding("provider", f"{name}: {problem}", "mend it in config.yaml")


def _database(home: Home) -> Finding:
    if not home.database.exists():
        return Finding("database", "none yet; the first start makes it")
    report = recovery.look(home.database)
    size = sum(path.stat().st_size for path in file.with_log(home.database) if path.exists())
    if not report.sound:
        return Finding("database", "; ".join(report.lines), "stop the engine and run `flower check`")
    return Finding("database", f"{report.lines[0]} {size / limits.MIB:.1f} MiB, no damage")


def _server(url: str) -> Finding:
    try:
        from flower.engine.store.postgres.reading import reading
    except ImportError:
        return Finding("database", "the driver of PostgreSQL is missing", "./start.sh --setup postgres")
    try:
        with reading(url) as db:
            return Finding("database", f"{stories.count_sessions(db)} stories in PostgreSQL")
    except StoreError as error:
        return Finding("database", str(error), "see `store` in config.yaml and the server's log")


def _backups(home: Home) -> Finding:
    paths = backup.listed(home)
    if not paths:
        return Finding("backups", "none yet; the engine makes one a day")
    age = max(0.0, time.time() - paths[0].stat().st_mtime) / 3600
    size = backup.database_size(home)
    bytes_used = sum(path.stat().st_size for path in paths)
    copies = backup.kept_daily(size, shutil.disk_usage(paths[0].parent).free + bytes_used)
    days = backup.interval_s(size) / backup.BACKUP_INTERVAL_S
    plan = f"one every {days:.1f} days" if days > 1 else "one a day"
    state = f"{len(paths)}, {bytes_used / limits.MIB:.1f} MiB, the newest {age:.0f} hours old; {plan}, {copies} kept"
    return Finding("backups", state)


def _index(home: Home) -> Finding:
    files = [path for path in home.index.iterdir() if path.suffix == ".hnsw"]
    cut_off = [path for path in home.index.iterdir() if path.suffix == ".loading"]
    size = sum(path.stat().st_size for path in files) / limits.MIB
    state = f"{len(files)} graphs, {size:.1f} MiB" if files else "no graph; small lore needs none"
    if cut_off and not launch.find(home):
        state += f", {len(cut_off)} will be built anew"
    return Finding("index", state)


def _machine(home: Home) -> Iterator[Finding]:
    free = shutil.disk_usage(home.root).free
    advice = "free some space: stories cannot be saved soon" if free < 4 * limits.DISK_LOW_BYTES else ""
    room = f"{free // limits.MIB} MiB free"
    if not os.access(home.root, os.W_OK):
        room += ", read-only"
        advice = "nothing can be saved; `flower backup FILE` copies the stories to another disk"
    yield Finding("disk", room, advice)
    if os.access(home.run, os.W_OK):
        yield _syncs(home)
    power = board.asked_throttling()
    if power is not None:
        yield Finding("power", *board.throttling(power))
    yield Finding("clock", *board.clock(time.time()))
    available = _memory_available()
    if available is not None:
        low = available < MEMORY_LOW_BYTES
        advice = "close something, or set embedding.unload_after_s" if low else ""
        yield Finding("memory", f"{available // limits.MIB} MiB available", advice)


def _syncs(home: Home) -> Finding:
    try:
        return Finding("writing", *board.judged_syncs(board.sync_times(home.run)))
    except OSError as error:
        return Finding("writing", error.strerror or str(error), "nothing can be saved like that")


def _memory_available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * limits.KIB
    return None


def _port(home: Home, config: Config) -> Finding:
    url = launch.find(home)
    if url is not None:
        return Finding("engine", f"runs at {url}")
    if config.engine.socket:
        return Finding("engine", f"does not run; will listen on {config.engine.socket}")
    host, port = config.engine.host, config.engine.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            advice = "stop what uses it, or set engine.port; `flower` alone takes the next free port"
            return Finding("engine", f"port {port} of {host} cannot be used ({reason})", advice)
    shared = "" if host in ("127.0.0.1", "localhost", "::1") else _token_note(home, config)
    return Finding("engine", f"does not run; port {port} of {host} is free{shared}")


def _token_note(home: Home, config: Config) -> str:
    own = config.engine.token or read_token(home)
    return ", for others with the token" if own else ", for others with a token that is made then"


def _terminal(environ: Mapping[str, str]) -> Iterator[Finding]:
    kind = environ.get("TERM", "")
    size = shutil.get_terminal_size((0, 0))
    depth = environ.get("COLORTERM", "") or ("256 colours" if "256" in kind else "few colours")
    state = f"{kind or 'unknown'}, {depth}, {size.columns}x{size.lines}"
    if kind in ("", "dumb"):
        yield Finding(
            "terminal", state, "set TERM to what your terminal is, for example xterm-256color"
        )
    elif size.columns and (size.columns < limits.COLUMNS_MIN or size.lines < limits.ROWS_MIN):
        yield Finding("terminal", state, f"make it {limits.COLUMNS_MIN}x{limits.ROWS_MIN} or larger")
    else:
        yield Finding("terminal", state)
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if encoding != "utf8":
        yield Finding("locale", encoding or "unknown", "set LANG to a UTF-8 one, for example C.UTF-8")


def _embedding(home: Home, config: Config) -> Finding:
    """Loads the model and embeds one sentence, in this process: a bad one fails here, not in a story."""
    models = embedding_models.choose((home.models, SHIPPED_MODELS), config.embedding.model, home.index)
    if models.trouble:
        return Finding("recall", models.trouble, "mend the folder or embedding.model")
    embedder = models.embedder

    async def embed_twice() -> tuple[float, float]:
        begun = trio.current_time()
        await embedder.embed(["The lamp is lit."])
        loaded = trio.current_time()
        await embedder.embed(["The tide comes in over the mole."])
        return loaded - begun, trio.current_time() - loaded

    try:
        load_s, sentence_s = trio.run(embed_twice)
    except FlowerError as error:
        return Finding("recall", str(error), "stories work without it, by words only")
    finally:
        embedder.close()
    return Finding("recall", f"loaded in {load_s:.2f} s, one sentence in {sentence_s * 1000:.0f} ms")
