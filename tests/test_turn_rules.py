"""Small rules of turns, one by one: who may begin one, when a reply goes in circles, how an end is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from msgspec import UNSET
from trio.testing import MockClock

from flower import limits
from flower.engine.game.clocks import Clock, Now
from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.request import PreparedPrompt
from flower.engine.provider.base import ChatMessage, Completion, Spent
from flower.engine.sessions import loops, recap, turn_outcome
from flower.engine.sessions.allowances import Allowances, _check_day, _size_of
from flower.engine.sessions.loops import LoopGuard, less_alike, told_too_often
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.session import GrowingReply, Session
from flower.engine.sessions.turn import SPEED_AFTER_S, Turn
from flower.engine.store.allowances import Allowance, UserLimits
from flower.engine.tokens import TokenCounter
from flower.errors import CommandError, FlowerError, ProviderError
from flower.protocol.messages import Usage
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider

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
            assert guard.found
            return worth
    assert not guard.found
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
    assert LoopGuard().feed("round and " * limits.LOOP_TAIL_CHARS) is None


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
    assert told_too_often(replies[:3]) == "The keeper of the old lamp says nothing to anybody"
    assert told_too_often(replies[:2]) == ""
    assert told_too_often([replies[0], other, replies[1], words(30, 700), replies[2]]) != ""
    assert told_too_often([replies[0], other, replies[1], other, words(30, 700), replies[2]]) == ""
    assert told_too_often([]) == ""


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
    assert loops._common_end(a, b) == common


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
    usage = turn_outcome.usage_of(None, Spent(300, 20, 100), 5)
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


# --- a turn that notices ------------------------------------------------------------------------

AGAIN = "The keeper of the old lamp says nothing to anybody."


def prompt_of(*roles: str) -> PreparedPrompt:
    """A prompt whose lines of these roles all say the same sentence."""
    lines = [ChatMessage(role, f"{words(4, 9 * n)}. {AGAIN}") for n, role in enumerate(roles)]  # type: ignore[arg-type]
    completion = Completion("one", tuple(lines), 100, 4096, {"top_p": 0.9})
    return PreparedPrompt(completion, None, TokenCounter(), None)  # type: ignore[arg-type] # only its lines are read


def turn(session: Session) -> Turn:
    found = Turn.__new__(Turn)
    found._session = session
    return found


MODEL = ChosenModel(id="scripted/one", provider=ScriptedProvider(), name="one")


@pytest.mark.parametrize(
    ("roles", "stirred"),
    [
        (("assistant",) * 3, True),
        (("assistant",) * 2, False),
        (("user",) * 4, False),  # a player may say what they like
        (("system",) * 4, False),
    ],
)
def test_a_model_is_stirred_when_its_own_replies_share_a_sentence(
    roles: tuple[str, ...], stirred: bool
) -> None:
    prompt, story = prompt_of(*roles), Session("s", "harbour", "mara")
    found = turn(story)._against_loops(prompt, MODEL)
    assert ("frequency_penalty" in found.completion.params) == stirred
    assert bool(story.looped) == stirred


async def test_a_model_that_goes_on_all_the_same_is_told_and_left_alone() -> None:
    prompt, story = prompt_of(*("assistant",) * 3), Session("s", "harbour", "mara")
    outbox = Outbox()
    story.subscribe(outbox)
    turn(story)._against_loops(prompt, MODEL)
    assert len(outbox) == 0
    assert turn(story)._against_loops(prompt, MODEL) is prompt
    assert len(outbox) == 1
    turn(story)._against_loops(prompt_of("assistant"), MODEL)
    assert story.looped == ""


async def test_a_speed_says_nothing_before_a_quarter_of_a_second(mock_clock: MockClock) -> None:
    writes = turn(Session("s", "harbour", "mara"))
    mock_clock.jump(3.0)
    writes._tokens, writes._first_text = 6, 0.0
    assert writes._speed() == 0.0
    writes._first_text = trio.current_time()
    mock_clock.jump(SPEED_AFTER_S)
    assert writes._speed() == 0.0
    mock_clock.jump(0.25)
    assert writes._speed() == 12.0


# --- what a user may use ------------------------------------------------------------------------


def allowances(tmp_path: Path) -> Allowances:
    return Allowances(None, None, lambda: 1.0, lambda _: tmp_path)  # type: ignore[arg-type] # neither is asked here


async def test_a_user_sends_so_many_prompts_in_a_minute(mock_clock: MockClock, tmp_path: Path) -> None:
    found = allowances(tmp_path)
    for _ in range(2):
        found._count_prompt(1, 2)
        mock_clock.jump(10.0)
    found._count_prompt(2, 2)  # another one's are their own
    with pytest.raises(CommandError, match=r"2 prompts a minute; go on in 41 s"):
        found._count_prompt(1, 2)
    mock_clock.jump(39.0)
    with pytest.raises(CommandError, match="go on in 2 s"):
        found._count_prompt(1, 2)
    mock_clock.jump(1.0)
    found._count_prompt(1, 2)
    with pytest.raises(CommandError, match="go on in 11 s"):
        found._count_prompt(1, 2)
    with pytest.raises(CommandError, match="You may send 0 prompts a minute; go on in 60 s"):
        found._count_prompt(3, 0)


@pytest.mark.parametrize(
    ("tokens", "cost", "limits_of", "refused"),
    [
        (99, 0.0, {"tokens": 100}, ""),
        (100, 0.0, {"tokens": 100}, "the 100 tokens"),
        (0, 0.49, {"cost": 0.5}, ""),
        (0, 0.5, {"cost": 0.5}, "the 0.5 USD"),
        (10**9, 99.0, {}, ""),
    ],
)
def test_a_day_has_so_many_tokens_and_dollars(
    tokens: int, cost: float, limits_of: dict[str, float], refused: str
) -> None:
    known = Allowance(UserLimits(**limits_of), stories=0, tokens=tokens, cost=cost)  # type: ignore[arg-type]
    if refused:
        with pytest.raises(CommandError, match=refused):
            _check_day(known)
    else:
        _check_day(known)


def test_the_files_of_a_folder_are_added_up(tmp_path: Path) -> None:
    for name, size in (("a", 3), ("b", 4)):
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "folder").mkdir()
    assert _size_of(tmp_path) == 7
    assert _size_of(tmp_path / "none") == 0


# --- a prompt that is refused, a reply that grows -----------------------------------------------


@pytest.mark.parametrize(
    ("kind", "times"), [("auth", 1), ("bad_request", 1), ("quota", 1), ("context_exceeded", 2)]
)
async def test_only_a_prompt_that_is_too_long_is_sent_once_more(
    autojump_clock: MockClock, tmp_path: Path, kind: str, times: int
) -> None:
    provider = ScriptedProvider([ProviderError(kind, "no")])  # type: ignore[arg-type] # the parameters are such kinds
    async with engine_world(tmp_path / "flower.db", provider) as world:
        face = await world.playing()
        await face.say_and_wait("I wait.")
        assert face.reasons == ["error"]
    assert provider.opened == times


def test_what_a_continuation_goes_on_from_stays_and_is_joined_anew() -> None:
    reply = GrowingReply("t", 1, "line", "m", "w", "The lamp is")
    assert reply.keep(0, 1.0).metadata.offset == len("The lamp is")
    reply.append("lit and", 1.0)
    reply.rest(1.0)
    assert reply.text == "The lamp is lit and"
    kept = reply.keep(len("The lamp is lit"), 1.0)
    assert (reply.text, kept.metadata.replace) == ("The lamp is lit", True)
    chunk = reply.append("there", 1.0)  # it is no longer where the old text ended
    assert chunk is not None
    assert (chunk.content, reply.length) == ("there", len("The lamp is litthere"))
    reply.keep(3, 1.0)
    reply.append("lamp is out", 1.0)
    reply.rest(1.0)
    assert reply.text == "The lamp is out"


def test_a_reply_begins_without_white_space_and_counts_its_thoughts() -> None:
    reply = GrowingReply("t", 1, "line", "m", "w")
    assert reply.append(" \n", 1.0) is None
    first = reply.append("\n She", 1.234)
    assert first is not None
    assert (first.content, first.metadata.offset, first.metadata.tokens_per_second) == ("She", 0, 1.2)
    second = reply.append(" nods", 1.0)
    assert second is not None
    assert (second.content, second.metadata.offset) == (" nods", 3)
    assert [reply.think(text, 1.0).metadata.offset for text in ("hm", "so", "")] == [0, 2, 4]
    assert reply.rest(1.0) is None
    assert reply.text == "She nods"
