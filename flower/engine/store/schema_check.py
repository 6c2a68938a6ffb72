"""Whether a database is built like one of Flower, object by object.

A backup comes from anywhere. One with a trigger or a view of somebody's own would run their SQL at the next line
of a story; one without a table would keep the engine from ever starting again. So before a file takes the place
of the stories, its schema is compared with the one that our own migrations make.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from flower.engine.store import schema
from flower.errors import StoreError

# What SQLite makes by itself: counters, statistics, and the tables behind an index of words.
_SQLITES = ("sqlite_", "messages_fts_", "passages_fts_")

Objects = dict[tuple[str, str], str]  # (type, name) -> what it is made of


def check(db: sqlite3.Connection, version: int) -> None:
    """Raises ``StoreError`` unless the schema is exactly that of ``version``."""
    if not 0 < version <= len(schema.MIGRATIONS):
        raise StoreError(f"its schema has the number {version}, which Flower never gave")
    expected, found = _reference(version), objects(db)
    for (kind, name), text in expected.items():
        if (kind, name) not in found:
            raise StoreError(f"the {kind} {name} is missing")
        if found[kind, name] != text:
            raise StoreError(f"the {kind} {name} is not as Flower makes it")
    for kind, name in found:
        if (kind, name) not in expected:
            raise StoreError(f"the {kind} {name} is none of Flower's")


def objects(db: sqlite3.Connection) -> Objects:
    """Returns what the schema consists of, apart from what SQLite makes by itself.

    Tables count by their columns, since later versions of SQLite may spell a changed table differently.
    """
    statements: Objects = {}
    for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_master").fetchall():
        if name.startswith(_SQLITES):
            continue
        text = " ".join((sql or "").split())
        if kind == "table" and not text.upper().startswith("CREATE VIRTUAL"):
            columns = db.execute("SELECT name, type, pk FROM pragma_table_info(?)", (name,))
            text = repr(columns.fetchall())
        statements[kind, name] = text
    return statements


def _reference(version: int) -> Objects:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for script in schema.MIGRATIONS[:version]:
            for statement in schema.statements(script):
                db.execute(statement)
        return objects(db)
