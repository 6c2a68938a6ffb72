"""What may be stored and sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.text import sanitize


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain – “quoted” 波 🌸", "plain – “quoted” 波 🌸"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb", "a\nb"),
        ("\x1b[2J\x1b]52;c;aGk=\x07", "[2J]52;c;aGk="),
        ("\x9b31m\x00\x7f", "31m"),
        ("\ud800", "\ufffd"),
        ("e\u0301 👩\u200d🚀", "e\u0301 👩\u200d🚀"),
    ],
)
def test_only_controls_and_surrogates_go(text: str, clean: str) -> None:
    assert sanitize(text) == clean


@given(st.text(), st.integers(0, 50))
def test_chunks_and_the_whole_are_cleaned_alike(text: str, at: int) -> None:
    assert sanitize(text[:at]) + sanitize(text[at:]) == sanitize(text)


@given(st.text(alphabet=st.characters()))
def test_the_result_can_be_sent_and_is_stable(text: str) -> None:
    clean = sanitize(text)
    clean.encode()
    assert sanitize(clean) == clean
    assert not any((ord(c) < 0x20 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in clean)
