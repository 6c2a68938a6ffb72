"""Lorebooks: what fires and why, what nearly did, where it goes, and what lasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from flower.engine.lorebook.book import Book, Entry, Logic, Position, Role, Scope
from flower.engine.lorebook.decorators import NONE, parse, split_hidden_keys
from flower.engine.lorebook.outcome import Cause, Outcome, Reason
from flower.engine.lorebook.rules import EntryId, KeyedBooks, LoreRules, Matching, Shelved, Strategy
from flower.engine.lorebook.scan import Tools, scan
from flower.engine.lorebook.situation import (
    NOTHING,
    ScanSettings,
    Situation,
    SpokenLine,
    budget,
    seeded,
)

USUAL = ScanSettings()
TOOLS = Tools(tokens=lambda text: len(text.split()), chance=lambda purpose: 0.5)


def book(*entries: Entry, **fields: Any) -> Book:
    return Book(name="b", entries=entries, **fields)


def entry(uid: str, key: str = "", content: str = "", **fields: Any) -> Entry:
    keys = (key,) if key else ()
    return Entry(uid=uid, keys=keys, content=content or f"Text {uid}.", **fields)


def play(
    *entries: Entry,
    said: str = "",
    tools: Tools = TOOLS,
    settings: ScanSettings = USUAL,
    of_book: Mapping[str, Any] | None = None,
    dialect: LoreRules = LoreRules.FLOWER,
    **situation: Any,
) -> Outcome:
    """Returns what a story of one or more lines, parted by bars, brings out."""
    lines = tuple(SpokenLine("Mara", text) for text in said.split("|")) if said else ()
    shelved = Shelved(book(*entries, **(of_book or {})), frozenset({Scope.GLOBAL}))
    library = KeyedBooks([shelved], Matching(dialect=dialect))
    return scan(library, Situation(messages=lines, **situation), settings, tools)


def fired(outcome: Outcome) -> list[str]:
    return [entry.id.uid for entry in outcome.fired]


def held(outcome: Outcome) -> dict[str, Reason]:
    return {entry.id.uid: entry.reason for entry in outcome.held}


# --- why ----------------------------------------------------------------------------------------


def test_what_fired_says_by_what() -> None:
    """Each fired entry names its cause and its key, and the pass in which it came."""
    outcome = play(
        entry("key", "lamp", "The lamp is brass."),
        entry("brought", "brass", "Brass is dear."),
        entry("always", constant=True),
        entry("asked"),
        entry("forced", content="@@activate\nForced."),
        said="The lamp!",
        requested=frozenset({EntryId("b", "asked")}),
    )
    found = {entry.id.uid: (entry.cause, entry.key, entry.step) for entry in outcome.fired}
    assert found == {
        "key": (Cause.KEY, "lamp", 0),
        "brought": (Cause.KEY, "brass", 1),
        "always": (Cause.CONSTANT, "", 0),
        "asked": (Cause.REQUEST, "", 0),
        "forced": (Cause.DECORATOR, "", 0),
    }


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"enabled": False}, Reason.DISABLED),
        ({"triggers": ("swipe",)}, Reason.TRIGGER),
        ({"delay": 5}, Reason.DELAY),
        ({"secondary_keys": ("oil",)}, Reason.SECONDARY),
        ({"logic": Logic.NOT_ANY, "secondary_keys": ("brass",)}, Reason.SECONDARY),
        ({"logic": Logic.NEVER, "secondary_keys": ("brass",)}, Reason.SECONDARY),
        ({"probability": 10}, Reason.DICE),
        ({"content": "word " * 3_000}, Reason.BUDGET),
        ({"content": "@@dont_activate\nNo."}, Reason.DECORATOR),
        ({"content": "@@activate_only_after 3\nNo."}, Reason.DECORATOR),
        ({"content": "@@exclude_keys brass\nNo."}, Reason.EXCLUDED_KEY),
        ({"content": "@@additional_keys oil,wick\nNo."}, Reason.SECONDARY),
        ({"delay_until_recursion": 1}, Reason.RECURSION),
    ],
)
def test_what_nearly_fired_says_what_kept_it(fields: dict[str, Any], reason: Reason) -> None:
    """An entry whose key was found and that did not fire is named with one reason."""
    kept_out = replace(entry("1", "lamp"), **fields)
    outcome = play(kept_out, entry("2", "tide"), said="A brass lamp.")
    assert fired(outcome) == []
    assert held(outcome) == {"1": reason}
    assert outcome.held[0].key == "lamp"


def test_the_loser_of_a_group_says_to_whom() -> None:
    """Of a group one fires, and the others name it."""
    a, b = entry("a", "lamp", groups=("g",), group_override=True), entry("b", "lamp", groups=("g",))
    outcome = play(a, b, said="lamp")
    assert fired(outcome) == ["a"]
    assert (outcome.held[0].reason, outcome.held[0].detail) == (Reason.GROUP, "lost to b.a")


# --- the budget ---------------------------------------------------------------------------------


def test_what_does_not_fit_is_passed_over_or_ends_it() -> None:
    """A large entry costs only itself; where other rules hold it ends the search."""
    entries = (
        entry("large", "lamp", "word " * 50, order=9),
        entry("small", "lamp", "one two", order=1),
        entry("free", "lamp", "word " * 99, order=0, ignore_budget=True),
    )
    skip = play(*entries, said="lamp", settings=ScanSettings(budget=10))
    settings = ScanSettings(budget=10)
    stop = play(*entries, said="lamp", settings=settings, dialect=LoreRules.SILLYTAVERN)
    assert fired(skip) == ["small", "free"]
    assert fired(stop) == ["free"]
    assert skip.overflowed
    assert stop.overflowed
    assert skip.tokens == 2


# By recorded rules accidents happen that no recorded case of ours has; by our own they do not.
ACCIDENTS = {
    "one that has several groups blocks none of them later": (
        [entry("a", "lamp", "oil", groups=("g", "h")), entry("b", "oil", groups=("g",))],
        {"said": "lamp"},
        (["a"], ["a", "b"]),
    ),
    "a book's own depth is not known": (
        [entry("a", "lamp")],
        {"said": "lamp|one|two", "of_book": {"scan_depth": 3}},
        (["a"], []),
    ),
    "accents are borders of words": ([entry("a", "caf")], {"said": "a café"}, ([], ["a"])),
    "what did not fit is read by others": (
        [
            entry("large", "lamp", "oil " * 50),
            entry("first", "bell", delay_until_recursion=1),
            entry("a", "oil", delay_until_recursion=2, ignore_budget=True),
        ],
        {"said": "lamp", "settings": ScanSettings(budget=10)},
        ([], ["a"]),
    ),
    "a decorator of the card format is cut and no more": (
        [entry("a", "lamp", "@@activate_only_after 9\nText.")],
        {"said": "lamp"},
        ([], ["a"]),
    ),
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_recorded_rules_keep_what_looks_like_accidents(accident: str) -> None:
    entries, situation, (ours, theirs) = ACCIDENTS[accident]
    assert fired(play(*entries, **situation)) == ours
    assert fired(play(*entries, dialect=LoreRules.SILLYTAVERN, **situation)) == theirs


def test_one_that_stays_and_would_rest_loses_its_group_by_recorded_rules() -> None:
    """There its own rest takes it out of the group that it holds."""
    entries = (
        entry("a", "lamp", groups=("g",), sticky=3, cooldown=5),
        entry("b", "oil", groups=("g",)),
    )
    for dialect, stays in ((LoreRules.FLOWER, ["a"]), (LoreRules.SILLYTAVERN, [])):
        first = play(*entries, said="lamp", dialect=dialect)
        again = play(*entries, said="lamp|oil", timed=first.timed, dialect=dialect)
        assert (fired(first), fired(again)) == (["a"], stays)


def test_a_book_has_a_budget_of_its_own() -> None:
    """What a book allows itself holds inside the whole budget."""
    entries = (entry("a", "lamp", "one two three"), entry("b", "lamp", "four five"))
    assert fired(play(*entries, said="lamp", of_book={"token_budget": 4})) == ["a"]


def test_a_text_that_is_not_told_sets_no_variables() -> None:
    """Macros of an entry that does not fit have not happened."""

    def expand(text: str, variables: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
        return text, {**variables, text: "set"}

    tools = replace(TOOLS, expand=expand)
    outcome = play(
        entry("a", "lamp", "{{x}} " + "word " * 20),
        said="lamp",
        tools=tools,
        settings=ScanSettings(budget=5),
    )
    assert outcome.variables == {}


def test_budget_of_a_context() -> None:
    """A share of the context, at least one token, at most the cap."""
    assert budget(25, 8192) == 2048
    assert budget(25, 8192, 500) == 500
    assert budget(0, 8192) == 1
    assert budget(50, 41) == 21


# --- books --------------------------------------------------------------------------------------


def test_books_say_how_they_are_read() -> None:
    """A book's scan depth and recursion hold for entries that say nothing themselves."""
    entries = (
        entry("a", "lamp", "Of brass."),
        entry("b", "brass"),
        entry("c", "tide", scan_depth=3),
    )
    said = "tide|no|no|lamp"
    assert fired(play(*entries, said=said, of_book={"scan_depth": 1})) == ["a", "b"]
    assert fired(play(*entries, said=said, of_book={"recursive": False})) == ["a"]
    deep = play(*entries, said="lamp|no|tide", of_book={"scan_depth": 3, "recursive": False})
    assert fired(deep) == ["a", "c"]


def test_keys_that_are_patterns_as_a_whole() -> None:
    """Where a book says so keys need no slashes; constant and secondary keys do not count then."""
    pattern = entry("a", "l[ai]mp", use_regex=True, secondary_keys=("oil",))
    assert fired(play(pattern, said="A LIMP.")) == ["a"]
    assert fired(play(replace(pattern, keys=("l[ai",)), said="l[ai")) == []
    assert fired(play(replace(pattern, constant=True), said="no")) == []


def test_books_of_the_story_come_first() -> None:
    """Chat, persona, then the character's or the world's, by the player's wish."""
    shelved = [
        Shelved(Book(name=scope.value, entries=(entry("1", constant=True),)), frozenset({scope}))
        for scope in (Scope.GLOBAL, Scope.CHARACTER, Scope.PERSONA, Scope.CHAT)
    ]
    orders = {}
    for strategy in Strategy:
        library = KeyedBooks(shelved, Matching(strategy=strategy))
        orders[strategy] = [rule.id.book for rule in library.rules]
    assert orders[Strategy.CHARACTER_FIRST] == ["chat", "persona", "character", "global"]
    assert orders[Strategy.GLOBAL_FIRST] == ["chat", "persona", "global", "character"]


# --- decorators ---------------------------------------------------------------------------------


def test_decorators_are_read_and_cut() -> None:
    """The first of a name holds, unknown ones give way to their fallbacks."""
    asked, text = parse("@@depth 2\n@@depth 3\n@@mood x\n@@@role user\n@@@scan_depth 9\nText.\n@@x")
    assert (asked.depth, asked.role, asked.scan_depth) == (2, Role.USER, None)
    assert text == "Text.\n@@x"
    assert parse("@@scan_depth many\n@@@scan_depth 4\nx")[0].scan_depth == 4
    assert parse("@@additional_keys a,b\\, c\n@@additional_keys d\n")[0].additional_keys == (
        ("a", "b, c"),
        ("d",),
    )
    assert parse("No decorators @@here") == (NONE, "No decorators @@here")
    assert parse("@@instruct_depth 3\n@@@depth 2\r\nx")[0].depth == 2


@pytest.mark.parametrize(
    ("content", "position", "depth", "role"),
    [
        ("@@depth 3\nx", Position.AT_DEPTH, 3, Role.SYSTEM),
        ("@@depth -2\n@@role assistant\nx", Position.AT_DEPTH, 0, Role.ASSISTANT),
        ("@@reverse_depth 1\n@@role user\nx", Position.AT_DEPTH, 2, Role.USER),
        ("@@position before_desc\n@@depth 3\nx", Position.BEFORE_CHARACTER, 0, Role.SYSTEM),
        ("@@position scenario\nx", Position.AFTER_CHARACTER, 0, Role.SYSTEM),
        ("@@role user\nx", Position.NOTE_TOP, 0, Role.SYSTEM),
    ],
)
def test_decorators_place(content: str, position: Position, depth: int, role: Role) -> None:
    """What a decorator says about the place holds before the entry's own position."""
    outcome = play(entry("a", "lamp", content, position=Position.NOTE_TOP), said="a|b|lamp")
    place = outcome.fired[0].place
    assert (place.position, place.depth, place.role) == (position, depth, role)


def test_decorators_of_one_match_last() -> None:
    """An entry may stay for good after it fired, or never fire again."""
    stay = entry("stay", "lamp", "@@keep_activate_after_match\nx")
    once = entry("once", "lamp", "@@dont_activate_after_match\nx")
    first = play(stay, once, said="lamp")
    assert fired(first) == ["stay", "once"]
    assert fired(play(stay, once, said="lamp", timed=first.timed)) == ["stay"]
    assert fired(play(stay, once, said="no", timed=first.timed)) == ["stay"]


@pytest.mark.parametrize(
    ("line", "situation"),
    [
        ("@@activate_only_after 3", {"replies": 3}),
        ("@@activate_only_every 4", {"replies": 8}),
        ("@@is_greeting 1", {"greeting": 1}),
        ("@@is_user_icon mask", {"persona_icon": "mask"}),
    ],
)
def test_decorators_that_ask_for_something(line: str, situation: dict[str, Any]) -> None:
    """They hold an entry back until it is so."""
    asking = entry("a", "lamp", f"{line}\nx")
    assert held(play(asking, said="lamp", replies=1)) == {"a": Reason.DECORATOR}
    assert fired(play(asking, said="lamp", **situation)) == ["a"]


def test_decorators_about_the_prompt() -> None:
    """What can wait gets the budget last; prompts an entry wants left out are named."""
    waits = entry("waits", "lamp", "@@ignore_on_max_context\none two three", order=9)
    other = entry("other", "lamp", "@@disable_ui_prompt system_prompt\none two three", order=1)
    outcome = play(waits, other, said="lamp", settings=ScanSettings(budget=5))
    assert fired(outcome) == ["other"]
    assert outcome.silenced == {"system_prompt"}


def test_hidden_keys_lead_on_and_are_not_told() -> None:
    """Words of a hidden key are read by other entries only."""
    outcome = play(entry("a", "lamp", "Brass.{{hidden_key: tide}}"), entry("b", "tide"), said="lamp")
    assert [entry.text for entry in outcome.fired] == ["Brass.", "Text b."]
    assert split_hidden_keys("a{{hidden_key:b}}c{{ HIDDEN_KEY : d }}e") == ("ace", ["b", "d"])
    assert split_hidden_keys("a{{hidden_key:b") == ("a{{hidden_key:b", [])


# --- what lasts ---------------------------------------------------------------------------------


def test_effects_are_values_of_a_place_in_the_story() -> None:
    """A retry from the same place gives the same, and nothing given is changed."""
    stays = entry("a", "lamp", sticky=3, cooldown=2)
    first = play(stays, said="lamp")
    before = first.timed
    again = play(stays, said="lamp", timed=NOTHING)
    assert again == first
    later = play(stays, said="lamp|no|no", settings=ScanSettings(depth=1), timed=before)
    assert (fired(later), later.fired[0].cause) == (["a"], Cause.STICKY)
    assert before == first.timed
    resting = play(stays, said="lamp|no|no|lamp", settings=ScanSettings(depth=1), timed=later.timed)
    assert held(resting) == {"a": Reason.COOLDOWN}
    assert resting.held[0].detail == "2 messages to go"


def test_a_changed_entry_has_no_effects() -> None:
    """An effect belongs to the entry as it was."""
    first = play(entry("a", "lamp", sticky=3), said="lamp")
    changed = entry("a", "lamp", "Another text.", sticky=3)
    assert fired(play(changed, said="lamp|no", settings=ScanSettings(depth=1), timed=first.timed)) == []


def test_a_long_story_may_be_given_by_its_end() -> None:
    """Delays count all messages, also those that are not given."""
    late = entry("a", "lamp", delay=100)
    assert fired(play(late, said="lamp")) == []
    assert fired(play(late, said="lamp", count=100)) == ["a"]


# --- chance -------------------------------------------------------------------------------------


def test_chance_follows_from_its_seed_and_purpose() -> None:
    """The same line draws the same for an entry, whatever other entries there are."""
    draw = seeded("story:1")
    assert draw("a") == seeded("story:1")("a") != seeded("story:2")("a")
    assert draw("a") == draw("a") != draw("b")
    numbers = [draw(str(number)) for number in range(2_000)]
    assert all(0 <= number < 1 for number in numbers)
    assert 0.45 < sum(numbers) / len(numbers) < 0.55
