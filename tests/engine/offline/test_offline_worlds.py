"""The offline narrator in the shipped worlds, for a whole evening: it keeps secrets and its phrases apart."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from flower.engine.offline.grammar import sentences
from flower.engine.offline.voice import of_character
from flower.engine.recall.secrets import secret_text
from tests import evening
from tests.paths import TESTS

SECRET_WORDS = 5  # in a row: fewer may be said by chance
# What somebody plays who goes about, talks and asks, with nothing won by dice.
ORDINARY = (
    "I look around.", "Where am I?", "Who is here?", "I ask what has happened here.", "I go to {place}.",
    "I ask {person} about {other}.", "What does {person} know?", "I talk to {person}.", "I follow {other}.",
    '"Good evening," I say.', "I ask about {place}.", "What is {place}?", "Who is {other}?", "I wait.",
    "I listen.", "I ask {other} about {person}.", "Tell me about the truth.", "What is the secret of {place}?",
    "I ask {person} what {other} is hiding.", "Why does nobody speak of it?", "I sit down and rest.",
    "What happened so far?", "Is {person} lying?", "I tell {person} that I do not believe it.", "I open the door.",
)  # fmt: skip
WHO = {
    "orrinsay": (("Dorcas Vye", "Barnaby Lusk", "Minta Rusk", "Isham Pole", "Pell Addick", "Mother Cask",
                  "Honor Tregale", "Lucian Bray", "Edmund Carrow"),
                 ("the Patient Eel", "the Undercroft", "Gannet Stair", "the Widow's Candle", "Coldharbour")),
    "kessel": (("Hanne Brask", "Jory Pike", "Odo Lamb", "Ysolde Karn", "Wilmot Sedge", "Fitch", "Tam Nobody",
                "Granny Tansel", "Brother Culm"),
               ("the Weighhouse", "the Split Hoof", "the Hush", "the Reeve's House", "the eighth stone")),
    "patience": (("Ilsabet Lamp", "Sefa Fallow", "Jun Loom", "Oriel Tiller", "Mister Echo", "Dov Spar",
                  "Petra Halyard", "Bram Fallow", "Tobiah Rivet"),
                 ("the Bench", "Orchard Nine", "the Dry Stair", "the Low Market", "the sealed bridge")),
}  # fmt: skip


def ordinary(name: str, count: int) -> list[str]:
    people, places = WHO[name]
    return [
        ORDINARY[i % len(ORDINARY)].format(
            person=people[i % len(people)],
            other=people[(i // 3 + 4) % len(people)],
            place=places[i % len(places)],
        )
        for i in range(count)
    ]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.casefold())


def runs(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + SECRET_WORDS]) for i in range(len(found) - SECRET_WORDS + 1)}


def parts(name: str) -> tuple[str, str]:
    """Returns a world's lore that is open, and its secrets."""
    openly, _, hidden = evening.world(name)["lore"].partition("# What is not said")
    assert hidden
    return openly, hidden


@pytest.mark.parametrize("name", evening.WORLDS)
def test_ordinary_exchanges_reveal_no_secret(name: str) -> None:
    """Two hundred exchanges over the shipped worlds hold nothing that only stands under the secrets."""
    openly, hidden = parts(name)
    secret = runs(hidden) - runs(openly) - runs(evening.world(name)["start_message"])
    lines = ordinary(name, 67)
    for line, text in zip(lines, evening.play(name, lines), strict=True):
        assert not runs(text) & secret, f"{line!r}: {text}"


@pytest.mark.parametrize("name", evening.WORLDS)
def test_what_is_a_secret_stands_under_its_heading(name: str) -> None:
    """No sentence elsewhere says of itself that nobody knows it: it would be one by its words alone."""
    openly, _ = parts(name)
    assert [one for one in sentences(" ".join(openly.split())) if secret_text(one)] == []


@pytest.mark.parametrize("character", sorted((evening.ASSETS / "characters").glob("*.yaml")))
def test_a_companion_does_not_tell_what_they_hide(character: Path) -> None:
    """What a persona says that somebody covers up, hides or does not speak of is not said of them."""
    loaded = yaml.safe_load(character.read_text("utf-8"))
    known = " ".join(of_character(loaded["name"], loaded["persona"]).persona)
    assert known
    for word in ("hides", "covers", "does not speak of", "has not said"):
        assert word not in known


# --- the same sentence again ----------------------------------------------------------------------
def lines(name: str) -> list[str]:
    path = TESTS / "evenings" / f"{name}.txt"
    return path.read_text("utf-8").splitlines()


@cache
def told(name: str) -> tuple[str, ...]:
    return tuple(evening.play(name, lines(name)))


def alike(one: str, other: str) -> bool:
    """Whether two sentences read like the same one: most of their words that are no names are shared."""
    mine, theirs = frozenset(one.split()) - {"_"}, frozenset(other.split()) - {"_"}
    return min(len(mine), len(theirs)) >= 3 and len(mine & theirs) >= 0.6 * len(mine | theirs)


def again(shapes: list[str], before: list[str] | None = None) -> list[str]:
    """Returns the shapes that are like one before them, or like one of another evening."""
    return [
        shape
        for index, shape in enumerate(shapes)
        if any(alike(shape, other) for other in (shapes[:index] if before is None else before))
    ]


@pytest.mark.parametrize("name", evening.WORLDS)
def test_an_evening_hardly_repeats_a_turn_of_phrase(name: str) -> None:
    """At most 3 of 100 sentences of fifty exchanges read like one that was told before."""
    shapes = evening.shapes(name, lines(name), told(name))
    assert len(shapes) > 100
    assert len(again(shapes)) <= 0.03 * len(shapes), again(shapes)


@pytest.mark.parametrize(
    ("first", "second"), [("orrinsay", "kessel"), ("kessel", "patience"), ("patience", "orrinsay")]
)
def test_another_world_is_told_in_other_words(first: str, second: str) -> None:
    """At most 8 of 100 sentences of an evening read like one of the evening before, in another world."""
    replies = evening.play(second, lines(second), earlier=told(first)[::-1], seed=12)
    shapes = evening.shapes(second, lines(second), replies)
    found = again(shapes, evening.shapes(first, lines(first), told(first)))
    assert len(found) <= 0.08 * len(shapes), found


# --- a reply that was cut off ---------------------------------------------------------------------
@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.9])
@pytest.mark.parametrize("name", evening.WORLDS)
def test_a_reply_that_was_cut_off_goes_on_in_the_middle_of_its_word(name: str, share: float) -> None:
    """What was told and what continues it are the whole reply, wherever it was cut."""
    played = lines(name)[:6]
    whole = told(name)[5]
    begun = whole[: int(share * len(whole))]
    rest = evening.play(name, played, begun={5: begun})[-1]
    assert begun + rest == whole


def test_a_whole_reply_is_continued_with_what_happens_next() -> None:
    """A reply that ended is not told a second time: time goes on, in a paragraph of its own."""
    played = lines("orrinsay")[:6]
    whole = told("orrinsay")[5]
    rest = evening.play("orrinsay", played, begun={5: whole})[-1]
    assert rest.startswith("\n\n")
    assert rest.strip()
    assert whole not in rest


def test_a_reply_by_another_hand_is_taken_up_where_it_stops() -> None:
    """What a model began and the offline narrator continues is left as it stands and gone on from."""
    rest = evening.play(
        "kessel", lines("kessel")[:6], begun={5: "The crowd parts, and behind it is a"}
    )[-1]
    assert rest.startswith("\u2026\n\n")
    assert len(rest.split()) > 5


# --- how a companion is spoken of -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("pronouns", "they", "their"), [("they/them", "they", "their"), ("it", "it", "its")]
)
def test_a_character_is_spoken_of_as_their_file_says(pronouns: str, they: str, their: str) -> None:
    """The field decides, whatever words the persona uses of others."""
    slots = of_character("Ash", "She taught him everything. Her hands are his.", pronouns).slots
    assert (slots["they"], slots["their"]) == (they, their)
