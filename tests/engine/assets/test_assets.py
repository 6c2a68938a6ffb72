"""Worlds, characters and rules: what is good is loaded, what is broken is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flower import limits
from flower.engine.assets import loader
from flower.engine.assets.kinds import Assets, Character, Rule, World
from flower.engine.assets.loader import SHIPPED, load_assets
from flower.home import Home


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


WORLD = "id: harbour\nname: The Harbour\nlore: |\n  # Tide\n  It turns.\nscene: Dawn.\n"


def test_the_three_kinds_and_the_system_rules(tmp_path: Path) -> None:
    write(tmp_path, "worlds/a.yaml", WORLD)
    write(tmp_path, "characters/b.yml", "{id: wren, name: Wren, persona: Dry.}")
    write(tmp_path, "rules/c.yaml", "{id: dice, name: Dice, prompt: Roll.}")
    write(tmp_path, "system_rules.yaml", "|-\n  Never speak: for the player.\n  # Not a comment.\n")
    assert load_assets([tmp_path]) == Assets(
        worlds={"harbour": World("harbour", "The Harbour", lore="# Tide\nIt turns.", scene="Dawn.")},
        characters={"wren": Character("wren", "Wren", "Dry.")},
        rules={"dice": Rule("dice", "Dice", "Roll.")},
        system_rules="Never speak: for the player.\n# Not a comment.",
        problems=(),
    )


def test_later_directories_win_by_id(tmp_path: Path) -> None:
    """A user's file replaces the shipped one with its id, whatever the file is called."""
    write(tmp_path, "one/worlds/a.yaml", WORLD)
    write(tmp_path, "one/worlds/b.yaml", "{id: other, name: Other}")
    write(tmp_path, "one/system_rules.yaml", "shipped")
    write(tmp_path, "two/worlds/zzz.yaml", "{id: harbour, name: Mine}")
    write(tmp_path, "two/system_rules.yaml", "mine")
    assets = load_assets([tmp_path / "one", tmp_path / "two", tmp_path / "absent"])
    assert [world.name for world in assets.worlds.values()] == ["Mine", "Other"]
    assert assets.system_rules == "mine"
    assert assets.problems == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id: a\nname: A\nlore: [\n", "worlds/bad.yaml, line 3: broken YAML"),
        ("id: a\nlore: x", "worlds/bad.yaml, line 1: the file has no 'name'"),
        ("name: A", "worlds/bad.yaml, line 1: the file has no 'id'"),
        ("name: A\nid: ../../etc", "worlds/bad.yaml, line 2: id must be 1 to 64 characters out of a-z"),
        ("id: Ä\nname: A", "worlds/bad.yaml, line 1: id must be"),
        ("id: 7\nname: A", "worlds/bad.yaml, line 1: id must be"),
        ("id: " + "a" * 65 + "\nname: A", "worlds/bad.yaml, line 1: id must be"),
        ("id: a\nname: 1984", "worlds/bad.yaml, line 2: name must be text (put it in quotes)"),
        ("id: a\nname: |\n  A\n  B", "worlds/bad.yaml, line 2: name must be one line"),
        ("id: a\nname: A\nlore: {a: b}", "worlds/bad.yaml, line 3: lore must be text, not a section"),
        ("just text", "worlds/bad.yaml, line 1: the file must be a section with the keys id, name"),
        ("", "worlds/bad.yaml, line 1: the file must be a section"),
        ("a: *b", "worlds/bad.yaml, line 1: aliases"),
        ("#" * (limits.ASSET_BYTES + 1), "worlds/bad.yaml: the file has 32.0 MiB; 32 MiB is the most"),
    ],
)
def test_a_broken_file_is_skipped_and_named(tmp_path: Path, text: str, problem: str) -> None:
    """File, line and what is wrong; the other files are loaded all the same."""
    write(tmp_path, "worlds/bad.yaml", text)
    write(tmp_path, "worlds/good.yaml", WORLD)
    assets = load_assets([tmp_path])
    assert list(assets.worlds) == ["harbour"]
    assert len(assets.problems) == 1
    assert assets.problems[0].startswith(problem)


def test_persona_and_prompt_are_needed(tmp_path: Path) -> None:
    write(tmp_path, "characters/a.yaml", "{id: a, name: A}")
    write(tmp_path, "rules/a.yaml", "{id: a, name: A, prompt: }")
    assert load_assets([tmp_path]).problems == (
        "characters/a.yaml, line 1: the file has no 'persona'",
        "rules/a.yaml, line 1: the file has no 'prompt'",
    )


def test_unknown_keys_are_no_problem(tmp_path: Path) -> None:
    """Files from elsewhere carry tags, authors and the like."""
    write(tmp_path, "worlds/a.yaml", WORLD + "tags: [sea, {x: 1}]\nscene_image: none\n")
    assert load_assets([tmp_path]).problems == ()


def test_one_id_twice_in_a_folder_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, "worlds/a.yaml", "{id: x, name: First}")
    write(tmp_path, "worlds/b.yaml", "{id: x, name: Second}")
    assets = load_assets([tmp_path])
    assert assets.worlds["x"].name == "First"
    assert assets.problems == ("worlds/b.yaml: another file here has the id 'x'; change one",)


def test_what_is_no_file_does_not_stop_the_engine(tmp_path: Path) -> None:
    """A pipe would block for ever, a folder cannot be read, a broken link leads nowhere."""
    (tmp_path / "worlds").mkdir()
    os.mkfifo(tmp_path / "worlds" / "pipe.yaml")
    (tmp_path / "worlds" / "folder.yaml").mkdir()
    (tmp_path / "worlds" / "link.yaml").symlink_to("nowhere")
    (tmp_path / "rules").write_text("a file")
    (tmp_path / "system_rules.yaml").write_text("{a: b}")
    problems = load_assets([tmp_path]).problems
    assert [problem.split(":")[0].split("/")[-1] for problem in problems] == [
        "folder.yaml", "link.yaml", "pipe.yaml", "rules", "system_rules.yaml, line 1",
    ]  # fmt: skip


def test_the_number_of_files_is_limited(tmp_path: Path) -> None:
    for number in range(loader.ASSET_FILES + 2):
        write(tmp_path, f"rules/{number:04}.yaml", f"{{id: r{number}, name: R, prompt: P}}")
    assets = load_assets([tmp_path])
    assert len(assets.rules) == loader.ASSET_FILES
    assert "only the first" in assets.problems[0]


def test_the_examples_of_a_first_start_are_good(home: Home) -> None:
    """They load without a problem and are told apart from what is shipped."""
    examples = load_assets([home.assets])
    assert examples.problems == ()
    assert list(examples.worlds) == ["my-first-world"]
    assert list(examples.characters) == ["my-first-character"]
    assert list(examples.rules) == ["my-first-rule"]
    assert not examples.worlds.keys() & load_assets([SHIPPED]).worlds.keys()


def test_a_misspelt_key_is_named_with_the_nearest(tmp_path: Path) -> None:
    """The file is used; what is left out of it is said, and what may have been meant."""
    write(
        tmp_path, "worlds/a.yaml", "id: a\nname: A\nstart_mesage: Hello\ngreting: x\ndescription: y\n"
    )
    assets = load_assets([tmp_path])
    assert "a" in assets.worlds
    assert assets.problems == (
        "worlds/a.yaml, line 3: the key 'start_mesage' means nothing here and is left out; "
        "did you mean 'start_message'?",
        "worlds/a.yaml, line 4: the key 'greting' means nothing here and is left out; "
        "did you mean 'start_message'?",
    )


def test_names_of_files(tmp_path: Path) -> None:
    """Endings in any case count; other programs' hidden files do not; odd names stay on one line."""
    for name in ("A.YAML", "b.Yml", "c.yml"):
        write(tmp_path, f"rules/{name}", f"id: {name[0].lower()}\nname: A\nprompt: x\n")
    for name in ("._A.yaml", ".#b.yaml", "#c.yaml#", ".hidden.yaml"):
        write(tmp_path, f"rules/{name}", "no rule")
    write(tmp_path, "rules/odd\nname.yaml", "no rule")
    (tmp_path / os.fsdecode(b"rules/\xff.yaml")).write_text("no rule")
    assets = load_assets([tmp_path])
    assert sorted(assets.rules) == ["a", "b", "c"]
    assert len(assets.problems) == 2
    for problem in assets.problems:
        assert "\n" not in problem
        problem.encode()


def test_a_world_may_be_as_long_as_you_like(tmp_path: Path) -> None:
    """Lore of several megabytes is read."""
    write(
        tmp_path, "worlds/a.yaml", "id: a\nname: A\nlore: |\n" + "  The tide turns again.\n" * 120_000
    )
    assets = load_assets([tmp_path])
    assert assets.problems == ()
    assert len(assets.worlds["a"].lore) > 2_500_000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{char}} waits by the gate.", "{{char}} waits by the gate."),
        ("{{user}}'s lamp: out", "{{user}}'s lamp: out"),
        ("\u00a0a\u2028b", "a b"),
        ('"a \\ud83c\\udfd4 b"', "a 🏔 b"),
    ],
)
def test_what_people_write_who_do_not_know_yaml(tmp_path: Path, text: str, told: str) -> None:
    """Macros without quotes, exotic spaces, JSON's escapes: understood where they can mean only one thing."""
    write(tmp_path, "worlds/a.yaml", f"id: a\nname:\u00a0A\nscene: {text}\n")
    assets = load_assets([tmp_path])
    assert assets.problems == ()
    assert assets.worlds["a"].scene == told
