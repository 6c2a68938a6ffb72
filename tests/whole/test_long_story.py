"""A long story, played through the real face: every command, sixty lines, an engine killed in the middle."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flower.engine.commands import catalogue, lookup
from tests.engine_process import look_into
from tests.long_story import play

STEPS = tuple(play.script(play.SCRIPT.read_text(encoding="utf-8")))


def commands() -> set[str]:
    """The names of the commands that the script types."""
    typed = [step.text for step in STEPS if step.kind in "/>!" and step.text.startswith("/")]
    return {lookup.parse(text)[0].name for text in typed}


def test_the_story_uses_every_command() -> None:
    unused = {option.name for option in catalogue.OPTIONS} - commands() - {"/quit"}
    assert not unused, f"use {sorted(unused)} in a line of tests/long_story/story.txt"


def test_the_story_has_sixty_lines() -> None:
    assert sum(step.kind == ">" for step in STEPS) >= 60


def test_a_script_waits_for_what_a_command_shows_before_it_presses_keys() -> None:
    """On a busy machine the keys would meet the screen before it: Page Down the story, not the list that comes."""
    with pytest.raises(ValueError, match="line 2 of the story does not wait"):
        list(play.script("/why\n@keys <page-down>"))
    assert len(list(play.script("/why\n= The prompt\n@keys <page-down>\n@picture why"))) == 4


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name fits into a line of the screen, which names the files that are written there."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_the_story_is_played_to_its_end(short_folder: Path) -> None:
    """What the script says of the screen holds, nothing is left half told, and the exports are there."""
    player = play.play(short_folder, verbose=False)
    with closing(look_into(player.home)) as db:
        statuses = dict(db.execute("SELECT status, count(*) FROM messages GROUP BY status"))
        lines = [text for (text,) in db.execute("SELECT content FROM messages WHERE role = 'user'")]
        knocked = db.execute(
            "SELECT line.id, reply.status, length(reply.content) FROM messages line JOIN messages reply"
            " ON reply.parent_id = line.id WHERE line.content LIKE 'I stand before a door without a handle%'"
        ).fetchall()
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert set(statuses) <= {"complete", "stopped"}, "what the killed engine was telling was continued"
    assert len({line for line, *_ in knocked}) == len(knocked) > 0, "told once in each branch"
    for _, status, length in knocked:  # /remove has copied what follows into a branch of its own
        assert status == "complete", (
            "/continue made the very reply whole that the killed engine was telling"
        )
        assert length
    said = {step.text for step in STEPS if step.kind == ">" and not step.text.startswith("/")}
    assert said <= set(lines), "no line was lost on its way"
    exports = {file.suffix: file for file in (player.home / "exports").iterdir()}
    assert {".md", ".html", ".txt", ".jsonl", ".json", ".zip"} <= set(exports)
    assert "do not look back" in exports[".md"].read_text(encoding="utf-8")
    assert player.pty.child.returncode == 0
