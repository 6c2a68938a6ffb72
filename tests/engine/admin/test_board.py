"""What ``flower doctor`` says about cards, power and clocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flower.engine.admin import board


def ticks(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


@pytest.mark.parametrize(("step", "advised"), [(0.002, False), (0.2, False), (0.3, True), (4.0, True)])
def test_a_slow_card_is_named_and_a_usual_one_is_not(
    tmp_path: Path, step: float, advised: bool
) -> None:
    clock = ticks(step)
    taken = board.sync_times(tmp_path, lambda: next(clock))
    assert len(taken) == board.SYNCS
    assert list(tmp_path.iterdir()) == [], "the probe is gone"
    found, advice = board.judged_syncs(taken)
    assert f"{step * 1000:.1f} ms" in found
    assert bool(advice) is advised


@pytest.mark.parametrize(
    ("word", "found", "advice"),
    [
        ("throttled=0x0\n", "enough", ""),
        ("throttled=0x50005\n", "too little power now, throttled now", "power supply"),
        ("throttled=0x50000\n", "too little power since it was switched on", "power supply"),
        ("throttled=0x8\n", "too hot now", "cool"),
        ("garbage", "not known", ""),
        ("", "not known", ""),
    ],
)
def test_throttling_is_read_as_the_board_means_it(word: str, found: str, advice: str) -> None:
    said, what_to_do = board.throttling(word)
    assert said.startswith(found)
    assert advice in what_to_do
    assert bool(advice) == bool(what_to_do)


def test_a_clock_that_was_never_set_is_seen() -> None:
    assert board.clock(0.0)[1].startswith("it was never set")
    assert board.clock(board.EARLIEST + 1)[1] == ""


def test_without_the_boards_tool_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert board.asked_throttling() is None
    tool = tmp_path / "vcgencmd"
    tool.write_text("#!/bin/sh\necho throttled=0x1\n")
    tool.chmod(0o755)
    assert board.asked_throttling() == "throttled=0x1\n"
