"""A folder of lore: whatever happens to its files, the world's lore is equal to it."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from flower import limits
from flower.engine.lorebook.book import Entry
from flower.engine.recall.folders import Folder
from flower.engine.recall.library import PassageLibrary
from flower.engine.recall.lore_files import is_remote, list_files
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline
from tests.fakes import HashEmbedder, without_vectors

SCOPE = "lore:vael"


class World:
    """A folder, a library, and what was said."""

    def __init__(self, root: Path, library: PassageLibrary, embedder: HashEmbedder) -> None:
        self.root = root
        self.library = library
        self.embedder = embedder
        self.said: list[str] = []
        self.folder = Folder(library, SCOPE, root, self.said.append)

    def write(self, name: str, text: str | bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    async def lore(self) -> dict[str, str]:
        return {p.source: p.text for p in await self.library.list(SCOPE, limit=1000)}


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    root = folder / "lore"
    root.mkdir(exist_ok=True)
    database = await Database.open(folder / "flower.db", Inline())
    embedder = HashEmbedder()
    library = PassageLibrary(database, embedder, folder / "index", notify=lambda line, progress: None)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(library.run)
            yield World(root, library, embedder)
            nursery.cancel_scope.cancel()
    finally:
        await database.aclose()


async def test_added_changed_moved_and_deleted_files_are_followed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.write("docks.md", "Fog and tar.")
        world.write("people/mara.txt", "A diver.")
        world.write("people/notes.pdf", "not lore")
        world.write(".hidden.md", "not lore")
        assert await world.folder.compare() == 2
        assert await world.lore() == {
            "file:docks.md": "Fog and tar.",
            "file:people/mara.txt": "A diver.",
        }
        (found,) = await world.library.search(SCOPE, "diver", limit=1)
        assert found.passage.title == "people > mara"
        assert await world.folder.compare() == 0
        (world.root / "docks.md").rename(world.root / "harbour.md")
        world.write("people/mara.txt", "A diver and thief.")
        await world.folder.compare()
        (world.root / "harbour.md").unlink()
        await world.folder.compare()
        assert await world.lore() == {"file:people/mara.txt": "A diver and thief."}


async def test_lore_from_elsewhere_is_left_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.library.sync_source(SCOPE, "world", "", "The world's own lore.")
        await world.folder.compare()
        assert "world" in await world.lore()


async def test_files_that_cannot_be_lore_are_told_once_and_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SOURCE_BYTES", limits.MIB)
    async with open_world(tmp_path) as world:
        world.write("good.md", "Good.")
        world.write("picture.md", b"\x89PNG\0\0")
        world.write("latin.txt", "Brücke".encode("latin-1"))
        world.write("long.txt", "x" * (limits.MIB + 1))
        (world.root / "gone.md").symlink_to(world.root / "nowhere.md")
        for _ in range(2):
            await world.folder.compare()
        assert list(await world.lore()) == ["file:good.md"]
        assert sorted(world.said) == [
            "✗ latin.txt is skipped: it is not UTF-8 (byte 2).",
            "✗ long.txt is skipped: it is larger than 1 MiB.",
            "✗ picture.md is skipped: it is no text.",
        ]


async def test_only_changed_passages_are_embedded_and_nothing_after_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.write("a.md", "# One\n\nFirst.\n\n# Two\n\nSecond.")
        await world.folder.compare()
        await _embedded(world)
        world.write("a.md", "# One\n\nFirst.\n\n# Two\n\nAnother second.")
        os.utime(world.root / "a.md", ns=(1, 1))
        world.embedder.embedded.clear()
        await world.folder.compare()
        await _embedded(world)
        assert world.embedder.embedded == ["a > Two\nAnother second."]
    async with open_world(tmp_path) as world:
        assert await world.folder.compare() == 0
        await _embedded(world)
        assert world.embedder.embedded == []


async def _embedded(world: World) -> None:
    while await without_vectors(world.library):
        await trio.lowlevel.checkpoint()


async def test_changes_are_seen_while_it_follows(tmp_path: Path) -> None:
    """Real clock and real notifications."""
    async with open_world(tmp_path) as world, trio.open_nursery() as nursery:
        world.write("a.md", "First.")
        nursery.start_soon(world.folder.follow)
        with trio.fail_after(15):
            await _until(world, {"file:a.md": "First."})
            await trio.sleep(
                0.3
            )  # the watch begins after the first look; a real one has no end to await
            world.write("b/c.md", "Second.")
            await _until(world, {"file:a.md": "First.", "file:b/c.md": "Second."})
        nursery.cancel_scope.cancel()


async def _until(world: World, lore: dict[str, str], again: str = "") -> None:
    """Waits for lore; ``again`` is written over and over, as nobody tells when the watch has begun."""
    while await world.lore() != lore:
        if again:
            world.write("b/c.md", again)
        await trio.sleep(0.05)


async def test_a_folder_that_goes_and_comes_back_takes_no_lore_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unmounted disk is no deletion."""
    monkeypatch.setattr("flower.engine.recall.folders.FOLDER_RESCAN_MS", 100)
    monkeypatch.setattr("flower.engine.recall.folders.FOLDER_STEP_MS", 50)
    monkeypatch.setattr("flower.engine.recall.folders.FOLDER_RETRY_S", 0.05)
    async with open_world(tmp_path) as world, trio.open_nursery() as nursery:
        world.write("a.md", "First.")
        nursery.start_soon(world.folder.follow)
        with trio.fail_after(20):
            await _until(world, {"file:a.md": "First."})
            world.root.rename(tmp_path / "unmounted")
            while not world.said:
                await trio.sleep(0.01)
            assert await world.lore() == {"file:a.md": "First."}
            (tmp_path / "unmounted" / "a.md").write_text("Second.")
            (tmp_path / "unmounted").rename(world.root)
            await _until(world, {"file:a.md": "Second."})
        nursery.cancel_scope.cancel()
    assert world.said == [f"✗ The lore folder {world.root} is gone; its lore stays as it is."]


async def test_any_history_of_files_ends_with_equal_lore(tmp_path: Path) -> None:
    """Random writes, moves and deletions between looks."""
    rng = random.Random(3)
    async with open_world(tmp_path) as world:
        for step in range(60):
            name = f"{rng.choice(['', 'a/', 'a/b/'])}{rng.randrange(5)}.md"
            path = world.root / name
            match rng.randrange(3):
                case 0:
                    world.write(name, f"Text {step}.")
                case 1:
                    path.unlink(missing_ok=True)
                case _ if path.exists():
                    path.rename(world.root / f"{rng.randrange(5)}.md")
            if rng.random() < 0.4:
                await world.folder.compare()
        await world.folder.compare()
        expected = {f"file:{name}": (world.root / name).read_text() for name in list_files(world.root)}
        assert await world.lore() == expected


def test_network_mounts_are_polled() -> None:
    mounts = (
        "/dev/sda1 / ext4 rw 0 0\nnas:/x /mnt/nas nfs4 rw 0 0\nx /mnt/my\\040disk fuse.sshfs rw 0 0\n"
    )
    assert is_remote(Path("/mnt/nas/lore"), mounts)
    assert is_remote(Path("/mnt/my disk/lore"), mounts)
    assert not is_remote(Path("/home/me/lore"), mounts)
    assert not is_remote(Path("/home/me"), "")


async def test_a_folder_that_is_suddenly_empty_takes_no_lore_along(tmp_path: Path) -> None:
    """A mount point stays when its disk goes: it is said once, and what comes back is followed again."""
    async with open_world(tmp_path) as world:
        world.write("docks.md", "Fog and tar.")
        world.write("mara.md", "A diver.")
        await world.folder.compare()
        world.root.rename(tmp_path / "unmounted")
        world.root.mkdir()
        for _ in range(2):
            assert await world.folder.compare() == 0
        assert len(await world.lore()) == 2
        (said,) = world.said
        assert "/world unsync" in said
        world.write("docks.md", "Fog and tar.")
        await world.folder.compare()
        assert list(await world.lore()) == ["file:docks.md"]


async def test_a_folder_has_so_many_files_and_says_when_there_may_be_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SOURCES_FOLDER", 300)
    async with open_world(tmp_path) as world:
        for number in range(299):
            world.write(f"{number}.md", "Fog.")
        world.folder._seen = list_files(world.root)  # as if they were read: that takes seconds
        await world.folder.compare()
        assert (len(world.folder._seen), world.said) == (299, [])
        for number in (300, 301):
            world.write(f"{number}.md", "Fog.")
        world.folder._seen = list_files(world.root)
        await world.folder.compare()
        assert len(world.folder._seen) == 300
        (line,) = world.said
        assert line.startswith("✗ Only the first 300 files of ")


async def test_a_name_that_is_no_text_does_not_end_the_following(tmp_path: Path) -> None:
    """Linux takes any bytes for a name; the other files are lore, and the player is told."""
    async with open_world(tmp_path) as world:
        world.write("docks.md", "Fog and tar.")
        (world.root / os.fsdecode(b"caf\xe9\x1b[2J.md")).write_text("Steam.")
        await world.folder.compare()
        assert list(await world.lore()) == ["file:docks.md"]
        (line,) = world.said
        assert "its name is not UTF-8" in line
        assert line.isprintable()
        world.write("docks.md", "Fog, tar and a bell.")
        assert await world.folder.compare() > 0


async def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        (tmp_path / "private.md").write_text("The owner's diary.")
        (tmp_path / "papers").mkdir()
        (tmp_path / "papers" / "letter.md").write_text("A letter.")
        world.write("docks.md", "Fog and tar.")
        (world.root / "diary.md").symlink_to(tmp_path / "private.md")
        (world.root / "papers").symlink_to(tmp_path / "papers")
        (world.root / "again.md").symlink_to(world.root / "docks.md")
        (world.root / "loop.md").symlink_to(world.root / "loop.md")
        assert list(list_files(world.root)) == ["again.md", "docks.md"]


async def test_a_file_may_say_by_which_keys_it_fires(tmp_path: Path) -> None:
    """It is an entry then, its text without the front matter is recalled too, and it goes with its file."""
    kept: list[dict[str, Entry]] = []

    async def keep(entries: Mapping[str, Entry]) -> None:
        kept.append(dict(entries))

    async with open_world(tmp_path) as world:
        folder = Folder(world.library, SCOPE, world.root, world.said.append, keep)
        world.write("bell.md", "---\nkeys: bell, [x\n---\nIt rings.")
        world.write("oak.md", "---\nkeys: [oak, acorn]\norder: 5\n---\nIt remembers.")
        world.write("plain.md", "---\ntitle: no keys\n---\nFog.")
        await folder.compare()
        (entries,) = kept
        assert {name: (e.keys, e.order, e.content) for name, e in entries.items()} == {
            "bell.md": (("bell", "[x"), 100, "It rings."),
            "oak.md": (("oak", "acorn"), 5, "It remembers."),
        }
        assert (await world.lore())["file:oak.md"] == "It remembers."
        await folder.compare()
        assert len(kept) == 1
        (world.root / "oak.md").unlink()
        await folder.compare()
        assert list(kept[-1]) == ["bell.md"]
