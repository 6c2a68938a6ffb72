"""Small rules of how an engine at a PostgreSQL server begins, goes on and ends, without one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import trio
from trio.testing import MockClock

from flower.engine.store import paths, streaming_text
from flower.engine.store.postgres import connection as connection_module
from flower.engine.store.postgres import database, engines, pulse
from flower.engine.store.transactions import Inline
from flower.errors import ElsewhereError, StoreError
from tests.server_fakes import (
    Clock,
    FakeLink,
    Server,
    link_of,
    turn,
)


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
