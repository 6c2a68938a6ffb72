"""Characters, lorebooks and stories go out as files that come in again as the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio.testing
from msgspec import structs

from flower.engine.export import files, library_files
from flower.engine.interchange import reader
from flower.engine.interchange.cards import card_of, character_of
from flower.engine.store import stories, tree
from flower.engine.store.library import books, quick_replies
from flower.errors import CommandError
from flower.protocol.messages import ErrorEvent
from tests import import_files
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import words
from tests.paths import VECTORS

VECTORS = VECTORS / "files"


async def bring(world: EngineWorld, *paths: Path) -> None:
    for path in paths:
        await world.engine.imports.importer.take(path, path.name)


async def exported(face: Face, command: str, folder: Path) -> list[bytes]:
    """What a command writes."""
    before = set((folder / "exports").glob("*"))
    await face.say(command)
    await trio.testing.wait_all_tasks_blocked()
    assert not face.of(ErrorEvent)
    return [path.read_bytes() for path in sorted(set((folder / "exports").glob("*")) - before)]


async def test_an_untouched_card_comes_out_as_it_came(tmp_path: Path) -> None:
    """With whatever its author kept in it."""
    path = VECTORS / "cards" / "corvin.export.png"
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, path)
        face = await world.face()
        (name,) = [one for one in world.engine.services.assets.characters if one != "mara"]
        (data,) = await exported(face, f"/export character {name}", tmp_path)
        (was,), (again,) = (reader.read(one, "x").cards for one in (path.read_bytes(), data))
        assert structs.replace(again, source={}, picture=None) == structs.replace(
            was, source={}, picture=None
        )


@pytest.mark.parametrize("form", library_files.CARD_FORMATS)
async def test_every_card_is_read_again(tmp_path: Path, form: str) -> None:
    """Those of files of the home, too."""
    card = import_files.write(tmp_path / "ada.json", import_files.card(nickname="Ad"))
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, card)
        face = await world.face()
        for name in ("ada", "mara"):
            (data,) = await exported(face, f"/export character {name} {form}", tmp_path)
            (again,) = reader.read(data, name).cards
            character = world.engine.services.assets.characters[name]
            assert character_of(again, name) == character


def test_a_changed_character_is_the_card_with_that_changed() -> None:
    """What Flower does not use stays."""
    source = import_files.card(extensions={"other": {"x": 1}})
    (card,) = reader.read(json.dumps(source).encode()).cards
    character = structs.replace(character_of(card, "ada"), scenario="At sea.")
    changed = card_of(character, card)
    assert (changed.scenario, changed.personality) == ("At sea.", "patient")
    assert changed.extensions == {"other": {"x": 1}}
    assert card_of(character_of(card, "ada"), card) is card


async def test_a_lorebook_is_read_again(tmp_path: Path) -> None:
    """In both forms."""
    path = VECTORS / "worlds" / "Saltmere atlas.json"
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, path)
        face = await world.face()
        (stored,) = await world.database.read(books.listed)
        assert await exported(face, f"/export lorebook {stored.name}", tmp_path) == [path.read_bytes()]
        (v3,) = await exported(face, f"/export lorebook {stored.name} v3", tmp_path)
        assert len(reader.read(v3).books[0].entries) == len(
            reader.read(path.read_bytes()).books[0].entries
        )
        await face.say("/export lorebook nothing")
        await trio.testing.wait_all_tasks_blocked()
        assert stored.name in face.of(ErrorEvent)[-1].content


async def test_an_untouched_chat_comes_out_as_it_came(tmp_path: Path) -> None:
    """The trunk byte for byte; the branch beside it, and all of it is recognised."""
    trunk, branch = (VECTORS / "chats" / f"corvin_{name}.jsonl" for name in ("solo", "branch"))
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, trunk, branch)
        (stored,) = await world.database.read(stories.sessions)
        face = await world.face()
        await face.say(f"/session continue {stored.id}")
        out = await exported(face, "/export sillytavern", tmp_path)
        assert len(out) == 2
        assert trunk.read_bytes() in out
        for data in out:
            (tmp_path / "again.jsonl").write_bytes(data)
            await bring(world, tmp_path / "again.jsonl")
        (again,) = await world.database.read(stories.sessions)
        assert again.messages == stored.messages


LINES = [("Ada", "Evening."), ("You", "Is it late?"), ("Ada", "Ten past.")]


@pytest.mark.parametrize("form", library_files.STORY_FORMATS)
async def test_a_story_played_on_is_read_again(tmp_path: Path, form: str) -> None:
    """Imported, continued with a second variant, exported, and imported elsewhere: the same tree."""
    chat = import_files.chat(tmp_path / "Ada - one.jsonl", LINES)
    (tmp_path / "other").mkdir()
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, chat)
        (stored,) = await world.database.read(stories.sessions)
        face = await world.face()
        await face.say(f"/session continue {stored.id}")
        await face.say_and_wait("I sit down.")
        world.provider.pieces = words("Another evening comes. ")
        await face.say("/retry")
        await world.engine.turns.wait_idle()
        out = await exported(face, f"/export {form}", tmp_path)
        told = [m.content for m in await world.database.read(stories.active_path, stored.id)]
    async with engine_world(tmp_path / "other" / "flower.db") as world:
        for number, data in enumerate(out):
            path = tmp_path / f"again{number}.jsonl"
            path.write_bytes(data)
            await bring(world, path)
        (again,) = await world.database.read(stories.sessions)
        path_ = await world.database.read(stories.active_path, again.id)
        assert [m.content for m in path_] == told
        assert (await world.database.read(tree.variants, [path_[-1].id]))[path_[-1].id][1] == 2
        assert again.messages == 6


async def test_an_export_takes_nothing_else_s_place(tmp_path: Path) -> None:
    """The second one gets a number."""
    first = files.write_named(b"a", tmp_path, "ada.png")
    second = files.write_named(b"b", tmp_path, "ada.png")
    assert (first.read_bytes(), second.read_bytes(), second.name) == (b"a", b"b", "ada 2.png")
    with pytest.raises(CommandError, match="cannot be written"):
        files.write_named(b"c", first, "below-a-file.png")


async def test_quick_replies_come_in_again(tmp_path: Path) -> None:
    """As a set of version 2; what Flower has no use for stays, and there need not have been a file."""
    reply = {"id": 4, "label": "Look", "message": "I look.", "title": "t", "isHidden": False, "x": 1}
    source = {"version": 2, "name": "Evening", "color": "red", "qrList": [reply], "idIndex": 9}
    path = import_files.write(tmp_path / "evening.json", source)
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, path)
        face = await world.face()
        (data,) = await exported(face, "/export replies evening", tmp_path)
        assert json.loads(data) == source | {"disableSend": False, "placeBeforeInput": False,
                                            "injectInput": False, "onlyBorderColor": False, "idIndex": 5}  # fmt: skip
        own = [("Look", "I look."), ("Wait", "I wait.")]
        await world.database.write(quick_replies.put, "Evening", own)
        (data,) = await exported(face, "/export replies", tmp_path)
        (again,) = reader.read(data, "x").quick_replies
        assert [(one.label, one.text) for one in again.replies] == own
        assert again.replies[0].source["x"] == 1
        await face.say("/export replies morning")
        await trio.testing.wait_all_tasks_blocked()
        assert "There is: Evening." in face.of(ErrorEvent)[-1].content


async def test_a_cast_is_a_group_that_is_read_again(tmp_path: Path) -> None:
    """With the group's own file, where there was one, and without."""
    line = {"name": "Ada", "is_user": False, "mes": "Aye.", "send_date": "2024-01-02T03:00:00.000Z"}
    paths = [
        import_files.write(tmp_path / "Ada.json", import_files.card("Ada")),
        import_files.write(tmp_path / "Bo.json", import_files.card("Bo")),
        import_files.write(tmp_path / "7.jsonl", line),
    ]
    group = {
        "id": "7",
        "name": "Two",
        "members": ["Ada.png", "Bo.png"],
        "chat_id": "7",
        "chats": ["7"],
        "x": 1,
    }
    given = import_files.write(tmp_path / "group.json", group)
    async with engine_world(tmp_path / "flower.db") as world:
        await bring(world, *paths, given)
        (story,) = await world.database.read(stories.sessions)
        face = await world.face()
        await face.say(f"/session continue {story.id}")
        written = await exported(face, "/export sillytavern all", tmp_path)
        (again,) = [json.loads(data) for data in written if b"members" in data]
        assert again == group
        await face.say("/cast remove bo")
        assert len(await exported(face, "/export sillytavern all", tmp_path)) == 1
    (tmp_path / "other").mkdir()
    async with engine_world(tmp_path / "other" / "flower.db") as world:
        await bring(world, *paths[:2])
        face = await world.face()
        for command in ("/character select ada", "/session new", "/cast add bo"):
            await face.say(command)
        written = await exported(face, "/export sillytavern all", tmp_path / "other")
        (data,) = [one for one in written if b"members" in one]
        (found,) = reader.read(data, "x").groups
        assert found.members == ("Ada.png", "Bo.png")
        assert len(found.chats) == len(written) - 1
