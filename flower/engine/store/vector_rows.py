"""The vectors of passages as rows, kept by content hash: equal text is embedded once, whatever it is part of.

Functions over a connection. Owns the tables ``vectors`` and ``token_vectors``; which texts still need one
follows from them. Never computes a vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from flower.engine.store.passages import LIST, embedded_text, id_list

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flower.engine.store.connection import Connection

    Vectors = NDArray[np.float32]  # shape (n, dimension), rows of length 1
    TokenVectors = NDArray[np.float32]  # shape (tokens, width): what the tokens of one text mean in it

# ruff: noqa: S608 - only constants of this module are put into statements, values never


class Pending(Struct, frozen=True):
    """A text that has no vector yet."""

    hash: bytes
    text: str


def count_pending(db: Connection, model_id: str, *, after: int = 0, tokens: bool = False) -> int:
    """Returns how many different texts of passages after an id have no vector of this model.

    With ``tokens`` those without token vectors count, too.
    """
    row = db.execute(
        f"SELECT count(DISTINCT hash) FROM passages p WHERE id > ? AND {_lacks(tokens)}",
        (after, *[model_id] * (1 + tokens)),
    )
    return int(row.fetchone()[0])


def _lacks(tokens: bool) -> str:
    """Returns the condition that a passage ``p`` lacks something of a model; it is a parameter of each part."""
    tables = ("vectors", "token_vectors") if tokens else ("vectors",)
    return (
        "("
        + " OR ".join(
            f"NOT EXISTS (SELECT 1 FROM {table} v WHERE v.hash = p.hash AND v.model_id = ?)"
            for table in tables
        )
        + ")"
    )


def list_pending(
    db: Connection, model_id: str, *, limit: int, after: int = 0, tokens: bool = False
) -> tuple[tuple[Pending, ...], int]:
    """Returns texts without a vector, oldest first, and the id to go on after: all up to it were looked at."""
    newest = db.execute(
        "SELECT id FROM passages WHERE id > ? ORDER BY id DESC LIMIT 1", (after,)
    ).fetchone()
    rows = db.execute(
        f"SELECT id, hash, title, text FROM passages p WHERE id > ? AND {_lacks(tokens)}"
        " ORDER BY id LIMIT ?",
        (after, *[model_id] * (1 + tokens), limit),
    ).fetchall()
    texts = {digest: Pending(digest, embedded_text(title, text)) for _, digest, title, text in rows}
    return tuple(texts.values()), rows[-1][0] if rows else newest[0] if newest else after


def store_vectors(
    db: Connection,
    model_id: str,
    hashes: Sequence[bytes],
    vectors: Vectors,
    tokens: Sequence[bytes] = (),
) -> dict[str, tuple[int, ...]]:
    """Stores vectors as float16; returns the ids of the passages that have one now, by scope.

    float16 moves a cosine by less than 0.0005 and halves the database. A hash whose passages were
    deleted meanwhile is left out. ``tokens``: for each text its packed token vectors, or nothing at all.
    """
    scopes: dict[str, list[int]] = {}
    for place, (digest, vector) in enumerate(zip(hashes, vectors, strict=True)):
        rows = db.execute("SELECT id, scope FROM passages WHERE hash = ?", (digest,)).fetchall()
        if not rows:
            continue
        blob = vector.astype("<f2").tobytes()
        db.execute(
            "INSERT INTO vectors VALUES (?, ?, ?)"
            " ON CONFLICT (hash, model_id) DO UPDATE SET vector = excluded.vector",
            (digest, model_id, blob),
        )
        if tokens:
            values = (digest, model_id, tokens[place])
            db.execute(
                "INSERT INTO token_vectors VALUES (?, ?, ?)"
                " ON CONFLICT (hash, model_id) DO UPDATE SET tokens = excluded.tokens",
                values,
            )
        for row_id, scope in rows:
            scopes.setdefault(scope, []).append(row_id)
    return {scope: tuple(ids) for scope, ids in scopes.items()}


def tokens_of(db: Connection, model_id: str, ids: Iterable[int]) -> dict[int, bytes]:
    """Returns the packed token vectors of these passages; those without are left out."""
    rows = db.execute(
        "SELECT p.id, t.tokens FROM passages p JOIN token_vectors t ON t.hash = p.hash"
        f" AND t.model_id = ? WHERE p.id IN {LIST}",
        (model_id, id_list(ids)),
    )
    return dict(rows.fetchall())


class VectorRows(Struct, frozen=True):
    """Vectors with their passages: ``marks`` are 64 bits of the content hash."""

    ids: NDArray[np.int64]
    marks: NDArray[np.int64]
    vectors: Vectors


def vectors_of(db: Connection, model_id: str, ids: Iterable[int], dimension: int) -> VectorRows:
    """Returns the vectors of these passages; those without one are left out."""
    rows = db.execute(
        "SELECT p.id, p.hash, v.vector FROM passages p JOIN vectors v ON v.hash = p.hash"
        f" AND v.model_id = ? WHERE p.id IN {LIST}",
        (model_id, id_list(ids)),
    )
    return _vector_rows(rows.fetchall(), dimension)


def page_of_vectors(
    db: Connection, model_id: str, scope: str, dimension: int, *, after: int, limit: int
) -> VectorRows:
    """Returns the next ``limit`` vectors of a scope in the order of their ids."""
    rows = db.execute(
        "SELECT p.id, p.hash, v.vector FROM passages p JOIN vectors v ON v.hash = p.hash"
        " AND v.model_id = ? WHERE p.scope = ? AND p.id > ? ORDER BY p.id LIMIT ?",
        (model_id, scope, after, limit),
    )
    return _vector_rows(rows.fetchall(), dimension)


def page_of_marks(
    db: Connection, model_id: str, scope: str, *, after: int, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns ids and marks of the next ``limit`` passages of a scope that have a vector, in the order of ids."""
    import numpy as np

    rows = db.execute(
        "SELECT p.id, p.hash FROM passages p JOIN vectors v ON v.hash = p.hash AND v.model_id = ?"
        " WHERE p.scope = ? AND p.id > ? ORDER BY p.id LIMIT ?",
        (model_id, scope, after, limit),
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

    return np.frombuffer(b"".join([digest[:8].ljust(8, b"\0") for digest in hashes]), "<i8").astype(
        np.int64
    )
