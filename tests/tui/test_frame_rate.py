"""When frames are drawn while words come: most at once, and never more often than the rate says."""

from __future__ import annotations

import random
import statistics

import pytest

from flower.tui.drawing import FRAME_EARLY, FrameRate

HZ = 120.0


def drawn(arrivals: list[float]) -> tuple[list[float], list[float], int]:
    """Returns when frames were drawn, how long each word waited, and how many frames no word brought."""
    rate = FrameRate(HZ)
    frames: list[float] = []
    waits: list[float] = []
    pending: list[float] = []
    alone = 0

    def draw(now: float) -> None:
        frames.append(now)
        waits.extend(now - came for came in pending)
        pending.clear()
        rate.drawn(now)

    for now in [*arrivals, float("inf")]:
        if pending and rate.due < now:
            alone += 1
            draw(rate.due)
        if now < float("inf"):
            pending.append(now)
            if rate.allows(now):
                draw(now)
    return frames, waits, alone


def words(rate: float, seconds: float = 10.0) -> list[float]:
    """Words at an even rate that come up to 0.5 ms late."""
    late = random.Random(7)
    return [100.0 + number / rate + late.random() / 2000 for number in range(int(rate * seconds))]


def test_up_to_the_rate_no_word_waits() -> None:
    """At 50 and 100 words a second each is drawn in the step that brought it."""
    for rate in (50.0, 100.0):
        frames, waits, alone = drawn(words(rate))
        assert (len(frames), max(waits), alone) == (rate * 10, 0.0, 0)


@pytest.mark.parametrize("rate", [150.0, 200.0, 400.0, 3000.0])
def test_above_the_rate_words_share_frames(rate: float) -> None:
    """Many words: frames keep the rate, no word waits for two, and hardly a frame comes by itself."""
    frames, waits, alone = drawn(words(rate))
    assert len(frames) <= HZ * 10 + 2
    assert max(waits) <= (1 + FRAME_EARLY) / HZ + 1e-9
    assert statistics.median(waits) <= 0.005
    assert alone <= len(frames) * 0.25


def test_a_word_after_a_rest_is_drawn_at_once() -> None:
    """A rest gives no credit: the second word of a flood after it waits, the first one does not."""
    frames, waits, _ = drawn([100.0, 100.001, 100.002, 160.0, 160.001])
    assert waits[0] == waits[3] == 0.0
    assert frames[1] - frames[0] == pytest.approx(1 / HZ)
    assert len(frames) == 4
