"""Thinking and story are told apart however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.provider.base import Reasoning, Text, Withdrawn
from flower.engine.provider.story_text import MARKS, LineStop, MarkKind, StoryReader

CASES = {
    # reply: (story, thinking)
    "plain": ("plain", ""),
    " leading space stays": (" leading space stays", ""),
    "<think>why</think>story": ("story", "why"),
    "\n<think>\nwhy\n</think>\n\nstory": ("story", "\nwhy\n"),
    "<thinking>why</thinking> story": ("story", "why"),
    "a <think>b</think> c": ("a c", "b"),
    "a < b and <i>c</i>": ("a < b and <i>c</i>", ""),
    "<think>never closed": ("", "never closed"),
    "cut off at <thi": ("cut off at <thi", ""),
    "<<think>x</think>": ("<", "x"),
    "": ("", ""),
    # tags in any case, with blanks
    "<THINK>why</THINK>story": ("story", "why"),
    "<think >why< / think >story": ("story", "why"),
    "<thought>why</thought>story": ("story", "why"),
    "<reasoning>why</reasoning>story": ("story", "why"),
    "[THINK]why[/THINK]story": ("story", "why"),
    "◁think▷why◁/think▷story": ("story", "why"),
    "<|begin_of_thought|>why<|end_of_thought|>story": ("story", "why"),
    "<|channel>thought\nwhy<channel|>story": ("story", "\nwhy"),
    "<|channel|>analysis<|message|>why<|end|><|start|>assistant<|channel|>final<|message|>story<|return|>": (
        "story",
        "why",
    ),
    "<|channel|>final<|message|>story": ("story", ""),
    # the start was in the template: back to the beginning it was thinking
    "Let me think. </think>\n\nThe gate opens.": ("The gate opens.", "Let me think. "),
    "why<|end|><|start|>assistant<|channel|>final<|message|>story": ("story", "why"),
    "why[/THINK]story": ("story", "why"),
    "<think>a</think>story </think>goes on": ("story goes on", "a"),
    # templates' end marks
    "The gate opens.<|im_end|>\n<|im_start|>user\nno": ("The gate opens.", ""),
    "The gate opens.<|eot_id|>": ("The gate opens.", ""),
    "The gate opens.</s>no": ("The gate opens.", ""),
    "The gate opens.<end_of_turn>": ("The gate opens.", ""),
    "<s>The gate opens.</s>": ("The gate opens.", ""),
    "The <s>old</s> gate opens.": ("The <s>old</s> gate opens.", ""),
    "<|im_start|>assistant\nThe gate opens.": ("\nThe gate opens.", ""),
    "[inside the gate] he waits": ("[inside the gate] he waits", ""),
}


def split(parts: list[str], *, inside: bool = False, complete: bool = True) -> tuple[str, str]:
    reader = StoryReader(expects=inside)
    pieces = [piece for part in parts for piece in reader.feed(part)] + reader.end(complete=complete)
    story = thought = ""
    for piece in pieces:
        if isinstance(piece, Withdrawn):
            story = ""
            continue
        assert piece.text, "a piece is never empty"
        story += piece.text if isinstance(piece, Text) else ""
        thought += piece.text if isinstance(piece, Reasoning) else ""
    return story, thought


@pytest.mark.parametrize("reply", CASES)
def test_cases_whole_and_character_by_character(reply: str) -> None:
    """However a reply is cut, story and thinking are told apart."""
    assert split([reply]) == CASES[reply]
    assert split(list(reply)) == CASES[reply]


EVERY_MARK = [mark for marks in MARKS.values() for mark in marks]


@given(
    st.lists(
        st.sampled_from([*EVERY_MARK, "<", "th", ">", "/", "a", " ", "\n", "🌸", "["]), max_size=12
    )
)
def test_cuts_make_no_difference(parts: list[str]) -> None:
    """Where the pieces were cut changes nothing in the end."""
    whole = "".join(parts)
    assert split(parts) == split([whole]) == split(list(whole))


@given(st.text(st.characters(blacklist_characters="<[◁"), min_size=1).filter(lambda t: not t.isspace()))
def test_text_without_tags_is_untouched(reply: str) -> None:
    """A reply without marks is told as it came."""
    assert split(list(reply)) == (reply, "")


@pytest.mark.parametrize("start", MARKS[MarkKind.OPEN])
@pytest.mark.parametrize("end", ["</think>", "[/THINK]", "<channel|>"])
def test_every_start_begins_thinking(start: str, end: str) -> None:
    """Any start mark begins thinking that any end mark ends."""
    assert split(list(f"{start}why{end}story")) == ("story", "why")


@pytest.mark.parametrize("end", MARKS[MarkKind.CLOSE])
def test_every_end_takes_back_what_was_thinking(end: str) -> None:
    """Any end mark without a start takes the text before it out of the story."""
    assert split(list(f"why{end}story")) == ("story", "why")


@pytest.mark.parametrize("end", MARKS[MarkKind.END])
def test_every_end_of_a_template_ends_the_reply(end: str) -> None:
    """Nothing after a template's end mark is told."""
    assert split(list(f"The gate opens.{end}no")) == ("The gate opens.", "")


def test_a_template_may_have_opened_the_tag() -> None:
    """A model that is known to begin inside its thinking is not told as story."""
    assert split(["why", "</think>", "\nstory"], inside=True) == ("story", "why")


def test_a_reply_that_was_no_thinking_after_all_is_story() -> None:
    """A complete reply in which no thinking ended is the story; one that was cut off is not."""
    assert split(["The gate ", "opens."], inside=True)[0] == "The gate opens."
    assert split(["why", " not"], inside=True, complete=False) == ("", "why not")


def test_plain_text_is_passed_on_at_once() -> None:
    """Nothing waits for a tag that cannot come any more."""
    reader = StoryReader()
    assert reader.feed("The ") == [Text("The ")]
    assert reader.feed("a <q") == [Text("a <q")]


# --- the player's lines


MARKS_OF_OURS = ("Notes for the narrator:", "The player's words:", "From the lore (")


def stopped(text: str, *names: str) -> tuple[str, str]:
    """Returns what is told of a text that comes whole, and character by character the same."""
    whole, single = LineStop(names, MARKS_OF_OURS), LineStop(names, MARKS_OF_OURS)
    told = whole.feed(text) + whole.end()
    assert "".join(map(single.feed, text)) + single.end() == told
    return told, whole.cut


@pytest.mark.parametrize(
    "line",
    ["You: I run.", "  You: no", "**You:** no", "Mara: no", "MARA : no", "> Mara： no", '"You: no'],
)
def test_a_reply_ends_where_the_player_would_speak(line: str) -> None:
    """The model does not speak for the player, however it writes the name."""
    told, cut = stopped(f"The gate opens.\n\n{line}\nThe gate shuts.", "You", "Mara")
    assert told == "The gate opens."
    assert cut


@pytest.mark.parametrize(
    "text",
    [
        "You see: a gate.",
        "The gate opens.\nYou see it: a hall.",
        "The gate opens.\nYour sword: gone.",
        "The gate opens.\n\nMara looks up.",
        "You: I run.\nThe gate opens.",
        "The gate opens.\n",
        "The gate opens.\nYou",
    ],
)
def test_other_lines_stay(text: str) -> None:
    """Only a name with a colon at the start of a line, after the story has begun, ends a reply."""
    assert stopped(text, "You", "Mara") == (text, "")


@given(st.text(st.sampled_from("\n YouMara:*>x"), max_size=40))
def test_a_cut_depends_on_nothing_but_the_text(text: str) -> None:
    """How the text was cut into pieces does not matter, and nothing but an end is lost."""
    told, cut = stopped(text, "You", "Mara")
    assert text.startswith(told)
    assert bool(cut) == (told != text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Notes for the narrator: none\nThe gate opens.", "The gate opens."),
        (
            "NOTES FOR THE NARRATOR:\n- From the lore (Gate): It is old.\n\nThe gate opens.",
            "The gate opens.",
        ),
        ("The player's words: I knock.\nThe gate opens.", "The gate opens."),
        ("[The Player's Words: I knock.", ""),
        ("The gate opens.\n\nThe player's words: I go in.", "The gate opens."),
        ("The gate opens.\n• from the LORE (Gate): old", "The gate opens."),
        (
            "The player waits.\nFrom the lorebook he reads.",
            "The player waits.\nFrom the lorebook he reads.",
        ),
        (" The gate opens.", " The gate opens."),
    ],
)
def test_our_own_scaffolding_is_never_story(text: str, told: str) -> None:
    """Lines of the prompt are left out before the story, and end it after it has begun."""
    assert stopped(text, "You")[0] == told
