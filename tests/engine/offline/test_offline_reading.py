"""What the offline narrator takes a line to mean: tables of lines, and laws for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.offline import grammar, names
from flower.engine.offline.facts import gather
from flower.engine.offline.fate import restate
from flower.engine.offline.grammar import stems
from flower.engine.offline.parse import OFFLINE_READ_CHARS, read
from flower.engine.offline.questions import about_the_other, is_adverb, put_away, without_call
from flower.engine.offline.recall import Recollection, remember
from flower.engine.offline.relevance import rank_facts
from flower.engine.provider.base import PromptMessage

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
    assert found["Drowned Bell"].with_article == "the Drowned Bell"
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
    best = rank_facts(gather(LORE), stems("What does a pint cost?"))[0][1]
    assert "two pence" in best.text


def test_a_memory_is_retold_in_the_past_and_to_the_player() -> None:
    memory = (
        "The player: I hide the brass key under the third stair and walk home.\nThe narrator: It rains."
    )
    found = remember(stems("Where did I hide the key?"), [memory], (), "", "Where did I hide the key?")
    assert found is not None
    assert found.retold == "You hid the brass key under the third stair and walked home."


def test_what_is_still_in_the_last_messages_is_remembered_too() -> None:
    said = (PromptMessage("user", "My name is Harriet Snow."),)
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
    assert len(reading.text) <= OFFLINE_READ_CHARS
    assert "\n" not in reading.text


@given(st.lists(st.text(max_size=200), max_size=4))
def test_any_lore_can_be_gathered(passages: list[str]) -> None:
    for fact in gather(passages).facts:
        assert fact.text.strip()


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("What's my sister's name?", "recall"),
        ("What was the name of my boat?", "recall"),
        ("What am I afraid of?", "recall"),
        ("Who has my ring?", "recall"),
        ("Ines, what is my sister called?", "recall"),
        ("How much do I owe the baker?", "recall"),
        ("How do I open the door?", "know"),
        ("Where can I sleep?", "know"),
        ("What should I do now?", "know"),
        ("Where am I?", "know"),
        ("What do you think of my boat?", "speech"),
        ("Quickly, I run down to the harbour.", "move"),
        ("Slowly I walk up the stairs", "move"),
        ("Angrily I slam the door", "other"),
        ("Emily, where is the bell?", "speech"),
        ("I will never forget you.", "speech"),
        ("I owe the baker three shillings.", "state"),
        ("I met a man called Jonas at the ferry.", "state"),
        ("I give Ines my silver ring.", "other"),
        ("tell me about the lighthouse", "speech"),
        ("He laughs and walks off.", "speech"),
        ("She runs away and I follow.", "speech"),
        ("help", "aside"),
    ],
)
def test_the_kind_of_a_line_that_was_once_misread(line: str, kind: str) -> None:
    assert read(line).kind == kind


@pytest.mark.parametrize("line", ["tell me about the lighthouse", "Show me where the bell hangs."])
def test_a_request_to_be_told_is_a_question(line: str) -> None:
    assert read(line).speech_act == "ask"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("What did I call the boat?", "I bought a boat this morning and named it the Merry Widow."),
        ("What's the name of my horse?", "My horse is called Pepper."),
        ("When did my sister die?", "My sister Agnes drowned here nine years ago."),
        ("Where do I come from?", "I come from Harrow."),
        ("Who am I?", "Hello Ines, my name is Tobias."),
        ("How old am I?", "I am thirty-four."),
        ("What do I do for a living?", "I'm a doctor by trade."),
        ("What did Jonas say?", "Jonas told me that the bridge is not safe."),
        ("Why did I come here?", "I came here to find out how Agnes died."),
        ("What is the password?", "Remember that the password is swordfish."),
        ("Ines, do you remember the name of my boat?", "My boat is the Merry Widow."),
    ],
)
def test_the_sentence_that_answers_is_found_among_others(asked: str, said: str) -> None:
    others = (
        "I open the door of the chapel.",
        "I told the baker that I like bread.",
        "Ines, my name means nothing here.",
        "The boat next door sank.",
        "I walk from the inn to the bridge.",
    )
    messages = [PromptMessage("user", line) for line in (*others[:3], said, *others[3:])]
    found = remember(stems(without_call(asked)), (), messages, "", asked)
    assert found is not None
    assert found.text == said


@pytest.mark.parametrize(
    ("said", "retold"),
    [
        ("Hello Ines, my name is Tobias.", "Your name is Tobias."),
        ("I promise Ines that I'll be back.", "You promised Ines that you would be back."),
        ("Remember that the password is swordfish.", "The password is swordfish."),
    ],
)
def test_a_sentence_is_retold_without_what_introduced_it(said: str, retold: str) -> None:
    assert Recollection(said, own=True, score=0).retold == retold


@pytest.mark.parametrize("word", ["Quickly", "Honestly", "suddenly"])
def test_adverbs_are_known(word: str) -> None:
    assert is_adverb(word)


@pytest.mark.parametrize("word", ["Emily", "Molly", "July", "fly", "Mira"])
def test_names_that_end_like_adverbs_are_none(word: str) -> None:
    assert not is_adverb(word)


def test_what_was_said_aloud_is_remembered_without_its_quotation_marks() -> None:
    lines = (
        'I say to Nib: "My favourite food is plum cake."',
        '"Honestly, I don\'t trust her," I whisper.',
    )
    messages = [PromptMessage("user", line) for line in lines]
    found = remember(stems("What food do I like?"), (), messages, "", "What food do I like?")
    assert found is not None
    assert found.retold == "Your favourite food is plum cake."


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("I walk into the town and look for the Patient Eel.", "move"),
        ("I go up the hill to find Dorcas", "move"),
        ("I walk along the quay and look for footprints.", "search"),
    ],
)
def test_what_has_a_name_is_gone_to_and_not_searched_for(line: str, kind: str) -> None:
    assert read(line).kind == kind


@pytest.mark.parametrize("asked", ["What is my name?", "How old am I?", "Where do I come from?"])
def test_what_only_the_player_can_tell_is_not_taken_from_others(asked: str) -> None:
    """Whatever word it shares with the question."""
    scene = "The child, whose name seems to be Nib, is ten years old and comes from the sea."
    assert remember(stems(asked), (), (), scene, asked) is None


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Then I quickly and quietly climb over the wall", "move"),
        ("Really carefully, I lift the lid.", "use"),
        ("Luckily, nobody sees me.", "other"),
        ("Unfortunately the rope breaks", "other"),
        ("Honestly, this place is bad.", "speech"),
        ("Daily life here seems hard.", "speech"),
        ("Bye", "speech"),
    ],
)
def test_adverbs_are_passed_over(line: str, kind: str) -> None:
    assert read(line).kind == kind


def test_an_adverb_is_no_part_of_the_name_behind_it() -> None:
    found = names.find_names("Lately Old Mother Cask has been saying two hundred and seven.")
    assert [name.full for name in found] == ["Old Mother Cask"]


@pytest.mark.parametrize(
    ("question", "sentence", "told"),
    [
        ("Where is the key?", "I hide the brass key under the third stone.", True),
        ("Where's my coat?", "I left my coat at the inn.", True),
        ("Where is the lighthouse?", "I walk up to the lighthouse.", False),
        ("Who has the key?", "I hide the key.", False),
    ],
)
def test_where_the_player_put_something_is_told_by_the_player(
    question: str, sentence: str, told: bool
) -> None:
    assert put_away(question, sentence) is told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Who are you?", True),
        ("What brings you here?", True),
        ("I ask Hanne what she is doing here.", True),
        ("Why are you here?", True),
        ("What is she doing with the bell?", False),
        ("Who brings the salt?", False),
        ("Why is the bell here?", False),
    ],
)
def test_questions_about_whoever_is_asked_are_told_from_others(text: str, expected: bool) -> None:
    """What brings somebody here is answered from their own life."""
    assert about_the_other(text) is expected
