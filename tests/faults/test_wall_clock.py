"""A wall clock that jumps, as a Raspberry Pi's does that has none of its own: the story does not notice.

A small library, preloaded into the engine, moves its wall clock alone. Needs a C compiler.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import trio

from tests.engine_process import Wire, begin_story, connected, engine, make_home, output

COMPILER = shutil.which(os.environ.get("CC", "cc"))
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")

HOUR, YEAR = 3600, 365 * 24 * 3600
JUMPS = {
    "back an hour": -HOUR,
    "ahead a year": YEAR,
    "to 1970": -int(time.time()) + 100,
    "to 2099": 4_070_908_800 - int(time.time()),
    "right again": 0,
}
NEGATIVE = re.compile(r"(?<![\w.-])-\d|\bNone\b|\bnan\b")


class Clock:
    """The wall clock of the engines of one home."""

    def __init__(self, tmp_path: Path, shim: Path) -> None:
        self._file = tmp_path / "clock"
        self.environ = {"LD_PRELOAD": str(shim), "FLOWER_CLOCK_FILE": str(self._file)}

    def wrong_by(self, seconds: int) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(str(seconds))
        draft.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    shim = tmp_path / "clock_shim.so"
    source = Path(__file__).with_name("clock_shim.c")
    assert COMPILER is not None
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-O1", "-o", str(shim), str(source), "-ldl"], check=True
    )
    return Clock(tmp_path, shim)


async def test_a_story_does_not_notice_jumps_of_the_clock(tmp_path: Path, clock: Clock) -> None:
    """Between lines and in the middle of replies; afterwards everything is there, in its order."""
    home = tmp_path / "home"
    make_home(home, "narrator:\n  seed: 7\n  words_per_s: 800\n")
    said: list[tuple[str, str]] = []
    told: list[str] = []
    async with engine(home, environ=clock.environ) as running, connected(running) as wire:
        await begin_story(wire)
        await wire.say('/clock add "The tide" 6 every 2h')
        for name, jump in JUMPS.items():
            for moment in ("between", "in mid reply"):
                line = f"I look at the sky, {name}, {moment}."
                if moment == "between":
                    clock.wrong_by(jump)
                await wire.say(line)
                with trio.fail_after(20):
                    if moment == "between":
                        text = await wire.reply()
                    else:
                        _, metadata = await wire.until("chat_message")
                        if metadata["role"] == "user":
                            await wire.until("chat_message")
                        _, text, _ = await _piece(wire)
                        clock.wrong_by(0 if jump else HOUR)
                        text += await wire.reply()
                said += [("user", line), ("assistant", text)]
            for command in ("/clock", "/session list"):
                await wire.say(command)
                told.append((await wire.until("system_update"))[0])
        assert [row[:2] for row in running.messages() if row[0] != "system"][1:] == said
        session = (await _state(wire))["session_id"]
    assert not [text for text in told if NEGATIVE.search(text)], "nothing negative is shown"
    clock.wrong_by(-HOUR)
    async with engine(home, environ=clock.environ) as running, connected(running) as wire:
        await wire.say(f"/session continue {session}")
        _, history = await wire.until("chat_history")
        kept = [(m["role"], m["content"]) for m in history["history"] if m["role"] != "system"]
        assert kept[-len(said) :] == said, "the order is that of the telling, not that of the clock"
    assert "Traceback" not in output(home)


async def _piece(wire: Wire) -> tuple[str, str, dict[str, object]]:
    while True:
        event = await wire.receive()
        if event[0] == "chat_chunk":
            return event


async def _state(wire: Wire) -> dict[str, object]:
    await wire.say("/sync")
    _, metadata = await wire.until("sync_state")
    return metadata
