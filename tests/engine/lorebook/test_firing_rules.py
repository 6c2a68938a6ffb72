"""Small rules of what fires, one by one: each bound of an entry, its groups, its dice, its time, its place."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from flower.engine.lorebook import decorators, groups, matching, situation
from flower.engine.lorebook.book import CharacterFilter, Entry, Logic, TextSource
from flower.engine.lorebook.decorators import NONE, Decorators
from flower.engine.lorebook.matching import Stopwatch
from flower.engine.lorebook.outcome import Cause, Outcome, Reason
from flower.engine.lorebook.rules import EntryId
from flower.engine.lorebook.scan import Tools
from flower.engine.lorebook.situation import NOTHING, Effect, ScanSettings, Timed
from tests.engine.lorebook.test_lorebook import entry, fired, held, play

# --- may it fire --------------------------------------------------------------------------------


def one(said: str = "lamp", content: str = "Text.", **fields: Any) -> Outcome:
    of_situation = {
        name: fields.pop(name)
        for name in ("count", "replies", "characters", "tags", "trigger", "greeting", "persona_icon", "timed",
        "sources",
                     "injected", "dry", "settings", "tools", "of_book")
        if name in fields
    }  # fmt: skip
    return play(entry("a", "lamp", content, **fields), said=said, **of_situation)


@pytest.mark.parametrize(
    ("delay", "count", "left"), [(3, 2, "1 messages to go"), (3, 3, ""), (3, 4, ""), (3, 0, "3 messages to go"),
    (0, 0, "")]
)  # fmt: skip
def test_an_entry_waits_for_so_many_messages(delay: int, count: int, left: str) -> None:
    outcome = one(delay=delay, count=count)
    assert fired(outcome) == ([] if left else ["a"])
    assert [entry.detail for entry in outcome.held] == ([left] if left else [])


@pytest.mark.parametrize(
    ("who", "characters", "tags", "fires"),
    [
        (CharacterFilter(), {"Mara"}, set(), True), (CharacterFilter(("Mara",)), {"Mara"}, set(), True),
        (CharacterFilter(("Mara",)), {"Olaf"}, set(), False),
        (CharacterFilter(("Mara",), exclude=True), {"Mara"}, set(), False),
        (CharacterFilter(("Mara",), exclude=True), {"Olaf"}, set(), True),
        (CharacterFilter(tags=("sea",)), set(), {"sea"}, True),
        (CharacterFilter(tags=("sea",)), set(), {"land"}, False),
        (CharacterFilter(tags=("sea",), exclude=True), set(), {"sea"}, False),
        (CharacterFilter(("Mara",), ("sea",)), {"Mara"}, set(), False),
        (CharacterFilter(("Mara",), ("sea",)), {"Mara", "Olaf"}, {"sea"}, True),
    ],
)  # fmt: skip
def test_an_entry_is_for_whom_it_says(
    who: CharacterFilter, characters: set[str], tags: set[str], fires: bool
) -> None:
    outcome = one(character_filter=who, characters=frozenset(characters), tags=frozenset(tags))
    assert fired(outcome) == (["a"] if fires else [])
    assert held(outcome) == ({} if fires else {"a": Reason.CHARACTER})


@pytest.mark.parametrize(
    ("line", "situation", "fires"),
    [
        ("activate_only_after 2", {"replies": 1}, False), ("activate_only_after 2", {"replies": 2}, True),
        ("activate_only_after 2", {"replies": 3}, True), ("activate_only_after 0", {"replies": 0}, True),
        ("activate_only_every 2", {"replies": 1}, False), ("activate_only_every 2", {"replies": 2}, True),
        ("activate_only_every 2", {"replies": 0}, True), ("activate_only_every 3", {"replies": 4}, False),
        ("is_greeting 1", {"greeting": 1}, True), ("is_greeting 1", {"greeting": 0}, False),
        ("is_greeting 1", {"greeting": 2}, False),
        ("is_greeting 0", {"greeting": None}, False), ("is_user_icon a", {"persona_icon": "a"}, True),
        ("is_user_icon b", {"persona_icon": "a"}, False), ("is_user_icon b", {"persona_icon": "c"}, False),
        ("dont_activate", {}, False), ("exclude_keys lamp", {}, False), ("exclude_keys oil", {}, True),
        ("additional_keys lamp,oil", {}, True), ("additional_keys oil", {}, False),
    ],
)  # fmt: skip
def test_an_entry_obeys_its_decorators(line: str, situation: dict[str, Any], fires: bool) -> None:
    outcome = one(content=f"@@{line}\nText.", **situation)
    assert fired(outcome) == (["a"] if fires else [])
    if fires:
        assert outcome.fired[0].text == "Text."


@pytest.mark.parametrize(
    ("logic", "none", "some", "every"),
    [(Logic.AND_ANY, False, True, True), (Logic.NOT_ALL, True, True, False), (Logic.NOT_ANY, True, False, False),
     (Logic.AND_ALL, False, False, True)],
)  # fmt: skip
def test_secondary_keys_say_yes_or_no(logic: Logic, none: bool, some: bool, every: bool) -> None:
    def fires(said: str, **fields: Any) -> bool:
        return bool(fired(one(said, logic=logic, secondary_keys=("oil", "wick"), **fields)))

    assert [fires(f"lamp {more}") for more in ("", "oil", "wick oil")] == [none, some, every]
    assert fires("lamp", selective=False)


@pytest.mark.parametrize(
    ("fields", "read"),
    [({}, 2), ({"scan_depth": 1}, 1), ({"scan_depth": 3}, 3), ({"scan_depth": 0}, 0),
     ({"settings": ScanSettings(depth=3)}, 3)],
)  # fmt: skip
def test_an_entry_reads_so_many_of_the_newest_messages(fields: dict[str, Any], read: int) -> None:
    for back in range(5):
        said = "|".join("lamp" if n == back else "dark" for n in range(4, -1, -1))
        assert fired(one(said, **fields)) == (["a"] if back < read else [])


@pytest.mark.parametrize("fields", [{"scan_depth": 9}, {"settings": ScanSettings(depth=9)}])
def test_no_entry_reads_further_back_than_the_bound(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower.limits.LORE_SCAN_DEPTH", 3)
    for back in range(5):
        said = "|".join("lamp" if n == back else "dark" for n in range(4, -1, -1))
        assert fired(one(said, **fields)) == (["a"] if back < 3 else [])


def test_an_entry_reads_the_texts_it_names() -> None:
    sources = {TextSource.PERSONA: "A lamp.", TextSource.SCENARIO: "Dark."}
    for scanned, fires in (((), False), ((TextSource.PERSONA,), True), ((TextSource.SCENARIO,), False)):
        assert fired(one("dark", sources=sources, scanned=scanned)) == (["a"] if fires else [])
    assert fired(one("dark", injected=("The lamp.",))) == ["a"]


# --- dice and budget ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "rolled", "fires"),
    [(50, 0.5, True), (50, 0.501, False), (49, 0.5, False), (0, 0.0, True), (99, 0.999, False),
     (100, 0.999, True), (1, 0.005, True)],
)  # fmt: skip
def test_dice_keep_an_entry_out(probability: float, rolled: float, fires: bool) -> None:
    tools = Tools(tokens=len, chance=lambda purpose: rolled)
    outcome = one(probability=probability, tools=tools)
    assert fired(outcome) == (["a"] if fires else [])
    if not fires:
        assert outcome.held[0].detail == f"{rolled * 100:.0f} rolled, {probability} at most"
    assert fired(one(probability=probability, use_probability=False, tools=tools)) == ["a"]


@pytest.mark.parametrize(
    ("budget", "uids"), [(11, ["a", "b"]), (10, ["a"]), (6, ["a"]), (5, []), (1, [])]
)
def test_what_fires_is_less_than_the_budget(budget: int, uids: list[str]) -> None:
    """The entry of a higher order has the room first; one that does not count fires whatever there is."""
    tools = Tools(tokens=len, chance=lambda purpose: 0.5)
    two = [entry("a", "lamp", "x" * 5, order=2), entry("b", "lamp", "y" * 5, order=1)]
    outcome = play(*two, said="lamp", tools=tools, settings=ScanSettings(budget=budget))
    assert fired(outcome) == uids
    assert (outcome.tokens, outcome.overflowed) == (5 * len(uids), len(uids) < 2)
    left = {"b": f"5 tokens, {max(budget - 5, 0)} left"} if len(uids) == 1 else {}
    assert {one.id.uid: one.detail for one in outcome.held if one.id.uid == "b" and uids} == left
    free = play(*two, entry("c", "lamp", "z" * 99, ignore_budget=True), said="lamp", tools=tools,
                settings=ScanSettings(budget=budget))  # fmt: skip
    assert "c" in fired(free)
    assert free.tokens == 5 * len(uids)


@pytest.mark.parametrize(("room", "count"), [(10, 2), (9, 1), (5, 1), (4, 0), (0, 2)])
def test_a_book_may_have_a_budget_of_its_own(room: int, count: int) -> None:
    tools = Tools(tokens=len, chance=lambda purpose: 0.5)
    two = [entry("a", "lamp", "x" * 5, order=2), entry("b", "lamp", "y" * 5, order=1)]
    outcome = play(*two, said="lamp", tools=tools, of_book={"token_budget": room} if room else {})
    assert len(outcome.fired) == count


# --- passes -------------------------------------------------------------------------------------


def chain(settings: ScanSettings = ScanSettings(), **fields: Any) -> list[str]:  # noqa: B008
    first = entry("a", "lamp", "Of brass.", **fields.pop("first", {}))
    second = entry("b", "brass", "Of copper.", **fields.pop("second", {}))
    return fired(play(first, second, entry("c", "copper"), said="lamp", settings=settings, **fields))


def test_what_fired_may_bring_others() -> None:
    assert chain() == ["a", "b", "c"]
    assert chain(ScanSettings(recursive=False)) == ["a"]
    assert chain(first={"prevent_recursion": True}) == ["a"]
    assert chain(second={"prevent_recursion": True}) == ["a", "b"]
    assert chain(second={"exclude_recursion": True}) == ["a"]
    assert [len(chain(ScanSettings(recursion_steps=steps))) for steps in (1, 2, 3, 4)] == [1, 2, 3, 3]
    assert chain(of_book={"recursive": False}) == ["a"]


def test_a_long_row_of_entries_ends_after_so_many_passes() -> None:
    row = [entry(f"{number}", f"k{number}", f"k{number + 1}") for number in range(302)]
    assert len(play(*row, said="k0", settings=ScanSettings(recursion_steps=300)).fired) == 300


@pytest.mark.parametrize("fields", [{"content": "word " * 99}, {"probability": 10}])
def test_what_has_no_room_or_no_luck_has_no_second_try(fields: dict[str, Any]) -> None:
    unlucky = Entry(uid="x", keys=("lamp",), **fields)
    entries = [entry("a", "lamp", "Of brass.", order=200), unlucky, entry("b", "brass")]
    outcome = play(*entries, said="lamp", settings=ScanSettings(budget=20))
    assert fired(outcome) == ["a", "b"]
    assert [[found.uid for found in one.winners] for one in outcome.passes] == [["a", "x"], ["b"], []]


def test_what_fired_is_not_read_while_further_messages_are() -> None:
    """It is in the next pass of another kind, such as one that lets in an entry that waits."""
    settings = ScanSettings(recursive=False, min_activations=3)
    entries = [entry("a", "lamp", "Of brass."), entry("b", "brass")]
    waiting = [entry(f"{level}", "nothing", delay_until_recursion=level) for level in (1, 2)]
    assert fired(play(*entries, said="dark|lamp", settings=settings)) == ["a"]
    outcome = play(*entries, *waiting, said="dark|lamp", settings=settings)
    assert fired(outcome) == ["a", "b"]
    assert [one.after for one in outcome.passes] == ["min_activations", "recursion", "none"]
    assert [one.state for one in outcome.passes] == ["initial", "min_activations", "recursion"]
    alone = play(*entries, *waiting, said="lamp", settings=settings, of_book={"recursive": False})
    assert fired(alone) == ["a"]


def test_where_there_are_no_entries_nothing_is_said() -> None:
    assert play(said="lamp") == Outcome()


def test_entries_that_wait_for_others_are_let_in_level_by_level() -> None:
    waiting = [entry(str(level), "lamp", delay_until_recursion=level) for level in (1, 2, 3)]
    outcome = play(entry("a", "lamp"), *waiting, said="lamp")
    assert fired(outcome) == ["a", "1", "2", "3"]
    assert [one.step for one in outcome.fired] == sorted(one.step for one in outcome.fired)
    assert len({one.step for one in outcome.fired}) == 4


@pytest.mark.parametrize(
    ("least", "deepest", "uids"),
    [(0, 0, []), (1, 0, ["3"]), (2, 0, ["3", "5"]), (9, 0, ["3", "5"]), (2, 3, ["3"]), (2, 2, ["3"]),
     (2, 4, ["3", "5"])],
)  # fmt: skip
def test_further_messages_are_read_until_enough_have_fired(
    least: int, deepest: int, uids: list[str]
) -> None:
    """The depth that ends it is looked at after the next message was read, as in the program books are written for."""
    said = "|".join({3: "lamp", 5: "oil"}.get(back, "dark") for back in range(6, 0, -1))
    settings = ScanSettings(depth=2, min_activations=least, min_activations_depth=deepest)
    assert fired(play(entry("3", "lamp"), entry("5", "oil"), said=said, settings=settings)) == uids


# --- effects that last --------------------------------------------------------------------------


def test_an_entry_stays_for_so_many_messages_and_then_rests() -> None:
    fields = {"sticky": 2, "cooldown": 3}
    timed = one(count=5, **fields).timed
    assert [(effect.start, effect.end) for effect in timed.sticky] == [(5, 7)]
    assert [(effect.start, effect.end) for effect in timed.cooldown] == [(5, 8)]

    def then(
        count: int, said: str = "dark", timed: Timed = timed
    ) -> tuple[list[str], dict[str, Reason]]:
        outcome = one(said, count=count, timed=timed, **fields)
        return fired(outcome), held(outcome)

    assert then(6) == (["a"], {})
    assert then(7) == ([], {})
    assert then(7, "lamp") == ([], {"a": Reason.COOLDOWN})
    assert then(5, "dark") == ([], {})  # the story was cut back to before it fired
    assert then(5, "lamp") == (["a"], {})
    resting = one("dark", count=7, timed=timed, **fields).timed
    assert [(effect.start, effect.end, effect.protected) for effect in resting.cooldown] == [
        (7, 10, True)
    ]
    assert resting.sticky == ()
    assert then(9, "lamp", resting) == ([], {"a": Reason.COOLDOWN})
    assert then(10, "lamp", resting) == (["a"], {})
    changed = one("dark", count=6, timed=timed, content="Otherwise.", **fields)
    assert fired(changed) == []
    trial = one("dark", count=6, timed=timed, dry=True, **fields)
    assert (fired(trial), trial.timed) == ([], timed)


def test_what_rests_says_for_how_long() -> None:
    timed = one(count=5, cooldown=9).timed
    (kept,) = one(count=6, timed=timed, cooldown=9).held
    assert kept.detail == "8 messages to go"


def test_some_entries_fire_for_good_or_never_again() -> None:
    good = one(content="@@keep_activate_after_match\nText.")
    assert good.timed.always == (EntryId("b", "a"),)
    again = one("dark", content="@@keep_activate_after_match\nText.", timed=good.timed)
    assert [entry.cause for entry in again.fired] == [Cause.DECORATOR]
    once = one(content="@@dont_activate_after_match\nText.")
    assert once.timed.done == (EntryId("b", "a"),)
    never = one(content="@@dont_activate_after_match\nText.", timed=once.timed)
    assert held(never) == {"a": Reason.DECORATOR}
    assert one().timed == NOTHING


@pytest.mark.parametrize(
    ("start", "end", "protected", "count", "dropped", "ended"),
    [
        (5, 8, False, 6, False, False), (5, 8, False, 8, True, True), (5, 8, False, 7, False, False),
        (5, 8, False, 5, True, False),
        (5, 8, True, 5, False, False), (5, 8, True, 4, False, False), (5, 5, True, 5, True, True),
        (5, 5, False, 5, True, False),
    ],
)  # fmt: skip
def test_an_effect_is_over_or_void(
    start: int, end: int, protected: bool, count: int, dropped: bool, ended: bool
) -> None:
    effect = Effect(EntryId("b", "a"), "x", start, end, protected)
    assert situation._dropped(effect, None, count, 3) is dropped
    assert situation._ended(effect, 3, count) is ended
    assert not situation._ended(effect, 0, count)
    rule: Any = SimpleNamespace()
    assert situation._dropped(effect, rule, count, 0)
    assert situation._dropped(effect, None, count, 0) is dropped


@pytest.mark.parametrize(
    ("percent", "context", "cap", "tokens"),
    [(25, 4_000, 0, 1_000), (25, 4_000, 900, 900), (25, 4_000, 1_001, 1_000), (0, 4_000, 0, 1), (1, 50, 0, 1),
     (1, 149, 0, 1),
     (1, 150, 0, 2), (25, 4_000, -1, 1_000), (25, 4_000, 1, 1)],
)  # fmt: skip
def test_a_budget_is_a_rounded_share(percent: float, context: int, cap: int, tokens: int) -> None:
    assert situation.budget(percent, context, cap) == tokens


def test_chance_follows_from_the_seed_and_the_purpose() -> None:
    """The numbers are written down: another would fire other entries of old stories."""
    drawn = [round(situation.seeded(seed)(purpose), 6) for seed in "ab" for purpose in "xy"]
    assert drawn == [0.94187, 0.341352, 0.199811, 0.113069]


# --- groups -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chance", "winner"), [(0.0, "a"), (0.25, "a"), (0.26, "b"), (0.75, "b"), (0.76, "c"), (0.99, "c"), (1.5, "c")]
)  # fmt: skip
def test_of_a_group_one_wins_by_its_weight(chance: float, winner: str) -> None:
    weights = {"a": 25, "b": 50, "c": 25}
    tools = Tools(tokens=len, chance=lambda purpose: chance)
    entries = [
        entry(uid, "lamp", groups=("g",), group_weight=weight) for uid, weight in weights.items()
    ]
    outcome = play(*entries, said="lamp", tools=tools)
    assert fired(outcome) == [winner]
    assert {one.detail for one in outcome.held} == {f"lost to b.{winner}"}


@pytest.mark.parametrize(
    ("fields", "uids"),
    [
        ({"a": {}, "b": {"group_override": True}}, ["b"]),
        ({"a": {"group_override": True, "order": 1}, "b": {"group_override": True, "order": 2}}, ["b"]),
        ({"a": {"groups": ("g", "h")}, "b": {"group_override": True}, "c": {"groups": ("h",),
        "group_override": True}}, ["b", "c"]),
        ({"a": {"groups": (" g ",)}, "b": {"group_override": True}}, ["b"]),
        ({"a": {"groups": ()}, "b": {}}, ["a", "b"]),
        ({"a": {"keys": ("lamp",), "group_scoring": True}, "b": {"keys": ("lamp", "oil")}}, ["b"]),
        ({"a": {"keys": ("lamp",)}, "b": {"keys": ("lamp", "oil")}}, ["a"]),
        ({"a": {"keys": ("lamp", "oil"), "group_scoring": True}, "b": {"keys": ("lamp",)}}, ["a"]),
    ],
)  # fmt: skip
def test_who_wins_a_group(fields: dict[str, Any], uids: list[str]) -> None:
    tools = Tools(tokens=len, chance=lambda purpose: 0.0)
    entries = [
        Entry(uid=uid, content="x", **{"keys": ("lamp",), "groups": ("g",), **more})
        for uid, more in fields.items()
    ]
    assert sorted(fired(play(*entries, said="lamp oil", tools=tools))) == uids


def test_a_group_that_was_won_before_stays_won() -> None:
    entries = [entry("a", "lamp", "Of brass.", groups=("g",)), entry("b", "brass", groups=("g",))]
    outcome = play(*entries, said="lamp")
    assert fired(outcome) == ["a"]
    assert outcome.held[0].detail == "lost to b.a"
    staying = Timed(sticky=one(sticky=5, groups=("g",), count=1).timed.sticky)
    outcome = play(entry("a", "lamp", "Text.", sticky=5, groups=("g",)), entry("b", "dark", groups=("g",),
    group_override=True),
                   said="dark", count=2, timed=staying)  # fmt: skip
    assert fired(outcome) == ["a"]


@pytest.mark.parametrize(
    ("logic", "said", "score"),
    [
        (Logic.AND_ANY, "lamp", 1), (Logic.AND_ANY, "lamp oil", 2), (Logic.AND_ANY, "lamp brass oil wick", 4),
        (Logic.AND_ALL, "lamp oil", 1), (Logic.AND_ALL, "lamp oil wick", 3), (Logic.NOT_ANY, "lamp oil wick", 1),
        (Logic.AND_ANY, "dark", 0),
    ],
)  # fmt: skip
def test_keys_are_counted_for_groups(logic: Logic, said: str, score: int) -> None:
    """Against an entry of two keys that both are found."""
    scored = Entry(uid="a", keys=("lamp", "brass"), secondary_keys=("oil", "wick"), logic=logic, content="x",
    groups=("g",),
                   group_scoring=True)  # fmt: skip
    other = Entry(uid="b", keys=("sea", "salt"), content="x", groups=("g",))
    tools = Tools(tokens=len, chance=lambda purpose: 0.0)
    outcome = play(scored, other, said=f"{said} sea salt", tools=tools)
    lost = score < 2 or logic is Logic.NOT_ANY
    assert ("b" in fired(outcome)) is lost


# --- decorators ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected", "text"),
    [
        ("Text.", NONE, "Text."), ("@@depth 4\nText.", Decorators(depth=4), "Text."),
        ("@@depth -4\nText.", Decorators(depth=-4), "Text."),
        ("@@depth 4\r\nText.", Decorators(depth=4), "Text."),
        ("@@depth x\n@@@depth 5\nText.", Decorators(depth=5), "Text."),
        ("@@depth 4\n@@@role user\nText.", Decorators(depth=4), "Text."),
        ("@@depth 4\n@@depth 5\nText.", Decorators(depth=4), "Text."),
        ("@@activate x\n@@@dont_activate\nText.", Decorators(dont_activate=True), "Text."),
        ("@@activate", Decorators(activate=True), ""),
        ("@@activate\n\nText.", Decorators(activate=True), "\nText."), ("@@nothing\nText.", NONE, "Text."),
        ("@@depth " + "9" * 9 + "\nx", Decorators(depth=999_999_999), "x"), ("@@depth " + "9" * 10 + "\nx", NONE, "x"),
        ("@@depth ²\nx", NONE, "x"), ("@@depth\nx", NONE, "x"), ("@@activate_only_every 0\nx", NONE, "x"),
        ("@@activate_only_every 1\nx", Decorators(activate_only_every=1), "x"), ("@@role narrator\nx", NONE, "x"),
        ("@@position scenario\nx", Decorators(position="scenario"), "x"), ("@@position here\nx", NONE, "x"),
        ("@@exclude_keys a, b\\, c,,\nx", Decorators(exclude_keys=("a", "b, c")), "x"),
        ("@@exclude_keys ,\nx", NONE, "x"),
        ("@@additional_keys a,b\n@@additional_keys c\nx", Decorators(additional_keys=(("a", "b"), ("c",))), "x"),
        ("@@is_user_icon i\nx", Decorators(is_user_icon="i"), "x"), ("@@is_user_icon\nx", NONE, "x"),
    ],
)  # fmt: skip
def test_decorators_are_read(content: str, expected: Decorators, text: str) -> None:
    assert decorators.parse(content) == (expected, text)


@pytest.mark.parametrize(
    ("content", "activate", "dont", "text"),
    [
        ("Text.", False, False, "Text."), ("@@activate\nText.", True, False, "Text."),
        ("@@dont_activate\nText.", False, True, "Text."),
        ("@@depth 4\nText.", False, False, "Text."), ("@@depth 4\n@@@activate\nText.", True, False, "Text."),
        ("@@activate\n@@@dont_activate\nText.", True, False, "Text."), ("@@activate\r\nText.", False, False, "Text."),
        ("@@activate", True, False, "@@activate"),
        ("@@activate\nText.\n@@dont_activate", True, False, "Text.\n@@dont_activate"),
    ],
)  # fmt: skip
def test_decorators_are_read_as_recorded(content: str, activate: bool, dont: bool, text: str) -> None:
    found = decorators.parse_recorded(content)
    assert found == (Decorators(activate=activate, dont_activate=dont), text)


@pytest.mark.parametrize(
    ("content", "text", "hidden"),
    [
        ("a", "a", []), ("a{{hidden_key: x }}b", "ab", ["x"]), ("{{ Hidden_Key :x}}{{hidden_key:y}}c", "c", ["x", "y"]),
        ("a{{hidden_key:x", "a{{hidden_key:x", []), ("{{hidden_key:x}}b{{hidden_key:y", "b{{hidden_key:y", ["x"]),
    ],
)  # fmt: skip
def test_hidden_keys_are_parted_from_the_text(content: str, text: str, hidden: list[str]) -> None:
    assert decorators.split_hidden_keys(content) == (text, hidden)


# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "ascii_only", "stands"),
    [
        ("a bell rings", "bell", False, True), ("bells", "bell", False, False), ("a doorbell", "bell", False, False),
        ("doorbell bell", "bell", False, True), ("bell", "bell", False, True), ("béll", "b", False, False),
        ("béll", "b", True, True),
        ("_bell", "bell", True, False), ("bell9", "bell", True, False), ("колокола", "колокол", False, True),
        ("колоколами", "колокол", False, True), ("колоколамии", "колокол", False, False),
        ("鐘楼", "鐘", False, True), ("", "bell", False, False),
        ("bellbell bell", "bell", False, True),
    ],
)  # fmt: skip
def test_whole_words_are_found(text: str, key: str, ascii_only: bool, stands: bool) -> None:
    assert matching.has_word(text, key, ascii_only) is stands


@pytest.mark.parametrize(
    ("key", "text", "matches"),
    [
        ("/bel+/", "a bell", True), ("/BELL/", "a bell", False), ("/BELL/i", "a bell", True),
        ("/bell/y", "a bell", False),
        ("/a b/y", "a bell", True), (r"/a\/b/", "a/b", True), ("/a/b/", "a/b", None), ("//", "", None),
        (r"//a\\/", "/a\\", None),
        ("/bell/z", "bell", None),
        ("/(/", "(", None), ("bell", "bell", None), ("/^bell$/m", "a\nbell", True),
    ],
)  # fmt: skip
def test_a_key_between_slashes_is_a_pattern(key: str, text: str, matches: bool | None) -> None:
    pattern = matching.slashed(key)
    assert (None if pattern is None else pattern.matches(text, Stopwatch())) is matches


def test_patterns_have_so_much_time_each_and_together() -> None:
    """A slow one leaves time for others, and nobody notices the time of all."""
    assert 0 < matching.LORE_PATTERN_S <= matching.LORE_PATTERNS_S / 10 < 0.05
    now = [100.0]
    stopwatch = Stopwatch(lambda: now[0])
    seen = []
    for spent in (
        0.0,
        matching.LORE_PATTERNS_S - matching.LORE_PATTERN_S / 2,
        matching.LORE_PATTERNS_S,
        99.0,
    ):
        now[0] = 100.0 + spent
        seen.append(round(stopwatch.seconds_left(), 6))
    assert seen == [matching.LORE_PATTERN_S, round(matching.LORE_PATTERN_S / 2, 6), 0.0, 0.0]
    assert Stopwatch().seconds_left() == matching.LORE_PATTERN_S
    pattern = matching.bare("b", False)
    assert pattern is not None
    with pytest.raises(TimeoutError):
        pattern.matches("B", stopwatch)
    assert matching.bare("(", False) is None
    assert matching.stems("колоколами") == ["колоколам", "колокола", "колокол"]
    assert matching.stems("bell") == []
    assert matching.stems("кот9а") == []  # an ending is of letters only


def test_macros_of_entries_see_what_others_set() -> None:
    """What has no room sets nothing."""

    def expand(text: str, variables: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
        return text.replace("{{n}}", variables.get("n", "-")), {
            **variables,
            "n": f"{len(variables) + 1}",
        }

    tools = Tools(tokens=len, chance=lambda purpose: 0.5, expand=expand)
    entries = [
        entry("a", "lamp", "x{{n}}", order=3),
        entry("b", "lamp", "y" * 50 + "{{n}}", order=2),
        entry("c", "lamp", "z{{n}}", order=1),
    ]
    outcome = play(*entries, said="lamp", tools=tools, settings=ScanSettings(budget=20))
    assert sorted(one.text for one in outcome.fired) == ["x-", "z1"]
    assert outcome.variables == {"n": "2"}
    several: Any = SimpleNamespace(entry=SimpleNamespace(groups=(" a", "b ", "a")))
    assert groups.names(several) == ("a", "b")
