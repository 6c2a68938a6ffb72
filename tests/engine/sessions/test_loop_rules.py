"""Small rules of what watches a reply, one by one: when a text goes in circles, where a phrase stands alone."""

from __future__ import annotations

import pytest

from flower.engine.sessions import reply_watch
from flower.engine.sessions.reply_watch import (
    LOOP_CHARS,
    LOOP_PHRASE_CHARS,
    LOOP_SENTENCES,
    LOOP_TAIL_CHARS,
    BannedPhrases,
    LoopGuard,
    ReplyWatch,
    shared_sentence,
)
from tests.engine.sessions.test_turn_rules import words

BEGIN = f"{words(40)}."  # all of it is looked at before what comes next


def after_prose(text: str) -> int | None:
    """How many characters of a text that comes at once after other prose are worth keeping."""
    guard = LoopGuard()
    assert guard.feed(BEGIN) is None
    worth = guard.feed(text)
    assert guard.in_loop == (worth is not None)
    return None if worth is None else worth - len(BEGIN)


# --- blank ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("blanks", "kept"), [(159, None), (160, 60), (300, 60)])
def test_a_reply_whose_end_is_blank_is_kept_without_it(blanks: int, kept: int | None) -> None:
    assert after_prose("a" * 60 + "\n" * blanks) == kept


def test_a_reply_is_looked_at_every_two_hundred_characters() -> None:
    guard = LoopGuard()
    assert guard.feed("a" * 20 + "\n" * 179) is None  # not looked at yet
    assert guard.feed("\n") == 20
    other = LoopGuard()
    other.feed(words(60))  # looked at: from here it is two hundred more
    assert other.feed("\n" * 199) is None
    assert other.feed("\n") == len(words(60).rstrip())


def test_what_came_as_a_whole_is_not_looked_at_and_counts_as_kept() -> None:
    assert LoopGuard().feed("x" * LOOP_TAIL_CHARS) == 1
    guard = LoopGuard()
    assert guard.feed("x" * (LOOP_TAIL_CHARS + 1)) is None
    assert guard.feed("a" * 39 + "\n" * 160) is None  # 199 of 200 characters
    assert guard.feed("\n") == LOOP_TAIL_CHARS + 1 + 39


# --- one piece again and again ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "least"),
    [
        ("x", LOOP_CHARS),
        ("ding dong ", LOOP_CHARS),  # two words are a bell
        ("ding dong bell ", LOOP_PHRASE_CHARS),
        ("you come back to me and ", LOOP_PHRASE_CHARS),
        (words(50), 4 * 300),  # a paragraph: four times
        (words(130).replace(" ", ""), 4 * 650),  # one long word
    ],
)
def test_a_piece_is_kept_once_when_it_came_often_enough(unit: str, least: int) -> None:
    text = (unit * (least // len(unit) + 1))[:least]
    assert after_prose("!" + text) == 1 + len(unit)
    assert after_prose("!" + text[:-1]) is None


def test_what_was_written_before_a_piece_came_again_and_again_is_kept() -> None:
    prose, guard = f"{words(700)}!", LoopGuard()
    guard.feed(prose)
    assert guard.feed("ding dong bell " * 40) == len(prose) + len("ding dong bell ")
    assert len(prose) > 3 * LOOP_PHRASE_CHARS


# --- one sentence between others ----------------------------------------------------------------


def between(letters: int, times: int, other: int) -> str:
    """A sentence of so many letters, and after each but the last another one of so many characters."""
    again = "".join("abcdefghijklmnopqrstuvwxyz"[n % 26] for n in range(letters)) + "."
    others = [words(40, 50 * n)[: other - 1] + "." for n in range(times - 1)]
    return again + "".join(one + again for one in others)


def test_a_sentence_sixteen_times_is_a_loop_that_begins_with_the_second() -> None:
    assert after_prose(between(40, LOOP_SENTENCES, 80)) == 41 + 80
    assert after_prose(between(40, LOOP_SENTENCES - 1, 80)) is None


@pytest.mark.parametrize(("letters", "loop"), [(16, True), (15, False)])
def test_a_short_sentence_may_come_often(letters: int, loop: bool) -> None:
    assert (after_prose(between(letters, LOOP_SENTENCES, 21)) is not None) == loop


def test_a_sentence_that_is_less_than_a_third_of_what_is_said_may_come_often() -> None:
    """Its letters count, and all from the first of the last sixteen to the end."""
    text = between(40, LOOP_SENTENCES, 84)
    last = len(text) - 41
    third = 3 * 40 * LOOP_SENTENCES
    assert len(text) == third - 4
    for more, loop in ((4, True), (5, False)):
        longer = text[: last - 1] + "z" * more + text[last - 1 :]
        assert (after_prose(longer) is not None) == loop
    once = f"{text[:41]}{''.join(words(60, 3000 + 90 * n)[:-1] + '.' for n in range(9))}"
    assert after_prose(once + text) == len(once)  # what was said long before is no part of it


# --- a few sentences in turn --------------------------------------------------------------------


def in_turn(letters: int, different: int, count: int) -> str:
    names = [
        "".join(chr(97 + (n + 3 * step) % 26) for step in range(letters)) for n in range(different)
    ]
    return "".join(f"{names[n % different]}. " for n in range(count))


@pytest.mark.parametrize(
    ("letters", "different", "count", "kept"),
    [
        (8, 8, 24, 8 * 10 - 1),
        (8, 9, 24, None),
        (8, 8, 23, None),
        (7, 8, 26, None),
        (9, 5, 24, 5 * 11 - 1),
    ],
)
def test_two_dozen_sentences_of_which_eight_are_different_are_a_loop(
    letters: int, different: int, count: int, kept: int | None
) -> None:
    assert after_prose(in_turn(letters, different, count)) == kept


# --- from one reply to the next -----------------------------------------------------------------


@pytest.mark.parametrize(("letters", "shared"), [(16, True), (15, False)])
def test_a_short_sentence_may_be_in_every_reply(letters: int, shared: bool) -> None:
    sentence = "abcdefghijklmnop"[:letters]
    assert (
        shared_sentence([f"{words(9, 20 * n)[:-1]}. {sentence}." for n in range(3)]) != ""
    ) == shared


def test_of_a_long_reply_its_end_is_read() -> None:
    again = "The keeper of the old lamp says nothing."
    rest = words(LOOP_TAIL_CHARS // 6 + 2)
    assert shared_sentence([f"{again} {rest}" for _ in range(2)] + [again]) == ""
    assert shared_sentence([f"{rest}. {again}" for _ in range(2)] + [again]) == again[:-1]


# --- banned phrases -----------------------------------------------------------------------------


def test_a_phrase_is_found_at_the_very_end_only_when_it_is_the_end() -> None:
    reader = BannedPhrases(["a shiver", " "])
    assert [reader.feed("Then a shiver"), reader.feed("ing man. A SHIVER"), reader.end()] == [
        "",
        "",
        "a shiver",
    ]
    assert reader.feed("ing") == ""  # it begins anew
    assert [reader.feed(f"{words(90)}a shiver"), reader.feed(".")] == ["", "a shiver"]
    assert BannedPhrases([" "]).end() == ""


def test_what_is_kept_of_a_reply_is_no_longer_than_the_longest_phrase() -> None:
    reader, guard = BannedPhrases(["rope", "a shiver"]), LoopGuard()
    for number in range(200):
        assert reader.feed("x" * 99) == ""
        assert guard.feed(words(17, 17 * number)) is None
    assert len(reader._tail) == len("a shiver") + 1
    assert len(guard._tail) <= LOOP_TAIL_CHARS
    assert len(guard._open) <= LOOP_TAIL_CHARS + 200


def test_of_several_phrases_the_first_in_the_list_is_named() -> None:
    assert BannedPhrases(["b b", "a"]).feed("a. b b.") == "b b"
    assert BannedPhrases(["ab"]).feed("xab ab.") == "ab"


def test_the_first_phrase_of_a_reply_stays() -> None:
    watch = ReplyWatch(["lamp", "rope"])
    watch.feed("A lamp. ")
    watch.feed("A rope. ")
    watch.end()
    assert (watch.phrase, watch.in_loop) == ("lamp", False)
    other = ReplyWatch(["rope"])
    other.feed("A rope")
    assert other.phrase == ""
    other.end()
    assert other.phrase == "rope"
    assert reply_watch.ReplyWatch(()).feed("\n" * 400) == 0


@pytest.mark.parametrize(
    ("text", "phrase", "alone"),
    [
        ("ab", "ab", True),
        ("-xab", "ab", False),
        ("x-ab", "ab", True),
        ("abx-", "ab", False),
        ("ab-x", "ab", True),
        ("x!a", "!a", True),
        ("a!x", "a!", True),
    ],
)
def test_a_phrase_stands_alone_by_the_characters_next_to_it(
    text: str, phrase: str, alone: bool
) -> None:
    start = text.index(phrase)
    assert reply_watch._stands_alone(text, start, start + len(phrase)) == alone


def test_where_a_sentence_comes_again_does_not_depend_on_how_it_came() -> None:
    text = BEGIN + between(40, LOOP_SENTENCES, 80) + "z" * 200  # so that its end is looked at
    for step in (7, 150):
        guard = LoopGuard()
        looks = [guard.feed(text[start : start + step]) for start in range(0, len(text), step)]
        assert [worth for worth in looks if worth is not None][:1] == [len(BEGIN) + 41 + 80]
