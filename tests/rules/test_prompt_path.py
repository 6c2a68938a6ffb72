"""How far one prompt travels: the modules of the engine that run between a line and its saved reply."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from trio.testing import MockClock

import flower.engine
from tests.engine_world import engine_world

ENGINE = Path(flower.engine.__file__).parent
# Whoever needs more of them for a prompt says here why: a card, lorebooks and secrets of the lore, settings of a
# story and phrases banned in it, whether whoever says the line may and what they use, whose a character is, what a
# client has chosen.
MOST_MODULES = 48


async def test_a_prompt_crosses_few_modules(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Counted while a line is answered, without the inside of recall and of a provider, which are scripted."""
    crossed: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(f"{ENGINE}/") and frame.f_code.co_name != "<module>":
            crossed[path.removeprefix(f"{ENGINE}/")] += 1

    async with engine_world(tmp_path / "db") as world:
        face = await world.playing()
        await face.say("/character select mara")
        sys.setprofile(count)
        try:
            await face.say_and_wait("I ring the bell.")
        finally:
            sys.setprofile(None)
        assert face.reasons == ["done"]
    print(f"{len(crossed)} modules:", *sorted(crossed), sep="\n  ")
    assert "sessions/turn.py" in crossed
    assert "prompt/request.py" in crossed
    assert len(crossed) <= MOST_MODULES
