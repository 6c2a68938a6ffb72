"""Keys of lorebooks: patterns mean what they mean in a browser, end in time, and words are words."""

from __future__ import annotations

import time

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.lorebook import matching
from flower.engine.lorebook.book import Book, Entry, Scope
from flower.engine.lorebook.index import KeyIndex, Term
from flower.engine.lorebook.javascript import PatternError, translate
from flower.engine.lorebook.matching import LORE_PATTERNS_S, Pattern, Stopwatch, bare, slashed
from flower.engine.lorebook.outcome import Reason
from flower.engine.lorebook.rules import KeyedBooks, Matching, Shelved
from flower.engine.lorebook.scan import Tools, scan
from flower.engine.lorebook.situation import ScanSettings, Situation, SpokenLine


def matches(key: str, text: str) -> bool:
    pattern = slashed(key)
    assert pattern is not None, key
    return pattern.matches(text, Stopwatch())


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        (r"/fox(es)?/", "two foxes", True),
        (r"/FOX/", "fox", False),
        (r"/FOX/i", "fox", True),
        (r"/\bfox\b/", "a fox.", True),
        (r"/\bfox\b/", "foxes", False),
        (r"/\bбар\b/", "бар", False),  # borders know ASCII only
        (r"/\Bar/", "bar", True),
        (r"/\w/", "ä", False),
        (r"/^\W$/", "ä", True),
        (r"/\d{2}/", "٣٤", False),
        (r"/^\s$/", "\u3000", True),
        (r"/^\S$/", "\ufeff", False),
        (r"/[\W]x/", "äx", True),
        (r"/[^\D]/", "7", True),
        (r"/[\S]/", " \u2003", False),
        (r"/end$/", "end\n", False),
        (r"/end$/m", "end\n", True),
        (r"/^b/m", "a\u2028b", True),
        (r"/a.b/", "a\nb", False),
        (r"/a.b/s", "a\nb", True),
        (r"/[]/", "a", False),
        (r"/[^]/", "\n", True),
        (r"/a{,2}/", "a{,2}", True),
        (r"/a{2/", "a{2", True),
        (r"/x{e<=1}/", "x{e<=1}", True),
        (r"/\p{Lu}/", "p{Lu}", True),
        (r"/\p{Lu}/u", "É", True),
        (r"/[\p{L}]/u", "é", True),
        (r"/\u{41}/u", "A", True),
        (r"/\x41\u0042/", "AB", True),
        (r"/\cJ/", "\n", True),
        (r"/\q/", "q", True),
        (r"/[a\-z]/", "-", True),
        (r"/[\w-x]/", "-", True),
        (r"/[[]a]/", "[a]", True),
        (r"/[a&&b]/", "&", True),
        (r"/(?<n>a)\k<n>/", "aa", True),
        (r"/(a)\1/", "aa", True),
        (r"/(?=a)a/", "a", True),
        (r"/(?<!a)b/", "ab", False),
        (r"/(?<=a+)b/", "aab", True),
        (r"/(?i:A)b/", "ab", True),
        (r"/a#b c/", "a#b c", True),
        (r"/a|b|/", "", True),
        (r"/second[\s\S]*first/", "second\n\x01first", True),
        (r"/\//", "/", True),
    ],
)
def test_patterns_mean_what_they_do_in_a_browser(key: str, text: str, found: bool) -> None:
    """JavaScript's classes, borders, ends and braces, not Python's."""
    assert matches(key, text) is found


@pytest.mark.parametrize(
    "key",
    ["fox", "/", "//", "/fox", "/fox(/", "/a/b/", "/fox/x", "/fox/I", "/fox/gg", "/a++/", "/*a/",
     "/(?>a)/", "/(?P<n>a)/", "/(?R)/", "/a{2,1}/", "/[b-a]/", "/[a/", "/a)/", "/\\p{x/u", "/}/u",
     "/(?<n>a)(?<n>b)/", "/(?:/", "/a**/", "/\\2(a)/u", "/(?i-i:a)/", "/a\\/"],
)  # fmt: skip
def test_what_a_browser_refuses_is_plain_text(key: str) -> None:
    """So is whatever Python knows beyond it."""
    assert slashed(key) is None


def test_bare_patterns() -> None:
    """Keys that are patterns without slashes take their case from the entry."""
    loose, exact = bare("F.X", False), bare("F.X", True)
    assert loose is not None
    assert exact is not None
    assert loose.matches("fox", Stopwatch())
    assert not exact.matches("fox", Stopwatch())
    assert bare("(", False) is None


@given(
    st.text(alphabet="ab()[]{}|*+?.^$\\-,:=!<>0123dwsbpux/ék", max_size=40),
    st.sampled_from(["", "i", "ims", "u"]),
)
def test_any_text_is_a_pattern_or_refused(source: str, flags: str) -> None:
    """Translating never fails otherwise, and what it gives compiles or is refused by the package."""
    try:
        Pattern(source, flags)
    except PatternError:
        return


@given(
    st.text(alphabet="ab(|)?+*.", min_size=1, max_size=14),
    st.text(alphabet="abAB", max_size=12),
    st.booleans(),
)
def test_what_a_pattern_needs_is_in_all_it_matches(source: str, text: str, folded: bool) -> None:
    """Otherwise keys would be passed over that match."""
    try:
        translated = translate(source, "i" if folded else "")
        found = regex.search(translated.pattern, text)
    except (PatternError, regex.error):
        return
    if found and translated.needs:
        compared = text.lower() if translated.folded else text
        assert any(need in compared for need in translated.needs)


def test_slow_patterns_end_in_time() -> None:
    """Keys made to run for ages are given up, one by one and together, and named."""
    evil = tuple(f"/(a{{1,1000}}){{1,1000}}b{number}|(x+x+)+y/" for number in range(60))
    entries = tuple(Entry(uid=str(n), keys=(key,), content="x") for n, key in enumerate(evil))
    good = Entry(uid="good", keys=("lamp",), content="x")
    shelved = Shelved(Book(name="b", entries=(*entries, good)), frozenset({Scope.CHAT}))
    library = KeyedBooks([shelved], Matching())
    text = "lamp " + "a" * 4_000 + "x" * 4_000
    tools = Tools(tokens=len, chance=lambda purpose: 0.5, clock=time.monotonic)
    start = time.monotonic()
    outcome = scan(library, Situation(messages=(SpokenLine("M", text),)), ScanSettings(), tools)
    taken = time.monotonic() - start
    assert [entry.id.uid for entry in outcome.fired] == ["good"]
    assert {entry.reason for entry in outcome.held} == {Reason.TIME}
    assert taken < 20 * LORE_PATTERNS_S  # a loaded machine; without limits it would be years


def test_the_clock_is_asked_for_what_is_left() -> None:
    """No pattern runs once the time of all is used up."""
    now = [0.0]
    stopwatch = Stopwatch(lambda: now[0])
    pattern = Pattern("a", "")
    assert pattern.matches("a", stopwatch)
    now[0] = LORE_PATTERNS_S - 0.001
    assert 0 < stopwatch.seconds_left() <= 0.0011
    now[0] = LORE_PATTERNS_S + 1
    with pytest.raises(TimeoutError):
        pattern.matches("a", stopwatch)


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("a fox.", "fox", True),
        ("foxes", "fox", False),
        ("fox_den", "fox", False),
        ("bäriger", "b", False),
        ("café", "caf", False),
        ("cafe\u0301", "cafe", False),
        ("xc++x", "c++", False),
        ("in c++.", "c++", True),
        ("маяка нет", "маяк", True),
        ("маяками", "маяк", True),
        ("котёнок", "кот", False),
        ("спит", "пит", False),
        ("恐竜が", "竜", True),
        ("Wrenさん", "Wren", True),
        ("등대에", "등대", True),
        ("المنارة", "منارة", True),
        ("ท่าเรือ", "เรือ", True),
    ],
)
def test_whole_words_of_any_script(text: str, key: str, found: bool) -> None:
    """A key stands alone where readers see words, and anywhere where they do not."""
    assert matching.has_word(text, key) is found
    index = KeyIndex([Term(key.lower(), True, True), Term(key, False, True)])
    assert index.find(text) == (frozenset({0, 1}) if found else frozenset())


LETTERS = st.text(alphabet="abк ё竜'-.", max_size=12)


@given(
    st.lists(LETTERS.map(str.strip).filter(bool), max_size=12),
    st.text(alphabet="abкAё 竜'-.", max_size=60),
)
def test_the_index_finds_what_a_plain_search_finds(keys: list[str], text: str) -> None:
    """For every way to compare, however keys and texts are made."""
    terms = [Term(key.lower() if fold else key, fold, whole and len(key.split()) == 1)
             for key in keys for fold in (True, False) for whole in (True, False)]  # fmt: skip
    expected = set()
    for number, term in enumerate(terms):
        compared = text.lower() if term.fold else text
        there = matching.has_word(compared, term.text) if term.whole else term.text in compared
        if there:
            expected.add(number)
    index = KeyIndex(list(dict.fromkeys(terms)))
    found = {term for number, term in enumerate(dict.fromkeys(terms)) if number in index.find(text)}
    assert found == {terms[number] for number in expected}
    assert index.find(text) == index.find(text)
