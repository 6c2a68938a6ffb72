"""``/import`` on the screen: paths of this machine, completed as they are typed, and sent to the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from flower.client.events import LinkChanged
from flower.tui import user_files
from flower.tui.render.messages import StoryPane
from flower.tui.render.theme import load_theme
from flower.tui.state import bindings, commands
from flower.tui.state.effects import ImportFiles, ListPaths
from flower.tui.state.model import Model, PathsListed
from flower.tui.state.update import update
from flower.tui.term.inputs import Key, Paste
from tests import import_files as samples
from tests.engine_process import engine


def model() -> Model:
    theme = load_theme("mono", utf8=False)
    made = Model(80, 24, theme, StoryPane(theme), bindings.default())
    return update(made, LinkChanged("online"))[0]


def test_paths_are_looked_for_as_they_are_typed() -> None:
    """Once for each text, and an answer to an older text is not shown."""
    after, effects = update(model(), Paste("/import ~/ca"))
    assert effects == (ListPaths("~/ca"),)
    after, _ = update(after, PathsListed("~/c", ("~/other",)))
    assert after.paths == ()
    after, _ = update(after, PathsListed("~/ca", ("~/cards/", "~/cat.png")))
    found = commands.candidates(after)
    assert [(one.line, one.runs) for one in found] == [
        ("/import ~/cards/", False),
        ("/import ~/cat.png", True),
    ]
    after, effects = update(after, Paste("t.png"))
    assert effects == (ListPaths("~/cat.png"),)
    _, effects = update(after, Key("enter"))
    assert ImportFiles("~/cat.png") in effects


def test_other_lines_look_at_no_disk() -> None:
    """Only this command has to do with paths."""
    for line in ("/imported ~/x", "import ~/x", "/find ~/x"):
        assert not any(isinstance(effect, ListPaths) for effect in update(model(), Paste(line))[1])


def test_what_is_hidden_is_offered_only_when_it_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders end with a slash; what cannot be read is nothing."""
    (tmp_path / "cards").mkdir()
    (tmp_path / ".secret").write_text("")
    (tmp_path / "a b.png").write_text("")
    (tmp_path / "bad\x1b.png").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_files.paths_at("~/") == ("~/a b.png", "~/cards/")
    assert user_files.paths_at("~/.s") == ("~/.secret",)
    assert user_files.paths_at("~/cards/nothing/") == ()


async def test_a_path_with_spaces_is_sent_whole(tmp_path: Path) -> None:
    """What came of it is told, and what is wrong with the rest."""
    (tmp_path / "my cards").mkdir()
    samples.write(tmp_path / "my cards" / "ada.json", samples.card())
    (tmp_path / "my cards" / "broken.json").write_text("{")
    told: list[tuple[str, str]] = []

    async with engine(tmp_path / "home") as running:

        async def bring(typed: str) -> tuple[str, str]:
            await user_files.bring(typed, lambda: running.url, None, lambda *news: told.append(news))
            return told[-1]

        text, kind = await bring(str(tmp_path / "my cards"))
        assert (kind, text.splitlines()[0]) == ("bad", "✗ Imported: 1 new, 1 not imported.")
        assert "broken.json" in text
        assert "character Ada (ada)" in text
        assert (await bring(f"'{tmp_path}/my cards/ada.json'"))[1] == "good"
        assert "no file" in (await bring(str(tmp_path / "nothing")))[0]
        assert (await bring("'open"))[1] == "bad"


async def test_the_player_can_be_named(tmp_path: Path) -> None:
    """Where a chat does not say which speaker that is."""
    path = tmp_path / "cai.jsonl"
    path.write_text(
        '{"name": "A", "is_name": true, "mes": "Hi."}\n{"name": "B", "is_name": true, "mes": "Yo."}'
    )
    told: list[tuple[str, str]] = []
    async with engine(tmp_path / "home") as running:
        for typed in (str(path), f"--me B {path}"):
            await user_files.bring(typed, lambda: running.url, None, lambda *news: told.append(news))
    assert [kind for _, kind in told] == ["bad", "good"]
    assert "A, B" in told[0][0]
