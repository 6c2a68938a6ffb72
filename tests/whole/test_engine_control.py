"""The engine of a home is seen and stopped from the shell, with exit codes that scripts can use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from flower.errors import LaunchError
from flower.home import Home
from flower.shell import engine_control
from tests.engine_process import engine, make_home


@pytest.mark.parametrize("token", ["", "  token: very-secret-token\n"])
async def test_a_running_engine_is_shown_and_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], token: str
) -> None:
    folder = tmp_path / "home"
    make_home(folder, f"engine:\n  linger_s: 5\n{token}")
    home = Home(folder)
    async with engine(folder) as running:
        code = await trio.to_thread.run_sync(engine_control.status, home, os.environ)
        out = capsys.readouterr().out
        assert code == 0, out
        assert str(folder) in out
        assert running.url in out
        assert "Clients: 0\n" in out
        assert "Stories: 0 stories open" in out
        assert "MiB" in out
        assert "very-secret" not in out
        assert await trio.to_thread.run_sync(engine_control.stop, home) == 0
        assert "has stopped" in capsys.readouterr().out
        assert await running.process.wait() == 0
    assert engine_control.status(home, os.environ) == engine_control.NOT_RUNNING
    assert engine_control.stop(home) == engine_control.NOT_RUNNING


def test_without_an_engine_both_say_so(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert engine_control.status(home, os.environ) == 3
    assert "not running" in capsys.readouterr().out
    assert engine_control.stop(home) == 3
    assert "No engine runs" in capsys.readouterr().out


def test_who_does_not_answer_is_told(home: Home) -> None:
    with pytest.raises(LaunchError, match="does not answer"):
        engine_control.ask(home, "ws://127.0.0.1:1/ws/rpc", os.environ)
    with pytest.raises(LaunchError, match="does not answer"):
        engine_control.ask(home, f"unix:{home.run}/none.sock", os.environ)


def test_numbers_are_words() -> None:
    told = {
        "version": "1",
        "started": 0.0,
        "clients": 2,
        "stories": 1,
        "turns": 1,
        "memory_bytes": 2**21,
    }
    rows = engine_control.rows(told, 3 * 3600.0)
    assert rows[0] == "Version: 1, up for 3 h"
    assert "1 story open, 1 reply being written" in rows[2]
    assert rows[4].startswith("Memory:  2 MiB")
