"""Small rules of PostgreSQL's modules, one by one, without a server: statements, links, signs of life, answers."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from flower.engine.store import paths, schema, streaming_text
from flower.engine.store.postgres import definitions, dialect, fences
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline, OneThread
from flower.errors import ElsewhereError, StoreError

pytest.importorskip("psycopg")

import psycopg
from psycopg.pq import ConnStatus, ExecStatus

from flower.engine.store.postgres import connection as connection_module
from flower.engine.store.postgres import database, engines, errors, link, pulse, reading, upgrade

# --- statements ---------------------------------------------------------------------------------


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


class FakeRaw(SimpleNamespace):
    """A connection of the driver: one word of SQL after the other is noted and answered."""

    def __init__(self, rows: list[Any], columns: bool = True) -> None:
        super().__init__(closed=False, sent=[])
        self.cursor = SimpleNamespace(
            execute=lambda sql, values, **how: self.sent.append((sql, values, how)),
            executemany=lambda sql, several: self.sent.append((sql, several)),
            fetchall=lambda: rows,
            description=[] if columns else None,
            rowcount=len(rows),
        )
        self.close = lambda: setattr(self, "closed", True)


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(psycopg, "RawCursor", lambda raw: raw.cursor)
    return FakeRaw


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


# --- a link to the server -----------------------------------------------------------------------


class Clock(SimpleNamespace):
    """Time that goes by when somebody sleeps or says so."""

    def __init__(self) -> None:
        super().__init__(now=100.0, slept=[])

    def monotonic(self) -> float:
        return float(self.now)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(link, "time", made)
    monkeypatch.setattr(pulse, "time", made)
    return made


class Server(SimpleNamespace):
    """What connections are made of in these tests. ``away``: it does not answer; ``answers``: to words of our own."""

    def __init__(self) -> None:
        super().__init__(made=[], away=False, answers={}, asked=[], settings=[])

    def connect(self, _url: str, settings: dict[str, str]) -> FakeRaw:
        if self.away:
            raise psycopg.OperationalError("away")
        made = FakeRaw([])
        made.pgconn = SimpleNamespace(
            status=ConnStatus.OK, exec_=lambda sql: self.answer(made, sql.decode())
        )
        self.settings.append(settings)
        self.made.append(made)
        return made

    def answer(self, raw: FakeRaw, sql: str) -> Any:
        self.asked.append(sql)
        status, value = self.answers.get(sql, (ExecStatus.COMMAND_OK, None))
        if status == ExecStatus.FATAL_ERROR and value == "lost":
            raw.pgconn.status = ConnStatus.BAD
        done = b"ROLLBACK" if value == "rolled back" else sql.encode()
        rows = status == ExecStatus.TUPLES_OK
        return SimpleNamespace(
            status=status, ntuples=int(rows), command_status=done, get_value=lambda *_: value
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Server:
    made = Server()
    monkeypatch.setattr(link, "connect", made.connect)
    monkeypatch.setattr(psycopg, "RawCursor", lambda raw: raw.cursor)
    monkeypatch.setattr(
        psycopg.errors, "error_from_result", lambda _: psycopg.OperationalError("refused")
    )
    return made


def test_a_connection_is_made_once_and_anew_when_it_is_lost(server: Server) -> None:
    one = link.ServerLink("url", 7, synchronous_commit="off")
    assert one.held() is one.held()
    assert len(server.made) == 1
    assert server.settings[0]["flower.engine"] == "7"
    assert server.settings[0]["synchronous_commit"] == "off"
    server.made[0].closed = True
    assert one.held().raw is server.made[1]
    one.close()
    assert server.made[1].closed
    one.close()
    assert one.held().raw is server.made[2]
    assert one.held().paths is None
    assert link.ServerLink("url", 7, keeps_paths=True).held().paths is not None
    link.ServerLink("url", 0).held()
    assert "flower.engine" not in server.settings[-1]


def test_a_server_that_is_away_is_not_asked_again_at_once(server: Server, clock: Clock) -> None:
    one = link.ServerLink("url", 7)
    server.away = True
    with pytest.raises(psycopg.OperationalError):
        one.held()
    server.away = False
    clock.now += link.AWAY_S - 0.01
    with pytest.raises(StoreError, match="not saved: the database does not answer"):
        one.held()
    clock.now += 0.01
    assert one.held().raw is server.made[0]


def test_what_is_due_at_once_is_done_once_with_each_connection_in_its_order(server: Server) -> None:
    one = link.ServerLink("url", 7)
    done: list[str] = []
    refused = [True]

    def second(_: object) -> None:
        if refused:
            refused.pop()
            raise psycopg.OperationalError("gone")
        done.append("second")

    one.at_once(lambda _: done.append("first"))
    one.at_once(second)
    with pytest.raises(psycopg.OperationalError):
        one.held()
    one.held()
    one.held()
    assert done == ["first", "second"]
    one.close()
    one.held()
    assert done == ["first", "second"] * 2


def test_a_connection_that_is_lost_is_made_anew_once_and_a_refusal_is_final(
    server: Server, clock: Clock
) -> None:
    one = link.ServerLink("url", 7)
    failures: list[psycopg.Error] = [psycopg.OperationalError("gone")]

    def ask(_: object) -> str:
        if failures:
            raise failures.pop()
        return "read"

    assert one.read(ask) == "read"
    assert (len(server.made), clock.slept) == (2, [])
    failures += [psycopg.OperationalError("gone")] * 3
    with pytest.raises(StoreError, match="does not answer"):
        one.read(ask)
    assert len(failures) == 1  # tried twice
    failures[:] = [psycopg.errors.UndefinedTable("no"), psycopg.errors.UndefinedTable("no")]
    with pytest.raises(StoreError):
        one.read(ask)
    assert len(failures) == 1
    elsewhere = psycopg.errors.RaiseException("x")
    elsewhere.sqlstate = "FL001"
    failures[:] = [elsewhere]
    with pytest.raises(ElsewhereError, match="another engine plays this story"):
        one.read(ask)
    failures[:] = [psycopg.errors.SerializationFailure(), psycopg.OperationalError("gone"),
                   psycopg.errors.SerializationFailure()]  # fmt: skip
    assert one.read(ask) == "read"
    assert clock.slept == [link.AGAIN_S, 2 * link.AGAIN_S]


BEGIN = engines.beginning(7)


def test_a_transaction_is_committed_once_or_rolled_back(server: Server) -> None:
    one = link.ServerLink("url", 7)
    server.answers[BEGIN] = (ExecStatus.TUPLES_OK, b"55")
    assert one.write(lambda _: "written") == "written"
    assert (server.asked, one.commits) == ([BEGIN, "COMMIT"], 1)
    server.asked.clear()

    def broken(_: object) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        one.write(broken)
    assert (server.asked, one.commits) == ([BEGIN, "ROLLBACK"], 1)
    server.asked.clear()
    server.answers["other"] = (ExecStatus.TUPLES_OK, b"56")
    one.write(lambda _: None, "other")
    assert server.asked == ["other", "COMMIT"]


@pytest.mark.parametrize("number", [None, b""])
def test_an_engine_whose_row_is_gone_writes_nothing(server: Server, number: bytes | None) -> None:
    one = link.ServerLink("url", 7)
    server.answers[BEGIN] = (ExecStatus.TUPLES_OK, number)
    done: list[int] = []
    with pytest.raises(StoreError, match="silent for too long"):
        one.write(lambda _: done.append(1))
    assert (server.asked, done, one.commits) == ([BEGIN, "ROLLBACK"], [], 0)
    server.answers[BEGIN] = (ExecStatus.COMMAND_OK, None)
    with pytest.raises(StoreError, match="silent for too long"):
        one.write(lambda _: done.append(1))


@pytest.mark.parametrize("was_committed", [True, False])
def test_a_commit_whose_answer_is_lost_counts_as_what_became_of_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, was_committed: bool
) -> None:
    one = link.ServerLink("url", 7)
    server.answers[BEGIN] = (ExecStatus.TUPLES_OK, b"55")
    server.answers["COMMIT"] = (ExecStatus.FATAL_ERROR, "lost")
    numbers: list[str] = []

    def look_up(_: object, number: str) -> bool:
        numbers.append(number)
        return was_committed

    monkeypatch.setattr(link.ServerLink, "_was_committed", look_up)
    db = one.held()
    db.paths = paths.Paths()
    if was_committed:
        assert one.write(lambda _: 3) == 3
    else:
        with pytest.raises(StoreError, match="does not answer"):
            one.write(lambda _: 3)
    assert (set(numbers), one.commits) == ({"55"}, int(was_committed))
    assert db.raw.closed


def test_a_commit_that_is_refused_or_rolled_back_is_an_error_and_not_looked_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = link.ServerLink("url", 7)
    monkeypatch.setattr(link.ServerLink, "_was_committed", lambda *_: pytest.fail("looked up"))
    server.answers[BEGIN] = (ExecStatus.TUPLES_OK, b"55")
    for answer in ((ExecStatus.FATAL_ERROR, "refused"), (ExecStatus.COMMAND_OK, "rolled back")):
        server.answers["COMMIT"] = answer
        with pytest.raises(StoreError):
            one.write(lambda _: 3)
    assert one.commits == 0
    assert link._ask(one.held(), "ROLLBACK") == ""


def test_what_others_say_is_heard_and_what_was_missed_too(server: Server) -> None:
    handlers: list[Any] = []
    heard: list[str] = []
    one = link.ServerLink("url", 7)
    one.hear(heard.append)
    sent: list[bytes] = []
    made = server.connect("url", {})
    made.add_notify_handler = handlers.append
    made.execute = sent.append
    one._at_once[0](SimpleNamespace(raw=made))  # type: ignore[arg-type]
    assert (heard, sent) == ([""], [b"LISTEN flower"])
    handlers[0](SimpleNamespace(payload="8 lore s"))
    assert heard == ["", "8 lore s"]


# --- signs of life ------------------------------------------------------------------------------


class FakeLink:
    """Notes what a pulse asks; ``leases`` is the answer."""

    def __init__(self, *_: object, **__: object) -> None:
        self.asked: list[str] = []
        self.leases: int | None = 3

    def at_once(self, function: object) -> None:
        pass

    def read(self, function: Any) -> int | None:
        self.asked.append(function.__name__)
        return self.leases


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> pulse.Pulse:
    monkeypatch.setattr(pulse, "ServerLink", FakeLink)
    return pulse.Pulse("url", 7)


def asked(life: pulse.Pulse) -> list[str]:
    notes: Any = life._link
    seen, notes.asked = notes.asked, []
    return list(seen)


def is_steady(life: pulse.Pulse) -> bool:
    return life.is_steady


def turn(life: pulse.Pulse, clock: Clock, after: float) -> list[str]:
    clock.now += after
    life.turn(clock.now)
    return asked(life)


def test_a_sign_is_due_a_second_after_the_last_one(life: pulse.Pulse, clock: Clock) -> None:
    assert turn(life, clock, engines.BEAT_S - 0.1) == []
    assert turn(life, clock, 0.1) == ["show"]
    assert (life.leases, life.signs) == (3, 1)
    assert turn(life, clock, 0.9) == []
    assert turn(life, clock, 0.2) == ["show"]
    assert life.signs == 2
    assert life._due_at() == pytest.approx(clock.now + engines.BEAT_S)


def test_where_flushes_are_signs_the_others_are_only_looked_at(life: pulse.Pulse, clock: Clock) -> None:
    assert turn(life, clock, 1.0) == ["show"]
    clock.now += 0.5
    life.showed(clock.now)
    assert life._due_at() == pytest.approx(clock.now + 0.5)
    assert turn(life, clock, 0.5) == ["_look"]
    assert (life.leases, life.signs) == (3, 1)
    life.showed(clock.now - 0.2)
    assert life._sign_due_at() == pytest.approx(clock.now + engines.BEAT_S - 0.2)
    life.showed(clock.now - 0.4)  # an older one, whose answer came later
    assert life._sign_due_at() == pytest.approx(clock.now + engines.BEAT_S - 0.2)
    assert turn(life, clock, 0.8) == ["show"]


def test_an_engine_that_hangs_gives_no_sign(life: pulse.Pulse, clock: Clock) -> None:
    assert turn(life, clock, pulse.HUNG_S) == ["show"]
    assert turn(life, clock, 1.0) == []
    life.awake()
    assert turn(life, clock, 1.0) == ["show"]


def test_an_engine_whose_row_is_gone_is_dead(life: pulse.Pulse, clock: Clock) -> None:
    assert turn(life, clock, 1.0) == ["show"]
    life._link.leases = None  # type: ignore[attr-defined]
    assert turn(life, clock, 1.0) == ["show"]
    assert (life.is_dead, life.leases, life.signs) == (True, 3, 1)


def test_others_are_judged_by_an_engine_that_was_steady_for_a_lease(
    life: pulse.Pulse, clock: Clock
) -> None:
    for _ in range(int(engines.LEASE_S)):
        assert turn(life, clock, 1.0) == ["show"]
        assert not is_steady(life)
    assert turn(life, clock, 1.0) == ["show", "_bury"]
    clock.now += engines.LEASE_S * pulse.GAP - 0.01
    assert is_steady(life)
    clock.now += 0.01
    assert not is_steady(life)  # its own sign is late: the server may be
    life.showed(clock.now)
    assert is_steady(life)  # not further apart than that
    clock.now += engines.LEASE_S * pulse.GAP + 0.01
    life.showed(clock.now)
    assert not is_steady(life)
    clock.now += engines.LEASE_S
    life.showed(clock.now - 0.5)
    assert not is_steady(life)


def test_a_flush_is_a_sign_once_others_see_the_connection(life: pulse.Pulse, clock: Clock) -> None:
    assert life.beginning() == engines.beginning(7)
    turn(life, clock, 1.0)
    assert life.beginning() == engines.beginning_alive(7, draining=False)
    life.draining = True
    assert life.beginning() == engines.beginning_alive(7, draining=True)


# --- the schema at a server ---------------------------------------------------------------------


def test_rows_of_a_story_are_fenced_when_they_come_change_and_go() -> None:
    statements = list(fences._fence("passages"))
    assert statements[::2] == [
        "CREATE OR REPLACE FUNCTION passages_fence_new() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN PERFORM hold_story(substr(new.scope, 8)); RETURN new; END $$",
        "CREATE OR REPLACE FUNCTION passages_fence_old() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN PERFORM hold_story(substr(old.scope, 8)); RETURN old; END $$",
    ]
    assert statements[1::2] == [
        "CREATE OR REPLACE TRIGGER passages_fence_new BEFORE INSERT OR UPDATE ON passages"
        " FOR EACH ROW WHEN (new.kind = 'memory') EXECUTE FUNCTION passages_fence_new()",
        "CREATE OR REPLACE TRIGGER passages_fence_old BEFORE DELETE ON passages"
        " FOR EACH ROW WHEN (old.kind = 'memory') EXECUTE FUNCTION passages_fence_old()",
    ]
    assert "WHEN" not in list(fences._fence("sessions"))[1]
    assert len(fences.FENCES) == 2 + 4 * len(fences._OF_STORY) + len(fences._TOLD)
    told = list(fences._tell())
    assert told[2].startswith(
        "CREATE OR REPLACE TRIGGER sessions_told_2 AFTER INSERT OR DELETE OR UPDATE"
    )
    assert told[2].endswith("FOR EACH STATEMENT EXECUTE FUNCTION tell_engines('stories')")


@pytest.mark.parametrize(
    ("line", "translation"),
    [
        (
            "id INTEGER PRIMARY KEY AUTOINCREMENT",
            "id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        ),
        ("size INTEGER, at REAL, data BLOB", "size BIGINT, at DOUBLE PRECISION, data BYTEA"),
        ("name TEXT COLLATE NOCASE", "name TEXT COLLATE nocase"),
        ("name TEXT", 'name TEXT COLLATE "C"'),
        ("  active_leaf INTEGER REFERENCES messages(id)", "  active_leaf BIGINT "),
        ("parent_id INTEGER REFERENCES messages(id)", "parent_id BIGINT REFERENCES messages(id)"),
        (") WITHOUT ROWID", ")"),
        ("ON sessions (updated) WHERE pinned", "ON sessions (updated) WHERE pinned != 0"),
    ],
)
def test_columns_have_the_types_of_the_server(line: str, translation: str) -> None:
    assert definitions._line(line) == translation


def test_each_step_of_the_schema_is_its_own_without_indexes_of_words() -> None:
    assert [statement for statement in definitions.script(1) if "sessions" in statement]
    for number in range(1, len(schema.MIGRATIONS) + 1):
        assert definitions.script(number) == list(
            definitions._translated(schema.MIGRATIONS[number - 1])
        )
        assert not any("_fts" in statement for statement in definitions.script(number))


def rows_of(**rows: tuple[object, ...] | None) -> Any:
    """A connection of the driver that answers a statement with the row whose word is in it."""

    def execute(sql: str) -> Any:
        return SimpleNamespace(fetchone=lambda: next(row for word, row in rows.items() if word in sql))

    return SimpleNamespace(execute=execute, info=SimpleNamespace(server_version=upgrade.OLDEST))


def test_a_server_is_new_enough_and_keeps_every_letter() -> None:
    upgrade._check_server(rows_of(encoding=("UTF8",)))
    for row in (("LATIN1",), ("XTF8",), ("ATF8",), None):
        with pytest.raises(StoreError, match="must have the encoding UTF8"):
            upgrade._check_server(rows_of(encoding=row))
    old = rows_of(encoding=("UTF8",))
    old.info.server_version -= 1
    with pytest.raises(StoreError, match="needs PostgreSQL 15 or newer"):
        upgrade._check_server(old)


def test_a_database_without_a_number_has_the_number_0() -> None:
    assert (upgrade._version(rows_of(schema=("7",))), upgrade._version(rows_of(schema=None))) == (7, 0)
    assert (upgrade._own(rows_of(own=("5",))), upgrade._own(rows_of(own=None))) == (5, 0)


@pytest.mark.parametrize("away", [-1, 1])
def test_stories_of_another_version_are_not_read(away: int) -> None:
    newest = len(schema.MIGRATIONS)
    reading._check(rows_of(to_regclass=(True,), schema=(str(newest),)))
    for there in ((False,), None):
        with pytest.raises(StoreError, match="there are no stories in the database"):
            reading._check(rows_of(to_regclass=there, schema=(str(newest),)))
    for version in ((str(newest + away),), None):
        with pytest.raises(StoreError, match="made by another version of Flower"):
            reading._check(rows_of(to_regclass=(True,), schema=version))


# --- an engine at a server ----------------------------------------------------------------------


class FakeServerLink:
    """Runs what is asked on nothing, and notes how a transaction began; ``errors`` come first."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.began: list[str] = []

    def read(self, function: Any) -> Any:
        return function(None)

    def write(self, function: Any, beginning: str = "") -> Any:
        self.began.append(beginning)
        if self.errors:
            raise self.errors.pop(0)
        return function(None)


@pytest.fixture
def engine(life: pulse.Pulse) -> database.PostgresDatabase:
    made = database.PostgresDatabase.__new__(database.PostgresDatabase)
    made._run, made._number, made._batch, made._pulse = Inline(), 7, None, life
    made._played, made._opened, made._orphans_at = Counter(), set(), 1e9
    made._link = FakeServerLink()  # type: ignore[assignment]
    return made


def link_of(engine: database.PostgresDatabase) -> Any:
    return engine._link


async def test_what_others_changed_is_passed_on(engine: database.PostgresDatabase) -> None:
    heard: list[tuple[str, str]] = []
    engine._heard = lambda what, place: heard.append((what, place))
    engine._pulse._news = {"8 lore harbour", "7 lore forest", "9 stories "}
    await engine._look_after()
    assert sorted(heard) == [("lore", "harbour"), ("stories", "")]


async def test_leases_are_given_back_when_there_are_more_or_fewer_than_played(
    engine: database.PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[list[str]] = []
    monkeypatch.setattr(engines, "release", lambda _db, _number, stories: played.append(stories))
    for leases in (1, 2, 3):
        engine._pulse.leases = leases
        engine._played = Counter({"s": 2, "t": 1})
        await engine._look_after()
    assert played == [["s", "t"]] * 2
    engine._opened = {"s", "t"}
    engine.leave("s")  # opened twice, left once
    assert (engine._played, engine._opened) == ({"s": 1, "t": 1}, {"s", "t"})
    engine.leave("s")
    assert (engine._played, engine._opened) == ({"t": 1}, {"t"})


async def test_replies_of_the_dead_are_ended_by_a_steady_engine_now_and_then(
    engine: database.PostgresDatabase, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "time", clock)
    ended: list[str] = []
    monkeypatch.setattr(engines, "orphans", lambda _: ["s", "t"])

    def end(_: object, story: str) -> tuple[int, ...]:
        ended.append(story)
        return ()

    monkeypatch.setattr(streaming_text, "recover_story", end)
    engine._pulse.leases = 0
    engine._orphans_at = clock.now
    await engine._look_after()
    assert ended == []  # it is due, and the engine not steady yet
    clock.now += engines.LEASE_S + 1.0
    engine._pulse.signs = 1
    engine._pulse.showed(clock.now)
    engine._pulse.steady_since = clock.now - engines.LEASE_S - 0.1
    link_of(engine).errors = [ElsewhereError("somebody opened it", "")]
    await engine._look_after()
    assert ended == ["t"]
    await engine._look_after()
    assert ended == ["t"]
    assert engine._orphans_at == clock.now + database.ORPHANS_S


async def test_a_server_that_takes_no_writes_is_no_place_for_words(
    engine: database.PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[object] = []

    async def read(*_: object) -> object:
        return answers.pop(0)

    monkeypatch.setattr(engine, "read", read)
    answers[:] = [("off",), True]
    await engine.check_place()
    answers[:] = [("on",), True]
    with pytest.raises(StoreError, match="it is no primary"):
        await engine.check_place()
    answers[:] = [("off",), False]
    with pytest.raises(StoreError, match="silent for too long"):
        await engine.check_place()


async def test_writes_of_one_moment_share_a_transaction(
    engine: database.PostgresDatabase, autojump_clock: MockClock
) -> None:
    results: list[object] = []

    async def write(function: Any) -> None:
        try:
            results.append(await engine.write_batched(function))
        except (StoreError, ValueError) as error:
            results.append(str(error))

    def broken(_: object) -> None:
        raise ValueError("a bug")

    async def together(*functions: Any) -> list[object]:
        results.clear()
        link_of(engine).began.clear()
        async with trio.open_nursery() as nursery:
            for function in functions:
                nursery.start_soon(write, function)
        return sorted(results, key=str)

    alive = engine._pulse.beginning()
    assert await together(lambda _: 1, lambda _: 2, lambda _: 3) == [1, 2, 3]
    assert link_of(engine).began == [alive]
    assert await together(lambda _: 1, broken) == [1, "a bug"]
    assert link_of(engine).began == [alive, "", ""]
    link_of(engine).errors = [StoreError("away")]
    assert await together(lambda _: 1, lambda _: 2) == ["away", "away"]
    link_of(engine).errors = [ElsewhereError("elsewhere", ""), ElsewhereError("elsewhere", "")]
    assert len(await together(lambda _: 1, lambda _: 2)) == 2
    assert link_of(engine).began == [alive, "", ""]
    assert engine._batch is None


async def test_growing_replies_are_written_on_one_beat(
    engine: database.PostgresDatabase, autojump_clock: MockClock
) -> None:
    await trio.sleep(0.2 - trio.current_time() % database.FLUSH_S + database.FLUSH_S)
    assert engine.until_flush(9.0) == pytest.approx(database.FLUSH_S - 0.2)


async def test_who_must_be_alone_waits_for_one_that_may_have_died(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, tmp_path: Path
) -> None:
    tried: list[float] = []

    def register(*_: object, **__: object) -> int:
        tried.append(trio.current_time())
        raise StoreError("somebody is there")

    raw = SimpleNamespace(close=lambda: None, transaction=contextlib.nullcontext)
    monkeypatch.setattr(database, "connect", lambda *_: raw)
    monkeypatch.setattr(database, "PostgresConnection", lambda _: None)
    monkeypatch.setattr(upgrade, "bring_up_to_date", lambda _: None)
    monkeypatch.setattr(engines, "register", register)
    for alone, wait_s in ((False, 0.0), (True, engines.LEASE_S + engines.BEAT_S)):
        tried.clear()
        with pytest.raises(StoreError, match="somebody is there"):
            await database.PostgresDatabase.open("url", tmp_path / "db", Inline(), alone=alone)
        assert tried[-1] - tried[0] == pytest.approx(wait_s)
        assert len(tried) == 1 + wait_s / database.ALONE_POLL_S


def test_a_server_is_shared_and_a_file_is_not() -> None:
    assert (database.PostgresDatabase.shared, Database.shared) == (True, False)


@pytest.mark.parametrize("error", [StoreError("away"), ValueError("a bug")])
def test_signs_of_life_go_on_after_what_fails(
    life: pulse.Pulse, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        clock.now += seconds
        return len(waits) > 3

    def turn(now: float) -> None:
        life._tried_at = life._looked_at = now
        raise error

    monkeypatch.setattr(life._stop, "wait", wait)
    monkeypatch.setattr(life, "turn", turn)
    life._run()
    assert waits == [engines.BEAT_S] * 4
    life.is_dead = True
    life._run()
    assert len(waits) == 4


def test_the_connection_that_writes_keeps_ways_and_the_slow_one_only_reads(
    life: pulse.Pulse, server: Server, tmp_path: Path
) -> None:
    made = database.PostgresDatabase("url", tmp_path / "flower.db", Inline(), 7)
    assert (made.path, made.commits, made._batch) == (tmp_path / "flower.db", 0, None)
    assert made._link.held().paths is not None
    assert made._slow.held().paths is None
    assert [settings.get("flower.engine") for settings in server.settings] == ["7", None]
    assert isinstance(made._run_slow, Inline)  # else long searches had a thread of their own
    threads = database.PostgresDatabase("url", tmp_path / "flower.db", OneThread(), 7)
    assert isinstance(threads._run_slow, OneThread)
    assert threads._run_slow is not threads._run


def test_a_commit_is_looked_up_until_somebody_can_tell(
    server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = link.ServerLink("url", 7)
    first = one.held()
    states = ["in progress", "committed"]
    asked_for: list[object] = []

    def execute(_db: object, sql: str, values: object) -> Any:
        asked_for.append((sql, values))
        return SimpleNamespace(fetchone=lambda: (states.pop(0),))

    monkeypatch.setattr(connection_module.PostgresConnection, "execute", execute)
    assert one._was_committed("".join(["5", "5"])) is True
    assert asked_for == [("SELECT pg_xact_status(?::xid8)", ("55",))] * 2
    assert first.raw.closed  # nothing is asked on what was lost
    assert clock.slept == [5 * link.AGAIN_S]
    states[:] = ["aborted"]
    assert one._was_committed("55") is False
    states[:] = ["in progress"] * 100
    clock.slept.clear()
    begun = clock.now
    with pytest.raises(link._UnsureError):
        one._was_committed("55")
    assert link.UNSURE_S <= clock.now - begun < link.UNSURE_S + 5 * link.AGAIN_S + 0.001
    server.away = True  # and while it is away
    with pytest.raises(link._UnsureError):
        one._was_committed("55")


def test_a_commit_of_which_nobody_knows_is_said_to_be_unknown_and_not_done_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = link.ServerLink("url", 7)
    server.answers[BEGIN] = (ExecStatus.TUPLES_OK, b"55")
    server.answers["COMMIT"] = (ExecStatus.FATAL_ERROR, "lost")

    def nobody(_: object, _number: str) -> bool:
        raise link._UnsureError

    monkeypatch.setattr(link.ServerLink, "_was_committed", nobody)
    done: list[int] = []
    db = one.held()
    db.paths = paths.Paths()
    with pytest.raises(StoreError, match="it is not known whether this was saved"):
        one.write(lambda _: done.append(1))
    assert (done, one._made, one.commits) == ([1], None, 0)


def test_what_others_are_in_the_way_of_is_tried_four_times(server: Server, clock: Clock) -> None:
    one = link.ServerLink("url", 7)
    tries: list[int] = []

    def ask(_: object) -> None:
        tries.append(1)
        raise psycopg.errors.SerializationFailure

    with pytest.raises(StoreError):
        one.read(ask)
    assert (len(tries), len(server.made)) == (link.TRIES, 1)
    assert clock.slept == [link.AGAIN_S, 2 * link.AGAIN_S, 4 * link.AGAIN_S]


def test_ways_are_forgotten_with_what_was_not_written(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[object] = []
    monkeypatch.setattr(paths, "forgotten", forgotten.append)
    one = link.ServerLink("url", 7)
    server.answers[BEGIN] = (ExecStatus.TUPLES_OK, b"55")
    one.write(lambda _: None)
    assert forgotten == []

    def lost(db: Any) -> None:
        db.raw.closed = True
        raise KeyError("gone")

    server.asked.clear()
    with pytest.raises(KeyError):
        one.write(lost)
    assert (len(forgotten), server.asked) == (1, [BEGIN])  # to a lost connection nothing is said
    server.answers["COMMIT"] = (ExecStatus.FATAL_ERROR, "refused")
    with pytest.raises(StoreError):
        one.write(lambda _: None)
    assert len(forgotten) >= 2


def test_a_rollback_that_fails_hides_no_error(server: Server) -> None:
    one = link.ServerLink("url", 7)
    server.answers[BEGIN] = (ExecStatus.TUPLES_OK, b"55")
    server.answers["ROLLBACK"] = (ExecStatus.FATAL_ERROR, "lost")

    def broken(_: object) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        one.write(broken)
    assert server.made[0].closed


def test_an_answer_is_the_first_value_and_a_lost_connection_is_closed(server: Server) -> None:
    db = link.ServerLink("url", 7).held()
    server.answers["value"] = (ExecStatus.TUPLES_OK, "ü".encode())
    server.answers["null"] = (ExecStatus.TUPLES_OK, None)
    assert [link._ask(db, sql) for sql in ("value", "null", "done")] == ["ü", "", ""]
    server.answers["no"] = (ExecStatus.FATAL_ERROR, "refused")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        link._ask(db, "no")
    assert not db.raw.closed
    server.answers["no"] = (ExecStatus.FATAL_ERROR, "lost")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        link._ask(db, "no")
    assert db.raw.closed


def test_what_is_done_at_once_is_done_on_the_present_connection_too(server: Server) -> None:
    one = link.ServerLink("url", 7)
    made = one.held()
    seen: list[object] = []
    one.at_once(seen.append)
    assert seen == []
    assert one.held() is made
    one.held()
    assert seen == [made]


# --- the life of an engine ----------------------------------------------------------------------


def test_a_life_begins_unsteady_and_with_nothing_said(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    links: list[Any] = []

    class Link(FakeLink):
        def __init__(self, *values: object, **settings: object) -> None:
            super().__init__()
            links.append((values, settings))
            self.due: list[Any] = []
            self.heard: list[Any] = []

        def at_once(self, function: Any) -> None:
            self.due.append(function)

        def hear(self, receive: Any) -> None:
            self.heard.append(receive)

        def close(self) -> None:
            self.asked.append("closed")

    monkeypatch.setattr(pulse, "ServerLink", Link)
    life = pulse.Pulse("url", 7)
    assert links == [(("url", 7), {"synchronous_commit": "off"})]
    assert (life.leases, life.is_dead, life.draining, life.signs) == (0, False, False, 0)
    assert life.steady_since == life._beat_at == life._awake_at == clock.now
    notes: Any = life._link
    present: list[int] = []
    monkeypatch.setattr(engines, "be_present", lambda _db, number: present.append(number))
    clock.now += 50.0
    notes.due[0](None)  # a new connection: nobody is judged yet
    assert (present, life.steady_since) == ([7], clock.now)
    life.hear()
    for text in ("8 lore harbour of stones", "7 lore x", "70 branch s", "", "8 nonsense"):
        notes.heard[0](text)
    assert sorted(life.news()) == [
        ("", ""), ("", ""), ("branch", "s"), ("lore", "harbour of stones")
    ]  # fmt: skip
    assert life.news() == []
    life.stop()  # one that never began
    assert (notes.asked, life._stop.is_set()) == (["closed"], True)


def test_signs_of_life_are_given_by_one_thread_until_it_is_stopped(
    life: pulse.Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class Thread(SimpleNamespace):
        def start(self) -> None:
            made.append(self)

        def join(self) -> None:
            made.append("joined" if life._stop.is_set() else "too early")

    monkeypatch.setattr(pulse, "threading", SimpleNamespace(Thread=Thread))
    life._link.close = lambda: made.append("closed")  # type: ignore[method-assign]
    life.start()
    life.start()
    assert (len(made), made[0].target, made[0].daemon) == (1, life._run, True)
    life.stop()
    assert made[1:] == ["joined", "closed"]


def test_a_sign_says_whether_the_engine_is_ending(
    life: pulse.Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, bool]] = []

    def beat(_db: object, number: int, *, draining: bool) -> int:
        given.append((number, draining))
        return 5

    monkeypatch.setattr(engines, "beat", beat)
    monkeypatch.setattr(engines, "leases_of", lambda _db, number: number + 100)
    none: Any = None
    assert life.show(none) == 5
    life.draining = True
    assert life.show(none) == 5
    assert given == [(7, False), (7, True)]
    assert life._look(none) == 107


def test_the_dead_that_are_gone_too_are_declared_dead(
    life: pulse.Pulse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    buried: list[bool] = []

    def bury(_db: object, *, gone: bool) -> list[str]:
        buried.append(gone)
        return ["east"]

    monkeypatch.setattr(engines, "bury", bury)
    none: Any = None
    pulse._bury(none)
    assert buried == [True]
    assert "the engine east is dead" in caplog.text


def test_the_next_look_is_due_when_the_first_of_both_is_and_never_in_the_past(
    life: pulse.Pulse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    life._beat_at, life._tried_at, life._looked_at = 200.0, 198.0, 199.5
    assert life._due_at() == 199.5 + engines.BEAT_S
    life._beat_at = 199.0
    assert life._sign_due_at() == life._due_at() == 199.0 + engines.BEAT_S
    life._tried_at = 199.25
    assert life._due_at() == 199.25 + engines.BEAT_S
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 2

    turns: list[float] = []
    monkeypatch.setattr(life._stop, "wait", wait)
    monkeypatch.setattr(life, "turn", turns.append)
    clock.now = 300.0
    life._run()
    assert (waits, turns) == ([0.0, 0.0], [300.0])


def test_a_look_that_failed_is_not_repeated_at_once(life: pulse.Pulse, clock: Clock) -> None:
    def away(_: object) -> int:
        raise StoreError("away")

    life._link.read = away  # type: ignore[assignment,method-assign]
    clock.now += engines.BEAT_S
    with pytest.raises(StoreError):
        life.turn(clock.now)
    assert (life._tried_at, life._looked_at, life.signs) == (clock.now, clock.now, 0)
    assert life._due_at() == clock.now + engines.BEAT_S


def test_flushes_before_the_first_sign_put_it_off_by_nothing(life: pulse.Pulse, clock: Clock) -> None:
    clock.now += 0.75
    before = life._beat_at
    life.showed(clock.now)
    assert life._beat_at == before
    assert turn(life, clock, 0.25) == ["show"]
    assert life._beat_at == clock.now


def test_a_new_engine_ends_nothing_of_the_dead_at_once(
    life: pulse.Pulse, server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(database, "time", clock)
    made = database.PostgresDatabase("url", tmp_path / "flower.db", Inline(), 7)
    assert made._orphans_at == clock.now + database.ORPHANS_S
    assert (made._played, made._opened) == (Counter(), set())
    made._heard("lore", "harbour")  # nobody follows


async def test_a_lease_is_noted_before_it_is_asked_for_and_not_kept_when_refused(
    engine: database.PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[tuple[int, bool]] = []

    def take(_db: object, story: str, opens: bool) -> tuple[int, ...]:
        played.append((engine._played[story], opens))
        return (3,)

    monkeypatch.setattr(engine, "_take", take)
    assert await engine.lease("s", opens=False) == (3,)
    assert (engine._opened, engine._played) == (set(), Counter({"s": 1}))
    assert await engine.lease("s") == (3,)
    assert (engine._opened, engine._played, played) == (
        {"s"},
        Counter({"s": 2}),
        [(1, False), (2, True)],
    )
    link_of(engine).errors = [StoreError("away")]
    with pytest.raises(StoreError, match="away"):
        await engine.lease("t")
    assert (engine._opened, engine._played) == ({"s"}, Counter({"s": 2}))


@pytest.fixture
def holders(monkeypatch: pytest.MonkeyPatch) -> list[engines.Holder | None]:
    """Who plays a story, one after the other as it is asked."""
    answers: list[engines.Holder | None] = []
    monkeypatch.setattr(engines, "holder", lambda *_: answers.pop(0))
    monkeypatch.setattr(engines, "elsewhere", lambda *_: "east:1")
    monkeypatch.setattr(engines, "take", lambda *_: True)
    monkeypatch.setattr(engines, "bury", lambda _: pytest.fail("nobody is dead"))
    monkeypatch.setattr(streaming_text, "recover_story", lambda *_: (5, 6))
    monkeypatch.setattr(paths, "forget", lambda *_: None)
    return answers


EAST = engines.Holder(8, "east", "east:1", dead=False)
OWN = engines.Holder(7, "here", "", dead=False)
NONE: Any = None


def test_a_story_that_nobody_plays_is_taken(
    engine: database.PostgresDatabase,
    holders: list[engines.Holder | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holders += [None, None, None, None]
    assert engine._take(NONE, "s", True) == (5, 6)
    assert engine._take(NONE, "s", False) == ()
    engine._pulse.draining = True
    with pytest.raises(ElsewhereError, match="about to stop") as refused:
        engine._take(NONE, "s", True)
    assert refused.value.address == "east:1"
    engine._pulse.draining = False
    monkeypatch.setattr(engines, "take", lambda *_: False)  # another one was quicker
    with pytest.raises(ElsewhereError, match="plays this story"):
        engine._take(NONE, "s", True)


def test_a_story_of_this_engine_is_brought_up_to_date_once(
    engine: database.PostgresDatabase,
    holders: list[engines.Holder | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forgotten: list[str] = []
    monkeypatch.setattr(paths, "forget", lambda _, story: forgotten.append(story))
    monkeypatch.setattr(engines, "take", lambda *_: pytest.fail("it is ours"))
    holders += [OWN, OWN, OWN]
    engine._pulse.draining = True  # what is here stays here
    assert engine._take(NONE, "s", True) == (5, 6)
    engine._opened.add("s")
    assert engine._take(NONE, "s", True) == ()
    engine._opened = {"t"}
    assert engine._take(NONE, "s", False) == ()
    assert forgotten == ["s", "s"]


@pytest.mark.parametrize(("dead", "steady", "buried"), [
    (False, True, ["east"]), (True, False, ["east"]), (True, True, []),
])  # fmt: skip
def test_a_story_of_another_engine_is_there_unless_that_one_is_dead(
    engine: database.PostgresDatabase, holders: list[engines.Holder | None], monkeypatch: pytest.MonkeyPatch,
    dead: bool, steady: bool, buried: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(pulse.Pulse, "is_steady", steady)
    monkeypatch.setattr(engines, "bury", lambda _: buried)
    holders.append(engines.Holder(8, "east", "east:1", dead=dead))
    with pytest.raises(ElsewhereError, match="the engine east plays this story") as refused:
        engine._take(NONE, "s", True)
    assert refused.value.address == "east:1"


def test_the_story_of_an_engine_that_was_buried_is_taken(
    engine: database.PostgresDatabase,
    holders: list[engines.Holder | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse.Pulse, "is_steady", True)
    monkeypatch.setattr(engines, "bury", lambda _: ["east"])
    holders += [engines.Holder(8, "east", "east:1", dead=True), None]
    assert engine._take(NONE, "s", True) == (5, 6)


async def test_an_engine_looks_after_its_stories_until_it_counts_as_dead(
    engine: database.PostgresDatabase, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    begun, done = trio.current_time(), []
    monkeypatch.setattr(engine._pulse, "start", lambda: done.append("start"))
    monkeypatch.setattr(engine._pulse, "awake", lambda: done.append("awake"))

    async def look_after() -> None:
        done.append("look")
        engine._pulse.is_dead = done.count("look") == 3

    monkeypatch.setattr(engine, "_look_after", look_after)
    await engine.keep_alive()
    assert done == ["start", *["awake", "look"] * 3]
    assert trio.current_time() - begun == pytest.approx(3 * engines.BEAT_S)


async def test_what_is_asked_of_a_server_is_asked_with_all_that_was_said(
    engine: database.PostgresDatabase,
) -> None:
    def ask(_db: object, /, *values: int, **names: int) -> tuple[object, ...]:
        return (*values, names)

    for way in (engine.read, engine.write, engine.write_batched):
        assert await way(ask, 3, 4, more=5) == (3, 4, {"more": 5})


def test_a_connection_to_a_server_begins_nothing_and_notices_within_a_quarter_of_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[str, dict[str, Any]]] = []
    dumpers: list[tuple[type, type]] = []
    adapters = SimpleNamespace(register_dumper=lambda kind, dumper: dumpers.append((kind, dumper)))

    def connect(url: str, **settings: Any) -> Any:
        made.append((url, settings))
        return SimpleNamespace(adapters=adapters)

    monkeypatch.setattr(psycopg, "connect", connect)
    raw = connection_module.connect("url", {"flower.engine": "7", "search_path": "flower"})
    ((url, settings),) = made
    assert (url, settings["options"]) == ("url", "-c flower.engine=7 -c search_path=flower")
    assert (settings["autocommit"], settings["prepare_threshold"], settings["keepalives"]) == (
        True,
        0,
        1,
    )
    silent_s = (
        settings["keepalives_idle"] + settings["keepalives_interval"] * settings["keepalives_count"]
    )
    assert silent_s < 15
    assert settings["tcp_user_timeout"] == 15_000  # ms
    assert raw.prepared_max == 1000
    assert [kind for kind, _ in dumpers] == [str, int, bool]
