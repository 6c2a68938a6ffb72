"""Small rules of the prompt, one by one: what is counted, what is cut, what the narrator without a model sees."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flower import limits
from flower.engine.assets.kinds import Rule
from flower.engine.game.checks import WORKED
from flower.engine.game.clocks import Clock, Now
from flower.engine.game.sheet import Sheet
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Steering
from flower.engine.lorebook.book import Position
from flower.engine.lorebook.outcome import Cause, Fired, Place
from flower.engine.lorebook.rules import EntryId
from flower.engine.prompt import books_at_hand, cue, sections
from flower.engine.prompt.assemble import (
    INSETS_SHARE,
    MIN_SECTION_TOKENS,
    PLAYERS_WORDS,
    Assembled,
    Inset,
    PromptLine,
    Section,
    _fit_insets,
    assemble,
    shorten,
)
from flower.engine.prompt.context import most_messages
from flower.engine.prompt.direction import Direction
from flower.engine.prompt.lore_entries import with_entries
from flower.engine.prompt.macro_parts import Part, dedented, parse
from flower.engine.prompt.macros import expand
from flower.engine.prompt.request import SECOND_TRY_SEED, PreparedPrompt, once_more
from flower.engine.prompt.sections import note_of, system_sections
from flower.engine.prompt.sent import PAGE_CHARS, page_of
from flower.engine.prompt.turn_input import TurnInput
from flower.engine.provider.base import Completion, PromptMessage
from flower.engine.recall.base import Hit
from flower.engine.store.exchanges import PromptRecord
from flower.engine.store.extra import MessageExtra, RollRecord
from flower.engine.store.passages import Passage
from flower.engine.store.selections import Selection
from flower.engine.store.states import CurrentState
from flower.engine.store.stories import Message
from flower.engine.token_counter import MESSAGE_TOKENS, TokenCounter
from tests.engine.prompt.test_macros import VALUES

COUNTER = TokenCounter()
BASE = Section("base rules", "rules", "Tell the story.", 90)


def prompt(
    story: Sequence[PromptLine],
    *,
    budget: int = 4000,
    tail: Sequence[Section] = (),
    insets: Sequence[Inset] = (),
) -> Assembled:
    return assemble([BASE], story, budget=budget, counter=COUNTER, tail=tail, insets=insets)


# --- the budget ---------------------------------------------------------------------------------


def test_a_line_is_cut_whether_or_not_something_was_recalled_with_it() -> None:
    for recalled in ("", "A note."):
        content = (
            prompt([PromptLine(1, "user", "word " * 9000, recalled=recalled)]).messages[-1].content
        )
        assert COUNTER.count(content) < 4000
        assert content.startswith(recalled)


def test_a_recalled_text_is_cut_though_the_line_is_short() -> None:
    content = prompt([PromptLine(1, "user", "Go.", recalled="word " * 9000)]).messages[-1].content
    assert COUNTER.count(content) < 4000
    assert content.endswith("Go.")


def test_what_is_taken_is_the_sum_of_all_parts() -> None:
    story = [PromptLine(1, "user", "Who rang the bell?", recalled="Ned rang it.")]
    plain = prompt([PromptLine(1, "user", "Who rang the bell?")]).tokens
    assert plain == COUNTER.count(BASE.text) + COUNTER.count("Who rang the bell?") + 2 * MESSAGE_TOKENS
    assert prompt(story).tokens == plain + COUNTER.count("Ned rang it.")
    with_note = prompt(story, insets=[Inset("Be grim.", 0)]).tokens
    assert with_note == prompt(story).tokens + COUNTER.count("Be grim.") + MESSAGE_TOKENS
    told = prompt(story, insets=[Inset("Be grim.", 0)], tail=[Section("state", "x", "Rain.", 50)])
    assert told.tokens > with_note


def test_the_system_text_has_its_share_less_what_is_kept_for_the_newest_line() -> None:
    whole = assemble(
        [Section("lore", "x", "word " * 9000, 50)],
        [PromptLine(1, "user", "Go.")],
        budget=4000,
        counter=COUNTER,
    )
    system = COUNTER.count(whole.messages[0].content)
    assert 0.8 * 0.4 * 4000 < system < 0.6 * 4000


@pytest.mark.parametrize("tokens", [12, 20, 50])
def test_a_shortened_text_is_nearly_as_long_as_it_may_be(tokens: int) -> None:
    size = COUNTER.count(shorten("abcdefghij " * 100, tokens, COUNTER))
    assert 0.7 * tokens <= size <= tokens


def test_a_longer_context_reads_more_messages_and_never_fewer_than_always() -> None:
    assert most_messages(100) == limits.PROMPT_MESSAGES
    assert most_messages(10_000_000) == 10_000_000 // (MESSAGE_TOKENS + 1)


def test_entries_at_a_depth_share_their_room_and_those_nearest_come_first() -> None:
    entries = [Inset(f"Entry {depth}: {'word ' * 100}", depth) for depth in range(9, -1, -1)]
    lines = [PromptLine(number, "user", f"Line {number}.") for number in range(12)]
    whole = assemble([BASE], lines, budget=2000, counter=COUNTER, entries=entries)
    text = "\n".join(message.content for message in whole.messages)
    told = [depth for depth in range(10) if f"Entry {depth}" in text]
    share = int(2000 * INSETS_SHARE)
    assert told == list(range(len(told)))
    size = COUNTER.count(entries[0].text) + MESSAGE_TOKENS
    assert len(told) == share // size + (share % size >= MIN_SECTION_TOKENS + MESSAGE_TOKENS)


@pytest.mark.parametrize("count", [4, 5, 9])
def test_a_window_that_moves_opens_with_a_line_of_the_player(count: int) -> None:
    story = [
        PromptLine(number, "user" if (count - number) % 2 == 0 else "assistant", "word " * 300)
        for number in range(1, count + 1)
    ]
    whole = assemble([BASE], story, budget=1000, counter=COUNTER)
    first = next(line for line in story if line.id == whole.window_start)
    assert first.role == "user"
    assert whole.messages[1].role == "user"


# --- parts --------------------------------------------------------------------------------------


def test_rules_give_way_by_their_priority() -> None:
    rules = [Rule(f"r{n}", f"R{n}", "Rain.", priority=n) for n in (10, 50, 90)]
    sections = [s for s in system_sections("", rules, None, None, nsfw=False) if s.name == "rule"]
    assert [section.source for section in sections] == ["r90", "r50", "r10"]
    assert sections[0].priority > sections[1].priority > sections[2].priority
    whole = Rule("r", "R", "Rain.", priority=100)  # and never by as much as another kind of section
    (section,) = [s for s in system_sections("", [whole], None, None, nsfw=False) if s.name == "rule"]
    assert 80 < section.priority <= 81


def test_a_note_says_where_it_comes_from() -> None:
    def note(kind: str, *, private: bool = False, title: str = "Bell") -> str:
        passage = Passage(1, kind, "s", "world", title, "It rings.")  # type: ignore[arg-type]
        return note_of(Hit(passage, 1.0, None, (), 3), private=private)

    assert note("lore") == "- From the lore (Bell): It rings."
    assert note("memory") == "- Earlier in this story: It rings."
    assert note("memory", title="\nthe quay") == "- Earlier in this story (the quay): It rings."
    assert note("memory", private=True) == "- Known to this character alone: It rings."


def test_entries_that_always_fire_stand_around_the_characters() -> None:
    def entry(text: str, position: Position) -> Fired:
        return Fired(EntryId(1, text), text, text, Place(position), 1.0, Cause.CONSTANT)

    sections = [Section(name, "", name, 50) for name in ("world", *["character"] * 3, "scene")]
    steady = [entry("first", Position.BEFORE_CHARACTER), entry("last", Position.AFTER_CHARACTER)]
    texts = [section.text for section in with_entries(sections, steady)]
    assert texts == ["world", "first", *["character"] * 3, "last", "scene"]
    assert [s.text for s in with_entries(sections[:1], steady)] == ["world", "first", "last"]
    assert with_entries(sections, []) == tuple(sections)


def test_quests_are_told_as_open_or_by_what_became_of_them() -> None:
    sheet = Sheet(quests={"Find Ned": "open", "Ring it": "done", "Sleep": "failed"})
    assert sections._sheet(sheet) == (
        "How things stand: Quest: Find Ned. Quest done: Ring it. Quest failed: Sleep."
    )


# --- macros -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "sign", "right", "holds"),
    [
        ("a", "==", "A ", True),
        ("a", "!=", "b", True),
        ("a", "!=", "a", False),
        ("a", "<", "b", False),  # only numbers have an order
        ("a", "<=", "a", False),
        ("a", ">", "a", False),
        ("b", ">=", "a", False),
        ("2", "<", "10", True),
        ("2", "<=", "2", True),
        ("2", "<", "2", False),
        ("2", ">=", "2.0", True),
        ("2", ">", "2", False),
        ("2", "==", "2.0", True),
        ("2.5", "<=", "2.50", True),
        ("2.5", ">=", "2.50", True),
        ("2", "!=", "2.0", False),
    ],
)
def test_numbers_are_compared_as_numbers_and_words_only_as_the_same(
    left: str, sign: str, right: str, holds: bool
) -> None:
    told = expand(
        f"{{{{if .left {sign} {right}}}}}yes{{{{else}}}}no{{{{/if}}}}",
        replace(VALUES, variables={"left": left}),
    )
    assert told == ("yes" if holds else "no")


def test_a_block_loses_the_indentation_of_its_first_line() -> None:
    assert dedented(("\n  one\n    two\n  three\n",)) == ("one\n  two\nthree",)
    assert dedented(("\n  \n",)) == ("",)
    assert dedented(("  one",)) == ("one",)


# --- what the narrator without a model sees ---------------------------------------------------------


def current_state(*clocks: Clock, lines: int) -> CurrentState:
    return CurrentState(StoryState(clocks=clocks), Steering(), Now(lines, 0.0), 0.0)


def test_a_clock_happens_with_the_line_that_fills_it_and_no_later() -> None:
    flood = Clock("Flood", 6, line=0, every=1, then="The dam breaks")
    assert [cue._happening(current_state(flood, lines=lines)) for lines in (5, 6, 7)] == [
        [], ["The dam breaks"], []
    ]  # fmt: skip
    by_hand = Clock("Dawn", 4, filled=4, line=9)
    assert cue._happening(current_state(by_hand, lines=9)) == ["Dawn"]
    assert cue._happening(current_state(by_hand, lines=10)) == []


def test_a_clock_is_near_from_sixty_per_cent_on_until_it_is_full() -> None:
    near = [bool(cue._nearing(current_state(Clock("Flood", 10, filled=f), lines=1))) for f in range(11)]
    assert near == [False] * 6 + [True] * 4 + [False]


def said(number: int, role: str, roll: RollRecord | None = None) -> Message:
    extra = MessageExtra(roll=roll)
    return Message(number, "s", number - 1 or None, role, "words", "complete", "", None, 0.0, extra)


@pytest.mark.parametrize(
    ("degree", "outcome"),
    [(None, ""), (WORKED[0], "strong"), (WORKED[-1], "strong"), ("failure", "miss")],
)
def test_the_outcome_is_of_the_dice_right_before_the_line(degree: str | None, outcome: str) -> None:
    rolled = said(2, "system", RollRecord("jump", 12, degree))
    assert cue._outcome([said(1, "assistant"), rolled, said(3, "user")]) == outcome
    assert cue._outcome([said(1, "assistant"), rolled]) == outcome
    assert cue._outcome([rolled, said(3, "user"), said(4, "user")]) == ""
    assert cue._outcome([rolled, said(3, "assistant")]) == ""
    assert cue._outcome([said(1, "system"), said(2, "user")]) == ""  # a note is no roll


def test_dice_decided_something_for_each_of_the_players_lines() -> None:
    rolled = said(2, "system", RollRecord("jump", 12, WORKED[0]))
    path = [said(1, "user"), rolled, said(3, "user"), said(4, "assistant"), said(5, "user")]
    assert cue._decided(path, 9) == ["", "strong", ""]
    assert cue._decided(path, 2) == ["", "strong"]


# --- macros -------------------------------------------------------------------------------------


def written(parts: Sequence[Part]) -> str:
    return "".join(part if isinstance(part, str) else "{{" + written(part) + "}}" for part in parts)


@given(
    st.text(alphabet="{}ab", max_size=60) | st.lists(st.sampled_from(["{{", "}}", "a"])).map("".join)
)
def test_no_brace_is_lost_or_moved(text: str) -> None:
    """Also of those that have no partner or are nested too deep."""
    assert written(parse(text)) == text


# --- insets -------------------------------------------------------------------------------------


def test_insets_that_just_fit_stay_whole() -> None:
    texts = ["a word or two " * 40, "and some more " * 40]
    room = sum(COUNTER.count(text) + MESSAGE_TOKENS for text in texts)
    insets = [Inset(text, depth) for depth, text in enumerate(texts, 1)]
    fitted = [inset.text for inset in _fit_insets(insets, room, COUNTER)]
    assert fitted == texts
    fitted = [inset.text for inset in _fit_insets(insets, room - 1, COUNTER)]
    assert fitted[0] == texts[0]
    assert fitted[1] != texts[1]


# --- chance of a scan ---------------------------------------------------------------------------


def turn_input(*, continues: bool = False, variant: int = 0) -> TurnInput:
    return TurnInput(
        turn="t", session_id="s", world_id="w", character_id="c", reply_id=9, leaf=3, line="Go.",
        selection=Selection("c"), model_id="m", continues=continues, variant=variant,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("continues", "variant", "path", "seed", "trigger"),
    [
        (False, 0, [1, 2, 3], "s:3", "normal"),
        (False, 1, [1, 2, 3], "s:3", "swipe"),
        (True, 0, [1, 2, 3], "s:2", "continue"),
        (True, 0, [1], "s:1", "continue"),
        (False, 0, [], "s:3", "normal"),
    ],
)
def test_the_dice_of_a_scan_are_those_of_the_line(
    continues: bool, variant: int, path: list[int], seed: str, trigger: str
) -> None:
    """Whichever try it is; a reply that goes on has the dice of the line before it."""
    messages = [said(number, "user") for number in path]
    moment = books_at_hand._line_moment(
        turn_input(continues=continues, variant=variant),
        Direction(sections=(), values=VALUES),
        current_state(lines=1),
        messages,
        len(messages),
        100,
    )
    assert (moment.seed, moment.trigger, moment.count) == (seed, trigger, len(messages))


# --- a second try -------------------------------------------------------------------------------


def prepared(messages: Sequence[PromptMessage], params: dict[str, object]) -> PreparedPrompt:
    completion = Completion(
        model="m", messages=tuple(messages), max_tokens=10, context_tokens=100, params=params
    )
    record = PromptRecord(
        session_id="s", line_id=1, reply_id=2, line=None, manifest=[], window_start=None
    )
    return PreparedPrompt(completion, prompt([PromptLine(1, "user", "Go.")]), COUNTER, record)


@pytest.mark.parametrize(
    ("seed", "again"),
    [(0, SECOND_TRY_SEED), (7, 7 + SECOND_TRY_SEED), (-1, -1), (None, None), ("7", "7")],
)
def test_a_second_try_has_another_seed(seed: object, again: object) -> None:
    """Unless chance decides."""
    first = prepared([PromptMessage("user", "Go.")], {"seed": seed, "top_k": 5})
    second = once_more(first, "Mind this.").completion
    assert second.params == {"seed": again, "top_k": 5}
    assert second.cue.seed == first.completion.cue.seed + SECOND_TRY_SEED
    assert first.completion.params == {"seed": seed, "top_k": 5}


def test_what_to_mind_is_said_at_the_end_of_the_newest_line() -> None:
    lines = [PromptMessage("system", "Tell."), PromptMessage("user", "Go.")]
    assert once_more(prepared(lines, {}), "Mind this.").completion.messages == (
        lines[0],
        PromptMessage("user", "Go.\n\nMind this."),
    )
    going_on = [*lines, PromptMessage("assistant", "You go")]
    assert once_more(prepared(going_on, {}), "Mind this.").completion.messages == tuple(going_on)
    assert once_more(prepared([], {}), "Mind this.").completion.messages == ()


# --- counting tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "estimated", "actual", "exact", "after"),
    [
        (TokenCounter(), 49, 1000, False, TokenCounter()),  # too short to learn from
        (TokenCounter(), 1000, 49, False, TokenCounter()),
        (TokenCounter(), 50, 50, False, TokenCounter(1.0, checked=True)),
        (TokenCounter(), 100, 120, False, TokenCounter(1.2, checked=True)),
        (TokenCounter(), 100, 80, False, TokenCounter(0.8, checked=True)),
        (TokenCounter(), 100, 251, False, TokenCounter(2.5)),  # a mistake, believed until the next
        (TokenCounter(1.2, checked=True), 100, 250, False, TokenCounter(1.2, checked=True)),
        (TokenCounter(), 100, 250, False, TokenCounter(2.5, checked=True)),
        (TokenCounter(), 100, 900, True, TokenCounter(2.5, checked=True)),
        (TokenCounter(), 1000, 300, True, TokenCounter(0.4, checked=True)),
        (TokenCounter(), 100, 74, False, TokenCounter()),  # part of it was cached
        (TokenCounter(), 100, 75, False, TokenCounter(0.75, checked=True)),
        (TokenCounter(1.0, checked=True), 100, 84, False, TokenCounter(1.0, checked=True)),
        (TokenCounter(1.0, checked=True), 100, 90, False, TokenCounter(0.96, checked=True)),
        (TokenCounter(1.0, checked=True), 100, 110, False, TokenCounter(1.1, checked=True)),
        (TokenCounter(2.0, checked=True), 100, 50, True, TokenCounter(1.0, checked=True)),
    ],
)
def test_a_counter_believes_what_a_text_can_be(
    before: TokenCounter, estimated: int, actual: int, exact: bool, after: TokenCounter
) -> None:
    seen = before.calibrated(estimated, actual, exact=exact)
    assert (pytest.approx(seen.scale), seen.checked) == (after.scale, after.checked)


# --- what is counted with the line --------------------------------------------------------------


def test_the_state_that_goes_with_a_line_is_counted_with_its_frame() -> None:
    line = PromptLine(1, "user", "Who rang the bell?")
    section = Section("sheet", "/state", "Torches: three. Rope: none.", 30)
    more = COUNTER.count(section.text) + COUNTER.count(PLAYERS_WORDS)
    assert prompt([line], tail=[section]).tokens == prompt([line]).tokens + more
    assert prompt([line], tail=[section]).tail == (section,)


# --- the pages of what was sent -----------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a" * PAGE_CHARS,
        "a" * (PAGE_CHARS + 1),
        "word\n" * PAGE_CHARS,
        "a" * 100 + "\n" + "b" * 3 * PAGE_CHARS,
    ],
)
def test_pages_have_all_of_a_text_and_no_page_is_too_long(text: str) -> None:
    """Each but the last has half a page at least, and ends a line where one ends in its second half."""
    count = page_of(text, 1)[1]
    pages = [page_of(text, number)[0] for number in range(1, count + 1)]
    assert "".join(pages) == text
    for number, page in enumerate(pages[:-1]):
        assert PAGE_CHARS // 2 < len(page) <= PAGE_CHARS, number
        assert page.endswith("\n") or "\n" not in page[PAGE_CHARS // 2 :]
    assert page_of(text, 0) == page_of(text, 1)
    assert page_of(text, count + 7) == page_of(text, count)
