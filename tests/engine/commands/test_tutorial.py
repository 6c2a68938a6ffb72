"""The tutorial: a newcomer who follows its cards is told every command, in order, by the offline narrator."""

from __future__ import annotations

import re

import pytest

from flower.engine.commands import catalogue
from tests import evening

# What a newcomer writes in each room, and what they must have been told there.
ROOMS = (
    ("I look around.", "six rooms and six lamps"),
    ("I go to the Ember Kitchen.", "talk to Bess Tallow"),
    ("I go to the Dice Well.", "/roll 1d20 vs 12"),
    ("I go to the Mirror Room.", "/retry"),
    ("I go to the Candle Stair.", "/tree"),
    ("I go to the Ink Library.", "/why"),
    ("I go to the Morning Gate.", "/help"),
)


@pytest.mark.parametrize("seed", range(5))
def test_every_room_tells_what_to_try_there(seed: int) -> None:
    """Whatever the dice of the story are, each card is read out in the room it hangs in."""
    replies = evening.play("tutorial", [line for line, _ in ROOMS], seed=seed)
    for (line, told), reply in zip(ROOMS, replies, strict=True):
        assert told in reply, f"{line}: {reply}"


def test_a_room_names_the_next_one() -> None:
    """Who reads a card to its end knows where to go."""
    replies = evening.play("tutorial", [line for line, _ in ROOMS])
    for reply, (following, _) in zip(replies[1:], ROOMS[2:], strict=False):
        assert following.removeprefix("I go to ").rstrip(".") in reply


def test_bess_answers_about_the_lamps() -> None:
    """The question that the cards suggest has an answer."""
    *_, reply = evening.play(
        "tutorial", ["I go to the Ink Library.", "I ask Bess Tallow about the six lamps."]
    )
    assert "looking, talking, dice" in reply


def test_the_commands_on_the_cards_are_commands() -> None:
    """No card names a command that the program has not."""
    text = evening.world("tutorial")["lore"]
    known = {option.name for option in catalogue.OPTIONS}
    assert set(re.findall(r"(?<=[ ,])/[a-z]+", text)) <= known
