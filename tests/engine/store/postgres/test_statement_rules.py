"""Small rules of what PostgreSQL is asked and what it answers, without a server: statements, rows, errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from flower.engine.store.postgres import connection as connection_module
from flower.engine.store.postgres import dialect, errors


@pytest.mark.parametrize(
    ("sql", "translation"),
    [
        ("SELECT ?, ?, ?", "SELECT $1, $2, $3"),
        ("SELECT ?2, ?1, ?10", "SELECT $2, $1, $10"),
        ("SELECT a::text, b : c", "SELECT a::text, b : c"),
        ("SELECT x::", "SELECT x::"),
        ("SELECT 1/*pg ::text*/, 2", "SELECT 1 ::text, 2"),
        ("SELECT 1 /* why ? */, ?", "SELECT 1 /* why ? */, $1"),
        ("SELECT 1 /* open ?", "SELECT 1 /* open ?"),
        ("SELECT a / b, a * b, ?", "SELECT a / b, a * b, $1"),
        ('SELECT "a ? b", ?', 'SELECT "a ? b", $1'),
        ("SELECT '', 'INTEGER', \"it's\", ?", "SELECT '', 'INTEGER', \"it's\", $1"),
        ("CAST(? AS INTEGER)", "CAST($1 AS BIGINT)"),
        ("SELECT INTEGER_2, _INTEGER, x9INTEGER", "SELECT INTEGER_2, _INTEGER, x9INTEGER"),
        ("a CROSS JOIN b", "a  JOIN b"),
        ("a INDEXED BY one WHERE b ORDER BY c", "a   WHERE b ORDER BY c"),
        ("BY one GROUP BY b", "BY one GROUP BY b"),
        ("a IS NOT NULL AND b IS NULL", "a IS NOT NULL AND b IS NULL"),
        ("a IS DISTINCT FROM b", "a IS DISTINCT FROM b"),
        ("a IS NOT DISTINCT FROM b", "a IS NOT DISTINCT FROM b"),
        ("a IS ? OR a IS NOT ?", "a IS NOT DISTINCT FROM $1 OR a IS DISTINCT FROM $2"),
        ("NOT a AND IS", "NOT a AND IS"),
        ("\n  SELECT 1 \n", "SELECT 1"),
        ("", ""),
    ],
)
def test_only_what_the_two_databases_spell_differently_is_changed(sql: str, translation: str) -> None:
    assert dialect.translated(sql) == (translation, (), False)


@pytest.mark.parametrize("table", sorted(dialect.NUMBERED))
def test_the_id_of_a_new_row_is_asked_for_once(table: str) -> None:
    assert dialect.translated(f"INSERT INTO {table} VALUES (?)") == (
        f"INSERT INTO {table} VALUES ($1) RETURNING id", (), True,
    )  # fmt: skip
    asked = dialect.translated(f"INSERT INTO {table} VALUES (1) RETURNING hash")
    assert asked == (f"INSERT INTO {table} VALUES (1) RETURNING hash", (), False)
    assert not dialect.translated(f"DELETE INTO {table}").gives_id
    assert not dialect.translated(f"INSERT OR {table}").gives_id


def test_parameters_are_put_in_the_order_of_the_statement() -> None:
    named = dialect.translated("SELECT :b_1, :a, :b_1 IS :a")
    assert named.sql == "SELECT $1, $2, $1 IS NOT DISTINCT FROM $2"
    assert named.names == ("b_1", "a")
    assert dialect.values(named, {"a": 1, "b_1": 2, "c": 3}) == [2, 1]
    assert dialect.values(dialect.translated("SELECT ?"), (7,)) == (7,)


# --- answers and errors -------------------------------------------------------------------------


def test_rows_of_an_answer_are_read_once() -> None:
    cursor = connection_module.PostgresCursor([(1,), (2,), (3,)], 3, None)
    assert (cursor.fetchone(), cursor.fetchall()) == ((1,), [(2,), (3,)])
    assert (cursor.fetchone(), cursor.fetchall(), list(cursor)) == (None, [], [])
    cursor = connection_module.PostgresCursor([(1,), (2,)], 2, None)
    assert [cursor.fetchone(), *cursor, cursor.fetchone()] == [(1,), (2,), None]
    cursor = connection_module.PostgresCursor([(1,), (2,), (3,)], 3, None)
    assert [cursor.fetchone() for _ in range(4)] == [(1,), (2,), (3,), None]


def test_texts_and_truth_are_sent_as_the_columns_have_them() -> None:
    dumped = connection_module._TextDumper(str).dump("a\0b\ud800")
    assert dumped == "a\N{REPLACEMENT CHARACTER}b?".encode()
    assert [connection_module._BoolDumper(bool).dump(one)[-1] for one in (True, False)] == [1, 0]


def test_a_statement_that_adds_a_row_answers_with_its_id_alone(raw: Any) -> None:
    db: Any = connection_module.PostgresConnection(raw([(5,), (6,)]))
    added = db.execute("INSERT INTO books (a) VALUES (?)", (1,))
    assert (added.lastrowid, added.fetchall(), added.rowcount) == (6, [], 2)
    read = db.execute("SELECT id FROM books")
    assert (read.lastrowid, read.fetchall()) == (None, [(5,), (6,)])
    assert db.raw.sent[0] == (
        "INSERT INTO books (a) VALUES ($1) RETURNING id", (1,), {"prepare": True, "binary": True}
    )  # fmt: skip
    nothing = connection_module.PostgresConnection(raw([], False)).execute("DELETE FROM books")
    assert (nothing.lastrowid, nothing.fetchone()) == (None, None)
    same = connection_module.PostgresConnection(raw([])).execute("INSERT INTO books (a) VALUES (1)")
    assert same.lastrowid is None


def test_a_statement_for_several_rows_is_not_sent_for_none(raw: Any) -> None:
    db: Any = connection_module.PostgresConnection(raw([(1,), (2,)]))
    assert db.executemany("DELETE FROM books WHERE id = ?", iter([])).rowcount == 0
    assert db.raw.sent == []
    assert db.executemany("DELETE FROM books WHERE id = ?", iter([(1,), (2,)])).rowcount == 2
    assert db.raw.sent == [("DELETE FROM books WHERE id = $1", [(1,), (2,)])]


def test_only_what_is_asked_about_words_of_messages_is_answered_by_the_index(
    raw: Any,
) -> None:
    db: Any = connection_module.PostgresConnection(raw([]))
    db.execute("SELECT 1 FROM messages_fts")
    assert len(db.raw.sent) == 1
    asked: list[tuple[str, object]] = []
    index: Any = lambda _: SimpleNamespace(execute=lambda sql, values: asked.append((sql, values)))  # noqa: E731
    db.search_index = index
    db.execute("SELECT 1 FROM messages_fts", (3,))
    db.execute("SELECT 1 FROM messages")
    assert (asked, len(db.raw.sent)) == ([("SELECT 1 FROM messages_fts", (3,))], 2)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.errors.SerializationFailure(), errors.Failure.AGAIN),
        (psycopg.errors.UniqueViolation(), errors.Failure.AGAIN),
        (psycopg.errors.AdminShutdown(), errors.Failure.LOST),
        (psycopg.errors.ConnectionException(), errors.Failure.LOST),  # 08000
        (psycopg.OperationalError("gone"), errors.Failure.LOST),
        (psycopg.InterfaceError("closed"), errors.Failure.LOST),
        (psycopg.DatabaseError("no result"), errors.Failure.LOST),
        (psycopg.ProgrammingError("no state"), errors.Failure.REFUSED),
        (psycopg.errors.DiskFull(), errors.Failure.REFUSED),
        (psycopg.errors.UndefinedTable(), errors.Failure.REFUSED),
    ],
)
def test_what_is_done_about_an_error_follows_from_its_kind(
    error: psycopg.Error, kind: errors.Failure
) -> None:
    assert errors.kind_of(error) is kind
    said = errors.sentence(error)
    assert said == errors._SENTENCES.get(error.sqlstate or "", said)
    if kind is errors.Failure.LOST:
        assert said == f"not saved: {errors.AWAY}"


def test_what_has_no_sentence_is_said_in_one_line() -> None:
    assert errors.sentence(psycopg.ProgrammingError("a\n  b")) == "the database refused: a b"
