"""The ``flower`` command: from the command line to a running process.

Owns exit codes (0 well, 130 Ctrl-C, else a sentence on stderr and what ``errors`` says) and the fast path: ``flower``,
``flower tui`` and ``flower engine`` as people and programs start them daily, with nothing but ``--home`` and
``--managed``. Between ``exec`` and the first frame lie only this module, ``shell.processes``, ``home`` and ``launch``
(8 ms beside pathlib's 10 on a PC); click would add 26, several times that on a small board, so every other command
line is left to ``shell.command_line``. It holds no logic of engine or TUI.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping, Sequence

from flower.errors import FlowerError, UsageError, printable
from flower.shell.processes import EngineChoice, home_at, run_engine, run_tui

_DAILY = ("", "tui", "engine")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line (default: this process's); returns the exit code."""
    os.umask(0o077)  # stories, logs and keys are the user's alone, whichever module writes them
    arguments = list(sys.argv[1:] if argv is None else argv)
    ascii_only = _asks_for_ascii(os.environ)
    if ascii_only or not (_writes_utf8(sys.stdout) and _writes_utf8(sys.stderr)):
        from flower.shell import plain_letters

        plain_letters.use_for(sys.stdout, sys.stderr)
        if ascii_only and ("--plain" in arguments or sys.stdout.isatty()):  # a file gets all letters
            plain_letters.write_ascii(sys.stdout, sys.stderr)
    try:
        daily = parse_daily(arguments)
        if daily is not None:
            return _run_daily(*daily)
        from flower.shell.command_line import run

        code = run(arguments)
        sys.stdout.flush()
    except UsageError as error:
        from flower.installation import as_typed

        see = as_typed(f"`{error.command} --help`")
        sys.stderr.write(f"flower: {_sentence(error)}; see {see}\n")
        return error.exit_code
    except FlowerError as error:
        # One write: where output is not buffered, `print` writes the end of a line by itself, and in a log of
        # several programs two lines become one.
        sys.stderr.write(f"{_journal_mark()}flower: {_sentence(error)}\n")
        return error.exit_code
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` does; without this Python would complain while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _sentence(error: FlowerError) -> str:
    """Returns a sentence fit for a terminal, with commands as they can be typed here."""
    from flower.installation import as_typed

    return printable(as_typed(str(error)))


def _journal_mark() -> str:
    """Returns what makes a line an error for the journal; "" where that does not listen."""
    if "JOURNAL_STREAM" not in os.environ:
        return ""
    from flower.service.systemd import is_journal

    return "<3>" if is_journal(2, os.environ) else ""


def _asks_for_ascii(environ: MutableMapping[str, str]) -> bool:
    """Whether the user has chosen the C locale, over which Python puts UTF-8; takes that back (PEP 538, PEP 540)."""
    if not sys.flags.utf8_mode or environ.get("PYTHONUTF8"):
        return False
    chosen = environ.get("LC_ALL") or environ.get("LANG")
    if chosen not in ("C", "POSIX"):
        return False  # nothing is chosen, as in most containers: their terminals show all letters
    environ.pop("LC_CTYPE", None)  # Python's own doing, or it would not be in this mode
    return True


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
