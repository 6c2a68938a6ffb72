"""A PostgreSQL server, a link to it and its clock, played in memory, for rules that need no server."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.pq import ConnStatus, ExecStatus

from flower.engine.store.postgres import database, engines, link, pulse
from flower.engine.store.transactions import Inline


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


class Clock(SimpleNamespace):
    """Time that goes by when somebody sleeps or says so."""

    def __init__(self) -> None:
        super().__init__(now=100.0, slept=[])

    def monotonic(self) -> float:
        return float(self.now)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


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


def link_of(engine: database.PostgresDatabase) -> Any:
    return engine._link


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


BEGIN = engines.beginning(7)


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(psycopg, "RawCursor", lambda raw: raw.cursor)
    return FakeRaw


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(link, "time", made)
    monkeypatch.setattr(pulse, "time", made)
    return made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Server:
    made = Server()
    monkeypatch.setattr(link, "connect", made.connect)
    monkeypatch.setattr(psycopg, "RawCursor", lambda raw: raw.cursor)
    monkeypatch.setattr(
        psycopg.errors, "error_from_result", lambda _: psycopg.OperationalError("refused")
    )
    return made


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> pulse.Pulse:
    monkeypatch.setattr(pulse, "ServerLink", FakeLink)
    return pulse.Pulse("url", 7)


@pytest.fixture
def engine(life: pulse.Pulse) -> database.PostgresDatabase:
    made = database.PostgresDatabase.__new__(database.PostgresDatabase)
    made._run, made._number, made._batch, made._pulse = Inline(), 7, None, life
    made._played, made._opened, made._orphans_at = Counter(), set(), 1e9
    made._link = FakeServerLink()  # type: ignore[assignment]
    return made
