"""Dice: what is read, what is rolled, what is shown; the same chance gives the same throw."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.game import dice
from flower.errors import CommandError


class Faces:
    """Chance that gives the faces it was told; ``randrange(6)`` for a face 4 is 3."""

    def __init__(self, *faces: int) -> None:
        self._left = list(faces)

    def randrange(self, stop: int, /) -> int:
        face = self._left.pop(0)
        assert 1 <= face <= stop
        return face - 1


def thrown(text: str, *faces: int) -> dice.Throw:
    return dice.roll(dice.parse(text), Faces(*faces))


@pytest.mark.parametrize(
    ("text", "faces", "shown"),
    [
        ("2d6+3", (4, 2), "[4, 2] + 3 = 9"),
        ("d20", (7,), "[7] = 7"),
        ("4d6kh3", (5, 4, 1, 6), "[5, 4, (1), 6] = 15"),
        ("4d6dl1", (5, 4, 1, 6), "[5, 4, (1), 6] = 15"),
        ("4d6k3", (5, 4, 1, 6), "[5, 4, (1), 6] = 15"),
        ("4d6p1", (5, 4, 1, 6), "[5, 4, (1), 6] = 15"),
        ("3d6kl", (5, 2, 2), "[(5), 2, (2)] = 2"),
        ("2d6dh9", (5, 2), "[(5), (2)] = 0"),
        ("1d20adv+5", (3, 12), "[(3), 12] + 5 = 17"),
        ("1d20dis", (3, 12), "[3, (12)] = 3"),
        ("1d20 disadvantage - 1", (3, 12), "[3, (12)] - 1 = 2"),
        ("d%", (90,), "[90] = 90"),
        ("4dF", (1, 2, 3, 3), "[-, 0, +, +] = 1"),
        ("3d6!", (6, 1, 6, 2, 3), "[6, 1, 6, 2, 3] = 18"),
        ("-1d4 + 10 - 2D8", (3, 1, 8), "-[3] + 10 - [1, 8] = -2"),
    ],
)
def test_every_die_is_shown_and_the_sum_is_right(text: str, faces: tuple[int, ...], shown: str) -> None:
    assert thrown(text, *faces).display_text == shown


@pytest.mark.parametrize(
    ("text", "target", "label"),
    [
        ("1d20+5 vs 15", 15, ""),
        ("1d20 dc -3", -3, ""),
        ("1d20 vs " + "0" * 5000 + "7", 7, ""),
        ("1d20 against 7 to leap the gap", 7, "to leap the gap"),
        ("2d6, for luck", None, "for luck"),
        ("2d6 # a note", None, "a note"),
        ("2d6", None, ""),
    ],
)
def test_target_and_label_are_read(text: str, target: int | None, label: str) -> None:
    expression = dice.parse(text)
    assert (expression.target, expression.label) == (target, label)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Roll what?"),
        ("hello", "missing before 'hello'"),
        ("2d6+", "ends early"),
        ("2d6x", "from 'x' on"),
        ("1d6distance", "from 'distance' on"),
        ("5", "no dice"),
        ("0d6", "cannot be rolled"),
        ("1d0", "cannot be rolled"),
        ("101d6", "cannot be rolled"),
        ("1d10001", "cannot be rolled"),
        ("60d6+60d6", "at most 100 dice"),
        ("1d1!", "never ends"),
        ("2d20adv", "single die"),
        ("1d20 vs", "Against which number?"),
        ("1d20+99999999999999999999", "go up to"),
        ("+".join(["1d6"] * 17), "at most 16 parts"),
    ],
)
def test_what_cannot_be_rolled_is_refused_with_a_reason(text: str, sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        dice.parse(text)
    assert sentence in str(refused.value)


@given(st.text(max_size=40) | st.text("0123456789dfkhlpa!%+- vs", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but ``CommandError`` comes out, and what was read can be rolled and shown."""
    try:
        expression = dice.parse(text)
    except CommandError:
        return
    throw = dice.roll(expression, random.Random(1))
    assert throw.display_text.endswith(f"= {throw.total}")
    assert sum(len(rolled) for rolled in throw.dice) <= dice.ROLL_DICE


@given(
    st.integers(1, 30),
    st.integers(1, 100),
    st.integers(0, 30),
    st.sampled_from(("kh", "kl", "dh", "dl")),
)
def test_dice_stay_in_range_and_as_many_count_as_were_asked_for(
    count: int, sides: int, kept: int, keep: str
) -> None:
    throw = dice.roll(dice.parse(f"{count}d{sides}{keep}{kept}"), random.Random(count))
    (rolled,) = throw.dice
    counted = [die.value for die in rolled if die.counts]
    assert len(rolled) == count
    assert all(1 <= die.value <= sides for die in rolled)
    most = min(kept, count)
    assert len(counted) == (most if keep[0] == "k" else count - most)
    left_out = [die.value for die in rolled if not die.counts]
    if counted and left_out:
        high = keep in ("kh", "dl")
        assert min(counted) >= max(left_out) if high else max(counted) <= min(left_out)
    assert throw.total == sum(counted)


@given(st.integers())
def test_the_same_seed_gives_the_same_throw(seed: int) -> None:
    expression = dice.parse("8d6!kh3+4dF")
    assert dice.roll(expression, random.Random(seed)) == dice.roll(expression, random.Random(seed))


def test_dice_that_always_explode_end() -> None:
    class Highest:
        def randrange(self, stop: int, /) -> int:
            return stop - 1

    throw = dice.roll(dice.parse("50d6!"), Highest())
    assert len(throw.dice[0]) == dice.ROLL_DICE
