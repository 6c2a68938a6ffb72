"""Laws of lorebooks: whatever books and stories say, a scan ends, keeps its budget and can be repeated."""

from __future__ import annotations

import time
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from flower.engine.lorebook.book import (
    Book,
    CharacterFilter,
    Entry,
    Logic,
    Position,
    Role,
    Scope,
    TextSource,
)
from flower.engine.lorebook.outcome import Outcome
from flower.engine.lorebook.rules import KeyedBooks, LoreRules, Matching, Shelved, Strategy
from flower.engine.lorebook.scan import Tools, scan
from flower.engine.lorebook.situation import NOTHING, ScanSettings, Situation, SpokenLine, Timed, seeded

WORDS = st.sampled_from(
    [
        "lamp",
        "tide",
        "ox",
        "Ärger",
        "маяк",
        "灯塔",
        "/la.p/i",
        "/(/",
        "",
        " ",
        "{{user}}",
        "<",
        "oil lamp",
    ]
)
TEXT = st.one_of(
    st.lists(WORDS, max_size=8).map(" ".join),
    st.text(max_size=30),
    st.sampled_from(
        [
            "@@activate\nlamp tide",
            "@@depth 2\n@@role user\nox",
            "@@@x\n",
            "@@\n@@\n",
            "{{hidden_key:ox}}",
        ]
    ),
)
COUNT = st.integers(-2, 6)
MAYBE = st.sampled_from([None, True, False])
ENTRY = st.builds(
    Entry,
    uid=st.sampled_from([str(number) for number in range(9)]),
    content=TEXT,
    keys=st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=3).map(tuple),
    secondary_keys=st.lists(WORDS, max_size=2).map(tuple),
    use_regex=st.booleans(),
    selective=st.booleans(),
    logic=st.sampled_from(Logic),
    constant=st.booleans(),
    case_sensitive=MAYBE,
    whole_words=MAYBE,
    scan_depth=st.one_of(st.none(), COUNT),
    scanned=st.lists(st.sampled_from(TextSource), max_size=2).map(tuple),
    order=st.floats(-9, 9),
    position=st.sampled_from(Position),
    depth=COUNT,
    role=st.sampled_from(Role),
    outlet=st.sampled_from(["", "shelf"]),
    ignore_budget=st.booleans(),
    exclude_recursion=st.booleans(),
    prevent_recursion=st.booleans(),
    delay_until_recursion=st.integers(0, 3),
    probability=st.floats(-10, 110),
    groups=st.lists(st.sampled_from(["g", "h"]), max_size=2, unique=True).map(tuple),
    group_override=st.booleans(),
    group_weight=st.floats(-10, 300),
    group_scoring=MAYBE,
    sticky=COUNT,
    cooldown=COUNT,
    delay=COUNT,
    triggers=st.lists(st.sampled_from(["normal", "swipe"]), max_size=1).map(tuple),
    character_filter=st.one_of(
        st.none(),
        st.builds(CharacterFilter, names=st.just(("Mara",)), tags=st.just(()), exclude=st.booleans()),
    ),
)
LIBRARY = st.builds(
    KeyedBooks,
    st.lists(
        st.builds(
            Shelved,
            st.builds(
                Book,
                name=st.sampled_from(["a", "b"]),
                entries=st.lists(ENTRY, max_size=8).map(tuple),
                token_budget=st.one_of(st.none(), st.integers(0, 20)),
                recursive=MAYBE,
            ),
            st.frozensets(st.sampled_from(Scope), max_size=2),
        ),
        max_size=2,
    ),
    st.builds(
        Matching,
        st.booleans(),
        st.booleans(),
        st.sampled_from(Strategy),
        st.sampled_from(LoreRules),
    ),
)
SETTINGS = st.builds(
    ScanSettings,
    depth=st.integers(0, 4),
    budget=st.integers(1, 60),
    include_names=st.booleans(),
    recursive=st.booleans(),
    recursion_steps=st.integers(0, 3),
    group_scoring=st.booleans(),
    min_activations=st.integers(0, 4),
    min_activations_depth=st.integers(0, 3),
)
SITUATION = st.builds(
    Situation,
    messages=st.lists(st.builds(SpokenLine, st.just("Mara"), TEXT), max_size=5).map(tuple),
    sources=st.dictionaries(st.sampled_from(TextSource), TEXT, max_size=2),
    injected=st.lists(TEXT, max_size=2).map(tuple),
    characters=st.just(frozenset({"Mara"})),
    dry=st.booleans(),
)


def tokens(text: str) -> float:
    return (len(text) + 1) / 3.35


def tools(seed: str) -> Tools:
    return Tools(tokens=tokens, chance=seeded(seed), expand=lambda text, values: (text * 2, values))


def told(outcome: Outcome, library: KeyedBooks) -> float:
    """Returns the tokens of all that counts for the budget."""
    return sum(tokens(f.text) for f in outcome.fired if not library.by_id[f.id].entry.ignore_budget)


@given(LIBRARY, SITUATION, SETTINGS, st.text(max_size=3))
def test_a_scan_ends_keeps_its_budget_and_can_be_repeated(
    library: KeyedBooks, situation: Situation, settings: ScanSettings, seed: str
) -> None:
    """Any books and any story: no error, nothing over the budget, the same again from the same place."""
    outcome = scan(library, situation, settings, tools(seed))
    again = scan(library, situation, settings, tools(seed))
    assert again == outcome
    counted = library.matching.dialect is LoreRules.FLOWER
    if counted and len(library.by_id) == len(library.rules):
        assert ceil(told(outcome, library)) <= settings.budget
    assert len({entry.id for entry in outcome.fired}) == len(outcome.fired)
    assert not {entry.id for entry in outcome.fired} & {entry.id for entry in outcome.held} or (
        len(library.by_id) < len(library.rules)
    )
    placed = outcome.placed
    assert all(block.texts for block in placed.at_depth)


@given(LIBRARY, st.lists(SITUATION, min_size=2, max_size=4), SETTINGS)
def test_a_branch_does_not_touch_another(
    library: KeyedBooks, situations: list[Situation], settings: ScanSettings
) -> None:
    """Effects go from place to place as values: playing one branch leaves the past of the other as it was."""

    def walk(branch: list[Situation], timed: Timed) -> Timed:
        for situation in branch:
            told = Situation(messages=situation.messages, timed=timed)
            timed = scan(library, told, settings, tools("s")).timed
        return timed

    past = walk(situations[:1], NOTHING)
    one = walk(situations[1:], past)
    walk(situations[1:][::-1], past)
    assert walk(situations[1:], past) == one


@given(LIBRARY, SITUATION)
def test_a_trial_leaves_effects_alone(library: KeyedBooks, situation: Situation) -> None:
    """A dry scan gives back what it was given."""
    assert (
        scan(
            library, Situation(messages=situation.messages, dry=True), ScanSettings(), tools("s")
        ).timed
        == NOTHING
    )


def test_work_grows_no_faster_than_text_and_books() -> None:
    """Ten times the text or the entries cost at most some twenty times the time: no hidden square. By the
    processor's time, the best of five."""

    def best(entries: int, letters: int) -> float:
        keys = [f"k{number}x" for number in range(entries)]
        made = tuple(Entry(uid=key, keys=(key, f"{key} y"), content=f"a {key}") for key in keys)
        library = KeyedBooks(
            [Shelved(Book(name="b", entries=made), frozenset({Scope.CHAT}))], Matching()
        )
        times = []
        for number in range(5):
            text = f"{number} " + " ".join(keys[:20]) + " aa" * (letters // 3)
            situation = Situation(messages=(SpokenLine("M", text),))
            start = time.thread_time()
            scan(library, situation, ScanSettings(budget=10**9), tools("s"))
            times.append(time.thread_time() - start)
        return min(times)

    small = best(200, 20_000)
    assert best(200, 200_000) < 25 * small
    assert best(2_000, 20_000) < 25 * small
