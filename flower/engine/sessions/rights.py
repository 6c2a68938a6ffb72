"""Who may do what, in a story and with the program. The one place where that is decided.

A story is its maker's; others have a seat at its table, as players or readers. Whoever asks for a story by its id
comes through ``story`` here, whoever does something in the one they watch through ``check``; what each command needs
is in ``commands.registry``. A story that somebody may not see is to them as if it did not exist: errors say the same.

What commands want of the program around the engine (its settings, its problems, reading them again) is here as well:
not everybody has a part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum, StrEnum
from typing import Protocol

from msgspec import Struct

from flower.engine.store import seats, stories
from flower.engine.store.connection import Connection, Store
from flower.engine.store.stories import StoredSession
from flower.engine.store.users import HOME
from flower.errors import CommandError
from flower.home import Home
from flower.settings.config import Config


class StoryRole(IntEnum):
    """What somebody is at a story; each may do what those below it may."""

    NOBODY = 0
    READER = 1
    PLAYER = 2
    OWNER = 3


class Need(StrEnum):
    """What something needs: a role at the story that is open, or to be the home's owner."""

    ANYONE = "anyone"
    READER = "reader"
    PLAYER = "player"
    OWNER = "owner"
    HOME = "home"


ROLE_FOR = {
    Need.ANYONE: StoryRole.NOBODY,
    Need.READER: StoryRole.READER,
    Need.PLAYER: StoryRole.PLAYER,
    Need.OWNER: StoryRole.OWNER,
}
REFUSED = {
    Need.PLAYER: "You read at this table; only its players may do that.",
    Need.OWNER: "Only whoever made this story may do that.",
    Need.HOME: "Only whoever keeps this home may do that.",
}


def _stay() -> None:
    """The home's owner is not asked to leave."""


class Visitor(Struct, frozen=True):
    """Who a client is: a user by number and name, 0 for the home's owner.

    ``mark``: of the token they showed; ``expel`` ends their connection when that holds no longer.
    """

    id: int = HOME
    name: str = ""
    mark: str = ""
    expel: Callable[[], None] = _stay


def refusal(visitor: Visitor, role: StoryRole | None, need: Need) -> str:
    """Returns why a visitor may not do what needs this, "" if they may.

    ``role``: theirs at the story that is open, None when none is open.
    """
    if need is Need.HOME:
        return REFUSED[need] if visitor.id != HOME else ""
    if role is None or role >= ROLE_FOR[need]:
        return ""
    return REFUSED.get(need, REFUSED[Need.OWNER])


def check(visitor: Visitor, role: StoryRole | None, need: Need) -> None:
    """Raises ``CommandError`` when a visitor may not do what needs this."""
    refused = refusal(visitor, role, need)
    if refused:
        raise CommandError(refused)


def role_in(db: Connection, user: int, stored: StoredSession) -> StoryRole:
    """Returns what a user is at a story. Its owner is known without asking the database."""
    if stored.owner == user:
        return StoryRole.OWNER
    seat = seats.find(db, stored.id, user)
    if seat is None:
        return StoryRole.NOBODY
    return StoryRole.PLAYER if seat.role == seats.PLAYER else StoryRole.READER


def visible_story(db: Connection, user: int, session_id: str) -> tuple[StoredSession, StoryRole] | None:
    """Returns a story and what a user is there; None when there is none that they may see."""
    stored = stories.session(db, session_id)
    if stored is None:
        return None
    role = role_in(db, user, stored)
    return (stored, role) if role is not StoryRole.NOBODY else None


async def story(
    database: Store, visitor: Visitor, session_id: str, need: Need = Need.READER
) -> StoredSession | None:
    """Returns the story of that id; None when there is none that the visitor may see.

    Raises ``CommandError`` when they may see it, and not do what needs this.
    """
    visible = await database.read(visible_story, visitor.id, session_id)
    if visible is None:
        return None
    check(visitor, visible[1], need)
    return visible[0]


# --- the program ------------------------------------------------------------------------------------

# Who a client is: what it may change of the program itself. What they may do in stories is above.
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
    """Returns the first problem, and how many more there are and where they are listed."""
    first = problems[0] if problems[0].endswith((".", "?", "!")) else f"{problems[0]}."
    more = len(problems) - 1
    return f"{first} And {more} more: /problems." if more else first
