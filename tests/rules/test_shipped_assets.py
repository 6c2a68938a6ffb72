"""The worlds, characters and rules that come with Flower: shape, size and promises of their text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import flower

ASSETS = Path(flower.__file__).parent / "assets"
TUTORIAL = ASSETS / "worlds" / "tutorial.yaml"
WORLDS = [path for path in sorted((ASSETS / "worlds").glob("*.yaml")) if path != TUTORIAL]
CHARACTERS = sorted((ASSETS / "characters").glob("*.yaml"))
RULES = sorted((ASSETS / "rules").glob("*.yaml"))
FIELDS = {
    "worlds": {"id", "name", "lore", "ambience", "start_message", "scene", "system_prompt"},
    "characters": {"id", "name", "persona", "pronouns"},
    "rules": {"id", "name", "prompt"},
}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def words(text: str) -> int:
    return len(text.split())


def test_there_are_three_worlds_a_tutorial_four_characters_and_four_rules() -> None:
    assert (len(WORLDS), len(CHARACTERS), len(RULES)) == (3, 4, 4)
    assert load(TUTORIAL)["id"] == "tutorial"


@pytest.mark.parametrize("path", [*WORLDS, *CHARACTERS, *RULES], ids=lambda path: path.stem)
def test_an_asset_has_exactly_its_fields_and_an_id_like_its_file(path: Path) -> None:
    asset = load(path)
    assert set(asset) == FIELDS[path.parent.name]
    texts = [value for field, value in asset.items() if field != "ambience"]
    assert all(isinstance(value, str) and value.strip() for value in texts)
    assert asset["id"] == path.stem
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", asset["id"])


@pytest.mark.parametrize("path", WORLDS, ids=lambda path: path.stem)
def test_a_world_is_worth_several_pages(path: Path) -> None:
    world = load(path)
    assert 2000 <= words(world["lore"]) <= 3500
    assert 120 <= words(world["start_message"]) <= 200
    assert 2 <= len(re.findall(r"[.!?](?:\s|$)", world["scene"])) <= 4
    assert words(world["system_prompt"]) >= 60


@pytest.mark.parametrize("path", WORLDS, ids=lambda path: path.stem)
def test_weather_light_and_mood_shift_slowly_and_the_light_begins_as_the_scene_does(
    path: Path,
) -> None:
    world = load(path)
    shifting = world["ambience"]
    assert set(shifting) == {"every", "weather", "light", "mood"}
    assert 4 <= shifting["every"] <= 8
    for name in ("weather", "light", "mood"):
        values = shifting[name]
        assert 5 <= len(values) == len(set(values)) <= 8
        assert all(words(value) <= 8 for value in values)
    assert shifting["light"][0].lower() in world["scene"].lower()


@pytest.mark.parametrize("path", WORLDS, ids=lambda path: path.stem)
def test_the_lore_has_headings_and_paragraphs_that_recall_can_cut(path: Path) -> None:
    """No paragraph is so long that a passage of recall would have to cut it in many pieces."""
    lore = load(path)["lore"]
    assert len(re.findall(r"^# ", lore, re.MULTILINE)) >= 6
    paragraphs = [part for part in lore.split("\n\n") if not part.startswith("#")]
    assert max(words(part) for part in paragraphs) <= 140


@pytest.mark.parametrize("path", WORLDS, ids=lambda path: path.stem)
def test_a_paragraph_is_one_line(path: Path) -> None:
    """Faces wrap text themselves; a line break inside a paragraph would show as one."""
    world = load(path)
    for field in ("lore", "start_message", "scene", "system_prompt"):
        for paragraph in world[field].strip().split("\n\n"):
            assert "\n" not in paragraph, f"{field}: {paragraph[:60]}"


@pytest.mark.parametrize("path", CHARACTERS, ids=lambda path: path.stem)
def test_a_persona_has_its_length_and_lines_of_its_own(path: Path) -> None:
    persona = load(path)["persona"]
    assert 150 <= words(persona) <= 250
    assert len(re.findall(r'^"[A-Z].+"$', persona, re.MULTILINE)) >= 5


def test_the_system_rules_are_one_text() -> None:
    rules = load(ASSETS / "system_rules.yaml")
    assert isinstance(rules, str)
    assert 150 <= words(rules) <= 500
