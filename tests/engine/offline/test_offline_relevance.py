"""The offline narrator answers what was asked, or says that it does not know: lore is no filler."""

from __future__ import annotations

import pytest

from flower.engine.offline.facts import Lore, gather
from flower.engine.offline.grammar import stems
from flower.engine.offline.parse import read
from flower.engine.offline.relevance import answers_it, asked_part, belongs_to, content, measured
from tests import evening

SEEDS = pytest.mark.parametrize("seed", range(4))
LORE = (
    "# People\n\nMaud Tolley keeps the Bent Oar, the only inn that has beds. Maud Tolley was born in Carrick.",
    "# Customs\n\nBy custom no man may be in a room where a knot is being tied. The stew costs a penny.",
)


def lore() -> Lore:
    return gather(LORE)


def answered(question: str) -> list[str]:
    """Returns the sentences of the lore that answer a question."""
    known = lore()
    common = {word: 1 for fact in known.facts for word in fact.words}
    asked = stems(asked_part(question)) - measured(question)
    names = known.named_in(question)
    return [fact.text for fact in known.facts if answers_it(fact, asked, names, common)]


def last(world: str, *lines: str, seed: int = 7) -> str:
    """Returns the reply to the last of some lines."""
    return evening.play(world, lines, seed=seed)[-1]


# --- what answers ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where can I sleep tonight?", "only inn that has beds"),
        ("Where was Maud born?", "born in Carrick"),
        ("How much is the stew?", "costs a penny"),
        ("I am lost, who is Maud?", "Bent Oar"),
    ],
)
def test_an_answer_has_what_was_asked(question: str, answer: str) -> None:
    """Other words for the same thing will do."""
    assert any(answer in text for text in answered(question))


@pytest.mark.parametrize(
    "question",
    ["Why would they weigh at night?", "Who paid for the room?", "What riddle did she ask you?"],
)
def test_one_word_in_common_is_no_answer(question: str) -> None:
    assert answered(question) == []


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("I tip Maud a shilling and ask what she thinks of it", "what she thinks of it"),
        ("I'm confused, who is Bram?", "who is Bram?"),
        ("Where is the inn?", "Where is the inn?"),
    ],
)
def test_the_question_is_taken_out_of_its_line(line: str, asked: str) -> None:
    assert asked_part(line) == asked


def test_a_question_about_somebody_says_more_than_the_name() -> None:
    known = lore()
    assert content(stems("What is old Maud Tolley's trade?"), known.named_in("Maud")) == stems("trade")


def test_an_act_brings_to_mind_what_it_is_done_to() -> None:
    """One word that an act shares with a sentence is chance."""
    [stew] = [fact for fact in lore().facts if "stew" in fact.text]
    assert not belongs_to(stew, stems("I stir the stew"), ())
    assert belongs_to(stew, stems("I pay a penny for the stew"), ())


# --- who is there ---------------------------------------------------------------------------------
@SEEDS
def test_somebody_present_is_not_looked_for(seed: int) -> None:
    """Who stands beside the player from the first is not found where people said."""
    reply = last("kessel", "I ask Tam how the Reeve died.", seed=seed)
    assert not any(words in reply for words in ("find Tam", "easier to find", "asking, and then"))
    assert "runs messages" not in reply


@SEEDS
@pytest.mark.parametrize("line", ["I ask Tam how the Reeve died.", "How did the Reeve die?"])
def test_how_somebody_died_is_told_in_any_form(line: str, seed: int) -> None:
    assert "found dead" in last("kessel", line, seed=seed)


@SEEDS
def test_a_portrait_is_drawn_once(seed: int) -> None:
    """Who is met again is known by then."""
    lines = ["I ask Hanne Brask about the Great Scale.", *["I walk to the Split Hoof."] * 14]
    replies = evening.play("kessel", [*lines, "I go back and talk to Hanne Brask."], seed=seed)
    assert "forty-eight" in replies[0]
    assert "forty-eight" not in replies[-1]


@SEEDS
def test_a_place_is_nobody_to_ask(seed: int) -> None:
    reply = last("patience", "I visit the infirmary and ask who the twelfth patient is.", seed=seed)
    assert "the infirmary says" not in reply.casefold()


@SEEDS
def test_what_is_done_for_somebody_elsewhere_is_not_done_to_them(seed: int) -> None:
    assert "Barnaby lets" not in last("orrinsay", "I make the move for Lusk.", seed=seed)


# --- what is done ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("In the morning I walk up the stair", "move"),
        ("After supper, I search the desk", "search"),
        ("I walk to Root Ring, feeling heavier at every step.", "move"),
    ],
)
def test_when_and_how_it_is_done_is_not_what_is_done(line: str, kind: str) -> None:
    assert read(line).kind == kind


@SEEDS
def test_what_the_lore_has_counted_is_counted(seed: int) -> None:
    assert "hundred and ninety-eight" in last("orrinsay", "I count the steps.", seed=seed)


@SEEDS
@pytest.mark.parametrize(
    ("world", "line", "answer"),
    [
        ("kessel", "Where's Odo Lamb?", "outer office"),
        ("kessel", '"Where can I sleep tonight?"', "bed"),
        ("orrinsay", '"Where do I find Honor Tregale?"', "quay"),
        ("orrinsay", "Who paid for the seaward room?", "Edmund Carrow"),
        ("orrinsay", "How far is it to the town?", "mile and a half"),
        ("orrinsay", '"Who are you?" I ask the man with yellow gloves.', "Lucian"),
        ("patience", "How heavy is the extra person?", "fifty kilos"),
        ("patience", "Where's Tobiah?", "Bench"),
        ("patience", "How do I get to the bridge?", "Crown Ring"),
    ],
)
def test_obvious_questions_have_answers(world: str, line: str, answer: str, seed: int) -> None:
    """What anybody in the place could say is said."""
    assert answer in last(world, line, seed=seed)


@pytest.mark.parametrize("name", evening.WORLDS)
def test_who_the_worlds_tell_of_is_there_unless_they_say_otherwise(name: str) -> None:
    """A night on which somebody else vanished takes nobody along."""
    gone = {
        "orrinsay": {"Edmund Carrow", "Orla Penn"},
        "kessel": {"Reeve Aldous Finch"},
        "patience": {"Lio Spar"},
    }
    known = gather((evening.world(name)["lore"].partition("# What is not said")[0],))
    assert {one.full for one in known.of_kind("person") if one.gone} <= gone[name]


@SEEDS
@pytest.mark.parametrize(
    ("world", "lines", "answer"),
    [
        ("orrinsay", ["I ask Nib whether the keeper was a kind man."], "Carrow"),
        ("orrinsay", ['"How old are you, Nib?"'], "ten or so"),
        ("patience", ["What do people eat here?"], "barley"),
        (
            "kessel",
            ["I walk up to Lady Oduval and bow.", '"I hear there is to be a wedding. Whose?"'],
            "wedding",
        ),
    ],
)
def test_what_is_known_of_it_is_told(world: str, lines: list[str], answer: str, seed: int) -> None:
    """Who cannot answer just that says what they know of whom it is about."""
    assert answer in last(world, *lines, seed=seed)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("is there any snow on the stairs", "oracle"),
        ("She's going to start a war, isn't she?", "speech"),
        ("Mister Echo, open the Dry Stair.", "speech"),
        ("I hold on to the rope and look down.", "look"),
        ("I pour Dov some tea and look at the jar for a long time.", "look"),
        ("I dream about my father's mill.", "think"),
    ],
)
def test_lines_that_look_like_others(line: str, kind: str) -> None:
    """A question without its mark, a tag behind a claim, an order to somebody called, a long look."""
    assert read(line).kind == kind


@SEEDS
@pytest.mark.parametrize(
    ("world", "lines", "answer"),
    [
        ("orrinsay", ["I go over to the draughts board and study the position."], "Lusk's move"),
        ("orrinsay", ['"Whose move?" I ask the handsome old man by the stove.'], "Barnaby"),
        ("orrinsay", ["I go and see the harbourmistress about her two letters."], "Honor"),
        ("kessel", ["Where would a damp young clerk be at this hour?", "I go and find him."], "Odo"),
        ("kessel", ["I catch the Warden's eye and nod to her respectfully."], "Hanne"),
        ("patience", ['"What is the Count?"', '"Tell me plainly, Tobiah: are you sure?"'], "Tobiah"),
    ],
)
def test_who_or_what_is_meant_is_found(world: str, lines: list[str], answer: str, seed: int) -> None:
    """By a pronoun, by looks, by an office, by a name in the middle of a line."""
    assert answer in last(world, *lines, seed=seed)


@SEEDS
def test_a_stove_does_not_hit_back(seed: int) -> None:
    assert "[2d6" not in last("orrinsay", "I kick the stove.", seed=seed)


@SEEDS
def test_an_exclamation_is_nobodys_name(seed: int) -> None:
    assert "says Dead" not in last("kessel", '"Dead? How? When?"', seed=seed)
    assert "Dead says" not in last("kessel", '"Dead? How? When?"', seed=seed)


@SEEDS
def test_a_failed_lie_is_seen_by_who_is_lied_to(seed: int) -> None:
    """What comes of a miss is told, whatever the dice are."""
    lines = ["I talk to Sefa Fallow.", "I lie to her and say the Speaker sent me."]
    reply = last("patience", *lines, seed=seed)
    assert "it works, at a price" in reply or "Sefa" in reply
