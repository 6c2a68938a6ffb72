"""A passage that says of itself that it is a secret is one, however long it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.recall import secrets

SAID = [
    "in secret", "secretly", "a secret", "in truth", "the truth is", "the truth about", "nobody knows", "no one knows",
    "has never told", "has told nobody", "has told no one", "has not told", "and nobody else", "and to nobody else",
    "unknown to", "where no one could see", "where noone could see", "has said nothing", "tells nobody",
    "is hiding the", "only lie",
]  # fmt: skip


@pytest.mark.parametrize("words", [*SAID, *map(str.upper, SAID)])
def test_every_way_of_saying_so_is_heard(words: str) -> None:
    """In the middle of a long text."""
    assert secrets.secret_text(f"The tide is out. {words} her. {'It rains. ' * 50}")


@pytest.mark.parametrize(
    "text", ["(Secret): The door.", "secret: yes\nThe door.", "* SECRET: the door"]
)
def test_a_mark_in_front_is_heard(text: str) -> None:
    assert secrets.secret_text(text)


@given(
    st.lists(
        st.sampled_from([*SAID, "told", "ſecretly", "a", "lıe", " ", "\n", "SECRET", "only lıe", "K"])
    )
)
def test_what_is_looked_for_first_hides_nothing(pieces: list[str]) -> None:
    """The short way to "no" agrees with the patterns, folded letters included."""
    text = " ".join(pieces)
    found = secrets._MARK.search(text) is not None or secrets._WORDS.search(text) is not None
    assert secrets.secret_text(text) is found
