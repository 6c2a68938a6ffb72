"""Small rules of a story's state, one by one: the sheet, clocks, people; every bound and which words are understood."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from flower import limits
from flower.engine.game import clocks, people, sheet, state
from flower.engine.game.clocks import Ambience, Clock, Now
from flower.engine.game.people import AttitudeChange, Person
from flower.engine.game.sheet import SHEET_ENTRIES, SHEET_NUMBER, Counter, Sheet
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Steering
from flower.errors import CommandError, StoreError

LONG = "x" * limits.SHEET_TEXT_CHARS

# --- the sheet ----------------------------------------------------------------------------------

FULL = Sheet(
    place="The quay",
    inventory={"Lamp": 1, "coins": 5},
    conditions=("wet",),
    counters={"HP": Counter(7, 10), "gold": Counter(3)},
    quests={"Find Ned": "open"},
    flags={"Alarm": "on"},
)


@pytest.mark.parametrize(
    ("key", "value", "field", "now", "told"),
    [
        ("place", "The  mill", "place", "The mill", "place: The mill"),
        ("Mood", "off", "mood", "", "mood is open again"),
        ("place", "-", "place", "", "place is open again"), ("time", "noon", "time", "noon", "time: noon"),
        ("inventory", "+3 torches", "inventory", {"Lamp": 1, "coins": 5, "torches": 3}, "you have 3 torches"),
        ("inv", "rope", "inventory", {"Lamp": 1, "coins": 5, "rope": 1}, "you have rope"),
        ("items", "+lamp", "inventory", {"Lamp": 2, "coins": 5}, "you have 2 Lamp"),
        ("inventory", "-2 coins", "inventory", {"Lamp": 1, "coins": 3}, "you have 3 coins left"),
        ("inventory", "-4 coins", "inventory", {"Lamp": 1, "coins": 1}, "you have coins left"),
        ("inventory", "- 5 coins", "inventory", {"Lamp": 1}, "you no longer have coins"),
        ("inventory", "-9 coins", "inventory", {"Lamp": 1}, "you no longer have coins"),
        ("inventory", "-COINS", "inventory", {"Lamp": 1}, "you no longer have coins"),
        ("inventory", "-lamp", "inventory", {"coins": 5}, "you no longer have Lamp"),
        ("inventory", "2x coins", "inventory", {"Lamp": 1, "coins": 7}, "you have 7 coins"),
        ("condition", "+tired", "conditions", ("wet", "tired"), "now tired"),
        ("conditions", "WET", "conditions", ("WET",), "now WET"),
        ("condition", "-Wet", "conditions", (), "no longer Wet"),
        ("quest", "find ned = done", "quests", {"Find Ned": "done"}, "quest done: Find Ned"),
        ("quests", "Ring it", "quests", {"Find Ned": "open", "Ring it": "open"}, "quest open: Ring it"),
        ("quest", "find ned=off", "quests", {}, "quest forgotten: Find Ned"),
        ("flag", "alarm=raised", "flags", {"Alarm": "raised"}, "Alarm: raised"),
        ("flag", "Gate", "flags", {"Alarm": "on", "Gate": "on"}, "Gate: on"),
        ("flag", "Gate=", "flags", {"Alarm": "on", "Gate": "on"}, "Gate: on"),
        ("alarm", "none", "flags", {}, "Alarm is cleared"),
        ("alarm", "shut", "flags", {"Alarm": "shut"}, "Alarm: shut"),
        ("hp", "4", "counters", {"HP": Counter(4, 10), "gold": Counter(3)}, "HP is 4/10 (was 7/10)"),
        ("hp", "+9", "counters", {"HP": Counter(10, 10), "gold": Counter(3)}, "HP is 10/10 (was 7/10)"),
        ("hp", "- 9", "counters", {"HP": Counter(-2, 10), "gold": Counter(3)}, "HP is -2/10 (was 7/10)"),
        ("hp", "7", "counters", {"HP": Counter(7, 10), "gold": Counter(3)}, "HP is 7/10"),
        ("hp", "5/ 8", "counters", {"HP": Counter(5, 8), "gold": Counter(3)}, "HP is 5/8 (was 7/10)"),
        ("hp", "12/12", "counters", {"HP": Counter(12, 12), "gold": Counter(3)}, "HP is 12/12 (was 7/10)"),
        ("GOLD", "+2", "counters", {"HP": Counter(7, 10), "gold": Counter(5)}, "gold is 5 (was 3)"),
        ("luck", "2", "counters", {"HP": Counter(7, 10), "gold": Counter(3), "luck": Counter(2)}, "luck is 2"),
        ("Gold", "off", "counters", {"HP": Counter(7, 10)}, "Gold is no longer counted"),
        ("hit_points", "2/3", "counters", {**FULL.counters, "hit points": Counter(2, 3)}, "hit points is 2/3"),
    ],
)  # fmt: skip
def test_a_sheet_changes_by_one_entry_and_says_so(
    key: str, value: str, field: str, now: Any, told: str
) -> None:
    changed, line = sheet.put(FULL, key, value)
    assert (getattr(changed, field), line) == (now, told)
    assert replace(changed, **{field: getattr(FULL, field)}) == FULL


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("", "x", "Which key"), ("place", f"{LONG}x", "Place: 120 characters"), ("x" + LONG, "1", "Key: "),
        ("inv", "off", "Inv what\\?"), ("quest", "", "Quest what\\?"), ("condition", "-", "Condition what\\?"),
        ("inv", "-rope", "You do not carry 'rope'; you carry Lamp, coins"), ("inv", "+", "Which thing"),
        ("condition", "-dry", "You are not dry"), ("quest", "Ring it=done", "/quest add Ring it begins it"),
        ("quest", "Find Ned=maybe", "open, done, failed or off, not 'maybe'"),
        ("quest", "Ring it=off", "There is no quest"),
        ("flag", "Gate=off", "Nothing is called 'Gate'"), ("7", "x", "begin with a letter"),
        ("7", "8", "begin with a letter"),
        ("flag", f"a={LONG}x", "A: "),
    ],
)  # fmt: skip
def test_what_a_sheet_refuses(key: str, value: str, why: str) -> None:
    with pytest.raises(CommandError, match=why.replace("120", str(limits.SHEET_TEXT_CHARS))):
        sheet.put(FULL, key, value)


def test_a_sheet_has_bounds() -> None:
    assert sheet.put(Sheet(), "place", LONG)[0].place == LONG
    rich = Sheet(inventory={"coins": SHEET_NUMBER - 1}, counters={"n": Counter(SHEET_NUMBER - 1)})
    assert sheet.put(rich, "inv", "+5 coins")[0].inventory == {"coins": SHEET_NUMBER}
    assert sheet.put(rich, "n", "+5")[0].counters["n"].value == SHEET_NUMBER
    poor = Sheet(counters={"n": Counter(1 - SHEET_NUMBER)})
    assert sheet.put(poor, "n", "-5")[0].counters["n"].value == -SHEET_NUMBER
    for full in (SHEET_ENTRIES - 1, SHEET_ENTRIES):
        things = Sheet(
            inventory={f"t{n}": 1 for n in range(full)},
            conditions=tuple(f"c{n}" for n in range(full)),
            quests={f"q{n}": "open" for n in range(full)},
        )
        for key, value in (("inv", "rope"), ("condition", "wet"), ("quest", "Ring it")):
            if full == SHEET_ENTRIES:
                with pytest.raises(CommandError, match=f"A sheet holds {SHEET_ENTRIES}"):
                    sheet.put(things, key, value)
            else:
                sheet.put(things, key, value)
        assert sheet.put(things, "inv", "t0")[0].inventory["t0"] == 2  # what is there may change
        assert sheet.put(things, "condition", "C0")[0].conditions[-1] == "C0"


def test_a_sheet_is_listed_in_order_without_what_is_empty() -> None:
    mixed = replace(
        FULL, mood="Grim", quests={"Find Ned": "open", "Ring it": "done"}, conditions=("wet", "sad")
    )
    assert sheet.rows(mixed) == (
        ("place", "The quay"), ("mood", "Grim"), ("HP", "7/10"), ("gold", "3"), ("conditions", "wet, sad"),
        ("inventory", "Lamp, 5 coins"), ("quest", "Find Ned"), ("quest, done", "Ring it"), ("Alarm", "on"),
    )  # fmt: skip
    assert sheet.rows(Sheet()) == ()
    assert FULL.skills == {"HP": 7, "gold": 3}


# --- clocks -------------------------------------------------------------------------------------

HERE = Now(10, 1_000.0)


@pytest.mark.parametrize(
    ("pace", "every", "period"),
    [
        ("", 0, 0), ("turn", 1, 0), ("Turns", 1, 0), ("0 turns", 1, 0), ("12  turns", 12, 0), ("5m", 0, 300),
        ("5 min", 0, 300),
        ("1 hour", 0, 3_600), ("2h", 0, 7_200), ("3 days", 0, 259_200), ("9999m", 0, 599_940),
    ],
)  # fmt: skip
def test_a_clock_has_a_pace(pace: str, every: int, period: float) -> None:
    clock = clocks.new(" Flood  comes ", 6, pace, "t" * 400, HERE)
    assert (clock.every, clock.period_s) == (every, period)
    assert (clock.name, clock.size, clock.filled, clock.line, clock.time) == (
        "Flood comes",
        6,
        0,
        10,
        1_000.0,
    )
    assert len(clock.then) == clocks.CLOCK_THEN_CHARS


@pytest.mark.parametrize("pace", ["0m", "10000m", "1000 turns", "2 weeks", "h", "turn 2"])
def test_a_pace_of_another_form_is_refused(pace: str) -> None:
    with pytest.raises(CommandError, match="A clock ticks every turn"):
        clocks.new("Flood", 6, pace, "", HERE)


def test_a_clock_has_bounds() -> None:
    for size in (clocks.CLOCK_SEGMENTS_MIN, clocks.CLOCK_SEGMENTS):
        assert clocks.new(LONG, size, "", "", HERE).size == size
    for size in (clocks.CLOCK_SEGMENTS_MIN - 1, clocks.CLOCK_SEGMENTS + 1):
        with pytest.raises(CommandError, match="A clock has 2 to 24 segments"):
            clocks.new("Flood", size, "", "", HERE)
    with pytest.raises(CommandError, match="Which clock"):
        clocks.new(f"{LONG}x", 6, "", "", HERE)
    most = tuple(Clock(f"c{n}", 4) for n in range(clocks.CLOCKS - 1))
    assert len(clocks.put(most, Clock("one more", 4))) == clocks.CLOCKS
    both = clocks.put((Clock("a", 4), Clock("b", 4), Clock("c", 4)), Clock("B", 8))
    assert [(one.name, one.size) for one in both] == [("a", 4), ("B", 8), ("c", 4)]


def test_lines_and_time_fill_a_clock_together_and_never_empty_it() -> None:
    clock = Clock("Flood", 9, 1, 10, 1_000.0, 2, 60.0)
    points = [(10, 1_000), (11, 1_059), (12, 1_060), (9, 0), (13, 1_119), (14, 1_120), (99, 1e9)]
    assert [clock.at(Now(lines, time)) for lines, time in points] == [1, 1, 3, 1, 3, 5, 9]
    moved = clocks.ticked(clock, 2, Now(12, 1_060.0))
    assert (moved.filled, moved.line, moved.time) == (5, 12, 1_060.0)
    assert [clocks.ticked(clock, by, HERE).filled for by in (-9, -1, 0, 8, 9)] == [0, 0, 1, 9, 9]


def test_a_clock_is_found_by_its_beginning_before_a_part() -> None:
    some = (Clock("The flood", 4), Clock("Flood", 5))
    assert clocks.find(some, ' "FLOOD" ').size == 5
    assert clocks.find(some, "he fl").size == 4
    with pytest.raises(CommandError, match="There is: The flood, Flood"):
        clocks.find(some, " ")
    with pytest.raises(CommandError, match="There is: none yet"):
        clocks.find((), "x")


def test_prompts_have_a_clock_from_sixty_per_cent_on() -> None:
    texts = [
        clocks.prompt_text([Clock("Flood", 10, filled, then="It breaks.")], HERE)
        for filled in range(11)
    ]
    assert [bool(text) for text in texts] == [False] * 6 + [True] * 5
    assert texts[6] == "Coming near (6 of 10): Flood. Let signs of it be seen."
    assert texts[10] == "It happens now or has happened: It breaks."
    low = [clocks.prompt_text([Clock("Flood", 5, filled)], HERE) for filled in range(6)]
    assert [bool(text) for text in low] == [False] * 3 + [True] * 3
    assert clocks.display_text(Clock("Flood", 4, 1), HERE) == "[#...] 1/4"


def test_ambience_shifts_every_so_many_lines() -> None:
    """What was written for a seed stays: old stories keep their weather."""
    world = Ambience(2, ("a", "b", "c", "d"), ("day", "night"), ("glad", "sad"))
    found = [clocks.ambience_at(world, "seed", lines) for lines in range(0, 16, 2)]
    assert "".join(one["weather"] for one in found) == "ccbcbcdc"
    assert [one["light"] for one in found[:3]] == ["day", "night", "day"]
    assert " ".join(one["mood"] for one in found) == "sad glad sad glad glad sad sad glad"
    assert clocks.ambience_at(world, "seed", 3) == found[1]
    assert clocks.ambience_at(replace(world, every=0), "seed", 1)["light"] == "night"
    assert clocks.ambience_at(Ambience(), "seed", 9) == {}
    assert Ambience().every == clocks.EVERY_DEFAULT


# --- people -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attitude", "feels"),
    [
        (-100, "hates"), (-60, "hates"), (-59, "distrusts"), (-25, "distrusts"), (-24, "is cool"), (-5, "is cool"),
        (-4, "has no opinion"), (5, "has no opinion"), (6, "is friendly"), (25, "is friendly"), (26, "trusts"),
        (60, "trusts"),
        (61, "would do"), (100, "would do"),
    ],
)  # fmt: skip
def test_an_attitude_in_words(attitude: int, feels: str) -> None:
    assert Person("Ned", attitude=attitude).feels.startswith(feels)


def test_attitudes_move_between_a_hundred_either_way() -> None:
    ned = Person("Ned", attitude=90)
    up = people.shifted(ned, 30, "  a  gift ")
    assert (up.attitude, up.shifts) == (100, (AttitudeChange(10, "a gift"),))
    down = people.shifted(Person("Ned", attitude=-95), -30, f"{LONG}x")
    assert (down.attitude, down.shifts) == (-100, (AttitudeChange(-5, LONG),))
    for _ in range(people.NPC_SHIFTS + 3):
        ned = people.shifted(ned, -1, "x")
    assert len(ned.shifts) == people.NPC_SHIFTS


def test_people_have_names_and_bounds() -> None:
    ned = people.new(" Old  Ned ", "a  b " * 400, "The quay", faction=True)
    assert (ned.name, ned.met, ned.faction, len(ned.about)) == (
        "Old Ned",
        "The quay",
        True,
        people.NPC_ABOUT_CHARS,
    )
    assert people.new(LONG, "", "").name == LONG
    for name in (" ", f"{LONG}x"):
        with pytest.raises(CommandError, match="Who\\?"):
            people.new(name, "", "")
    most = tuple(Person(f"p{n}") for n in range(people.NPCS - 1))
    full = people.put(most, Person("one more"))
    assert len(full) == people.NPCS
    with pytest.raises(CommandError, match="A story keeps"):
        people.put(full, Person("another"))
    assert people.put(full, Person("P1", "new"))[1].about == "new"
    assert [one.name for one in people.put((Person("a"), Person("b"), Person("c")), Person("B"))] == [
        "a",
        "B",
        "c",
    ]
    assert len(people.joined(most, [Person("x"), Person("y"), Person("P3")])) == people.NPCS
    assert people.joined((Person("Ned"),), [Person("NED"), Person("Mara")]) == (
        Person("Ned"),
        Person("Mara"),
    )
    assert (
        len(people.joined((*full, Person("z")), [Person("x")])) == people.NPCS + 1
    )  # nobody is forgotten


def test_people_are_found_in_full_before_by_a_word() -> None:
    some = (Person("Old Ned"), Person("Ned"))
    assert people.find(some, " ned ") is some[1]
    assert people.find(some, "OLD  ned") is some[0]
    assert people.find(some[:1], "ned") is some[0]
    for name, there in (("", "Old Ned, Ned"), ("Mara", "Old Ned, Ned")):
        with pytest.raises(CommandError, match=f"There is: {there}"):
            people.find(some, name)
    with pytest.raises(CommandError, match="nobody yet"):
        people.find((), "Ned")


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("Old Ned", "I see ned.", True), ("Old Ned", "I see Nedra.", False), ("Old Ned", "It is old.", True),
        ("Jo of the Sea", "The sea.", True), ("Jo of the Sea", "of the", False), ("Al Ba", "al", False),
        ("J Ned", "j", False),
        ("Al Ba", "al ba!", True),
        ("the keeper", "the keeper", True), ("the keeper", "keeper", False), ("A. (b", "a. (b", True),
    ],
)  # fmt: skip
def test_who_is_named_in_a_text(name: str, text: str, named: bool) -> None:
    assert people.is_named(Person(name), text) is named
    assert people.in_scene([Person(name)], ["x", text]) == ((Person(name),) if named else ())
    assert people.last_seen(Person(name), [(1, text), (2, text), (3, "x")]) == (2 if named else None)


def test_people_are_listed_and_told_in_a_line() -> None:
    ned = Person(
        "Ned", "sells nets.", attitude=30, shifts=(AttitudeChange(5, "a gift"), AttitudeChange(1))
    )
    assert people.display_text(ned) == " +30  Ned: sells nets."
    assert people.display_text(Person("The Guild", faction=True)) == "  +0  The Guild (faction)"
    assert people.prompt_text([ned, Person("Mara")]).splitlines() == [
        "Ned: sells nets. Ned trusts the player (+30, last because: a gift).",
        "Mara: Mara has no opinion of the player (+0).",
    ]


# --- the whole state ----------------------------------------------------------------------------


def test_a_state_is_stored_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    small = StoryState(pins=("It rains.",))
    size = len(state.dump(small))
    assert state.load_state(state.dump(small)) == small
    for bound, kept in ((size, True), (size - 1, False)):
        monkeypatch.setattr(state, "STORY_STATE_BYTES", bound)
        if kept:
            state.dump(small)
        else:
            with pytest.raises(CommandError, match="The state of this story is full"):
                state.dump(small)
    variables = {"n": "1"}
    size = len(state.dump_variables(variables))
    assert state.load_variables(state.dump_variables(variables)) == variables
    monkeypatch.setattr(state, "STORY_VARIABLES_BYTES", size - 1)
    with pytest.raises(CommandError, match="too long"):
        state.dump_variables(variables)


def test_a_state_that_is_damaged_is_named() -> None:
    for load in (state.load_state, state.load_steering, state.load_variables):
        assert load(None) == load("")
        with pytest.raises(StoreError, match="damaged"):
            load("[")
    assert state.load_steering("{}") == Steering()
    rows = state.shown_rows(StoryState(sheet=FULL, clocks=(Clock("Flood", 2, 1),)), HERE)
    assert rows[-1] == ("Flood", "[#.] 1/2")
