"""How long an engine lives that was started for a face."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from flower.engine.server.lifetime import Lifetime

LINGER_S = 1800.0


async def over_at(
    lifetime: Lifetime, visits: list[tuple[float, float, bool]], idle_at: float = 0.0
) -> float:
    """Returns when the engine would stop. A visit: (comes, goes, says goodbye)."""

    async def wait_idle() -> None:
        await trio.sleep_until(max(idle_at, trio.current_time()))

    async def visit(comes: float, goes: float, goodbye: bool) -> None:
        await trio.sleep_until(comes)
        with lifetime.client() as guest:
            await trio.sleep_until(goes)
            if goodbye:
                guest.leave()

    async with trio.open_nursery() as nursery:
        for comes, goes, goodbye in visits:
            nursery.start_soon(visit, comes, goes, goodbye)
        with trio.move_on_at(100_000) as never:
            await lifetime.wait_over(wait_idle)
        stopped = trio.current_time()
        nursery.cancel_scope.cancel()
    return math.inf if never.cancelled_caught else stopped


@pytest.mark.parametrize(
    ("visits", "idle_at", "expected"),
    [
        ([(1, 10, True)], 0, 10),  # quitting the last face ends it
        ([(1, 10, True)], 25, 25),  # ... after the reply that is still streaming
        ([(1, 10, False)], 0, 10 + LINGER_S),  # the SSH link dropped
        ([(1, 10, False), (500, 600, True)], 0, 600),  # ... and came back in time
        ([(1, 10, True), (5, 50, True)], 0, 50),  # two faces: the last one counts
        ([(1, 10, True), (20, 30, True)], 25, 30),  # a face that comes while the last reply streams
        ([], 0, LINGER_S),  # the face that started it never came
    ],
)
async def test_a_managed_engine_ends_when_nobody_is_expected(
    autojump_clock: MockClock, visits: list[tuple[float, float, bool]], idle_at: float, expected: float
) -> None:
    lifetime = Lifetime(managed=True, linger_s=LINGER_S)
    assert await over_at(lifetime, visits, idle_at) == expected


async def test_an_engine_started_by_hand_stays(autojump_clock: MockClock) -> None:
    lifetime = Lifetime(managed=False, linger_s=LINGER_S)
    assert await over_at(lifetime, [(1, 10, True)]) == math.inf
