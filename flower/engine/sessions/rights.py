"""Who may do what in a story. The one place where that is decided.

A story is its maker's; others have a seat at its table, as players or readers. Whoever asks for a story by its id
comes through ``story`` here, whoever does something in the one they watch through ``check``; what each command needs
is in ``commands.registry``. A story that somebody may not see is to them as if it did not exist: errors say the same.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, StrEnum

from msgspec import Struct

from flower.engine.store import seats, stories
from flower.engine.store.connection import Connection, Store
from flower.engine.store.stories import StoredSession
from flower.engine.store.users import HOME
from flower.errors import CommandError


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
    """Returns what a user is at a story. Its owner is told without asking the database."""
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
    found = await database.read(visible_story, visitor.id, session_id)
    if found is None:
        return None
    check(visitor, found[1], need)
    return found[0]
