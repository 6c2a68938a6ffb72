"""The words of all stories in a file of this engine's own, made from the rows of the database.

PostgreSQL cuts and ranks words in its own way; with an index of SQLite a search finds the same on both. The file is
derived: it follows the rows by the transactions that changed them, before each search, and is made anew when it is
missing, damaged or of another database. Owns that file; used by one thread at a time.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from flower.engine.store import search
from flower.engine.store.connection import Connection

VERSION = 2  # of the file; another one is made anew
_PAGE = 2_000  # messages brought over at once
# The same words as in a database of SQLite alone; see ``store.schema``.
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE sessions (id TEXT PRIMARY KEY, title TEXT NOT NULL, deleted REAL);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, deleted REAL,
    owner TEXT NOT NULL
);
CREATE VIRTUAL TABLE messages_fts USING fts5 (
    content, owner, content = 'messages', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
INSERT INTO messages_fts (messages_fts, rank) VALUES ('rank', 'bm25(1.0, 0.0)');
"""
# Whose rows they are, and the oldest transaction that may still change some: not the newest that was seen.
# A database that was made from a copy has its id, but transactions of its own.
_STATE = """
    SELECT a.value || ' ' || d.oid::text, pg_snapshot_xmin(pg_current_snapshot())::text
    FROM about a JOIN pg_database d ON d.datname = current_database() WHERE a.name = 'id'
"""

Fresh = Callable[[Connection], sqlite3.Connection]


class SearchIndex:
    """An index of the words of ended messages."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        """Closes the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def of_one_state(self) -> Fresh:
        """Returns ``fresh`` for one transaction that sees one state: the rows are followed by the first who asks."""
        followed: list[sqlite3.Connection] = []

        def fresh(rows: Connection) -> sqlite3.Connection:
            if not followed:
                followed.append(self.fresh(rows))
            return followed[0]

        return fresh

    def fresh(self, rows: Connection) -> sqlite3.Connection:
        """Returns the index with every message that the open transaction of ``rows`` sees.

        Raises ``sqlite3.Error`` when the disk refuses.
        """
        try:
            return self._followed(rows)
        except sqlite3.DatabaseError:
            self.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
            return self._followed(rows)

    def _followed(self, rows: Connection) -> sqlite3.Connection:
        whose, horizon = rows.execute(_STATE).fetchone()
        db = self._db if self._db is not None else self._opened()
        about = dict(db.execute("SELECT name, value FROM about").fetchall())
        if about.get("version") != str(VERSION) or about.get("id") != whose:
            self.close()
            db.close()
            self._path.unlink()
            db = self._opened()
            about = {}
        self._db = db
        now = {"version": str(VERSION), "id": whose, "horizon": horizon}
        db.execute("BEGIN")
        try:
            _bring(db, rows, about.get("horizon", "0"))
            if now != about:  # else the file would be written to by every search
                db.executemany(
                    "INSERT INTO about VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    now.items(),
                )
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        return db

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA synchronous = OFF")  # derived: a torn file is made anew
        db.execute("PRAGMA journal_mode = MEMORY")
        if db.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            db.executescript(_SCHEMA)
        return db


def _bring(db: sqlite3.Connection, rows: Connection, horizon: str) -> None:
    """Brings over what transactions changed that had not ended when this was done last, at ``horizon``."""
    changed = "changed_in >= ?::xid8"
    stories = rows.execute(f"SELECT id, title, deleted FROM sessions WHERE {changed}", (horizon,))  # noqa: S608
    db.executemany("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", stories.fetchall())
    after = 0
    while page := rows.execute(
        "SELECT id, session_id, role, content, deleted,"  # noqa: S608
        " (SELECT s.owner FROM sessions s WHERE s.id = session_id) FROM messages"
        f" WHERE {changed} AND status != 'streaming' AND id > ? ORDER BY id LIMIT ?",
        (horizon, after, _PAGE),
    ).fetchall():
        for *message, owner in page:
            _index(db, (*message, search.owner_word(owner)))
        after = page[-1][0]


def _index(db: sqlite3.Connection, message: tuple[object, ...]) -> None:
    number, _, _, content, _, owner = message
    before = db.execute("SELECT content, owner FROM messages WHERE id = ?", (number,)).fetchone()
    if before is not None and before != (content, owner):
        db.execute(
            "INSERT INTO messages_fts (messages_fts, rowid, content, owner) VALUES ('delete', ?, ?, ?)",
            (number, *before),
        )
    db.execute("INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?, ?)", message)
    if before != (content, owner):
        db.execute(
            "INSERT INTO messages_fts (rowid, content, owner) VALUES (?, ?, ?)",
            (number, content, owner),
        )
