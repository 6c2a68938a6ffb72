"""Characters are made, changed, copied and deleted from inside, and lists of thousands stay quick."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.assets import yaml_files
from flower.engine.assets.kinds import READERS, Character, DepthPrompt
from flower.engine.assets.loader import load_assets
from flower.engine.assets.shelves import Brief, CharacterList, ImportedCharacter
from flower.engine.commands.library import filtered
from flower.engine.sessions import snapshot
from flower.errors import AssetError
from flower.protocol.messages import ErrorEvent, State, SystemUpdate
from tests import import_files
from tests.engine_world import ASSETS, EngineWorld, Face, engine_world


async def told(face: Face, line: str) -> str:
    """What a command answers."""
    await face.say(line)
    await trio.testing.wait_all_tasks_blocked()
    return [event.content for event in face.of(SystemUpdate) if event.content][-1]


def known(world: EngineWorld, name: str) -> Character:
    return world.engine.services.assets.characters[name]


async def test_a_character_is_made_and_changed_inside(tmp_path: Path) -> None:
    """In effect at once, and in a file that is read at the next start."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        await face.say("/character new Old Ned|Keeps the ferry.\nSays little.")
        await face.say("/character edit old-ned greeting The ferry is late.")
        await face.say("/character edit old-ned alternate_greetings Fog. | Rain.")
        await face.say("/character edit old-ned nickname Ned")
        await face.say("/character edit old-ned nickname off")
        assert "The ferry is late." in await told(face, "/character edit old-ned greeting")
        ned = known(world, "old-ned")
        assert (ned.alternate_greetings, ned.nickname) == (("Fog.", "Rain."), "")
        assert load_assets([tmp_path / "assets"]).characters == {"old-ned": ned}
        await face.say("/character new Old Ned|Another one.")
        assert known(world, "old-ned-2").persona == "Another one."
        assert not face.of(ErrorEvent)


async def test_an_imported_character_is_edited_as_a_file(tmp_path: Path) -> None:
    """It has all of the card; deleted, the card is there again, and deleted again nobody is."""
    card = import_files.write(tmp_path / "ada.json", import_files.card())
    async with engine_world(tmp_path / "flower.db") as world:
        await world.engine.imports.importer.take(card, card.name)
        face = await world.face()
        await face.say("/character edit ada scenario At sea.")
        assert known(world, "ada").scenario == "At sea."
        assert known(world, "ada").greeting.startswith("*{{char}}")
        await face.say("/character delete ada")
        assert known(world, "ada").scenario == "A workshop under the bridge."
        await face.say("/character delete ada")
        assert "ada" not in world.engine.services.assets.characters
        assert (await world.engine.imports.importer.take(card, card.name)).state == "new"


async def test_a_copy_is_somebody_else(tmp_path: Path) -> None:
    """And what comes with Flower cannot be deleted, its changed file can."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        await face.say("/character copy mara mara-young")
        await face.say("/character edit mara-young persona Quick to laugh.")
        assert "counsel" in known(world, "mara").persona
        assert not face.of(ErrorEvent)
        for line in (
            "/character copy mara mara-young",
            "/character copy mara ../x",
            "/character delete mara",
            "/character edit mara colour Red.",
            "/character edit nobody name X",
            "/character new Nobody",
            "/character list nothing-like-it",
        ):
            before = len(face.of(ErrorEvent))
            await face.say(line)
            await trio.testing.wait_all_tasks_blocked()
            assert len(face.of(ErrorEvent)) == before + 1, line


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40).map(
    str.strip
)


@given(TEXTS, TEXTS, st.lists(TEXTS.filter(bool), max_size=3))
def test_a_written_file_says_what_was_meant(persona: str, greeting: str, others: list[str]) -> None:
    """Whatever the texts are: it is read as the same character, or refused before it is written."""
    meant = Character(
        "ada",
        "Ada",
        f"{persona}\n\n{persona}".strip(),
        greeting=greeting,
        alternate_greetings=tuple(others),
        depth_prompt=DepthPrompt("Tired.", 2),
        talkativeness=0.5,
    )
    try:
        text = yaml_files.yaml_of(meant)
    except AssetError:
        return
    assert READERS["characters"](yaml_files.value_of(text), ()) == meant


def test_what_is_written_over_is_kept(tmp_path: Path) -> None:
    """A file by another name is found by the id in it."""
    folder = tmp_path / "characters"
    folder.mkdir()
    (folder / "my friend.yaml").write_text("id: ada\nname: Ada\npersona: Old.\n")
    path = yaml_files.write(tmp_path, Character("ada", "Ada", "New.")).path
    assert path.name == "my friend.yaml"
    assert (folder / "my friend.yaml.before").read_text().endswith("Old.\n")
    assert [one.persona for one in load_assets([tmp_path]).characters.values()] == ["New."]


def thousands() -> CharacterList:
    imported = ImportedCharacter(lambda packed: Character("x", "X", "X"))
    for number in range(5000):
        imported.put(Brief(f"p{number}", f"Person {number}", "Mends clocks.", ("clocks",)), b"")
    return CharacterList(ASSETS.characters, imported)


def test_the_state_does_not_grow_with_the_library() -> None:
    """Old clients get a bounded list, whatever there is."""
    listed = snapshot.character_options(ASSETS._replace(characters=thousands()))
    assert len(listed) == snapshot.CHARACTERS_LISTED
    assert isinstance(State(available_characters=listed), State)


@pytest.mark.parametrize(
    ("words", "count"), [("", 5000), ("person 499", 15), ("CLOCKS p4999", 1), ("x y", 0)]
)
def test_a_list_is_filtered_by_words(words: str, count: int) -> None:
    """In names, ids and tags; every word has to be there."""
    assert len(filtered(list(thousands().imported.briefs.values()), words)) == count


async def test_a_long_list_comes_in_pages(tmp_path: Path) -> None:
    """A page past the end is the last one."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        for brief in thousands().imported.briefs.values():
            world.engine.imports.imported.put(brief, b"")
        first = await told(face, "/character list")
        assert first.splitlines()[0].startswith("5001 characters, page 1 of 126")
        assert len(first.splitlines()) == 41
        assert "page 126 of 126" in await told(face, "/character list 999")
        assert (await told(face, "/character list clocks p4999")).startswith("1 character:")
