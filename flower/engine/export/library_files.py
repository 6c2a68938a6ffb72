"""Characters, lorebooks, stories and settings as files of other programs: what to read for them, and their bytes.

Functions over a connection return what was read; the others make bytes of it and belong in a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from msgspec import Struct

from flower import limits
from flower.engine.assets.kinds import Assets, Character
from flower.engine.assets.shelves import briefs, owner_of, plain
from flower.engine.export.chats import chat_of
from flower.engine.game.steering import Steering
from flower.engine.interchange import (
    book_writer,
    card_writer,
    flower_story,
    pictures,
    reader,
    sillytavern_chats,
    sillytavern_settings,
)
from flower.engine.interchange.cards import card_of
from flower.engine.interchange.values import Card, Chat, Group, Imported, Kind
from flower.engine.lorebook.book import Book
from flower.engine.store import branches, imported_chats, states, stories
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, characters, originals, presets, quick_replies
from flower.engine.store.library.books import Owner
from flower.errors import CommandError, ImportFileError
from flower.settings import samplers

CARD_FORMATS = ("png", "v2", "v3", "charx")
BOOK_FORMATS = ("world-info", "v3")
STORY_FORMATS = ("sillytavern", "flower")
OWN_REPLIES = "flower"  # what the lines of config.yaml are called as a set


class NamedFile(Struct, frozen=True):
    """A file to be written."""

    name: str  # with its ending, from a person: no path
    data: bytes


def character_names(assets: Assets) -> dict[str, str]:
    """Returns the names of all characters by id."""
    return {brief.id: brief.name for brief in briefs(assets.characters)}


# --- characters ---------------------------------------------------------------------------------


class CardSource(Struct, frozen=True):
    """What a card is made from: who it is, the file they came from, their own lorebook."""

    character: Character
    file: tuple[str, bytes, int] | None
    book: Book | None


def read_character(db: Connection, character: Character) -> CardSource:
    """Returns what is known of a character."""
    owned = books.holding(db, characters=(character.id,), user=owner_of(character.id))
    mine = [one for one in owned if one.owner is Owner.CHARACTER]
    book = books.read(db, mine[0].stored.id) if mine else None
    return CardSource(character, characters.source(db, character.id), book)


def card_file(source: CardSource, form: str) -> NamedFile:
    """Returns a card in one of ``CARD_FORMATS``. Raises ``CommandError`` for another one."""
    original, data = _original(source)
    card = card_of(source.character, original, source.book)
    name = plain(source.character.id)
    if form == "png":
        return NamedFile(f"{name}.png", card_writer.card_png(card, data))
    if form == "charx":
        return NamedFile(f"{name}.charx", card_writer.card_charx(card, data))
    if form in ("v2", "v3"):
        spec: card_writer.Spec = "v2" if form == "v2" else "v3"
        return NamedFile(f"{name}.json", card_writer.card_json(card, spec, data))
    raise CommandError(f"A character is written as one of: {', '.join(CARD_FORMATS)}.")


def picture_of(source: CardSource) -> bytes | None:
    """Returns the picture that came with a character, None for none."""
    original, data = _original(source)
    if original is not None and original.picture:
        return original.picture
    return data if data is not None and data.startswith(pictures.SIGNATURE) else None


def _original(source: CardSource) -> tuple[Card | None, bytes | None]:
    if source.file is None:
        return None, None
    name, data, place = source.file
    try:
        contents = reader.read(data, name)
    except ImportFileError:  # a newer reader may be stricter: what was taken over is still here
        return None, None
    if place >= len(contents.cards):
        return None, None
    alone = (
        len(contents.cards) == 1 and contents.kind is not Kind.ARCHIVE
    )  # else others are in the file too
    return contents.cards[place], data if alone else None


# --- lorebooks ----------------------------------------------------------------------------------


def book_file(book: Book, form: str) -> NamedFile:
    """Returns a lorebook in one of ``BOOK_FORMATS``. Raises ``CommandError`` for another one."""
    name = f"{characters.id_of(book.name)}.json"
    if form == "world-info":
        return NamedFile(name, book_writer.world_info(book))
    if form == "v3":
        return NamedFile(name, book_writer.lorebook_v3(book))
    raise CommandError(f"A lorebook is written as one of: {', '.join(BOOK_FORMATS)}.")


# --- stories ------------------------------------------------------------------------------------


class StorySource(Struct, frozen=True):
    """What a chat is made from."""

    stored: stories.StoredSession
    tree: tuple[stories.Message, ...]
    steered: Steering
    branches: Mapping[int, str]
    files: tuple[tuple[str, bytes], ...]
    members: tuple[str, ...] = ()  # files of cards of a cast; none for a story of one
    groups: tuple[Group, ...] = ()  # that came with their members or chats


def read_story(db: Connection, session_id: str) -> StorySource:
    """Returns a story whole. Raises ``CommandError`` if there is none."""
    stored = stories.session(db, session_id)
    if stored is None:
        raise CommandError(f"There is no story {session_id!r}.")
    steered = states.steering(db, session_id)
    cast = dict.fromkeys((stored.character_id, *steered.cast.members)) if steered.cast.members else {}
    return StorySource(
        stored,
        tuple(stories.tree(db, session_id)),
        steered,
        {end.leaf: end.name for end in branches.named(db, session_id) if end.leaf is not None},
        tuple(imported_chats.files_of(db, session_id)),
        tuple(f"{characters.file_of(db, one) or one}.png" for one in cast if one),
        tuple(_groups(db)) if cast else (),
    )


def _groups(db: Connection) -> Iterator[Group]:
    for name, data in originals.of_kind(db, Kind.GROUP.value, limits.IMPORT_GROUPS):
        with contextlib.suppress(ImportFileError):  # a newer reader may be stricter
            yield from reader.read(data, name).groups


def story_files(source: StorySource, names: Mapping[str, str], form: str) -> Iterator[NamedFile]:
    """Yields a story in one of ``STORY_FORMATS``: as many files as it has ends, or one.

    ``names`` are of characters by id. Raises ``CommandError`` for another format.
    """
    originals = tuple(_chats(source.files, source.steered.persona.name))
    chat = chat_of(source.stored, source.tree, source.steered, names, source.branches, originals)
    base = characters.id_of(source.stored.title) if source.stored.title else source.stored.id
    if form == "flower":
        yield NamedFile(f"{base}.jsonl", "".join(flower_story.write(chat)).encode())
    elif form == "sillytavern":
        written: list[str] = []
        for name, data in sillytavern_chats.write_tree(chat, base):
            written.append(file_name(name))
            yield NamedFile(f"{written[-1]}.jsonl", data)
        if source.members:
            yield _group(source, base, written)
    else:
        raise CommandError(f"A story is written as one of: {', '.join(STORY_FORMATS)}.")


def _group(source: StorySource, base: str, chats: list[str]) -> NamedFile:
    """Returns the cast as a group of the story's chats."""
    original = next((group for group in source.groups if set(group.chats) & set(chats)), None)
    name = original.name if original is not None else source.stored.title or base
    data = sillytavern_settings.group_file(name, source.members, chats, original)
    return NamedFile(f"{file_name(name)} (group).json", data)


def file_name(name: str) -> str:
    """Returns a name that is no path."""
    return (
        "".join(char if char.isprintable() and char not in '/\\:*?"<>|' else "_" for char in name)[
            :100
        ].lstrip(".")
        or "chat"
    )


def _chats(files: tuple[tuple[str, bytes], ...], me: str) -> Iterator[Chat]:
    for name, data in files:
        try:
            yield from reader.read(data, name, me).chats
        except ImportFileError:  # its player cannot be found out any more: its texts are in the story
            continue


# --- settings: what came from a file and has not changed is written with all that was in it ---------


def preset_file(db: Connection, name: str, user: int = 0) -> NamedFile | None:
    """Returns a preset of sampler settings, None where there is none of that name."""
    preset = presets.find(db, presets.SAMPLERS, name, user)
    if preset is None:
        return None
    called, values = preset
    was = (one for file in _files(db, Kind.SAMPLER_PRESET) for one in file.presets)
    original = next((one for one in was if one.name == called), None)
    data = sillytavern_settings.preset_file(called, samplers.checked(values), original)
    return NamedFile(f"{file_name(called)}.json", data)


def replies_file(db: Connection, name: str, own: Sequence[tuple[str, str]]) -> NamedFile:
    """Returns a set of quick replies. ``own``: those of ``config.yaml``.

    Raises ``CommandError`` with the names of the sets there are.
    """
    sets = quick_replies.sets(db)
    if own:
        sets.setdefault(OWN_REPLIES, list(own))
    fits = [one for one in sets if one.casefold() == name.casefold()] if name else list(sets)
    if len(fits) != 1:
        names = ", ".join(sets)
        raise CommandError(
            f"Which set of quick replies? There is: {names}."
            if names
            else "There are no quick replies here."
        )
    (called,) = fits
    was = (one for file in _files(db, Kind.QUICK_REPLIES) for one in file.quick_replies)
    original = next((one for one in was if one.name == called), None)
    return NamedFile(
        f"{file_name(called)}.json",
        sillytavern_settings.quick_replies_file(called, sets[called], original),
    )


def _files(db: Connection, kind: Kind) -> Iterator[Imported]:
    """Yields what is in the files of a kind that are here, the newest first."""
    for name, data in originals.of_kind(db, kind.value, limits.IMPORT_GROUPS):
        with contextlib.suppress(ImportFileError):  # a newer reader may be stricter
            yield reader.read(data, PurePath(name).stem)
