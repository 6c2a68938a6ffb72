"""What a user makes or imports is theirs alone: in their lists and stories, and nobody else's, whatever they try."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.assets.shelves import OwnShelf, Shelf, owned, owner_of, plain
from flower.engine.commands import lookup
from flower.engine.store import users
from flower.engine.store.connection import Connection
from flower.engine.store.library import own_assets
from flower.engine.store.transactions import Inline
from flower.errors import ImportFileError
from tests import import_files, postgres_cluster, stores
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, words
from tests.table_world import HOME, NAMES, OWNER, PLAYER, READER, STRANGER, face_of, hear

SECRET = "quince"
KINDS = ["sqlite", pytest.param("postgres", marks=postgres_cluster.needed)]


def test_ids_say_whose_something_is() -> None:
    assert [owner_of(one) for one in ("mara", "mara~3", "mara~", "mara~x", "~", "a~²")] == [
        0,
        3,
        0,
        0,
        0,
        0,
    ]
    assert owned("mara", 0) == "mara" == plain("mara~3") == plain(owned("mara", 12))


def test_a_shelf_lists_nothing_of_users_and_finds_it_by_its_id() -> None:
    shelf = Shelf({"a": 1}, lambda user: {"b~3": 2} if user == 3 else {})
    assert (list(shelf), len(shelf), shelf["b~3"]) == (["a"], 1, 2)
    assert "b~4" not in shelf
    assert "b" not in shelf


def test_an_own_shelf_has_what_is_everybodys_and_hides_what_is_called_the_same() -> None:
    shelf = OwnShelf(3, {"a~3": 1}, {"a": 2, "b": 3})
    assert list(shelf) == ["a~3", "b"]
    assert (shelf["a"], shelf["a~3"], shelf["b"], len(shelf)) == (1, 1, 3, 2)
    assert "a~4" not in shelf


class Shelves:
    """A home in which Ines has a library of her own, a story that is played with it, and Ned at her table."""

    def __init__(self, world: EngineWorld, owner: Face, path: Path) -> None:
        self.world, self.owner, self.path = world, owner, path

    async def take(self, value: object, name: str, user: int) -> tuple[str, ...]:
        file = import_files.write(self.path / name, value)
        importer = self.world.engine.imports.importer
        return (await importer.take(file, name, user=user, scripts_allowed=True)).items

    async def rows(self) -> str:
        return await self.world.database.read(_rows)


def _rows(db: Connection) -> str:
    """Everything of Ines's library, but for when the lore was read."""
    found = db.execute("SELECT * FROM own_assets WHERE owner = 1 ORDER BY 1, 2, 3").fetchall()
    for table, key in (("characters", "id"), ("books", "id"), ("scripts", "id")):
        column = "character_id LIKE '%~1'" if table == "scripts" else "owner = 1"
        found += db.execute(f"SELECT * FROM {table} WHERE {column} ORDER BY {key}").fetchall()
    found += db.execute("SELECT * FROM book_owners WHERE owner LIKE '%~1' ORDER BY 1, 2, 3").fetchall()
    found += db.execute("SELECT world_id, text FROM attached_lore WHERE world_id LIKE '%~1'").fetchall()
    return repr(found)


BOOK = {"name": f"The {SECRET} book",
        "entries": [{"keys": ["bell"], "content": f"Bells taste of {SECRET}.", "enabled": True,
                     "insertion_order": 1, "extensions": {}}], "extensions": {}}  # fmt: skip
SCRIPT = {"scriptName": f"{SECRET} script", "findRegex": "/xyz/g", "replaceString": SECRET,
          "placement": [2], "disabled": False}  # fmt: skip


@asynccontextmanager
async def shelves(folder: Path, kind: str = "sqlite") -> AsyncIterator[Shelves]:
    provider = ScriptedProvider(words("The tide turns. "))
    path = folder / "flower.db"
    path.touch()
    async with engine_world(
        path, provider, database=await stores.opened(kind, path, Inline())
    ) as world:
        for name in NAMES:
            await world.database.write(users.add, name, 1.0)
        owner = await face_of(world, OWNER)
        at = Shelves(world, owner, folder)
        for line in (f"/character new Olga|She sells {SECRET}.",
                     f"/world new Isle|You land at the {SECRET} quay.",
                     f"/rules new Fruit|Speak of {SECRET}.", f"/lorebook new {SECRET} lore",
                     f"/character edit olga name Olga of {SECRET}", f"/world edit isle name Isle of {SECRET}",
                     f"/rules edit fruit name {SECRET}", "/world select isle",
                     f"/world attach_lore The {SECRET} is in the cave."):  # fmt: skip
            await owner.say(line)
        extra = {"extensions": {"regex_scripts": [SCRIPT]}, "tags": [SECRET]}
        card = import_files.card("Ada", character_book=BOOK, **extra)
        await at.take(card, "ada.json", OWNER)
        for line in ("/character select olga", "/session new", "/rules add fruit",
                     "/cast add ada", "/session rename Quiet", "/table invite ned",
                     "/table invite mara reader"):  # fmt: skip
            await owner.say(line)
        await trio.testing.wait_all_tasks_blocked()
        yield at


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_user_makes_is_in_their_lists_and_prompts(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    async with shelves(tmp_path, kind) as at:
        owner, provider = at.owner, at.world.provider
        await owner.say_and_wait("I ring the bell.")
        asked = repr(provider.completions[-1])
        for told in (
            f"She sells {SECRET}",
            f"Speak of {SECRET}",
            "Ada mends",
            f"taste of {SECRET}",
        ):
            assert told in asked, told
        heard = await hear(owner, "/character list") + await hear(owner, "/lorebook list")
        assert "olga~1" in heard
        assert f"The {SECRET} book" in heard
        again = await face_of(at.world, OWNER, "phone")
        await trio.testing.wait_all_tasks_blocked()
        assert "isle~1" in repr(again.events)
        assert "changed" in await hear(owner, "/character edit olga persona She sells lamps.")
        assert "no longer in your library" in await hear(owner, "/character delete olga")
        assert "olga~1" not in await hear(owner, "/character list")


def tries(at: Shelves) -> list[str]:
    """Every command, with everything that could name something in the library; goodbye last."""
    ids = (
        "olga~1",
        "olga",
        "ada~1",
        "isle~1",
        "fruit~1",
    )
    books = ("1", "2")
    ends = ["", *(f" {one}" for one in (*ids, *books)), f" {ids[0]} persona Changed.", f" {ids[0]} mine",
            f" {ids[3]} mine", " 1 1 content Changed.", " 2 for world", " 2|Mine", " books", " all"]  # fmt: skip
    lines = [
        f"{name}{end}" for name in lookup.BY_NAME if name not in ("/quit", "/cancel") for end in ends
    ]
    lines += [f"/form save 0 character {ids[0]}", f"/form save 0 world {ids[3]}", "/form save 0 lorebook 2",
              "/form save 0 entry 2 0", f"/world select {ids[3]}"]  # fmt: skip
    return lines


@pytest.mark.parametrize(
    ("user", "kind"),
    [(STRANGER, "sqlite"), (HOME, "sqlite"), pytest.param(STRANGER, "postgres", marks=postgres_cluster.needed)],
)  # fmt: skip
async def test_nobody_else_reads_or_changes_it(
    autojump_clock: MockClock, tmp_path: Path, user: int, kind: str
) -> None:
    async with shelves(tmp_path, kind) as at:
        before = await at.rows()
        face = await face_of(at.world, user)
        await face.say("/world select harbour")
        await face.say("/session new")
        lines = tries(at)
        for line in lines if kind == "sqlite" else lines[::9]:
            assert SECRET not in await hear(face, line), line
        assert await at.rows() == before
        assert not list(tmp_path.glob("exports/**/*olga*"))
        assert not list(tmp_path.glob("exports/**/ada*"))


@pytest.mark.parametrize("user", [PLAYER, READER])
async def test_at_a_table_it_is_played_with_and_nobody_takes_it_along(
    autojump_clock: MockClock, tmp_path: Path, user: int
) -> None:
    async with shelves(tmp_path) as at:
        before, story = await at.rows(), at.owner.client.session
        assert story is not None
        face = await face_of(at.world, user)
        await face.say(f"/session continue {story.id}")
        assert face.client.session is story
        for line in ("/character edit olga~1", "/character edit", "/world edit", "/export character",
                     "/character copy olga mine", "/world copy isle~1 mine", "/lore list",
                     "/lore search cave", "/lore show 1", "/lorebook show 2", "/library characters",
                     "/export character ada~1", "/lore delete 1", "/world attach_lore Mine.",
                     "/script off all", "/form save 0 world isle~1"):  # fmt: skip
            heard = await hear(face, line)
            assert "✓" not in heard, line
            assert f"sells {SECRET}" not in heard, line
            assert "in the cave" not in heard, line
        assert await at.rows() == before
        await face.say("/session new")  # in the world that was seen there, if that could be
        await trio.testing.wait_all_tasks_blocked()
        assert face.client.session is story
        await face.say("/world select harbour")
        await face.say("/session new")
        assert face.client.session not in (story, None)
        at.world.provider.completions.clear()
        await face.say_and_wait("I ring the bell.")
        assert SECRET not in repr(at.world.provider.completions[-1])


async def test_two_users_may_call_theirs_the_same(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with shelves(tmp_path) as at:
        ned = await face_of(at.world, PLAYER)
        await ned.say("/character new Nell|She mends nets.")
        await ned.say("/character copy nell mara")  # hides everybody's Mara from him
        await at.owner.say("/character new Nell|She paints.")
        assert "mends nets" in await hear(ned, "/character edit nell persona")
        assert "paints" in await hear(at.owner, "/character edit nell persona")
        assert "mends nets" in await hear(ned, "/character edit mara persona")
        listed = await hear(ned, "/character list")
        assert "mara~2" in listed
        assert "counsel" not in listed
        home = await at.world.face()
        assert "counsel" in await hear(home, "/character list")


async def test_what_is_everybodys_is_copied_and_not_changed(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with shelves(tmp_path) as at:
        for line in ("/character edit mara persona Loud.", "/world edit harbour scene Noon.", "/rules delete slow",
                     "/lore add harbour Mine.", "/character delete mara", "/form save 0 character mara"):  # fmt: skip
            assert "everybody's" in await hear(at.owner, line), line
        assert "is a copy" in await hear(at.owner, "/world copy harbour mine")
        assert "Harbour" in await hear(at.owner, "/world edit mine name")


async def test_cards_of_two_people_stay_apart(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with shelves(tmp_path) as at:
        card = import_files.card("Ada")
        assert await at.take(card, "a.json", PLAYER) == ("character Ada (ada~2)",)
        assert await at.take(card, "b.json", OWNER) == ("character Ada (ada~1)",)
        assert await at.take(card, "c.json", HOME) == ("character Ada (ada)",)
        assert await at.take(card, "c.json", PLAYER) == ("c",)  # it is here already
        newer = import_files.card("Ada", description="Ada mends bells.", creator="somebody")
        assert await at.take(newer, "a.json", PLAYER) == ("character Ada (ada~2)",)
        home = await at.world.face()
        assert "mends clocks" in await hear(home, "/character list")
        with pytest.raises(ImportFileError, match="for everybody"):
            await at.take([SCRIPT], "script.json", PLAYER)


async def test_chats_of_two_people_become_two_stories(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    lines = [("Ada", "Good evening."), ("You", "Hello."), ("Ada", "Sit.")]
    async with shelves(tmp_path) as at:
        file = import_files.chat(tmp_path / "Ada - 1.jsonl", lines)
        importer = at.world.engine.imports.importer
        stories_ = []
        for user in (OWNER, PLAYER, HOME):
            (item,) = (await importer.take(file, file.name, user=user)).items
            stories_.append(item.split("(")[1].split(",")[0])
        assert len(set(stories_)) == 3
        ned = await face_of(at.world, PLAYER)
        listed = await hear(ned, "/session list")
        assert stories_[1] in listed
        assert stories_[0] not in listed


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_stays_of_who_is_removed(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    async with shelves(tmp_path, kind) as at:
        assert await at.world.database.read(own_assets.count, OWNER) == 6
        assert await at.world.database.read(own_assets.size, OWNER) > 500
        await at.world.database.write(users.remove, OWNER, 2.0)
        assert await at.rows() == "[]"
        scopes = await at.world.database.read(
            lambda db: db.execute("SELECT scope FROM passages WHERE scope LIKE '%~1'").fetchall()
        )
        assert scopes == []


async def test_a_full_library_takes_no_more(autojump_clock: MockClock, tmp_path: Path) -> None:
    from flower.engine.store import allowances

    async with shelves(tmp_path) as at:
        await at.world.database.write(allowances.set_limit, OWNER, "library", "6")
        for line in ("/character new Nell|A cook.", "/lorebook new More", "/world copy harbour other",
                     "/character draft a cook", f"/lorebook copy The {SECRET} book|More"):  # fmt: skip
            assert "6 is the most" in await hear(at.owner, line), line
        with pytest.raises(ImportFileError, match="may have 6"):
            await at.take(import_files.card("Nell"), "nell.json", OWNER)
        assert "6 is the most" not in await hear(at.owner, "/rules edit fruit prompt Less.")


async def test_a_library_that_is_not_needed_is_let_go_and_read_again(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower.engine.sessions.own_libraries.KEPT", 1)
    async with shelves(tmp_path) as at:
        libraries = at.world.engine.libraries
        at.world.engine.disconnect(at.owner.client)
        await face_of(at.world, PLAYER)
        await face_of(at.world, STRANGER)
        assert not libraries.of(OWNER).worlds
        again = await face_of(at.world, OWNER)
        assert "isle~1" in libraries.of(OWNER).worlds
        assert again.client.session is not None


@postgres_cluster.needed
async def test_another_engine_hears_of_it(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with shelves(tmp_path, "postgres") as at:
        libraries = at.world.engine.libraries
        other = libraries.of(OWNER).rules.copy()
        libraries.of(OWNER).rules.clear()
        at.world.engine._on_change_elsewhere("characters", str(OWNER))
        await trio.testing.wait_all_tasks_blocked()
        assert libraries.of(OWNER).rules == other != {}


async def test_what_is_damaged_keeps_nobody_out(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with shelves(tmp_path) as at:
        for table in ("own_assets", "characters"):
            await at.world.database.write(
                lambda db, table=table: db.execute(
                    f"UPDATE {table} SET packed = x'0102' WHERE id LIKE 'a%' OR id LIKE 'o%'"
                )
            )
        await at.world.engine.libraries.read_again("")
        again = await face_of(at.world, OWNER, "phone")
        await trio.testing.wait_all_tasks_blocked()
        assert "isle~1" in repr(again.events)
        assert f"Olga of {SECRET}" not in repr(again.events)
