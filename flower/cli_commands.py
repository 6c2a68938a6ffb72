"""Every command line that the fast path leaves alone, read by click.

Declares each command and option once, with its help; hands on to the module that does the work. ``--home``
may stand before or after any command. What follows ``flower say`` is text of the story: only the options
named there are options, and ``--`` ends them.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import flower
from flower import limits
from flower.cli import EngineChoice, home_at, run_engine, run_tui
from flower.errors import UsageError
from flower.home import Home

if TYPE_CHECKING:
    from flower.service.manage import HomeService

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


def run(arguments: Sequence[str]) -> int:
    """Carries out a command line; returns the exit code.

    Raises ``UsageError`` for one that cannot be understood, else what the command raises.
    """
    try:
        code = commands.main(list(arguments), prog_name="flower", standalone_mode=False)
    except click.UsageError as error:
        raise UsageError(_sentence(error)) from error
    except click.Abort:
        return 130
    return code if isinstance(code, int) else 0


def _sentence(error: click.UsageError) -> str:
    text = error.format_message().rstrip(".")
    text = " ".join(text.split())
    return text[:1].lower() + text[1:]


class CommandGroup(click.Group):
    """A group that names the nearest command for one that does not exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            names = self.list_commands(ctx)
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]}?" if close else "there are: " + ", ".join(names)
            raise click.UsageError(f"unknown command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the commands in the order they are declared, which is that of their use."""
        return list(self.commands)


class TextCommand(click.Command):
    """A command whose words are text: ``- Halt, she says.`` is a line, not an unknown option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts the command's own options first and everything else behind ``--``."""
        takes_value = {
            name: not (isinstance(one, click.Option) and one.is_flag)
            for one in self.get_params(ctx)
            for name in one.opts
            if name.startswith("--")
        }
        options: list[str] = []
        text: list[str] = []
        words = iter(args)
        for word in words:
            name, equals, _ = word.partition("=")
            if word == "--":
                text += words
            elif name not in takes_value:
                text.append(word)
            else:
                options.append(word)
                if takes_value[name] and not equals:
                    options += [value for value in (next(words, None),) if value is not None]
        return super().parse_args(ctx, [*options, "--", *text])


def _home_option(function: F) -> F:
    return click.option(
        "--home", "home_dir", metavar="DIR",
        help="Where your stories live (default: FLOWER_HOME, else your data folder).",
    )(function)  # fmt: skip


def _connection_options(function: F) -> F:
    for option in (
        click.option("--ca", type=FILE, metavar="FILE",
                     help="With --url wss://: trust the certificates in this PEM file instead of the system's."),
        click.option("--token", default="", metavar="TOKEN",
                     help="Its access token (safer: the environment variable FLOWER_TOKEN)."),
        click.option("--url", default="", metavar="URL",
                     help="Join this engine (default: the one that runs on this home)."),
    ):  # fmt: skip
        function = option(function)
    return function


_plain_option = click.option(
    "--plain",
    is_flag=True,
    help="Lines instead of a screen: for screen readers, pipes, simple terminals.",
)
_reload_option = click.option(
    "--reload", "reloads", is_flag=True, help="Restart when a source file or the config changes."
)


def _home(ctx: click.Context, home_dir: str | None, *, reads_only: bool = False) -> Home:
    """Returns the home named behind the command, else the one named before it."""
    return home_at(home_dir or ctx.find_root().params.get("home_dir"), reads_only=reads_only)


def _connection(url: str, token: str, ca: Path | None, *, starts: bool) -> EngineChoice:
    if ca is not None:
        if not url:
            raise UsageError(
                "--ca needs --url; an engine of this machine is reached without certificates"
            )
        trusted = ca.expanduser().absolute()
        if not trusted.is_file():
            raise UsageError(f"--ca: there is no file {trusted}")
        from flower.client import address

        address.trust_only(trusted)
    return EngineChoice(url, token, starts=starts)


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@_home_option
@_plain_option
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


@commands.command()
@_home_option
@click.option("--host", metavar="ADDRESS", help="Listen here (default: engine.host, else 127.0.0.1).")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="NUMBER",
    help="Listen here (default: engine.port, else 8000; 0: any free port).",
)
@click.option("--managed", is_flag=True, help="Stop when the last screen has been quit.")
@_reload_option
@click.pass_context
def engine(
    ctx: click.Context,
    home_dir: str | None,
    host: str | None,
    port: int | None,
    managed: bool,
    reloads: bool,
) -> int:
    """Run the engine alone, in the foreground."""
    home = _home(ctx, home_dir)
    if reloads:
        return _reload(home, ["engine", *_given("--host", host), *_given("--port", port)])
    return run_engine(home, host=host, port=port, managed=managed)


@commands.command()
@_home_option
@_connection_options
@_plain_option
@_reload_option
@click.pass_context
def tui(
    ctx: click.Context,
    home_dir: str | None,
    url: str,
    token: str,
    ca: Path | None,
    plain: bool,
    reloads: bool,
) -> int:
    """Open the screen alone and join an engine."""
    home = _home(ctx, home_dir)
    connection = _connection(url, token, ca, starts=False)
    if reloads:
        flag = ["--plain"] if plain else []
        return _reload(
            home, ["tui", *flag, *_given("--url", url), *_given("--token", token), *_given("--ca", ca)]
        )
    return run_tui(home, connection, plain=plain)


@commands.command(cls=TextCommand, context_settings={"help_option_names": ["--help"]})
@click.argument("text", nargs=-1)
@_home_option
@_connection_options
@click.pass_context
def say(
    ctx: click.Context,
    home_dir: str | None,
    text: tuple[str, ...],
    url: str,
    token: str,
    ca: Path | None,
) -> int:
    """Send one line of the story and print the reply.

    Without TEXT the line is read from a pipe. A line may begin with a dash; `--` ends the options.
    """
    from flower.tui import plain

    home = _home(ctx, home_dir)
    line = " ".join(text) or _piped_text()
    engine_url, access, advice = _connection(url, token, ca, starts=True).open(home)
    return plain.say(line, home_dir=home.root, engine_url=engine_url, token=access, advice=advice)


@commands.command()
@_home_option
@click.pass_context
def status(ctx: click.Context, home_dir: str | None) -> int:
    """Show home, engine, address, clients, stories, model and memory; ends with 3 if none runs."""
    from flower import engine_control

    return engine_control.status(_home(ctx, home_dir, reads_only=True), os.environ)


@commands.command()
@_home_option
@click.pass_context
def stop(ctx: click.Context, home_dir: str | None) -> int:
    """Stop the engine of this home; every story is saved."""
    from flower import engine_control

    return engine_control.stop(_home(ctx, home_dir))


@commands.command()
@click.argument("source", metavar="[ADDRESS|PATH]", required=False)
@click.option("--sha256", metavar="DIGITS", default="", help="What its page says it must be.")
@_home_option
@click.pass_context
def models(ctx: click.Context, home_dir: str | None, source: str | None, sha256: str) -> int:
    """Say which models this machine can run; with ADDRESS or PATH get one."""
    from flower.engine.admin import models_cli

    return models_cli.run(_home(ctx, home_dir), source or "", sha256)


@commands.command()
@click.argument("file", type=FILE, required=False)
@_home_option
@click.pass_context
def backup(ctx: click.Context, home_dir: str | None, file: Path | None) -> int:
    """Copy all stories, also while an engine runs (default: into the home)."""
    from flower.engine.admin import cli

    return cli.back_up(_home(ctx, home_dir, reads_only=True), _absolute(file))


@commands.command()
@click.argument("file", type=FILE, required=False)
@_home_option
@click.pass_context
def restore(ctx: click.Context, home_dir: str | None, file: Path | None) -> int:
    """Go back to a backup; without FILE list those of the home."""
    from flower.engine.admin import cli

    home = _home(ctx, home_dir)
    path = _absolute(file)
    return cli.restore(home, path) if path is not None else cli.show_backups(home)


@commands.command()
@click.option("--to", "target", metavar="URL", required=True,
              help="postgresql://USER@HOST/DATABASE, or home: the file of this home.")  # fmt: skip
@_home_option
@click.pass_context
def migrate(ctx: click.Context, home_dir: str | None, target: str) -> int:
    """Copy all stories into a PostgreSQL database, or back; goes on where it was cut off."""
    from flower.engine.admin import transfer

    return transfer.run(_home(ctx, home_dir), target)


@commands.command()
@_home_option
@click.pass_context
def check(ctx: click.Context, home_dir: str | None) -> int:
    """Look the stories through; repairs what is damaged if no engine runs."""
    from flower.engine.admin import cli

    return cli.check(_home(ctx, home_dir, reads_only=True))


@commands.command()
@_home_option
@click.pass_context
def doctor(ctx: click.Context, home_dir: str | None) -> int:
    """Look the installation through, and say what to do."""
    from flower.engine.admin import doctor as installation

    return installation.run(_home(ctx, home_dir, reads_only=True), os.environ, sys.stdout.write)


@commands.command()
@click.argument("session", metavar="[ID]", required=False)
@_home_option
@click.option("--format", "form", metavar="FORMAT", default="",
              help="A story: md, html, txt, jsonl, sillytavern or flower; a character: png, v2, v3 or "
                   "charx; a lorebook: world-info or v3 (default: by the file's ending).")  # fmt: skip
@click.option("--output", metavar="FILE", default="-",
              help="Write it there, or into that folder; nothing is ever overwritten.")  # fmt: skip
@click.option(
    "--all", "whole", is_flag=True, help="The whole tree, not only the branch the story is on."
)
@click.option("--character", metavar="ID", default="", help="Write this character as a card.")
@click.option("--lorebook", metavar="NAME", default="", help="Write this lorebook.")
@click.option("--library", metavar="FILE", type=FILE,
              help="Write everything of the home as one ZIP, for `flower import` elsewhere.")  # fmt: skip
@click.pass_context
def export(
    ctx: click.Context,
    home_dir: str | None,
    session: str | None,
    form: str,
    output: str,
    whole: bool,
    character: str,
    lorebook: str,
    library: Path | None,
) -> int:
    """Write a story, a character, a lorebook or the whole library; without ID list the stories."""
    from flower.engine.admin import export_cli

    home = _home(ctx, home_dir, reads_only=True)
    if sum(map(bool, (session, character, lorebook, library))) > 1:
        raise UsageError("one thing at a time: a story, --character, --lorebook or --library")
    if library is not None:
        return export_cli.library(home, library)
    if character:
        return export_cli.character(home, character, form=form, output=output)
    if lorebook:
        return export_cli.lorebook(home, lorebook, form=form, output=output)
    return export_cli.run(home, session, form=form, output=output, whole=whole)


@commands.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=FILE)
@click.option("--me", default="", metavar="NAME",
              help="Who you are in chats that do not say which speaker is the player.")  # fmt: skip
@click.option("--scripts", is_flag=True, help="Let the scripts of cards change texts.")
@_home_option
@_connection_options
@click.pass_context
def import_(
    ctx: click.Context,
    home_dir: str | None,
    paths: tuple[Path, ...],
    me: str,
    scripts: bool,
    url: str,
    token: str,
    ca: Path | None,
) -> int:
    """Bring in cards, lorebooks, chats and personas: files, folders, all of a SillyTavern."""
    from flower.client import import_cli
    from flower.client.import_upload import Wishes

    connection = _connection(url, token, ca, starts=True)
    engine_url, access, _ = connection.open(_home(ctx, home_dir))
    wishes = Wishes(me, scripts)
    return import_cli.run([path.expanduser() for path in paths], engine_url, access, wishes)


@commands.group(cls=CommandGroup, no_args_is_help=False)
def lore() -> None:
    """Lore of a world, from the shell."""


@lore.command()
@click.argument("world")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_home_option
@click.pass_context
def add(ctx: click.Context, home_dir: str | None, world: str, files: tuple[str, ...]) -> int:
    """Make text files lore of a world."""
    from flower.client import lore_upload

    engine_url, token, _ = EngineChoice().open(_home(ctx, home_dir))
    return lore_upload.add(world, files, engine_url, token)


@commands.command()
@_home_option
@click.option("--new", is_flag=True, help="Make another one; a running engine takes it over.")
@click.pass_context
def token(ctx: click.Context, home_dir: str | None, new: bool) -> int:
    """Show the access token for other machines, made when there is none."""
    from flower.engine.admin import cli

    return cli.show_token(_home(ctx, home_dir), new=new)


_system_option = click.option(
    "--system", is_flag=True, help="Of the whole machine, with a user of its own (needs sudo)."
)


@commands.group(cls=CommandGroup, no_args_is_help=False)
def service() -> None:
    """Flower as a service of systemd."""


@service.command("install")
@_home_option
@_system_option
@click.option(
    "--always", is_flag=True, help="Start with the machine and stay (default: with the first client)."
)
@click.option("--listen", default="", metavar="[HOST:]PORT",
              help="With --system: where clients reach it (default: 127.0.0.1:8000).")  # fmt: skip
@click.pass_context
def install_service(
    ctx: click.Context, home_dir: str | None, system: bool, always: bool, listen: str
) -> int:
    """Write the units and start them."""
    from flower.service.manage import checked_address

    if listen and not system:
        raise UsageError("--listen needs --system; a service of yours is found without an address")
    if system and home_dir:
        raise UsageError("a service of the system has its own home; leave --home away")
    address = checked_address(listen) if listen else ""
    _services(ctx, home_dir, system=system).install(listen=address, always=always)
    return 0


@service.command("status")
@_home_option
@_system_option
@click.pass_context
def service_status(ctx: click.Context, home_dir: str | None, system: bool) -> int:
    """Show whether it runs, with how many stories and clients."""
    return _services(ctx, home_dir, system=system).status()


@service.command("logs")
@_home_option
@_system_option
@click.option("--follow", is_flag=True, help="Go on with new lines.")
@click.pass_context
def service_logs(ctx: click.Context, home_dir: str | None, system: bool, follow: bool) -> int:
    """Show what it had to say."""
    return _services(ctx, home_dir, system=system).logs(follow=follow)


@service.command("remove")
@_home_option
@_system_option
@click.pass_context
def remove_service(ctx: click.Context, home_dir: str | None, system: bool) -> int:
    """Stop it and take its units away; stories stay."""
    _services(ctx, home_dir, system=system).remove()
    return 0


def _services(ctx: click.Context, home_dir: str | None, *, system: bool) -> HomeService:
    from flower.service.manage import SYSTEM_HOME, HomeService, run_command

    home = SYSTEM_HOME if system else _home(ctx, home_dir).root
    return HomeService(home, os.environ, system=system, run=run_command)


def _reload(home: Home, arguments: list[str]) -> int:
    from flower.reload import run_reloading

    return run_reloading(arguments[0], [*arguments, "--home", str(home.root)], home)


def _given(option: str, value: object) -> list[str]:
    return [option, str(value)] if value not in (None, "") else []


def _absolute(file: Path | None) -> Path | None:
    return file.expanduser().absolute() if file is not None else None


def _piped_text() -> str:
    text = "" if sys.stdin.isatty() else sys.stdin.read(limits.PROMPT_CHARS + 1)
    text = text.strip().removeprefix("\ufeff").strip()
    if not text:
        raise UsageError('what shall be said? Write it behind: flower say "I knock at the door."')
    return text
