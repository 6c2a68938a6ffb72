"""All characters of a home by id: those of YAML files, and those that were imported.

People own thousands of cards, and a story needs one or two of them. So imported ones are kept packed, a few
KiB each, and only what lists show of them is at hand. A YAML file wins over an imported card of its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from flower.engine.assets import Character
from flower.engine.own_assets import OwnShelf, Shelf
from flower.text import one_line

SUMMARY_CHARS = 300


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
        found = self.written.get(character_id) or self.imported.get(character_id)
        if found is None:
            raise KeyError(character_id)
        return found

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
