"""A lorebook and its entries as values. Pure.

The fields are those of World Info files and of ``character_book`` in cards (V2, V3), under one name
each. What a file says beside them is kept in ``source``, the object as it was read, so that writing it
again loses nothing. Content is kept as it was written: its first lines may be decorators (``@@depth 2``).

Whoever reads another kind of file makes ``Entry`` and ``Book`` values of it and leaves ``source`` empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum

from msgspec import Struct

__all__ = ["Book", "CharacterFilter", "Entry", "Logic", "Position", "Role", "Scope", "TextSource"]


class Logic(IntEnum):
    """What the secondary keys must do once a primary key is found. Numbers as in World Info files."""

    AND_ANY = 0  # one of them is found
    NOT_ALL = 1  # one of them is missing
    NOT_ANY = 2  # none of them is found
    AND_ALL = 3  # all of them are found
    NEVER = -1  # a number no program knows: cannot be met


class Position(IntEnum):
    """Where a fired entry goes. Numbers as in World Info files."""

    BEFORE_CHARACTER = 0
    AFTER_CHARACTER = 1
    NOTE_TOP = 2  # above the author's note
    NOTE_BOTTOM = 3
    AT_DEPTH = 4  # among the messages, counted from the newest
    BEFORE_EXAMPLES = 5
    AFTER_EXAMPLES = 6
    OUTLET = 7  # only where a text says {{outlet::name}}
    NOWHERE = -1  # the file gives none: the entry may fire and lead to others, but is not put anywhere


class Role(IntEnum):
    """Who speaks an entry at a depth. Numbers as in World Info files."""

    SYSTEM = 0
    USER = 1
    ASSISTANT = 2


class Scope(StrEnum):
    """What a book belongs to, in the order in which the books have the first word."""

    CHAT = "chat"  # one story
    PERSONA = "persona"
    CHARACTER = "character"
    GLOBAL = "global"  # everything, or the story's world


class TextSource(StrEnum):
    """A further text that an entry may look for its keys in."""

    PERSONA = "persona_description"
    DESCRIPTION = "character_description"
    PERSONALITY = "character_personality"
    DEPTH_PROMPT = "character_depth_prompt"
    SCENARIO = "scenario"
    CREATOR_NOTES = "creator_notes"


class CharacterFilter(Struct, frozen=True):
    """With whom an entry may fire: names of characters (or of their files) and their tags."""

    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    exclude: bool = False  # with everybody but these


class Entry(Struct, frozen=True, kw_only=True):
    """One entry. ``None`` means: as the book or the settings say. Lengths of time are in messages."""

    uid: str  # unique in its book
    name: str = ""
    comment: str = ""  # the title that editors show
    content: str = ""
    keys: tuple[str, ...] = ()  # plain, or /pattern/flags
    secondary_keys: tuple[str, ...] = ()
    use_regex: bool = False  # the keys are patterns without slashes (V3)
    selective: bool = True  # the secondary keys count
    logic: Logic = Logic.AND_ANY
    enabled: bool = True
    constant: bool = False
    vectorized: bool = False  # may be recalled by meaning too
    case_sensitive: bool | None = None
    whole_words: bool | None = None
    scan_depth: int | None = None  # newest messages that are read
    scanned: tuple[TextSource, ...] = ()  # further texts that are read

    order: float = 100  # higher comes later in the prompt and has the budget first
    priority: float | None = None  # of V2 books: lower goes first when the budget is tight
    position: Position = Position.BEFORE_CHARACTER
    depth: int = 4  # messages from the end, at AT_DEPTH
    role: Role = Role.SYSTEM
    outlet: str = ""
    ignore_budget: bool = False

    exclude_recursion: bool = False  # is not fired by another entry's text
    prevent_recursion: bool = False  # its text fires no other entry
    delay_until_recursion: int = 0  # level; 0 = fires at once

    probability: float = 100  # percent
    use_probability: bool = True
    groups: tuple[str, ...] = ()  # of each only one entry fires
    group_override: bool = False  # the highest order wins, without dice
    group_weight: float = 100
    group_scoring: bool | None = None  # the most keys found win

    sticky: int = 0  # messages it stays once fired
    cooldown: int = 0  # messages it rests after that
    delay: int = 0  # messages a story must have

    triggers: tuple[str, ...] = ()  # kinds of generation; empty = all
    character_filter: CharacterFilter | None = None
    automation_id: str = ""
    source: Mapping[str, object] = {}  # as it was read; see the module


class Book(Struct, frozen=True, kw_only=True):
    """A named set of entries, in the order of their file."""

    name: str
    entries: tuple[Entry, ...] = ()
    description: str = ""
    scan_depth: int | None = None  # for entries that give none
    token_budget: int | None = None  # for this book alone, inside the whole budget
    recursive: bool | None = None
    source: Mapping[str, object] = {}  # the book as it was read, without its entries
