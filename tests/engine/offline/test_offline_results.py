"""The offline narrator tells what it knows of whom or what a question names, and what comes of an act."""

from __future__ import annotations

import re

import pytest

from flower.engine.offline.facts import gather
from flower.engine.offline.grammar import stems
from flower.engine.offline.parse import read
from flower.engine.offline.relevance import asked_part, by_head, facts_of_names
from tests import evening

SEEDS = pytest.mark.parametrize("seed", range(3))
EVASIONS = re.compile(
    r"no handle on it|comes back empty|not a thing you can know|Nobody can say|four answers|edge of what I know|"
    r"not lying about in the open|No one has told you"
)
LORE = gather(
    [
        "# Things\n\nOaths are sworn in the Hall of Weights, and nowhere else. Salt is sold by the pound here."
        "\n\n# People\n\nMaud Tolley keeps the Bent Oar. She owes the bank for a boat."
    ]
)


def last(world: str, *lines: str, seed: int = 7) -> str:
    """Returns the reply to the last of some lines."""
    return evening.play(world, lines, seed=seed)[-1]


# --- what is named is told of -----------------------------------------------------------------------
def test_a_title_is_meant_by_the_head_of_it() -> None:
    assert [name.full for name in by_head(LORE, "Who built the Hall?")] == ["Hall of Weights"]
    assert by_head(LORE, "Who sweeps a hall?") == ()


def test_what_is_said_of_a_name_comes_in_the_order_of_the_words_of_the_question() -> None:
    names = LORE.named_in("Maud Tolley")
    found = facts_of_names(LORE.facts, stems("bank owes"), names, {})
    assert found[0].more.startswith("She owes the bank")
    assert facts_of_names(LORE.facts, stems("pound"), (), {}) == []


@SEEDS
@pytest.mark.parametrize(
    ("world", "line"),
    [
        ("kessel", "Who is the Warden of Weights, and what do people in town think of them?"),
        ("kessel", "Who stands to gain if the Scale doesn't hang true?"),
        ("patience", "How does somebody get enough to eat here? Who hands out the food?"),
        ("patience", "What's the law on an uncounted person?"),
        ("patience", "What do I know about Tobiah Rivet? Have we met before?"),
        ("orrinsay", "What did she mean by it being the bed he paid for?"),
    ],
)
def test_a_question_about_what_the_lore_knows_is_not_evaded(world: str, line: str, seed: int) -> None:
    """Somebody was talked to before; that is not what is asked."""
    reply = last(world, '"Good evening."', line, seed=seed)
    assert not EVASIONS.search(reply)
    assert "Those were the words" not in reply


@SEEDS
def test_a_sentence_that_leans_on_another_is_not_told_without_its_subject(seed: int) -> None:
    """ "He has new gloves" would be of anybody."""
    replies = evening.play("kessel", ["I ask Tam about Jory Pike."] * 4, seed=seed)
    for reply in replies:
        assert not re.search(r'[.:,] "(?:He|She) has new gloves', reply)


def test_nobody_refuses_an_answer_twice_running() -> None:
    """Who has no answer gives another thing for it the next time."""
    asked = [
        '"Hanne, do you sing in your bath?"',
        '"Hanne, what is a zeppelin made of?"',
        '"Why blue?"',
    ]
    replies = evening.play("kessel", ["I go and see Hanne Brask.", *asked])[1:]
    assert sum("I don't know" in reply for reply in replies) <= 1


# --- who answers ------------------------------------------------------------------------------------
@SEEDS
def test_whoever_is_gone_up_to_answers(seed: int) -> None:
    """By their office, though somebody else stands nearer."""
    assert "Hanne" in last(
        "kessel", "I go up to the Warden and introduce myself as the new clerk.", seed=seed
    )


@SEEDS
def test_whoever_keeps_the_inn_answers_there(seed: int) -> None:
    reply = last(
        "orrinsay", '"Hello, Nib."', "I head for the Patient Eel and ask for my room.", seed=seed
    )
    assert "Dorcas" in reply
    assert "Nib says" not in reply


# --- what comes of an act -----------------------------------------------------------------------------
@SEEDS
@pytest.mark.parametrize(
    "line",
    [
        "I look back over my shoulder to see who has been following me.",
        "I put my ear against the wall and listen.",
        "I walk to the Weighhouse and try the door.",
        "I put my hand on the cold pillar.",
        "I hide behind a cart and wait.",
        "I wait there for an hour.",
    ],
)
def test_an_act_has_a_result_beyond_its_echo(line: str, seed: int) -> None:
    """There is a sentence more than the act said back and the air of the place."""
    reply = last("kessel", line, seed=seed)
    assert len(reply) > 150
    assert len(re.findall(r"[.!?]", reply)) >= 3


def test_a_note_is_written_and_heard_by_nobody() -> None:
    line = read('I leave my supper on a ledge with a note that says "Are you hungry?"')
    assert (line.kind, line.act) == ("use", "leave your supper on a ledge with a note")


def test_a_long_act_is_said_back_as_far_as_its_first_clauses() -> None:
    line = read(
        "I take the ropes over the gap, even if I haven't done it since I was twelve and was sick the whole way."
    )
    assert line.act == "take the ropes over the gap, even if you haven't done it since you were twelve"


def test_who_is_bribed_takes_it() -> None:
    """And not whoever was spoken to last."""
    reply = last("kessel", "I talk to Hanne Brask.", "I bribe the guard with a penny.")
    assert "Hanne" not in reply


def test_somebody_who_is_let_talk_says_something() -> None:
    reply = last("kessel", "I go and see Hanne Brask.", "I say nothing and let her talk.")
    assert re.search(r'Hanne[^"]*"|"[^"]*Hanne', reply)


def test_who_is_asked_again_says_it_again() -> None:
    first, again = evening.play(
        "kessel", ["I ask Hanne Brask about the Great Scale.", '"Could you say that again?"']
    )
    quoted = re.findall(r'"([^"]{20,})"', first)
    assert quoted
    assert any(part.rstrip(".,") in again for part in quoted)


def test_what_is_said_behind_a_question_is_no_part_of_it() -> None:
    line = "Tam, why are you called Nobody? You don't have to tell me if you'd rather not."
    assert asked_part(line).endswith("Nobody?")
    assert "left in the fifth stone" in last("kessel", f'"{line}"')


def test_what_somebody_never_spoke_of_was_not_said() -> None:
    lines = ["I ask Hanne Brask about the Great Scale.", "What did Hanne say about zeppelins?"]
    assert "Hanne" in last("kessel", *lines)
    assert "Scale" not in last("kessel", *lines)


@SEEDS
def test_what_became_of_somebody_is_not_told_of_their_namesake(seed: int) -> None:
    """Lio Spar and Dov Spar share a name."""
    assert "Lio" in last("patience", "What happened to Lio?", seed=seed)


def test_a_request_outside_the_story_is_no_question_about_its_rules() -> None:
    reply = last("patience", "ooc: what can I do about the count?")
    assert "in quotes" not in reply
    assert "/suggest" in reply or "Ask somebody" in reply


def test_the_holder_of_an_office_is_named() -> None:
    assert "Barnaby Lusk" in last("orrinsay", "Who is the First Pilot, and does he sleep well?")


# --- the player -----------------------------------------------------------------------------------------
@SEEDS
def test_how_the_player_feels_is_answered_as_a_feeling(seed: int) -> None:
    reply = last("kessel", "How do I feel, standing here?", seed=seed)
    assert not EVASIONS.search(reply)
    assert len(reply) > 60


def test_what_is_the_players_to_decide_is_said_to_be() -> None:
    reply = last("kessel", "ooc: can I decide that my character grew up in the Vell, or is that fixed?")
    assert "yours to decide" in reply or "Choose what you like" in reply


def test_nobody_says_their_own_name_back() -> None:
    reply = last("patience", "I go and see Tobiah Rivet.", '"Mr Rivet, I\'ve got the short straw."')
    assert "So mr" not in reply


@pytest.mark.parametrize(
    "line",
    [
        '"Tam, who is waiting for me at the Weighhouse?"',
        "I ask Tam who is waiting for me at the Weighhouse.",
        "Who is waiting for me at the Weighhouse?",
    ],
)
def test_who_is_at_a_place_is_somebody_whose_place_it_is(line: str) -> None:
    assert "Hanne Brask is at the Weighhouse" in evening.play("kessel", [line])[0]


def test_who_is_at_a_place_is_nobody_of_another() -> None:
    assert (
        "Hanne Brask is at the Weighhouse"
        not in evening.play("kessel", ["Who is at the Split Hoof?"])[0]
    )
