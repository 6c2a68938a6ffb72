"""The afternoon of somebody who brings a library along, played through the real face: in, played, out again.

Real processes, as what is promised holds between them: a folder that is watched, a screen, two engines.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from tests.engine_process import with_limits
from tests.long_story import afternoon, play


@pytest.mark.timeout(180)
def test_a_library_comes_in_is_played_and_goes_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the script says of the screen holds; the untouched chat is the same file, and another home has it all."""
    monkeypatch.setattr(play, "QUIET_S", 0.05)
    face = tuple(with_limits(NOTICE_S=1.0))  # news that wait for those before them, by the dozen
    with tempfile.TemporaryDirectory() as folder:  # whose name fits into a line of the screen
        player = afternoon.play_afternoon(Path(folder), program=face, verbose=False)
        here = afternoon.told(player.home)
        exports = {file.name: file.read_bytes() for file in (player.home / "exports").iterdir()}
    chats = afternoon.FILES / "chats"
    assert exports["corvin_solo.jsonl"] == (chats / "corvin_solo.jsonl").read_bytes()
    rows = [json.loads(row) for row in exports["corvin_solo (2).jsonl"].decode().splitlines()]
    assert rows[-2]["mes"].startswith("I go up to the lamp")
    assert [len(row.get("swipes", ())) for row in rows[1:6]] == [3, 0, 1, 0, 3]
    assert len(here) == 19
    assert player.read_back == here
    assert player.pty.child.returncode == 0
