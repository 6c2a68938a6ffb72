"""A connection to PostgreSQL that answers as one to SQLite does.

Owns the driver. A statement is sent as soon as it is given and its rows are all here when the call returns, so that
a cursor may be read while others are asked. Never begins or ends a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.numeric import Int8BinaryDumper

from flower.engine.store.connection import Cursor
from flower.engine.store.paths import Paths
from flower.engine.store.postgres import dialect
from flower.engine.store.postgres.search_index import Fresh

CONNECT_S = 3  # until a server that does not answer counts as away
_NUL = "\0"  # the one character that PostgreSQL keeps in no text
_NUL_SHOWN = "\N{REPLACEMENT CHARACTER}"


class _TextDumper(Dumper):
    """Texts are texts: the server is not to guess by what is beside them."""

    format = Format.BINARY
    oid = 25

    def dump(self, obj: str) -> bytes:
        text = obj.replace(_NUL, _NUL_SHOWN) if _NUL in obj else obj
        return text.encode("utf-8", "replace")


class _BoolDumper(Int8BinaryDumper):
    """Truth is a number in our columns."""

    def dump(self, obj: Any) -> Any:
        return super().dump(int(obj))


class PostgresCursor:
    """The answer to one statement."""

    def __init__(self, rows: list[Any], rowcount: int, lastrowid: int | None) -> None:
        self._rows = rows
        self._at = 0
        self.rowcount = rowcount
        self.lastrowid = lastrowid

    def fetchone(self) -> Any:
        if self._at >= len(self._rows):
            return None
        self._at += 1
        return self._rows[self._at - 1]

    def fetchall(self) -> list[Any]:
        left = self._rows[self._at :]
        self._at = len(self._rows)
        return left

    def __iter__(self) -> Iterator[Any]:
        yield from self.fetchall()


class PostgresConnection:
    """Statements of ours over one connection to a server."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw
        self._cursor = psycopg.RawCursor(raw)
        self._cursor.format = Format.BINARY
        self.search_index: Fresh | None = None  # answers what is asked about words
        self.paths: Paths | None = None  # with the one that writes

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        if "messages_fts" in sql and self.search_index is not None:
            return self.search_index(self).execute(sql, parameters)
        statement = dialect.translated(sql)
        cursor = self._cursor
        cursor.execute(statement.sql, dialect.values(statement, parameters), prepare=True, binary=True)
        rows = cursor.fetchall() if cursor.description is not None else []
        added = rows[-1][0] if statement.gives_id and rows else None
        return PostgresCursor([] if statement.gives_id else rows, cursor.rowcount, added)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> PostgresCursor:
        statement = dialect.translated(sql)
        several = list(parameters)
        if not several:
            return PostgresCursor([], 0, None)
        self._cursor.executemany(statement.sql, several)
        return PostgresCursor([], self._cursor.rowcount, None)


def connect(url: str, settings: Mapping[str, str]) -> psycopg.Connection[Any]:
    """Returns a connection on which nothing has begun. Raises ``psycopg.Error``."""
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    raw: psycopg.Connection[Any] = psycopg.connect(
        url,
        autocommit=True,  # transactions are begun and ended by ``database``
        options=options,
        connect_timeout=CONNECT_S,
        prepare_threshold=0,
        # A server that is gone without a word is noticed within a quarter of a minute.
        keepalives=1,
        keepalives_idle=5,
        keepalives_interval=3,
        keepalives_count=3,
        tcp_user_timeout=15_000,
    )
    raw.prepared_max = 1000
    for kind, dumper in ((str, _TextDumper), (int, Int8BinaryDumper), (bool, _BoolDumper)):
        raw.adapters.register_dumper(kind, dumper)
    return raw
