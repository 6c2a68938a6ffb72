"""Checks: what is rolled for a name, and what the narrator is told about the result."""

from __future__ import annotations

import pytest

from flower.engine.game import checks, dice
from flower.errors import CommandError
from tests.engine.game.test_dice import Faces, thrown


@pytest.mark.parametrize(
    ("text", "name", "rolled", "target"),
    [
        ("stealth vs 14", "stealth", "1d20", 14),
        ("Fast talk adv +2 vs 10", "Fast talk", "1d20adv+2", 10),
        ("lore -1 disadvantage dc 3", "lore", "1d20dis-1", 3),
        ("climbing +2 vs 12", "climbing", "1d20+4+2", 12),
        ("stealth", "stealth", "1d20", None),
    ],
)
def test_a_check_is_read(text: str, name: str, rolled: str, target: int | None) -> None:
    """A counter of the check's name is a bonus, whatever its case."""
    read, expression = checks.parse_check(text, {"Climbing": 4})
    assert (read, expression.display_text, expression.target) == (name, rolled, target)


@pytest.mark.parametrize("text", ["", "vs 14", "dc 3", "14", "+2"])
def test_what_is_no_check_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="Check what"):
        checks.parse_check(text, {})


@pytest.mark.parametrize(
    ("face", "target", "degree"),
    [
        (15, 15, "success"),
        (14, 15, "narrow failure"),
        (13, 15, "narrow failure"),
        (12, 15, "failure"),
        (5, 15, "disaster"),
        (15, 5, "triumph"),
        (20, 20, "triumph"),
        (1, 3, "disaster"),
        (1, 1, "success"),
    ],
)
def test_degrees(face: int, target: int, degree: str) -> None:
    assert checks.degree(thrown(f"1d20 vs {target}", face)) == degree


def test_without_a_target_there_is_no_degree() -> None:
    assert checks.degree(thrown("1d20", 20)) is None


def test_the_story_and_the_narrator_are_told_every_die() -> None:
    name, expression = checks.parse_check("stealth adv vs 14", {"stealth": 2})
    throw = dice.roll(expression, Faces(3, 9))
    line = "Check stealth (1d20adv+2): [(3), 9] + 2 = 11 vs 14: failure"
    assert checks.display_text(throw, name) == line
    told = checks.prompt_text(throw, name)
    assert told.startswith(f"[SYSTEM] {line}. ")
    assert checks.BITE["failure"] in told
    assert told.endswith(checks.HONOUR)


def test_a_label_says_what_a_roll_is_for() -> None:
    assert checks.display_text(thrown("2d6 for luck", 1, 2)) == "Roll 2d6 (for luck): [1, 2] = 3"
