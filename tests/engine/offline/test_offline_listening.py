"""What a demanding player tries: the offline narrator hears what is done, to whom, and what was asked."""

from __future__ import annotations

import re

import pytest

from flower.engine.offline.facts import by_office, gather
from flower.engine.offline.grammar import in_first_person
from flower.engine.offline.hearing import hear
from flower.engine.offline.names import find_names
from flower.engine.offline.parse import read
from flower.engine.offline.tables import shipped
from tests import evening


def last(name: str, *lines: str, seed: int = 5) -> str:
    """Returns the reply to the last of some lines."""
    return evening.play(name, lines, seed=seed)[-1]


SEEDS = pytest.mark.parametrize("seed", range(4))


@SEEDS
def test_a_pronoun_is_whoever_was_last_meant(seed: int) -> None:
    """ "Her" is the woman one sat down with, though a man was spoken to before."""
    reply = last(
        "orrinsay",
        "I ask Barnaby Lusk about the Teeth.",
        "I go to Net Row and sit with Mother Cask.",
        "I ask her to come with me.",
        seed=seed,
    )
    assert "Cask" in reply
    assert "Barnaby" not in reply


@SEEDS
def test_a_gift_is_taken_by_whom_it_is_given(seed: int) -> None:
    """Nobody haggles over what is given away."""
    reply = last("kessel", "I talk to Hanne Brask.", "I offer her my flask.", seed=seed)
    assert reply.startswith("You offer her your flask.")
    assert "Hanne" in reply


@SEEDS
def test_people_tell_of_themselves_as_i(seed: int) -> None:
    """Who is asked about their own errand does not speak of themself by name."""
    reply = last(
        "patience",
        "I talk to Bram Fallow.",
        "I ask Bram Fallow who pays him for the basket.",
        seed=seed,
    )
    assert "I am paid thirty hours" in reply


@SEEDS
def test_who_is_gone_is_who_is_meant_by_it(seed: int) -> None:
    """The one who vanished is named, not somebody in whose description the word stands."""
    assert "Edmund Carrow" in last("orrinsay", "Who was the man who vanished?", seed=seed)


def test_a_lamp_is_nobody() -> None:
    """A word that the lore uses as a word is a name only with its capital."""
    lore = gather(["Ilsabet Lamp is a woman of sixty. She wants rest. The hall is full of lamps."])
    assert lore.named_in("I light my lamp.") == ()
    assert [name.full for name in lore.named_in("I ask Lamp.")] == ["Ilsabet Lamp"]


def test_an_office_is_its_holder() -> None:
    """Who keeps the light is the keeper."""
    lore = gather(["Edmund Carrow has kept the Candle for years. He is a careful man."])
    assert [name.full for name in by_office(lore, "When was the keeper last seen?")] == [
        "Edmund Carrow"
    ]


@pytest.mark.parametrize(
    ("text", "name", "they", "said"),
    [
        (
            "Maud Tolley keeps her boat at the quay.",
            "Maud Tolley",
            "she",
            "I keep my boat at the quay.",
        ),
        ("Jory Pike is captain of the gate.", "Jory Pike", "he", "I am captain of the gate."),
        ("Maud Tolley's boat is blue.", "Maud Tolley", "she", "Maud Tolley's boat is blue."),
        (
            "Nib is ten or so and sells tide tables at the head of the road.",
            "Nib",
            "they",
            "I am ten or so and sell tide tables at the head of the road.",
        ),
    ],
)
def test_in_first_person(text: str, name: str, they: str, said: str) -> None:
    assert in_first_person(text, name, they) == said


@pytest.mark.parametrize(
    ("line", "kind", "verb"),
    [
        ("I draw my knife.", "use", "ready"),
        ("I order her to stop.", "speech", "order"),
        ("I order a stew.", "trade", "order"),
        ("I leave some bread for the birds.", "use", "leave"),
        ("I accuse Odo Lamb.", "speech", "accuse"),
    ],
)
def test_acts_that_look_like_others(line: str, kind: str, verb: str) -> None:
    found = read(line)
    assert (found.kind, found.verb) == (kind, verb)


@pytest.mark.parametrize(
    ("line", "act"), [("I ask her to sit down.", "request"), ("I ask her about the sea.", "ask")]
)
def test_a_request_is_no_question(line: str, act: str) -> None:
    assert read(line).speech_act == act


def test_letting_somebody_go_is_no_confession() -> None:
    assert hear("I let him go and walk away.", "").disclosure == ""
    assert hear("I let him die.", "").disclosure == "confession"


@pytest.mark.parametrize(
    ("line", "feeling"),
    [("I feel very small and alone.", "lonely"), ("I sit down, exhausted, and cry.", "grief")],
)
def test_feelings_in_passing(line: str, feeling: str) -> None:
    assert hear(line, "").feeling == feeling


def test_what_hangs_on_another_sentence_is_no_fact() -> None:
    """A sentence about "he" alone is not told out of its place."""
    lore = gather(["Tam Nobody runs messages. If the Peace should end he will be no one at all."])
    assert [fact.text for fact in lore.facts] == ["Tam Nobody runs messages."] or all(
        not fact.text.startswith("If the Peace") for fact in lore.facts
    )


def test_names_know_which_of_their_parts_are_words() -> None:
    [name] = [
        one for one in find_names("Ilsabet Lamp says that the lamp is lit.") if one.kind == "person"
    ]
    assert name.common == {"lamp"}


@SEEDS
def test_where_one_is_may_be_asked_beside_other_things(seed: int) -> None:
    """A question about the place is answered by the place, whatever else the line says."""
    reply = last("kessel", "What is this place? I have never been here before.", seed=seed)
    assert "Kessel" in reply


@SEEDS
def test_what_is_brought_to_an_office_is_taken_by_its_holder(seed: int) -> None:
    """The constable of the lore takes it, not whoever was spoken to before."""
    reply = last(
        "orrinsay", "I ask Barnaby Lusk about the Teeth.", "I take it to the constable.", seed=seed
    )
    assert "Tully" in reply
    assert "Barnaby" not in reply


@SEEDS
def test_a_contest_is_won_or_lost_and_one_may_ask(seed: int) -> None:
    """Dice decide who wins, and the answer to "did I win" is what they said."""
    contest, asked = evening.play(
        "orrinsay",
        ("I challenge the biggest sailor to arm wrestling.", "Did I win?"),
        seed=seed,
    )
    words = re.search(r"\[2d6: \d \+ \d = \d+, ([^]]+)\]", contest)
    assert words is not None
    said = {
        "it works": "went_strong",
        "it works, at a price": "went_mixed",
        "it goes wrong": "went_miss",
    }
    phrases = shipped().tables[said[words.group(1)]]
    assert any(asked.startswith(one) for one in phrases), asked


@SEEDS
def test_who_is_followed_is_who_is_spoken_to(seed: int) -> None:
    """A stranger that the player describes is there from then on."""
    reply = last(
        "kessel", "I ask Hanne about the pass.", "I follow the man in the grey coat.",
        "I grab him by the collar.", '"Who sent you?"', seed=seed,
    )  # fmt: skip
    assert "the man" in reply.casefold()
    assert "Hanne" not in reply


@SEEDS
def test_a_name_that_was_given_is_remembered(seed: int) -> None:
    """What the player called the horse is what it is called."""
    reply = last(
        "kessel", "I go to the stables and look at the horses.", "I name the mare Pepper.",
        "What is my horse called?", seed=seed,
    )  # fmt: skip
    assert "Pepper" in reply


@SEEDS
def test_a_letter_is_heard_by_nobody(seed: int) -> None:
    """Writing to somebody is an act, whatever is written."""
    reply = last(
        "kessel",
        "I talk to Hanne Brask.",
        "I write a letter to my sister about all of this.",
        seed=seed,
    )
    assert "letter to your sister" in reply or "write" in reply or not reply.startswith("Hanne")
    assert '"You write' not in reply


@SEEDS
def test_who_asks_for_a_story_is_told_one(seed: int) -> None:
    """A tale is told from the lore, in the mouth of who was asked."""
    reply = last("kessel", "I talk to Hanne Brask.", '"Tell me a story."', seed=seed)
    assert "Hanne" in reply
    tales = [one.split('"{fact_plain}')[-1] for one in shipped().tables["tale"]]
    assert any(fragment in reply for one in tales for fragment in re.findall(r"[\w ]{12,}", one))


@SEEDS
def test_who_asks_what_to_do_is_offered_things_to_do(seed: int) -> None:
    """Two things one could do, from this place."""
    reply = last("orrinsay", "What should I do now?", seed=seed)
    assert re.search(r"\b(?:could|might|one thing to do)\b", reply)
    assert re.search(r"\b(?:[Oo]r|Another)\b", reply)


@SEEDS
@pytest.mark.parametrize("line", ["Help!", '"Help!"', "I shout for help."])
def test_a_call_for_help_is_heard_in_the_story(seed: int, line: str) -> None:
    """Somebody comes; only the bare word asks how to play."""
    reply = last("orrinsay", line, seed=seed)
    pieces = [
        piece
        for one in shipped().tables["called_for_help"]
        for piece in re.findall(r"[\w ,.]{8,}", re.sub(r"\{\w+\}", '"', one))
    ]
    assert any(piece in reply for piece in pieces), reply
    assert "aside" in last("orrinsay", "help", seed=seed)


@SEEDS
@pytest.mark.parametrize("line", ["What is at the top?", "What's behind it?", "And what is inside?"])
def test_what_cannot_be_seen_from_here_is_not_made_of_lore(seed: int, line: str) -> None:
    """Lore that has the word "top" in it is not what lies at the top."""
    reply = last("orrinsay", "I climb the stairs.", line, seed=seed)
    assert any(one in reply for one in shipped().tables["out_of_sight"]), reply


@SEEDS
@pytest.mark.parametrize("name", ["Dorcas Vye", "Barnaby Lusk", "Lucian Bray"])
def test_nobody_has_told_before_what_introduces_them(seed: int, name: str) -> None:
    """A first question about who somebody is gets no "you have had that from me already"."""
    reply = last("orrinsay", f"I ask {name} about {name}.", seed=seed)
    for one in shipped().tables["says_again"]:
        assert not any(piece in reply for piece in re.findall(r"[\w ]{12,}", one.split('"{')[0])), reply


@pytest.mark.parametrize(
    ("line", "kind", "verb"),
    [
        ("I go home, lift a cup, and fall asleep.", "rest", "sleep"),
        ("I find an inn with a fire, take off my boots and eat.", "rest", "eat"),
        ("I find the key.", "search", "find"),
        ("I watch the faces of the crowd, looking for a friend.", "look", "watch"),
        ("If anyone grabs me I swing the lantern at their head.", "resolve", ""),
        ("I shoulder the trunk and set off along the road.", "move", "set"),
        ("I kick off hard and hope to fly.", "think", "hope"),
        ("Wait, do I have a letter?", "oracle", ""),
        ("Out of character: how many days are left?", "aside", ""),
        ("I order something hot to eat.", "trade", "order"),
        ("I order her to stop.", "speech", "order"),
    ],
)
def test_an_act_is_what_matters_of_a_line(line: str, kind: str, verb: str) -> None:
    """Falling asleep is no fall, an inn is found without a search, and "wait" may be a sigh."""
    parsed = read(line)
    assert (parsed.kind, parsed.verb) == (kind, verb)


@SEEDS
def test_who_was_asked_along_is_there_at_the_next_place(seed: int) -> None:
    """A companion by agreement is not looked for anew after every step."""
    reply = last(
        "kessel", "I ask Tam to come with me.", "I go to the Weighhouse.", '"What do you see, Tam?"', seed=seed
    )  # fmt: skip
    assert "Tam" in reply
    assert "easier to find" not in reply
    assert "It takes a little asking" not in reply


@SEEDS
def test_whoever_is_in_charge_is_not_who_is_named_beside(seed: int) -> None:
    """The room of a man who vanished is asked for, not the man."""
    reply = last("orrinsay", "I ask whoever's in charge for the room Mr Carrow paid for.", seed=seed)
    assert "does not come" not in reply
    assert "Wherever Edmund Carrow is" not in reply


@SEEDS
def test_somebody_without_a_name_is_no_name(seed: int) -> None:
    """ "The person next to me" is somebody, and is not called that."""
    reply = last("kessel", 'I whisper to the person next to me, "Who ordered this?"', seed=seed)
    assert "person next" not in reply


@SEEDS
def test_a_short_reply_leaves_the_place_in_sight(seed: int) -> None:
    """What is done without consequence is told with a breath of the place, not with a nod."""
    reply = last("orrinsay", "I shrug my coat tighter.", seed=seed)
    assert len(reply) > 60


@SEEDS
def test_a_wish_out_of_the_story_is_heard(seed: int) -> None:
    """Who asks for less gore is not told that the notes do not say."""
    reply = last("orrinsay", "(OOC: can we keep it spooky but not too gory?)", seed=seed)
    assert "notes" not in reply
    assert reply.startswith("(")
    assert reply.endswith(")")


@SEEDS
def test_a_town_is_nobody(seed: int) -> None:
    """A question that names a place is not put to the place."""
    reply = last(
        "orrinsay", "Have I been to Orrinsay before? Something about that bell feels known.", seed=seed
    )
    assert "Orrinsay says" not in reply
    assert "says Orrinsay" not in reply


@SEEDS
def test_the_old_reeve_is_the_reeve(seed: int) -> None:
    """An adjective before an office changes nobody."""
    assert "Finch" in last("kessel", '"What happened to the old Reeve?"', seed=seed)


@SEEDS
def test_faces_are_looked_at_as_people(seed: int) -> None:
    """What is seen in a crowd are people, not the make of a thing."""
    reply = last("kessel", "I look at the faces in the crowd.", seed=seed)
    shown = [re.sub(r"\{\w+\}", "", one)[:25] for one in shipped().tables["look_people"]]
    assert any(one.strip() in reply for one in shown if one.strip()), reply


@SEEDS
def test_who_goes_somewhere_and_asks_is_answered_there(seed: int) -> None:
    """The innkeeper hears what is asked for at the inn, not whoever was met on the way."""
    reply = last(
        "orrinsay", '"A penny for a table, Nib."', "I go to the Patient Eel and ask for something hot.",
        seed=seed,
    )  # fmt: skip
    assert "Dorcas" in reply


def test_a_recap_may_be_asked_for_out_of_the_story() -> None:
    """Whom one has met is answered as it is asked: in brackets, and by nobody of the story."""
    reply = last("kessel", "I ask Hanne about the pass.", "(out of character, who have I met so far?)")
    assert reply.startswith("(")
    assert "Hanne" in reply


@pytest.mark.parametrize(
    ("line", "goal"),
    [("I step inside the stones quickly.", "the stones"), ("I go to the family.", "the family")],
)
def test_how_one_goes_is_no_part_of_where(line: str, goal: str) -> None:
    assert read(line).goal == goal
