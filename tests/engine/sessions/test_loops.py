"""A reply that goes round in circles is noticed; one that only has a refrain is not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from trio.testing import MockClock

from flower import limits
from flower.engine.provider.answers import short_text
from flower.engine.provider.base import Completion, Finish, Text
from flower.engine.provider.retry import Stream
from flower.engine.sessions.reply_watch import (
    LOOP_CHARS,
    LOOP_TIMES,
    LoopGuard,
    less_alike,
    shared_sentence,
)
from flower.engine.store import stories
from flower.protocol.messages import SystemUpdate
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider, words

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
    assert after < len(start) + max(LOOP_CHARS, LOOP_TIMES * len(unit)) + 500


def test_one_sentence_between_everything_else() -> None:
    """A sentence that makes up a third of what is said, with numbers that change, is a loop too."""
    text = "".join(f"{n}. The keeper looks at the lamp. Then it is {n} o'clock. " for n in range(200))
    worth, after = told("It begins. ", text)
    assert worth is not None
    assert worth < 200
    assert after < 4_000


def test_some_words_again_and_again_are_noticed_after_a_paragraph() -> None:
    """Long before a chapter of it; the blank lines between may change."""
    worth, after = told("It begins. ", '"I beg you."\n' * 3, '"I beg you."\n\n' * 200)
    assert worth is not None
    assert worth < 100
    assert after < 1_000


def test_a_few_sentences_in_turn_are_a_loop_in_whatever_order() -> None:
    lines = (
        "You want to take the lantern? ",
        "I have a lantern. ",
        "I never saw him. ",
        "I take it if you ask. ",
    )
    rng = random.Random(4)
    worth, after = told(prose(10), " ", "".join(rng.choice(lines) for _ in range(100)))
    assert worth is not None
    assert len(prose(10)) < worth < len(prose(10)) + 150
    assert after < len(prose(10)) + 900


def test_empty_lines_without_end_are_a_loop() -> None:
    worth, after = told("She waits.", "\n" * 3_000)
    assert worth is not None
    assert (worth, after < 500) == (len("She waits."), True)


def test_prose_is_no_loop() -> None:
    """Long prose, a refrain now and then, a cry and a line of dashes go on."""
    verse = "And the sea gave up her own, all alone, all alone. "
    text = "".join(prose(4, seed) + " " + verse for seed in range(60))
    assert told(text)[0] is None
    assert told(prose(30), "A" * 500, "! ", "-" * 300, "\n", prose(30, 4))[0] is None


# --- from one reply to the next -----------------------------------------------------------------------
REFRAIN = "The keeper looks at you and says nothing for a long while."


def test_a_sentence_in_three_of_five_replies_is_found() -> None:
    """Whatever stands around it; twice is chance, and a short sentence is a habit."""
    replies = [f"{prose(3, seed)} {REFRAIN if seed % 2 == 0 else ''}" for seed in range(5)]
    assert REFRAIN.startswith(shared_sentence(replies))
    assert shared_sentence(replies)
    assert shared_sentence(replies[:3]) == ""
    assert shared_sentence(["I see. Yes.", "I see. No.", "I see. Well."]) == ""
    assert shared_sentence([]) == ""


def test_a_sentence_many_times_in_one_reply_counts_once() -> None:
    assert shared_sentence([f"{REFRAIN} " * 5, prose(3)]) == ""


def test_the_sampler_becomes_livelier_and_keeps_what_else_was_set() -> None:
    changed = less_alike({"temperature": 0.7, "top_p": 0.9})
    assert changed["temperature"] == pytest.approx(1.0)
    assert changed["top_p"] == 0.9
    assert less_alike({"temperature": 1.4})["temperature"] == 1.5
    assert less_alike({})["temperature"] == pytest.approx(1.1)
    assert "frequency_penalty" in less_alike({})


async def test_a_model_in_a_loop_gets_another_sampler_once_and_then_a_word(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """The fourth prompt, after three replies alike, is sampled otherwise; from the fifth on it is said."""
    provider = ScriptedProvider(words(f"{REFRAIN} "))
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        for number in range(6):
            await face.say_and_wait(f"Line {number}.")
        stirred = ["frequency_penalty" in one.params for one in provider.completions]
        assert stirred == [False, False, False, True, False, False]
        told = [one.content for one in face.of(SystemUpdate) if "same sentence" in one.content]
        assert len(told) == 1


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_summary_that_goes_round_in_circles_ends_there(at_once: bool) -> None:
    """A tiny model's record keeps what was worth it, also when a service sends all of it in one piece."""
    text = "The lamp was lost in the harbour. " + "It was dark. " * 2_000
    provider = ScriptedProvider([Text(text), Finish("done")] if at_once else words(text))
    async with Stream(
        provider, Completion(model="m", messages=(), max_tokens=9000, context_tokens=9000)
    ) as pieces:
        kept = await short_text(pieces, limits.REPLY_CHARS, LoopGuard)
    assert kept.startswith("The lamp was lost in the harbour. It was dark")
    assert len(kept) < 300


async def test_a_story_that_nobody_named_is_named_after_what_happened(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """With its seventh line a story gets a title of its own; a title of the player's stays."""
    lines = ["My name is Ada.", "I go to the Patient Eel.", *["I wait."] * 5]
    for renamed, title in (("", "The Patient Eel"), ("/session rename Mine", "Mine")):
        async with engine_world(tmp_path / title, ScriptedProvider(words("So it is. "))) as world:
            face = await world.playing()
            for line in lines[:2] + ([renamed] if renamed else []) + lines[2:]:
                await (face.say(line) if line.startswith("/") else face.say_and_wait(line))
            assert face.client.session is not None
            stored = await world.database.read(stories.session, face.client.session.id)
            assert stored is not None
            assert stored.title == title
