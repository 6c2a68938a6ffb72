"""The face as a pure function: inputs in, model fields and effects out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from flower import limits
from flower.client.events import Send
from flower.protocol import messages
from flower.tui.render.messages import MessageView
from flower.tui.render.theme import Recipe
from flower.tui.state import (
    bindings,
    checklist,
    client_commands,
    commands,
    popup_items,
    status_line,
    transcript,
)
from flower.tui.state.effects import (
    Bell,
    ChangeSetting,
    Copy,
    OpenEditor,
    Quit,
    Repaint,
    SetTitle,
    Suspend,
)
from flower.tui.state.model import Configured, Edited, Notice, Notified, Restored, Settings
from flower.tui.state.transcript import STORY_MESSAGES
from flower.tui.state.update import NOTICE_S, draft_of, next_wake
from flower.tui.term.inputs import Focus, Key, Mouse, Paste
from tests.tui_world import (
    COMMANDS,
    Face,
    chunk,
    end,
    history,
    reply_begins,
    user_line,
)

STORY = (("user", "I knock."), ("assistant", "The door opens."))


def playing(*, columns: int = 80, rows: int = 24) -> Face:
    """A face with a story open and nothing sent yet."""
    face = Face(columns, rows).story(*STORY)
    face.sent()
    return face


# --- setting up ---------------------------------------------------------------------------------


def test_checklist_leads_from_nothing_to_a_story() -> None:
    """Enter opens each step's popup, and choosing sends the command of that step."""
    face = Face().online()
    face.type("<enter>gla<enter>")
    assert face.sent() == [Send("/world select glass")]
    face.says(messages.SystemUpdate("✓ Glass Harbour.", messages.State(world_id="glass")))
    face.type("<enter><down><enter>")
    assert face.sent() == [Send("/character select tam")]
    face.says(messages.SystemUpdate("✓ Tam.", messages.State(character_id="tam")))
    face.type("<enter><enter>")
    assert face.sent() == [Send("/session new")]


def test_without_saved_stories_the_last_step_begins_one_at_once() -> None:
    face = Face().online(chosen=True, available_sessions=())
    face.type("<enter>")
    assert face.sent() == [Send("/session new")]


def test_arrows_choose_a_step_and_choosing_forgets_it() -> None:
    face = Face().online(chosen=True)
    face.type("<up><up><up><enter>")
    assert face.model.popup is not None
    assert face.model.popup.kind == "models"
    face.type("<enter>")
    assert face.model.step == -1


def test_theme_and_name_are_offered_and_not_asked_for() -> None:
    """Whoever presses Enter only never meets them; both are between the narrator and the story."""
    face = Face().online()
    rows = [step.popup for step in checklist.steps(face.model)]
    assert rows == ["worlds", "characters", "models", "themes", "persona", "sessions"]
    for told in (messages.State(world_id="glass"), messages.State(character_id="tam")):
        face.says(messages.SystemUpdate("✓", told))
    assert checklist.steps(face.model)[checklist.current(face.model)].popup == "sessions"


def test_the_theme_of_the_checklist_is_kept_on_enter() -> None:
    """Seen while moving, as with /theme; Escape leaves it as it was."""
    face = Face().online(chosen=True)
    face.type("<up><up><enter><down><escape>")
    assert (face.model.theme.name, face.sent()) == ("petal", [])
    face.type("<enter><down><enter>")
    chosen = face.model.settings.theme
    assert chosen != "petal"
    assert ChangeSetting("tui.theme", chosen) in face.effects
    assert f"Theme  {chosen}" in face.text()


def test_a_name_in_the_checklist_becomes_the_persona() -> None:
    face = Face().online(chosen=True)
    face.type("<up><enter>")
    assert face.model.input.text == "/persona "
    face.type("Ines<enter>")
    assert face.sent() == [Send("/persona Ines")]
    face.says(messages.SystemUpdate("✓ Ines.", messages.State(persona="Ines")))
    assert "Your name  Ines" in face.text()
    face.type("<enter>")
    assert face.model.popup is not None
    assert face.model.popup.kind == "sessions"


def test_a_name_that_is_not_given_is_nobody() -> None:
    """Escape takes the beginning of the command away, and the story is next."""
    face = Face().online(chosen=True, available_sessions=())
    face.type("<up><enter><escape><enter>")
    assert face.sent() == [Send("/session new")]


def test_an_older_engine_is_not_given_names_before_a_story() -> None:
    face = Face().online(persona=UNSET)
    assert "Your name" not in face.text()


def test_a_prompt_before_a_story_stays_in_the_input_line() -> None:
    face = Face().online(chosen=True).type("hello<enter>")
    assert face.sent() == []
    assert face.model.input.text == "hello"
    assert face.model.notice.kind == "bad"


# --- a prompt and its reply ---------------------------------------------------------------------


def test_a_prompt_is_on_screen_at_once_and_sent_with_a_request() -> None:
    face = playing().type("I look around.<enter>")
    (sent,) = face.sent()
    assert (sent.prompt, sent.request) == ("I look around.", "n-1")
    assert face.model.story.messages[-1].text == "I look around."
    assert face.model.turn.state == "waiting"
    assert face.model.input.text == ""


def test_the_first_key_of_a_line_ends_what_is_prepared() -> None:
    """The engine is told once, by a key or a paste, and not when pages are turned."""
    face = playing()
    face.says(messages.SystemUpdate("", messages.State(preparing=True)))
    assert face.type("<pageup>").sent() == []
    assert face.type("I").sent() == [Send("/typing")]
    assert face.type(" wait").sent() == []
    face.says(messages.SystemUpdate("", messages.State(preparing=True)))
    assert face.paste(" here").sent() == [Send("/typing")]


def test_every_prompt_gets_another_request() -> None:
    face = playing().type("a<enter>b<enter>")
    assert [sent.request for sent in face.sent()] == ["n-1", "n-2"]


def test_a_reply_streams_and_ends() -> None:
    face = playing().type("hi<enter>")
    face.says(user_line("hi", "n-1", 3), reply_begins(4))
    assert face.model.unconfirmed == ()
    face.says(chunk("The wind ", 0), chunk("turns.", 9))
    assert face.model.turn.state == "streaming"
    assert face.model.story.messages[-1].text == "The wind turns."
    face.says(end(tokens=42, cost=0.001, seconds=2.5, message=4))
    assert face.model.turn.state == "idle"
    assert face.model.story.messages[-1].status == ""
    assert (face.model.meter.total_tokens, face.model.meter.cost) == (42, 0.001)


@given(st.text(max_size=80), st.lists(st.integers(0, 80), max_size=6))
def test_pieces_join_to_the_text_whatever_the_cuts_and_repeats(text: str, cuts: list[int]) -> None:
    """Chunks with offsets may overlap what is here; the reply is the engine's text all the same."""
    story = transcript.append(transcript.Transcript(), MessageView(0, "assistant", "", turn="t"))
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    for start, stop in pairwise(places):
        story = transcript.add_piece(story, "t", max(0, start - 3), text[max(0, start - 3) : stop], "m")
    if text:
        assert story.messages[-1].text == text


def test_a_gap_asks_for_a_resync_once_and_the_page_heals_it() -> None:
    face = playing().says(reply_begins(3), chunk("One ", 0), chunk("three", 8), chunk(" four", 13))
    assert face.sent() == [Send("/sync")]
    face.says(history([*STORY, ("assistant", "One two three four")], turn="t1"), chunk(" five", 18))
    assert face.model.story.messages[-1].text == "One two three four five"
    assert face.sent() == []


def test_an_engine_of_v1_needs_no_turn_offset_or_confirmation() -> None:
    face = playing().type("hi<enter>")
    meta = messages.ChunkMeta("m", 9.0, "ember")
    face.says(messages.ChatChunk("Hello ", meta), messages.ChatChunk("you.", meta))
    face.says(messages.ChatEnd("", messages.EndMeta(7)))
    assert [m.text for m in face.model.story.messages[-2:]] == ["hi", "Hello you."]
    assert face.model.unconfirmed == ()
    assert face.model.turn.state == "idle"


def test_a_line_of_another_face_appears() -> None:
    face = playing().says(user_line("From the other screen.", "other-1", 3))
    assert face.model.story.messages[-1].text == "From the other screen."


def test_a_message_announced_twice_appears_once() -> None:
    face = playing().says(user_line("Once.", "x-1", 3), user_line("Once.", "x-1", 3))
    assert [m.text for m in face.model.story.messages].count("Once.") == 1


def test_a_reply_taken_up_again_grows_where_it_stands() -> None:
    """The engine announces the same message with its text so far and a new turn."""
    face = playing().says(reply_begins(3), chunk("Half a ", 0), end(reason="stopped", message=3))
    meta = messages.MessageMeta("assistant", 3, "s1", turn="t2", status="streaming")
    face.says(messages.ChatMessage("Half a ", meta), chunk("sentence.", 7, "t2"), end("t2", message=3))
    assert [m.text for m in face.model.story.messages[2:]] == ["Half a sentence."]
    assert face.model.story.messages[-1].status == ""
    assert face.sent() == []


def test_a_reply_comes_before_lines_that_still_wait() -> None:
    """A line typed while the engine is about to answer an earlier one belongs after that answer."""
    face = playing().type("one<enter>two<enter>")
    face.says(user_line("one", "n-1", 3), reply_begins(4), chunk("Answer.", 0))
    assert [m.text for m in face.model.story.messages[-3:]] == ["one", "Answer.", "two"]


def test_thinking_is_kept_apart_from_the_reply() -> None:
    meta = messages.ChunkMeta("m", 9.0, "ember", turn="t1", offset=0)
    face = playing().says(reply_begins(3), messages.ChatReasoning("Hmm, a door.", meta))
    assert face.model.story.messages[-1].reasoning == "Hmm, a door."
    assert face.model.story.messages[-1].text == ""


def test_what_the_narrator_recalled_is_kept() -> None:
    item = messages.RecallItem("memory", "", "The second lamp is broken.")
    face = playing().says(messages.Recall("", messages.RecallMeta("t1", (item,))))
    assert face.model.recalled == (item,)


def test_problems_of_the_settings_are_told_after_the_greeting_that_would_hide_them() -> None:
    face = Face()
    look = face.model.theme
    face.put(Configured(Settings(), look, bindings.default(), ("Mind the gap.", "And the step.")))
    assert "Mind" not in face.text()
    face.online()
    assert "Mind the gap. And 1 more: F9." in face.text()


# --- Escape -------------------------------------------------------------------------------------


def test_escape_closes_then_stops_then_clears_and_never_leaves() -> None:
    """Who closes a list while a reply streams does not want to lose the reply."""
    face = playing().type("hi<enter>").says(user_line("hi", "n-1", 3), reply_begins(4))
    face.sent()
    face.type("<f2><escape>")
    assert face.model.popup is None
    face.type("<shift+tab><escape>")
    assert face.model.selected is None
    assert face.sent() == []
    face.type("<escape>")
    assert face.sent() == [Send("/cancel")]
    face.type("half a line<escape>")
    assert face.model.input.text == "half a line", "an impatient second Esc costs nothing"
    face.says(end(reason="stopped"))
    face.type("<escape>")
    assert face.model.input.text == ""
    face.type("<escape><escape><escape>")
    assert face.model.popup is None
    assert face.effects == []
    assert "Ctrl+D leaves" in face.text()


@pytest.mark.parametrize("back", ["<up>", "<ctrl+_>"])
def test_a_line_that_escape_cleared_comes_back(back: str) -> None:
    face = playing().type("not quite<escape>")
    assert face.model.input.text == ""
    assert face.type(back).model.input.text == "not quite"


def test_ctrl_c_interrupts_as_in_a_shell_and_leaves_when_pressed_again() -> None:
    face = playing().type("<f2><ctrl+c>")
    assert face.model.popup is None
    face.type("half a line<ctrl+c>")
    assert (face.model.input.text, face.effects) == ("", [])
    face.type("<ctrl+c>")
    assert face.effects == []
    assert "again leaves" in face.text()
    face.type("<ctrl+c>")
    assert face.effects == [Quit()]


def test_a_key_between_two_ctrl_c_makes_them_strangers() -> None:
    face = playing().type("<ctrl+c>x<ctrl+c><ctrl+c>")
    assert face.effects == []
    assert face.type("<ctrl+c>").effects == [Quit()]


def test_ctrl_c_asks_again_after_its_question_has_gone() -> None:
    face = playing().type("<ctrl+c>")
    face.tick(60)
    face.type("<ctrl+c>")
    assert face.effects == []


def test_ctrl_d_deletes_in_a_line_and_leaves_on_an_empty_one() -> None:
    face = playing().type("ab<home><ctrl+d>")
    assert (face.model.input.text, face.effects) == ("b", [])
    face.type("<ctrl+d><ctrl+d>")
    assert face.effects == [Quit()]


def test_a_stopped_reply_keeps_its_text_and_says_so() -> None:
    face = playing().says(reply_begins(3), chunk("Half a", 0), end(reason="stopped"))
    assert face.model.story.messages[-1].text == "Half a"
    assert "(stopped)" in face.text()


# --- errors and lost connections ----------------------------------------------------------------


def test_an_error_is_told_in_the_story_and_the_status_line() -> None:
    face = playing().says(messages.ErrorEvent("The model is not there; choose another with /model."))
    assert face.model.story.messages[-1].role == "notice"
    assert face.model.notice[:2] == ("The model is not there; choose another with /model.", "bad")


def test_a_refused_line_comes_back_into_the_input_line() -> None:
    face = playing().type("too much<enter>")
    face.says(messages.ErrorEvent("Too many lines wait.", messages.ErrorMeta(request="n-1")))
    assert face.model.input.text == "too much"
    assert face.model.unconfirmed == ()
    assert face.model.turn.state == "idle"


def test_a_line_typed_without_connection_is_sent_after_it_is_back() -> None:
    face = playing().link("lost", "No engine answers.").type("still here<enter>")
    assert face.sent() == []
    assert "not sent yet" in face.text()
    face.story(*STORY)
    assert Send("still here", "n-1") in face.sent()
    assert face.model.story.messages[-1].status == "sent"


def test_a_line_that_arrived_before_the_link_broke_is_not_sent_again() -> None:
    face = playing().type("hi<enter>")
    face.sent()
    face.link("lost", "gone")
    face.online(session="s1", chosen=True)
    item = messages.HistoryItem("user", "hi", message=3, request="n-1")
    page = (
        *(messages.HistoryItem(role, text, message=n) for n, (role, text) in enumerate(STORY, 1)),
        item,
    )
    face.says(messages.ChatHistory("", messages.HistoryMeta(page, session="s1")))
    assert face.sent() == []
    assert [m.text for m in face.model.story.messages].count("hi") == 1
    assert face.model.unconfirmed == ()


def test_a_command_without_connection_waits_in_the_input_line() -> None:
    face = playing().link("lost", "gone").type("/rules clear<enter>")
    assert face.sent() == []
    assert face.model.input.text == "/rules clear"


def test_a_sync_state_for_another_face_is_ignored() -> None:
    face = playing().online(session="other", client="face-9")
    assert face.model.replica.session_id == "s1"


def test_another_session_clears_the_story() -> None:
    face = playing().says(messages.SystemUpdate("✓", messages.State(session_id="s2")))
    assert face.model.story.messages == ()
    assert face.model.story.session == "s2"


def test_a_deleted_session_gives_waiting_lines_back() -> None:
    face = playing().link("lost", "gone").type("keep me<enter>").online(session="")
    assert face.model.input.text == "keep me"


def test_the_draft_holds_everything_not_confirmed() -> None:
    face = playing().type("sent<enter>half")
    assert draft_of(face.model) == "sent\nhalf"


# --- commands and completion --------------------------------------------------------------------


def test_tab_completes_a_command_and_its_argument() -> None:
    face = playing().type("/wor<tab>")
    assert face.model.input.text == "/world select "
    face.type("gl<tab>")
    assert face.model.input.text == "/world select glass"
    face.type("<enter>")
    assert face.sent() == [Send("/world select glass")]


def test_a_command_typed_whole_is_sent_as_it_is() -> None:
    """A model that is in no list can still be chosen by its id."""
    face = playing().type("/model my-own-model<enter>")
    assert face.sent() == [Send("/model my-own-model")]


def test_a_command_without_its_argument_opens_the_list() -> None:
    face = playing().type("/world select<enter>")
    assert face.model.popup is not None
    assert face.model.popup.kind == "worlds"


def test_menu_entries_are_chosen_with_the_arrows() -> None:
    face = playing().type("/rul<down><down><enter>")
    assert face.sent() == [Send("/rules clear")]


def test_an_unknown_command_goes_to_the_engine_which_knows_the_closest() -> None:
    face = playing().type("/zzz 1<enter>")
    assert face.sent() == [Send("/zzz 1")]


def test_a_pasted_path_of_several_lines_is_no_command() -> None:
    face = playing().paste("/usr/bin\n/usr/lib").type("<enter>")
    (sent,) = face.sent()
    assert sent.request is not None


def test_the_palette_reaches_every_command_the_engine_offers() -> None:
    face = playing().type("<ctrl+p>")
    labels = {item.label for item in popup_items.items(face.model)}
    assert {option.name for option in COMMANDS} - commands.PLUMBING <= labels


def test_recent_commands_lead_the_palette() -> None:
    face = playing().type("/rules clear<enter><ctrl+p>")

    assert popup_items.items(face.model)[0].label == "/rules clear"


def test_recent_commands_come_up_while_one_types() -> None:
    """Of two that fit alike the one used last is first."""
    names = ["/world select", "/world unsync"]
    assert commands.rank("world", names, str)[0] == "/world select"
    assert commands.rank("world", names, str, ("/world unsync",))[0] == "/world unsync"
    assert commands.rank("world", names, str, ("/world select", "/world unsync"))[0] == "/world select"


def test_the_first_key_of_a_chord_is_shown_until_the_second() -> None:
    face = playing()
    first, second = next(key.split() for key in face.model.bindings.by_key if " " in key)
    face = face.type(f"<{first}>")
    assert status_line.of(face.model).text == f"{first} ..."
    face = face.type(f"<{second}>" if len(second) > 1 else second)
    assert status_line.of(face.model).text != f"{first} ..."


def test_a_command_that_takes_away_never_leads_the_palette() -> None:
    """Ctrl+P and Enter, out of habit, delete nothing."""
    face = playing().type("/rules clear<enter>/session delete s1<enter><ctrl+p>")

    assert popup_items.items(face.model)[0].label == "/rules clear"


def test_plumbing_is_never_offered() -> None:
    face = playing()
    assert not {c.name for c in commands.offered(face.model.replica)} & commands.PLUMBING


@pytest.mark.parametrize(
    ("pattern", "best"),
    [
        ("wor", "/world select"),
        ("sel ch", "/character select"),
        ("rc", "/rules clear"),
        ("new", "/session new"),
    ],
)
def test_fuzzy_search_finds_the_obvious(pattern: str, best: str) -> None:
    assert commands.rank(pattern, [c.name for c in COMMANDS], str)[0] == best


@given(st.text(max_size=12), st.text(max_size=30))
def test_a_score_means_that_the_characters_occur_in_order(pattern: str, text: str) -> None:
    found = commands.score(pattern, text)
    folded = text.casefold()
    for word in pattern.casefold().split():
        rest = iter(folded)
        inside = all(char in rest for char in word)
        if not inside:
            assert found is None
            return
    assert found is not None


def test_deleting_a_story_asks_first() -> None:
    face = playing().type("<f6><delete><enter>")
    assert face.sent() == []
    face.type("<f6><delete><down><enter>")
    assert face.sent() == [Send("/session delete s1")]


def test_local_commands_do_not_reach_the_engine() -> None:
    face = playing().type("/theme night<enter>")
    assert face.sent() == []
    assert face.model.theme.name == "night"
    face.type("/copy<enter>")
    assert face.effects == [Copy("The door opens.")]


def test_help_of_several_lines_opens_a_popup() -> None:
    face = playing().says(messages.SystemUpdate("/a  one\n/b  two"))
    assert "/b  two" in face.text()


# --- the input line -----------------------------------------------------------------------------


def test_newlines_come_from_several_keys_and_a_backslash() -> None:
    face = playing().type("a<alt+enter>b<ctrl+j>c<shift+enter>d\\<enter>e<enter>")
    (sent,) = face.sent()
    assert sent.prompt == "a\nb\nc\nd\ne"


def test_typing_works_while_a_reply_streams() -> None:
    face = playing().says(reply_begins(3), chunk("a ", 0)).type("ty").says(chunk("b ", 2)).type("ped")
    assert face.model.input.text == "typed"


def test_a_two_key_binding_opens_the_editor_and_takes_its_text() -> None:
    face = playing().type("abc<ctrl+x><ctrl+e>")
    assert face.effects == [OpenEditor("abc")]
    face.put(Edited("longer\ntext"))
    assert face.model.input.text == "longer\ntext"


def test_a_restored_draft_never_replaces_what_was_typed_meanwhile() -> None:
    assert Face().put(Restored("old")).model.input.text == "old"
    assert Face().type("new").put(Restored("old")).model.input.text == "new"


def test_a_text_too_long_for_one_line_is_sent_in_parts() -> None:
    face = playing()
    text = "\n\n".join(f"Paragraph {number}." for number in range(9000))
    assert len(text) > 2 * limits.PROMPT_CHARS
    face.paste(text)
    assert f"{len(text):,}" in face.model.notice.text
    while face.model.input.text:
        assert len(face.model.input.text) <= limits.PROMPT_CHARS
        face.type("<enter>")
    assert face.model.rest == ""
    assert "\n\n".join(effect.prompt for effect in face.sent()) == text


def test_the_rest_of_a_long_text_is_in_the_draft() -> None:
    face = playing().paste("word " * 20_000)
    assert "".join(draft_of(face.model).split()) == "word" * 20_000


def test_a_long_text_from_the_editor_is_whole_too() -> None:
    face = playing().put(Edited("x" * (limits.PROMPT_CHARS + 5)))
    assert face.model.input.text + face.model.rest == "x" * (limits.PROMPT_CHARS + 5)
    face.put(Edited("y", "/home/me/prompt-1.md"))
    assert face.model.input.text == "y"
    assert face.model.rest == ""
    assert "/home/me/prompt-1.md" in face.model.notice.text


def test_what_no_paste_may_hold_is_said() -> None:
    face = playing().put(Paste("x" * limits.PROMPT_CHARS + "y", lost=12))
    assert "12 bytes" in face.model.notice.text


def test_filters_and_searches_are_bounded() -> None:
    face = playing().type("<ctrl+p>").paste("ab" * 10_000)
    assert face.model.popup is not None
    assert len(face.model.popup.filter) == limits.FILTER_CHARS
    face = playing().type("<ctrl+f>").paste("ab" * 10_000).type("c")
    assert len(face.model.search.term) <= limits.FILTER_CHARS


@pytest.mark.parametrize(
    ("key", "effect"), [("ctrl+d", Quit()), ("ctrl+z", Suspend()), ("ctrl+l", Repaint())]
)
def test_keys_for_the_app_are_passed_on(key: str, effect: object) -> None:
    assert playing().type(f"<{key}>").effects == [effect]


# --- reading ------------------------------------------------------------------------------------


def long_story(count: int = 40, more: int | None = None) -> Face:
    lines = [("assistant", f"Message {number}. " + "word " * 60) for number in range(count)]
    face = Face().story(*lines, more=more)
    face.sent()
    return face


def test_the_newest_text_is_in_view() -> None:
    assert "Message 39." in long_story().text()


def test_scrolled_up_the_story_stays_put_while_a_reply_streams() -> None:
    face = long_story().type("<pageup><pageup>")
    before = face.text().splitlines()[1:20]
    face.says(reply_begins(41), *(chunk("new words ", 10 * n) for n in range(50)))
    assert face.text().splitlines()[1:20] == before


def test_how_much_is_new_is_told_and_end_goes_there() -> None:
    face = long_story().type("<pageup><pageup>").says(reply_begins(41), chunk("two words ", 0))
    face.tick(NOTICE_S)
    assert "2 new words below" in face.text()
    face.type("<end>")
    assert face.model.scroll.follow
    assert "two words" in face.text()
    assert "below" not in face.text()


def test_paging_down_to_the_end_follows_again() -> None:
    face = long_story().type("<pageup><pagedown><pagedown>")
    assert face.model.scroll.follow


def test_the_wheel_scrolls() -> None:
    face = long_story().put(Mouse("wheel_up", 3, 3))
    assert not face.model.scroll.follow
    face.put(Mouse("wheel_down", 3, 3))
    assert face.model.scroll.follow


def test_older_messages_are_fetched_near_the_top_and_the_place_is_kept() -> None:
    face = long_story(more=1).type("<ctrl+home>")
    assert face.sent() == [Send("/history 1")]
    top = face.text().splitlines()[1:20]
    items = tuple(
        messages.HistoryItem("assistant", f"Older {n}.", message=n - 100) for n in range(1, 101)
    )
    meta = messages.HistoryMeta(items, session="s1", before=1)
    face.says(messages.ChatHistory("", meta))
    assert face.text().splitlines()[1:20] == top
    face.type("<pageup>")
    assert "Older 100." in face.text()


def test_a_resync_keeps_the_readers_place() -> None:
    lines = [("assistant", f"Message {number}. " + "word " * 60) for number in range(40)]
    face = long_story().type("<pageup><pageup>")
    before = face.text().splitlines()[1:20]
    face.link("lost", "gone").online(session="s1", chosen=True).says(history(lines))
    assert face.text().splitlines()[1:20] == before


def test_a_reader_far_back_lets_the_newest_go_and_end_fetches_them() -> None:
    story = transcript.Transcript(session="s", more=1)
    page = [MessageView(0, "assistant", str(n), message=n) for n in range(1, 101)]
    story = transcript.show_page(story, "s", page, 1)
    for _ in range(STORY_MESSAGES // 100):
        story = transcript.show_older(story, page, 1)
    assert len(story.messages) == STORY_MESSAGES
    assert story.detached
    keys = [message.key for message in story.messages]
    assert keys == sorted(set(keys))


def test_search_shows_matches_from_the_newest_on() -> None:
    face = Face().story(("user", "The red door."), ("assistant", "A red sea."), ("user", "Blue."))
    face.type("<ctrl+f>red<enter>")
    assert face.model.selected == face.model.story.messages[1].key
    face.type("N")
    assert face.model.selected == face.model.story.messages[0].key
    face.type("<escape>")
    assert face.model.selected is None


def test_messages_are_chosen_and_copied_with_the_keyboard() -> None:
    face = playing().type("<shift+tab><up>c")
    assert face.effects == [Copy("I knock.")]


def test_only_offered_message_commands_have_a_key() -> None:
    retry = messages.CommandOption("/retry", "/retry ID", "tell it again", "message")
    face = playing().type("<shift+tab>r")
    assert face.sent() == []
    face.type("<escape>").says(messages.SystemUpdate("", messages.State(commands=(*COMMANDS, retry))))
    face.type("<shift+tab>r")
    assert face.sent() == [Send("/retry 2")]


# --- time and rest ------------------------------------------------------------------------------


def test_at_rest_nothing_wakes_up() -> None:
    face = playing()
    face.tick(NOTICE_S)
    assert next_wake(face.model) is None


def test_waiting_turns_a_spinner_and_streaming_does_not() -> None:
    face = playing().type("hi<enter>")
    assert next_wake(face.model) == pytest.approx(face.now + limits.SPINNER_S, abs=limits.SPINNER_S)
    face.says(user_line("hi", "n-1", 3), reply_begins(4), chunk("a", 0))
    face.tick(NOTICE_S)
    assert next_wake(face.model) is None


def test_reduced_motion_turns_nothing() -> None:
    face = playing()
    wishes = Settings(reduced_motion=True)
    face.put(Configured(wishes, face.model.theme, face.model.bindings)).type("hi<enter>")
    face.tick(NOTICE_S)
    assert next_wake(face.model) is None


def test_the_header_changes_at_most_once_a_second() -> None:
    """Numbers that move with every token would cost more bytes than the tokens."""
    face = playing().says(reply_begins(3))
    headers = set()
    offset = 0
    for number in range(50):
        face.tick(0.01)
        face.says(chunk("word ", offset, rate=10.0 + number))
        offset += 5
        headers.add(face.frame.rows[0].text)
    assert len(headers) <= 2


def test_the_bell_rings_only_when_wished_and_unfocused() -> None:
    face = playing().put(Focus(False)).says(reply_begins(3), end())
    assert Bell() not in face.effects
    wishes = Settings(bell="bell")
    face.put(Configured(wishes, face.model.theme, face.model.bindings))
    face.says(reply_begins(4, "t2"), end("t2"))
    assert Bell() in face.effects


def test_the_title_tells_of_a_reply_until_the_user_looks() -> None:
    face = playing()
    wishes = Settings(bell="title")
    face.put(Configured(wishes, face.model.theme, face.model.bindings), Focus(False))
    face.says(reply_begins(3), end())
    face.put(Focus(True))
    titles = [effect.text for effect in face.effects if isinstance(effect, SetTitle)]
    assert titles == ["Flower: the narrator is done", "Flower"]


def test_themes_of_the_users_are_offered_and_used() -> None:
    own = {"dusk": Recipe("night", {"user": "green"}), "odd": Recipe("neon", {})}
    face = playing()
    face.put(Configured(Settings(own_themes=own), face.model.theme, face.model.bindings))
    face.type("/theme du<tab><enter>")
    assert face.model.theme.name == "dusk"
    face.type("/theme odd<enter>")
    assert face.model.theme.name == "dusk"
    assert "themes/odd.yaml" in face.model.notice.text.lower()


# --- keys of the user ---------------------------------------------------------------------------


def test_a_rebound_key_works_and_the_old_one_does_not() -> None:
    keys, problems = bindings.configured({"worlds": "ctrl+g"})
    face = playing()
    face.put(Configured(Settings(), face.model.theme, keys, problems)).type("<f2>")
    assert face.model.popup is None
    face.type("<ctrl+g>")
    assert face.model.popup is not None
    assert problems == ()


def test_conflicts_and_unknown_actions_are_named() -> None:
    _, problems = bindings.configured({"worlds": "ctrl+p", "dance": "f9", "models": "ctrl+p"})
    assert len(problems) == 3
    assert any("dance" in problem for problem in problems)
    assert any("ctrl+p" in problem and "models" in problem for problem in problems)
    assert any("palette" in problem for problem in problems)


def test_news_of_the_app_is_shown() -> None:
    assert "Saved." in Face().online().put(Notified(Notice("Saved."))).text()


@given(st.lists(st.sampled_from(["a", " ", "/", "?", "<enter>", "<escape>", "<tab>", "<up>", "<down>", "<pageup>",
    "<pagedown>", "<f1>", "<f2>", "<f5>", "<f6>", "<ctrl+p>", "<ctrl+f>", "<shift+tab>", "<backspace>", "<delete>",
    "<home>", "<end>", "n", "c", "<ctrl+home>", "<alt+t>", "<f7>"]), max_size=30), st.booleans())  # fmt: skip
def test_no_order_of_keys_breaks_the_screen(keys: list[str], small: bool) -> None:
    """Any keys, on any screen: a frame of the right size with its cursor inside."""
    face = Face(40, 12) if small else Face(100, 30)
    face.story(*STORY)
    for key in keys:
        face.type(key)
        assert len(face.frame.rows) == face.model.rows
        assert all(row.width == face.model.columns for row in face.frame.rows)
        if face.frame.cursor is not None:
            assert 0 <= face.frame.cursor[0] < face.model.columns
            assert 0 <= face.frame.cursor[1] < face.model.rows


def test_keys_that_mean_nothing_change_nothing() -> None:
    face = playing()
    before = face.model.input
    face.put(Key("f12"))
    assert face.model.input == before


# --- variants, dice, drafts, searches ---------------------------------------------------------------

CRAFT = (
    *COMMANDS,
    messages.CommandOption("/retry", "/retry [MESSAGE]", "write it anew", "message"),
    messages.CommandOption("/edit", "/edit [MESSAGE] TEXT", "rewrite a message", "message_text"),
    messages.CommandOption("/delete", "/delete MESSAGE", "put it into the trash", "message"),
    messages.CommandOption("/session search", "/session search WORDS", "find words in every story"),
)


def crafted(*lines: tuple[str, str], more: int | None = None) -> Face:
    face = Face()
    face.story(*(lines or (("user", "hello"), ("assistant", "Welcome."))), more=more)
    face.says(messages.SystemUpdate("", messages.State(commands=CRAFT)))
    face.sent()
    return face


def variant(number: int, of: int, text: str, message: int) -> messages.ChatHistory:
    items = (
        messages.HistoryItem("user", "hello", message=1),
        messages.HistoryItem("assistant", text, message=message, variant=number, variants=of),
    )
    return messages.ChatHistory("", messages.HistoryMeta(items, session="s1"))


def test_variants_are_counted_and_switched_with_the_arrows() -> None:
    face = crafted().says(variant(2, 3, "Come in.", 5))
    assert "2/3" in face.text()
    face.type("<shift+tab>").tick(10)
    assert "←→ variant" in face.text()
    face.type("<left>")
    assert face.sent() == [Send("/variant previous 5")]
    items = variant(1, 3, "Welcome.", 2).metadata.history
    longer = (*items, messages.HistoryItem("system", "Roll d6: 4", message=3))
    face.says(messages.ChatHistory("", messages.HistoryMeta(longer, session="s1")))
    assert face.model.selected == face.model.story.messages[1].key, "the choice stays in its place"
    assert "1/3" in face.text()
    face.type("<right>")
    assert face.sent() == [Send("/variant next 2")]


def test_a_message_without_variants_has_no_arrows() -> None:
    face = crafted().type("<shift+tab><left><right>")
    assert face.sent() == []


def test_dice_are_a_line_of_their_own() -> None:
    face = crafted()
    roll = messages.ChatMessage("Roll 2d6: [4, 2] = 6", messages.MessageMeta("system", 3, "s1"))
    face.says(roll)
    row = next(row for row in face.frame.rows if "Roll 2d6" in row.text)
    assert row.text.startswith("•")
    assert face.model.theme["system"] in row.styles()
    assert face.model.theme["system"] != face.model.theme["notice"]


def test_a_draft_fills_only_an_empty_line() -> None:
    face = crafted().says(messages.SystemUpdate("✓ Drafted.", messages.State(draft="I bow.")))
    assert face.model.input.text == "I bow."
    face.type("!").says(messages.SystemUpdate("", messages.State(draft="I run.")))
    assert face.model.input.text == "I bow.!"
    face.type("<ctrl+u><up>")
    assert face.model.input.text == "I run."


def test_a_command_with_an_optional_message_runs_without_it() -> None:
    face = crafted().type("/retry<enter>")
    assert face.sent() == [Send("/retry")]


def test_a_command_that_needs_a_message_lets_one_be_chosen() -> None:
    face = crafted().type("/delete<enter>")
    assert face.model.selected is not None
    assert face.model.input.text == ""
    face.type("<up>d")
    assert face.sent() == [Send("/delete 1")]


def test_an_edited_message_of_several_lines_is_sent_as_a_command() -> None:
    face = crafted(("user", "one\ntwo")).type("<shift+tab>e")
    assert face.model.input.text == "/edit 1 one\ntwo"
    face.type("!<enter>")
    assert face.sent() == [Send("/edit 1 one\ntwo!")]
    assert face.model.input.text == ""
    assert len(face.model.story.messages) == 1


def test_what_is_not_here_is_searched_in_all_stories() -> None:
    face = crafted(more=9).type("/find lamp<enter>")
    assert face.sent() == [Send("/session search lamp")]
    hit = messages.FoundMessage("s2", "The lamp", 7, "user", "I light the lamp.")
    face.says(messages.SystemUpdate("Found:\n...", messages.State(found=(hit,))))
    assert "I light the lamp." in face.text()
    face.type("<enter>")
    assert face.sent() == [Send("/session continue s2 7")]


def test_the_found_message_is_fetched_and_shown() -> None:
    """The engine sends the newest page; older ones are asked for until the message is here."""
    face = crafted()
    face.model = face.model._replace(goal=7)
    face.says(messages.SystemUpdate("", messages.State(session_id="s2")))
    face.says(history([("user", f"line {n}") for n in range(20, 60)], session="s2", first=20, more=20))
    assert face.sent() == [Send("/history 20")]
    older = history([("user", f"line {n}") for n in range(1, 20)], session="s2")
    meta = messages.HistoryMeta(older.metadata.history, session="s2", before=20)
    face.says(messages.ChatHistory("", meta))
    assert "line 7" in face.text()
    assert face.model.goal == 0
    chosen = next(m for m in face.model.story.messages if m.key == face.model.selected)
    assert chosen.message == 7


def test_the_state_sheet_is_in_the_sidebar_and_follows_the_branch() -> None:
    face = Face(100, 30).story(("user", "hello"))
    rows = (messages.SheetRow("Place", "The mill"), messages.SheetRow("HP", "7 of 10"))
    face.says(messages.SystemUpdate("", messages.State(sheet=rows)))
    assert "Place: The mill" in face.text()
    items = (messages.HistoryItem("user", "hello", message=1),)
    meta = messages.HistoryMeta(items, session="s1", sheet=(messages.SheetRow("Place", "The shore"),))
    face.says(messages.ChatHistory("", meta))
    assert "Place: The shore" in face.text()
    assert "HP" not in face.text()


def test_a_branch_in_a_list_is_gone_to() -> None:
    listed = (
        "Where this story can go on; /checkout NAME or /goto MESSAGE goes there:\n"
        "› shore, 4 messages, ends at message 9: We turn back.\n"
        "  wreck, 6 messages, ends at message 14: I climb the mast."
    )
    face = crafted().type("/branches<enter>")
    face.sent()
    face.says(messages.SystemUpdate(listed)).type("<end><enter>")
    assert face.sent() == [Send("/goto 14")]
    assert face.model.popup is None


def test_news_of_several_lines_are_only_read() -> None:
    face = crafted().says(messages.SystemUpdate("message 3\nmessage 4")).type("<end><enter>")
    assert face.sent() == []


# --- waiting, themes, what was recalled --------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80])
def test_waiting_shows_how_far_it_is_and_how_long_it_takes(columns: int) -> None:
    face = playing(columns=columns, rows=12).type("Go on.<enter>")
    face.says(
        messages.SystemUpdate(
            "", messages.State(progress=messages.Progress("Reading the prompt", 0, 4000))
        )
    )
    assert "0%" in face.text()
    face.tick(10.0)
    face.says(
        messages.SystemUpdate(
            "", messages.State(progress=messages.Progress("Reading the prompt", 1000, 4000))
        )
    )
    (line,) = (row for row in face.text().splitlines() if "25%" in row)
    assert "Reading" in line
    assert "30 s left" in line
    assert "[##" in line
    face.says(messages.SystemUpdate("", messages.State(progress=None)))
    assert "left" not in face.text()


def test_the_speed_of_a_model_is_not_shown_for_another() -> None:
    face = playing(columns=100)
    face.model = face.model._replace(
        meter=face.model.meter._replace(tokens_per_second=33.0, live_tokens_per_second=33.0)
    )
    face.tick()
    assert "33 tok/s" in face.text()
    face.says(messages.SystemUpdate("", messages.State(model="offline")))
    assert "tok/s" not in face.text()


def test_themes_are_seen_while_moving_and_kept_on_enter() -> None:
    face = playing().type("/theme<enter>")
    before = face.model.theme.name
    face.type("<down>")
    assert face.model.theme.name != before
    assert face.model.settings.theme == before
    face.type("<escape>")
    assert face.model.theme.name == before
    face.type("/theme<enter><down><enter>")
    assert face.model.popup is None
    assert face.model.theme.name == face.model.settings.theme != before


def test_what_was_recalled_is_read_on_a_key_only() -> None:
    face = playing(columns=110, rows=30)
    item = messages.RecallItem(
        "lore", "Secrets > The drowned bell", "It was the keeper who cut the rope."
    )
    face.says(messages.Recall("", messages.RecallMeta("t1", (item,))))
    assert "The drowned bell" in face.text()
    assert "cut the rope" not in face.text()
    face.type("<alt+i>")
    assert "cut the rope" in face.text()
    face.type("<escape>")
    assert "cut the rope" not in face.text()


def test_the_story_stands_in_the_middle_of_a_wide_screen_as_wide_as_set() -> None:
    face = playing(columns=200, rows=30)
    face.model = face.model._replace(settings=face.model.settings._replace(text_width=60))
    face.says(
        messages.ChatMessage("word " * 40, messages.MessageMeta("user", 9, "s1", request="other"))
    )
    lines = [row for row in face.text().splitlines() if "word word" in row]
    assert len(lines) > 3
    for line in lines:
        words = line.split("│")[0].rstrip()
        assert 40 < len(words) - len(words.lstrip(" ❯")) + 2 < 70
        assert len(words.strip(" ❯")) <= 60


def test_an_empty_line_lets_time_pass_where_the_offline_narrator_speaks() -> None:
    assert playing().type("<enter>").sent() == []
    face = playing()
    face.says(messages.SystemUpdate("", messages.State(offline=True)))
    assert [send.prompt for send in face.type("<enter>").sent()] == ["continue"]
    assert face.type("<enter>").sent() == [], "one at a time"


def test_the_question_names_the_story_that_goes_into_the_trash() -> None:
    face = (
        Face()
        .story(*STORY)
        .online(session="s1", available_sessions=(messages.SessionOption("s1", "The drowned bell"),))
    )
    face.type("<f6><delete>")
    assert "Put 'The drowned bell' into the trash?" in face.text()


def test_a_reply_that_never_began_does_not_say_that_something_is_kept() -> None:
    face = playing()
    face.says(
        messages.ChatHistory(
            "",
            messages.HistoryMeta(
                (messages.HistoryItem("assistant", "", message=2, status="interrupted"),), session="s1"
            ),
        )
    )
    assert "interrupted before its first word" in face.text()
    assert "kept" not in face.text()


def test_problems_stay_in_the_status_line_until_they_are_read() -> None:
    face = Face()
    face.online(problems=("worlds/a.yaml, line 1: no.", "worlds/b.yaml, line 2: no."))
    assert "!2" in face.text()
    face.put(Key("f9"))
    assert "worlds/b.yaml, line 2" in face.text()
    face.put(Key("escape"))
    assert "!2" not in face.text()
    face.says(messages.SystemUpdate("", messages.State(problems=("worlds/c.yaml, line 3: no.",))))
    assert "!1" in face.text()


def test_a_theme_that_was_taken_is_written_down() -> None:
    face = playing()
    model, effects = client_commands.use_theme(face.model, "night")
    assert model.theme.name == "night"
    assert effects == (ChangeSetting("tui.theme", "night"),)


def test_enter_on_a_setting_takes_the_next_value_or_asks_for_one() -> None:
    face = playing()
    face.type("/settings")
    face.put(Key("enter"))
    told = (
        messages.SettingOption("prompt.stop_at_player", "true", choices=("true", "false")),
        messages.SettingOption("prompt.reply_tokens", "800", allowed="a whole number"),
    )
    face.says(messages.SystemUpdate("The settings", messages.State(settings=told)))
    assert "prompt.stop_at_player" in face.text()
    _, effects = client_commands.accepted(face.model, "prompt.stop_at_player")
    assert effects == (Send("/settings prompt.stop_at_player false"), Send("/settings"))
    model, effects = client_commands.accepted(face.model, "prompt.reply_tokens")
    assert (model.input.text, effects) == ("/settings prompt.reply_tokens 800", ())


def test_settings_are_completed_with_their_values() -> None:
    """Names first, with what they mean; behind a name of few values each of them."""
    face = playing()
    face.type("/settings text_w")
    assert commands.candidates(face.model)[0].line == "/settings tui.text_width"
    face = playing().type("/settings prompt.prepare n")
    assert commands.candidates(face.model)[0].line == "/settings prompt.prepare never"
    face = playing().type("/settings tui.theme rose")
    assert commands.candidates(face.model) == ()
