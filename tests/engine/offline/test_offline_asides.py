"""What is asked outside the story is answered plainly: how to play, the sheet, the world; never by chance words."""

from __future__ import annotations

import pytest

from tests import evening

SEEDS = pytest.mark.parametrize("seed", range(3))


def last(world: str, *lines: str, seed: int = 7, **cue: object) -> str:
    """Returns the reply to the last of some lines."""
    return evening.play(world, lines, seed=seed, **cue)[-1]


@SEEDS
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("how do I use dice here?", "/roll"),
        ("can I play someone other than the inspector?", "/persona"),
        ("can I die?", "/undo"),
        ("can I take that back?", "/undo"),
        ("does it save?", "/session"),
        ("are you an AI?", "model"),
        ("can we skip to the morning?", "line"),
        ("what should I do now?", "/suggest"),
        ("which places are there, is there a map?", "Patient Eel"),
    ],
)
@pytest.mark.parametrize("form", ["/ooc {}", "(OOC: {})", "out of character, {}"])
def test_how_to_play_is_told(question: str, answer: str, form: str, seed: int) -> None:
    """Commands are named as they are typed, in brackets, and nothing of the story follows."""
    reply = last("orrinsay", form.format(question), seed=seed)
    if answer == "line":
        assert "write" in reply.casefold() or "say when" in reply.casefold()
    else:
        assert answer in reply or "stuck" in question
    assert reply.startswith("(")
    assert reply.endswith(")")
    assert not reply.startswith("((")


@SEEDS
def test_the_sheet_is_what_is_carried(seed: int) -> None:
    reply = last(
        "kessel", "(ooc: what do I have with me?)", seed=seed, inventory=("a hat", "six pence")
    )
    assert "a hat, six pence" in reply


@SEEDS
def test_who_somebody_is_may_be_asked(seed: int) -> None:
    reply = last("patience", "OOC: I'm confused, who is Bram?", seed=seed)
    assert "Sefa" in reply


@SEEDS
def test_days_that_are_left_are_counted_by_the_scene(seed: int) -> None:
    assert "six days" in last("patience", "ooc: how many days are left?", seed=seed)


@SEEDS
@pytest.mark.parametrize("question", ["what is my blood group?", "is the soundtrack any good?"])
def test_what_is_not_known_is_said_not_to_be(question: str, seed: int) -> None:
    """No sentence of the world stands in for an answer."""
    reply = last("kessel", f"(ooc: {question})", seed=seed)
    assert "/pin" in reply or "notes" in reply


@SEEDS
def test_who_did_it_is_not_told_for_the_asking(seed: int) -> None:
    reply = last("kessel", "((who killed the Reeve?))", seed=seed)
    assert "Finch" not in reply


@SEEDS
@pytest.mark.parametrize(
    ("world", "line", "answer"),
    [
        ("patience", "Who am I, on this ship?", "Witness"),
        ("patience", "What does a Witness do?", "A Witness"),
        ("kessel", "I read the Reeve's letter again.", "be his clerk"),
        ("orrinsay", "What am I doing here?", "inspector"),
    ],
)
def test_the_scene_knows_who_the_player_is(world: str, line: str, answer: str, seed: int) -> None:
    assert answer in last(world, line, seed=seed)


@SEEDS
def test_an_oath_is_no_question(seed: int) -> None:
    """Nobody asks how "Damn" is meant."""
    reply = last("patience", '"Who asked you not to say?"', "Damn.", seed=seed)
    assert "How do you mean" not in reply
    assert "What is it that you do" not in reply
