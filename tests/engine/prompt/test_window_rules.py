"""Small rules of what fits into a prompt, one by one: a token is a letter here, so that every bound is exact."""

from __future__ import annotations

from typing import Any

import pytest

from flower.engine.prompt.assemble import (
    CUT_MARK,
    FILLED_SHARE,
    MIN_SECTION_TOKENS,
    OPENING,
    PLAYERS_WORDS,
    WINDOW_HIGH_SHARE,
    WINDOW_LOW_SHARE,
    Inset,
    PromptLine,
    Section,
    _alternating,
    _fit_insets,
    _fit_line,
    _fit_sections,
    _line_tokens,
    _window,
    assemble,
    shorten,
)
from flower.engine.prompt.summary import (
    EXTRACT_CHARS,
    KEPT_SHARE,
    extract,
    lines_to_cover,
)
from flower.engine.token_counter import MESSAGE_TOKENS


class Letters:
    """Counts letters."""

    def count(self, text: str) -> int:
        return len(text)


COUNTER: Any = Letters()
LONG = 100  # letters of a line of the window, with what frames it


def lines(count: int, first: str = "user") -> list[PromptLine]:
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    return [PromptLine(10 + n, roles[n % 2], "x" * (LONG - MESSAGE_TOKENS)) for n in range(count)]


# --- the window ---------------------------------------------------------------------------------


def window(count: int, room: int, previous: int | None = None, summarised: int | None = None) -> int:
    return _window(lines(count), room, previous, summarised, COUNTER)


def test_a_window_stays_where_it_began_as_long_as_all_behind_it_fits() -> None:
    assert window(10, 10 * LONG) == 0
    assert window(10, 8 * LONG, previous=12) == 2
    assert window(10, 8 * LONG - 1, previous=12) > 2
    assert window(10, 10 * LONG, previous=99) == 0  # it is of another way


def test_a_window_that_moves_goes_behind_the_summary_if_the_rest_leaves_room() -> None:
    room = 1_000
    fits = int(room * WINDOW_HIGH_SHARE) // LONG  # lines
    count = 30
    assert window(count, room, summarised=10 + count - fits - 1) == count - fits
    moved = window(count, room, summarised=10 + count - fits - 2)
    assert moved != count - fits - 1
    assert window(count, room, previous=10 + count - 2, summarised=10) == count - 2
    assert window(count, room, summarised=10 + count - 1) == moved  # nothing would be left


def test_else_it_moves_to_far_below_what_fits_and_opens_with_the_player() -> None:
    room = 1_000
    kept = int(room * WINDOW_LOW_SHARE) // LONG
    for count in (30, 31):
        start = window(count, room)
        assert count - kept <= start <= count - kept + 1
        assert lines(count)[start].role == "user" or start == count - 1
    assert window(3, 1) == 2  # the newest line is always there
    same = [PromptLine(n, "user", "x" * LONG) for n in range(3)]
    assert _window(same, 1, None, None, COUNTER) == 2


# --- sections -----------------------------------------------------------------------------------


def sections(*sizes: int) -> list[Section]:
    return [Section(f"s{n}", "", chr(97 + n) * size, 50 + n) for n, size in enumerate(sizes)]


def test_the_least_important_sections_give_way_first_and_the_order_stays() -> None:
    def fitted(budget: int, *sizes: int) -> list[tuple[str, int, bool]]:
        found = _fit_sections(sections(*sizes)[::-1], budget, COUNTER)
        return [(section.name, len(section.text), cut) for section, cut in found]

    assert fitted(300, 100, 100, 100) == [("s2", 100, False), ("s1", 100, False), ("s0", 100, False)]
    (first, second, third) = fitted(299, 100, 100, 100)
    assert (first, second) == (("s2", 100, False), ("s1", 100, False))
    assert third[0] == "s0"
    assert third[1] <= 99
    assert third[2]
    least = 200 + MIN_SECTION_TOKENS
    assert len(fitted(least, 100, 100, 100)) == 3
    assert fitted(least - 1, 100, 100, 100) == [("s2", 100, False), ("s1", 100, False)]
    assert fitted(0, 100) == []
    assert _fit_sections([Section("blank", "", " \n", 90)], 10, COUNTER) == []


def test_entries_take_the_room_there_is_the_nearest_first() -> None:
    entries = [Inset("a" * 90, 2), Inset("b" * 90, 0), Inset("c" * 90, 1)]
    each = 90 + MESSAGE_TOKENS
    assert [one.text[0] for one in _fit_insets(entries, 3 * each, COUNTER)] == ["b", "c", "a"]
    cut = _fit_insets(entries, 2 * each + MESSAGE_TOKENS + MIN_SECTION_TOKENS, COUNTER)
    assert [one.text for one in cut[:2]] == ["b" * 90, "c" * 90]
    assert 0 < len(cut[2].text) <= MIN_SECTION_TOKENS
    assert len(_fit_insets(entries, 2 * each + MESSAGE_TOKENS + MIN_SECTION_TOKENS - 1, COUNTER)) == 2


def test_a_short_entry_is_told_whole_though_a_long_one_would_not_be_cut_so_short() -> None:
    short = Inset("a" * 10, 0)
    for room, told in (
        (10 + MESSAGE_TOKENS, 1),
        (9 + MESSAGE_TOKENS, 0),
        (0, 0),
        (2 * (10 + MESSAGE_TOKENS), 2),
    ):
        fitted = _fit_insets([short, short], room, COUNTER)
        assert [one.text for one in fitted] == ["a" * 10] * told


# --- cutting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, len(CUT_MARK) + 2, 40, 99, 100, 101])
def test_what_is_too_long_loses_its_middle(tokens: int) -> None:
    text = "a" * 50 + "b" * 50
    cut = shorten(text, tokens, COUNTER)
    if tokens >= 100:
        assert cut is text
        return
    before, after = cut.split(CUT_MARK)
    assert (set(before), set(after)) == ({"a"}, {"b"})
    assert len(before) - len(after) in (0, 1)
    assert len(cut) <= max(tokens, len(CUT_MARK) + 2)


def test_what_was_recalled_has_half_of_a_line_at_most() -> None:
    line = PromptLine(1, "user", "x" * 100, recalled="y" * 100)
    assert _fit_line(line, 200, COUNTER) is line
    cut = _fit_line(line, 190, COUNTER)
    assert len(cut.recalled) <= 95
    assert len(cut.content) <= 190 - len(cut.recalled)
    assert len(cut.content) > 80
    assert cut.id == 1


def test_a_line_is_counted_with_all_that_goes_with_it() -> None:
    line = PromptLine(1, "user", "x" * 7, recalled="y" * 5, state="z" * 3)
    assert _line_tokens(line, COUNTER) == 15 + len(PLAYERS_WORDS) + MESSAGE_TOKENS
    assert _line_tokens(PromptLine(1, "user", "x"), COUNTER) == 1 + MESSAGE_TOKENS


# --- the messages -------------------------------------------------------------------------------


def told(story: list[PromptLine], *insets: Inset) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in _alternating(story, insets)]


def said(*words: str) -> list[PromptLine]:
    return [
        PromptLine(n, {"u": "user", "a": "assistant", "s": "system"}[word[0]], word)
        for n, word in enumerate(words)
    ]


def test_roles_alternate_and_the_player_begins() -> None:
    assert told(said("a1", "u1")) == [("user", OPENING), ("assistant", "a1"), ("user", "u1")]
    assert told(said("u1", "s1", "a1", "a2", "u2")) == [
        ("user", "u1\n\ns1"), ("assistant", "a1\n\na2"), ("user", "u2")
    ]  # fmt: skip
    assert told([]) == []


def test_insets_stand_so_many_lines_above_the_newest_one() -> None:
    story = said("u1", "a1", "u2")
    assert told(story, Inset("i", 0)) == [("user", "u1"), ("assistant", "a1"), ("user", "i\n\nu2")]
    assert told(story, Inset("i", 1)) == [("user", "u1\n\ni"), ("assistant", "a1"), ("user", "u2")]
    for depth in (2, 9):
        assert told(story, Inset("i", depth))[0] == ("user", "i\n\nu1")
    assert told(story, Inset("i", -1))[-1] == ("user", "u2\n\ni")
    assert told(story, Inset("i", 1, "assistant"))[1] == ("assistant", "i\n\na1")


def test_what_goes_with_a_line_stands_before_the_players_words() -> None:
    line = PromptLine(1, "user", "Go.", recalled="Ned rang.", state="Rain.")
    assert told([line]) == [("user", "Rain.\n\nNed rang.\n\nGo.")]
    bare = PromptLine(1, "user", "Go.", state="Rain.")
    assert told([bare]) == [("user", f"Rain.\n\n{PLAYERS_WORDS}\n\nGo.")]
    dice = PromptLine(1, "system", "12.", state="Rain.")
    assert told([dice]) == [("user", "Rain.\n\n12.")]


def test_empty_lines_are_left_out_and_what_was_left_out_is_told() -> None:
    base = [Section("base rules", "rules", "r" * 40, 90)]
    story = [*lines(30), PromptLine(50, "assistant", ""), PromptLine(51, "user", "Go.")]
    found = assemble(base, story, budget=2_000, counter=COUNTER)
    entry = found.manifest[-1]
    start = next(n for n, line in enumerate(story) if line.id == found.window_start)
    assert (entry.section, entry.note) == ("history", f"{start} older messages left out")
    assert entry.source == f"{30 - start + 1} messages"
    assert found.history == entry.tokens == (30 - start) * LONG + 3 + MESSAGE_TOKENS
    assert found.tokens == found.history + 40 + MESSAGE_TOKENS
    assert found.room == 2_000 - (40 + MESSAGE_TOKENS) - 2 * MESSAGE_TOKENS
    assert found.messages[0].role == "system"
    small = assemble([], said("u1"), budget=2_000, counter=COUNTER)
    assert (small.manifest[-1].note, small.window_start, small.system) == ("", 0, ())
    assert [message.role for message in small.messages] == ["user"]


# --- summaries ----------------------------------------------------------------------------------


def test_a_summary_covers_what_the_room_does_not_keep_once_it_fills() -> None:
    room = 1_000
    near, kept = int(room * FILLED_SHARE), int(room * KEPT_SHARE) // 100
    assert lines_to_cover(lines(near // 100)[:-1], room, COUNTER) == 0
    assert lines_to_cover(lines(near // 100 + 1), room, COUNTER) == near // 100 + 1 - kept
    assert lines_to_cover(lines(20), room, COUNTER) == 20 - kept
    assert lines_to_cover([PromptLine(1, "user", "x" * 2_000)], room, COUNTER) == 1


def test_an_extract_that_is_too_long_keeps_whole_lines_of_its_end() -> None:
    assert extract(
        "Before.", [PromptLine(1, "user", "I go. Then."), PromptLine(2, "assistant", "You go.")]
    ) == ("Before.\nThe player: I go.\nYou go.")
    long = extract(
        "a" * 50, [PromptLine(n, "assistant", f"Line {n:04} {'x' * 80}.") for n in range(40)]
    )
    assert long.startswith("…Line ")
    assert len(long) <= EXTRACT_CHARS
    assert long.endswith(f"Line 0039 {'x' * 80}.")
