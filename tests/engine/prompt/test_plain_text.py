"""Prompts for base models: a story that goes on, in which no word of ours asks or labels anything."""

from __future__ import annotations

from flower.engine.assets.kinds import Character, Rule, World
from flower.engine.prompt.assemble import OPENING, PLAYERS_WORDS
from flower.engine.prompt.plain_text import StoryText, as_story, premise
from flower.engine.prompt.sections import RECALLED_HEAD, SCAFFOLD, system_sections
from flower.engine.provider.base import PromptMessage
from flower.engine.provider.story_text import LineStop
from flower.engine.provider.text_prompts import QUOTED

WORLD = World(
    id="mill", name="The Mill", system_prompt="Keep replies short.", scene="Evening at the mill."
)
MARA = Character(id="mara", name="Mara", persona="Mara keeps the sluice.", scenario="A flood is near.")
RULE = Rule(id="grim", name="Grim", prompt="Be grim.")
SECTIONS = system_sections("You are the narrator.", [RULE], WORLD, MARA, nsfw=False)
LINE = (
    f"Place: the yard.\n\n{RECALLED_HEAD}\n- From the lore (The Mill (old) > Doors): The door sticks.\n"
    f"- Earlier in this story: You lit the lamp.\n\n{PLAYERS_WORDS}\n\nI push the door."
)


def test_a_base_model_is_told_who_and_where_and_never_how_to_narrate() -> None:
    assert premise(SECTIONS) == (
        "The world is The Mill.\n\nMara keeps the sluice.\n\nEvening at the mill.\n\nA flood is near."
    )


def test_what_is_recalled_is_told_before_the_line_without_its_labels() -> None:
    messages = (
        PromptMessage("system", "You are the narrator."),
        PromptMessage("user", OPENING),
        PromptMessage("assistant", "Rain."),
        PromptMessage("user", LINE),
    )
    told = as_story("The world is The Mill.", messages)
    assert told == (
        "The world is The Mill.\n\n* * *\n\nRain.\n\nPlace: the yard.\n\nThe door sticks.\n"
        "Earlier: You lit the lamp.\n\n> I push the door.\n\n"
    )
    assert not [mark for mark in SCAFFOLD if mark.casefold() in told.casefold()]


def test_a_reply_that_goes_on_stays_open() -> None:
    messages = (PromptMessage("user", "I wait."), PromptMessage("assistant", "A long "))
    assert as_story("", messages) == "> I wait.\n\nA long"


def test_equal_prompts_are_equal_so_that_a_prepared_answer_is_found() -> None:
    assert StoryText(SECTIONS, ()) == StoryText(
        system_sections("You are the narrator.", [RULE], WORLD, MARA, nsfw=False), ()
    )


def test_a_line_of_the_players_before_the_reply_is_left_out_however_it_comes() -> None:
    """Only for prompts in which such lines are the player's: elsewhere a reply may begin with a quotation."""
    text = "> I lay the match down.\n\nPip laughs.\n> a sign on the wall"
    for size in (1, 2, 7, len(text)):
        stop = LineStop((), (QUOTED,))
        pieces = [stop.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join((*pieces, stop.end())) == "Pip laughs.\n> a sign on the wall"
    other = LineStop(("You",))
    assert other.feed(text) + other.end() == text


def test_a_model_that_completes_text_ends_with_a_paragraph() -> None:
    """It does not know when it has said enough; a reply of another model has the length it has."""
    paragraphs = [f"{number}. " + "The tide turns. " * 10 for number in range(20)]
    text = "\n\n".join(paragraphs)
    for size in (3, 50, len(text)):
        stop = LineStop((), (QUOTED,))
        pieces = [stop.feed(text[at : at + size]) for at in range(0, len(text), size)]
        told = "".join((*pieces, stop.end()))
        assert told == "\n\n".join(paragraphs[:4])
        assert stop.cut
    other = LineStop(("You",))
    assert len(other.feed(text) + other.end()) == len(text)
