"""What a file holds, taken over into the database: functions over a connection, one transaction a file.

Files point to each other by name (a card to its lorebook, a chat to its character) and come in any order.
So every file looks for what waits for it, and for what it waits for itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.assets.shelves import owner_of
from flower.engine.game.steering import NOTE_CHARS, Cast, Note, Persona
from flower.engine.importing import chats
from flower.engine.importing.chats import marks_of, nodes_of, speakers
from flower.engine.interchange import chat_tree, values
from flower.engine.interchange.cards import character_of, short
from flower.engine.interchange.fields import stem_of
from flower.engine.interchange.values import Card, Chat, Imported, Kind, QuickReplies
from flower.engine.lorebook.book import Book, Entry
from flower.engine.scripts.script import Script
from flower.engine.store import allowances, imported_chats, states, stories
from flower.engine.store.connection import Connection
from flower.engine.store.library import (
    books,
    characters,
    originals,
    own_assets,
    personas,
    presets,
    quick_replies,
    scripts,
)
from flower.engine.store.library.books import Owner
from flower.engine.store.library.characters import Source, Stored
from flower.errors import ImportFileError
from flower.text import counted, sanitize

State = Literal["new", "updated", "already here"]


class Taken(Struct, frozen=True):
    """What became of a file. ``items`` are short phrases such as ``character Mara (mara)``."""

    kind: str
    state: State
    items: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class TakeOutcome(Struct, frozen=True):
    """The same, with what has to be known in memory."""

    report: Taken
    characters: tuple[Stored, ...] = ()
    stories: tuple[str, ...] = ()  # new, or with more in them now


class File(Struct, frozen=True):
    """A file that was read. ``name`` has neither folder nor ending."""

    name: str
    data: bytes
    hash: bytes
    imported: Imported


class _Home(Struct, frozen=True):
    """What taking over works with."""

    db: Connection
    original: int
    name: str
    now: float
    taken_ids: Container[str]
    new_id: str
    scripts_allowed: bool
    user: int = 0  # whose library it comes into; 0: the home's


# What is in effect for everybody, so that only the home's owner brings it.
_HOME_ALONE = (
    Kind.QUICK_REPLIES, Kind.SCRIPTS, Kind.INSTRUCT_PRESET, Kind.CONTEXT_PRESET, Kind.GROUP,
)  # fmt: skip


def already_here(db: Connection, hash_: bytes, user: int = 0, name: str = "") -> Taken | None:
    """Returns what to say of a file whose content somebody imported before; ``name``: what a user calls it."""
    original = originals.find(db, hash_)
    if original is None or not originals.in_use(db, original, user):
        return None
    return Taken(original.kind, "already here", (name if user else original.name,))


def take(
    db: Connection,
    file: File,
    now: float,
    new_id: str,
    taken_ids: Container[str] = frozenset(),
    scripts_allowed: bool = False,
    user: int = 0,
) -> TakeOutcome:
    """Takes over what is in ``file``, for a user or (0) for everybody.

    ``new_id`` begins the ids of new stories; ``taken_ids`` are of characters that files of the home have.
    ``scripts_allowed``: the scripts of cards may act.
    Raises ``ImportFileError`` where the home has no room, ``StoreError``.
    """
    before = already_here(db, file.hash, user, file.name)
    if before is not None:
        return TakeOutcome(before)
    imported = file.imported
    kind = imported.kind.value
    if user:
        _check_user(db, imported, user, now)
    original = originals.keep(db, file.data, file.hash, file.name, kind, now, user)
    home = _Home(db, original, file.name, now, taken_ids, new_id, scripts_allowed, user)
    items: list[tuple[str, State]] = []
    stored: list[Stored] = []
    played: list[str] = []
    for place, card in enumerate(imported.cards):
        one, item = _take_card(home, card, place)
        stored.append(one)
        items.append(item)
    items += [_take_book(home, book) for book in imported.books]
    for number, chat in enumerate(imported.chats):
        session_id, item = _take_chat(home, chat, number)
        played.append(session_id)
        items.append(item)
    items += [_take_persona(home, persona) for persona in imported.personas]
    items += [_take_replies(home, replies) for replies in imported.quick_replies]
    items += [_take_script(home, script) for script in imported.scripts]
    items += [_take_preset(home, preset) for preset in imported.presets]
    for group in imported.groups if not user else ():
        titles = (stem_of(chat.title) for chat in imported.chats)
        chats.take(db, group, dict(zip(titles, played, strict=True)))
        items.append((f"group {sanitize(group.name)}", "new"))
    originals.drop_unused(db, original)
    state: State = "new" if any(change == "new" for _, change in items) or not items else "updated"
    report = Taken(kind, state, tuple(text for text, _ in items), imported.notices)
    return TakeOutcome(report, tuple(stored), tuple(played))


def _check_user(db: Connection, imported: Imported, user: int, now: float) -> None:
    """Raises ``ImportFileError`` for what a user may not bring, or when their library is full."""
    presets_of_all = any(preset.kind in _HOME_ALONE for preset in imported.presets)
    if imported.kind in _HOME_ALONE or imported.quick_replies or imported.scripts or presets_of_all:
        raise ImportFileError(
            f"a file of the kind {imported.kind.value} would hold for everybody here; only whoever keeps this"
            " home can import it"
        )
    new = len(imported.cards) + len(imported.books)
    allowance = allowances.allowance(db, user, now)
    if new and own_assets.count(db, user) + new > allowance.limits.most_own:
        raise ImportFileError(
            f"you may have {allowance.limits.most_own} characters, worlds, rules and lorebooks of your own"
        )
    most = allowance.limits.stories
    if imported.chats and most is not None and allowance.stories + len(imported.chats) > most:
        raise ImportFileError(f"you may have {most} stories, trash included")


# --- characters ---------------------------------------------------------------------------------


def _take_card(home: _Home, card: Card, place: int) -> tuple[Stored, tuple[str, State]]:
    db, new = home.db, character_of(card, "")
    user = home.user
    old = characters.earlier(db, new, home.name, user)
    identity = old.id if old is not None else characters.free_id(db, new.name, home.taken_ids, user)
    character = replace(new, id=identity)
    source = Source(home.name, home.original, place, stem_of(card.linked_book))
    stored = characters.put(db, character, source, home.now, user)
    scripts.put_of_character(db, identity, card.scripts, home.original, allowed=home.scripts_allowed)
    if card.book is not None:
        _give_own_book(home, identity, card.book)
    if card.linked_book:
        for book_id in books.of_file(db, stem_of(card.linked_book), user):
            _give_linked_book(db, book_id, identity)
    personas.claim(db, home.name, identity, user)
    imported_chats.give_character(db, character.name, home.name, identity, user)
    if old is None and not user:
        chats.await_card(db, identity, (home.name, character.name))
    return stored, (f"character {character.name} ({identity})", "new" if old is None else "updated")


def _give_own_book(home: _Home, character_id: str, book: Book) -> None:
    """A character has one book out of its card; a newer card brings a newer book."""
    file = f"card:{character_id}"
    earlier = books.of_file(home.db, file, home.user)
    if earlier:
        books.replace(home.db, earlier[0], book, home.now, original=home.original)
        return
    number = books.add(home.db, book, home.now, file=file, original=home.original, library=home.user)
    books.give(home.db, number, Owner.CHARACTER, character_id)


# --- lorebooks ----------------------------------------------------------------------------------


def _give_linked_book(db: Connection, number: int, character_id: str) -> None:
    """The lorebook that a card names holds in the place of the copy in the card: else all is in the prompt twice.

    A copy with the same entries goes; another one stays, and can be switched on.
    """
    books.give(db, number, Owner.CHARACTER, character_id)
    linked = _told(books.read(db, number))
    for copy in books.of_file(db, f"card:{character_id}", owner_of(character_id)):
        if _told(books.read(db, copy)) == linked:
            books.remove(db, copy)
        else:
            books.take(db, copy, Owner.CHARACTER, character_id)


def _told(book: Book) -> list[Entry]:
    """Returns the entries of a book as files of two kinds agree about them: a card has no "as set"."""
    return [
        replace(entry, source={}, group_scoring=bool(entry.group_scoring)) for entry in book.entries
    ]


def _take_book(home: _Home, book: Book) -> tuple[str, State]:
    """A book of a file that was here before takes the place of the old one, with whom it belongs to."""
    db = home.db
    text = f"lorebook {sanitize(book.name)} ({counted(len(book.entries), 'entry', 'entries')})"
    user = home.user
    earlier = books.of_file(db, home.name, user)
    if earlier:
        books.replace(db, earlier[0], book, home.now, original=home.original)
        return text, "updated"
    number = books.add(db, book, home.now, file=home.name, original=home.original, library=user)
    for name in (home.name, book.name):
        for character_id in characters.with_book(db, name, user):
            _give_linked_book(db, number, character_id)
        for persona_id in personas.with_book(db, name, user):
            books.give(db, number, Owner.PERSONA, str(persona_id))
        for session_id in imported_chats.with_book(db, name, user):
            books.give(db, number, Owner.STORY, session_id)
    return text, "new"


# --- chats --------------------------------------------------------------------------------------


def _take_chat(home: _Home, chat: Chat, number: int) -> tuple[str, tuple[str, State]]:
    db = home.db
    marks = [_mark_of(home.user, mark) for mark in marks_of(chat)]
    nodes, leaf = nodes_of(chat, home.now)
    session_id = imported_chats.story_of(db, marks)
    old = bool(session_id)
    if not old:
        session_id = _begin(home, chat, number)
    added = imported_chats.graft(db, session_id, nodes, leaf, branch=chat_tree.is_branch(chat))
    character, book = short(sanitize(chat.character)), stem_of(chat.linked_book)
    imported_chats.mark(db, session_id, marks, home.original, character, book)
    if book:
        for book_id in books.of_file(db, book, home.user):
            books.give(db, book_id, Owner.STORY, session_id)
    if not old and not home.user:
        chats.await_chat(db, session_id, home.name)
    messages = counted(added, "more message") if old else counted(len(chat.messages), "message")
    title = sanitize(chat.title) or character or "Untitled"
    return session_id, (f"story {title} ({session_id}, {messages})", "updated" if old else "new")


def _mark_of(user: int, mark: bytes) -> bytes:
    """Returns by what a file of somebody's chat is known: the same chat of two users is two stories."""
    return hashlib.sha256(b"%d " % user + mark).digest() if user else mark


def _begin(home: _Home, chat: Chat, number: int) -> str:
    db = home.db
    if stories.count_sessions(db, home.user) >= stories.SESSIONS_MAX:
        raise ImportFileError(f"there are {stories.SESSIONS_MAX} stories, the most one home holds")
    session_id = home.new_id if not number else f"{home.new_id}-{number + 1}"
    dates = [v.sent for m in chat.messages for v in m.variants if v.sent is not None]
    created = chat.created or min(dates, default=home.now)
    names = speakers(chat)
    user = home.user
    identities = {
        name: characters.named(db, short(name), user) for name in names[: limits.IMPORT_SPEAKERS]
    }
    character_id = characters.named(db, short(sanitize(chat.character)), user) if chat.character else ""
    title = sanitize(chat.title or chat.character) or "Untitled"
    begun = imported_chats.Begun(session_id, title, character_id, created, max(dates, default=created))
    imported_chats.begin(db, begun, user)
    _steer(home, session_id, chat, [one for one in identities.values() if one and one != character_id])
    return session_id


def _steer(home: _Home, session_id: str, chat: Chat, members: list[str]) -> None:
    """Gives a new story its persona, note and cast, and what other programs kept beside the messages."""
    note = _note(chat.note)
    persona = Persona(sanitize(chat.player)[: limits.NAME_CHARS])
    if persona.name:
        for other in personas.listed(home.db, home.user):
            if other.name.casefold() == persona.name.casefold():
                persona = replace(persona, text=other.description[:NOTE_CHARS])
                break
    texts = {"scenario": sanitize(chat.scenario), "memory": sanitize(chat.memory)}
    pins = tuple(text[:NOTE_CHARS] for text in texts.values() if text.strip())
    states.change_steering(
        home.db,
        session_id,
        lambda steered: replace(steered, persona=persona, note=note, cast=Cast(tuple(members))),
    )
    if pins:
        states.begin_with_pins(home.db, session_id, pins)


def _note(note: values.ChatNote | None) -> Note | None:
    if note is None or not note.text.strip():
        return None
    # There the depth is the number of messages below the note, here of those between it and the newest one.
    depth = min(max(note.depth - 1, 0), 50)
    return Note(sanitize(note.text)[:NOTE_CHARS], depth, min(max(note.every, 1), 100))


# --- personas, quick replies and scripts --------------------------------------------------------


def _take_persona(home: _Home, persona: values.ImportedPersona) -> tuple[str, State]:
    db = home.db
    name, title = sanitize(persona.name)[: limits.NAME_CHARS], sanitize(persona.title)
    number = personas.put(
        db,
        name,
        title,
        sanitize(persona.description),
        home.now,
        file=sanitize(persona.avatar),
        linked_book=stem_of(persona.linked_book),
        original=home.original,
        owner=home.user,
    )
    others = personas.listed(db, home.user)
    if persona.default and not any(one.is_default for one in others):
        personas.make_default(db, number, home.user)
    personas.bind_files(db, number, [stem_of(file) for file in persona.characters], home.user)
    linked = stem_of(persona.linked_book) if persona.linked_book else ""
    for book_id in books.of_file(db, linked, home.user) if linked else ():
        books.give(db, book_id, Owner.PERSONA, str(number))
    return f"persona {name}", "new"


def _take_replies(home: _Home, replies: QuickReplies) -> tuple[str, State]:
    name = sanitize(replies.name)
    lines = [(sanitize(reply.label), sanitize(reply.text)) for reply in replies.replies]
    quick_replies.put(home.db, name, lines)
    return f"quick replies {name} ({len(lines)})", "new"


def _take_script(home: _Home, script: Script) -> tuple[str, State]:
    old = scripts.put_for_all(home.db, script, home.original)
    return f"script {script.name}", "updated" if old else "new"


_STORED_AS: dict[Kind, presets.Kind] = {
    Kind.SAMPLER_PRESET: presets.SAMPLERS,
    Kind.INSTRUCT_PRESET: presets.INSTRUCT,
    Kind.CONTEXT_PRESET: presets.CONTEXT,
}


def _take_preset(home: _Home, preset: values.Preset) -> tuple[str, State]:
    kind = _STORED_AS[preset.kind]
    name = sanitize(preset.name)
    before = presets.find(home.db, kind, name, home.user)
    presets.put(home.db, kind, name, preset.values, home.now, home.user)
    how = "/preset load" if kind == presets.SAMPLERS else "/set template"
    state: State = "new" if before is None else "updated"
    return f"{kind} preset {name} ({how} {name})", state
