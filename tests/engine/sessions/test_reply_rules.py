"""Small rules of a reply and who asked for it, one by one: what is noticed, how it grows, what may be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from trio.testing import MockClock

from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.request import PreparedPrompt
from flower.engine.provider.base import Completion, PromptMessage
from flower.engine.sessions.allowances import Allowances, _check_day, _size_of
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.session import GrowingReply, Session
from flower.engine.sessions.turn import Turn
from flower.engine.sessions.turn_outcome import SPEED_AFTER_S, ReplyMeter
from flower.engine.store.allowances import Allowance, UserLimits
from flower.engine.token_counter import TokenCounter
from flower.errors import CommandError, ProviderError
from tests.engine.sessions.test_turn_rules import words
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider

# --- a turn that notices ------------------------------------------------------------------------

AGAIN = "The keeper of the old lamp says nothing to anybody."


def prompt_of(*roles: str) -> PreparedPrompt:
    """A prompt whose lines of these roles all say the same sentence."""
    lines = [PromptMessage(role, f"{words(4, 9 * n)}. {AGAIN}") for n, role in enumerate(roles)]  # type: ignore[arg-type]
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


def test_a_speed_says_nothing_before_a_quarter_of_a_second() -> None:
    meter = ReplyMeter(1.0)
    meter.tokens = 6
    assert (meter.speed(4.0), meter.first_text_s) == (0.0, None)
    meter.first_text_at = 4.0
    assert meter.speed(4.0 + SPEED_AFTER_S) == 0.0
    assert (meter.speed(4.5), meter.first_text_s) == (12.0, 3.0)


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
