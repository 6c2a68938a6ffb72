"""A reply that goes round in circles is noticed; one that only has a refrain is not."""

from __future__ import annotations

import random

import pytest

from flower import limits
from flower.engine.sessions.loops import LoopGuard

STORY = "The tide turns and the lamps come on, one by one, along the quay. "


def told(*texts: str, size: int = 5) -> tuple[int | None, int]:
    """Returns what is worth keeping and after how many characters that was said."""
    guard, text = LoopGuard(), "".join(texts)
    for start in range(0, len(text), size):
        worth = guard.feed(text[start : start + size])
        if worth is not None:
            return worth, start + size
    return None, len(text)


def prose(sentences: int, seed: int = 3) -> str:
    rng = random.Random(seed)
    nouns = ["lamp", "gate", "tide", "keeper", "boat", "rope", "bell", "wall", "stair", "moon"]
    verbs = ["waits", "turns", "falls", "calls", "sinks", "burns", "opens", "holds"]
    pick = rng.choice
    return " ".join(
        f"The {pick(nouns)} {pick(verbs)} by the {pick(nouns)} {rng.randrange(999)}, and it {pick(verbs)}."
        for _ in range(sentences)
    )


@pytest.mark.parametrize("unit", ["x", "ha ", "No. ", STORY, prose(8) + " "])
def test_the_same_again_and_again(unit: str) -> None:
    """Whatever its length, a repeated text is kept once, and soon."""
    start = "It begins well enough, by the harbour wall. "
    worth, after = told(start, unit * (20_000 // len(unit)))
    assert worth is not None
    assert len(start) <= worth <= len(start) + len(unit) + 1
    assert after < len(start) + max(limits.LOOP_CHARS, limits.LOOP_TIMES * len(unit)) + 500


def test_one_sentence_between_everything_else() -> None:
    """A sentence that makes up a third of what is said, with numbers that change, is a loop too."""
    text = "".join(f"{n}. The keeper looks at the lamp. Then it is {n} o'clock. " for n in range(200))
    worth, after = told("It begins. ", text)
    assert worth is not None
    assert worth < 200
    assert after < 4_000


def test_prose_is_no_loop() -> None:
    """Long prose, a refrain now and then, a cry and a line of dashes go on."""
    verse = "And the sea gave up her own, all alone, all alone. "
    text = "".join(prose(4, seed) + " " + verse for seed in range(60))
    assert told(text)[0] is None
    assert told(prose(30), "A" * 500, "! ", "-" * 300, "\n", prose(30, 4))[0] is None
