"""Searching the words of all stories. Functions over a connection, like ``tree``."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from flower import limits

_MARK = "\u2026"


class Hit(Struct, frozen=True):
    """A message that holds the words; ``excerpt`` is the part of it around them, on one line."""

    session_id: str
    title: str
    message_id: int
    role: str
    excerpt: str


def search(db: sqlite3.Connection, words: str, most: int = limits.SEARCH_RESULTS) -> list[Hit]:
    """Returns the messages that hold all of ``words``, the best first; every branch, no trash.

    The words are looked for as they are: no operator of the index's own language is obeyed.
    """
    query = " ".join('"' + word.replace('"', '""') + '"' for word in words.split())
    if not query:
        return []
    rows = db.execute(
        "SELECT s.id, s.title, m.id, m.role, snippet(messages_fts, 0, '', '', ?, ?)"
        " FROM messages_fts JOIN messages m ON m.id = messages_fts.rowid"
        " JOIN sessions s ON s.id = m.session_id"
        " WHERE messages_fts MATCH ? AND m.deleted IS NULL AND s.deleted IS NULL"
        " ORDER BY rank, m.id DESC LIMIT ?",
        (_MARK, limits.SEARCH_EXCERPT_WORDS, query, most),
    )
    return [
        Hit(session_id, title, message_id, role, " ".join(excerpt.split()))
        for session_id, title, message_id, role, excerpt in rows
    ]
