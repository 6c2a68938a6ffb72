"""Building trees of chat messages, and merging the files of one chat into one tree. Pure.

Files belong together when one names the other as the chat it branched from, when they have the same
``integrity`` mark, or when they begin alike up to an answer to the player. Equal greetings alone say
nothing: every chat with a character begins with the same one. Everything takes linear time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from msgspec import structs

from flower import limits
from flower.engine.interchange.fields import mapping, text
from flower.engine.interchange.values import Chat, Ending, ImportedMessage, Variant
from flower.errors import ImportFileError

Key: TypeAlias = tuple[int | None, int, str, str, str]  # parent, its variant, role, name, text


class UnplacedMessage:
    """A message before it has its place: everything but its parent."""

    __slots__ = ("chosen", "hidden", "name", "role", "source", "variants")

    def __init__(
        self,
        role: str,
        name: str,
        variants: Sequence[Variant],
        chosen: int = 0,
        *,
        hidden: bool = False,
        source: Mapping[str, object] | None = None,
    ) -> None:
        self.role = role
        self.name = name
        self.variants = tuple(variants) or (Variant(text=""),)
        self.chosen = min(max(chosen, 0), len(self.variants) - 1)
        self.hidden = hidden
        self.source = source or {}


def chain(lines: Iterable[UnplacedMessage]) -> tuple[ImportedMessage, ...]:
    """Returns messages one after the other. Raises ``ImportFileError`` if they are too many."""
    messages: list[ImportedMessage] = []
    for line in lines:
        if len(messages) >= limits.IMPORT_MESSAGES:
            raise ImportFileError(f"the chat has more than {limits.IMPORT_MESSAGES:,} messages")
        above = messages[-1] if messages else None
        messages.append(
            ImportedMessage(
                parent=len(messages) - 1 if above else None,
                parent_variant=above.chosen if above else 0,
                role=line.role,
                name=line.name,
                variants=line.variants,
                chosen=line.chosen,
                hidden=line.hidden,
                source=line.source,
            )
        )
    return tuple(messages)


def one_text_message(text_: str, role: str, name: str, **fields: object) -> UnplacedMessage:
    """Returns a line with one text."""
    return UnplacedMessage(role, name, (Variant(text=text_),), **fields)  # type: ignore[arg-type]


def last(messages: Sequence[ImportedMessage]) -> int | None:
    return len(messages) - 1 if messages else None


def path(chat: Chat, leaf: int | None) -> list[int]:
    """Returns the indexes of the messages from the first one to ``leaf``."""
    way: list[int] = []
    while leaf is not None:
        way.append(leaf)
        leaf = chat.messages[leaf].parent
    return way[::-1]


def leaves(chat: Chat) -> list[int]:
    """Returns the indexes of all messages that nothing follows, the endings' first."""
    parents = {message.parent for message in chat.messages}
    named = [ending.leaf for ending in chat.endings if ending.leaf is not None]
    ends = [index for index in range(len(chat.messages)) if index not in parents]
    return list(dict.fromkeys([*named, *ends]))


# --- merging ------------------------------------------------------------------------------------


def merge(chats: Sequence[Chat]) -> tuple[Chat, ...]:
    """Returns the chats with those that belong together as one tree each, in the order of their first."""
    groups: dict[int, list[Chat]] = {}
    for number, chat in zip(_groups(chats), chats, strict=True):
        groups.setdefault(number, []).append(chat)
    return tuple(_merged(group) for group in groups.values())


def _groups(chats: Sequence[Chat]) -> list[int]:
    """Returns the number of a group for each chat: chats that share a mark share a group."""
    above = list(range(len(chats)))

    def top(index: int) -> int:
        while above[index] != index:
            above[index] = above[above[index]]
            index = above[index]
        return index

    first: dict[object, int] = {}
    for index, chat in enumerate(chats):
        for mark in marks(chat):
            above[top(index)] = top(first.setdefault(mark, index))
    return [top(index) for index in range(len(chats))]


def marks(chat: Chat) -> Iterator[object]:
    """Yields what files of one chat have in common: chats with one of these belong together."""
    for ending in chat.endings:
        metadata = mapping(ending.source.get("chat_metadata"))
        if ending.name:
            yield "file", chat.character, ending.name
        if main := text(metadata.get("main_chat")):
            yield "file", chat.character, main
        if integrity := text(metadata.get("integrity")):
            yield "integrity", integrity
    beginning = _beginning(chat)
    if beginning:
        yield "text", beginning


def _beginning(chat: Chat) -> tuple[tuple[str, str, str], ...]:
    """Returns the texts up to the first answer to the player, () in a chat without one."""
    start = []
    has_player = False
    for index in path(chat, chat.endings[0].leaf if chat.endings else last(chat.messages)):
        message = chat.messages[index]
        start.append((message.role, message.name, message.text))
        if has_player and message.role == "assistant":
            return tuple(start)
        has_player = has_player or message.role == "user"
    return ()


def _merged(chats: Sequence[Chat]) -> Chat:
    """The chat that no other one is the main chat of is the trunk, and its ending comes first."""
    if len(chats) == 1:
        return chats[0]
    ordered = sorted(chats, key=is_branch)
    tree = _Tree()
    endings = [ending for chat in ordered for ending in tree.add(chat)]
    return structs.replace(ordered[0], messages=tuple(tree.messages), endings=tuple(endings))


def is_branch(chat: Chat) -> bool:
    """Whether a chat says that it branched off another one."""
    return any(mapping(ending.source.get("chat_metadata")).get("main_chat") for ending in chat.endings)


class _Tree:
    def __init__(self) -> None:
        self.messages: list[ImportedMessage] = []
        self._places: dict[Key, int] = {}

    def add(self, chat: Chat) -> Iterator[Ending]:
        """Adds a chat's messages; yields its endings with their new places."""
        places: list[int] = []
        shifts: list[dict[int, int]] = []  # of each message: old number of a variant to its new one
        for message in chat.messages:
            parent = None if message.parent is None else places[message.parent]
            under = 0 if message.parent is None else shifts[message.parent][message.parent_variant]
            place, shift = self._put(structs.replace(message, parent=parent, parent_variant=under))
            places.append(place)
            shifts.append(shift)
        for ending in chat.endings:
            yield structs.replace(ending, leaf=None if ending.leaf is None else places[ending.leaf])

    def _put(self, message: ImportedMessage) -> tuple[int, dict[int, int]]:
        place = self._find(message)
        if place is None:
            place = len(self.messages)
            if place >= limits.IMPORT_MESSAGES:
                raise ImportFileError(f"the chat has more than {limits.IMPORT_MESSAGES:,} messages")
            self.messages.append(message)
            shift = {index: index for index in range(len(message.variants))}
        else:
            shift = self._join(place, message)
        for variant in self.messages[place].variants:
            self._places.setdefault(_key(message, variant.text), place)
        return place, shift

    def _find(self, message: ImportedMessage) -> int | None:
        """A player's line is another line where its text differs; a reply is found by any of its texts."""
        candidates = [message.text, *(variant.text for variant in message.variants)]
        return next(
            (place for text_ in candidates
             if (place := self._places.get(_key(message, text_))) is not None),
            None,
        )  # fmt: skip

    def _join(self, place: int, message: ImportedMessage) -> dict[int, int]:
        """Adds the variants that are new; returns where each one is now."""
        old = self.messages[place]
        variants = list(old.variants)
        where: dict[str, int] = {}
        for index, variant in enumerate(variants):
            where.setdefault(variant.text, index)
        shift = {}
        for index, variant in enumerate(message.variants):
            if variant.text not in where:
                where[variant.text] = len(variants)
                variants.append(variant)
            shift[index] = where[variant.text]
        self.messages[place] = structs.replace(old, variants=tuple(variants))
        return shift


def _key(message: ImportedMessage, text_: str) -> Key:
    return message.parent, message.parent_variant, message.role, message.name, text_
