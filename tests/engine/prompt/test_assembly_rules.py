"""Small rules of a whole prompt, one by one: which share of the budget each part has, to the token.

A token is a letter here, so that every bound is exact.
"""

from __future__ import annotations

import pytest

from flower.engine.prompt.assemble import (
    CUT_MARK,
    FILLED_SHARE,
    INSETS_SHARE,
    LINE_SHARE,
    MIN_SECTION_TOKENS,
    PLAYERS_WORDS,
    SYSTEM_SHARE,
    TAIL_SHARE,
    Assembled,
    Inset,
    PromptLine,
    Section,
    _fit_insets,
    _fit_sections,
    assemble,
    is_filling,
    shorten,
    state_text,
)
from flower.engine.token_counter import MESSAGE_TOKENS
from tests.engine.prompt.test_window_rules import COUNTER, Letters

BUDGET = 2_000
BESIDE = int(BUDGET * TAIL_SHARE)
SYSTEM = int(BUDGET * SYSTEM_SHARE) - BESIDE
LINE = PromptLine(1, "user", "Go.")


def section(name: str, size: int, priority: float = 50) -> Section:
    return Section(name, f"{name}.yaml", name[0] * size, priority)


def made(*sections: Section, story: tuple[PromptLine, ...] = (LINE,), **more: object) -> Assembled:
    return assemble(sections, story, budget=BUDGET, counter=COUNTER, **more)  # type: ignore[arg-type]


# --- shares of the budget -----------------------------------------------------------------------


@pytest.mark.parametrize("over", [0, 1])
def test_the_system_text_has_its_share_and_what_is_over_is_cut(over: int) -> None:
    whole = made(section("base", 100, 90), section("lore", SYSTEM - 100 + over))
    assert [len(one.text) for one in whole.system] == [100, SYSTEM - 100]
    assert [entry.note for entry in whole.manifest] == ["", "shortened" if over else "", ""]
    assert [entry.tokens for entry in whole.manifest[:2]] == [100, SYSTEM - 100]
    assert [entry.source for entry in whole.manifest[:2]] == ["base.yaml", "lore.yaml"]


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("insets", [(), (Inset("note", 0),), (Inset("note", 0), Inset("card", 3))])
def test_the_state_has_what_notes_leave_of_its_share(over: int, insets: tuple[Inset, ...]) -> None:
    left = BESIDE - sum(len(one.text) + MESSAGE_TOKENS for one in insets) - len(PLAYERS_WORDS)
    whole = made(tail=(section("state", left + over),), insets=insets)
    assert [len(one.text) for one in whole.tail] == [left]
    assert (CUT_MARK in whole.tail[0].text) == bool(over)
    assert whole.manifest[0].note == ("shortened" if over else "")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_notes_share_half_of_what_is_kept_for_the_newest_line(count: int) -> None:
    most = BESIDE // 2 // count
    for size in (most, most + 1):
        whole = made(insets=[Inset(str(n) * size, 0) for n in range(count)])
        sizes = [whole.messages[-1].content.count(str(n)) for n in range(count)]
        assert sizes == [size if size == most else most - len(CUT_MARK)] * count
        assert whole.tokens == MESSAGE_TOKENS + count * (most + MESSAGE_TOKENS) + 3 + MESSAGE_TOKENS


def test_all_notes_are_cut_by_the_middle_and_stay_where_they_are() -> None:
    long = Inset("x" * BUDGET, 1, "assistant")
    whole = made(story=(LINE, PromptLine(2, "user", "On.")), insets=[long])
    assert [message.role for message in whole.messages] == ["assistant", "user"]


def test_entries_have_a_share_of_their_own() -> None:
    room = int(BUDGET * INSETS_SHARE)
    each = room // 2 - MESSAGE_TOKENS
    for more, count in ((0, 2), (1, 2)):
        entries = [Inset("e" * (each + more), 0), Inset("f" * (each + more), 1)]
        whole = made(entries=entries)
        assert whole.messages[-1].content.count("e") == each + more
        cut = whole.messages[-1].content.count("f")
        assert (cut == each) is not bool(more)
        assert len(entries) == count
        assert whole.tokens == 2 * MESSAGE_TOKENS + room + 3


@pytest.mark.parametrize("over", [0, 1])
def test_one_line_has_a_share_at_most(over: int) -> None:
    most = int(BUDGET * LINE_SHARE)
    whole = made(story=(PromptLine(1, "user", "x" * (most + over)),))
    assert len(whole.messages[-1].content) == most
    assert (CUT_MARK in whole.messages[-1].content) == bool(over)


def test_the_story_has_what_the_fixed_parts_leave_and_never_nothing() -> None:
    state = section("state", 30)
    whole = made(
        section("base", 100), tail=(state,), insets=[Inset("note", 0)], entries=[Inset("e", 1)]
    )
    fixed = 100 + MESSAGE_TOKENS + 30 + len(PLAYERS_WORDS) + 4 + MESSAGE_TOKENS + 1 + MESSAGE_TOKENS
    assert whole.room == BUDGET - fixed - 2 * MESSAGE_TOKENS
    assert whole.history == 3 + MESSAGE_TOKENS
    assert whole.tokens == fixed + whole.history
    small = assemble([], [LINE], budget=MIN_SECTION_TOKENS, counter=COUNTER)
    assert small.room == MIN_SECTION_TOKENS


def test_the_newest_line_has_the_state_of_now_and_earlier_ones_that_of_then() -> None:
    story = (PromptLine(1, "user", "a", state="Rain."), PromptLine(2, "user", "b", state="Old."))
    assert [message.content for message in made(story=story, tail=(Section("s", "", " Sun. ", 1),)).messages] == [
        f"Rain.\n\n{PLAYERS_WORDS}\n\na\n\nSun.\n\n{PLAYERS_WORDS}\n\nb"
    ]  # fmt: skip
    (bare,) = made(story=story).messages
    assert bare.content.endswith("\n\na\n\nb")
    assert state_text([" a ", "b\n"]) == "a\nb"


def test_lines_without_words_are_left_out_unless_something_was_recalled() -> None:
    story = (PromptLine(1, "user", ""), PromptLine(2, "user", "", recalled="A note."), LINE)
    whole = made(story=story)
    assert whole.manifest[-1].source == "2 messages"
    assert whole.messages[0].content.startswith("A note.")
    assert made(story=()).window_start is None
    assert made(story=()).messages == ()


def test_a_history_fills_from_three_quarters_of_its_room_on() -> None:
    full = int(1_000 * FILLED_SHARE)
    assert [is_filling(size, 1_000) for size in (full - 1, full, full + 1)] == [False, True, True]


# --- giving way ---------------------------------------------------------------------------------


def test_sections_give_way_only_as_far_as_they_must() -> None:
    def sizes(budget: int) -> list[int]:
        three = [section("a", 300, 3), section("b", 300, 1), section("c", 300, 2)]
        return [len(one.text) for one, _ in _fit_sections(three, budget, COUNTER)]

    assert sizes(900) == [300, 300, 300]
    assert sizes(700) == [300, 100, 300]
    assert sizes(600 + MIN_SECTION_TOKENS) == [300, MIN_SECTION_TOKENS, 300]
    assert sizes(600 + MIN_SECTION_TOKENS - 1) == [300, 300]
    assert sizes(500) == [300, 200]  # the second gives way by what is left over
    assert sizes(300) == [300]
    assert sizes(100) == [100]


@pytest.mark.parametrize("tokens", [len(CUT_MARK) + 2, 20, 21, 40, 59, 99])
def test_what_is_cut_is_as_long_as_it_may_be_and_is_counted_twice_at_most(tokens: int) -> None:
    class Counting(Letters):
        counts = 0

        def count(self, text: str) -> int:
            self.counts += 1
            return len(text)

    counting = Counting()
    cut = shorten("a" * 50 + "b" * 50, tokens, counting)  # type: ignore[arg-type]
    assert len(cut) == tokens
    assert counting.counts == 2


@pytest.mark.parametrize("scale", [1, 100])
def test_what_is_still_too_long_is_cut_again_by_a_little(scale: int) -> None:
    """Where the ends of a text have more tokens than its middle."""

    class Dense(Letters):
        def count(self, text: str) -> int:
            return len(text) + text.count("A")

    dense = Dense()
    text = "A" * 20 * scale + "b" * 60 * scale + "A" * 20 * scale
    for tokens in (40 * scale, 50 * scale, 60 * scale):
        cut = shorten(text, tokens, dense)  # type: ignore[arg-type]
        assert 0.8 * tokens <= dense.count(cut) <= tokens
        assert (cut[0], cut[-1]) == ("A", "A")


def test_what_cannot_be_cut_so_short_keeps_a_letter_of_each_end() -> None:
    assert shorten("a" * 50 + "b" * 50, 1, COUNTER) == f"a{CUT_MARK}b"
    assert shorten("a" * 50 + "b" * 50, len(CUT_MARK) + 3, COUNTER) == f"aa{CUT_MARK}b"


def test_entries_that_have_no_room_are_left_out_with_all_behind_them() -> None:
    long, short = Inset("l" * 500, 1, "assistant"), Inset("s", 2)
    assert _fit_insets([short, long], MESSAGE_TOKENS + MIN_SECTION_TOKENS - 1, COUNTER) == []
    (cut,) = _fit_insets([short, long], MESSAGE_TOKENS + MIN_SECTION_TOKENS, COUNTER)
    assert (len(cut.text), cut.depth, cut.role) == (MIN_SECTION_TOKENS, 1, "assistant")
