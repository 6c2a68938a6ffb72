"""Every command line that the fast path leaves alone, read by click.

Each command and option is declared once, with its help, here and in the modules for home, library and service; each
hands on to the module that does the work. ``--home`` may be before or after any command. What follows ``flower say``
is text of the story: only the options named there are options, and ``--`` ends them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

import flower
from flower import limits
from flower.errors import UsageError
from flower.home import Home
from flower.shell.home_commands import backup, check, doctor, migrate, models, restore, token, user
from flower.shell.library_commands import export, import_, lore
from flower.shell.options import (
    CommandGroup,
    TextCommand,
    connection_of,
    connection_options,
    home_option,
    plain_option,
    reload_option,
    with_home,
)
from flower.shell.processes import EngineChoice, home_at, run_engine, run_tui
from flower.shell.service_commands import service


def run(arguments: Sequence[str]) -> int:
    """Carries out a command line; returns the exit code.

    Raises ``UsageError`` for one that cannot be understood, else what the command raises.
    """
    try:
        code = commands.main(list(arguments), prog_name="flower", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "flower"
        raise UsageError(_sentence(error), command) from error
    except click.Abort:
        return 130
    return code if isinstance(code, int) else 0


def _sentence(error: click.UsageError) -> str:
    text = error.format_message().rstrip(".")
    text = " ".join(text.split())
    return text[:1].lower() + text[1:]


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@home_option
@plain_option
@click.version_option(flower.BUILD, prog_name="flower", message="%(prog)s %(version)s")
@click.pass_context
def commands(ctx: click.Context, home_dir: str | None, plain: bool) -> int | None:
    """Flower: a roleplay engine for the terminal.

    Without a command: play. Joins the engine of this home, or starts one, and opens the screen.
    """
    if ctx.invoked_subcommand is not None:
        if plain:
            raise click.UsageError("--plain belongs to `flower` and `flower tui`")
        return None
    return run_tui(home_at(home_dir), EngineChoice(), plain=plain)


@click.command()
@with_home()
@click.option("--host", metavar="ADDRESS", help="Listen here (default: engine.host, else 127.0.0.1).")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="NUMBER",
    help="Listen here (default: engine.port, else 8000; 0: any free port).",
)
@click.option("--managed", is_flag=True, help="Stop when the last screen has been quit.")
@click.option(
    "--drain",
    is_flag=True,
    help="Let the engine that runs finish its replies, hand its stories over and stop.",
)
@reload_option
def engine(
    home: Home,
    host: str | None,
    port: int | None,
    managed: bool,
    drain: bool,
    reloads: bool,
) -> int:
    """Run the engine alone, in the foreground."""
    if drain:
        from flower.shell import engine_control

        return engine_control.stop(home, drain=True)
    if reloads:
        return _reload(home, ["engine", *_option("--host", host), *_option("--port", port)])
    return run_engine(home, host=host, port=port, managed=managed)


@click.command()
@with_home()
@connection_options
@plain_option
@reload_option
def tui(
    home: Home,
    url: str,
    token: str,
    ca: Path | None,
    plain: bool,
    reloads: bool,
) -> int:
    """Open the screen alone and join an engine."""
    connection = connection_of(url, token, ca, starts=False)
    if reloads:
        flag = ["--plain"] if plain else []
        return _reload(
            home,
            ["tui", *flag, *_option("--url", url), *_option("--token", token), *_option("--ca", ca)],
        )
    return run_tui(home, connection, plain=plain)


@click.command(cls=TextCommand, context_settings={"help_option_names": ["--help"]})
@click.argument("text", nargs=-1)
@with_home()
@connection_options
def say(
    home: Home,
    text: tuple[str, ...],
    url: str,
    token: str,
    ca: Path | None,
) -> int:
    """Send one line of the story and print the reply.

    Without TEXT the line is read from a pipe. A line may begin with a dash; `--` ends the options.
    """
    from flower.tui import plain

    line = " ".join(text) or _piped_text()
    engine_url, access, advice = connection_of(url, token, ca, starts=True).open(home)
    return plain.say(line, home_dir=home.root, engine_url=engine_url, token=access, advice=advice)


@click.command()
@with_home(reads_only=True)
def status(home: Home) -> int:
    """Show home, engine, address, clients, stories, model and memory; ends with 3 if none runs."""
    from flower.shell import engine_control

    return engine_control.status(home, os.environ)


@click.command()
@with_home()
def stop(home: Home) -> int:
    """Stop the engine of this home; every story is saved."""
    from flower.shell import engine_control

    return engine_control.stop(home)


def _reload(home: Home, arguments: list[str]) -> int:
    from flower.shell.reload import run_reloading

    return run_reloading(arguments[0], [*arguments, "--home", str(home.root)], home)


def _option(name: str, value: object) -> list[str]:
    return [name, str(value)] if value not in (None, "") else []


def _piped_text() -> str:
    text = "" if sys.stdin.isatty() else sys.stdin.read(limits.PROMPT_CHARS + 1)
    text = text.strip().removeprefix("\ufeff").strip()
    if not text:
        raise UsageError('what shall be said? Write it behind: `flower say "I knock at the door."`')
    return text


# In the order of their use, which is how --help lists them.
for _command in (
    engine, tui, say, status, stop, models, backup, restore, migrate, check, doctor, export, import_, lore, token,
    service, user,
):  # fmt: skip
    commands.add_command(_command)
