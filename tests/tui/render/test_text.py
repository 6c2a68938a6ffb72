"""Cleaning, measuring and wrapping: tables of cases and the laws behind them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower.tui.render import cell_width
from flower.tui.render.text import (
    COMBINING_MARKS,
    TAB_COLUMNS,
    clean,
    cut,
    fit,
    graphemes,
    width,
    wrap,
    wrapped,
)

FAMILY = "👨\u200d👩\u200d👧"

HOSTILE = {
    "csi": "a\x1b[31mb",
    "csi clear": "\x1b[2J\x1b[H",
    "osc 52": "\x1b]52;c;aGk=\x07",
    "osc title": "\x1b]0;owned\x1b\\",
    "dcs": "\x1bP+q544e\x1b\\",
    "apc": "\x1b_Gf=32\x1b\\",
    "pm": "\x1b^x\x1b\\",
    "sos": "\x1bXx\x1b\\",
    "ris": "\x1bc",
    "charset": "\x1b(0qqq",
    "c1 csi": "a\x9b31mb",
    "c1 osc": "\x9d0;x\x9c",
    "c1 dcs": "\x90x\x9c",
    "nul": "a\x00b",
    "bell": "\x07\x07",
    "backspace": "abc\b\b\bXYZ",
    "carriage return": "safe\rEVIL",
    "vertical tab": "a\x0bb\x0cc",
    "shift out": "\x0eqqq\x0f",
    "enquiry": "\x05",
    "cancel": "\x18\x1a",
    "delete": "a\x7fb",
    "bidi override": "user\u202egnp.exe",
    "bidi isolate": "\u2066a\u2069\u2067b\u2068c",
    "bidi marks": "a\u200eb\u200f\u061c",
    "zero width space": "a\u200bb\ufeffc\u2060",
    "soft hyphen": "a\u00adb",
    "tags": "x\U000e0041\U000e0042\U000e007f",
    "variation selectors": "a\ufe00\ufe0e\U000e0100",
    "hangul fillers": "\u115f\u1160\u3164\uffa0",
    "line separators": "a\u2028b\u2029c",
    "surrogates": "a\ud800b\udfff",
    "private use": "\ue000\U000f0000",
    "noncharacters": "\ufffe\U0001fffe",
    "interlinear": "\ufff9a\ufffab\ufffb",
    "musical controls": "\U0001d173x\U0001d17a",
    "shorthand": "\U0001bca0",
    "stacked marks": "e" + "\u0301" * 500,
    "lone joiners": "\u200d\u200c\u200dx\u200d",
    "lone selector": "\ufe0f\ufe0fx\ufe0f",
}  # fmt: skip


def is_showable(char: str) -> bool:
    """What may be on a screen: the rule of ``clean`` said from the other end."""
    if char in ("\n", cell_width.ZWJ, cell_width.ZWNJ, cell_width.EMOJI_PRESENTATION, "\ufffd"):
        return True
    category = unicodedata.category(char)
    if category == "Cn":
        return "\U0001f300" <= char <= "\U0001faff"
    return category[0] in "LMNPS" or char == " "


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_loses_everything_that_is_not_printable(name: str) -> None:
    cleaned = clean(HOSTILE[name])
    assert all(map(is_showable, cleaned)), ascii(cleaned)
    assert "\u202e" not in cleaned


@given(st.text())
def test_only_showable_characters_leave_clean(text: str) -> None:
    assert all(map(is_showable, clean(text)))


@given(st.text(st.characters(categories=["Cc", "Cf", "Mn", "Me", "Co", "Cn", "Zs", "Lo", "So"])))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text)
    assert clean(once) == once


@given(st.binary())
def test_random_bytes_never_leave_an_introducer(data: bytes) -> None:
    for encoding in ("latin-1", "utf-8"):
        cleaned = clean(data.decode(encoding, "replace"))
        assert not any(char < " " and char != "\n" for char in cleaned)
        assert not any("\x7f" <= char < "\xa0" for char in cleaned)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("plain\ntext", "plain\ntext"),
        ("a\tb", "a" + " " * TAB_COLUMNS + "b"),
        ("nb\u00a0sp", "nb sp"),
        ("wide\u3000space", "wide  space"),
        ("e\u0301", "é"),
        (FAMILY, FAMILY),
        ("❤\ufe0f", "❤\ufe0f"),
        ("a\ufe0f", "a"),
        ("नमस्ते", "नमस्ते"),
        ("ภาษาไทย", "ภาษาไทย"),
        ("עִבְרִית", unicodedata.normalize("NFC", "עִבְרִית")),
        ("العربية", "العربية"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("한국어 日本語 中文", "한국어 日本語 中文"),
        ("“quotes” — dashes…", "“quotes” — dashes…"),
    ],
)
def test_scripts_of_the_world_survive(source: str, wanted: str) -> None:
    assert clean(source) == wanted


def test_stacked_marks_are_capped() -> None:
    assert len(clean("e" + "\u0323" * 100)) <= 1 + COMBINING_MARKS


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0), ("abc", 3), ("é", 1), ("e\u0301", 1), ("漢字", 4), ("한글", 4), ("ｗ", 2), ("ﾊ", 1),
        (FAMILY, 2), ("🇩🇪", 2), ("🇩🇪🇫🇷", 4), ("👍🏽", 2), ("❤\ufe0f", 2), ("❤", 1), ("1\ufe0f\u20e3", 2),
        ("🏳\ufe0f\u200d🌈", 2), ("ก็", 1), ("नि", 2), ("─│╭", 3), ("“…”", 3), ("🙂", 2), ("⠋", 1),
    ],
)  # fmt: skip
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@given(st.text())
def test_graphemes_put_together_are_the_text(text: str) -> None:
    parts = graphemes(text)
    assert "".join(part for part, _ in parts) == text
    assert all(size in (1, 2) for _, size in parts)
    assert width(text) == sum(size for _, size in parts)


@given(st.text(), st.integers(0, 20))
def test_cut_is_the_longest_beginning_that_fits(text: str, columns: int) -> None:
    head = cut(text, columns)
    assert text.startswith(head)
    assert width(head) <= columns
    rest = graphemes(text)[len(graphemes(head)) :]
    assert not rest or width(head) + rest[0][1] > columns


@pytest.mark.parametrize(
    ("text", "columns", "wanted"),
    [
        ("short", 9, "short"),
        ("longer", 4, "lon…"),
        ("漢字漢字", 4, "漢…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_fit(text: str, columns: int, wanted: str) -> None:
    assert fit(text, columns) == wanted


@pytest.mark.parametrize(
    ("text", "columns", "wanted"),
    [
        ("", 5, [""]),
        ("one two three", 7, ["one two", "three"]),
        ("one  two", 4, ["one", "two"]),
        ("a\n\nb", 5, ["a", "", "b"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("hi abcdefghij", 4, ["hi", "abcd", "efgh", "ij"]),
        ("trailing   ", 8, ["trailing"]),
        ("  indented text", 11, ["  indented", "text"]),
        ("well-known fact", 6, ["well-", "known", "fact"]),
        ("wait—what", 6, ["wait—", "what"]),
        ("日本語テキスト", 6, ["日本語", "テキス", "ト"]),
        ("終わり。次", 6, ["終わ", "り。次"]),
        ("漢", 1, ["漢"]),
        ("漢 a b", 1, ["漢", "a", "b"]),
        ("ab漢字cd", 4, ["ab漢", "字cd"]),
    ],
)
def test_wrap(text: str, columns: int, wanted: list[str]) -> None:
    assert wrap(text, columns) == wanted


words = st.text(st.sampled_from("ab cd-— \n漢字。e\u0301🙂é"), max_size=60)


@settings(max_examples=300)
@given(words, st.integers(1, 15))
def test_wrapped_lines_fit_and_lose_only_spaces(text: str, columns: int) -> None:
    offsets = wrapped(text, columns).offsets
    end = 0
    for start, stop in offsets:
        assert text[end:start].strip() == "", "only white space is between lines"
        assert start <= stop
        line = text[start:stop]
        assert width(line) <= columns or len(graphemes(line)) == 1
        assert "\n" not in line
        end = stop
    assert text[end:].strip() == ""


def test_a_message_of_ten_thousand_characters_is_cleaned_whole() -> None:
    story = "“The lantern — old, brass — flickers…”\n" * 250
    assert clean(story) == story


def test_what_counts_as_sure_is_sure() -> None:
    """The one-match shortcuts agree with the slow rules for every code point."""
    for char in map(chr, range(0x20, 0x30000)):
        if cell_width.SIMPLE(char):
            assert cell_width.char_width(char) == 1
            assert not cell_width.is_mark(char)
        elif cell_width.is_sure(char):
            assert cell_width.char_width(char) == 2
