"""What is edited in the database: personas, lorebooks and their entries, read for a form and stored from one."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.forms import specs
from flower.engine.forms.values import Spec
from flower.engine.game.steering import NOTE_CHARS, Persona
from flower.engine.lorebook.book import Book, Entry
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import states
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, personas
from flower.engine.store.library.books import Owner
from flower.engine.store.library.personas import StoredPersona
from flower.errors import CommandError, FormError, StoreError

Found = tuple[tuple[Spec, ...], Struct]
PERSONAS_MOST = 1000  # of one home
BOOKS_MOST = 5000
ENTRIES_MOST = 20_000  # of one book: as many as are imported


async def read(engine: Engine, client: Client, kind: str, rest: str) -> Found:
    """Returns the fields and the thing that a subject's words name. Raises ``CommandError`` if it is not there."""
    number, _, uid = rest.partition(" ")
    if kind == "persona":
        if not rest:
            return specs.PERSONA, StoredPersona(0, "", "", "", False)
        persona = await engine.services.database.read(personas.find, number, client.visitor.id)
        if persona is None or str(persona.id) != number:
            raise CommandError("This persona is not in the library any more.")
        return specs.PERSONA, persona
    if kind == "lorebook" and not rest:
        return specs.BOOK, specs.empty(kind)
    if kind in ("lorebook", "entry"):
        book = await _book(engine, client, number)
        return (specs.BOOK, book) if kind == "lorebook" else (specs.ENTRY, _entry(book, uid))
    raise CommandError(f"Nothing of the kind {kind[:20]!r} can be edited.")


async def _book(engine: Engine, client: Client, number: str) -> Book:
    database, book_id = engine.services.database, int(number) if number.isdecimal() else -1
    try:
        stored = await database.read(books.find, book_id, client.visitor.id)
        if stored is None:
            raise StoreError(f"there is no lorebook {number[:20]}")
        client.check_own(stored.library, f"/lorebook copy {number}|NAME")
        return await database.read(books.read, book_id)
    except StoreError as error:
        raise CommandError(f"This lorebook cannot be edited: {error}.") from error


def _entry(book: Book, uid: str) -> Entry:
    if not uid:
        return Entry(uid="")
    for entry in book.entries:
        if entry.uid == uid:
            return entry
    raise CommandError(f"{book.name} has no entry {uid!r} any more.")


async def write(engine: Engine, client: Client, subject: str, before: Struct, new: Struct) -> str:
    """Stores ``new`` in the place of ``before``; returns what to say of it. Raises ``CommandError``, ``FormError``."""
    kind, *words = subject.split(" ", 2)
    if isinstance(new, StoredPersona):
        assert isinstance(before, StoredPersona)
        return await _write_persona(engine, client.visitor.id, before, new)
    if kind == "lorebook":
        assert isinstance(new, Book)
        return await _write_book(engine, client, words, new)
    assert isinstance(new, Entry)
    return await _write_entry(engine, int(words[0]), new)


async def _write_persona(engine: Engine, user: int, before: StoredPersona, new: StoredPersona) -> str:
    """All stories that are played with it follow; where its words were changed for one story, they stay."""
    database = engine.services.database
    if new.id:
        free = await database.write(
            personas.change, new.id, new.name, new.title, new.description, engine.now()
        )
    else:
        listed = await personas_with_room(engine, user)
        same = [one for one in listed if (one.name, one.title) == (new.name, new.title)]
        free = not same or same[0].description == new.description
        if free:
            await database.write(
                personas.put,
                new.name,
                new.title,
                new.description,
                engine.now(),
                owner=user,
            )
    if not free:
        problem = f"There is a persona {new.name!r} already; give one of them another title."
        raise FormError(problem, {"title": problem})
    if before.id:
        was = Persona(before.name, before.description[:NOTE_CHARS])
        now = Persona(new.name, new.description[:NOTE_CHARS])
        await database.write(states.change_persona, was, now, user)
    return f"✓ {new.name} is saved: /persona use {new.name}."


async def personas_with_room(engine: Engine, user: int) -> list[StoredPersona]:
    """Returns the personas of a user. Raises ``CommandError`` when one more has no room."""
    listed = await engine.services.database.read(personas.listed, user)
    if len(listed) >= PERSONAS_MOST:
        raise CommandError(f"There are {PERSONAS_MOST} personas, the most one home holds; delete some.")
    return listed


async def _write_book(engine: Engine, client: Client, words: list[str], new: Book) -> str:
    database = engine.services.database
    if words:
        await database.write(books.replace, int(words[0]), new, engine.now())
        return f"✓ {new.name} is saved."
    user = client.visitor.id
    if user:
        await engine.allowances.check_library(user, client.visitor.name)
    elif len(await database.read(books.listed)) >= BOOKS_MOST:
        raise CommandError(f"There are {BOOKS_MOST} lorebooks, the most one home holds.")
    session = None if client.plays_elsewhere else client.session

    def add(db: Connection) -> int:
        number = books.add(db, new, engine.now(), library=user)
        if session is not None:
            books.give(db, number, Owner.STORY, session.id)
        return number

    number = await database.write(add)
    where = "holds in this story" if session is not None else f"waits: /lorebook on {number}"
    return f"✓ {new.name} is lorebook {number} and {where}. /lorebook edit {number} new adds an entry."


async def _write_entry(engine: Engine, number: int, new: Entry) -> str:
    def put(db: Connection) -> Entry:
        book = books.read(db, number)
        entry, entries = new, list(book.entries)
        if not entry.uid:
            if len(entries) >= ENTRIES_MOST:
                raise CommandError(f"{book.name} has {ENTRIES_MOST} entries, the most of one book.")
            entry = replace(entry, uid=_free_uid(book))
            entries.append(entry)
        else:
            entries = [entry if one.uid == entry.uid else one for one in entries]
        books.replace(db, number, replace(book, entries=tuple(entries)), engine.now())
        return entry

    stored = await engine.services.database.write(put)
    return f"✓ Entry {stored.uid} is saved."


def _free_uid(book: Book) -> str:
    """Returns the next number: programs of which books come count their entries."""
    numbers = [int(one.uid) for one in book.entries if one.uid.isdecimal() and len(one.uid) < 10]
    return str(max(numbers, default=-1) + 1)


async def remove_entry(engine: Engine, number: int, uid: str) -> None:
    """Takes an entry out of its book."""

    def remove(db: Connection) -> None:
        book = books.read(db, number)
        entries: tuple[Any, ...] = tuple(one for one in book.entries if one.uid != uid)
        books.replace(db, number, replace(book, entries=entries), engine.now())

    await engine.services.database.write(remove)
