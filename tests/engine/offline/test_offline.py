"""The offline narrator: replay, variety, lore and memory in the prose, clean text, streaming."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import flower
from flower.engine.offline.provider import OfflineNarrator, reply
from flower.engine.offline.tables import shipped
from flower.engine.provider.base import Completion, Cue, Finish, PromptMessage, Provider, Spent, Text

PACKAGE = Path(flower.__file__).parent
LORE = (
    "Maud Tolley runs the ferry and takes payment in salt. She is sixty and has never learned to swim.",
    "The Drowned Bell hangs in the north tower and is rung by no hand.",
    "Nobody has climbed the Salt Stair since the flood. Ada Pike keeps the Patient Eel.",
)
SCENE = (
    "You stand on a wet quay at dusk. The tide is turning and the lamps of the harbour are being lit."
)
PERSONA = (
    'Ines Calder is a dry old surveyor. She says: "I measured it twice, and it was wrong both times."'
)
LINES = (
    "I go to the Salt Stair.",
    "Who is Maud?",
    "I ask Maud about the bell.",
    "I attack the guard with my knife!",
    "Is the door locked?",
    "search the desk drawers",
    "Where did I hide the key?",
    "",
    "roll 2d6+1",
    "((ooc how do I play?))",
    '"Good evening," I say to the fishwife.',
    "I sit down by the fire and wait",
    "I buy a loaf of bread",
    "I am tired of all this.",
    "\u4f60\u597d\uff0c\u6211\u8981\u53bb\u6d77\u8fb9",
    "I pick the lock",
    "Why?",
    "I wonder what Ada Pike wants",
    "I take the lamp",
    "I open the door",
)

MORE_LINES = (
    "I talk to the guard",
    "I tell her that I need help",
    "Thank you, Maud.",
    "Sorry about that.",
    "I threaten him: say it or else!",
    "Goodbye, Maud",
    "No, I refuse.",
    "Yes, all right.",
    "I nod",
    "Who are you?",
    "Are you afraid of the bell?",
    "I haggle over the price of the lamp",
    "I listen at the wall",
    "I write a letter",
    "I sleep",
    "I follow Maud",
    "I take the bell",
    "Take me to Ada Pike, please.",
    "I ask for a room at the Patient Eel",
    "What happened so far?",
    "I look for Maud",
    "What did I tell Maud about the letter?",
    "How much does the ferry cost?",
    "Surely there is somebody in the tower?",
    "I dance",
    "I fight him",
    "we should leave",
)


def completion(
    line: str, *, messages: Sequence[PromptMessage] = (), max_tokens: int = 800, **cue: Any
) -> Completion:
    given_cue: dict[str, Any] = {"world": "Orrin", "scene": SCENE, "lore": LORE, "seed": 7} | cue
    return Completion(
        model="narrator",
        messages=(*messages, PromptMessage("user", line)),
        max_tokens=max_tokens,
        context_tokens=8192,
        cue=Cue(line=line, **given_cue),
    )


def play(lines: Sequence[str], **cue: Any) -> list[str]:
    """Returns the replies to lines played one after the other, each seeing all that went before."""
    messages: list[PromptMessage] = []
    replies = []
    for turn, line in enumerate(lines):
        text = reply(completion(line, messages=messages, turn_number=turn, **cue))
        messages += [PromptMessage("user", line), PromptMessage("assistant", text)]
        replies.append(text)
    return replies


def faults(text: str) -> list[str]:
    """Returns what is wrong with the typography of a reply."""
    patterns = {
        "double space": r"(?<=\S)  ",
        "space before a mark": r"\s[,.;:!?](?:\s|$)",
        "doubled mark": r",,|,\.|\.,|(?<!\.)\.\.(?!\.)|;\.|!\.|\?\.(?!\.)",
        "unfilled slot": r"[{}]|\|",
        "small letter at the start": r"(?:^|\n\n)[a-z]",
        "no end mark": r"[A-Za-z,;:](?:\n\n|$)",
        "three line breaks": r"\n\n\n",
    }
    found = [name for name, pattern in patterns.items() if re.search(pattern, text)]
    return found + (["odd number of quotation marks"] if text.count('"') % 2 else [])


# --- what is said ---------------------------------------------------------------------------------
def test_the_same_turn_gives_the_same_reply() -> None:
    assert play(LINES) == play(LINES)


def test_another_seed_tells_another_story() -> None:
    assert play(LINES, seed=1) != play(LINES, seed=2)


def test_different_lines_give_different_replies() -> None:
    replies = [reply(completion(line, turn_number=3)) for line in LINES]
    assert len(set(replies)) == len(LINES)


def test_a_line_about_the_world_is_answered_with_it() -> None:
    """Who or what is named is told of; what is not spoken of does not come up."""
    world = re.compile(r"Maud|\bbell\b|Salt Stair|Ada Pike|Patient Eel", re.IGNORECASE)
    for line, text in zip(LINES, play(LINES), strict=True):
        assert bool(world.search(line)) == bool(world.search(text)), line


def test_a_question_about_the_lore_is_answered_from_it() -> None:
    assert "runs the ferry" in reply(completion("Who is Maud Tolley?"))


def test_somebody_asked_about_something_tells_what_the_lore_says() -> None:
    text = reply(completion("I ask Ada Pike about the Drowned Bell."))
    assert "rung by no hand" in text
    assert "Ada" in text


@pytest.mark.parametrize("seed", range(5))
def test_a_question_about_a_memory_is_answered_with_it(seed: int) -> None:
    memories = (
        "The player: I like apples.\nThe narrator: You eat one.",
        "The player: I hide the brass key under the third stair.\nThe narrator: Nobody sees it, Maud included.",
    )
    text = reply(completion("Where did I hide the key?", memories=memories, seed=seed, turn_number=9))
    assert "under the third stair" in text


def test_the_story_so_far_is_told_over_in_order() -> None:
    *_, recap = play(["I open the gate", "I hide the letter", "What happened so far?"])
    assert recap.index("opened the gate") < recap.index("hid the letter")


def test_a_talk_goes_on_with_whom_it_began() -> None:
    *_, answer = play(["I ask Maud Tolley about the tide.", "And what would you do?"])
    assert "Maud" in answer


def test_what_was_never_said_is_not_remembered() -> None:
    text = reply(completion("What did I tell the bishop?", scene="", lore=()))
    assert "bishop" not in text


def test_secrets_are_not_given_away_for_nothing() -> None:
    lore = (*LORE, "## Secrets\nThe Drowned Bell is rung by Ada Pike with a fishing line.")
    said = "\n".join(
        play(["I look around", "I wait", "continue", "I go to the Salt Stair"] * 4, lore=lore)
    )
    assert "fishing line" not in said


def test_the_character_speaks_in_their_own_words() -> None:
    said = "\n".join(play(LINES, character="Ines Calder", persona=PERSONA))
    assert "wrong both times" in said
    assert "Ines" in said


def test_the_character_answers_when_spoken_to() -> None:
    text = reply(completion("Ines, what do you think?", character="Ines Calder", persona=PERSONA))
    assert re.search(r'" says Ines|Ines says|Ines', text)


def test_a_risky_act_shows_its_dice() -> None:
    assert re.search(r"\[2d6: \d \+ \d = \d+, it ", reply(completion("I sneak past the guard")))


def test_a_yes_or_no_question_has_one_answer_however_often_it_is_asked() -> None:
    lines = ["Is the door locked?", "I wait", "I look at the door", "Is the door locked?"]
    for seed in range(12):
        first, *_, last = play(lines, seed=seed)
        assert _fate_of(first) == _fate_of(last) != ""


def _fate_of(text: str) -> str:
    """Returns "yes" or "no" by the table that the reply begins with a phrase of."""
    return next(
        (
            name.removeprefix("oracle.")[:2]
            for name, table in shipped().tables.items()
            if name.startswith("oracle.")
            for phrase in table
            if max(re.split(r"\{\w+\}|\[.*", phrase), key=len).strip() in text
        ),
        "",
    )


def test_a_complication_opens_and_is_taken_up() -> None:
    """The next reply goes on with what the last one began."""
    event = next(event for event in shipped().events if event.mark == "three knocks")
    before = (
        PromptMessage("user", "I wait"),
        PromptMessage("assistant", f"You wait.\n\n{event.opening}"),
    )
    text = reply(completion("I open the door", messages=before, turn_number=1))
    assert "learned by heart" in text


def test_no_phrase_comes_back_within_a_few_turns() -> None:
    """No sentence of the narrator's own is said twice in eight replies in a row."""
    replies = play([f"I look at thing number {number}" for number in range(16)])
    for start in range(len(replies) - 7):
        seen = [
            sentence
            for text in replies[start : start + 8]
            for sentence in set(re.split(r"(?<=[.!?])\s+", text))
            if len(sentence.split()) > 5
        ]
        repeated = {sentence for sentence in seen if seen.count(sentence) > 1}
        assert not repeated


def test_replies_have_the_length_of_a_few_paragraphs() -> None:
    counts = [len(text.split()) for text in play(LINES)]
    assert all(count <= 200 for count in counts)
    assert 25 <= sorted(counts)[len(counts) // 2] <= 120


@pytest.mark.parametrize("seed", range(12))
def test_the_typography_is_clean(seed: int) -> None:
    character = {"character": "Ines Calder", "persona": PERSONA} if seed % 2 else {}
    lines = LINES + MORE_LINES if seed % 3 else MORE_LINES + LINES
    for line, text in zip(lines, play(lines, seed=seed, **character), strict=True):
        assert not faults(text), f"{line!r}: {faults(text)}\n{text}"


@pytest.mark.parametrize(
    "world", sorted((PACKAGE / "assets" / "worlds").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_world_plays_cleanly(world: Path) -> None:
    data = yaml.safe_load(world.read_text(encoding="utf-8"))
    paragraphs = [part for part in data["lore"].split("\n\n") if not part.startswith("#")]
    lore = tuple(paragraphs[::7][:6])
    replies = play(LINES, world=data["name"], scene=data["scene"], lore=lore)
    assert not [found for text in replies for found in faults(text)]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.integers(0, 2**31), st.integers(0, 60))
def test_any_line_in_any_script_gets_a_reply(line: str, seed: int, turn: int) -> None:
    assert reply(completion(line, seed=seed, turn_number=turn)).strip()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=120), max_size=3), st.text(max_size=80), st.text(max_size=80))
def test_any_lore_character_and_persona_can_be_played(
    lore: list[str], character: str, persona: str
) -> None:
    text = reply(completion("I ask about it", lore=tuple(lore), character=character, persona=persona))
    assert text.strip()


def test_a_lone_surrogate_is_no_error() -> None:
    reply(completion("I say \ud800 to the guard")).encode()


def test_everything_but_the_provider_and_the_loader_is_pure() -> None:
    """Chance, time and the network come in as arguments or not at all."""
    acting = {
        "trio",
        "random",
        "time",
        "os",
        "io",
        "sys",
        "pathlib",
        "httpx",
        "sqlite3",
        "secrets",
        "logging",
    }
    for path in (PACKAGE / "engine" / "offline").rglob("*.py"):
        if path.name not in ("provider.py", "tables.py"):
            found = set(
                re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
            )
            assert not found & acting, path.name


# --- streaming ------------------------------------------------------------------------------------
async def test_pieces_make_the_reply_and_end_with_spent_and_finish() -> None:
    wanted = completion("I look around")
    async with OfflineNarrator(words_per_s=0).open(wanted) as pieces:
        got = [piece async for piece in pieces]
    words = [piece.text for piece in got if isinstance(piece, Text)]
    assert "".join(words) == reply(wanted)
    assert all(words)
    assert len(words) > 10
    assert isinstance(got[-2], Spent)
    assert got[-2].completion_tokens > 0
    assert got[-1] == Finish("done")


async def told(max_tokens: int) -> tuple[str, object]:
    async with OfflineNarrator(words_per_s=0).open(
        completion("I look around", max_tokens=max_tokens)
    ) as pieces:
        got = [piece async for piece in pieces]
    return "".join(piece.text for piece in got if isinstance(piece, Text)), got[-1]


async def test_the_reply_keeps_to_the_tokens_allowed_in_whole_sentences() -> None:
    whole, end = await told(800)
    assert end == Finish("done")
    short, end = await told(len(whole) * 2 // 3 // 4)
    assert end == Finish("length")
    assert len(short) <= len(whole) * 2 // 3
    assert short.endswith((".", "!", "?", "\u201d", '"'))
    assert whole.startswith(short)


async def test_the_stream_has_the_pace_asked_for(autojump_clock: trio.testing.MockClock) -> None:
    wanted = completion("I look around")
    begun = trio.current_time()
    async with OfflineNarrator(words_per_s=10).open(wanted) as pieces:
        async for _ in pieces:
            pass
    assert trio.current_time() - begun == pytest.approx(len(reply(wanted).split()) / 10)


async def test_cancelling_stops_at_once(autojump_clock: trio.testing.MockClock) -> None:
    got = []
    with trio.move_on_after(1.0) as scope:
        async with OfflineNarrator(words_per_s=10).open(completion("I look around")) as pieces:
            async for piece in pieces:
                got.append(piece)  # noqa: PERF401 - what came before the cancel is what is looked at
    assert scope.cancelled_caught
    assert 8 <= len(got) <= 11


async def test_leaving_early_closes_the_stream() -> None:
    async with OfflineNarrator(words_per_s=0).open(completion("I look around")) as pieces:
        async for _ in pieces:
            break
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)


async def test_without_a_cue_the_last_message_is_the_line() -> None:
    bare = Completion("narrator", (PromptMessage("user", "I open the red door"),), 800, 8192)
    assert "red door" in reply(bare)


async def test_it_is_a_provider_with_one_free_model() -> None:
    narrator: Provider = OfflineNarrator()
    [model] = await narrator.models()
    assert (narrator.name, model.id, model.name) == (
        "offline",
        "narrator",
        "Offline narrator (no AI model)",
    )
    assert (model.prompt_price, model.completion_price) == (0.0, 0.0)
    assert await narrator.count_tokens("text") is None
    await narrator.aclose()


# --- what a player once found wrong ---------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["Quickly, I run down to the harbour.", "Gently, she takes my hand.", '"Honestly, no," I say.'],
)
def test_an_adverb_is_nobody(line: str) -> None:
    adverb = re.findall(r"[A-Z]\w+ly", line)[0]
    for seed in range(20):
        assert adverb not in reply(completion(line, seed=seed))


def test_a_question_about_the_past_is_answered_though_something_is_going_on() -> None:
    """An event that has a boat in it takes up lines about boats, but not this one."""
    told = PromptMessage("user", "I bought a boat and named it the Merry Widow.")
    for event in shipped().events:
        going_on = PromptMessage("assistant", event.opening)
        text = reply(completion("What did I call the boat?", messages=(told, going_on)))
        assert "Merry Widow" in text


@pytest.mark.parametrize("seed", range(8))
def test_what_only_the_player_said_wins_over_the_lore(seed: int) -> None:
    told = PromptMessage("user", "The password is swordfish.")
    heard = PromptMessage("assistant", "So it is.")
    assert "swordfish" in reply(completion("What is the password?", messages=(told, heard), seed=seed))


@pytest.mark.parametrize("seed", range(8))
def test_what_the_lore_knows_is_not_answered_with_the_players_own_words(seed: int) -> None:
    told = PromptMessage("user", "I ask myself where the bell is.")
    text = reply(completion("Where is the bell?", messages=(told,), seed=seed))
    assert "north tower" in text


def test_where_one_is_can_be_asked() -> None:
    said = [reply(completion("Where am I?", seed=seed)) for seed in range(12)]
    assert all("quay" in text or "Orrin" in text for text in said)


def test_who_is_there_can_be_asked() -> None:
    said = [
        reply(completion("Who is here?", seed=seed, character="Ines Calder", persona=PERSONA))
        for seed in range(12)
    ]
    assert any("Ines" in text.split("\n\n")[0] for text in said)


@pytest.mark.parametrize("word", ["Nobody", "Somebody", "Everyone", "Anyone", "Someone", "She", "They"])
@pytest.mark.parametrize("verb", ["says", "hears", "listens", "looks at you", "turns to"])
def test_a_pronoun_of_the_last_reply_is_nobody_to_talk_to(word: str, verb: str) -> None:
    before = PromptMessage("assistant", f"The lamps go out. {word} {verb} it through to the end.")
    for seed in range(4):
        text = reply(completion("I ask about the board in the window.", messages=(before,), seed=seed))
        assert not re.search(rf"\b{word} (?:says|hears|listens|turns|takes|nods|raises)\b", text)
        assert f"says {word}" not in text


def test_a_greeting_is_no_part_of_the_name_that_is_called() -> None:
    for seed in range(8):
        text = reply(completion("Hello Maud, my name is Tobias.", seed=seed))
        assert "Hello" not in text
        assert "Maud" in text
