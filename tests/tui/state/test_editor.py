"""The input line: scripts of keys, and laws about cursor, undo and layout."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower import limits
from flower.tui.render.text import graphemes, width
from flower.tui.state.editor import _ACTIONS, INPUT_HISTORY, KILL_RING, UNDO_STEPS, Editor
from flower.tui.term.inputs import Key

FAMILY = "👨\u200d👩\u200d👧"


def typed(editor: Editor, script: str) -> Editor:
    """``hello<left>x``: characters are typed, names in angle brackets are keys."""
    while script:
        if script[0] == "<":
            name, script = script[1:].split(">", 1)
            key = Key(name)
        else:
            char, script = script[0], script[1:]
            key = Key("space" if char == " " else char, char)
        after = editor.handle(key)
        assert after is not None, key
        editor = after
    return editor


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("hello", "hello|"),
        ("ac<left>b", "ab|c"),
        ("abc<home><delete>", "|bc"),
        ("abc<backspace>", "ab|"),
        ("one two<ctrl+w>", "one |"),
        ("one two.three<alt+backspace>", "one two.|"),
        ("one two<ctrl+left>x", "one x|two"),
        ("one two<home><ctrl+right>x", "onex| two"),
        ("don't stop<ctrl+a><alt+f>", "don't| stop"),
        ("abc<ctrl+a><ctrl+k>", "|"),
        ("abc<ctrl+u><ctrl+y>", "abc|"),
        ("ab cd<ctrl+w><ctrl+w><ctrl+y>", "ab cd|"),
        ("a b<ctrl+w>c<ctrl+w><ctrl+y><alt+y>", "a b|"),
        ("ab<ctrl+t>", "ba|"),
        ("abc<left><left><ctrl+t>", "ba|c"),
        ("hello world<ctrl+_>", "hello |"),
        ("ab<home>c<ctrl+_>", "|ab"),
        ("ab<ctrl+w><ctrl+_><alt+_>", "|"),
        ("<ctrl+_><left><right><up><down><ctrl+y><alt+y><ctrl+t>", "|"),
    ],
)
def test_scripts(script: str, shown: str) -> None:
    editor = typed(Editor(), script)
    assert editor.text[: editor.cursor] + "|" + editor.text[editor.cursor :] == shown


def test_the_cursor_moves_over_whole_characters() -> None:
    editor = Editor().insert(f"a{FAMILY}e\u0323\u0302z")
    stops = []
    while editor.cursor:
        stops.append(editor.cursor)
        editor = editor.left()
    assert len(stops) == 4
    assert typed(Editor().insert(FAMILY), "<backspace>").text == ""


def test_a_mark_typed_after_a_letter_joins_it() -> None:
    editor = typed(Editor(), "e").insert("\u0301")
    assert editor.cursor == len(editor.text)
    assert editor.left().cursor == 0


def test_lines_up_and_down_keep_the_column() -> None:
    editor = Editor().insert("long line\nab\nanother")
    editor = editor.up()
    assert editor.cursor == len("long line\nab")
    assert editor.up().cursor == len("long li")
    assert typed(editor.up(), "<down><down>").cursor == len(editor.text)


def test_history_comes_back_and_the_draft_too() -> None:
    editor = Editor()
    for line in ("first", "second", "second", "  "):
        text, editor = editor.insert(line).submit()
        assert text == line
    editor = editor.insert("draft")
    assert typed(editor, "<up>").text == "second"
    assert typed(editor, "<up><up>").text == "first"
    assert typed(editor, "<up><up><up>").text == "first"
    assert typed(editor, "<up><up><down><down>").text == "draft"


def test_pasted_text_is_cleaned_and_bounded() -> None:
    editor = Editor().insert("a\x1b[31m\u202eb\r\nc\td")
    assert editor.text == "a[31mb\nc    d"
    assert len(Editor().insert("x" * (limits.PROMPT_CHARS + 99)).text) == limits.PROMPT_CHARS
    full = Editor().insert("x" * limits.PROMPT_CHARS)
    assert full.insert("y") is full


def test_keys_that_are_not_for_editing_are_left_alone() -> None:
    for name in ("enter", "tab", "escape", "f1", "pageup", "ctrl+x", "alt+enter"):
        assert Editor().handle(Key(name)) is None


def test_everything_that_grows_is_bounded() -> None:
    editor = Editor()
    for number in range(UNDO_STEPS + 50):
        editor = editor.with_text(f"text {number}").kill_to_start()
    assert len(editor.undo_stack) <= UNDO_STEPS
    assert len(editor.kills) <= KILL_RING
    for number in range(INPUT_HISTORY + 5):
        _, editor = editor.with_text(str(number)).submit()
    assert len(editor.history) == INPUT_HISTORY


@pytest.mark.parametrize(
    ("text", "columns", "rows", "cursor"),
    [
        ("", 10, [""], (0, 0)),
        ("hello", 10, ["hello"], (5, 0)),
        ("hello world", 8, ["hello ", "world"], (5, 1)),
        ("abcdefgh", 5, ["abcd", "efgh"], (4, 1)),
        ("a\nb", 10, ["a", "b"], (1, 1)),
        ("漢字漢字", 6, ["漢字", "漢字"], (4, 1)),
        ("end ", 10, ["end "], (4, 0)),
    ],
)
def test_layout(text: str, columns: int, rows: list[str], cursor: tuple[int, int]) -> None:
    assert Editor().insert(text).layout(columns, 6) == (rows, cursor)


def test_layout_shows_the_rows_around_the_cursor() -> None:
    editor = Editor().insert("\n".join("0123456789"))
    assert editor.layout(20, 3) == (["7", "8", "9"], (1, 2))
    assert editor.text_start().layout(20, 3) == (["0", "1", "2"], (0, 0))


keys = st.lists(
    st.sampled_from([Key(name) for name in _ACTIONS])
    | st.sampled_from("ab c\n.漢🙂é").map(lambda char: Key(char, char))
    | st.sampled_from(["\u0301", "\u200d", FAMILY, "🇩🇪", "two words", "\n"]).map(
        lambda text: Key("x", text)
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(keys, st.integers(3, 12), st.integers(1, 4))
def test_whatever_is_pressed_the_editor_is_in_order(
    script: list[Key], columns: int, max_rows: int
) -> None:
    editor = Editor(history=("older", "newer"))
    for key in script:
        editor = editor.handle(key) or editor
        borders = {0}
        for part, _ in graphemes(editor.text):
            borders.add(max(borders) + len(part))
        assert editor.cursor in borders, "the cursor is between characters"
    rows, (x, y) = editor.layout(columns, max_rows)
    assert 1 <= len(rows) <= max_rows
    assert 0 <= y < len(rows)
    assert 0 <= x < columns
    assert all(width(row) < columns or len(graphemes(row)) == 1 for row in rows)
    everything, _ = editor.layout(columns, 10_000)
    assert "".join(everything) == editor.text.replace("\n", "")


@settings(max_examples=200)
@given(keys)
def test_undo_goes_all_the_way_back(script: list[Key]) -> None:
    editor = Editor().with_text("begin")
    for key in script:
        if key.name not in ("up", "down", "ctrl+p", "ctrl+n", "ctrl+_", "ctrl+z", "alt+z", "alt+_"):
            editor = editor.handle(key) or editor
    last = editor.text
    for _ in range(len(editor.undo_stack)):
        editor = editor.undo()
    assert editor.text == ""
    while editor.redo_stack:
        editor = editor.redo()
    assert editor.text == last
