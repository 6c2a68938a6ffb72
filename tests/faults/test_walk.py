"""Twelve seconds of anybody sending anything to a real engine; ten minutes with --faults.

The seed is printed; ``FLOWER_WALK_SEED=N`` takes the same steps again. How they fall between the engine's own is
up to the machine.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine_process import output
from tests.walk import Walk, seed_given


async def take(tmp_path: Path, seconds: float, seed: int) -> Walk:
    walk = Walk(tmp_path / "home", seed)
    try:
        await walk.run(seconds)
    except BaseException as error:
        error.add_note(f"FLOWER_WALK_SEED={seed}, the newest step: {walk.last}, {walk.figures()}")
        error.add_note(output(walk.home)[-3000:])
        raise
    print(f"FLOWER_WALK_SEED={seed}: {walk.figures()}")
    return walk


@pytest.mark.timeout(120)
async def test_anybody_may_send_anything(tmp_path: Path) -> None:
    walk = await take(tmp_path, 12, seed_given())
    assert walk.seen["steps"] > 12
    assert walk.seen["frames heard"] > 12, "else nobody was there"


@pytest.mark.faults
@pytest.mark.timeout(1200)
async def test_anybody_may_send_anything_for_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = await take(tmp_path, 600, seed_given())
    with capsys.disabled():
        print(f"\nwalked: {walk.figures()}")
    assert walk.acknowledged
    assert walk.seen["replies ended"]
