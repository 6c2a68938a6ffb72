"""From a command line that has been read to a running process: an engine, a screen, and how one finds the other.

It reads no arguments; ``cli`` and ``command_line`` do. Imported before the first frame, so what runs is
imported where it is run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from flower.errors import ConfigError, LaunchError, UsageError
from flower.home import Home, load_config, open_home, own_token
from flower.installation import as_typed
from flower.launch import Launcher, find, offered, running_process
from flower.protocol import PATH, PORT


def home_at(path: str | None, *, reads_only: bool = False) -> Home:
    """Returns the home at ``path``, default the user's own; raises ``ConfigError``."""
    return open_home(Path(path) if path else None, os.environ, reads_only=reads_only)


def run_engine(
    home: Home, *, host: str | None = None, port: int | None = None, managed: bool = False
) -> int:
    """Runs an engine in this process until it is stopped; returns the exit code."""
    config = load_config(home, os.environ)
    from flower.engine.main import run

    return run(home, config, host=host, port=port, managed=managed)


class EngineChoice:
    """How a client finds its engine: at ``url``, else the home's, which ``starts`` when there is none."""

    __slots__ = ("starts", "token", "url")

    def __init__(self, url: str = "", token: str = "", *, starts: bool = True) -> None:
        self.url = url
        self.token = token or os.environ.get("FLOWER_TOKEN", "")
        self.starts = starts

    def open(self, home: Home) -> tuple[Callable[[], str], str | None, Callable[[], str]]:
        """Returns what gives the engine's address, the token, and what gives advice for the user.

        A missing engine is started now, while a screen is being drawn. Raises ``UsageError``.
        """
        if self.url:
            address = websocket_url(self.url)
            return (lambda: address), self.token or None, str
        token = self.token or own_token(home, os.environ)
        advice = partial(ignored_variables, home, os.environ)
        if not self.starts:
            return partial(_running, home), token, advice
        launcher = Launcher(home)
        launcher.prepare()
        return launcher.url, token, advice


def run_tui(home: Home, connection: EngineChoice, *, plain: bool = False) -> int:
    """Runs the screen, or the line mode, until it is quit; returns the exit code."""
    engine_url, token, advice = connection.open(home)
    if plain:
        from flower.tui.plain import main as run_lines

        return run_lines(home_dir=home.root, engine_url=engine_url, token=token, advice=advice)
    from flower.tui.boot import main as run_screen

    return run_screen(home_dir=home.root, engine_url=engine_url, token=token, advice=advice)


def _running(home: Home) -> str:
    url = find(home) or offered(home)
    if url is None:
        raise LaunchError(
            f"no engine runs on {home.root}; start one with `flower engine`, or use `flower`"
        )
    return url


def websocket_url(text: str) -> str:
    """Returns the engine's address for ``HOST``, ``HOST:PORT`` or a URL with or without a path.

    ``unix:/path/of/a.socket`` stays as it is. Raises ``UsageError`` for what cannot be an address.
    """
    if text.startswith("unix:/"):
        return text
    scheme, mark, rest = text.strip().partition("://")
    if not mark:
        scheme, rest = "ws", text.strip()
    scheme = {"http": "ws", "https": "wss"}.get(scheme.lower(), scheme.lower())
    host, slash, path = rest.partition("/")
    if scheme not in ("ws", "wss") or not host or not rest.isprintable() or " " in rest:
        raise UsageError(f"--url must be an address like ws://127.0.0.1:{PORT}{PATH}")
    if not mark and not _has_port(host):
        host = f"{host}:{PORT}"
    return f"{scheme}://{host}{slash + path if path else PATH}"


def _has_port(host: str) -> bool:
    """An IPv6 address is in brackets, so that its colons are no port."""
    return ":" in host.rpartition("]")[2]


# --- Variables that were set too late: for an engine that already runs.


def ignored_variables(home: Home, environ: Mapping[str, str]) -> str:
    """Returns a sentence if the engine that runs on ``home`` was started without settings of ``environ``.

    Only the variables of ``config.ENVIRONMENT`` count, and only where they would change something. Names
    are in it, never values. ``""`` when no engine is ready, when the system does not show a process's
    variables, and when the settings are wrong, which is reported elsewhere.
    """
    from flower.settings.config import ENVIRONMENT  # 50 ms, so this is asked after the first frame

    pid = running_process(home)
    mine = [name for name in ENVIRONMENT if environ.get(name, "").strip()]
    if pid is None or not mine:
        return ""
    try:
        at_start = _variables_of(pid)
        in_use, asked_for = load_config(home, at_start), load_config(home, environ)
    except (OSError, ConfigError):
        return ""
    ignored = [
        name
        for name in mine
        if getattr(in_use, ENVIRONMENT[name]) != getattr(asked_for, ENVIRONMENT[name])
    ]
    if not ignored:
        return ""
    other_way = ""
    if not any(at_start.get(name) for name in ignored):  # else the engine's own variable would win
        keys = " and ".join(ENVIRONMENT[name] for name in ignored)
        other_way = f", or write {keys} into config.yaml"
    return as_typed(
        f"{' and '.join(ignored)} {'is' if len(ignored) == 1 else 'are'} not in use: the engine of this home"
        f" (process {pid}) was already running. Stop it with `flower stop` and start Flower again{other_way};"
        " no story is lost."
    )


def _variables_of(pid: int) -> dict[str, str]:
    """Returns the variables that a process was started with. Raises ``OSError`` where they are not shown."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    pairs = (os.fsdecode(entry).partition("=") for entry in entries)
    return {name: value for name, _, value in pairs}
