"""All rows of a library as JSON objects, as functions over a connection; ``library_loader`` takes them back.

Values that are packed in the database are written out, so that nothing is taken over that is not what it should be.

Left out: what is made anew (vectors, words), what belongs to a machine or a client (followed folders, what
clients chose, prompts under way), and what is in the trash.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from flower.engine.assets.kinds import Character
from flower.engine.lorebook.book import Book
from flower.engine.scripts.script import Script
from flower.engine.store.packing import unpack
from flower.engine.store.transfer.copying import columns

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

__all__ = ["NUMBERED", "PACKED", "TABLES", "Row", "count", "files", "one_state", "rows"]

Row = dict[str, Any]

PACKED: Mapping[str, type[Struct]] = {"characters": Character, "books": Book, "scripts": Script}
_LIVING = "session_id IN (SELECT id FROM sessions WHERE deleted IS NULL)"
_MEMORIES = "kind = 'memory' AND scope IN (SELECT 'memory:' || id FROM sessions WHERE deleted IS NULL)"
_SUMMARIES = (
    "EXISTS (SELECT 1 FROM messages m JOIN sessions s ON s.id = m.session_id"
    " WHERE m.id = last_id AND s.deleted IS NULL AND m.status != 'streaming')"
)
_OF = "SELECT original FROM {0} WHERE original IS NOT NULL AND owner {1} 0"
_ORIGINALS = (  # what users brought into libraries of their own is theirs
    f"(id NOT IN ({_OF.format('characters', '>')} UNION {_OF.format('books', '>')})"
    f" OR id IN ({_OF.format('characters', '=')} UNION {_OF.format('books', '=')}))"
)
# In this order rows find what they point to.
TABLES: Mapping[str, str] = {
    "originals": _ORIGINALS,
    "characters": "owner = 0",
    "books": "owner = 0",
    "personas": "TRUE",
    "quick_replies": "TRUE",
    "scripts": "character_id NOT LIKE '%~%'",
    "persona_owners": "TRUE",
    "sessions": "deleted IS NULL",
    "messages": f"{_LIVING} AND status != 'streaming'",
    "branches": _LIVING,
    "summaries": _SUMMARIES,
    "passages": _MEMORIES,
    "book_owners": "book_id IN (SELECT id FROM books WHERE owner = 0)",
    "chat_marks": _LIVING,
    "chat_files": _LIVING,
    "attached_lore": "world_id NOT LIKE '%~%'",
    "model_params": "TRUE",
    "favourites": "TRUE",
    "presets": "TRUE",
}  # the condition for rows that are a part
_KEYS = {"characters": "id", "book_owners": "kind, owner, book_id", "quick_replies": "name, place"}
PAGE = 500  # rows asked for at once
_NOT_KEPT = {
    "originals": ("data",),
    "passages": ("hash",),
    "sessions": ("owner",),
    "personas": ("owner",),
    "characters": ("owner",),
    "books": ("owner",),
}  # with the file itself; follows from the text
_DERIVED = {
    "sessions": "window_start",
    "messages": "recalled_ids",
}  # in ``extra``; numbers of this database
NUMBERED = ("originals", "books", "personas", "scripts", "messages", "passages", "attached_lore")


def rows(db: Connection, table: str) -> Iterator[Row]:
    """Yields the rows of one of ``TABLES``, the same for the same library. Raises ``StoreError``."""
    names = columns(table)
    for values in _read_rows(db, table, ", ".join(names)):
        row = dict(zip(names, values, strict=True))
        for name in _NOT_KEPT.get(table, ()):
            row.pop(name)
        if table in PACKED:
            row["value"] = msgspec.to_builtins(unpack(row.pop("packed"), PACKED[table]))
        if table in _DERIVED:
            row["extra"] = _without(row["extra"], _DERIVED[table])
        yield {name: _written(value) for name, value in row.items()}


def _read_rows(db: Connection, table: str, names: str) -> Iterator[tuple[Any, ...]]:
    """Yields the rows of a table in pages where it may be large: a server sends all that is asked at once."""
    query = f"SELECT {names} FROM {table} WHERE ({TABLES[table]})"  # noqa: S608 - names of our own
    if table not in NUMBERED:
        yield from db.execute(f"{query} ORDER BY {_KEYS.get(table, '1')}")
        return
    last = 0
    while page := db.execute(f"{query} AND id > ? ORDER BY id LIMIT {PAGE}", (last,)).fetchall():
        yield from page
        last = page[-1][columns(table).index("id")]


def one_state(db: Connection) -> None:
    """Lets all that is read from now on be of one moment; a server's connection for reading is so by itself."""
    if isinstance(db, sqlite3.Connection):
        db.execute("BEGIN")


def count(db: Connection, table: str) -> int:
    """Returns how many rows of one of ``TABLES`` a library has."""
    query = f"SELECT count(*) FROM {table} WHERE {TABLES[table]}"  # noqa: S608 - names of our own
    return int(db.execute(query).fetchone()[0])


def files(db: Connection) -> Iterator[tuple[bytes, bytes]]:
    """Yields hash and content of the files of other programs."""
    query = f"SELECT hash FROM originals WHERE {_ORIGINALS} ORDER BY hash"  # noqa: S608 - words of our own
    for (hash_,) in db.execute(query).fetchall():
        (data,) = db.execute("SELECT data FROM originals WHERE hash = ?", (hash_,)).fetchone()
        yield hash_, data


def _written(value: object) -> object:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _without(extra: str, key: str) -> str:
    """Returns a row's extra data without a key, written as the engine writes it; damaged data as it is."""
    if extra == "{}":
        return extra
    try:
        values = msgspec.json.decode(extra, type=dict[str, Any])
    except msgspec.MsgspecError:
        return extra
    values.pop(key, None)
    return msgspec.json.encode(values).decode()
