"""Rows: exact widths, nothing unprintable, equality by look."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.tui.render.frame import Frame, Row
from flower.tui.render.style import PLAIN, Style

BOLD, PINK = Style(bold=True), Style(fg=0xFF87AF)
spans = st.lists(st.tuples(st.text(max_size=12), st.sampled_from([PLAIN, BOLD, PINK])), max_size=5)


@given(spans, st.integers(0, 30))
def test_a_row_has_exactly_its_width(content: list[tuple[str, Style]], columns: int) -> None:
    row = Row.of(content, columns)
    assert row.width == columns == len(row.glyphs) == len(row.styles())
    assert sum(count for _, count in row.runs) == columns
    for index, glyph in enumerate(row.glyphs):
        if glyph == "":
            assert index > 0
            assert row.glyphs[index - 1] != ""
    assert all(one != other for (one, _), (other, _) in zip(row.runs, row.runs[1:], strict=False))


@given(spans, st.integers(1, 30))
def test_no_control_character_gets_into_a_cell(content: list[tuple[str, Style]], columns: int) -> None:
    text = Row.of(content, columns).text
    assert not any(
        char < " " or "\x7f" <= char < "\xa0" or "\ud800" <= char < "\ue000" for char in text
    )


@given(spans, st.integers(1, 20), st.data())
def test_slices_put_side_by_side_are_the_row(
    content: list[tuple[str, Style]], columns: int, data: st.DataObject
) -> None:
    row = Row.of(content, columns)
    at = data.draw(st.integers(0, columns))
    joined = Row.beside(row.slice(0, at), row.slice(at, columns))
    if at < columns and row.glyphs[at] == "":
        assert joined.glyphs[at - 1 : at + 1] == "  " or joined.glyphs[at - 1 : at + 1] == (" ", " ")
    else:
        assert joined == row
        assert hash(joined) == hash(row)


@pytest.mark.parametrize(
    ("content", "columns", "text"),
    [
        ("hello", 8, "hello   "),
        ("hello", 3, "hel"),
        ("漢字", 3, "漢 "),
        ("漢字", 4, "漢字"),
        ("a🙂b", 4, "a🙂b"),
        ("a\x1b[31mb", 8, "a[31mb  "),
        ("two\nlines", 10, "two lines "),
        ("\u0301x", 3, " \u0301x "),
    ],
)
def test_rows_of_text(content: str, columns: int, text: str) -> None:
    assert Row.of([(content, PLAIN)], columns).text == text


def test_rows_with_the_same_look_are_equal() -> None:
    one = Row.of([("ab", BOLD), ("cd", BOLD), ("", PINK)], 6)
    other = Row.of([("abcd", BOLD)], 6)
    assert one == other
    assert hash(one) == hash(other)
    assert one != Row.of([("abcd", PINK)], 6)
    assert one != Row.of([("abce", BOLD)], 6)


def test_the_fill_is_the_style_of_the_padding() -> None:
    assert Row.of([("a", BOLD)], 3, PINK).cells == (("a", BOLD), (" ", PINK), (" ", PINK))


def test_a_frame_knows_its_size() -> None:
    assert Frame((Row.blank(7), Row.blank(7))).size == (7, 2)
    assert Frame(()).size == (0, 0)
