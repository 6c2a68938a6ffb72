"""Small requests nobody watches: room for thinking, and no end of failures."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from flower.engine.provider.base import Completion, Finish, Reasoning, Text
from flower.engine.sessions import summaries
from flower.engine.sessions.summaries import SUMMARY_FAILURES
from flower.engine.token_counter import LEAST_SCALE, TokenCounter
from flower.protocol.messages import SystemUpdate
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider


class Thinking(ScriptedProvider):
    """Tells stories, but only thinks when it is asked for a summary."""

    def open(self, completion: Completion):  # type: ignore[no-untyped-def]  # as its parent
        tale = "".join(f"Wave {number} of the tide moves past the pier, " for number in range(30))
        self.pieces = (
            [Reasoning("hm"), Finish("done")] if completion.quiet else [Text(tale), Finish("done")]
        )
        return super().open(completion)


async def test_summaries_that_fail_are_tried_less_and_less(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """After two failures in a row the story waits, longer each time, and it is said once."""
    provider = Thinking()
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        for number in range(60):
            await face.say_and_wait(f"Line {number}: I go on.")
            await trio.sleep(5)
    asked = sum(completion.quiet for completion in provider.completions)
    assert SUMMARY_FAILURES < asked <= 6
    told = [event for event in face.of(SystemUpdate) if "summarise" in event.content]
    assert len(told) == 1
    room = {c.max_tokens for c in provider.completions if c.quiet}
    assert min(room) > summaries.SUMMARY_TOKENS


@pytest.mark.parametrize("share", [0.1, 0.3, 0.4, 0.6])
def test_prompts_reported_without_what_was_cached_teach_nothing(share: float) -> None:
    """A counter that believed them would send far more than fits."""
    counter = TokenCounter()
    for _ in range(20):
        counter = counter.calibrated(4_000, int(4_000 * share))
    assert counter.scale >= LEAST_SCALE
    checked = TokenCounter().calibrated(4_000, 4_000)
    for _ in range(20):
        checked = checked.calibrated(4_000, int(4_000 * share))
    assert checked.scale == 1.0


@pytest.mark.parametrize("mad", [10**4, 10**9, 10**30])
def test_one_mad_count_shortens_no_later_prompt(mad: int) -> None:
    """A provider that once reports nonsense is believed for no prompt after the next sane report."""
    assert TokenCounter().calibrated(1_000, mad).calibrated(2_500, 1_000).scale == pytest.approx(1.0)
    sane = TokenCounter().calibrated(1_000, 1_000)
    assert sane.calibrated(1_000, mad) == sane


def test_counts_rise_at_once_and_fall_slowly() -> None:
    """Too little costs an answer, too much a little of the history."""
    counter = TokenCounter().calibrated(1_000, 900)
    assert counter.calibrated(1_000, 1_300).scale == pytest.approx(0.9 * 1.3)
    assert counter.scale > counter.calibrated(1_000, 950).scale > 0.9 * 0.95
