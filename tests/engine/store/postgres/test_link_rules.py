"""Small rules of a link to a PostgreSQL server, without one: trying again, lost commits, bounds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.pq import ExecStatus

from flower.engine.store import paths
from flower.engine.store.postgres import link
from flower.errors import ElsewhereError, StoreError
from tests.server_fakes import (
    BEGIN,
    Clock,
    Server,
)


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
