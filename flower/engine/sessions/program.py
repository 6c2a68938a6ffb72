"""What commands want of the program around the engine: its settings, its problems, reading them again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flower.home import Home
from flower.settings.config import Config

# Who a client is: what it may change of the program itself. What they may do in stories is in ``rights``.
GUEST = "user"  # showed a user's token: has stories, and no part in the program
STRANGER = ""  # came in without a token, as the settings allow
TRUSTED = "token"  # showed the token
OWNER = "owner"  # a program of the engine's own user, on its machine


class Program(Protocol):
    """The settings of a running engine."""

    @property
    def home(self) -> Home: ...

    @property
    def config(self) -> Config: ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with the settings when they were read last; a sentence for each."""

    async def reload(self) -> None:
        """Reads settings and assets again and tells every client."""


def one_problem(problems: Sequence[str]) -> str:
    """Returns the first problem, and how many more there are and where they are told."""
    first = problems[0] if problems[0].endswith((".", "?", "!")) else f"{problems[0]}."
    more = len(problems) - 1
    return f"{first} And {more} more: /problems." if more else first
