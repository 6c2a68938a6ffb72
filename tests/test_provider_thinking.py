"""Thinking and story are told apart however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.provider.base import Reasoning, Text
from flower.engine.provider.decode import ThinkSplitter

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
    "stray</think> end": ("stray end", ""),
    "cut off at <thi": ("cut off at <thi", ""),
    "<<think>x</think>": ("<", "x"),
    "": ("", ""),
}


def split(parts: list[str], *, inside: bool = False) -> tuple[str, str]:
    splitter = ThinkSplitter(inside=inside)
    pieces = [piece for part in parts for piece in splitter.feed(part)] + splitter.end()
    assert all(piece.text for piece in pieces), "a piece is never empty"
    story = "".join(piece.text for piece in pieces if isinstance(piece, Text))
    thought = "".join(piece.text for piece in pieces if isinstance(piece, Reasoning))
    return story, thought


@pytest.mark.parametrize("reply", CASES)
def test_cases_whole_and_character_by_character(reply: str) -> None:
    assert split([reply]) == CASES[reply]
    assert split(list(reply)) == CASES[reply]


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<", "th", ">", "/", "a", " ", "\n", "🌸"]), max_size=12
    )
)
def test_cuts_make_no_difference(parts: list[str]) -> None:
    whole = "".join(parts)
    assert split(parts) == split([whole]) == split(list(whole))


@given(st.text(st.characters(blacklist_characters="<"), min_size=1).filter(lambda t: not t.isspace()))
def test_text_without_tags_is_untouched(reply: str) -> None:
    assert split(list(reply)) == (reply, "")


def test_a_template_may_have_opened_the_tag() -> None:
    assert split(["why", "</think>", "\nstory"], inside=True) == ("story", "why")


def test_plain_text_is_passed_on_at_once() -> None:
    """Nothing waits for a tag that cannot come any more."""
    splitter = ThinkSplitter()
    assert splitter.feed("The ") == [Text("The ")]
    assert splitter.feed("a <b") == [Text("a <b")]
