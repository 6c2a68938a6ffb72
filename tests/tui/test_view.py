"""Layout, rows of messages and scrolling: the parts of a screen, each for itself."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower import limits
from flower.protocol import messages
from flower.tui.render.layout import INPUT_ROWS, arrange, too_small
from flower.tui.render.messages import PANE_ROWS_KEPT, Look, MessageView, StoryPane, highlight
from flower.tui.render.style import PLAIN, Style
from flower.tui.render.text import width
from flower.tui.render.theme import THEMES, load_theme
from flower.tui.state import bindings, commands, popup_items, popups, viewport
from flower.tui.state.model import Popup, Scroll
from flower.tui.state.viewport import layout_of
from tests.paths import DOCS
from tests.tui_world import Face, chunk, reply_begins

DOCS = DOCS / "using.md"


# --- layout -------------------------------------------------------------------------------------


@given(
    st.integers(40, 300), st.integers(12, 100), st.integers(0, 99), st.integers(0, 99), st.booleans()
)
def test_parts_lie_below_each_other_and_fill_the_screen(
    columns: int, rows: int, input_rows: int, menu_rows: int, sidebar: bool
) -> None:
    place = arrange(columns, rows, input_rows, menu_rows, sidebar=sidebar)
    assert 1 == place.pane_top < place.pane_bottom <= place.menu_top <= place.status < place.input_top
    assert place.input_top + place.input_rows == rows
    assert place.pane_right + place.sidebar == columns
    assert 1 <= place.input_rows <= INPUT_ROWS
    assert 0 < place.text_columns <= limits.READING_COLUMNS


def test_the_sidebar_hides_on_narrow_screens() -> None:
    assert arrange(limits.SIDEBAR_FROM_COLUMNS - 1, 24, 1, 0, sidebar=True).sidebar == 0
    assert arrange(limits.SIDEBAR_FROM_COLUMNS, 24, 1, 0, sidebar=True).sidebar > 0
    assert arrange(200, 24, 1, 0, sidebar=False).sidebar == 0


def test_the_smallest_screen_is_not_too_small() -> None:
    assert not too_small(limits.COLUMNS_MIN, limits.ROWS_MIN)
    assert too_small(limits.COLUMNS_MIN - 1, limits.ROWS_MIN)


# --- rows of messages ---------------------------------------------------------------------------

LOOK = Look(60, 56)


def pane() -> StoryPane:
    return StoryPane(load_theme())


def test_the_same_message_gives_the_same_rows() -> None:
    rows = pane()
    message = MessageView(1, "assistant", "One. *Two.*")
    assert rows.rows(message, LOOK) is rows.rows(message._replace(), LOOK)


@given(st.lists(st.text(alphabet="ab *_`#-\n“”漢👩‍👩‍👧é", max_size=12), max_size=12))
def test_a_growing_reply_looks_like_one_that_came_whole(pieces: list[str]) -> None:
    """Laying out from the last block on must not differ from laying out everything."""
    growing = pane()
    text = ""
    for piece in pieces:
        text += piece
        shown = growing.rows(MessageView(1, "assistant", text, status="streaming"), LOOK)[:]
    if pieces:
        assert shown == pane().rows(MessageView(1, "assistant", text, status="streaming"), LOOK)[:]


def test_rows_before_the_growing_end_stay_the_same_objects() -> None:
    growing = pane()
    text = "A paragraph that is long enough to be wrapped into several rows of the pane. " * 3
    before = growing.rows(MessageView(1, "assistant", text, status="streaming"), LOOK)[:]
    after = growing.rows(MessageView(1, "assistant", text + "More.", status="streaming"), LOOK)
    assert all(one is other for one, other in zip(before[:-1], after, strict=False))


def test_a_reply_that_the_engine_corrected_is_laid_out_anew() -> None:
    rows = pane()
    rows.rows(MessageView(1, "assistant", "Wrong start"), LOOK)
    assert "Right" in rows.rows(MessageView(1, "assistant", "Right start"), LOOK)[1].text


def test_rows_far_from_the_view_are_forgotten() -> None:
    rows = pane()
    for number in range(2_000):
        rows.rows(MessageView(number, "user", "line\n" * 9), LOOK)
    assert rows._kept <= PANE_ROWS_KEPT


def test_thinking_is_folded_until_asked_for() -> None:
    message = MessageView(1, "assistant", "Yes.", reasoning="Should the door open? I think so.")
    folded = pane().rows(message, LOOK)
    assert "thinking: 7 words" in folded[1].text
    unfolded = pane().rows(message, LOOK._replace(unfolded=True))
    assert "Should the door open?" in unfolded[1].text


def test_search_terms_are_highlighted_across_spans_and_case() -> None:
    mark = Style(reverse=True)
    spans = highlight([("The La", PLAIN), ("mp.", Style(bold=True))], "lamp", mark)
    assert spans == [
        ("The ", PLAIN),
        ("La", mark),
        ("mp", mark.over(Style(bold=True))),
        (".", Style(bold=True)),
    ]


@given(st.text(max_size=40), st.text(max_size=5))
def test_highlighting_changes_no_text(text: str, term: str) -> None:
    spans = highlight([(text[:7], PLAIN), (text[7:], Style(bold=True))], term, Style(reverse=True))
    assert "".join(part for part, _ in spans) == text


# --- scrolling ----------------------------------------------------------------------------------


def reading(count: int = 30) -> Face:
    face = Face(80, 24)
    return face.story(
        *[("user", f"Line {number}. " + "word " * (number * 7 % 60)) for number in range(count)]
    )


@given(st.lists(st.integers(-40, 40), max_size=20))
def test_the_view_is_always_full_of_story(steps: list[int]) -> None:
    """Whatever way one scrolls: no blank rows below the story as long as there is more than a screen."""
    face = reading()
    layout = layout_of(face.model)
    for step in steps:
        face.model = face.model._replace(scroll=viewport.moved(face.model, layout, step))
        below = viewport.rows_below(face.model, layout, face.model.scroll, layout.pane_rows)
        assert below >= layout.pane_rows


@given(st.integers(1, 200))
def test_scrolling_up_and_down_again_comes_back(rows: int) -> None:
    face = reading()
    layout = layout_of(face.model)
    up = viewport.moved(face.model, layout, -rows)
    top = viewport.top(face.model)
    back = viewport.moved(face.model._replace(scroll=up), layout, rows)
    assert back == face.model.scroll or up == top


def test_scrolling_moves_row_by_row() -> None:
    face = reading().type("<pageup>")
    before = [row.text for row in face.frame.rows[1:20]]
    face.type("<shift+up>")
    assert [row.text for row in face.frame.rows[2:21]] == before


def test_a_place_survives_a_change_of_width() -> None:
    face = reading().type("<pageup><pageup>")
    key = face.model.scroll.key
    face.resize(60, 20)
    assert face.model.scroll.key == key
    face.resize(80, 24)
    assert face.model.scroll.key == key


def test_while_following_the_last_row_is_always_in_view() -> None:
    face = Face(80, 24).story(("user", "Go.")).says(reply_begins(2))
    offset = 0
    for number in range(300):
        word = f"word{number} "
        face.says(chunk(word, offset))
        offset += len(word)
        assert word.strip() in face.text()


def test_a_place_whose_message_is_gone_is_repaired() -> None:
    face = reading()
    face.model = face.model._replace(scroll=Scroll(999, 5, follow=False))
    face.tick()
    assert "Line 29." in face.text()


# --- popups -------------------------------------------------------------------------------------


def test_filtering_finds_by_label_first_then_by_detail() -> None:
    face = Face().online(chosen=True).type("<f4>mini")
    assert [item.label for item in popup_items.items(face.model)] == ["GPT-4o mini"]
    face.type("<escape><f4>no ai")
    assert [item.label for item in popup_items.items(face.model)] == ["Offline narrator"]


def test_prices_and_context_are_told() -> None:
    face = Face().online(chosen=True).type("<f4>")
    details = [item.detail for item in popup_items.items(face.model)]
    assert "$0.15 in, $0.6 out per million tokens, 128k context" in details


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (5, "just now"),
        (600, "10 min ago"),
        (7_200, "2 h ago"),
        (86_400 * 3, "3 days ago"),
        (-50, "just now"),
    ],
)
def test_ages_are_told_in_words(seconds: float, words: str) -> None:
    assert popup_items.age(seconds) == words


def test_a_long_list_scrolls_with_its_choice_and_says_where_it_is() -> None:
    worlds = tuple(messages.Named(f"w{number}", f"World {number}") for number in range(200))
    face = Face(80, 24).online(available_worlds=worlds).type("<f2>" + "<pagedown>" * 10)
    assert "World 80" in face.text()
    assert "81/200" in face.text()


def test_every_popup_draws_with_nothing_in_it() -> None:
    for kind in popups.TITLES:
        face = Face(40, 12)
        face.model = face.model._replace(popup=Popup(kind))
        face.tick()
        assert len(face.frame.rows) == 12


# --- what is documented -------------------------------------------------------------------------


@pytest.mark.parametrize("action", bindings.ACTIONS, ids=lambda action: action.name)
def test_every_action_is_documented(action: bindings.Action) -> None:
    assert f"`{action.name}`" in DOCS.read_text(encoding="utf-8")


def test_every_local_command_and_theme_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert all(f"`{command.name}" in text for command in commands.LOCAL)
    assert all(name in text for name in THEMES)


def test_default_keys_have_no_conflicts() -> None:
    keys = [key for action in bindings.ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys))
    assert all(one != other for one, other in pairwise(sorted(keys)))


def test_words_about_worlds_stand_below_each_other() -> None:
    """However long the names are, and however wide their letters."""
    names = (
        "Orrin",
        "A world whose name is longer than any list is wide",
        "灯台守の島",
        "Kessel Cross",
    )
    worlds = tuple(messages.Named(f"w{n}", name, f"About it {n}.") for n, name in enumerate(names))
    for columns in (60, 80, 120):
        face = Face(columns, 24).online(session="s1").story(("user", "I knock."))
        face.says(messages.SystemUpdate("", messages.State(available_worlds=worlds)))
        face.model = face.model._replace(popup=Popup("worlds"))
        face.tick()
        rows = [row for row in face.text().splitlines() if "About it" in row]
        assert len(rows) == len(names)
        assert len({width(row.partition("About it")[0]) for row in rows}) == 1, rows


def test_progress_of_a_slow_model_fits_into_forty_columns() -> None:
    """Bar, percent and time left are whole; only what is waited for is cut."""
    face = Face(40, 12).online(session="s1").story(("user", "I knock."))
    face.type("I wait.<enter>")
    for done in (100, 130):
        progress = messages.Progress("reading the prompt of a long story", done, 4_000)
        face.says(messages.SystemUpdate("", messages.State(progress=progress)))
        face.tick(60.0)
    (shown,) = [row for row in face.text().splitlines() if "%" in row]
    assert width(shown.rstrip()) <= 40
    assert "] 3%, " in shown
    assert shown.rstrip().endswith("min left")
    assert " reading [" in shown
