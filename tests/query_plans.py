"""The statements that SQLite is given, and what it makes of them in a home with many stories.

A home of 750,000 messages is pretended: SQLite plans by the numbers in ``sqlite_stat1``, not by the rows.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from flower.engine.store.sqlite.connection import StoryConnection, connect

# Rows of a table for each entry of an index, as ANALYZE would count them; N is the number of messages
STATISTICS = (
    ("messages", "messages_children", "N 1"),
    ("messages", "messages_session", "N 500"),
    ("messages", "messages_request", "N 500 1"),
    ("messages", "messages_roots", "1500 1"),
    ("messages", "messages_deleted", "300 10 1"),
    ("messages", "messages_streaming", "2 2"),
    ("sessions", "sqlite_autoindex_sessions_1", "1500 1"),
    ("passages", "passages_by_scope", "400000 250"),
    ("passages", "passages_by_source", "400000 250 1"),
    ("passages", "passages_by_hash", "400000 1"),
    ("passages", "passages_by_message", "375000 1"),
    ("vectors", "sqlite_autoindex_vectors_1", "400000 1 1"),
    ("token_vectors", "sqlite_autoindex_token_vectors_1", "400000 1 1"),
    ("passage_terms", None, "400000"),
    ("summaries", None, "30000"),
    ("growth", None, "20"),
)
NAMED = re.compile(r":[a-z]")  # a placeholder that Python 3.12 and newer want to have in a mapping
QUOTED = re.compile(r"'[^']*'")
GROWING = ("messages", "sessions", "passages", "vectors", "token_vectors", "passage_terms", "summaries")


def pretend_many_messages(path: Path, messages: int) -> None:
    """Makes a database that SQLite takes for one of so many messages."""
    rows = [(table, index, numbers.replace("N", str(messages))) for table, index, numbers in STATISTICS]
    with closing(connect(path, lambda version: None)) as db:
        db.execute("ANALYZE")  # makes the table
        db.execute("DELETE FROM sqlite_stat1")
        db.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", rows)


class Noting(StoryConnection):
    """A connection that keeps every statement it is given that reads or changes rows, with its plan."""

    noted: dict[str, list[str]]

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        self._note(sql, values)
        return super().execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        rows = list(rows)
        if rows:
            self._note(sql, rows[0])
        return super().executemany(sql, rows)

    def _note(self, sql: str, values: Any) -> None:
        if not hasattr(self, "noted"):
            self.noted = {}
        text = " ".join(sql.split())
        if text in self.noted or not text.startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            return
        bound_by_name = not isinstance(values, list | tuple)
        assert bound_by_name or not NAMED.search(QUOTED.sub("", text)), (
            f"names are bound by name: {text}"
        )
        rows = super().execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
        self.noted[text] = [row[3] for row in rows]


def aliases(sql: str) -> dict[str, str]:
    """Returns which growing table each name of a statement stands for."""
    words = sql.replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split()
    pairs = zip(words, [*words[1:], ""], strict=True)
    named = {following: word for word, following in pairs if word in GROWING}
    return {table: table for table in GROWING} | named


def faults(sql: str, steps: Iterable[str]) -> list[str]:
    """Returns the steps of a plan that cost more the more a home holds."""
    names = aliases(sql)
    found = []
    for step in steps:
        scanned = step.split()[1] if step.startswith("SCAN ") else ""
        if "BLOOM FILTER" in step or "USE TEMP B-TREE" in step or names.get(scanned):
            found.append(step)
    return found
