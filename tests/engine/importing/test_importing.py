"""Files of other programs become characters, lorebooks, stories and personas of a home."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flower.engine.importing.take import Taken
from flower.engine.interchange import reader
from flower.engine.interchange.fields import stem_of
from flower.engine.store import imported_chats, states, stories, tree
from flower.engine.store.library import books, characters, personas
from flower.engine.store.library.books import Owner
from flower.engine.store.sqlite.database import Connection
from flower.errors import ImportFileError
from tests import import_files
from tests.engine_world import EngineWorld, engine_world
from tests.paths import VECTORS


def found_damage(db: Connection) -> list[str]:
    """What SQLite finds wrong with the database: a backup that it doubts is not kept."""
    return [row[0] for row in db.execute("PRAGMA quick_check")]


async def bring(world: EngineWorld, path: Path, me: str = "") -> Taken:
    return await world.engine.imports.importer.take(path, path.name, me)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a/b\\Ada.png", "Ada"), ("Ada.card.png", "Ada.card"), ("Dr. Vole", "Dr. Vole"), ("x\ny", "x y")],
)
def test_a_file_is_known_by_its_name_without_folder_and_ending(name: str, stem: str) -> None:
    """Names from other machines have other separators, and no line break."""
    assert stem_of(name) == stem


async def test_a_card_is_a_character_that_can_be_chosen(tmp_path: Path) -> None:
    """It is there at once, and still after a restart."""
    path = import_files.write(tmp_path / "ada.json", import_files.card())
    for again in (False, True):
        async with engine_world(tmp_path / "flower.db") as world:
            if not again:
                taken = await bring(world, path)
                assert (taken.state, taken.items) == ("new", ("character Ada (ada)",))
            ada = world.engine.services.assets.characters["ada"]
            assert ada.persona == "Ada mends clocks.\nPersonality: patient"
            assert ada.alternate_greetings == ("The door is locked.", "It rains.")
            assert list(world.engine.services.assets.characters) == ["mara", "ada"]


async def test_the_same_file_is_recognised_whatever_it_is_called(tmp_path: Path) -> None:
    """A second import changes nothing."""
    one = import_files.write(tmp_path / "ada.json", import_files.card())
    two = import_files.write(tmp_path / "copy of ada.json", import_files.card())
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, one)
        assert (await bring(world, two)).state == "already here"
        assert len(world.engine.services.assets.characters) == 2


async def test_a_newer_version_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """Same name and creator: the id stays, so that stories keep their character; its book is renewed."""
    book = {"name": "Gears", "entries": [{"keys": ["gear"], "content": "Brass.", "id": 0}]}
    old = import_files.write(tmp_path / "a.json", import_files.card(character_book=book))
    book["entries"] = []
    new = import_files.write(
        tmp_path / "b.json",
        import_files.card(character_book=book, description="Ada sells clocks.", character_version="2"),
    )
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, old)
        assert (await bring(world, new)).state == "updated"
        ada = world.engine.services.assets.characters["ada"]
        assert (ada.version, ada.persona.splitlines()[0]) == ("2", "Ada sells clocks.")
        owned = await world.database.read(books.holding, characters=("ada",))
        assert len(owned) == 1
        assert (await world.database.read(books.read, owned[0].stored.id)).entries == ()
        source = await world.database.read(characters.source, "ada")
        assert source is not None
        assert source[1] == new.read_bytes()


async def test_somebody_else_of_the_same_name_is_somebody_else(tmp_path: Path) -> None:
    """Another creator's card gets an id of its own."""
    one = import_files.write(tmp_path / "a.json", import_files.card())
    two = import_files.write(tmp_path / "b.json", import_files.card(creator="someone else"))
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, one)
        assert (await bring(world, two)).items == ("character Ada (ada-2)",)


async def test_an_id_of_a_file_of_the_home_is_left_alone(tmp_path: Path) -> None:
    """The world's own Mara stays who she is."""
    path = import_files.write(tmp_path / "a.json", import_files.card("Mara"))
    async with engine_world(tmp_path / "flower.db") as world:
        assert (await bring(world, path)).items == ("character Mara (mara-2)",)
        assert "counsel" in world.engine.services.assets.characters["mara"].persona


@pytest.mark.parametrize("book_first", [False, True])
async def test_a_linked_lorebook_is_found_in_any_order(tmp_path: Path, book_first: bool) -> None:
    """A card names its World Info file; whichever comes last finds the other."""
    card = import_files.write(
        tmp_path / "ada.json", import_files.card(extensions={"world": "Clockwork"})
    )
    entry = {"uid": 0, "key": ["gear"], "keysecondary": [], "content": "Brass.", "comment": ""}
    book = import_files.write(tmp_path / "Clockwork.json", {"entries": {"0": entry}})
    async with engine_world(tmp_path / "flower.db") as world:
        for path in (book, card) if book_first else (card, book):
            await bring(world, path)
        owned = await world.database.read(books.holding, characters=("ada",))
        assert [(one.stored.name, one.owner) for one in owned] == [("Clockwork", Owner.CHARACTER)]


@pytest.mark.parametrize("book_first", [False, True])
@pytest.mark.parametrize("changed", [False, True])
async def test_a_linked_lorebook_takes_the_place_of_the_card_s_copy(
    tmp_path: Path, book_first: bool, changed: bool
) -> None:
    """Nothing is told twice; a copy that says something else stays in the list and belongs to nobody."""
    card, book = (
        VECTORS / "files" / name for name in ("cards/corvin.export.png", "worlds/Saltmere atlas.json")
    )
    if changed:
        book = tmp_path / book.name
        book.write_text(
            (VECTORS / "files" / "worlds" / book.name).read_text().replace("nineteen", "twenty")
        )
    async with engine_world(tmp_path / "flower.db") as world:
        for path in (book, card) if book_first else (card, book):
            await bring(world, path)
        (owned,) = await world.database.read(books.holding, characters=("corvin",))
        told = await world.database.read(books.read, owned.stored.id)
        assert ("twenty" in told.entries[1].content) is changed
        assert len(await world.database.read(books.listed)) == (2 if changed else 1)


LINES = [("Ada", "Evening."), ("You", "Is it late?"), ("Ada", "Ten past.")]


@pytest.mark.parametrize("card_first", [False, True])
async def test_a_chat_becomes_a_story_with_its_character(tmp_path: Path, card_first: bool) -> None:
    """Dates are kept; the character is found whenever its card comes."""
    card = import_files.write(tmp_path / "ada.json", import_files.card())
    chat = import_files.chat(tmp_path / "Ada - one.jsonl", LINES)
    async with engine_world(tmp_path / "flower.db") as world:
        for path in (card, chat) if card_first else (chat, card):
            await bring(world, path)
        (stored,) = await world.database.read(stories.sessions)
        assert (stored.character_id, stored.title) == ("ada", "Ada - one")
        path_ = await world.database.read(stories.active_path, stored.id)
        assert [(m.role, m.content) for m in path_] == [
            ("assistant", "Evening."),
            ("user", "Is it late?"),
            ("assistant", "Ten past."),
        ]
        assert path_[1].created - path_[0].created == 60
        assert stored.created < 1.8e9


async def test_a_name_longer_than_names_are_is_found_all_the_same(tmp_path: Path) -> None:
    """The card's name is cut, and so is what a chat calls its character."""
    name = "Ada of the " + "very " * 60 + "long name"
    card = import_files.write(tmp_path / "ada.json", import_files.card(name))
    chat = import_files.chat(tmp_path / "one.jsonl", [(name, "Evening.")])
    chat.write_text(chat.read_text().replace('"character_name": "Ada"', f'"character_name": "{name}"'))
    for first, second in ((card, chat), (chat, card)):
        async with engine_world(tmp_path / f"{first.stem}.db") as world:
            await bring(world, first)
            await bring(world, second)
            (stored,) = await world.database.read(stories.sessions)
            assert stored.character_id in world.engine.services.assets.characters
            assert stored.character_id != "mara"


async def test_swipes_are_variants_and_hidden_messages_are_hidden(tmp_path: Path) -> None:
    """The swipe that was shown is the one the story goes on with."""
    chat = import_files.chat(tmp_path / "Ada.jsonl", LINES)
    rows = [json.loads(line) for line in chat.read_text().splitlines()]
    rows[1] |= {"swipes": ["Evening.", "Morning."], "swipe_id": 0}
    rows[2] |= {"is_system": True}
    chat.write_text("\n".join(json.dumps(row) for row in rows))
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, chat)
        (stored,) = await world.database.read(stories.sessions)
        path = await world.database.read(stories.active_path, stored.id)
        assert path[0].content == "Evening."
        assert await world.database.read(tree.variants, [path[0].id]) == {path[0].id: (1, 2)}
        assert [m.extra.hidden for m in path] == [False, True, False]


@pytest.mark.parametrize("branch_first", [False, True])
async def test_the_files_of_one_chat_are_one_tree(tmp_path: Path, branch_first: bool) -> None:
    """A branch joins its trunk, in whichever order they come; the story stands where the trunk ends."""
    trunk = import_files.chat(tmp_path / "Ada - one.jsonl", LINES)
    branch = import_files.chat(
        tmp_path / "Branch #1.jsonl", [*LINES[:2], ("Ada", "Midnight.")], main="Ada - one"
    )
    async with engine_world(tmp_path / "flower.db") as world:
        for path in (branch, trunk) if branch_first else (trunk, branch):
            await bring(world, path)
        (stored,) = await world.database.read(stories.sessions)
        assert stored.messages == 4
        path_ = await world.database.read(stories.active_path, stored.id)
        assert path_[-1].content == "Ten past."


async def test_a_chat_that_went_on_elsewhere_adds_what_is_new(tmp_path: Path) -> None:
    """The same chat, exported again after more was said."""
    async with engine_world(tmp_path / "flower.db") as world:
        path = import_files.chat(tmp_path / "Ada - one.jsonl", LINES)
        await bring(world, path)
        import_files.chat(path, [*LINES, ("You", "Then good night.")])
        taken = await bring(world, path)
        assert (taken.state, taken.items[0].endswith("1 more message)")) == ("updated", True)
        (stored,) = await world.database.read(stories.sessions)
        assert stored.messages == 4
        assert len(await world.database.read(imported_chats.files_of, stored.id)) == 2


@pytest.mark.parametrize(
    "order", ["group ada bo chat", "group chat ada bo", "ada group chat bo", "chat bo ada group"]
)
async def test_a_group_is_the_cast_of_its_chat_in_any_order(tmp_path: Path, order: str) -> None:
    """Its file, the cards of its members and its chat find each other whichever came first."""
    group = {"id": "7", "name": "Two", "members": ["Ada.png", "Bo.png"], "chat_id": "7", "chats": ["7"]}
    files = {
        "group": import_files.write(tmp_path / "group.json", group),
        "ada": import_files.write(tmp_path / "Ada.json", import_files.card()),
        "bo": import_files.write(tmp_path / "Bo.json", import_files.card("Bo")),
        "chat": import_files.chat(
            tmp_path / "7.jsonl", [("You", "Hello?"), ("Ada", "Aye."), ("Bo", "No.")]
        ),
    }
    async with engine_world(tmp_path / "flower.db") as world:
        for name in order.split():
            await bring(world, files[name])
        (story,) = await world.database.read(stories.sessions)
        steered = await world.database.read(states.steering, story.id)
        assert {story.character_id, *steered.cast.members} - {""} == {"ada", "bo"}
        assert story.character_id not in steered.cast.members


async def test_a_broken_file_leaves_nothing_behind(tmp_path: Path) -> None:
    """One sentence, and the database as it was."""
    path = tmp_path / "broken.json"
    path.write_text('{"spec": "chara_card_v2", "data": {')
    async with engine_world(tmp_path / "flower.db") as world:
        with pytest.raises(ImportFileError):
            await bring(world, path)
        assert await world.database.read(books.listed) == []
        assert list(world.engine.services.assets.characters) == ["mara"]


async def test_personas_are_bound_to_their_characters(tmp_path: Path) -> None:
    """Also to those whose card comes later."""
    settings = {
        "power_user": {
            "personas": {"me.png": "Kim", "other.png": "Lee"},
            "default_persona": "other.png",
            "persona_descriptions": {
                "me.png": {
                    "description": "Tall.",
                    "connections": [{"type": "character", "id": "ada.json"}],
                }
            },
        }
    }
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, import_files.write(tmp_path / "settings.json", settings))
        await bring(world, import_files.write(tmp_path / "ada.json", import_files.card()))
        bound = await world.database.read(personas.for_story, "", "ada")
        other = await world.database.read(personas.for_story, "", "mara")
        assert (bound and bound.name, other and other.name) == ("Kim", "Lee")


@pytest.mark.parametrize("folder", ["files", "imports"])
async def test_every_recorded_file_is_taken_over_or_refused(tmp_path: Path, folder: str) -> None:
    """What the readers can read can be stored, and a second time nothing happens."""
    async with engine_world(tmp_path / "flower.db") as world:
        count = 0
        for path in sorted((VECTORS / folder).rglob("*")):
            if not path.is_file():
                continue
            try:
                reader.read(path.read_bytes(), stem_of(path.name))
            except ImportFileError:
                with pytest.raises(ImportFileError):
                    await bring(world, path)
            else:
                assert (await bring(world, path)).state in ("new", "updated", "already here")
                assert (await bring(world, path)).state == "already here", path.name
                count += 1
        assert count > 3
        assert await world.database.read(found_damage) == ["ok"]
