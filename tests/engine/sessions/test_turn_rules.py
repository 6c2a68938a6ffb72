"""Small rules of turns, one by one: who may begin one, when a reply goes in circles, how an end is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import UNSET

from flower.engine.game.clocks import Clock, Now
from flower.engine.provider.base import Spent
from flower.engine.sessions import recap, reply_watch, turn_outcome
from flower.engine.sessions.reply_watch import LOOP_TAIL_CHARS, LoopGuard, less_alike, shared_sentence
from flower.engine.sessions.session import GrowingReply, Session
from flower.errors import CommandError, FlowerError, ProviderError
from flower.protocol.messages import Usage
from tests.engine_world import engine_world

# --- who may begin ------------------------------------------------------------------------------


async def test_a_story_is_claimed_by_one_at_a_time(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        turns, story = world.engine.turns, Session("s", "harbour", "mara")
        async with turns.claim(story):
            assert (story.busy, story.expected) == (True, 1)
            with pytest.raises(CommandError, match="is being changed at this very moment"):
                async with turns.claim(story):
                    pass
        assert (story.busy, story.expected) == (False, 0)


async def test_a_reply_that_begins_in_a_claimed_story_holds_on_to_it(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        turns, story = world.engine.turns, Session("s", "harbour", "mara")
        async with turns.claim(story):
            story.reply = GrowingReply("t", 1, "line", "m", "w")
        assert (story.busy, story.expected) == (True, 0)
        with pytest.raises(CommandError, match="A reply is being written"):
            async with turns.claim(story):
                pass


async def test_an_engine_that_stops_lets_nobody_claim_a_story(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        turns, story = world.engine.turns, Session("s", "harbour", "mara")
        await turns.stop([])
        with pytest.raises(CommandError, match="The engine is stopping"):
            async with turns.claim(story):
                pass
        assert (story.busy, story.expected) == (False, 0)


async def test_what_nobody_runs_is_not_cancelled(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        turns = world.engine.turns
        assert not turns.cancel(Session("s", "harbour", "mara"))
        await turns.end("s")
        await turns.wait_idle()
        assert turns.running == 0


# --- replies that go in circles -----------------------------------------------------------------


def kept(text: str, step: int = 20) -> int | None:
    """How much of a reply is worth keeping that comes a few characters at a time."""
    guard = LoopGuard()
    for start in range(0, len(text), step):
        worth = guard.feed(text[start : start + step])
        if worth is not None:
            assert guard.in_loop
            return worth
    assert not guard.in_loop
    return None


def words(count: int, first: int = 0) -> str:
    """Words of which none comes twice."""
    numbers = "".join(f"{number * 7919 % 100_003:05} " for number in range(first, first + count))
    return numbers.translate(str.maketrans("0123456789", "abcdefghij"))


def test_a_piece_that_comes_again_and_again_is_kept_once() -> None:
    begin, piece = words(40), "the lamp goes round the mole and then "
    worth = kept(begin + piece * 150)
    assert worth is not None
    assert abs(worth - len(begin + piece)) <= 1
    assert kept(words(900)) is None


def test_a_reply_that_comes_as_a_whole_is_not_stopped() -> None:
    assert LoopGuard().feed("round and " * LOOP_TAIL_CHARS) is None


def test_a_sentence_between_everything_else_is_kept_once() -> None:
    again = "The keeper of the old lamp says nothing to anybody at all here. "
    text = "".join(f"{words(2, 3 * number)[:-1]}. {again}" for number in range(40))
    worth = kept(text)
    assert worth is not None
    assert text[:worth].count(again.strip()) == 1
    rare = "".join(f"{words(60, 90 * number)[:-1]}. {again}" for number in range(12))
    assert kept(rare) is None


def test_a_sentence_is_told_too_often_from_the_third_reply_on() -> None:
    again = "The keeper of the old lamp says nothing to anybody."
    replies = [f"{words(9, 20 * number)[:-1]}. {again} Then it rains." for number in range(5)]
    other = words(30, 500)
    assert shared_sentence(replies[:3]) == "The keeper of the old lamp says nothing to anybody"
    assert shared_sentence(replies[:2]) == ""
    assert shared_sentence([replies[0], other, replies[1], words(30, 700), replies[2]]) != ""
    assert shared_sentence([replies[0], other, replies[1], other, words(30, 700), replies[2]]) == ""
    assert shared_sentence([]) == ""


@pytest.mark.parametrize(
    ("params", "temperature"),
    [({}, 1.1), ({"temperature": 0.5}, 0.8), ({"temperature": 1.4}, 1.5), ({"temperature": 0}, 0.3)],
)
def test_another_try_is_warmer(params: dict[str, object], temperature: float) -> None:
    found = less_alike({**params, "top_p": 0.9})
    assert found["temperature"] == pytest.approx(temperature)
    assert (found["top_p"], found["frequency_penalty"], found["presence_penalty"]) == (0.9, 0.6, 0.4)


@pytest.mark.parametrize(
    ("a", "b", "common"),
    [("", "", 0), ("abc", "xbc", 2), ("abc", "abc", 3), ("c", "abc", 1), ("abc", "abd", 0)],
)
def test_two_texts_share_an_end(a: str, b: str, common: int) -> None:
    assert reply_watch._common_end(a, b) == common


# --- how an end is told -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("blocked", "blocked"),
        ("interrupted", "interrupted"),
        ("timeout_idle", "interrupted"),
        ("network", "interrupted"),
        ("auth", "error"),
    ],
)
def test_an_error_ends_a_turn_by_its_kind(kind: str, reason: str) -> None:
    error = ProviderError(kind, "no")  # type: ignore[arg-type] # the parameters are such kinds
    assert turn_outcome.reason_of(error) == reason
    assert turn_outcome.kind_of(error) == kind
    assert turn_outcome.kind_of(FlowerError("no")) == "engine"


def test_the_end_of_a_turn_adds_up_its_tokens() -> None:
    reply = GrowingReply("t", 7, "line", "m", "w")
    meter = turn_outcome.ReplyMeter(0.0)
    meter.tokens, meter.spent = 5, Spent(300, 20, 100)
    usage = meter.usage(None)
    end = turn_outcome.end_event("s", reply, "done", usage, None, 1.23456, 7.891).metadata
    assert (end.total_tokens, end.usage, end.cost) == (320, Usage(300, 20, 100), UNSET)
    assert (end.seconds, end.tokens_per_second) == (1.23, 7.9)
    free = turn_outcome.end_event("s", reply, "done", usage, 0.0, 1.0, 1.0).metadata
    assert free.cost == 0.0
    cut = turn_outcome.interrupted("s", 7).metadata
    assert (cut.turn, cut.total_tokens, cut.message, cut.reason) == ("s-7", 0, 7, "interrupted")


# --- after a rest -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "just now"),
        (59.9, "just now"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86_399, "23 hours ago"),
        (86_400, "1 day ago"),
        (172_800, "2 days ago"),
    ],
)
def test_a_rest_is_told_in_its_largest_unit(seconds: float, told: str) -> None:
    assert recap.ago(seconds) == told


def test_a_clock_that_moved_meanwhile_is_told() -> None:
    moved, full = Clock("Flood", 4, every=2), Clock("Dawn", 2, every=2, then="The sun is up")
    still = Clock("Rope", 4, every=50)
    told = recap.ticked([moved, full, still], Now(0, 0.0), Now(4, 0.0)).splitlines()
    assert told[0] == "While you were away:"
    assert [line.strip().partition(" ")[0] for line in told[1:]] == ["Flood", "Dawn"]
    assert told[2].endswith(" - The sun is up")
    assert " - " not in told[1]
    assert recap.ticked([still], Now(0, 0.0), Now(4, 0.0)) == ""
    (_, nameless) = recap.ticked([Clock("Fog", 1, every=1)], Now(0, 0.0), Now(1, 0.0)).splitlines()
    assert nameless.endswith(" - it is full")
