"""Files that people write are read when they change; what is wrong with them is told until it is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import trio

from flower.engine.reconfigure import changed, stamps
from flower.errors import ConfigError
from flower.home import Home, change_setting, load_config
from tests.engine_process import Wire, connected, engine


async def said(wire: Wire, words: str) -> tuple[str, dict[str, Any]]:
    """Returns the next update whose text has ``words``, with its state."""
    with trio.fail_after(20):
        while True:
            event, content, state = await wire.receive()
            if event in ("system_update", "error") and words in content:
                return content, state


async def test_a_saved_world_is_there_without_a_signal_and_its_mistakes_are_told(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    async with engine(home) as running, connected(running) as wire:
        await wire.until("sync_state")
        (home / "assets" / "worlds" / "cave.yaml").write_text(
            "id: cave\nname: The Cave\nstart_mesage: Hm.\n"
        )
        content, state = await said(wire, "worlds/cave.yaml")
        assert "start_message" in content
        assert len(state["problems"]) == 1
        (home / "assets" / "worlds" / "cave.yaml").write_text(
            "id: cave\nname: The Cave\nstart_message: Hm.\n"
        )
        content, state = await said(wire, "Read again")
        assert state["problems"] == []
        await wire.say("/world select cave")
        await said(wire, "Cave")


async def test_a_wrong_setting_is_told_whole_and_the_old_ones_stay(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with engine(home) as running, connected(running) as wire:
        await wire.until("sync_state")
        before = (home / "config.yaml").read_text()
        (home / "config.yaml").write_text(
            "promt: 1\ntui: {them: x, text_width: 1}\nengine: {port: x}\n"
        )
        content, state = await said(wire, "stay as they were")
        assert "did you mean 'prompt'" in content
        assert [problem.partition("line ")[2][0] for problem in state["problems"]] == [
            "1",
            "2",
            "2",
            "3",
        ]
        await wire.say("/problems")
        content, _ = await said(wire, "4 things to mend")
        assert content.count("config.yaml, line") == 4
        (home / "config.yaml").write_text(before)
        _, state = await said(wire, "Read again")
        assert state["problems"] == []


async def test_settings_are_shown_changed_and_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with engine(home) as running, connected(running) as wire:
        await wire.until("sync_state")
        with (home / "config.yaml").open("a") as file:
            file.write("# mine\ngroq_api_key: gsk-very-secret\n")
        await wire.say("/reload")
        await said(wire, "read again")
        await wire.say("/settings")
        content, state = await said(wire, "The settings in")
        assert "gsk-very-secret" not in content
        told = {option["name"]: option for option in state["settings"]}
        assert told["groq_api_key"]["value"] == "set"
        assert told["groq_api_key"]["locked"]
        assert "gsk-very-secret" not in str(state["settings"])
        await wire.say("/settings prompt.reply_tokens 5")
        await said(wire, "a whole number from 16 to 100000")
        await wire.say("/settings groq_api_key gsk-other")
        await said(wire, "is a secret")
        await wire.say("/settings reply_tokens 500")
        await said(wire, "prompt.reply_tokens is 500")
        written = (home / "config.yaml").read_text()
        assert "# mine" in written
        assert "reply_tokens: 500" in written
        await wire.say("/settings prompt.reply_tokens default")
        await said(wire, "prompt.reply_tokens is 800")
        await wire.say("/settings reply_tokns 5")
        await said(wire, "Did you mean prompt.reply_tokens?")


async def test_whoever_has_the_token_changes_the_game_but_not_who_comes_in(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with engine(home) as running, connected(running) as wire:
        await wire.until("sync_state")
        await wire.say("/settings engine.trust_local_users true")
        await said(wire, "engine.trust_local_users is true")
    from flower.engine.commands.program import _may
    from flower.engine.sessions.outbox import Outbox
    from flower.engine.sessions.rights import OWNER, STRANGER, TRUSTED
    from flower.engine.sessions.session import Client
    from flower.engine.store.selections import Selection
    from flower.settings import descriptions
    from flower.settings.config import Config

    every = descriptions.every(Config())

    def may(rights: str) -> set[str]:
        client = Client(Outbox(), Selection(""), lambda: None, rights)
        return {one.name for one in every if _may(client, one)}

    assert may(STRANGER) == set()
    assert {"prompt.reply_tokens", "narrator.seed"} <= may(TRUSTED)
    assert not may(TRUSTED) & {
        "lore.roots",
        "engine.host",
        "openai_base_url",
        "engine.trust_local_users",
    }
    assert may(OWNER) == {one.name for one in every}


def test_every_file_that_people_write_is_looked_at(home: Home) -> None:
    for name in ("worlds", "characters", "rules", "phrases"):
        (home.assets / name).mkdir(exist_ok=True)
    before = stamps(home)
    written = [
        home.config,
        home.assets / "system_rules.yaml",
        *(home.assets / name / "new.yaml" for name in ("worlds", "characters", "rules", "phrases")),
    ]
    for path in written:
        path.write_text("# new")
    (home.assets / "worlds" / ".#new.yaml").write_text("an editor's")
    assert changed(before, stamps(home)) == tuple(sorted(written))


def test_a_setting_is_written_whole_or_not_at_all(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = home.config.read_text()
    with pytest.raises(ConfigError, match="from 20 to 500"):
        change_setting(home, "tui.text_width", 3, {})
    assert home.config.read_text() == before

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(ConfigError, match="No space left"):
            change_setting(home, "tui.text_width", 80, {})
    assert home.config.read_text() == before
    assert [path.name for path in home.root.iterdir() if "config" in path.name] == ["config.yaml"]
    assert change_setting(home, "tui.text_width", 80, {}).tui.text_width == 80
    assert load_config(home, {}).tui.text_width == 80
    assert home.config.stat().st_mode & 0o777 == 0o600


def test_a_config_that_is_a_link_stays_one(home: Home, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.yaml"
    home.config.rename(real)
    home.config.symlink_to(real)
    change_setting(home, "tui.theme", "night", {})
    assert home.config.is_symlink()
    assert "theme: night" in real.read_text()
