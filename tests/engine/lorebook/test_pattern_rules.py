"""Small rules of patterns, one by one: what each sign of JavaScript's matches here, and what is refused as there."""

from __future__ import annotations

import pytest
import regex

from flower.engine.lorebook import index
from flower.engine.lorebook.javascript import LORE_PATTERN_DEPTH, PatternError, translate


def matches(source: str, flags: str, text: str) -> bool:
    return regex.search(translate(source, flags).pattern, text) is not None


@pytest.mark.parametrize(
    ("source", "flags", "yes", "no"),
    [
        ("^a$", "", ["a"], ["ab", "a\n", "b\na"]), ("^a$", "m", ["a", "b\na", "a\nb", "a\r", "\u2028a"], ["ab"]),
        ("a.b", "", ["a-b"], ["a\nb", "a\u2028b"]), ("a.b", "s", ["a\nb"], ["ab"]), ("A", "i", ["a"], ["b"]),
        (r"\bа", "", [], ["а", " а"]), (r"\bb", "", ["a b"], ["ab", "_b"]), (r"\Bb", "", ["ab"], ["b", "a b"]),
        (r"\d", "", ["5"], ["a", "\u0665"]), (r"\D", "", ["a", "/", ":"], ["0", "9"]),
        (r"\w", "", ["a", "_", "Z", "9"], ["\u00e9", "-"]),
        (r"\W", "", ["\u00e9", "-", "@", "[", "^", "`", "{", "/", ":"], ["a", "_", "Z", "9"]),
        (r"\s", "", [" ", "\u00a0", "\ufeff", "\v"], ["a"]),
        (r"\S", "", ["a", "\u200b"], [" ", "\u3000", "\t"]), (r"[\d-]", "", ["5", "-"], ["a"]),
        (r"[^\w]", "", ["-"], ["a"]),
        (r"[\b]", "", ["\b"], ["b"]), (r"[a\-c]", "", ["a", "-", "c"], ["b"]), (r"[a-c-]", "", ["b", "-"], ["d"]),
        (r"[a-a]", "", ["a"], ["b"]), (r"[\d-z]", "", ["1", "-", "z"], ["a"]), (r"[-a]", "", ["-", "a"], ["b"]),
        ("[]", "", [], ["a", ""]), ("[^]", "", ["a", "\n"], [""]), (r"[\x61-\x63]", "", ["b"], ["d"]),
        (r"\0", "", ["\0"], ["0"]), (r"\0a", "", ["\0a"], ["0a"]), (r"\01", "", ["01"], ["\0" + "1"]),
        (r"\cA", "", ["\x01"], ["A"]),
        (r"\ca", "", ["\x01"], ["a"]), (r"\c1", "", [r"\c1"], ["c1"]), (r"\x41", "", ["A"], ["x41"]),
        (r"\x4", "", ["x4"], ["A"]),
        (r"\u0041", "", ["A"], ["u0041"]), (r"\u{41}", "u", ["A"], ["u"]),
        (r"\u{3}", "", ["uuu"], ["\x03", "uu"]), (r"\q", "", ["q"], ["\\"]),
        (r"\t\n\v\f\r", "", ["\t\n\v\f\r"], ["tnvfr"]), (r"(a)\1", "", ["aa"], ["ab", "a1"]),
        (r"a\1", "", ["a1"], ["aa"]),
        (r"(a)\2", "", ["a2"], ["aa"]), (r"(?<n>a)\k<n>", "", ["aa"], ["ak"]), (r"a\k", "", ["ak"], ["a"]),
        (r"(?:a)(b)\1", "", ["abb"], ["aba"]), (r"(?<n>a)\q", "", ["aq"], ["ak"]), (r"(?<n>a)\h", "", ["ah"], ["aa"]),
        ("a{2}", "", ["aa"], ["a"]), ("^a{1,2}$", "", ["a", "aa"], ["aaa"]),
        ("^a{2,}$", "", ["aa", "aaa"], ["a"]), ("a{2", "", ["a{2"], ["aa"]),
        ("a{,2}", "", ["a{,2}"], ["aa"]), ("a{b}", "", ["a{b}"], ["a"]), ("a}", "", ["a}"], ["a"]),
        ("a]", "", ["a]"], ["a"]),
        ("^a+?$", "", ["a", "aa"], [""]), ("^a*$", "", ["", "aa"], ["b"]), ("^a?b$", "", ["ab", "b"], ["aab"]),
        ("a|b", "", ["a", "b"], ["c"]),
        ("a(?=b)", "", ["ab"], ["ac"]), ("a(?!b)", "", ["ac"], ["ab"]), ("(?<=a)b", "", ["ab"], ["cb"]),
        ("(?<!a)b", "", ["cb"], ["ab"]),
        ("(?=a)*b", "", ["b"], ["c"]), ("(?i:a)b", "", ["Ab"], ["AB"]), ("(?-i:a)b", "i", ["aB"], ["AB"]),
        ("(?s:.)", "", ["\n"], []),
        ("(?m:^b)", "", ["a\nb"], ["ab"]), ("(?im-s:^b)", "s", ["a\nB"], ["aB"]),
        (r"\p{L}", "u", ["\u00e9"], ["5"]), (r"\P{L}", "u", ["5"], ["\u00e9"]),
        (r"\p{L}", "", ["p{L}"], ["\u00e9"]), (r"[\p{L}]", "u", ["\u00e9"], ["5"]), (r"\/", "u", ["/"], ["\\"]),
        (r"[\-]", "u", ["-"], ["a"]),
        ("#", "", ["#"], ["a"]), ("a b", "", ["a b"], ["ab"]), ("~&&-", "", ["~&&-"], ["a"]),
        ("[[a]", "", ["[", "a"], ["b"]), ("[&&a]", "", ["&"], ["b"]),
        ("\u2019", "", ["\u2019"], ["'"]),
    ],
)  # fmt: skip
def test_a_sign_means_what_it_means_there(
    source: str, flags: str, yes: list[str], no: list[str]
) -> None:
    assert [text for text in yes if not matches(source, flags, text)] == []
    assert [text for text in no if matches(source, flags, text)] == []


@pytest.mark.parametrize(
    ("source", "flags"),
    [
        ("*a", ""), ("+", ""), ("?", ""), ("{2}", ""), ("a**", ""), ("a{2}{3}", ""), ("a{3,2}", ""), ("(a", ""),
        ("a)", ""), ("[a", ""), ("[b-a]", ""),
        ("a\\", ""), ("[\\", ""), ("(?a)", ""), ("(?ii:a)", ""), ("(?i-i:a)", ""), ("(?<n>a)(?<n>b)", ""),
        (r"(?<n>a)\k<m>", ""), (r"(?<n>a)\k", ""),
        ("(?<=a)*", ""), ("a", "ii"), ("a", "z"), ("{", "u"), ("}", "u"), ("]", "u"), (r"\q", "u"), (r"\c1", "u"),
        (r"\1", "u"), (r"\p", "u"),
        (r"\p{}", "u"), (r"[\d-z]", "u"), (r"[\w-\d]", "u"), ("(?=a)*", "u"), (r"\u{110000}", "u"), ("a" * 10_001, ""),
        ("(" * (LORE_PATTERN_DEPTH + 1) + "a" + ")" * (LORE_PATTERN_DEPTH + 1), ""),
    ],
)  # fmt: skip
def test_what_is_refused_there_is_refused_here(source: str, flags: str) -> None:
    with pytest.raises(PatternError):
        translate(source, flags)


def test_brackets_may_be_so_deep() -> None:
    assert matches("(" * LORE_PATTERN_DEPTH + "a" + ")" * LORE_PATTERN_DEPTH, "", "a")
    assert matches(r"\u{10ffff}", "u", "\U0010ffff")


@pytest.mark.parametrize(
    ("source", "flags", "needs", "folded"),
    [
        ("fox", "", {"fox"}, False), ("Fox", "i", {"fox"}, True), ("fox|bear", "", {"fox", "bear"}, False),
        ("fox|.", "", set(), False),
        ("fo?x", "", set(), False), ("foo?x", "", {"fo"}, False), ("fox+es", "", {"fox"}, False),
        ("fox{2}es", "", {"fox"}, False),
        ("fox{0}es", "", {"fo"}, False), ("fox.bear", "", {"bear"}, False), ("fox(?:es)?", "", {"fox"}, False),
        ("(?:foxes)+a", "", {"foxes"}, False),
        ("(?:foxes)*ab", "", {"ab"}, False), ("ab(?=foxes)", "", {"ab"}, False),
        ("ab(?:foxes|deer)", "", {"foxes", "deer"}, False), ("a", "", set(), False),
        ("fox|a", "", set(), False), ("fox\\x01ab", "", {"fox"}, False), ("fox\\nab", "", {"fox"}, False),
        (r"fox\bab", "", {"fox"}, False),
        ("^fox$", "", {"fox"}, False), ("(?i:fox)", "", {"fox"}, True), ("F\u00d6X", "i", set(), True),
        ("F\u00d6X", "", {"F\u00d6X"}, False),
        (r"\x66ox", "", {"fox"}, False), (r"[f]ox", "", {"ox"}, False), (r"\dox", "", {"ox"}, False),
    ],
)  # fmt: skip
def test_what_a_match_cannot_be_without(source: str, flags: str, needs: set[str], folded: bool) -> None:
    found = translate(source, flags)
    assert (set(found.needs), found.folded) == (needs, folded)


def test_groups_have_names_of_ours() -> None:
    assert dict(translate(r"(a)(?<n>b)[(](?<m>c)\((?:d)(?<!e)", "").names) == {"n": "n1", "m": "n2"}


@pytest.mark.parametrize(("size", "count"), [(1, 1), (6, 1), (7, 2), (9, 4)])
def test_a_long_word_is_known_by_pieces_of_six_letters(size: int, count: int) -> None:
    word = "abcdefghij"[:size]
    pieces = index._cut(word)
    assert len(pieces) == count
    assert {len(piece) for piece in pieces} == {min(size, 6)}
    assert (pieces[0][0], pieces[-1][-1]) == (word[0], word[-1])
