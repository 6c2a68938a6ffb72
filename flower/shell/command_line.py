"""Every command line that the fast path leaves alone, read by click.

Declares each command and option once, with its help; hands on to the module that does the work. ``--home``
may stand before or after any command. What follows ``flower say`` is text of the story: only the options
named there are options, and ``--`` ends them.
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
from flower.shell.options import (
    FILE,
    CommandGroup,
    TextCommand,
    connection_of,
    connection_options,
    home_of,
    home_option,
    plain_option,
    reload_option,
)
from flower.shell.processes import EngineChoice, home_at, run_engine, run_tui
from flower.shell.service_commands import service
from flower.shell.user_commands import user


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


@commands.command()
@home_option
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
@click.pass_context
def engine(
    ctx: click.Context,
    home_dir: str | None,
    host: str | None,
    port: int | None,
    managed: bool,
    drain: bool,
    reloads: bool,
) -> int:
    """Run the engine alone, in the foreground."""
    home = home_of(ctx, home_dir)
    if drain:
        from flower.shell import engine_control

        return engine_control.stop(home, drain=True)
    if reloads:
        return _reload(home, ["engine", *_given("--host", host), *_given("--port", port)])
    return run_engine(home, host=host, port=port, managed=managed)


@commands.command()
@home_option
@connection_options
@plain_option
@reload_option
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
    home = home_of(ctx, home_dir)
    connection = connection_of(url, token, ca, starts=False)
    if reloads:
        flag = ["--plain"] if plain else []
        return _reload(
            home, ["tui", *flag, *_given("--url", url), *_given("--token", token), *_given("--ca", ca)]
        )
    return run_tui(home, connection, plain=plain)


@commands.command(cls=TextCommand, context_settings={"help_option_names": ["--help"]})
@click.argument("text", nargs=-1)
@home_option
@connection_options
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

    home = home_of(ctx, home_dir)
    line = " ".join(text) or _piped_text()
    engine_url, access, advice = connection_of(url, token, ca, starts=True).open(home)
    return plain.say(line, home_dir=home.root, engine_url=engine_url, token=access, advice=advice)


@commands.command()
@home_option
@click.pass_context
def status(ctx: click.Context, home_dir: str | None) -> int:
    """Show home, engine, address, clients, stories, model and memory; ends with 3 if none runs."""
    from flower.shell import engine_control

    return engine_control.status(home_of(ctx, home_dir, reads_only=True), os.environ)


@commands.command()
@home_option
@click.pass_context
def stop(ctx: click.Context, home_dir: str | None) -> int:
    """Stop the engine of this home; every story is saved."""
    from flower.shell import engine_control

    return engine_control.stop(home_of(ctx, home_dir))


@commands.command()
@click.argument("source", metavar="[ADDRESS|PATH]", required=False)
@click.option("--sha256", metavar="DIGITS", default="", help="What its page says it must be.")
@home_option
@click.pass_context
def models(ctx: click.Context, home_dir: str | None, source: str | None, sha256: str) -> int:
    """Say which models this machine can run; with ADDRESS or PATH get one."""
    from flower.engine.admin import models_cli

    return models_cli.run(home_of(ctx, home_dir), source or "", sha256)


@commands.command()
@click.argument("file", type=FILE, required=False)
@home_option
@click.pass_context
def backup(ctx: click.Context, home_dir: str | None, file: Path | None) -> int:
    """Copy all stories, also while an engine runs (default: into the home)."""
    from flower.engine.admin import cli

    return cli.back_up(home_of(ctx, home_dir, reads_only=True), _absolute(file))


@commands.command()
@click.argument("file", type=FILE, required=False)
@home_option
@click.pass_context
def restore(ctx: click.Context, home_dir: str | None, file: Path | None) -> int:
    """Go back to a backup; without FILE list those of the home."""
    from flower.engine.admin import cli

    home = home_of(ctx, home_dir)
    path = _absolute(file)
    return cli.restore(home, path) if path is not None else cli.show_backups(home)


@commands.command()
@click.option("--to", "target", metavar="URL", required=True,
              help="postgresql://USER@HOST/DATABASE, or home: the file of this home.")  # fmt: skip
@home_option
@click.pass_context
def migrate(ctx: click.Context, home_dir: str | None, target: str) -> int:
    """Copy all stories into a PostgreSQL database, or back; goes on where it was cut off."""
    from flower.engine.admin import transfer

    return transfer.run(home_of(ctx, home_dir), target)


@commands.command()
@home_option
@click.pass_context
def check(ctx: click.Context, home_dir: str | None) -> int:
    """Look the stories through; repairs what is damaged if no engine runs."""
    from flower.engine.admin import cli

    return cli.check(home_of(ctx, home_dir, reads_only=True))


@commands.command()
@home_option
@click.pass_context
def doctor(ctx: click.Context, home_dir: str | None) -> int:
    """Look the installation through, and say what to do."""
    from flower.engine.admin import doctor as installation

    return installation.run(home_of(ctx, home_dir, reads_only=True), os.environ, sys.stdout.write)


@commands.command()
@click.argument("session", metavar="[ID]", required=False)
@home_option
@click.option("--format", "form", metavar="FORMAT", default="",
              help="A story: md, html, txt, jsonl, sillytavern or flower; a character: png, v2, v3 or "
                   "charx; a lorebook: world-info or v3 (default: by the file's ending).")  # fmt: skip
@click.option("--output", metavar="FILE", default="-",
              help="Write it there, or into that folder; nothing is ever overwritten.")  # fmt: skip
@click.option(
    "--all", "whole", is_flag=True, help="The whole tree, not only the branch the story is on."
)
@click.option("--fetch", metavar="NAME", default="",
              help="Bring a file here that /export wrote where the engine is.")  # fmt: skip
@connection_options
@click.option("--character", metavar="ID", default="", help="Write this character as a card.")
@click.option("--lorebook", metavar="NAME", default="", help="Write this lorebook.")
@click.option("--preset", metavar="NAME", default="", help="Write these sampler settings.")
@click.option("--replies", metavar="NAME", default="", help="Write this set of quick replies.")
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
    preset: str,
    replies: str,
    library: Path | None,
    fetch: str,
    url: str,
    token: str,
    ca: Path | None,
) -> int:
    """Write a story, a character, a lorebook, settings or the whole library; without ID list the stories."""
    if fetch:
        from flower.client import export_fetch

        engine_url, access, _ = connection_of(url, token, ca, starts=False).open(home_of(ctx, home_dir))
        return export_fetch.run(fetch, output, engine_url, access)
    if url:
        raise UsageError(
            "--url is for --fetch; a home that is elsewhere is exported there, or by /export"
        )
    from flower.engine.admin import export_cli

    home = home_of(ctx, home_dir, reads_only=True)
    if sum(map(bool, (session, character, lorebook, preset, replies, library))) > 1:
        raise UsageError(
            "one thing at a time: a story, --character, --lorebook, --preset, --replies or --library"
        )
    if library is not None:
        return export_cli.library(home, library)
    if character:
        return export_cli.character(home, character, form=form, output=output)
    if lorebook:
        return export_cli.lorebook(home, lorebook, form=form, output=output)
    if preset:
        return export_cli.preset(home, preset, output=output)
    if replies:
        return export_cli.replies(home, replies, output=output)
    return export_cli.run(home, session, form=form, output=output, whole=whole)


@commands.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=FILE)
@click.option("--me", default="", metavar="NAME",
              help="Who you are in chats that do not say which speaker is the player.")  # fmt: skip
@click.option("--scripts", is_flag=True, help="Let the scripts of cards change texts.")
@home_option
@connection_options
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

    connection = connection_of(url, token, ca, starts=True)
    engine_url, access, _ = connection.open(home_of(ctx, home_dir))
    wishes = Wishes(me, scripts)
    return import_cli.run([path.expanduser() for path in paths], engine_url, access, wishes)


@commands.group(cls=CommandGroup, no_args_is_help=False)
def lore() -> None:
    """Lore of a world, from the shell."""


@lore.command()
@click.argument("world")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@home_option
@click.pass_context
def add(ctx: click.Context, home_dir: str | None, world: str, files: tuple[str, ...]) -> int:
    """Make text files lore of a world."""
    from flower.client import lore_upload

    engine_url, token, _ = EngineChoice().open(home_of(ctx, home_dir))
    return lore_upload.add(world, files, engine_url, token)


@commands.command()
@home_option
@click.option("--new", is_flag=True, help="Make another one; a running engine takes it over.")
@click.pass_context
def token(ctx: click.Context, home_dir: str | None, new: bool) -> int:
    """Show the access token for other machines, made when there is none."""
    from flower.engine.admin import cli

    return cli.show_token(home_of(ctx, home_dir), new=new)


commands.add_command(service)
commands.add_command(user)


def _reload(home: Home, arguments: list[str]) -> int:
    from flower.shell.reload import run_reloading

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
