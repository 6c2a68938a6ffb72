"""The user's files that shape the screen, and the user's editor."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from flower import limits
from flower.tui import user_files
from flower.tui.render.theme import Recipe
from flower.tui.state.model import Edited


def test_settings_and_own_themes_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("tui: {theme: dusk, bell: title, styles: {user: green}}")
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes" / "dusk.yaml").write_text('like: night\nquote: "#ff0000"')
    wishes = user_files.load_settings(tmp_path)
    assert (wishes.theme, wishes.bell, wishes.styles) == ("dusk", "title", {"user": "green"})
    assert wishes.own_themes == {"dusk": Recipe("night", {"quote": "#ff0000"})}
    assert wishes.problems == ()


@pytest.mark.parametrize("text", ["like: [", "- a", "user: 5", "user: {fg: red}"])
def test_a_broken_theme_is_named_and_the_others_work(tmp_path: Path, text: str) -> None:
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes" / "bad.yaml").write_text(text)
    (tmp_path / "themes" / "good.yaml").write_text("user: green")
    wishes = user_files.load_settings(tmp_path)
    assert list(wishes.own_themes) == ["good"]
    assert len(wishes.problems) == 1
    assert "themes/bad.yaml" in wishes.problems[0]


def test_a_broken_config_leaves_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("tui: {theme: 5}")
    wishes = user_files.load_settings(tmp_path)
    assert wishes.theme == "petal"
    assert "tui.theme" in wishes.problems[0]


def editor_in(folder: Path, *names: str) -> dict[str, str]:
    """Returns an environment whose only programs are ``names``."""
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder)}


def test_the_editor_that_was_chosen_wins(tmp_path: Path) -> None:
    environ = editor_in(tmp_path, "nano")
    assert user_files.editor_of({**environ, "EDITOR": "code -w"}) == "code -w"
    assert user_files.editor_of({**environ, "EDITOR": "ed", "VISUAL": "vim"}) == "vim"


@pytest.mark.parametrize("there", [("vi",), ("nano", "vi"), ("editor", "nano", "vi")])
def test_without_a_choice_the_first_installed_editor_is_taken(
    tmp_path: Path, there: tuple[str, ...]
) -> None:
    assert user_files.editor_of({**editor_in(tmp_path, *there), "EDITOR": " "}) == there[0]


def test_without_any_editor_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(user_files.EditorError, match="set EDITOR"):
        user_files.editor_of(editor_in(tmp_path))


def editing(folder: Path, script: str) -> dict[str, str]:
    """Returns an environment whose editor is a shell script; ``$1`` is the file."""
    path = folder / "edit.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"EDITOR": str(path)}


def forbidden(_edited: Edited) -> None:
    raise AssertionError("it was not cancelled")


async def test_what_the_editor_saved_comes_back_and_its_file_goes(tmp_path: Path) -> None:
    environ = editing(tmp_path, 'printf "longer\n" >> "$1"')
    assert await user_files.edit("short ", tmp_path, environ, forbidden) == Edited("short longer")
    assert not list(tmp_path.glob("prompt-*"))


async def test_more_than_can_be_taken_stays_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PASTE_BYTES", 1000)
    environ = editing(tmp_path, 'head -c 2000 /dev/zero | tr "\\0" x > "$1"')
    edited = await user_files.edit("", tmp_path, environ, forbidden)
    assert edited.text == "x" * 1000
    assert Path(edited.path).read_text() == "x" * 2000


async def test_an_editor_that_fails_after_saving_loses_nothing(tmp_path: Path) -> None:
    environ = editing(tmp_path, 'echo saved > "$1"; exit 3')
    with pytest.raises(user_files.EditorError, match="what was saved is in"):
        await user_files.edit("before", tmp_path, environ, forbidden)
    assert [path.read_text() for path in tmp_path.glob("prompt-*")] == ["saved\n"]


async def test_a_terminal_that_goes_away_while_the_editor_is_open_loses_nothing(tmp_path: Path) -> None:
    environ = editing(tmp_path, f'echo saved > "$1"; touch {tmp_path}/done; sleep 60')
    saved: list[Edited] = []
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(user_files.edit, "before", tmp_path, environ, saved.append)
            while not (tmp_path / "done").exists():
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert saved == [Edited("saved")]


def test_advice_is_told_like_a_problem(tmp_path: Path) -> None:
    assert user_files.load_settings(tmp_path, lambda: "Mind the gap.").problems == ("Mind the gap.",)
