"""The terms of passages as rows: what the keyword index of a scope is made of in memory.

A row has the language of its passage and, by a hash of 32 bits, how often each stem occurs. Derived from
the text and written with it; rows of an older ``VERSION`` are made anew when their scope is opened.

Functions over a connection. Owns the table ``passage_terms``; a trigger deletes rows with their passages.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from flower.engine.store.words import terms_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flower.engine.store.connection import Connection

VERSION = 1  # changes when the same text would get other terms
_MOST = 255  # a count is one byte


class Terms(Struct, frozen=True):
    """The terms of one passage; ``message_id`` is 0 for lore."""

    passage_id: int
    message_id: int
    language: str
    hashes: NDArray[np.uint32]
    counts: NDArray[np.uint8]


def term_hash(term: str) -> int:
    """Returns the number a stem is kept by. Two of 30,000 stems share one in one scope of ten."""
    return zlib.crc32(term.encode("utf-8", "surrogatepass"))


def store(db: Connection, passage_id: int, title: str, text: str) -> None:
    """Writes the terms of a passage, in place of older ones."""
    language, counts = terms_of(title, text)
    hashes: dict[int, int] = {}
    for term, count in counts.items():
        key = term_hash(term)
        hashes[key] = min(_MOST, hashes.get(key, 0) + count)
    data = b"".join(key.to_bytes(4, "little") for key in hashes) + bytes(hashes.values())
    db.execute(
        "INSERT INTO passage_terms VALUES (?, ?, ?, ?) ON CONFLICT (passage_id) DO UPDATE"
        " SET version = excluded.version, language = excluded.language, data = excluded.data",
        (passage_id, VERSION, language, data),
    )


def store_missing(db: Connection, scope: str, *, limit: int) -> int:
    """Makes terms for passages of a scope that have none of this version; returns for how many."""
    rows = db.execute(
        "SELECT p.id, p.title, p.text FROM passages p LEFT JOIN passage_terms t ON t.passage_id = p.id"
        " AND t.version = ? WHERE p.scope = ? AND t.passage_id IS NULL LIMIT ?",
        (VERSION, scope, limit),
    ).fetchall()
    for passage_id, title, text in rows:
        store(db, passage_id, title, text)
    return len(rows)


def count_missing(db: Connection, scope: str) -> int:
    """Returns how many passages of a scope have no terms of this version."""
    row = db.execute(
        "SELECT count(*) FROM passages p LEFT JOIN passage_terms t ON t.passage_id = p.id"
        " AND t.version = ? WHERE p.scope = ? AND t.passage_id IS NULL",
        (VERSION, scope),
    )
    return int(row.fetchone()[0])


def page_of_terms(db: Connection, scope: str, *, after: int, limit: int) -> tuple[Terms, ...]:
    """Returns the terms of the next passages of a scope in the order of their ids."""
    rows = db.execute(
        f"{_SELECT} WHERE p.scope = ? AND p.id > ? ORDER BY p.id LIMIT ?", (scope, after, limit)
    )
    return _terms(rows.fetchall())


def terms_of_ids(db: Connection, ids: Sequence[int]) -> tuple[Terms, ...]:
    """Returns the terms of these passages, in the order of their ids."""
    marks = ", ".join("?" * len(ids))
    return _terms(db.execute(f"{_SELECT} WHERE p.id IN ({marks}) ORDER BY p.id", ids).fetchall())


_SELECT = (
    "SELECT p.id, coalesce(p.message_id, 0), t.language, t.data"
    " FROM passages p JOIN passage_terms t ON t.passage_id = p.id"
)


def _terms(rows: Sequence[tuple[int, int, str, bytes]]) -> tuple[Terms, ...]:
    import numpy as np

    terms = []
    for passage_id, message_id, language, data in rows:
        size = len(data) // 5
        hashes = np.frombuffer(data, "<u4", size)
        counts = np.frombuffer(data, np.uint8, size, 4 * size)
        terms.append(Terms(passage_id, message_id, language, hashes, counts))
    return tuple(terms)
