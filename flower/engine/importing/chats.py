"""Chats of other programs as stories: the nodes of the tree, and groups whose members become the cast.

A group, the cards of its members and its chats come in any order, so each of them looks for the others. Functions
over a connection; those that write expect to run inside ``Database.write``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from flower import limits
from flower.engine.game.steering import Steering
from flower.engine.interchange import chat_tree, reader
from flower.engine.interchange.fields import stem_of
from flower.engine.interchange.values import Chat, Group, Kind
from flower.engine.store import imported_chats, states
from flower.engine.store.connection import Connection
from flower.engine.store.imported_chats import ChatNode
from flower.engine.store.library import characters, originals
from flower.errors import ImportFileError
from flower.text import sanitize

IMPORT_GROUP_CHATS = 1_000  # of one group


def nodes_of(chat: Chat, now: float) -> tuple[list[ChatNode], int | None]:
    """Returns a node for every text of a chat, and the index of the one it ends at.

    A message follows one variant of the message before it. A text without a date has that of the text
    before it, else of the chat, else ``now``.
    """
    nodes: list[ChatNode] = []
    starts: list[int] = []
    for message in chat.messages:
        starts.append(len(nodes))
        parent = None if message.parent is None else starts[message.parent] + message.parent_variant
        above = nodes[parent].created if parent is not None else chat.created or now
        for number, variant in enumerate(message.variants):
            nodes.append(
                ChatNode(
                    parent,
                    message.role,
                    sanitize(variant.text),
                    variant.sent if variant.sent is not None else above,
                    sanitize(variant.model),
                    sanitize(message.name),
                    message.hidden,
                    number == message.chosen,
                )
            )
    return nodes, _leaf(chat, starts)


def _leaf(chat: Chat, starts: Sequence[int]) -> int | None:
    ends = [ending.leaf for ending in chat.endings if ending.leaf is not None]
    leaf = ends[0] if ends else chat_tree.last(chat.messages)
    return None if leaf is None else starts[leaf] + chat.messages[leaf].chosen


def marks_of(chat: Chat) -> list[bytes]:
    """Returns what files of one chat have in common, as short as it can be kept."""
    return [
        hashlib.sha256(repr(mark).encode("utf-8", "replace")).digest() for mark in chat_tree.marks(chat)
    ]


def speakers(chat: Chat) -> list[str]:
    """Returns the names under which the narrator's side speaks, the most talkative first."""
    counts: dict[str, int] = {}
    for message in chat.messages:
        if message.role == "assistant" and message.name:
            counts[message.name] = counts.get(message.name, 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


# --- Groups of other programs: whose members become the cast of the stories whose files they name


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
    calls = set(names)
    for group in _known(db):
        if calls & set(_members(group)):
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
    return [stem_of(chat) for chat in group.chats[:IMPORT_GROUP_CHATS]]


def _join(db: Connection, session_id: str, members: Iterable[str]) -> None:
    """Adds members to a story's cast; its own character is on stage without that."""
    own = imported_chats.character_of(db, session_id)

    def join(steered: Steering) -> Steering:
        both = dict.fromkeys((*steered.cast.members, *members))
        others = tuple(one for one in both if one != own)
        return replace(steered, cast=replace(steered.cast, members=others))

    states.change_steering(db, session_id, join)
