"""``flower service``: its command lines, read by click; ``service.manage`` does the work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from flower.errors import UsageError
from flower.shell.options import CommandGroup, home_of, home_option

if TYPE_CHECKING:
    from flower.service.manage import HomeService

_system_option = click.option(
    "--system", is_flag=True, help="Of the whole machine, with a user of its own (needs sudo)."
)


@click.group(cls=CommandGroup, no_args_is_help=False)
def service() -> None:
    """Flower as a service of systemd."""


@service.command("install")
@home_option
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
@home_option
@_system_option
@click.pass_context
def service_status(ctx: click.Context, home_dir: str | None, system: bool) -> int:
    """Show whether it runs, with how many stories and clients."""
    return _services(ctx, home_dir, system=system).status()


@service.command("logs")
@home_option
@_system_option
@click.option("--follow", is_flag=True, help="Go on with new lines.")
@click.pass_context
def service_logs(ctx: click.Context, home_dir: str | None, system: bool, follow: bool) -> int:
    """Show what it had to say."""
    return _services(ctx, home_dir, system=system).logs(follow=follow)


@service.command("remove")
@home_option
@_system_option
@click.pass_context
def remove_service(ctx: click.Context, home_dir: str | None, system: bool) -> int:
    """Stop it and take its units away; stories stay."""
    _services(ctx, home_dir, system=system).remove()
    return 0


def _services(ctx: click.Context, home_dir: str | None, *, system: bool) -> HomeService:
    from flower.service.manage import SYSTEM_HOME, HomeService, run_command

    home = SYSTEM_HOME if system else home_of(ctx, home_dir).root
    return HomeService(home, os.environ, system=system, run=run_command)
