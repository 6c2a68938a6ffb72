"""Small rules of the signs of life of an engine at a PostgreSQL server, without one."""

from __future__ import annotations

import pytest

from flower.engine.store.postgres import engines, pulse
from tests.server_fakes import Clock, is_steady, turn


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
