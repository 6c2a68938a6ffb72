"""The state sheet: what a change means, what it says, and what is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.game import proposals, state
from flower.engine.game import sheet as sheet_module
from flower.engine.game.sheet import Counter, Sheet, gain, lose, put, quest, rows
from flower.engine.game.state import StoryState, dump, load_state
from flower.errors import CommandError, StoreError

KEYS = st.sampled_from(
    [
        "place",
        "weather",
        "hp",
        "HP",
        "inventory",
        "inv",
        "condition",
        "quest",
        "flag",
        "alarm",
        "2x",
        "",
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        ["12", "+3", "-3", "9/10", "off", "-", "+lamp", "-lamp", "-2 torches", "Find him = done"]
    ),
    st.text(max_size=30),
)


def changed(*changes: tuple[str, str]) -> Sheet:
    sheet = Sheet()
    for key, value in changes:
        sheet, _ = put(sheet, key, value)
    return sheet


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ([("place", "The mill"), ("Weather", "fog")], {"place": "The mill", "weather": "fog"}),
        ([("place", "The mill"), ("place", "off")], {}),
        ([("hp", "12")], {"hp": "12"}),
        ([("hp", "12"), ("HP", "-3")], {"hp": "9"}),
        ([("hp", "9/10"), ("hp", "+5")], {"hp": "10/10"}),
        ([("gold", "-5")], {"gold": "-5"}),
        ([("hp", "12"), ("hp", "off")], {}),
        ([("alarm", "raised"), ("Alarm", "silent")], {"alarm": "silent"}),
        ([("flag", "bridge burnt")], {"bridge burnt": "on"}),
        ([("flag", "bridge=half"), ("flag", "bridge=off")], {}),
        ([("condition", "+wet"), ("condition", "tired")], {"conditions": "wet, tired"}),
        ([("condition", "+wet"), ("condition", "-Wet")], {}),
        ([("inv", "3 torches"), ("inventory", "-1 torches")], {"inventory": "2 torches"}),
        ([("inventory", "+lamp"), ("inventory", "+Lamp")], {"inventory": "2 lamp"}),
        ([("inventory", "2 coins"), ("inventory", "-coins")], {}),
        ([("quest", "Find Ned")], {"quest": "Find Ned"}),
        ([("quest", "Find Ned"), ("quest", "find ned = done")], {"quest, done": "Find Ned"}),
    ],
)
def test_changes_and_what_the_sheet_shows(
    changes: list[tuple[str, str]], shown: dict[str, str]
) -> None:
    assert dict(rows(changed(*changes))) == shown


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("", "x", "Which key"),
        ("place", "x" * 200, "characters are the most"),
        ("condition", "-wet", "You are not wet"),
        ("condition", "off", "Condition what"),
        ("inventory", "-lamp", "You do not carry 'lamp'; you carry nothing"),
        ("quest", "Find Ned = done", "There is no quest 'Find Ned'"),
        ("flag", "x=off", "Nothing is called 'x'"),
        ("2x", "5", "begin with a letter"),
    ],
)
def test_what_makes_no_sense_is_refused(key: str, value: str, sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        put(Sheet(), key, value)
    assert sentence in str(refused.value)


def test_a_change_says_what_it_was_before() -> None:
    sheet, text = put(changed(("hp", "12")), "hp", "-3")
    assert (sheet.counters["hp"], text) == (Counter(9), "hp is 9 (was 12)")


def test_a_sheet_has_room_for_so_many_and_says_so() -> None:
    sheet = Sheet()
    for number in range(sheet_module.SHEET_ENTRIES):
        sheet, _ = gain(sheet, f"thing {chr(97 + number % 26)}{number}")
    with pytest.raises(CommandError, match="take one away first"):
        gain(sheet, "one more")
    sheet, _ = gain(sheet, "thing a0")  # what is there already can grow
    sheet, _ = lose(sheet, "thing a0")
    gain(sheet, "one more")


@given(st.lists(st.tuples(KEYS, VALUES), max_size=30))
def test_any_changes_keep_the_sheet_within_its_bounds(changes: list[tuple[str, str]]) -> None:
    """Nothing but ``CommandError`` comes out; what was accepted is stored and read back the same."""
    sheet = Sheet()
    for key, value in changes:
        try:
            sheet, text = put(sheet, key, value)
        except CommandError:
            continue
        assert text
    assert all(count > 0 for count in sheet.inventory.values())
    assert all(not c.most or c.value <= c.most for c in sheet.counters.values())
    for entries in (sheet.inventory, sheet.counters, sheet.quests, sheet.flags):
        assert len({name.casefold() for name in entries}) == len(entries) <= sheet_module.SHEET_ENTRIES
    assert load_state(dump(StoryState(sheet=sheet))) == StoryState(sheet=sheet)


@given(st.text("abc ", min_size=1, max_size=10).filter(str.strip), st.integers(1, 999))
def test_what_is_taken_up_can_be_given_away(name: str, count: int) -> None:
    sheet, _ = gain(Sheet(), f"{count} {name}")
    assert lose(sheet, f"{count} {name}")[0] == Sheet()


def test_quests_end_and_are_forgotten() -> None:
    sheet, _ = quest(Sheet(), "Find Ned", "open")
    sheet, text = quest(sheet, "FIND NED", "failed")
    assert (sheet.quests, text) == ({"Find Ned": "failed"}, "quest failed: Find Ned")
    assert quest(sheet, "find ned", "off")[0] == Sheet()


def test_a_state_too_large_to_keep_is_refused_and_a_damaged_one_named() -> None:
    with pytest.raises(CommandError, match="full"):
        dump(StoryState(pins=("x" * state.STORY_STATE_BYTES,)))
    with pytest.raises(StoreError, match="damaged"):
        load_state('{"sheet": 5}')
    assert load_state('{"sheet": {}, "of a newer version": 1}') == StoryState()


# --- proposals of the narrator --------------------------------------------------------------------


def test_a_block_is_read_line_by_line() -> None:
    block = "place: The cellar\n- hp = -2\nquest: Find Ned = done\n:\nmood:\n"
    sheet = changed(("hp", "10"), ("quest", "Find Ned"))
    proposed = proposals.read(block, sheet)
    assert dict(rows(proposed.sheet)) == {"place": "The cellar", "hp": "8", "quest, done": "Find Ned"}
    assert proposed.changes == ("place: The cellar", "hp is 8 (was 10)", "quest done: Find Ned")
    assert proposed.refused == (":", "mood:")


def test_a_block_of_json_is_read_as_well() -> None:
    proposed = proposals.read('{\n  "place": "The cellar",\n  "hp": 7\n}', Sheet())
    assert proposed.changes == ("place: The cellar", "hp is 7")
    assert proposed.refused == ()


def test_a_long_block_is_cut() -> None:
    lines = "\n".join(f"flag: f{n}" for n in range(100))
    assert len(proposals.read(lines, Sheet()).changes) == proposals.PROPOSALS


@given(st.text(max_size=200))
def test_any_block_is_read_without_harm(block: str) -> None:
    assert msgspec.json.encode(proposals.read(block, Sheet()).sheet)


@pytest.mark.parametrize("name", sheet_module.SCENE)
def test_a_word_of_the_scene_is_put_and_read_by_models(name: str) -> None:
    sheet, change = put(Sheet(), name, "grey")
    assert (getattr(sheet, name), dict(rows(sheet))) == ("grey", {name: "grey"})
    assert name in change
    assert name in sheet_module.SCENE_IN_PROMPT, "models read what SCENE_IN_PROMPT names"
