"""From a command line that has been read to a running process: an engine, a screen, and how one finds the other.

It reads no arguments; ``cli`` and ``cli_commands`` do. Imported before the first frame, so what runs is
imported where it is run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flower.errors import LaunchError, UsageError
from flower.home import Home, load_config, open_home, own_token
from flower.launch import Launcher, find, ignored_variables, offered
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
    scheme, found, rest = text.strip().partition("://")
    if not found:
        scheme, rest = "ws", text.strip()
    scheme = {"http": "ws", "https": "wss"}.get(scheme.lower(), scheme.lower())
    host, slash, path = rest.partition("/")
    if scheme not in ("ws", "wss") or not host or not rest.isprintable() or " " in rest:
        raise UsageError(f"--url must be an address like ws://127.0.0.1:{PORT}{PATH}")
    if not found and not _has_port(host):
        host = f"{host}:{PORT}"
    return f"{scheme}://{host}{slash + path if path else PATH}"


def _has_port(host: str) -> bool:
    """An IPv6 address is in brackets, so that its colons are no port."""
    return ":" in host.rpartition("]")[2]
