"""What the commands of the command line are made of: their kinds, and the options that several of them have."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from flower.errors import UsageError
from flower.home import Home
from flower.shell.processes import EngineChoice, home_at

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


class CommandGroup(click.Group):
    """A group that names its commands where one is missing, and the nearest one for one that does not exist."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not self.invoke_without_command:
            raise click.UsageError(
                f"missing command; there are: {', '.join(self.list_commands(ctx))}", ctx
            )
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            names = self.list_commands(ctx)
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]}?" if close else "there are: " + ", ".join(names)
            raise click.UsageError(f"unknown command {name!r}; {hint}", ctx)
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


def home_option(function: F) -> F:
    return click.option(
        "--home", "home_dir", metavar="DIR",
        help="Where your stories live (default: FLOWER_HOME, else your data folder).",
    )(function)  # fmt: skip


def with_home(*, reads_only: bool = False) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Gives a command the option ``--home``, and its function the home as its first argument."""

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        def command(ctx: click.Context, /, home_dir: str | None, **values: Any) -> int:
            return function(home_of(ctx, home_dir, reads_only=reads_only), **values)

        # What other decorators have noted on the function goes along.
        return home_option(functools.update_wrapper(click.pass_context(command), function))

    return decorate


def connection_options(function: F) -> F:
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


plain_option = click.option(
    "--plain",
    is_flag=True,
    help="Lines instead of a screen: for screen readers, pipes, simple terminals.",
)
reload_option = click.option(
    "--reload", "reloads", is_flag=True, help="Restart when a source file or the config changes."
)


def home_of(ctx: click.Context, home_dir: str | None, *, reads_only: bool = False) -> Home:
    """Returns the home named behind the command, else the one named before it."""
    return home_at(home_dir or ctx.find_root().params.get("home_dir"), reads_only=reads_only)


def connection_of(url: str, token: str, ca: Path | None, *, starts: bool) -> EngineChoice:
    if ca is not None:
        if not url:
            raise UsageError(
                "--ca needs --url; an engine of this machine is reached without certificates"
            )
        trusted = ca.expanduser().absolute()
        if not trusted.is_file():
            raise UsageError(f"--ca: there is no file {trusted}")
        from flower.client import line

        line.trust_only(trusted)
    return EngineChoice(url, token, starts=starts)
