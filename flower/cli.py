"""The ``flower`` command: from the command line to a running process.

Owns exit codes (0 well, 130 Ctrl-C, else a sentence on stderr and what ``errors`` says) and the fast path: ``flower``,
``flower tui`` and ``flower engine`` as people and programs start them daily, with nothing but ``--home`` and
``--managed``. Between ``exec`` and the first frame lie only this module, ``home`` and ``launch`` (8 ms beside
pathlib's 10 on a PC); click would add 26, several times that on a small board, so every other command line
is left to ``cli_commands``. It holds no logic of engine or TUI.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from flower.errors import FlowerError, LaunchError, UsageError, printable
from flower.home import Home, load_config, open_home, own_token
from flower.launch import Launcher, find, ignored_variables, offered
from flower.protocol import PATH, PORT

_DAILY = ("", "tui", "engine")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line (default: this process's); returns the exit code."""
    os.umask(0o077)  # stories, logs and keys are the user's alone, whichever module writes them
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not (_writes_utf8(sys.stdout) and _writes_utf8(sys.stderr)):
        from flower import plain_letters

        plain_letters.use_for(sys.stdout, sys.stderr)
    try:
        daily = parse_daily(arguments)
        if daily is not None:
            return _run_daily(*daily)
        from flower.cli_commands import run

        code = run(arguments)
        sys.stdout.flush()
    except UsageError as error:
        from flower.command_name import as_typed

        print(f"flower: {_told(error)}; see {as_typed('`flower --help`')}", file=sys.stderr)
        return error.exit_code
    except FlowerError as error:
        print(f"{_journal_mark()}flower: {_told(error)}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` does; without this Python would complain while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _told(error: FlowerError) -> str:
    """Returns a sentence fit for a terminal, with commands as they can be typed here."""
    from flower.command_name import as_typed

    return printable(as_typed(str(error)))


def _journal_mark() -> str:
    """Returns what makes a line an error for the journal; "" where that does not listen."""
    if "JOURNAL_STREAM" not in os.environ:
        return ""
    from flower.systemd import is_journal

    return "<3>" if is_journal(2, os.environ) else ""


def _writes_utf8(stream: object) -> bool:
    encoding: str = getattr(stream, "encoding", None) or "utf-8"
    return encoding.lower() in ("utf-8", "utf8")


def parse_daily(arguments: Sequence[str]) -> tuple[str, str | None, bool] | None:
    """Returns command, home and whether the engine is managed; None for a line that click must read."""
    words = list(arguments)
    home = None
    if len(words) >= 2 and words[0] == "--home" and not words[1].startswith("-"):
        home = words[1]
        del words[:2]
    command = words.pop(0) if words else ""
    if command not in _DAILY or words not in ([], ["--managed"]) or (words and command != "engine"):
        return None
    return command, home, bool(words)


def _run_daily(command: str, home_dir: str | None, managed: bool) -> int:
    home = home_at(home_dir)
    if command == "engine":
        return run_engine(home, managed=managed)
    return run_tui(home, EngineChoice(starts=command != "tui"))


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
    """An IPv6 address stands in brackets, so that its colons are no port."""
    return ":" in host.rpartition("]")[2]
