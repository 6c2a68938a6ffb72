"""Groups of other programs: whose members become the cast of the stories whose files they name.

A group, the cards of its members and its chats come in any order, so each of them looks for the others. Functions
over a connection; those that write expect to run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from flower import limits
from flower.engine.game.steering import Steering
from flower.engine.importing.names import stem_of
from flower.engine.interchange import reader
from flower.engine.interchange.values import Group, Kind
from flower.engine.store import characters, imported_chats, originals, states
from flower.engine.store.connection import Connection
from flower.errors import ImportFileError


def take(db: Connection, group: Group, played: Mapping[str, str]) -> None:
    """Lets the members of a group that came play in its stories, as far as both are here.

    ``played``: stories that came in the same file, by the names that their chats had there.
    """
    members = [one for file in _members(group) if (one := characters.named(db, file))]
    for chat in _chats(group):
        if chat in played:
            _join(db, played[chat], members)
        for session_id in imported_chats.of_file(db, chat):
            _join(db, session_id, members)


def await_chat(db: Connection, session_id: str, file: str) -> None:
    """Gives a new story, of a chat in ``file``, the cast of the groups that were here before it."""
    for group in _known(db):
        if file in _chats(group):
            members = [one for name in _members(group) if (one := characters.named(db, name))]
            _join(db, session_id, members)


def await_card(db: Connection, character_id: str, names: Iterable[str]) -> None:
    """Lets a new character play in the stories of the groups that were here before it.

    ``names``: what groups may call the character, its file's name and its own.
    """
    wanted = set(names)
    for group in _known(db):
        if wanted & set(_members(group)):
            for chat in _chats(group):
                for session_id in imported_chats.of_file(db, chat):
                    _join(db, session_id, [character_id])


def _known(db: Connection) -> Iterator[Group]:
    """Yields the groups whose files are here, the newest ones."""
    for name, data in originals.of_kind(db, Kind.GROUP.value, limits.IMPORT_GROUPS):
        try:
            yield from reader.read(data, name).groups
        except (
            ImportFileError
        ):  # an older Flower read what this one refuses: its stories are as they were
            continue


def _members(group: Group) -> list[str]:
    return [stem_of(file) for file in group.members[: limits.IMPORT_SPEAKERS]]


def _chats(group: Group) -> list[str]:
    return [stem_of(chat) for chat in group.chats[: limits.IMPORT_GROUP_CHATS]]


def _join(db: Connection, session_id: str, members: Iterable[str]) -> None:
    """Adds members to a story's cast; its own character is on stage without that."""
    own = imported_chats.character_of(db, session_id)

    def join(steered: Steering) -> Steering:
        both = dict.fromkeys((*steered.cast.members, *members))
        others = tuple(one for one in both if one != own)
        return replace(steered, cast=replace(steered.cast, members=others))

    states.change_steering(db, session_id, join)
