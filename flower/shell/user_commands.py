"""``flower user``: the command lines about others who have stories in this home; hands on to what does the work."""

from __future__ import annotations

import click

from flower.shell.options import CommandGroup, home_of, home_option


@click.group("user", cls=CommandGroup, no_args_is_help=False)
def user() -> None:
    """Others who have stories of their own in this home."""


_lasting_option = click.option(
    "--for", "lasting", default="", metavar="TIME",
    help="How long the token holds: 30d, 12h, 90m (default: until it is revoked).",
)  # fmt: skip


@user.command("add")
@click.argument("name")
@home_option
@_lasting_option
@click.pass_context
def add_user(ctx: click.Context, home_dir: str | None, name: str, lasting: str) -> int:
    """Make a user, and show their first token once."""
    from flower.engine.admin import users_cli

    return users_cli.add(home_of(ctx, home_dir), name, lasting)


@user.command("list")
@home_option
@click.pass_context
def list_users(ctx: click.Context, home_dir: str | None) -> int:
    """List users, their stories and tokens."""
    from flower.engine.admin import users_cli

    return users_cli.show(home_of(ctx, home_dir))


@user.command("remove")
@click.argument("name")
@home_option
@click.pass_context
def remove_user(ctx: click.Context, home_dir: str | None, name: str) -> int:
    """Remove a user; their stories go into the trash."""
    from flower.engine.admin import users_cli

    return users_cli.remove(home_of(ctx, home_dir), name)


@user.command("token")
@click.argument("name")
@click.argument("label", default="")
@home_option
@_lasting_option
@click.option("--revoke", "revoked", is_flag=True, help="Let the token of this label hold no longer.")
@click.pass_context
def user_token(
    ctx: click.Context, home_dir: str | None, name: str, label: str, lasting: str, revoked: bool
) -> int:
    """Make another token of a user, for a laptop or a phone; without LABEL list them."""
    from flower.engine.admin import users_cli

    return users_cli.token(home_of(ctx, home_dir), name, label, lasting, revoked=revoked)


@user.command("limit")
@click.argument("name")
@click.argument("what", default="")
@click.argument("number", default="")
@home_option
@click.pass_context
def user_limit(ctx: click.Context, home_dir: str | None, name: str, what: str, number: str) -> int:
    """Show what a user may use, or change it: stories, prompts a minute, tokens and cost a day, disk."""
    from flower.engine.admin import users_cli

    return users_cli.limit(home_of(ctx, home_dir), name, what, number)


@user.command("log")
@home_option
@click.pass_context
def user_log(ctx: click.Context, home_dir: str | None) -> int:
    """Show the last logins, invites and refusals."""
    from flower.engine.admin import users_cli

    return users_cli.log(home_of(ctx, home_dir))
