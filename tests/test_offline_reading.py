"""What the offline narrator takes a line to mean: tables of lines, and laws for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower import limits
from flower.engine.provider.base import ChatMessage
from flower.engine.provider.offline import grammar, names
from flower.engine.provider.offline.lore import about, gather
from flower.engine.provider.offline.memory import remember
from flower.engine.provider.offline.reading import read, stems
from flower.engine.provider.offline.restate import restate

LORE = (
    "## People\nMaud Tolley runs the ferry and takes payment in salt. She is sixty and cannot swim.",
    "The Drowned Bell hangs in the north tower. A pint costs two pence at the Patient Eel.",
    "Old Jon Pike was found dead last week. His sister Ada Pike keeps the Patient Eel.",
    "## Secrets\nThe tower was built by Ada Pike's grandfather with stolen stone.",
)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("", "continue"),
        ("continue", "continue"),
        ("...", "continue"),
        ("roll 2d6+1", "dice"),
        ("((how do I save?))", "aside"),
        ("I go to the ferry steps.", "move"),
        ("follow the boy", "move"),
        ("I look at the bell", "look"),
        ("look for the key", "search"),
        ("I search under the stairs", "search"),
        ("I attack the guard with my knife", "fight"),
        ("I sneak past the guard", "risk"),
        ("I run away", "risk"),
        ("I hide the key under a stone", "use"),
        ("I hide", "risk"),
        ("I open the chest", "use"),
        ("I opened the chest", "use"),
        ("I pick up the lamp", "take"),
        ("I buy a loaf of bread", "trade"),
        ("I sit down and rest", "rest"),
        ("I wonder who followed me", "think"),
        ("I am a clerk.", "state"),
        ("I don't trust this place.", "state"),
        ("I don't trust you.", "speech"),
        ('"Who goes there?"', "speech"),
        ("Hello there", "speech"),
        ("Take me to the tower", "speech"),
        ("I ask Maud about the bell", "speech"),
        ("Maud, where is the bell?", "speech"),
        ("What do you know about the bell?", "speech"),
        ("Who is Maud?", "know"),
        ("Is the door locked?", "oracle"),
        ("Where did I hide the key?", "recall"),
        ("What is my name?", "recall"),
        ("remind me what Maud promised me", "recall"),
        ("I go to the inn and sleep", "rest"),
        ("I walk in and ask for a room", "speech"),
        ("In. I step inside the stones.", "move"),
        ("fish around in the stew with the ladle", "other"),
        ("\u4f60\u597d", "other"),
    ],
)
def test_the_kind_of_a_line(line: str, kind: str) -> None:
    assert read(line).kind == kind


@pytest.mark.parametrize(
    ("line", "act"),
    [
        ("I open the chest with my knife.", "open the chest with your knife"),
        ("I'll try to open my pack", "open your pack"),
        ("I opened the chest", "open the chest"),
        ("we go home", "go home"),
        ("I carefully close the door behind me", "close the door behind you"),
    ],
)
def test_an_act_is_said_back_in_the_second_person(line: str, act: str) -> None:
    assert read(line).act == act


def test_dice_are_read_with_their_bonus() -> None:
    assert read("roll 3d10-2").dice == (3, 10, -2)


@pytest.mark.parametrize(
    ("question", "yes", "no"),
    [
        ("Is the door locked?", "The door is locked.", "The door is not locked."),
        ("Is there a guard?", "There is a guard.", "There is no guard."),
        ("Are there any boats?", "There are boats.", "There are no boats."),
        ("Can I see it?", "You can see it.", "You can not see it."),
        ("Does Maud know me?", "Maud does know you.", "Maud does not know you."),
        ("Is anyone awake?", "Somebody is awake.", "Nobody is awake."),
    ],
)
def test_a_question_is_restated_as_its_answer(question: str, yes: str, no: str) -> None:
    found = gather(LORE).names
    assert (restate(question, True, found), restate(question, False, found)) == (yes, no)


def test_a_question_that_cannot_be_parted_is_not_restated() -> None:
    assert restate("Is the old iron door locked from inside?", True, ()) == ""


def test_names_are_found_and_guessed() -> None:
    found = {name.full: name for name in gather(LORE).names}
    assert found["Maud Tolley"].kind == "person"
    assert (found["Maud Tolley"].short, found["Maud Tolley"].they) == ("Maud", "she")
    assert found["Drowned Bell"].said == "the Drowned Bell"
    assert found["Old Jon Pike"].gone
    assert not found["Maud Tolley"].gone


def test_the_sister_of_a_dead_man_is_not_dead() -> None:
    [name] = names.find_names("Ada Pike took the inn when her brother died.")
    assert not name.gone


def test_facts_stand_alone_and_keep_what_leans_on_them() -> None:
    first = gather(LORE).facts[0]
    assert first.text == "Maud Tolley runs the ferry and takes payment in salt."
    assert first.more == "She is sixty and cannot swim."


def test_what_stands_under_a_heading_of_secrets_is_a_secret() -> None:
    facts = gather(LORE).facts
    assert [fact.text for fact in facts if fact.secret] == [
        "The tower was built by Ada Pike's grandfather with stolen stone."
    ]


def test_the_fact_about_what_was_asked_comes_first() -> None:
    best = about(gather(LORE), stems("What does a pint cost?"))[0][1]
    assert "two pence" in best.text


def test_a_memory_is_retold_in_the_past_and_to_the_player() -> None:
    memory = (
        "The player: I hide the brass key under the third stair and walk home.\nThe narrator: It rains."
    )
    found = remember(stems("Where did I hide the key?"), [memory], (), "", "Where did I hide the key?")
    assert found is not None
    assert found.retold == "You hid the brass key under the third stair and walked home."


def test_what_is_still_in_the_last_messages_is_remembered_too() -> None:
    said = (ChatMessage("user", "My name is Harriet Snow."),)
    found = remember(stems("What is my name?"), (), said, "", "What is my name?")
    assert found is not None
    assert found.retold == "Your name is Harriet Snow."


@pytest.mark.parametrize(
    ("verb", "past"),
    [("hide", "hid"), ("carry", "carried"), ("stop", "stopped"), ("open", "opened"), ("put", "put")],
)
def test_past_forms(verb: str, past: str) -> None:
    assert grammar.past_verb(verb) == past


@pytest.mark.parametrize(
    ("rough", "clean"),
    [
        ("so  it is ..", "So it is."),
        ('"Halt!" she says , and stops', '"Halt!" she says, and stops'),
        ("One. two? three", "One. Two? Three"),
        ("[2d6: 3 + 4 = 7]", "[2d6: 3 + 4 = 7]"),
    ],
)
def test_tidy(rough: str, clean: str) -> None:
    assert grammar.tidy(rough) == clean


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    """No text a player can send is an error, whatever its script or length."""
    reading = read(text)
    assert len(reading.text) <= limits.OFFLINE_READ_CHARS
    assert "\n" not in reading.text


@given(st.lists(st.text(max_size=200), max_size=4))
def test_any_lore_can_be_gathered(passages: list[str]) -> None:
    for fact in gather(passages).facts:
        assert fact.text.strip()
