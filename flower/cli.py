"""The ``flower`` command: reads the command line and starts the right process.

Owns options, help texts and exit codes (0 well, 1 a sentence on stderr, 2 wrong usage, 130 Ctrl-C).
It holds no logic of engine or face.

The command line is read by hand and the heavy modules are imported where they are needed: between
``exec`` and the first frame lie only this module, ``home`` and ``launch`` (8 ms beside pathlib's 10 on
a PC; argparse would add 6 and click 26, several times that on a small board).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import flower
from flower import limits
from flower.errors import FlowerError, LaunchError
from flower.home import Home, load_config, open_home, own_token
from flower.launch import Launcher, find, unheard_variables

HELP = """\
Flower: a roleplay engine for the terminal.

  flower                 play: joins the engine of this home, or starts one, and opens the screen
  flower engine          run the engine alone, in the foreground
  flower tui             open the screen alone and join an engine
  flower say [TEXT]      send one line of the story and print the reply; without TEXT reads it from a pipe
  flower backup [FILE]   copy all stories, also while an engine runs (default: into the home)
  flower restore [FILE]  go back to a backup; without FILE lists those of the home
  flower check           look the stories through; repairs what is damaged if no engine runs
  flower doctor          look the installation through, and say what to do
  flower export [ID]     write a story to standard output or a file; without ID lists the stories
  flower lore add WORLD FILE...   make text files lore of a world
  flower token           show the access token for other machines, made when there is none

Everywhere:
  --home DIR             where your stories live (default: FLOWER_HOME, else your data folder)
  --help, --version

flower, flower tui:
  --plain                lines instead of a screen: for screen readers, pipes and simple terminals

flower engine:
  --host ADDRESS         listen here (default: engine.host in config.yaml, else 127.0.0.1)
  --port NUMBER          listen here (default: engine.port, else 8000; 0: any free port)
  --managed              stop when the last screen has been quit (how `flower` starts it)
  --reload               restart when a source file, the config or an asset changes

flower tui, flower say:
  --url URL              join this engine (default: the one that runs on this home)
  --token TOKEN          its access token (safer: the environment variable FLOWER_TOKEN)
  --ca FILE              trust the certificates in this PEM file instead of the system's (wss://)
  --reload               restart when a source file or the config changes

flower export:
  --format FORMAT        md, html, txt or jsonl (default: by the file's ending, else md)
  --output FILE          write it there; an existing file is never overwritten
  --all                  the whole tree, not only the branch the story is on

flower token:
  --new                  make another one; a running engine takes it over
"""

COMMANDS = ("engine", "tui", "backup", "restore", "check", "doctor", "token", "export", "say", "lore")
TAKES_FILE = ("backup", "restore")
TAKES_SESSION = ("export",)
TAKES_TEXT = ("say",)
TAKES_WORDS = ("lore",)
# option -> whether a value follows, and the commands it belongs to ("" is `flower` alone)
OPTIONS = {
    "--help": (False, ("", *COMMANDS)),
    "--version": (False, ("", *COMMANDS)),
    "--home": (True, ("", *COMMANDS)),
    "--host": (True, ("engine",)),
    "--port": (True, ("engine",)),
    "--managed": (False, ("engine",)),
    "--reload": (False, ("engine", "tui")),
    "--plain": (False, ("", "tui")),
    "--url": (True, ("tui", "say")),
    "--token": (True, ("tui", "say")),
    "--ca": (True, ("tui", "say")),
    "--new": (False, ("token",)),
    "--format": (True, ("export",)),
    "--output": (True, ("export",)),
    "--all": (False, ("export",)),
}
_DEFAULT_PORT = 8000
_WIRE_PATH = "/ws/rpc"


class UsageError(FlowerError):
    """The command line cannot be understood."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line (default: this process's); returns the exit code."""
    os.umask(0o077)  # stories, logs and keys are the user's alone, whichever module writes them
    try:
        return _run(*parse(sys.argv[1:] if argv is None else argv))
    except UsageError as error:
        print(f"flower: {error}; see `flower --help`", file=sys.stderr)
        return 2
    except FlowerError as error:
        print(f"flower: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parse(argv: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Returns the command ("" is none) and its options; an option without a value is "".

    A file behind the command is the option "FILE", a story's id "SESSION", all words behind ``say`` are
    "TEXT", behind ``lore`` "WORDS", a line each. ``--home`` may stand before or after the command.
    Raises ``UsageError`` with one sentence.
    """
    command = ""
    options: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if word.startswith("-"):
            name, _, value = word.partition("=")
            name = "--help" if name == "-h" else name
            if name not in OPTIONS:
                raise UsageError(_unknown("option", name, OPTIONS))
            if not OPTIONS[name][0] and "=" in word:
                raise UsageError(f"{name} takes no value")
            options[name] = value if "=" in word else _following(name, words)
        elif command in TAKES_FILE and "FILE" not in options:
            options["FILE"] = word
        elif command in TAKES_SESSION and "SESSION" not in options:
            options["SESSION"] = word
        elif command in TAKES_WORDS:
            options["WORDS"] = f"{options['WORDS']}\n{word}" if "WORDS" in options else word
        elif command in TAKES_TEXT:
            options["TEXT"] = f"{options['TEXT']} {word}" if "TEXT" in options else word
        elif command:
            raise UsageError(f"{word!r} after {command!r} has no meaning")
        elif word not in COMMANDS:
            raise UsageError(_unknown("command", word, COMMANDS))
        else:
            command = word
    _check_place(command, options)
    return command, options


def _following(name: str, words: Iterator[str]) -> str:
    if not OPTIONS[name][0]:
        return ""
    value = next(words, "")
    if not value or value.startswith("--"):
        raise UsageError(f"{name} needs a value")
    return value


def _check_place(command: str, options: Iterable[str]) -> None:
    for name in options:
        behind = {
            "FILE": TAKES_FILE,
            "SESSION": TAKES_SESSION,
            "TEXT": TAKES_TEXT,
            "WORDS": TAKES_WORDS,
        }
        places = behind.get(name) or OPTIONS[name][1]
        if command not in places:
            raise UsageError(
                f"{name} belongs to "
                + " and ".join(f"`{f'flower {place}'.rstrip()}`" for place in places)
            )


def _unknown(what: str, word: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    hint = f"did you mean {close[0]}?" if close else "there are: " + ", ".join(known)
    return f"unknown {what} {word!r}; {hint}"


def _run(command: str, options: dict[str, str]) -> int:
    if "--help" in options:
        print(HELP, end="")
        return 0
    if "--version" in options:
        print(f"flower {flower.__version__}")
        return 0
    chosen = options.get("--home")
    home = open_home(Path(chosen) if chosen else None, os.environ)
    if "--reload" in options:
        return _reload(home, command, options)
    if command == "engine":
        return _engine(home, options)
    if command in ("say", "lore"):
        return _tui(home, options, command)
    if command == "export":
        from flower.engine.admin import export_files

        return export_files.run(home, options)
    if command in COMMANDS[2:]:
        from flower.engine.admin import cli

        return cli.run(home, command, options)
    return _tui(home, options, command)


def _engine(home: Home, options: dict[str, str]) -> int:
    config = load_config(home, os.environ)
    port = _port(options.get("--port"))
    from flower.engine.main import run

    return run(home, config, host=options.get("--host"), port=port, managed="--managed" in options)


def _tui(home: Home, options: dict[str, str], command: str) -> int:
    if "--ca" in options:  # where every TLS library looks for it, ours and an editor's alike
        trusted = Path(options["--ca"]).expanduser().absolute()
        if not trusted.is_file():
            raise UsageError(f"--ca: there is no file {trusted}")
        os.environ["SSL_CERT_FILE"] = str(trusted)
    token = options.get("--token") or os.environ.get("FLOWER_TOKEN") or None
    url = options.get("--url")
    if url:
        address = websocket_url(url)
        return _face(home, options, command, lambda: address, token)
    token = token or own_token(home, os.environ)
    advice = partial(unheard_variables, home, os.environ)
    if command == "tui":
        return _face(home, options, command, lambda: _running(home), token, advice)
    launcher = Launcher(home)
    launcher.prepare()  # a missing engine starts now, while the screen is being drawn
    return _face(home, options, command, launcher.url, token, advice)


def _face(
    home: Home,
    options: dict[str, str],
    command: str,
    engine_url: Callable[[], str],
    token: str | None,
    advice: Callable[[], str] = str,
) -> int:
    """Runs the kind of face that the command line asks for; ``advice`` is a sentence for its user."""
    if command == "lore":
        return _lore(options.get("WORDS", "").splitlines(), engine_url, token)
    if command == "say":
        from flower.tui import plain

        text = options.get("TEXT") or _piped_text()
        return plain.say(text, home_dir=home.root, engine_url=engine_url, token=token, advice=advice)
    if "--plain" in options:
        from flower.tui import plain

        return plain.main(home_dir=home.root, engine_url=engine_url, token=token, advice=advice)
    from flower.tui.boot import main as boot

    return boot(home_dir=home.root, engine_url=engine_url, token=token, advice=advice)


def _lore(words: Sequence[str], engine_url: Callable[[], str], token: str | None) -> int:
    if len(words) < 3 or words[0] != "add":
        raise UsageError("write it like this: flower lore add WORLD FILE...")
    from flower.client import lore_upload

    return lore_upload.add(words[1], words[2:], engine_url, token)


def _piped_text() -> str:
    text = "" if sys.stdin.isatty() else sys.stdin.read(limits.PROMPT_CHARS + 1).strip()
    if not text:
        raise UsageError('what shall be said? Write it behind: flower say "I knock at the door."')
    return text


def _running(home: Home) -> str:
    url = find(home)
    if url is None:
        raise LaunchError(
            f"no engine runs on {home.root}; start one with `flower engine`, or use `flower`"
        )
    return url


def _reload(home: Home, command: str, options: dict[str, str]) -> int:
    arguments = [command]
    for name, value in {**options, "--home": str(home.root)}.items():
        if name != "--reload":
            arguments += [name, value] if OPTIONS[name][0] else [name]
    from flower.reload import run_reloading

    return run_reloading(command, arguments, home)


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not text.isascii() or int(text[:6]) > 65535:
        raise UsageError("--port must be a number from 0 to 65535")
    return int(text)


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
        raise UsageError("--url must be an address like ws://127.0.0.1:8000/ws/rpc")
    if not found and not _has_port(host):
        host = f"{host}:{_DEFAULT_PORT}"
    return f"{scheme}://{host}{slash + path if path else _WIRE_PATH}"


def _has_port(host: str) -> bool:
    """An IPv6 address stands in brackets, so that its colons are no port."""
    return ":" in host.rpartition("]")[2]
