"""Chunking: headings become title paths, nothing is lost, nothing is over the budget."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flower.engine.recall.chunking import chunk, outline, word_pieces
from flower.engine.store.passages import Chunk

LORE = """The city of Vael stands on a drowned coast.

# Factions

The guilds rule by day.

## The Ash Concord

They burn what they cannot buy.

## The Lampwrights ##

They keep the lights.

Places
======

The Docks
---------

Fog, and the smell of tar.
"""


def test_headings_become_the_title_path() -> None:
    """Both Markdown styles count, and a deeper heading ends with its parent."""
    assert [(draft.title, draft.text) for draft in chunk(LORE, "Vael")] == [
        ("Vael", "The city of Vael stands on a drowned coast."),
        ("Vael > Factions", "The guilds rule by day."),
        ("Vael > Factions > The Ash Concord", "They burn what they cannot buy."),
        ("Vael > Factions > The Lampwrights", "They keep the lights."),
        ("Vael > Places > The Docks", "Fog, and the smell of tar."),
    ]


def test_hash_signs_in_code_fences_are_text() -> None:
    (draft,) = chunk("```\n# not a heading\n```")
    assert draft == Chunk("", "```\n# not a heading\n```")


def test_windows_and_old_mac_line_ends_read_the_same() -> None:
    assert chunk(LORE.replace("\n", "\r\n")) == chunk(LORE) == chunk(LORE.replace("\n", "\r"))


def test_small_paragraphs_are_packed_and_long_ones_cut_between_sentences() -> None:
    """No sentence is cut and none is repeated while all are shorter than the budget."""
    sentences = [f"The {n}th keeper wrote down the height of the tide." for n in range(60)]
    drafts = chunk(" ".join(sentences), budget=40)
    assert " ".join(draft.text for draft in drafts) == " ".join(sentences)
    assert all(draft.text.endswith(".") for draft in drafts)
    assert len(chunk("One.\n\nTwo.\n\nThree.")) == 1


def test_only_a_sentence_that_must_be_split_overlaps() -> None:
    words = [f"word{n}" for n in range(300)]
    drafts = chunk(" ".join(words), budget=50)
    assert len(drafts) > 6
    for before, after in pairwise(drafts):
        assert after.text.split()[0] in before.text.split()


def test_nothing_makes_no_passage() -> None:
    assert chunk("") == chunk("  \n\n \t") == chunk("# Only a heading\n") == ()


def test_nested_mappings_become_headings() -> None:
    """A loaded YAML file is cut like Markdown with its keys as headings."""
    text = outline({"places": {"docks": "x" * 80, "size": 3}, "rumours": ["one", "two"]})
    assert [draft.title for draft in chunk(text)] == ["places > docks", "rumours"]
    assert "size: 3" in chunk(text)[0].text


def test_tokens_are_about_those_of_the_models_tokenizer() -> None:
    """Words, punctuation and CJK characters count; long words count more than once."""
    assert word_pieces("The cat sat.") == 4
    assert word_pieces("antidisestablishmentarianism") == 5
    assert word_pieces("竜の洞窟") == 4
    assert word_pieces(" \n") == 0


@given(st.text(alphabet="ab .!?\n#=-竜é\r\t`", max_size=600), st.integers(4, 60))
def test_passages_hold_every_letter_in_order_within_the_budget(text: str, budget: int) -> None:
    """Whatever the text: letters keep their order and no passage is over the budget."""
    drafts = chunk(text, budget=budget)
    assert all(draft.text and draft.text == draft.text.strip() for draft in drafts)
    assert all(word_pieces(draft.text) <= budget for draft in drafts)
    held = "".join(draft.title + draft.text for draft in drafts)
    assert {char for char in text if char.isalpha()} >= {char for char in held if char.isalpha()}
    if "#" not in text and "=" not in text and "-" not in text and len(drafts) < 2:
        assert [char for char in held if char.isalpha()] == [char for char in text if char.isalpha()]


@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=40), min_size=1, max_size=80))
def test_no_word_is_lost(words: list[str]) -> None:
    """Every word of a text without headings is in some passage, as often as in the text or more."""
    held = "".join(draft.text for draft in chunk(" ".join(words), budget=12)).replace(" ", "")
    for word in words:
        assert word[:6] in held


def test_text_under_no_heading_is_told_by_its_first_line() -> None:
    """From its second passage on; a text of one passage has nothing to repeat."""
    text = "Drag of slender bodies\n\n" + "\n\n".join(f"Paragraph {n} of the report." for n in range(9))
    first, *rest = chunk(text, budget=20)
    assert first.title == ""
    assert len(rest) > 1
    assert {draft.title for draft in rest} == {"Drag of slender bodies"}
    assert {draft.title for draft in chunk(text, "Lab", budget=20)} == {"Lab"}
    assert [draft.title for draft in chunk(text, budget=200)] == [""]
