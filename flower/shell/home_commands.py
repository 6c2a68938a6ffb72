"""The command lines that look after a home: its models, its stories as a whole, its token, and its other users.

Each hands on to the module that does the work, imported only then.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from flower.home import Home
from flower.shell.options import FILE, CommandGroup, with_home


@click.command()
@click.argument("source", metavar="[ADDRESS|PATH]", required=False)
@click.option("--sha256", metavar="DIGITS", default="", help="What its page says it must be.")
@with_home()
def models(home: Home, source: str | None, sha256: str) -> int:
    """Say which models this machine can run; with ADDRESS or PATH get one."""
    from flower.engine.admin import home_cli

    return home_cli.models(home, source or "", sha256)


@click.command()
@click.argument("file", type=FILE, required=False)
@with_home(reads_only=True)
def backup(home: Home, file: Path | None) -> int:
    """Copy all stories, also while an engine runs (default: into the home)."""
    from flower.engine.admin import home_cli

    return home_cli.back_up(home, _absolute(file))


@click.command()
@click.argument("file", type=FILE, required=False)
@with_home()
def restore(home: Home, file: Path | None) -> int:
    """Go back to a backup; without FILE list those of the home."""
    from flower.engine.admin import home_cli

    path = _absolute(file)
    return home_cli.restore(home, path) if path is not None else home_cli.show_backups(home)


@click.command()
@click.option("--to", "target", metavar="URL", required=True,
              help="postgresql://USER@HOST/DATABASE, or home: the file of this home.")  # fmt: skip
@with_home()
def migrate(home: Home, target: str) -> int:
    """Copy all stories into a PostgreSQL database, or back; goes on where it was cut off."""
    from flower.engine.admin import transfer

    return transfer.run(home, target)


@click.command()
@with_home(reads_only=True)
def check(home: Home) -> int:
    """Look the stories through; repairs what is damaged if no engine runs."""
    from flower.engine.admin import home_cli

    return home_cli.check(home)


@click.command()
@with_home(reads_only=True)
def doctor(home: Home) -> int:
    """Look the installation through, and say what to do."""
    from flower.engine.admin import doctor as installation

    return installation.run(home, os.environ, sys.stdout.write)


@click.command()
@with_home()
@click.option("--new", is_flag=True, help="Make another one; a running engine takes it over.")
def token(home: Home, new: bool) -> int:
    """Show the access token for other machines, made when there is none."""
    from flower.engine.admin import home_cli

    return home_cli.show_token(home, new=new)


def _absolute(file: Path | None) -> Path | None:
    return file.expanduser().absolute() if file is not None else None


@click.group("user", cls=CommandGroup, no_args_is_help=False)
def user() -> None:
    """Others who have stories of their own in this home."""


_lasting_option = click.option(
    "--for", "lasting", default="", metavar="TIME",
    help="How long the token holds: 30d, 12h, 90m (default: until it is revoked).",
)  # fmt: skip


@user.command("add")
@click.argument("name")
@with_home()
@_lasting_option
def add_user(home: Home, name: str, lasting: str) -> int:
    """Make a user, and show their first token once."""
    from flower.engine.admin import users_cli

    return users_cli.add(home, name, lasting)


@user.command("list")
@with_home()
def list_users(home: Home) -> int:
    """List users, their stories and tokens."""
    from flower.engine.admin import users_cli

    return users_cli.show(home)


@user.command("remove")
@click.argument("name")
@with_home()
def remove_user(home: Home, name: str) -> int:
    """Remove a user; their stories go into the trash."""
    from flower.engine.admin import users_cli

    return users_cli.remove(home, name)


@user.command("token")
@click.argument("name")
@click.argument("label", default="")
@with_home()
@_lasting_option
@click.option("--revoke", "revoked", is_flag=True, help="Let the token of this label hold no longer.")
def user_token(home: Home, name: str, label: str, lasting: str, revoked: bool) -> int:
    """Make another token of a user, for a laptop or a phone; without LABEL list them."""
    from flower.engine.admin import users_cli

    return users_cli.token(home, name, label, lasting, revoked=revoked)


@user.command("limit")
@click.argument("name")
@click.argument("what", default="")
@click.argument("number", default="")
@with_home()
def user_limit(home: Home, name: str, what: str, number: str) -> int:
    """Show what a user may use, or change it: stories, prompts a minute, tokens and cost a day, disk."""
    from flower.engine.admin import users_cli

    return users_cli.limit(home, name, what, number)


@user.command("log")
@with_home()
def user_log(home: Home) -> int:
    """Show the last logins, invites and refusals."""
    from flower.engine.admin import users_cli

    return users_cli.log(home)
