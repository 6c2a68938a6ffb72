"""What there is of a kind, by id: the home's, a user's own, and the characters that were imported. Pure.

An id of a user's own ends in ``~`` and the user's number, which no id that people write can have. So libraries never
share an id, stories point to the right one whoever reads them, and what is kept by id (lore, books, scripts) is apart.

People own thousands of cards, and a story needs one or two of them. So imported characters are kept packed, a few KiB
each, and only what lists show of them is at hand. A YAML file wins over an imported card of its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from msgspec import Struct

from flower.engine.assets.kinds import Character
from flower.text import one_line

MARK = "~"
NUMBER_DIGITS = 18
SUMMARY_CHARS = 300

A = TypeVar("A")


def owned(plain: str, user: int) -> str:
    """Returns the id of what a user calls ``plain``; 0 is the home's owner, whose things are everybody's."""
    return f"{plain}{MARK}{user}" if user else plain


def owner_of(asset_id: str) -> int:
    """Returns the number of whose something is, 0 when it is the home's."""
    _, mark, number = asset_id.rpartition(MARK)
    owned_id = mark and number.isascii() and number.isdecimal() and len(number) <= NUMBER_DIGITS
    return int(number) if owned_id else 0


def plain(asset_id: str) -> str:
    """Returns an id without whose it is."""
    return asset_id.rpartition(MARK)[0] if owner_of(asset_id) else asset_id


class Shelf(Mapping[str, A], Generic[A]):
    """The home's things of a kind, and by id those of users: nobody's own is in a list of it.

    ``own`` returns what a user has by id, nothing for one whose library was not read.
    """

    def __init__(self, shared: Mapping[str, A], own: Callable[[int], Mapping[str, A]]) -> None:
        self.shared = shared
        self._own = own

    def __getitem__(self, asset_id: str) -> A:
        owner = owner_of(asset_id)
        return self._own(owner)[asset_id] if owner else self.shared[asset_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shared)

    def __len__(self) -> int:
        return len(self.shared)


class OwnShelf(Mapping[str, A], Generic[A]):
    """Things of a kind as one user sees them: their own, then the home's that none of theirs is called like.

    They need not say whose theirs is: ``mara`` is their own Mara, if they have one.
    """

    def __init__(self, user: int, mine: Mapping[str, A], shared: Mapping[str, A]) -> None:
        self.user = user
        self.mine = mine
        self.shared = shared

    def __getitem__(self, asset_id: str) -> A:
        if MARK in asset_id:
            return self.mine[asset_id]
        asset = self.mine.get(owned(asset_id, self.user))
        return asset if asset is not None else self.shared[asset_id]

    def hides(self, asset_id: str) -> bool:
        """Whether one of the user's own takes the place of one of the home's."""
        return owned(asset_id, self.user) in self.mine

    def __iter__(self) -> Iterator[str]:
        yield from self.mine
        yield from (one for one in self.shared if not self.hides(one))

    def __len__(self) -> int:
        return sum(1 for _ in self)


# --- All characters of a home.


class Brief(Struct, frozen=True):
    """What lists need of a character: ``summary`` is a text that begins with who it is."""

    id: str
    name: str
    summary: str = ""
    tags: tuple[str, ...] = ()


def brief_of(character: Character) -> Brief:
    """Returns what lists need of ``character``, and no more of its text than that."""
    summary = one_line(character.persona, SUMMARY_CHARS)
    return Brief(character.id, character.name, summary, character.tags[:20])


class ImportedCharacter:
    """The imported characters of a home, packed. Changed in place as cards come and go."""

    def __init__(self, unpack: Callable[[bytes], Character]) -> None:
        self._unpack = unpack
        self._packed: dict[str, bytes] = {}
        self.briefs: dict[str, Brief] = {}

    def put(self, brief: Brief, packed: bytes) -> None:
        """Adds a character, or takes it over as it is now."""
        self.briefs[brief.id] = brief
        self._packed[brief.id] = packed

    def drop(self, character_id: str) -> None:
        """Forgets a character."""
        self.briefs.pop(character_id, None)
        self._packed.pop(character_id, None)

    def get(self, character_id: str) -> Character | None:
        """Returns a character whole."""
        packed = self._packed.get(character_id)
        return self._unpack(packed) if packed is not None else None


class CharacterList(Mapping[str, Character]):
    """The characters of YAML files, then the imported ones. Iterating values unpacks each: see ``briefs``."""

    def __init__(self, written: Mapping[str, Character], imported: ImportedCharacter) -> None:
        self.written = written
        self.imported = imported

    def __getitem__(self, character_id: str) -> Character:
        asset = self.written.get(character_id) or self.imported.get(character_id)
        if asset is None:
            raise KeyError(character_id)
        return asset

    def __contains__(self, character_id: object) -> bool:
        return character_id in self.written or character_id in self.imported.briefs

    def __iter__(self) -> Iterator[str]:
        yield from self.written
        yield from (one for one in self.imported.briefs if one not in self.written)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def written_of(characters: Mapping[str, Character]) -> Mapping[str, Character]:
    """Returns the characters of the home's files."""
    shared = characters.shared if isinstance(characters, Shelf) else characters
    return shared.written if isinstance(shared, CharacterList) else shared


def briefs(characters: Mapping[str, Character]) -> Iterator[Brief]:
    """Yields what lists show of all characters, without unpacking any."""
    if isinstance(characters, Shelf):
        characters = characters.shared
    if isinstance(characters, OwnShelf):
        yield from briefs(characters.mine)
        yield from (one for one in briefs(characters.shared) if not characters.hides(one.id))
        return
    written = characters.written if isinstance(characters, CharacterList) else characters
    for one in written.values():
        yield Brief(one.id, one.name, one.persona, one.tags)
    if isinstance(characters, CharacterList):
        for brief in characters.imported.briefs.values():
            if brief.id not in characters.written:
                yield brief
