"""Passages of lore and memory as rows: the truth that every index is derived from.

Plain functions over a ``sqlite3.Connection``; the caller owns the transaction and the thread. A
passage's id is never used twice and its text never changes, so an id in an index file means one text
for ever. Vectors are kept by content hash: equal text is embedded once, whatever it is part of.

Owns the tables ``passages``, ``sources``, ``vectors`` and the keyword index ``passages_fts``, which triggers keep
equal to the rows. Never computes a vector, never opens a file.
"""

# ruff: noqa: S608 - only constants of this module are put into statements, values never

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from flower import limits
from flower.engine.recall.base import Draft, Kind, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flower.engine.recall.base import Vectors

HASH_BYTES = 16  # 128 bits: no two texts of one machine will ever share a hash

# The weights of bm25 are those of scope_key, title and text: a word of the title says what a passage is
# about. scope_key is one token of the keyword index, so that other scopes' rows are never looked at.
PASSAGES_SCHEMA = """
CREATE TABLE passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('lore', 'memory')),
    scope TEXT NOT NULL,
    scope_key TEXT NOT NULL,
    source TEXT NOT NULL,
    position INTEGER NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    hash BLOB NOT NULL,
    message_id INTEGER,
    created REAL NOT NULL,
    importance REAL NOT NULL DEFAULT 0,
    pinned INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE sources (
    scope TEXT NOT NULL,
    source TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (scope, source)
) WITHOUT ROWID;
CREATE INDEX passages_by_scope ON passages (scope);
CREATE INDEX passages_by_source ON passages (scope, source);
CREATE INDEX passages_pinned ON passages (scope) WHERE pinned;
CREATE INDEX passages_by_hash ON passages (hash);
CREATE INDEX passages_by_message ON passages (message_id) WHERE message_id IS NOT NULL;
CREATE TABLE vectors (
    hash BLOB NOT NULL,
    model_id TEXT NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (hash, model_id)
);
CREATE VIRTUAL TABLE passages_fts USING fts5 (
    scope_key, title, text, content = 'passages', content_rowid = 'id',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
INSERT INTO passages_fts (passages_fts, rank) VALUES ('rank', 'bm25(0.0, 2.0, 1.0)');
CREATE TRIGGER passages_inserted AFTER INSERT ON passages BEGIN
    INSERT INTO passages_fts (rowid, scope_key, title, text)
    VALUES (new.id, new.scope_key, new.title, new.text);
END;
CREATE TRIGGER passages_deleted AFTER DELETE ON passages BEGIN
    INSERT INTO passages_fts (passages_fts, rowid, scope_key, title, text)
    VALUES ('delete', old.id, old.scope_key, old.title, old.text);
    DELETE FROM vectors WHERE hash = old.hash
        AND NOT EXISTS (SELECT 1 FROM passages WHERE hash = old.hash);
END;
"""

_FIELDS = Passage.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_LIST = "(SELECT value FROM json_each(?))"  # a list of ids of any length as one parameter


class Changed(Struct, frozen=True):
    """Ids of the rows that came and went."""

    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()


class Pending(Struct, frozen=True):
    """A text that has no vector yet."""

    hash: bytes
    text: str


def embedded_text(title: str, text: str) -> str:
    """Returns what the model reads for a passage: the title gives a chunk its context."""
    return f"{title}\n{text}" if title else text


def content_hash(title: str, text: str) -> bytes:
    """Returns the key of a passage's vector."""
    data = embedded_text(title, text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def source_digest(db: sqlite3.Connection, scope: str, source: str) -> bytes:
    """Returns what ``replace_source`` was told last, empty for an unknown source."""
    row = db.execute("SELECT digest FROM sources WHERE scope = ? AND source = ?", (scope, source))
    found = row.fetchone()
    return found[0] if found else b""


def replace_source(
    db: sqlite3.Connection,
    kind: Kind,
    scope: str,
    source: str,
    drafts: Sequence[Draft],
    *,
    digest: bytes,
    created: float,
) -> Changed:
    """Makes the passages of one source equal to ``drafts``; rows whose text stays keep their id.

    ``digest`` stands for the text that the drafts were cut from.
    """
    db.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", (scope, source, digest))
    rows = db.execute("SELECT id, hash FROM passages WHERE scope = ? AND source = ?", (scope, source))
    present: dict[bytes, list[int]] = {}
    for row_id, digest in rows:
        present.setdefault(digest, []).append(row_id)
    added = []
    for position, draft in enumerate(drafts):
        kept = present.get(content_hash(draft.title, draft.text))
        if kept:
            db.execute("UPDATE passages SET position = ? WHERE id = ?", (position, kept.pop(0)))
        else:
            passage = Passage(0, kind, scope, source, draft.title, draft.text, created=created)
            added.append(_insert(db, passage, position))
    # New rows first: text that only moved keeps the vector which the last row of a hash takes along.
    removed = [row_id for ids in present.values() for row_id in ids]
    _delete(db, removed)
    return Changed(tuple(added), tuple(removed))


def add_memory(db: sqlite3.Connection, passage: Passage) -> Changed:
    """Stores one memory; the same text for the same message is stored once."""
    digest = content_hash(passage.title, passage.text)
    same = db.execute(
        "SELECT 1 FROM passages WHERE scope = ? AND message_id IS ? AND hash = ?",
        (passage.scope, passage.message_id, digest),
    )
    return Changed() if same.fetchone() else Changed((_insert(db, passage, 0),))


def _insert(db: sqlite3.Connection, new: Passage, position: int) -> int:
    cursor = db.execute(
        "INSERT INTO passages (kind, scope, scope_key, source, position, title, text, hash, message_id,"
        " created, importance, pinned) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.kind,
            new.scope,
            _scope_key(new.scope),
            new.source,
            position,
            new.title,
            new.text,
            content_hash(new.title, new.text),
            new.message_id,
            new.created,
            new.importance,
            new.pinned,
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def drop_source(db: sqlite3.Connection, scope: str, source: str) -> Changed:
    """Deletes every passage of one source."""
    db.execute("DELETE FROM sources WHERE scope = ? AND source = ?", (scope, source))
    return _drop(db, "scope = ? AND source = ?", (scope, source))


def drop_scope(db: sqlite3.Connection, scope: str) -> Changed:
    """Deletes a world's lore or a session's memory."""
    db.execute("DELETE FROM sources WHERE scope = ?", (scope,))
    return _drop(db, "scope = ?", (scope,))


def drop_passage(db: sqlite3.Connection, passage_id: int) -> Changed:
    """Deletes one passage; ``removed`` is empty when there was none."""
    return _drop(db, "id = ?", (passage_id,))


def drop_messages(db: sqlite3.Connection, message_ids: Iterable[int]) -> dict[str, Changed]:
    """Deletes the memories that end with these messages; returns the changes by scope."""
    scopes: dict[str, list[int]] = {}
    rows = db.execute(
        f"SELECT id, scope FROM passages WHERE message_id IN {_LIST}", (_list(message_ids),)
    )
    for row_id, scope in rows:
        scopes.setdefault(scope, []).append(row_id)
    for ids in scopes.values():
        _delete(db, ids)
    return {scope: Changed(removed=tuple(ids)) for scope, ids in scopes.items()}


def _drop(db: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> Changed:
    ids = [row[0] for row in db.execute(f"SELECT id FROM passages WHERE {condition}", values)]
    _delete(db, ids)
    return Changed(removed=tuple(ids))


def _delete(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    db.executemany("DELETE FROM passages WHERE id = ?", ((row_id,) for row_id in ids))


def set_pinned(db: sqlite3.Connection, passage_id: int, pinned: bool) -> bool:
    """Returns whether there is such a passage."""
    return db.execute("UPDATE passages SET pinned = ? WHERE id = ?", (pinned, passage_id)).rowcount > 0


def get(db: sqlite3.Connection, ids: Iterable[int]) -> dict[int, Passage]:
    """Returns the passages that still exist, by id."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM passages WHERE id IN {_LIST}", (_list(ids),))
    return {row[0]: _passage(row) for row in rows}


def list_passages(
    db: sqlite3.Connection, scope: str, *, limit: int = limits.PASSAGES_LISTED, after: int = 0
) -> tuple[Passage, ...]:
    """Returns a page of a scope in the order of its ids; ``after`` is the last id of the page before."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM passages WHERE scope = ? AND id > ? ORDER BY id LIMIT ?",
        (scope, after, limit),
    )
    return tuple(_passage(row) for row in rows)


def list_pinned(db: sqlite3.Connection, scope: str) -> tuple[Passage, ...]:
    """Returns the pinned passages of a scope, newest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM passages WHERE scope = ? AND pinned ORDER BY id DESC LIMIT ?",
        (scope, limits.PINNED_RESULTS),
    )
    return tuple(_passage(row) for row in rows)


def list_sources(db: sqlite3.Connection, scope: str) -> dict[str, int]:
    """Returns the number of passages by source."""
    rows = db.execute("SELECT source, count(*) FROM passages WHERE scope = ? GROUP BY source", (scope,))
    return dict(rows.fetchall())


def _passage(row: Sequence[object]) -> Passage:
    return msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Passage, strict=False)


def count_pending(db: sqlite3.Connection, model_id: str, *, after: int = 0) -> int:
    """Returns how many different texts of passages after an id have no vector of this model."""
    row = db.execute(
        f"SELECT count(DISTINCT hash) FROM passages p WHERE id > ? AND {_NO_VECTOR}", (after, model_id)
    )
    return int(row.fetchone()[0])


_NO_VECTOR = "NOT EXISTS (SELECT 1 FROM vectors v WHERE v.hash = p.hash AND v.model_id = ?)"


def list_pending(
    db: sqlite3.Connection, model_id: str, *, limit: int, after: int = 0
) -> tuple[tuple[Pending, ...], int]:
    """Returns texts without a vector, oldest first, and the id to go on after (0: no more)."""
    rows = db.execute(
        f"SELECT id, hash, title, text FROM passages p WHERE id > ? AND {_NO_VECTOR} ORDER BY id LIMIT ?",
        (after, model_id, limit),
    ).fetchall()
    texts = {digest: Pending(digest, embedded_text(title, text)) for _, digest, title, text in rows}
    return tuple(texts.values()), rows[-1][0] if rows else 0


def store_vectors(
    db: sqlite3.Connection, model_id: str, hashes: Sequence[bytes], vectors: Vectors
) -> dict[str, tuple[int, ...]]:
    """Stores vectors as float16; returns the ids of the passages that have one now, by scope.

    float16 moves a cosine by less than 0.0005 and halves the database. A hash whose passages were
    deleted meanwhile is left out.
    """
    scopes: dict[str, list[int]] = {}
    for digest, vector in zip(hashes, vectors, strict=True):
        rows = db.execute("SELECT id, scope FROM passages WHERE hash = ?", (digest,)).fetchall()
        if not rows:
            continue
        blob = vector.astype("<f2").tobytes()
        db.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", (digest, model_id, blob))
        for row_id, scope in rows:
            scopes.setdefault(scope, []).append(row_id)
    return {scope: tuple(ids) for scope, ids in scopes.items()}


def drop_other_models(db: sqlite3.Connection, model_id: str) -> int:
    """Deletes the vectors of models that are no longer used; returns how many."""
    return db.execute("DELETE FROM vectors WHERE model_id <> ?", (model_id,)).rowcount


class VectorRows(Struct, frozen=True):
    """Vectors with their passages: ``marks`` are 64 bits of the content hash."""

    ids: NDArray[np.int64]
    marks: NDArray[np.int64]
    vectors: Vectors


def vectors_of(db: sqlite3.Connection, model_id: str, ids: Iterable[int], dimension: int) -> VectorRows:
    """Returns the vectors of these passages; those without one are left out."""
    rows = db.execute(
        "SELECT p.id, p.hash, v.vector FROM passages p JOIN vectors v ON v.hash = p.hash"
        f" AND v.model_id = ? WHERE p.id IN {_LIST}",
        (model_id, _list(ids)),
    )
    return _vector_rows(rows.fetchall(), dimension)


def page_of_vectors(
    db: sqlite3.Connection, model_id: str, scope: str, dimension: int, *, after: int, limit: int
) -> VectorRows:
    """Returns the next ``limit`` vectors of a scope in the order of their ids."""
    rows = db.execute(
        "SELECT p.id, p.hash, v.vector FROM passages p JOIN vectors v ON v.hash = p.hash"
        " AND v.model_id = ? WHERE p.scope = ? AND p.id > ? ORDER BY p.id LIMIT ?",
        (model_id, scope, after, limit),
    )
    return _vector_rows(rows.fetchall(), dimension)


def marks_of(
    db: sqlite3.Connection, model_id: str, scope: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns ids and marks of every passage of a scope that has a vector, in the order of ids."""
    import numpy as np

    rows = db.execute(
        "SELECT p.id, p.hash FROM passages p JOIN vectors v ON v.hash = p.hash AND v.model_id = ?"
        " WHERE p.scope = ? ORDER BY p.id",
        (model_id, scope),
    ).fetchall()
    return np.array([row[0] for row in rows], np.int64), _marks_of_hashes([row[1] for row in rows])


def _vector_rows(rows: Sequence[tuple[int, bytes, bytes]], dimension: int) -> VectorRows:
    import numpy as np

    whole = [row for row in rows if len(row[2]) == 2 * dimension]
    data = b"".join(row[2] for row in whole)
    vectors = np.frombuffer(data, "<f2").reshape(len(whole), dimension).astype(np.float32)
    ids = np.array([row[0] for row in whole], np.int64)
    return VectorRows(ids, _marks_of_hashes([row[1] for row in whole]), vectors)


def _marks_of_hashes(hashes: Sequence[bytes]) -> NDArray[np.int64]:
    import numpy as np

    return np.array([int.from_bytes(digest[:8], "little", signed=True) for digest in hashes], np.int64)


def search_keywords(
    db: sqlite3.Connection, scope: str, words: Sequence[str], *, limit: int
) -> tuple[tuple[int, float], ...]:
    """Returns (passage id, BM25 score, higher is better) of passages with any of the words.

    Words are matched by their Porter stems.
    """
    if not words:
        return ()
    either = " OR ".join(_quoted(word) for word in words)
    rows = db.execute(
        "SELECT rowid, -rank FROM passages_fts WHERE passages_fts MATCH ? ORDER BY rank LIMIT ?",
        (f"scope_key : {_scope_key(scope)} AND {{title text}} : ({either})", limit),
    )
    return tuple(rows.fetchall())


def _scope_key(scope: str) -> str:
    """Returns one word for a scope, whatever characters it has."""
    return "s" + hashlib.blake2b(scope.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _quoted(text: str) -> str:
    """Returns an FTS5 string: nothing in it is syntax."""
    return '"' + text.replace("\0", " ").replace('"', '""') + '"'


def _list(ids: Iterable[int]) -> str:
    return json.dumps(list(ids))
