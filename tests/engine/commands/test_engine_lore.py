"""Lore and memory commands, on the real library with small vectors."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from flower.engine.recall.library import PassageLibrary
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline
from flower.protocol.messages import ErrorEvent, Recall, SystemUpdate
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import HashEmbedder


@asynccontextmanager
async def remembering_world(folder: Path) -> AsyncIterator[EngineWorld]:
    """An engine whose recall is the real one; its library shares the engine's database file."""
    database = await Database.open(folder / "flower.db", Inline())
    library = PassageLibrary(database, HashEmbedder(), folder, notify=lambda text, progress: None)
    try:
        async with engine_world(folder / "flower.db", library=library) as world:  # type: ignore[arg-type] # the real one
            world.nursery.start_soon(library.run)
            yield world
    finally:
        await database.aclose()


async def told(face: Face, command: str) -> str:
    """Returns the answer to a command."""
    await face.say(command)
    await trio.testing.wait_all_tasks_blocked()
    answers = [event for event in face.events if isinstance(event, SystemUpdate | ErrorEvent)]
    return answers[-1].content


def first_id(listing: str) -> str:
    found = re.search(r"^ *(\d+) ", listing, re.MULTILINE)
    assert found, listing
    return found[1]


async def test_attached_lore_is_found_shown_and_deleted(tmp_path: Path) -> None:
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        assert (
            await told(face, "/world attach_lore The chandler Wren sells tallow candles.")
        ).startswith("✓")
        found = await told(face, "/lore search tallow candles")
        assert "Wren" in found
        number = first_id(found)
        assert "attached:1" in await told(face, f"/lore show {number}")
        assert "✓ Deleted" in await told(face, f"/lore delete {number}")
        assert "Wren" not in await told(face, "/lore list")


async def test_recall_tells_what_words_bring_to_mind_and_why(tmp_path: Path) -> None:
    """Each place with its chance and parts; what a turn would get is marked."""
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        await told(face, "/world attach_lore The chandler Wren sells tallow candles.")
        await face.say_and_wait("My brother Tobias has a scar.")
        answer = await told(face, "/recall who sells tallow candles?")
        place = next(line for line in answer.splitlines() if "Wren" in line)
        assert re.match(r"\* *\d+ +\d+%  .*Wren", place)
        assert re.search(r"words \+\d", answer)
        assert "Memories: 1" in answer
        assert "Recall what?" in await told(face, "/recall")


async def test_why_tells_what_was_nearly_recalled(tmp_path: Path) -> None:
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        for number in range(9):
            await told(
                face, f"/world attach_lore Candle {number} is of tallow, kept by chandler {number * 7}."
            )
        await face.say_and_wait("I ask for tallow candles of the chandler.")
        assert "nearly: lore" in (answer := await told(face, "/why"))
        assert "left out, " in answer


async def test_lore_from_the_worlds_file_is_changed_there(tmp_path: Path) -> None:
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        number = first_id(await told(face, "/lore list"))
        assert "change it there" in await told(face, f"/lore delete {number}")


async def test_memories_are_listed_found_pinned_and_forgotten(tmp_path: Path) -> None:
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        await face.say_and_wait("My brother Tobias has a scar.")
        listing = await told(face, "/memory list")
        assert "Tobias" in listing
        number = first_id(listing)
        assert "✓ Pinned" in await told(face, f"/memory pin {number}")
        for _ in range(3):
            await face.say_and_wait("I walk on.")
        await face.say_and_wait("What now?")
        assert any("pinned" in item.why for item in face.of(Recall)[-1].metadata.items)
        assert "No longer pinned" in await told(face, f"/memory pin {number}")
        assert "✓ Forgotten" in await told(face, f"/memory forget {number}")
        assert "Tobias" not in await told(face, "/memory list")


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("/lore show", "Which passage?"),
        ("/lore show 999", "no passage 999"),
        ("/lore search", "Search for what?"),
        ("/memory forget x", "Which passage?"),
    ],
)
async def test_bad_numbers_get_a_sentence(tmp_path: Path, command: str, part: str) -> None:
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        assert part in await told(face, command)


async def test_a_synced_folder_is_lore_across_restarts_until_it_is_let_go(tmp_path: Path) -> None:
    """On real time: folders are watched by the system."""
    texts = tmp_path / "texts"
    (texts / "deep").mkdir(parents=True)
    (texts / "deep" / "smith.md").write_text("# Forge\nOlaf the smith shoes no grey horses.")
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        assert "✓ The texts in" in await told(face, f"/world sync_folder {texts}")
        await until(face, "/lore search smith horses", "Olaf")
        (texts / "miller.txt").write_text("The miller Ida counts her sacks twice.")
        await until(face, "/lore search miller sacks", "Ida")
        (texts / "deep" / "smith.md").unlink()
        await until(face, "/lore list", "Olaf", present=False)
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        (texts / "baker.txt").write_text("The baker Jon sings.")
        await until(face, "/lore search baker sings", "Jon")
        assert "✓ The folder is no longer followed" in await told(face, "/world unsync")
        assert "Ida" not in await told(face, "/lore list")
        assert "follows no folder" in await told(face, "/world unsync")
    (texts / "tailor.txt").write_text("The tailor Ulf hums.")
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        assert "follows no folder" in await told(face, "/world unsync")
        assert not {"Ida", "Ulf"} & set((await told(face, "/lore list")).split())


async def until(face: Face, command: str, part: str, *, present: bool = True) -> None:
    """Repeats a command until its answer has, or no longer has, ``part``."""
    with trio.fail_after(20):
        while (part in await told(face, command)) is not present:
            await trio.testing.wait_all_tasks_blocked(0.05)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("relative/path", "whole path"),
        ("/nowhere/at/all", "There is no folder"),
        ("/etc", "none of the places for lore"),
    ],
)
async def test_a_folder_that_cannot_be_followed_is_refused(
    tmp_path: Path, path: str, part: str
) -> None:
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        assert part in await told(face, f"/world sync_folder {path}")


async def test_memories_of_other_variants_are_counted_and_not_listed(tmp_path: Path) -> None:
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        await face.say_and_wait("My brother Tobias has a scar.")
        before = len((await told(face, "/memory list")).splitlines())
        for _ in range(2):
            await face.say_and_wait("/retry")
        listing = await told(face, "/memory list")
        assert (
            len([line for line in listing.splitlines() if line[:6].strip().isdecimal()]) == before - 1
        )
        assert listing.endswith("2 more on other variants and branches.")


async def test_a_recalled_secret_is_shown_to_nobody_who_plays(tmp_path: Path) -> None:
    """Neither what is recalled nor /why has a word of a secret; what is no secret is shown."""
    async with remembering_world(tmp_path) as world:
        face = await world.playing()
        await told(face, "/world attach_lore In secret the chandler Wren mixes arsenic into tallow.")
        await told(face, "/world attach_lore The chandler Wren has a shop on the quay.")
        await face.say_and_wait("I ask the chandler Wren about tallow and arsenic.")
        items = [item for item in face.of(Recall)[-1].metadata.items if item.kind == "lore"]
        texts = [item.text for item in items]
        assert "The chandler Wren has a shop on the quay." in texts
        assert "" in texts
        assert not any("arsenic" in f"{item.text} {item.why}" for item in items)
        why = await told(face, "/why")
        assert "a secret" in why
        assert "arsenic" not in why
