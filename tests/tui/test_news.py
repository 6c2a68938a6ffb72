"""News in the status line: readable whole at every size, gone without a trace."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flower
from flower.protocol import messages
from flower.tui.state.update import NOTICE_S
from tests.tui.test_screens import SIZES, TALE
from tests.tui_world import Face, end, reply_begins

LONG = (
    "The model file gemma.gguf cannot be read, because its header ends too early; copy it into the "
    "models folder once more and write /models refresh."
)


def words_of(screen: str) -> str:
    return re.sub(r"\s+", " ", screen)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["✓ ", "✗ ", ""])
def test_long_news_can_be_read_whole_and_leave_nothing_behind(size: tuple[int, int], kind: str) -> None:
    face = Face(*size).story(*TALE)
    face.tick(60)
    before = face.text()
    face.says(messages.SystemUpdate(kind + LONG))
    assert LONG in words_of(face.text())
    face.tick(60)
    assert face.text() == before


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_error_without_a_story_can_be_read_whole(size: tuple[int, int]) -> None:
    face = Face(*size).online().says(messages.ErrorEvent(LONG))
    assert LONG in words_of(face.text())


def test_an_error_that_the_story_shows_takes_one_row_of_the_status_line() -> None:
    face = Face(80, 24).story(*TALE).says(messages.ErrorEvent(LONG))
    assert LONG in words_of(face.text())
    assert face.text().count("The model file") == 2
    assert face.frame.rows[-1].text.startswith("❯")
    assert "refresh" not in face.frame.rows[-2].text


def test_an_error_below_the_readers_place_is_whole_in_the_status_line() -> None:
    face = Face(80, 24).story(*TALE * 9).type("<ctrl+home>").says(messages.ErrorEvent(LONG))
    assert LONG in words_of(face.text())


def test_what_no_status_line_can_hold_is_a_box_to_scroll_in() -> None:
    face = Face(40, 12).story(*TALE).says(messages.SystemUpdate("word " * 100))
    assert face.model.popup is not None
    assert face.model.popup.kind == "text"


LIST = "Where this story can go on; /goto MESSAGE goes there:\n  a, 2 messages, ends at message 1: Hm."


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("news", ["✓ Place: " + "fog " * 300, LIST, "/help\n/inv"])
def test_what_nobody_asked_for_takes_no_key_from_somebody_who_writes(
    size: tuple[int, int], news: str
) -> None:
    face = Face(*size).story(*TALE).type("I open the ")
    face.sent()
    face.says(messages.SystemUpdate(news))
    assert face.model.popup is None
    assert "Alt+N shows all" in face.text()
    face.type("<alt+n>")
    assert face.model.popup is not None
    face.type("door.<enter>")
    assert [sent.prompt for sent in face.sent()] == ["I open the door."]


@pytest.mark.parametrize("news", [LIST, LIST.replace("\n", " ") + "y" * 900])
def test_a_text_that_nobody_asked_for_is_no_list_of_commands(news: str) -> None:
    """News may be a model's words; Enter closes them and sends nothing."""
    face = Face(80, 24).story(*TALE)
    face.sent()
    face.says(messages.SystemUpdate(news))
    assert face.model.popup is not None
    assert face.type("<end><enter>").sent() == []
    assert face.model.popup is None


def test_a_line_begun_before_the_answer_came_is_not_a_choice_in_it() -> None:
    face = Face(80, 24).story(*TALE).type("/branches<enter>I wa")
    face.sent()
    face.says(messages.SystemUpdate(LIST)).type("it.<enter>")
    assert [sent.prompt for sent in face.sent()] == ["I wait."]


@pytest.mark.parametrize("line", ["I wait.", "/help", " so"])
def test_the_next_line_closes_the_text_that_is_open(line: str) -> None:
    face = Face(80, 24).story(*TALE).type("/help<enter>").says(messages.SystemUpdate("/a\n/b"))
    assert face.model.popup is not None
    face.type(line)
    assert (face.model.popup, face.model.input.text) == (None, line)
    face = Face(80, 24).story(*TALE).type("/help<enter>").says(messages.SystemUpdate("/a\n/b"))
    face.paste(line)
    assert (face.model.popup, face.model.input.text) == (None, line)


def test_a_picker_stays_what_it_was_when_news_come() -> None:
    face = Face(80, 24).story(*TALE).type("<f2>gla").says(messages.SystemUpdate("one\ntwo"))
    assert face.model.popup is not None
    assert (face.model.popup.kind, face.model.popup.filter) == ("worlds", "gla")


def test_the_key_for_news_without_any_says_so() -> None:
    assert "no news" in Face(80, 24).story(*TALE).type("<alt+n>").text()


def test_long_news_stay_as_long_as_they_take_to_read() -> None:
    face = Face(80, 24).story(*TALE).says(messages.SystemUpdate(LONG))
    face.tick(NOTICE_S + 1)
    assert LONG in words_of(face.text())


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_numbers_of_a_reply_give_way_to_news_but_not_to_hints(size: tuple[int, int]) -> None:
    face = Face(*size).story(*TALE).says(reply_begins(9), end(tokens=1234, cost=0.0021, seconds=3.2))
    face.tick(60)
    assert "1,234 tokens" in face.text()
    assert "F1" not in face.text() or "F1 keys" in face.text(), "a hint is whole or absent"
    face.says(messages.SystemUpdate("The rule 'Short replies' is in use for this story."))
    assert "is in use for this story." in words_of(face.text())


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_hints_for_choosing_messages_are_whole(size: tuple[int, int]) -> None:
    face = Face(*size).story(*TALE).type("<shift+tab>")
    face.tick(60)
    assert "↑↓ choose, c copy" in words_of(face.text())
    assert "Esc back" in words_of(face.text())


@given(text=st.text(max_size=600), columns=st.integers(40, 120), rows=st.integers(12, 40))
def test_any_news_leave_a_screen_of_the_right_shape(text: str, columns: int, rows: int) -> None:
    face = Face(columns, rows).story(*TALE)
    face.tick(60)
    before = face.text()
    face.says(messages.SystemUpdate(text))
    assert len(face.frame.rows) == rows
    assert all(row.width == columns for row in face.frame.rows)
    face.tick(120)
    if face.model.popup is None:
        assert face.text() == before


def test_a_pasted_page_says_how_long_it_is() -> None:
    face = Face(80, 24).story(*TALE).paste("a line\n" * 200)
    face.tick(60)
    assert "201 lines; Enter sends them" in face.text()


def test_a_mistyped_command_is_answered_and_leaves_the_story_alone() -> None:
    """The engine's errors about replies and stores say what they are about; these do not."""
    face = Face(80, 24).online(session="s1", chosen=True, version=flower.BUILD)
    before = face.model.story
    face.says(messages.ErrorEvent("There is no command /pins. Did you mean /pin [TEXT]?"))
    assert "Did you mean /pin" in face.text()
    assert face.model.story == before
    face.says(messages.ErrorEvent("The key is wrong.", messages.ErrorMeta("auth", "t1")))
    assert face.model.story.messages[-1].text == "The key is wrong."
