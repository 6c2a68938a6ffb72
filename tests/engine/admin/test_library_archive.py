"""Everything of a home as one archive: out of one home, into another, and equal there."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio.testing

from flower import limits
from flower.engine.admin import export_cli
from flower.engine.export import library_archive
from flower.engine.importing.importer import Importer
from flower.engine.importing.library_archive import is_library
from flower.engine.store import stories
from flower.engine.store.library import books, personas, scripts
from flower.engine.store.library.books import Owner
from flower.engine.store.sqlite.file import reading
from flower.errors import CommandError, ImportFileError, UnknownPlayerError
from flower.home import Home
from flower.protocol.messages import ErrorEvent, SystemUpdate
from tests import import_files, postgres_cluster, stores
from tests.engine_world import EngineWorld, engine_world
from tests.interchange_files import files

WORLD = "id: fen\nname: The fen\nlore: Reeds.\n"
SCRIPT = {"scriptName": "Hide", "findRegex": "/b/g", "replaceString": "", "placement": [2]}


async def _take(importer: Importer, path: Path, name: str) -> None:
    try:
        await importer.take(path, name)
    except UnknownPlayerError as asked:
        await importer.take(path, name, asked.speakers[-1])


async def fill(world: EngineWorld, folder: Path) -> None:
    """Imports a file of every kind and plays a little with a card that has scripts."""
    importer = world.engine.imports.importer
    for number, (kind, data) in enumerate(files().items()):
        path = folder / f"{number}.bin"
        path.write_bytes(data)
        await _take(importer, path, f"{kind.value}.png")
    card = import_files.card(extensions={"regex_scripts": [SCRIPT]})
    path = import_files.write(folder / "ada.json", card)
    await importer.take(path, path.name, scripts_allowed=True)
    face = await world.face()
    for line in (
        "/character select ada",
        "/session new",
        "/set temperature 0.5",
        "/persona Ines|A pilot.",
    ):
        await face.say(line)
    await face.say_and_wait("I knock.")
    await face.say_and_wait("/retry")
    for line in ("/note depth 2, Fog.", "/sheet set HP 3", "/inv add A lamp", "/branch the other door",
                 "/set model temperature 0.7"):  # fmt: skip
        await face.say(line)
    await face.say_and_wait("I wait.")
    assets = folder / "assets" / "worlds"
    assets.mkdir(parents=True, exist_ok=True)
    (assets / "fen.yaml").write_text(WORLD)


def write(database: Path, out: Path) -> Path:
    with reading(database) as db:
        library_archive.write(db, database.parent / "assets", out)
    return out


def content(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def test_a_library_comes_back_equal_elsewhere(tmp_path: Path) -> None:
    """Every row, file and asset; what it is made of is written again byte for byte."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    async with engine_world(one / "flower.db") as world:
        await fill(world, one)
    archive = write(one / "flower.db", tmp_path / "library.zip")
    assert is_library(archive)
    async with engine_world(two / "flower.db") as world:
        importer = world.engine.imports.importer
        taken = await importer.take(archive, "library.zip", scripts_allowed=True)
        assert (taken.kind, taken.state) == ("Flower library", "new")
        assert any("characters" in item for item in taken.items)
        assert "ada" in world.engine.services.assets.characters
        again = await importer.take(archive, "library.zip", scripts_allowed=True)
        assert again.state == "already here", again
        face = await world.face()
        listed = await world.database.read(stories.sessions)
        played = next(one for one in listed if one.character_id == "ada" and one.messages > 3)
        await face.say(f"/session continue {played.id}")
        await face.say_and_wait("And now?")
        assert "A pilot." in world.provider.completions[-1].messages[0].content
    assert (two / "assets" / "worlds" / "fen.yaml").read_text() == WORLD
    first, second = content(archive), content(write(two / "flower.db", tmp_path / "again.zip"))
    assert second.keys() == first.keys()
    changed = {name for name in first if first[name] != second[name]}
    # It was played on: that story has more messages and memories, and stands elsewhere.
    assert changed <= {f"rows/{table}.jsonl" for table in ("sessions", "messages", "passages")}
    assert set(first["rows/messages.jsonl"].splitlines()) <= set(second["rows/messages.jsonl"].splitlines()) | {
        line for line in first["rows/messages.jsonl"].splitlines() if json.loads(line)["chosen"] is None
    }  # fmt: skip


async def test_the_same_library_gives_the_same_bytes(tmp_path: Path) -> None:
    """Out of a home it was taken over into, untouched."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    async with engine_world(one / "flower.db") as world:
        await fill(world, one)
    archive = write(one / "flower.db", tmp_path / "library.zip")
    async with engine_world(two / "flower.db") as world:
        await world.engine.imports.importer.take(archive, "library.zip", scripts_allowed=True)
    again = write(two / "flower.db", tmp_path / "again.zip")
    assert content(again) == content(archive)
    assert again.read_bytes() == archive.read_bytes()


async def test_a_library_joins_what_is_here(tmp_path: Path) -> None:
    """Numbers are moved, bindings follow, what is here stays, and scripts rest without a yes."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    async with engine_world(one / "flower.db") as world:
        await fill(world, one)

        def bind(db: sqlite3.Connection) -> None:
            number = personas.put(db, "Wren", "the other", "Walks.", 1.0)
            book = books.listed(db)[0]
            books.give(db, book.id, Owner.PERSONA, str(number))
            personas.bind(db, number, "character", "ada")

        await world.database.write(bind)
    archive = write(one / "flower.db", tmp_path / "library.zip")
    async with engine_world(two / "flower.db") as world:
        own = await world.playing()
        await own.say_and_wait("A line of this home.")
        importer = world.engine.imports.importer
        path = import_files.write(two / "ada.json", import_files.card(description="Another Ada."))
        await importer.take(path, path.name)
        taken = await importer.take(archive, "library.zip")
        assert any("scripts are off" in notice for notice in taken.notices)
        assert world.engine.services.assets.characters["ada"].persona.startswith("Another Ada.")
        assert not [
            s for s in await world.database.read(scripts.listed, ("ada",)) if s.character_id and s.is_on
        ]
        await own.say_and_wait("And another.")
        assert own.client.session is not None
        mine = await world.database.read(stories.active_path, own.client.session.id)
        assert [m.content for m in mine if m.role == "user"] == ["A line of this home.", "And another."]

        def bound(db: sqlite3.Connection) -> tuple[str, int]:
            found = personas.for_story(db, "", "ada")
            assert found is not None
            return found.name, len(books.holding(db, persona=found.id))

        assert await world.database.read(bound) == ("Wren", 1)
        for stored in await world.database.read(stories.sessions):
            path_ = await world.database.read(stories.active_path, stored.id)
            assert all(message.session_id == stored.id for message in path_)


def damaged(change: Callable[[dict[str, bytes]], None], archive: Path, out: Path) -> Path:
    members = content(archive)
    change(members)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return out


def _rows(table: str, **changes: object) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        name = f"rows/{table}.jsonl"
        found = [json.loads(line) for line in members[name].splitlines()]
        members[name] = b"\n".join(json.dumps({**row, **changes}).encode() for row in found)

    return change


def _set(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({name: data})


@pytest.mark.parametrize(
    "change",
    [
        _set("rows/messages.jsonl", b"{"),
        _set("rows/messages.jsonl", b"[1]"),
        _set("rows/characters.jsonl", b'{"id": "x", "value": {}}'),
        _set("flower-library.json", b'{"flower_library": 99}'),
        _set("flower-library.json", b"null"),
        _rows("messages", role="wizard"),
        _rows("messages", id=1),
        _rows("messages", id=2**60),
        _rows("messages", parent_id=10**6),
        _rows("messages", extra="[" * 5_000),
        _rows("sessions", id="../../etc"),
        _rows("characters", value={"id": "other", "name": 3}),
        _rows("originals", hash={"base64": "AAAA"}),
        _rows("originals", hash={"base64": "*"}),
        _rows("books", value=7),
        lambda members: members.update({n: b"x" for n in members if n.startswith("originals/")}),
    ],
)
async def test_a_damaged_library_is_one_sentence_and_nothing_of_it(
    change: Callable[[dict[str, bytes]], None], tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    async with engine_world(one / "flower.db") as world:
        path = import_files.write(one / "ada.json", import_files.card(character_book={"entries": []}))
        await world.engine.imports.importer.take(path, path.name)
        face = await world.playing()
        await face.say_and_wait("I knock.")
    archive = write(one / "flower.db", tmp_path / "library.zip")
    broken = damaged(change, archive, tmp_path / "broken.zip")
    async with engine_world(two / "flower.db") as world:
        with pytest.raises(ImportFileError) as refused:
            await world.engine.imports.importer.take(broken, "broken.zip")
        assert "\n" not in str(refused.value)
    with closing(sqlite3.connect(two / "flower.db")) as db:
        for table in ("sessions", "messages", "characters", "books", "originals"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


async def test_assets_of_a_library_take_no_path(tmp_path: Path) -> None:
    """Names that lead elsewhere are passed over, and a file that is here stays."""
    home = tmp_path / "home"
    (home / "assets" / "worlds").mkdir(parents=True)
    (home / "assets" / "worlds" / "fen.yaml").write_text("mine")
    archive = tmp_path / "library.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("flower-library.json", b'{"flower_library": 1}')
        for name in ("../evil.yaml", "worlds/../../evil.yaml", "/tmp/evil.yaml", "worlds/fen.yaml",
                     "worlds/new.yaml", "worlds/.hidden.yaml", "config/evil.yaml"):  # fmt: skip
            made.writestr(f"assets/{name}", WORLD)
    async with engine_world(home / "flower.db") as world:
        taken = await world.engine.imports.importer.take(archive, "library.zip")
    assert any("fen.yaml" in notice for notice in taken.notices)
    assert (home / "assets" / "worlds" / "fen.yaml").read_text() == "mine"
    assert sorted(p.name for p in home.rglob("*.yaml")) == ["fen.yaml", "new.yaml"]
    assert not list(tmp_path.rglob("evil*"))


async def test_a_library_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many files, how large, and how much they grow."""
    archive = tmp_path / "library.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("flower-library.json", b'{"flower_library": 1}')
        made.writestr("rows/messages.jsonl", b" " * (3 * limits.MIB))
    async with engine_world(tmp_path / "flower.db") as world:
        importer = world.engine.imports.importer
        for name, most in (("LIBRARY_BYTES", 200), ("LIBRARY_BYTES", limits.MIB), ("LIBRARY_MEMBERS", 1),
                           ("LIBRARY_ROW_BYTES", limits.KIB)):  # fmt: skip
            with monkeypatch.context() as patched:
                patched.setattr(limits, name, most)
                with pytest.raises(ImportFileError):
                    await importer.take(archive, "library.zip")


# --- the shell ----------------------------------------------------------------------------------


async def test_the_shell_writes_characters_lorebooks_stories_and_all(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each in its formats; nothing is written over; what does not exist is named."""
    home = Home(tmp_path)
    async with engine_world(home.database) as world:
        await fill(world, tmp_path)
        listed = await world.database.read(stories.sessions)
        session = next(one.id for one in listed if one.character_id == "ada")
    out = tmp_path / "out"
    for name, form in (("a.png", ""), ("a.json", ""), ("a2.json", "v2"), ("a.charx", "")):
        assert export_cli.character(home, "ada", form=form, output=str(out / name)) == 0
    assert (out / "a.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "a.json").read_text())["spec"] == "chara_card_v3"
    assert json.loads((out / "a2.json").read_text())["spec"] == "chara_card_v2"
    with reading(home.database) as db:
        book = books.listed(db)[0]
    assert export_cli.lorebook(home, str(book.id), form="v3", output=str(out / "book.json")) == 0
    assert json.loads((out / "book.json").read_text())["spec"] == "lorebook_v3"
    for form in ("md", "html", "txt", "jsonl", "sillytavern", "flower"):
        target = str(out / f"story.{form}")
        assert export_cli.run(home, session, form=form, output=target, whole=False) == 0
    many = out / "leaves"
    many.mkdir()
    assert export_cli.run(home, session, form="sillytavern", output=str(many), whole=True) == 0
    assert len(list(many.glob("*.jsonl"))) >= 2
    assert export_cli.library(home, out / "all.zip") == 0
    assert is_library(out / "all.zip")
    capfd.readouterr()
    assert export_cli.lorebook(home, str(book.id), form="", output="-") == 0
    assert "entries" in json.loads(capfd.readouterr().out)
    for call in (
        lambda: export_cli.library(home, out / "all.zip"),
        lambda: export_cli.character(home, "ada", form="", output=str(out / "a.png")),
        lambda: export_cli.character(home, "adda", form="", output="-"),
        lambda: export_cli.character(home, "ada", form="gif", output="-"),
        lambda: export_cli.lorebook(home, "nothing", form="", output="-"),
        lambda: export_cli.run(home, "nothing", form="flower", output="-", whole=False),
    ):
        with pytest.raises(CommandError):
            call()


async def test_a_library_is_written_from_inside(tmp_path: Path) -> None:
    """Into the folder of exports, each time under a name of its own."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await face.say_and_wait("I knock.")
        await face.say("/export library")
        await face.say("/export library")
        await trio.testing.wait_all_tasks_blocked()
        written = [event.content for event in face.of(SystemUpdate) if "Written" in event.content]
    assert len(written) == 2
    made = sorted((tmp_path / "exports").iterdir())
    assert [path.name for path in made] == ["flower-library 2.zip", "flower-library.zip"]
    assert made[0].read_bytes() == made[1].read_bytes()


@pytest.mark.parametrize(("first", "then"), [("sqlite", "postgres"), ("postgres", "sqlite")])
@pytest.mark.skipif(bool(postgres_cluster.why_not()), reason=postgres_cluster.why_not())
async def test_a_library_goes_from_one_database_into_another(
    tmp_path: Path, first: str, then: str
) -> None:
    """A server's library is the same archive as a file's, and rows that come later have numbers of their own."""
    homes = [tmp_path / kind for kind in (first, then)]
    archives = [tmp_path / f"{kind}.zip" for kind in (first, then)]
    for number, (kind, home) in enumerate(zip((first, then), homes, strict=True)):
        home.mkdir()
        store = await stores.opened(kind, home / "flower.db")
        async with engine_world(home / "flower.db", database=store) as world:
            importer = world.engine.imports.importer
            if number:
                await importer.take(archives[0], "library.zip", scripts_allowed=True)
            else:
                await fill(world, home)
                for line in (
                    "/character favourite ada",
                    "/preset save calm",
                    "/lorebook favourite Quay",
                ):
                    await (await world.face()).say(line)
            await store.read_slowly(library_archive.write, home / "assets", archives[number])
            if number:
                face = await world.playing()
                await face.say_and_wait("And now?")
                assert not face.of(ErrorEvent)
    one, two = (content(path) for path in archives)
    assert {n: sorted(d.splitlines()) for n, d in two.items()} == {
        n: sorted(d.splitlines()) for n, d in one.items()
    }
