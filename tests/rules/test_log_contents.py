"""What a log tells, and how long it grows.

No story at the usual level; at debug level the lore and memories that were recalled.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from tests.engine_process import connected, engine, make_home, output, with_limits

LINE = "I ask the quenchless miller about zibeline."
LOG_BYTES = 200  # a tiny limit: the two lines that an engine begins with are beyond it, the two of its end are not
LORE = "The zibeline coat of the quenchless miller hangs in the abbey."


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_a_log_holds_no_story_unless_it_is_asked_for(tmp_path: Path, level: str) -> None:
    home = tmp_path / "home"
    make_home(home, "narrator:\n  seed: 7\n  words_per_s: 1000\n")
    async with (
        engine(home, environ={"FLOWER_LOG": level}) as running,
        connected(running) as wire,
    ):
        await wire.say("/world select orrinsay")
        await wire.say("/session new")
        _, history = await wire.until("chat_history")
        opening = history["history"][0]["content"]
        await wire.say(f"/world attach_lore {LORE}")
        await wire.say(LINE)
        reply = await wire.reply()
        await wire.say('{"prompt": ')  # broken frames, unknown commands and models are logged too
        await wire.say(f"/model {LINE}")
        await wire.say("/nonsense zibeline")
        await wire.say("/sync")
        await wire.until("sync_state")
        running.process.terminate()
        with trio.fail_after(6):
            await running.process.wait()
    log = output(home)
    assert "ready url=" in log
    for text in (LINE, reply, opening):
        assert not [part for part in text.split(". ") if len(part) > 20 and part in log]
    assert ("zibeline" in log) == (level == "debug"), "recalled lore is for people who tune a world"
    assert (json.dumps(LORE) in log or repr(LORE) in log) == (level == "debug")


async def test_a_log_is_bounded_while_the_engine_runs(tmp_path: Path) -> None:
    """The older lines are set aside once, the newest are there: no long night fills a disk."""
    home = tmp_path / "home"
    make_home(home)
    (home / "logs").mkdir()
    log = home / "logs" / "engine.log"
    program = with_limits(ENGINE_LOG_BYTES=LOG_BYTES)
    async with engine(home, program=["sh", "-c", f'exec "$@" >>{log} 2>&1', "sh", *program]) as running:
        async with connected(running) as wire:
            await wire.until("system_update")
        running.process.terminate()
        with trio.fail_after(6):
            await running.process.wait()
    files = sorted((home / "logs").iterdir())
    assert [path.name for path in files] == ["engine.log", "engine.log.1"]
    newer, older = (path.read_text() for path in files)
    assert "ready url=" in older
    assert "stopping" in newer
    most = 4 * LOG_BYTES  # the record that goes beyond is still written
    assert max(len(newer), len(older)) < most
