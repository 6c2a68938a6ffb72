"""The offline narrator in the shipped worlds, for a whole evening: it keeps secrets and its phrases apart."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from flower.engine.offline.grammar import sentences
from tests import evening

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
    from flower.engine.recall.secrets import secret_text

    openly, _ = parts(name)
    assert [one for one in sentences(" ".join(openly.split())) if secret_text(one)] == []
