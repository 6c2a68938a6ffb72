"""Small rules of dice, checks, proposals and who speaks, one by one: every bound and which words are understood."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from flower import limits
from flower.engine.game import checks, dice, proposals, steering
from flower.engine.game.dice import Seeded
from flower.engine.game.proposals import SPACE_CHARS
from flower.engine.game.sheet import Sheet
from flower.engine.game.steering import Cast, Note, Persona, Steering
from flower.errors import CommandError
from tests.engine.game.test_dice import Faces, thrown
from tests.engine.game.test_sheet_rules import FULL

# --- steering -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("More fog.", Note("More fog.", 0, 3)),
        ("depth 4, More fog.", Note("More fog.", 4, 1)),
        ("Depth=4 every:3 More fog.", Note("More fog.", 4, 3)), ("every 1 x", Note("x", 0, 1)),
        (f"depth {steering.NOTE_DEPTH} every {steering.NOTE_EVERY} x", Note("x", steering.NOTE_DEPTH,
        steering.NOTE_EVERY)),
        ("x" * steering.NOTE_CHARS, Note("x" * steering.NOTE_CHARS, 0, steering.NOTE_EVERY_DEFAULT)),
    ],
)  # fmt: skip
def test_a_note_is_read(text: str, note: Note) -> None:
    assert steering.parse_note(text) == note
    due = [lines for lines in range(1, 2 * note.every + 1) if note.due(lines)]
    assert due == [note.every, 2 * note.every]


@pytest.mark.parametrize(
    "text",
    ["", "depth 4", f"depth {steering.NOTE_DEPTH + 1} x", f"every {steering.NOTE_EVERY + 1} x",
     "x" * (steering.NOTE_CHARS + 1)],
)  # fmt: skip
def test_a_note_that_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="note"):
        steering.parse_note(text)


@pytest.mark.parametrize(
    ("text", "persona", "told"),
    [
        ("Ines", Persona("Ines"), "The player's character is called Ines."),
        ("Ines | tall", Persona("Ines", "tall"), "The player's character is called Ines. tall"),
        ("one two three four", Persona("one two three four"), "The player's character is called one two three four."),
        ("a tall woman with scars", Persona("", "a tall woman with scars"),
        "The player's character: a tall woman with scars"),
        ("one two three four five|", Persona("one two three four five"),
        "The player's character is called one two three four five."),
        ("", Persona(), ""),
    ],
)  # fmt: skip
def test_a_persona_is_read(text: str, persona: Persona, told: str) -> None:
    assert steering.parse_persona(text) == persona
    assert persona.prompt_text == told


def test_a_persona_has_bounds() -> None:
    most = f"{'n' * limits.NAME_CHARS}|{'t' * steering.NOTE_CHARS}"
    assert len(steering.parse_persona(most).text) == steering.NOTE_CHARS
    for text in (f"n{most}", f"{most}t"):
        with pytest.raises(CommandError, match="A persona has a name of"):
            steering.parse_persona(text)
    assert Steering().players_text == ""
    table = Steering(players=(Persona("Ines", "tall"), Persona("Ned"))).players_text
    assert table.splitlines()[1:] == ["- Ines: tall", "- Ned: nothing is known of them yet"]
    assert steering.rules_on(("a", "b", "c"), {"b": False, "c": True, "d": True, "e": False}) == (
        "a",
        "c",
        "d",
    )


NAMES = {"mara": "Mara", "olaf": "Old Olaf", "al": "Al of Ba"}


@pytest.mark.parametrize(
    ("cast", "line", "last", "who"),
    [
        (Cast(), "Mara!", "", ""), (Cast(next="olaf"), "Mara!", "", "olaf"), (Cast(next="nobody"), "", "", ""),
        (Cast(next=steering.NARRATOR), "Mara!", "", steering.NARRATOR),
        (Cast(mode="named"), "olaf, Mara", "", "olaf"), (Cast(mode="named"), "Old!", "", "olaf"),
        (Cast(mode="named"), "of Ba, maras", "mara", ""), (Cast(mode="named"), "Al of Ba", "", "al"),
        (Cast(mode="round"), "Mara!", "al", "mara"), (Cast(mode="round"), "Hm.", "", "mara"),
        (Cast(mode="round"), "Hm.", "mara", "olaf"), (Cast(mode="round"), "Hm.", "olaf", "al"),
        (Cast(mode="round"), "Hm.", "al", "mara"),
    ],
)  # fmt: skip
def test_who_speaks_next(cast: Cast, line: str, last: str, who: str) -> None:
    assert steering.speaker(cast, NAMES, line, last) == who
    assert steering.speaker(replace(cast, next=""), {"mara": "Mara"}, line, last) == ""


def test_two_are_enough_to_speak_in_turn() -> None:
    two = {"mara": "Mara", "olaf": "Olaf"}
    told = [steering.speaker(Cast(mode="round"), two, "Hm.", last) for last in ("", "mara", "olaf")]
    assert told == ["mara", "olaf", "mara"]


def test_the_narrator_is_told_who_speaks() -> None:
    assert steering.speaker_text("mara", NAMES).startswith("In this reply Mara acts and speaks;")
    assert steering.speaker_text(steering.NARRATOR, NAMES).startswith(
        "This reply is the narrator's alone"
    )
    assert steering.speaker_text("", NAMES) == steering.speaker_text("nobody", NAMES) == ""


# --- proposals ----------------------------------------------------------------------------------


def test_changes_of_a_block_are_read_as_commands_are() -> None:
    block = '{\n  "place": "The mill",\n  - hp: -2\n}\n\n* inventory = +rope,\nnothing here\nquest: Fly = done\n'
    found = proposals.read(block, FULL)
    assert found.changes == ("place: The mill", "HP is 5/10 (was 7/10)", "you have rope")
    assert found.refused == ("nothing here", "quest: Fly = done")
    assert found.sheet.place == "The mill"


def test_of_a_block_so_many_lines_are_read_and_so_much_of_each() -> None:
    many = "\n".join(f"n{n}: 1" for n in range(proposals.PROPOSALS + 4))
    assert len(proposals.read(many, Sheet()).changes) == proposals.PROPOSALS
    assert proposals.read("y" * 900, Sheet()).refused == ("y" * limits.SHEET_TEXT_CHARS,)
    assert proposals.read(f"{'k' * 60}: 1", Sheet()).changes == (f"{'k' * 60} is 1",)
    assert proposals.read(f"{'k' * 61}: 1", Sheet()).changes == ()


@pytest.mark.parametrize(
    ("body", "length"),
    [
        ("place: The mill\nho", 18), ("ho\nplace: x", 0), ("place: x\n\nThe rain", 8), ("", 0), ("\n\nplace: x", 10),
        ("place: x\nThe rain falls\n", 8), ("a: 1\nb: 2\nho", 12), ("a: 1\nho\nb: 2", 4), ("a: 1\nb: 2\nc: 3\nho", 17),
    ],
)  # fmt: skip
def test_a_block_that_is_not_closed_ends_with_its_changes(body: str, length: int) -> None:
    """A reply that was stopped may end in the middle of one."""
    assert proposals._changes_end(body) == length


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (["Rain.\n```state\nplace: x\n```\nMore."], ["Rain.\nMore.", ""]),
        (["Rain.\n```state\nplace: x\n```", "`", "\nMore."], ["Rain.", "", "\nMore.", ""]),
        (["Rain. ", " \n``", "`st", "ate\nplace: x\n``", "`"], ["Rain.", "", "", "", "", ""]),
        (["```state\nplace: x\n\nThe rain falls.\nOn."], ["\n\nThe rain falls.\nOn.", ""]),
        (["```state\nplace: x\n```" + " " * SPACE_CHARS], ["", ""]),
        (["```state\nplace: x\n```" + " " * (SPACE_CHARS + 1)], [" " * (SPACE_CHARS + 1), ""]),
    ],
)  # fmt: skip
def test_the_story_is_passed_on_as_soon_as_it_is_known_to_be_one(
    pieces: list[str], told: list[str]
) -> None:
    parting = proposals.UpdateFilter()
    assert [*(parting.take(piece) for piece in pieces), parting.end()] == told
    assert (parting.block, parting.full) == ("place: x", False)


def test_a_block_without_a_name_is_one_only_at_the_very_end() -> None:
    """Until then it waits; whatever comes behind it makes it story."""
    for behind, told in (("", "Rain."), ("On.", "Rain.\n```\nhp: -2\n```\nOn.")):
        parting = proposals.UpdateFilter()
        assert parting.take("Rain.\n```\nhp: -2\n```\n") == "Rain."
        assert f"Rain.{parting.take(behind)}{parting.end()}" == told
        assert parting.block == ("" if behind else "hp: -2")


@pytest.mark.parametrize(("more", "full"), [(0, False), (1, True)])
def test_a_block_is_full_when_it_is_longer_than_any_that_is_meant(more: int, full: bool) -> None:
    head = "```state\nplace: "
    parting = proposals.UpdateFilter()
    assert parting.take(head + "x" * (proposals.BLOCK_CHARS - len(head) + more)) == ""
    assert parting.full is full


# --- dice ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "faces", "told"),
    [
        ("4d6kh3", (2, 5, 2, 6), "[2, 5, (2), 6] = 13"), ("4d6kl1", (3, 2, 2, 6), "[(3), 2, (2), (6)] = 2"),
        ("4d6dh1", (6, 5, 6, 1), "[6, 5, (6), 1] = 12"), ("4d6dl2", (2, 5, 1, 6), "[(2), 5, (1), 6] = 11"),
        ("3d6k", (1, 6, 2), "[(1), 6, (2)] = 6"), ("3d6p1", (1, 6, 2), "[(1), 6, 2] = 8"),
        ("3d6kh9", (1, 6, 2), "[1, 6, 2] = 9"),
        ("3d6kh0", (1, 6, 2), "[(1), (6), (2)] = 0"), ("2d6!", (6, 2, 3), "[6, 2, 3] = 11"),
        ("1d20adv-2", (4, 9), "[(4), 9] - 2 = 7"),
        ("d20 disadvantage", (4, 9), "[4, (9)] = 4"), ("2d4 + 3 - d6", (1, 2, 5), "[1, 2] + 3 - [5] = 1"),
        ("-d4+9", (3,), "-[3] + 9 = 6"),
        ("2dF", (1, 3), "[-, +] = 0"), ("d%", (100,), "[100] = 100"),
    ],
)  # fmt: skip
def test_dice_that_count_and_dice_that_do_not(text: str, faces: tuple[int, ...], told: str) -> None:
    assert dice.roll(dice.parse(text), Faces(*faces)).display_text == told


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{dice.ROLL_DICE + 1}d6", "cannot be rolled"), (f"d{dice.ROLL_SIDES + 1}", "cannot be rolled"),
        ("0d6", "cannot be rolled"),
        ("d0", "cannot be rolled"), ("60d6+41d6", "at most 100 dice"),
        ("+".join(["d6"] * (dice.ROLL_TERMS + 1)), "16 parts"),
        (f"d6+{dice.ROLL_NUMBER + 1}", "go up to"), ("3d1!", "never ends"), ("2d20adv", "single die"),
        ("d20kh1adv", "single die"),
        ("dF dis", "single die"), ("7", "no dice"), ("d6+", "ends early"), ("d6+x", "missing before 'x'"),
        ("d6 vs", "which number"),
        ("", "Roll what"), ("d6kx", "not understood from 'x'"), ("d6 vs -1000001", "go up to"),
    ],
)  # fmt: skip
def test_a_roll_that_is_refused(text: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        dice.parse(text)


def test_a_roll_has_bounds() -> None:
    most = dice.parse(
        f"{dice.ROLL_DICE}d{dice.ROLL_SIDES}+{dice.ROLL_NUMBER} vs -{dice.ROLL_NUMBER} " + "x" * 200
    )
    assert (most.target, len(most.label)) == (-dice.ROLL_NUMBER, dice.ROLL_LABEL_CHARS)
    assert len(dice.parse("+".join(["d6"] * dice.ROLL_TERMS)).terms) == dice.ROLL_TERMS
    again = dice.roll(dice.parse("60d6!+30d6!"), Faces(*[6] * 100))
    assert [len(term) for term in again.dice] == [70, 30]  # the first takes all that may roll again
    assert dice.parse(f"d6+{'0' * 5_000}7").terms[1] == dice.Number(1, 7)
    assert thrown("1d20+1d6", 20, 3).natural == 20
    assert thrown("2d20", 20, 3).natural is None
    assert [thrown(f"1d{sides}", 1).natural for sides in (19, 20, 21)] == [None, 1, None]
    assert thrown("1d20adv", 1, 20).natural == 20
    assert [thrown(f"1d20 vs {target}", 9).margin for target in (8, 9, 10)] == [1, 0, -1]


def test_seeds_of_large_spans_are_fair_too() -> None:
    chance = Seeded("span")
    assert all(0 <= chance.randrange(stop) < stop for stop in (1, 2, 3, 10**6, (1 << 64) - 1, 1 << 64))


# --- checks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("margin", "degree"),
    [(11, "triumph"), (-11, "disaster"), (10, "triumph"), (9, "success"), (0, "success"), (-1, "narrow failure"),
     (-2, "narrow failure"), (-3, "failure"),
     (-9, "failure"), (-10, "disaster")],
)  # fmt: skip
def test_how_well_a_check_went(margin: int, degree: str) -> None:
    throw = thrown(f"1d20+30 vs {40 - margin}", 10)
    assert checks.degree(throw) == degree
    assert (degree in checks.WORKED) is (margin >= 0)
    assert checks.BITE[checks.degree(throw) or "failure"] in checks.prompt_text(throw)


@pytest.mark.parametrize(
    ("text", "name", "notation", "target"),
    [
        ("Lore+2 against -3", "Lore", "1d20+2", -3), ("lore - 2", "lore", "1d20- 2", None),
        ("lore dis +1", "lore", "1d20dis+1", None),
        ("lore +1 ADVANTAGE vs. 4", "lore", "1d20adv+1", 4), ("n" * 300, "n" * limits.NAME_CHARS, "1d20", None),
        ("versus x", "versus x", "1d20", None), ("climb", "climb", "1d20-3", None),
    ],
)  # fmt: skip
def test_a_check_is_read_from_its_end(text: str, name: str, notation: str, target: int | None) -> None:
    read, expression = checks.parse_check(text, {"CLIMB": -3, "Lore": 0})
    assert (read, expression.display_text, expression.target) == (name, notation, target)
