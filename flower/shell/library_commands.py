"""The command lines that bring stories, characters and lore out of a home and into it."""

from __future__ import annotations

from pathlib import Path

import click

from flower.errors import UsageError
from flower.home import Home
from flower.shell.options import (
    FILE,
    CommandGroup,
    connection_of,
    connection_options,
    home_of,
    home_option,
    with_home,
)
from flower.shell.processes import EngineChoice


@click.command()
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


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=FILE)
@click.option("--me", default="", metavar="NAME",
              help="Who you are in chats that do not say which speaker is the player.")  # fmt: skip
@click.option("--scripts", is_flag=True, help="Let the scripts of cards change texts.")
@with_home()
@connection_options
def import_(
    home: Home,
    paths: tuple[Path, ...],
    me: str,
    scripts: bool,
    url: str,
    token: str,
    ca: Path | None,
) -> int:
    """Bring in cards, lorebooks, chats and personas: files, folders, all of a SillyTavern."""
    from flower.client import shell_upload
    from flower.client.import_upload import Wishes

    engine_url, access, _ = connection_of(url, token, ca, starts=True).open(home)
    wishes = Wishes(me, scripts)
    return shell_upload.import_files([path.expanduser() for path in paths], engine_url, access, wishes)


@click.group(cls=CommandGroup, no_args_is_help=False)
def lore() -> None:
    """Lore of a world, from the shell."""


@lore.command()
@click.argument("world")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@with_home()
def add(home: Home, world: str, files: tuple[str, ...]) -> int:
    """Make text files lore of a world."""
    from flower.client import shell_upload

    engine_url, token, _ = EngineChoice().open(home)
    return shell_upload.add_lore(world, files, engine_url, token)
