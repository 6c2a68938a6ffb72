"""All stories from one database into another, of whichever kind; a copy that was cut off goes on.

Each step is one transaction at the target, in an order in which no row comes before what it points to, so that what
is there says how far the copy has come. At the end every row of both is counted and hashed. Owns which rows there
are to copy; never changes the source.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import Any

from msgspec import Struct

from flower.engine.store.connection import Connection, Store
from flower.engine.store.sqlite.connection import migrate
from flower.errors import StoreError

# ruff: noqa: S608 - only names of our own are put into statements, values never

Row = tuple[Any, ...]
PAGE = 500  # rows in one transaction
LARGE_PAGE = 10  # of files as they came, up to many MiB each
_NUL, _NUL_SHOWN = "\0", "\N{REPLACEMENT CHARACTER}"  # what PostgreSQL cannot keep in a text
_LEAF = "active_leaf"  # points to messages, which come after their stories


class Table(Struct, frozen=True):
    """A table, what its rows are known by, and what order they are read in.

    ``paged``: it is copied in pages, which ``key`` must sort alike in both databases; the others at once.
    """

    name: str
    key: str
    paged: bool = False
    page: int = PAGE


TABLES = (
    Table("sessions", "rowid"),
    Table("messages", "id", paged=True),
    Table("branches", "rowid"),
    Table("selections", "client"),
    Table("model_params", "model"),
    Table("attached_lore", "id"),
    Table("passages", "id", paged=True),
    Table("passage_terms", "passage_id", paged=True),
    Table("sources", "scope, source", paged=True),
    Table("vectors", "hash, model_id", paged=True),
    Table("token_vectors", "hash, model_id", paged=True),
    Table("synced_folders", "world_id"),
    Table("summaries", "last_id", paged=True),
    Table("growth", "place", paged=True),
    Table("requests", "client, request", paged=True),
    Table("waiting_lines", "id"),
    Table("originals", "id", paged=True, page=LARGE_PAGE),
    Table("characters", "id", paged=True),
    Table("books", "id", paged=True, page=LARGE_PAGE),
    Table("scripts", "id"),
    Table("favourites", "kind, id"),
    Table("presets", "kind, name"),
    Table("book_owners", "kind, owner, book_id"),
    Table("personas", "id"),
    Table("persona_owners", "kind, owner"),
    Table("quick_replies", "name, place"),
    Table("chat_marks", "mark", paged=True),
    Table("chat_files", "session_id, original", paged=True),
    Table("users", "id"),
    Table("user_tokens", "mark"),
    Table("seats", "session_id, user_id", paged=True),
    Table("table_codes", "mark"),
    Table("whispers", "id", paged=True),
    Table("user_days", "user_id, day", paged=True),
    Table("audit", "id", paged=True),
    Table("own_presets", "owner, name"),
    Table("own_favourites", "owner, kind, id"),
    Table("own_assets", "owner, kind, id"),
)


class Copied(Struct, frozen=True):
    """What is in a database after a copy: rows by table."""

    rows: dict[str, int]


@cache
def columns(table: str) -> tuple[str, ...]:
    """Returns the columns of a table, in the order of the schema."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db)
        return tuple(row[1] for row in db.execute(f"PRAGMA table_info({table})"))


async def copy(source: Store, target: Store, say: Callable[[str], None]) -> Copied:
    """Copies everything and compares it. Raises ``StoreError`` when the two are not the same at the end."""
    for table in TABLES:
        await _copy_table(source, target, table)
        say(f"{table.name}: copied")
    leaves = await source.read(_leaves)
    for first in range(0, len(leaves), PAGE):
        await target.write(_set_leaves, leaves[first : first + PAGE])
    await target.write(go_on_counting, await source.read(counted))
    return await compare(source, target)


async def compare(source: Store, target: Store) -> Copied:
    """Returns how many rows there are. Raises ``StoreError`` naming a table that is not the same in both."""
    rows = {}
    for table in TABLES:
        here, there = await _hashed(source, table), await _hashed(target, table)
        if here != there:
            raise StoreError(
                f"the copy is not the same: {table.name} has {here[0]} rows here and {there[0]} there;"
                " nothing was changed here, empty the target and try again"
            )
        rows[table.name] = here[0]
    return Copied(rows)


def is_empty(db: Connection) -> bool:
    """Whether a database has no row that a copy would bring."""
    return all(db.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone() is None for table in TABLES)


def begin(db: Connection, mark: str) -> None:
    """Notes whose copy this is. Raises ``StoreError`` when there is something else already."""
    row = db.execute("SELECT value FROM about WHERE name = 'copying'").fetchone()
    if row is None and not is_empty(db):
        raise StoreError("there are stories in that database already; they are not overwritten")
    if row is not None and row[0] != mark:
        raise StoreError(f"that database holds an unfinished copy of {row[0]}; empty it first")
    db.execute("INSERT INTO about VALUES ('copying', ?) ON CONFLICT DO NOTHING", (mark,))


def end(db: Connection) -> None:
    """Notes that the copy is whole."""
    db.execute("DELETE FROM about WHERE name = 'copying'")


# --- rows -----------------------------------------------------------------------------------------


async def _copy_table(source: Store, target: Store, table: Table) -> None:
    if not table.paged:
        if await target.read(_count, table.name) == 0:
            await target.write(_insert, table, await source.read(_whole, table))
        return
    last = await target.read(_last, table)
    while page := await source.read(_page, table, last):
        await target.write(_insert, table, page)
        last = _key_of(table, page[-1])


def _count(db: Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _whole(db: Connection, table: Table) -> list[Row]:
    return _cleaned(db.execute(f"SELECT {_list(table)} FROM {table.name} ORDER BY {table.key}"))


def _last(db: Connection, table: Table) -> Row | None:
    order = ", ".join(f"{name} DESC" for name in table.key.split(", "))
    row: Row | None = db.execute(
        f"SELECT {table.key} FROM {table.name} ORDER BY {order} LIMIT 1"
    ).fetchone()
    return row


def _page(db: Connection, table: Table, after: Row | None) -> list[Row]:
    marks = ", ".join("?" * len(table.key.split(", ")))
    where = f" WHERE ({table.key}) > ({marks})" if after is not None else ""
    return _cleaned(
        db.execute(
            f"SELECT {_list(table)} FROM {table.name}{where} ORDER BY {table.key} LIMIT ?",
            (*(after or ()), table.page),
        )
    )


def _insert(db: Connection, table: Table, rows: Sequence[Row]) -> None:
    names = columns(table.name)
    marks = ", ".join("?" * len(names))
    if _LEAF in names:
        place = names.index(_LEAF)
        rows = [(*row[:place], None, *row[place + 1 :]) for row in rows]
    db.executemany(f"INSERT INTO {table.name} ({_list(table)}) VALUES ({marks})", rows)


def _list(table: Table) -> str:
    return ", ".join(columns(table.name))


def _key_of(table: Table, row: Row) -> Row:
    names = columns(table.name)
    return tuple(row[names.index(name)] for name in table.key.split(", "))


def _cleaned(rows: Iterator[Row] | Any) -> list[Row]:
    """Returns rows without the one character that not every database can keep."""
    return [
        tuple(v.replace(_NUL, _NUL_SHOWN) if isinstance(v, str) and _NUL in v else v for v in row)
        for row in rows
    ]


def _leaves(db: Connection) -> list[Row]:
    return list(
        db.execute(f"SELECT {_LEAF}, id FROM sessions WHERE {_LEAF} IS NOT NULL ORDER BY id").fetchall()
    )


def _set_leaves(db: Connection, leaves: Sequence[Row]) -> None:
    db.executemany(f"UPDATE sessions SET {_LEAF} = ? WHERE id = ?", leaves)


# --- numbers that are never used twice ------------------------------------------------------------

NUMBERED = (
    "messages",
    "attached_lore",
    "passages",
    "waiting_lines",
    "users",
    "audit",
    "whispers",
)  # those of which rows are deleted for good
_NUMBERED_ALL = (*NUMBERED, "originals", "books", "personas", "scripts")


def counted(db: Connection) -> dict[str, int]:
    """Returns the last number that was given in each table, also to a row that is gone."""
    if isinstance(db, sqlite3.Connection):
        numbers = dict(db.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    else:
        numbers = {
            table: db.execute(
                f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_id_seq"
            ).fetchone()[0]
            for table in _NUMBERED_ALL
        }
    for table in _NUMBERED_ALL:
        (most,) = db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()
        numbers[table] = max(numbers.get(table, 0), most)
    return {table: numbers[table] for table in _NUMBERED_ALL}


def go_on_counting(db: Connection, numbers: dict[str, int]) -> None:
    """Lets the next row of each table have a number above its last one in ``numbers``."""
    for table, last in numbers.items():
        if not isinstance(db, sqlite3.Connection):
            db.execute(
                f"SELECT setval('{table}_id_seq', ?, ? = 1)", (max(last, 1), last > 0)
            ).fetchone()
        elif table in NUMBERED:
            db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))


# --- the same? ------------------------------------------------------------------------------------


async def _hashed(store: Store, table: Table) -> tuple[int, bytes]:
    """Returns how many rows there are and a hash over all that is in them."""
    if not table.paged:
        rows = sorted(map(_digest, await store.read(_whole, table)))
        return len(rows), hashlib.blake2b(b"".join(rows)).digest()
    count, whole, last = 0, hashlib.blake2b(), None
    while page := await store.read(_page, table, last):
        for row in page:
            whole.update(_digest(row))
        count, last = count + len(page), _key_of(table, page[-1])
    return count, whole.digest()


def _digest(row: Row) -> bytes:
    return hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=32).digest()
