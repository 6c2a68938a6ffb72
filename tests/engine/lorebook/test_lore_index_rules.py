"""Small rules of the index of keys: what it remembers has bounds, and what is found does not depend on it."""

from __future__ import annotations

import pytest

from flower.engine.lorebook import index
from flower.engine.lorebook.book import Book, Entry, Scope, TextSource
from flower.engine.lorebook.index import KeyIndex, ScanText, Term, View
from flower.engine.lorebook.rules import KeyedBooks, LoreRules, Matching, Shelved

TERMS = (
    Term("lamp"), Term("oil", whole=False), Term("Mara", fold=False), Term("маяк"), Term("鐘"),
    Term("oil lamp"), Term("\u2665", whole=False),
)  # fmt: skip
TEXTS = ("A lamp.", "Boiling.", "Mara", "mara", "У маяка.", "鐘楼", "An oil lamp \u2665", "x" * 99, "")


def test_texts_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those asked for last stay; a long one is never among them."""
    monkeypatch.setattr(index, "LORE_REMEMBERED_TEXTS", 2)
    monkeypatch.setattr(index, "LORE_REMEMBERED_CHARS", 4)
    keys = KeyIndex(TERMS)
    remembered = []
    for text in ("lamp", "a", "lamp", "b", "lamps", "c"):
        keys.find(text)
        remembered.append(list(keys._terms_of))
    assert remembered == [
        ["lamp"],
        ["lamp", "a"],
        ["a", "lamp"],
        ["lamp", "b"],
        ["lamp", "b"],
        ["b", "c"],
    ]
    assert keys.find("c") is keys.find("c")


def test_words_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are too many all are forgotten; a long one is never among them."""
    monkeypatch.setattr(index, "LORE_REMEMBERED_WORDS", 2)
    half = KeyIndex((Term("oil", whole=False),))._folded
    longest = "x" * index._WORD_CHARS
    remembered = []
    for text in ("oil", "boil", "oil", "coil", longest, longest + "x"):
        assert list(half.find(text)) == ([0] if "oil" in text else [])
        remembered.append(list(half._candidates))
    assert remembered == [
        ["oil"],
        ["oil", "boil"],
        ["oil", "boil"],
        ["coil"],
        ["coil", longest],
        ["coil", longest],
    ]


def test_one_text_of_many_words_keeps_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "LORE_REMEMBERED_WORDS", 300)
    half = KeyIndex((Term("oil", whole=False),))._folded
    half.find(" ".join(f"word{number}" for number in range(700)))
    assert len(half._candidates) == 100


@pytest.mark.parametrize(
    ("texts", "chars", "words", "letters"), [(0, 0, 1, 0), (1, 5, 2, 3), (3, 99, 3, 9)]
)
def test_what_is_found_does_not_depend_on_what_is_remembered(
    monkeypatch: pytest.MonkeyPatch, texts: int, chars: int, words: int, letters: int
) -> None:
    found = [KeyIndex(TERMS).find(text) for text in TEXTS]
    assert found == [{0}, {1}, {2}, set(), {3}, {4}, {0, 1, 5, 6}, set(), set()]
    monkeypatch.setattr(index, "LORE_REMEMBERED_TEXTS", texts)
    monkeypatch.setattr(index, "LORE_REMEMBERED_CHARS", chars)
    monkeypatch.setattr(index, "LORE_REMEMBERED_WORDS", words)
    monkeypatch.setattr(index, "_WORD_CHARS", letters)
    keys = KeyIndex(TERMS)
    for order in (TEXTS, TEXTS[::-1], TEXTS):
        assert {text: keys.find(text) for text in order} == dict(zip(TEXTS, found, strict=True))
        assert len(keys._terms_of) <= texts
        assert len(keys._folded._candidates) <= words
        assert len(keys._exact._candidates) <= words


@pytest.mark.parametrize(("count", "letters"), [(8, 6), (9, 3)])
def test_a_key_is_known_by_a_long_piece_but_not_by_one_that_many_share(
    count: int, letters: int
) -> None:
    half = KeyIndex([Term(f"lanterns {number}xy", whole=False) for number in range(count)])._folded
    assert set(half._pieces) == {letters}
    assert sorted(half.find("lanterns 1xy lanterns 2xy")) == [1, 2]


def test_messages_are_read_once_and_seen_as_far_as_a_view_goes() -> None:
    text = ScanText(KeyIndex((Term("a"), Term("b"))), ["a", "b a", "b"], {}, [])
    assert [text.read(depth) for depth in (0, 1, 1, 2, 1, 9)] == [set(), {0}, set(), {1}, set(), set()]
    seen = {
        (term, depth): text.has(term, View(depth, (), False)) for term in (0, 1) for depth in range(4)
    }
    assert {place for place, has in seen.items() if has} == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)}


def test_patterns_see_one_text_with_its_parts_in_order() -> None:
    sources = {TextSource.SCENARIO: "Dusk.", TextSource.PERSONA: "A smith.", TextSource.DESCRIPTION: ""}
    text = ScanText(KeyIndex(()), ["new", "old"], sources, ["note"])
    every = View(9, tuple(TextSource), True)
    grown = [text.grown]
    assert text.text(View(1, (), True)) == "\x01new\n\x01note"
    assert text.text(every) == "\x01new\n\x01old\n\x01A smith.\n\x01Dusk.\n\x01note"
    text.add("brought")
    grown.append(text.grown)
    assert grown == [False, True]
    assert text.text(every) == "\x01new\n\x01old\n\x01A smith.\n\x01Dusk.\n\x01note\n\x01brought"
    assert text.text(View(1, (TextSource.SCENARIO,), False)) == "\x01new\n\x01Dusk.\n\x01note"


def test_a_term_is_where_a_view_looks() -> None:
    text = ScanText(
        KeyIndex(tuple(map(Term, "abcd"))),
        ["x"],
        {TextSource.SCENARIO: "a", TextSource.PERSONA: "b"},
        ["c"],
    )
    assert text.first_terms() == {0, 1, 2}
    assert text.add("d x") == {3}
    scenario = (TextSource.SCENARIO,)
    assert [text.has(term, View(0, (), False)) for term in range(4)] == [False, False, True, False]
    assert [text.has(term, View(0, scenario, True)) for term in range(4)] == [True, False, True, True]


def test_only_entries_that_no_term_leads_to_are_looked_at_in_every_scan() -> None:
    keys = {
        "plain": "lamp", "pattern": "/lamps?/", "short pattern": "/.x?/", "macro": "{{user}}", "old macro": "<USER>",
        "empty": " ", "none": "",
    }  # fmt: skip
    entries = [Entry(uid=uid, keys=(key,)) for uid, key in keys.items()]
    entries += [
        Entry(uid="constant", constant=True), Entry(uid="activate", content="@@activate\nText."),
        Entry(uid="secondary", keys=("lamp",), secondary_keys=("{{user}}",)),
    ]  # fmt: skip
    shelved = Shelved(Book(name="b", entries=tuple(entries)), frozenset({Scope.CHAT}))

    def unindexed(dialect: LoreRules) -> set[str]:
        library = KeyedBooks([shelved], Matching(dialect=dialect))
        return {library.rules[rank].id.uid for rank in library.unindexed}

    ours = {"short pattern", "macro", "old macro", "constant", "activate"}
    assert unindexed(LoreRules.FLOWER) == ours
    assert unindexed(LoreRules.SILLYTAVERN) == ours | {"empty"}
