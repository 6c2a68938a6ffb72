"""A continuation joins what it goes on from: no word is torn, none is said twice."""

from __future__ import annotations

import pytest

from flower.engine.sessions.joint import Joint

KNOWN = ["The lantern swings over the gate.", "Mara nods. The hall opens before her."]


def joined(before: str, *parts: str) -> str:
    joint = Joint(before)
    joint.know(KNOWN)
    return before + "".join(map(joint.feed, parts)) + joint.end()


@pytest.mark.parametrize(
    ("before", "after", "whole"),
    [
        # in a word
        ("The gate op", "ens.", "The gate opens."),
        ("The lant", "ern swings.", "The lantern swings."),
        ("She whis", "pers.", "She whispers."),
        ("It costs 12", "0 coins.", "It costs 120 coins."),
        # after a word
        ("The gate", "opens.", "The gate opens."),
        ("The gate", " opens.", "The gate opens."),
        ("The gate ", "opens.", "The gate opens."),
        ("The gate ", " opens.", "The gate opens."),
        ("The lantern", "flickers.", "The lantern flickers."),
        ("The gate opens.", "A hall.", "The gate opens. A hall."),
        ("The gate opens", ", slowly.", "The gate opens, slowly."),
        ("The gate opens.", "\n\nA hall.", "The gate opens.\n\nA hall."),
        ("She says “", "Come.”", "She says “Come.”"),
        ("It is Mara", "'s lamp.", "It is Mara's lamp."),
        ("moss-", "grown", "moss-grown"),
        ("門が", "開く。", "門が開く。"),
        # said again
        ("The gate op", "opens.", "The gate opens."),
        ("The gate op", "The gate opens.", "The gate opens."),
        (
            "Mara nods. The hall opens",
            "The hall opens before her.",
            "Mara nods. The hall opens before her.",
        ),
        ("The gate opens.", "The gate opens. A hall.", "The gate opens. A hall."),
        ("The gate opens. ", "opens. A hall.", "The gate opens. A hall."),
    ],
)
def test_joints(before: str, after: str, whole: str) -> None:
    """Spaces come where they are due, repetitions go; however the continuation is cut."""
    assert joined(before, after) == whole
    assert joined(before, *after) == whole


def test_words_pass_at_once_when_the_joint_is_made() -> None:
    """Only the first words wait."""
    joint = Joint("The gate")
    assert joint.feed(" opens") == ""
    assert joint.feed(" on") == " opens on"
    assert joint.feed(" a hall.") == " a hall."


def test_a_model_that_only_says_it_again_adds_nothing() -> None:
    """The old text once more, and no more, is nothing new; after a whole sentence it may be meant."""
    assert joined("The gate op", "The gate op") == "The gate op"
