"""Quick replies: lines that the player has ready, behind Alt and a digit."""

from __future__ import annotations

import pytest

from flower.client.events import Send
from flower.protocol import messages
from flower.tui.state import bindings
from tests.tui.test_screens import TALE
from tests.tui_world import Face

READY = (
    messages.QuickReply("Look around", "I look around."),
    messages.QuickReply("Whisper", 'I whisper: "{{input}}"'),
    messages.QuickReply("Luck", "/roll d20"),
    messages.QuickReply("Edit", "/edit"),
)


def face_with(*ready: messages.QuickReply, columns: int = 80, rows: int = 24) -> Face:
    face = Face(columns, rows).story(*TALE)
    face.says(messages.SystemUpdate("", messages.State(quick_replies=ready)))
    face.sent()
    return face


def test_a_line_is_sent_at_once_and_what_was_typed_stays() -> None:
    face = face_with(*READY).type("I wonder<alt+1>")
    assert [send.prompt for send in face.sent()] == ["I look around."]
    assert face.model.input.text == "I wonder"
    assert face.model.story.messages[-1].text == "I look around."


def test_a_sent_quick_reply_is_in_the_history() -> None:
    face = face_with(*READY).type("<alt+1><up>")
    assert face.model.input.text == "I look around."


def test_a_gap_takes_what_was_typed_and_then_the_cursor() -> None:
    face = face_with(*READY).type("be still<alt+2>")
    assert face.sent() == []
    assert face.model.input.text == 'I whisper: "be still"'
    assert face.type("!").model.input.text == 'I whisper: "be still!"'


def test_a_command_is_run_and_what_was_typed_stays() -> None:
    face = face_with(*READY).type("/half<alt+3>")
    assert face.sent() == [Send("/roll d20")]
    assert face.model.input.text == "/half"


def test_a_line_that_cannot_be_sent_yet_changes_nothing() -> None:
    face = Face().online(quick_replies=READY).type("mine<alt+1>")
    assert face.sent() == []
    assert face.model.input.text == "mine"
    assert "First begin a story" in face.text()


def test_they_wait_like_typed_lines_while_the_engine_is_away() -> None:
    face = face_with(*READY).link("lost").type("<alt+1>")
    assert [draft.text for draft in face.model.unconfirmed] == ["I look around."]


def test_a_digit_without_a_quick_reply_says_how_to_make_one() -> None:
    face = face_with().type("<alt+9>")
    assert "quick_replies" in face.text()
    assert face.sent() == []


def test_the_palette_offers_them() -> None:
    face = face_with(*READY).type("<ctrl+p>luck<enter>")
    assert face.sent() == [Send("/roll d20")]


def test_without_any_the_screen_is_as_it_was() -> None:
    plain = Face().story(*TALE)
    assert face_with().text() == plain.text()


@pytest.mark.parametrize(("rows", "shown"), [(24, True), (16, True), (15, False), (12, False)])
def test_their_row_is_there_from_sixteen_rows_on(rows: int, shown: bool) -> None:
    assert ("Alt+1 Look around" in face_with(*READY, rows=rows).text()) is shown


def test_another_key_is_shown_once_it_is_bound() -> None:
    face = face_with(*READY)
    keys = {"quick_reply": ("f9", "f10")}
    face.model = face.model._replace(bindings=bindings.configured(keys)[0])
    face.tick()
    assert "F9 Look around" in face.text()
    assert "Luck" not in face.text(), "it has no key"
    face.type("<f10>")
    assert face.model.input.text == 'I whisper: ""'
