"""Passages of lore and memory as rows: the truth that every index is derived from.

Plain functions over a ``Connection``; the caller owns the transaction and the thread. A
passage's id is never used twice and its text never changes, so an id in an index file means one text
for ever.

Owns the tables ``passages`` and ``sources``. The vectors are in ``vector_rows``, the words in ``term_rows``.
"""

# ruff: noqa: S608 - only constants of this module are put into statements, values never

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from flower import limits
from flower.engine.store import term_rows

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

PINNED_RESULTS = 8  # pinned memories that may take room from found ones

Kind = Literal["lore", "memory"]


class Passage(Struct, frozen=True):
    """A piece of text that can be recalled. The row in the database is the truth."""

    id: int
    kind: Kind
    scope: str  # "lore:WORLD", "lore:cast/CHARACTER" or "memory:SESSION"
    source: str  # what it was cut from: "world", "attached:N", "file:PATH", "message:N"
    title: str  # path of headings, or what the memory is about
    text: str
    message_id: int | None = None  # the reply a memory ends with
    created: float = 0.0  # Unix time, seconds
    pinned: bool = False
    importance: float = 0.0  # 0 to 1: how much a memory matters, as whoever made it says


class Chunk(Struct, frozen=True):
    """A passage before it has a row."""

    title: str
    text: str


HASH_BYTES = 16  # 128 bits: no two texts of one machine will ever share a hash
_FIELDS = Passage.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
LIST = "(SELECT value FROM json_each(?))"  # a list of ids of any length as one parameter


class Changed(Struct, frozen=True):
    """Ids of the rows that came and went."""

    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()


def embedded_text(title: str, text: str) -> str:
    """Returns what the model reads for a passage: the title gives a chunk its context.

    Further lines of a title, where and when something was, are for words alone: in a vector they drown what was said.
    """
    head = title.partition("\n")[0]
    return f"{head}\n{text}" if head else text


def content_hash(title: str, text: str) -> bytes:
    """Returns the key of a passage's vector."""
    data = embedded_text(title, text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def source_digest(db: Connection, scope: str, source: str) -> bytes:
    """Returns the digest that ``replace_source`` had last, empty for an unknown source."""
    row = db.execute(
        "SELECT digest FROM sources WHERE scope = ? AND source = ?", (scope, source)
    ).fetchone()
    return row[0] if row else b""


def replace_source(
    db: Connection,
    kind: Kind,
    scope: str,
    source: str,
    drafts: Sequence[Chunk],
    *,
    digest: bytes,
    created: float,
) -> Changed:
    """Makes the passages of one source equal to ``drafts``; rows whose text stays keep their id.

    ``digest`` identifies the text that the drafts were cut from.
    """
    db.execute(
        "INSERT INTO sources VALUES (?, ?, ?)"
        " ON CONFLICT (scope, source) DO UPDATE SET digest = excluded.digest",
        (scope, source, digest),
    )
    rows = db.execute("SELECT id, hash FROM passages WHERE scope = ? AND source = ?", (scope, source))
    present: dict[bytes, list[int]] = {}
    for row_id, digest in rows:
        present.setdefault(digest, []).append(row_id)
    added = []
    for position, draft in enumerate(drafts):
        same = present.get(content_hash(draft.title, draft.text))
        if same:
            db.execute("UPDATE passages SET position = ? WHERE id = ?", (position, same.pop(0)))
        else:
            passage = Passage(
                id=0,
                kind=kind,
                scope=scope,
                source=source,
                title=draft.title,
                text=draft.text,
                created=created,
            )
            added.append(_insert(db, passage, position))
    # New rows first: text that only moved keeps the vector which the last row of a hash takes along.
    removed = [row_id for ids in present.values() for row_id in ids]
    _delete(db, removed)
    return Changed(tuple(added), tuple(removed))


def add_memories(db: Connection, pieces: Sequence[Passage]) -> Changed:
    """Makes ``pieces``, of one exchange, all that is remembered of its message: the reply may have grown.

    Rows whose text stays keep their id. A piece that is pinned leaves its pin to the one in its place.
    """
    if not pieces:
        return Changed()
    scope, message_id = pieces[0].scope, pieces[0].message_id
    hashes = [content_hash(piece.title, piece.text) for piece in pieces]
    before = db.execute(
        "SELECT id, hash, pinned FROM passages WHERE scope = ? AND message_id IS ? ORDER BY id",
        (scope, message_id),
    ).fetchall()
    present = {digest for _, digest, _ in before}
    added, removed = [], []
    for piece, digest in zip(pieces, hashes, strict=True):
        if digest not in present:
            present.add(digest)
            added.append(_insert(db, piece, 0))
    if message_id is not None:  # what belongs to no message only comes together
        for place, (row_id, digest, pinned) in enumerate(before):
            if digest in hashes:
                continue
            removed.append(row_id)
            if pinned:
                heir = hashes[min(place, len(hashes) - 1)]
                db.execute(
                    "UPDATE passages SET pinned = 1 WHERE scope = ? AND message_id = ? AND hash = ?",
                    (scope, message_id, heir),
                )
        _delete(db, removed)
    return Changed(tuple(added), tuple(removed))


def rewrite(db: Connection, passage_id: int, text: str) -> Changed:
    """Puts a passage with another text in the place of one; nothing changes when there is none."""
    old = get(db, [passage_id]).get(passage_id)
    if old is None:
        return Changed()
    new_id = _insert(db, msgspec.structs.replace(old, text=text), 0)
    _delete(db, [passage_id])
    return Changed((new_id,), (passage_id,))


def title_memories(
    db: Connection, scope: str, title: str, *, after: int, limit: int
) -> tuple[Changed, int]:
    """Gives memories of exchanges that name nobody a title; returns the change and the id to go on after.

    They get new rows, since the text of a row never changes. ``after`` an id, up to ``limit`` at a time;
    0 is returned when there are no more.
    """
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM passages WHERE scope = ? AND id > ? AND substr(title, 1, 1) IN ('', '\n')"
        " AND message_id IS NOT NULL ORDER BY id LIMIT ?",
        (scope, after, limit),
    ).fetchall()
    old = [_passage(row) for row in rows]
    added = [
        _insert(db, msgspec.structs.replace(passage, title=title + passage.title), 0) for passage in old
    ]
    removed = tuple(passage.id for passage in old)
    _delete(db, removed)
    return Changed(tuple(added), removed), removed[-1] if len(removed) == limit else 0


def _insert(db: Connection, new: Passage, position: int) -> int:
    cursor = db.execute(
        "INSERT INTO passages (kind, scope, source, position, title, text, hash, message_id,"
        " created, importance, pinned) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.kind,
            new.scope,
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
    term_rows.store(db, cursor.lastrowid, new.title, new.text)
    return cursor.lastrowid


def drop_source(db: Connection, scope: str, source: str) -> Changed:
    """Deletes every passage of one source."""
    db.execute("DELETE FROM sources WHERE scope = ? AND source = ?", (scope, source))
    return _drop(db, "scope = ? AND source = ?", (scope, source))


def drop_scope(db: Connection, scope: str) -> Changed:
    """Deletes a world's lore or a session's memory."""
    db.execute("DELETE FROM sources WHERE scope = ?", (scope,))
    return _drop(db, "scope = ?", (scope,))


def drop_passage(db: Connection, passage_id: int) -> Changed:
    """Deletes one passage; ``removed`` is empty when there was none."""
    return _drop(db, "id = ?", (passage_id,))


def drop_messages(db: Connection, message_ids: Iterable[int]) -> dict[str, Changed]:
    """Deletes the memories that end with these messages; returns the changes by scope."""
    scopes: dict[str, list[int]] = {}
    rows = db.execute(
        f"SELECT id, scope FROM passages WHERE message_id IN {LIST}", (id_list(message_ids),)
    )
    for row_id, scope in rows:
        scopes.setdefault(scope, []).append(row_id)
    for ids in scopes.values():
        _delete(db, ids)
    return {scope: Changed(removed=tuple(ids)) for scope, ids in scopes.items()}


def _drop(db: Connection, condition: str, values: tuple[object, ...]) -> Changed:
    ids = [row[0] for row in db.execute(f"SELECT id FROM passages WHERE {condition}", values)]
    _delete(db, ids)
    return Changed(removed=tuple(ids))


def _delete(db: Connection, ids: Sequence[int]) -> None:
    db.executemany("DELETE FROM passages WHERE id = ?", ((row_id,) for row_id in ids))


def set_pinned(db: Connection, passage_id: int, pinned: bool) -> bool:
    """Returns whether there is such a passage."""
    return db.execute("UPDATE passages SET pinned = ? WHERE id = ?", (pinned, passage_id)).rowcount > 0


def get(db: Connection, ids: Iterable[int]) -> dict[int, Passage]:
    """Returns the passages that still exist, by id."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM passages WHERE id IN {LIST}", (id_list(ids),))
    return {row[0]: _passage(row) for row in rows}


def list_passages(
    db: Connection, scope: str, *, limit: int = limits.PASSAGES_LISTED, after: int = 0
) -> tuple[Passage, ...]:
    """Returns a page of a scope in the order of its ids; ``after`` is the last id of the page before."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM passages WHERE scope = ? AND id > ? ORDER BY id LIMIT ?",
        (scope, after, limit),
    )
    return tuple(_passage(row) for row in rows)


def has_more_than(db: Connection, scope: str, count: int) -> bool:
    """Returns whether a scope has more than so many passages."""
    row = db.execute("SELECT 1 FROM passages WHERE scope = ? LIMIT 1 OFFSET ?", (scope, count))
    return row.fetchone() is not None


def list_pinned(db: Connection, scope: str) -> tuple[Passage, ...]:
    """Returns the pinned passages of a scope, newest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM passages WHERE scope = ? AND pinned /*pg != 0*/ ORDER BY id DESC LIMIT ?",
        (scope, PINNED_RESULTS),
    )
    return tuple(_passage(row) for row in rows)


def list_sources(db: Connection, scope: str) -> dict[str, int]:
    """Returns the number of passages by source."""
    rows = db.execute("SELECT source, count(*) FROM passages WHERE scope = ? GROUP BY source", (scope,))
    return dict(rows.fetchall())


def _passage(row: Sequence[object]) -> Passage:
    return msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Passage, strict=False)


def id_list(ids: Iterable[int]) -> str:
    """Returns ids as ``json_each`` takes them."""
    return json.dumps(list(ids))
