"""Small rules of an engine at a PostgreSQL server, without one: batches, leases, what it watches."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import trio
from psycopg.pq import ExecStatus
from trio.testing import MockClock

from flower.engine.store import paths, streaming_text
from flower.engine.store.postgres import connection as connection_module
from flower.engine.store.postgres import database, engines, link, pulse, upgrade
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline, OneThread
from flower.errors import ElsewhereError, StoreError
from tests.server_fakes import (
    BEGIN,
    Clock,
    Server,
    link_of,
)


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
