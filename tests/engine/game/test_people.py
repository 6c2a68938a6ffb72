"""People, factions and the cast: who they are, who is meant, who speaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.game import people, steering
from flower.engine.game.people import Person
from flower.engine.game.steering import Cast
from flower.errors import CommandError

MARA = Person("Mara Voss", "keeps the lamp", met="the mole")
GUILD = Person("the Salt Guild", faction=True)


@given(st.lists(st.integers(-150, 150), max_size=30))
def test_standing_stays_between_its_ends_and_the_history_adds_up(changes: list[int]) -> None:
    person = MARA
    for change in changes:
        person = people.shifted(person, change, "because")
        assert -100 <= person.attitude <= 100
    if len(changes) <= people.NPC_SHIFTS:
        assert sum(shift.change for shift in person.shifts) == person.attitude
    assert len(person.shifts) <= people.NPC_SHIFTS


@pytest.mark.parametrize(
    ("attitude", "words"),
    [
        (-100, "hates"),
        (-60, "hates"),
        (-59, "distrusts"),
        (0, "no opinion"),
        (25, "friendly"),
        (61, "anything"),
    ],
)
def test_standing_in_words(attitude: int, words: str) -> None:
    assert words in Person("X", attitude=attitude).feels


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("I greet Mara.", True),
        ("mara voss?", True),
        ("VOSS!", True),
        ("Maranatha", False),
        ("I walk on.", False),
        ("", False),
    ],
)
def test_naming(text: str, named: bool) -> None:
    assert people.is_named(MARA, text) is named


def test_small_words_of_a_name_name_nobody() -> None:
    assert not people.is_named(GUILD, "the end")
    assert people.is_named(GUILD, "I ask the guild.")


def test_finding_putting_and_the_last_sight() -> None:
    some = people.put((MARA,), GUILD)
    assert people.find(some, "mara") is MARA
    assert people.find(some, "THE SALT GUILD") is GUILD
    with pytest.raises(CommandError, match="There is: Mara Voss, the Salt Guild"):
        people.find(some, "Ned")
    assert people.put(some, Person("mara voss"))[0] == Person("mara voss")
    story = [(1, "Mara waves."), (2, "Fog."), (3, "Voss is gone."), (4, "Fog.")]
    assert people.last_seen(MARA, story) == 3
    assert people.last_seen(GUILD, story) is None


def test_what_the_narrator_is_told_of_people_in_the_scene() -> None:
    owed = people.shifted(people.shifted(MARA, 40, "you found her son"), -10, "")
    present = people.in_scene((owed, GUILD), ("The lamp is lit.", "I ask Mara."))
    assert people.prompt_text(present) == (
        "Mara Voss: keeps the lamp. Mara Voss trusts the player (+30, last because: you found her son)."
    )


# --- the cast -----------------------------------------------------------------------------------

NAMES = {"mara": "Mara Voss", "ned": "Old Ned", "ines": "Ines Calder"}


@pytest.mark.parametrize(
    ("chosen", "line", "spoke", "speaker"),
    [
        (Cast(), "Ned?", "mara", ""),
        (Cast(mode="named"), "I ask Ned and Mara.", "", "ned"),
        (Cast(mode="named"), "voss, listen", "", "mara"),
        (Cast(mode="named"), "Nedless words", "mara", ""),
        (Cast(mode="round"), "Well?", "", "mara"),
        (Cast(mode="round"), "Well?", "mara", "ned"),
        (Cast(mode="round"), "Well?", "ines", "mara"),
        (Cast(mode="round"), "Ines, well?", "mara", "ines"),
        (Cast(mode="round"), "Well?", "somebody who left", "mara"),
        (Cast(mode="round", next="ines"), "Ned?", "mara", "ines"),
        (Cast(next="narrator"), "Ned?", "mara", "narrator"),
        (Cast(next="gone"), "Well?", "mara", ""),
    ],
)
def test_who_speaks(chosen: Cast, line: str, spoke: str, speaker: str) -> None:
    assert steering.speaker(chosen, NAMES, line, spoke) == speaker


def test_one_alone_on_stage_needs_no_turns() -> None:
    assert steering.speaker(Cast(mode="round"), {"mara": "Mara"}, "Mara?", "") == ""


def test_the_instruction() -> None:
    assert steering.speaker_text("ned", NAMES).startswith("In this reply Old Ned acts and speaks")
    assert "nobody of the cast" in steering.speaker_text("narrator", NAMES)
    assert steering.speaker_text("", NAMES) == ""
