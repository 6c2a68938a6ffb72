"""What every library keeps to: the real one, and the one that tests of other things play with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from flower.engine.recall.base import Library, Query
from flower.engine.recall.library import PassageLibrary
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline
from tests.fakes import HashEmbedder, WordLibrary

LORE = "The drowned bell of Vael rings when the tide turns."
LEDGER = "Captain Ilse Varga keeps a second ledger bound in sharkskin."
VAEL, STORY = "lore:vael", "memory:s1"

Opened = Callable[[Path], AbstractAsyncContextManager[Library]]


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Library]:
    database = await Database.open(folder / "flower.db", Inline())
    try:
        yield PassageLibrary(
            database, HashEmbedder(), folder / "index", notify=lambda line, progress: None
        )
    finally:
        await database.aclose()


@asynccontextmanager
async def by_words(folder: Path) -> AsyncIterator[Library]:
    yield WordLibrary()


@pytest.fixture(params=[real, by_words], ids=["real", "fake"])
def opened(request: pytest.FixtureRequest) -> Opened:
    chosen: Opened = request.param
    return chosen


def asked(text: str) -> Query:
    return Query(text, lore_scope=VAEL, memory_scope=STORY, budget_tokens=500)


async def texts(library: Library, query: Query) -> list[str]:
    return [found.passage.text for found in (await library.consider(query)).hits]


async def test_a_source_is_what_it_was_given_last(opened: Opened, tmp_path: Path) -> None:
    """The same text changes nothing, another one takes its place, and the count tells."""
    async with opened(tmp_path) as library:
        assert await library.sync_source(VAEL, "world", "Vael", LORE) == 1
        assert await library.sync_source(VAEL, "world", "Vael", LORE) == 0
        assert await library.sync_source(VAEL, "world", "Vael", LEDGER) > 0
        assert [passage.text for passage in await library.list(VAEL)] == [LEDGER]
        assert await library.sources(VAEL) == {"world": 1}


async def test_a_dropped_source_can_come_back(opened: Opened, tmp_path: Path) -> None:
    async with opened(tmp_path) as library:
        await library.sync_source(VAEL, "world", "Vael", LORE)
        await library.sync_source(VAEL, "notes", "Notes", LEDGER)
        assert await library.drop_source(VAEL, "world") == 1
        assert await library.drop_source(VAEL, "world") == 0
        assert await library.sources(VAEL) == {"notes": 1}
        assert await library.sync_source(VAEL, "world", "Vael", LORE) == 1


async def test_a_scope_is_made_equal_to_its_sources(opened: Opened, tmp_path: Path) -> None:
    async with opened(tmp_path) as library:
        await library.sync_sources(VAEL, {"one": ("One", LORE), "two": ("Two", LEDGER)})
        assert await library.sources(VAEL) == {"one": 1, "two": 1}
        assert await library.sync_sources(VAEL, {"two": ("Two", LEDGER)}) == 1
        assert await library.sources(VAEL) == {"two": 1}


async def test_scopes_know_nothing_of_each_other(opened: Opened, tmp_path: Path) -> None:
    async with opened(tmp_path) as library:
        await library.sync_source(VAEL, "world", "", LORE)
        await library.sync_source("lore:other", "world", "", LEDGER)
        assert await texts(library, asked("sharkskin ledger")) == []
        assert await library.drop_scope("lore:other") == 1
        assert await library.list("lore:other") == ()
        assert await texts(library, asked("drowned bell")) == [LORE]


async def test_a_page_begins_after_the_last_of_the_one_before(opened: Opened, tmp_path: Path) -> None:
    async with opened(tmp_path) as library:
        for number in range(5):
            await library.sync_source(VAEL, f"n{number}", "", f"Lantern {number} of the quay.")
        whole = await library.list(VAEL)
        first = await library.list(VAEL, limit=2)
        assert first == whole[:2]
        assert await library.list(VAEL, after=first[-1].id) == whole[2:]


async def test_a_memory_takes_the_place_of_the_one_before(opened: Opened, tmp_path: Path) -> None:
    """One reply has one memory, also after it went on; others are left alone."""
    async with opened(tmp_path) as library:
        await library.remember(STORY, 4, "", "Tam mended the bell.")
        await library.remember(STORY, 6, "", "Tam sold the ledger.")
        await library.remember(STORY, 4, "", "Tam mended the bell, and sang.")
        kept = {passage.message_id: passage.text for passage in await library.list(STORY)}
        assert kept == {4: "Tam mended the bell, and sang.", 6: "Tam sold the ledger."}


async def test_memories_go_with_their_messages(opened: Opened, tmp_path: Path) -> None:
    async with opened(tmp_path) as library:
        await library.remember(STORY, 4, "", "Tam mended the bell.")
        await library.remember(STORY, 6, "", "Tam sold the ledger.")
        assert await library.forget_messages([4, 99]) == 1
        assert [passage.message_id for passage in await library.list(STORY)] == [6]


async def test_a_passage_is_found_pinned_and_forgotten_by_its_number(
    opened: Opened, tmp_path: Path
) -> None:
    async with opened(tmp_path) as library:
        await library.sync_source(VAEL, "world", "", LORE)
        (passage,) = await library.list(VAEL)
        assert await library.get(passage.id) == passage
        assert await library.pin(passage.id)
        pinned = await library.get(passage.id)
        assert pinned is not None
        assert pinned.pinned
        assert await library.forget(passage.id)
        assert not await library.forget(passage.id)
        assert not await library.pin(passage.id)
        assert await library.get(passage.id) is None


async def test_recall_leaves_out_other_branches_and_what_is_in_the_window(
    opened: Opened, tmp_path: Path
) -> None:
    async with opened(tmp_path) as library:
        await library.remember(STORY, 4, "", "Tam mended the bell.")
        words = {"text": "Who mended the bell?", "memory_scope": STORY, "budget_tokens": 500}
        assert await texts(library, Query(**words)) == ["Tam mended the bell."]  # type: ignore[arg-type]
        hidden = Query(**words, visible_messages={2})  # type: ignore[arg-type]
        recent = Query(**words, recent_messages={4})  # type: ignore[arg-type]
        assert await texts(library, hidden) == []
        assert await texts(library, recent) == []


async def test_search_and_its_explanation_find_the_same(opened: Opened, tmp_path: Path) -> None:
    async with opened(tmp_path) as library:
        await library.sync_source(VAEL, "world", "", LORE)
        await library.sync_source(VAEL, "notes", "", LEDGER)
        found = await library.search(VAEL, "sharkskin ledger", limit=1)
        rows = await library.explain(VAEL, "sharkskin ledger", limit=1)
        assert [one.passage.text for one in found] == [LEDGER]
        assert [row.hit.passage.text for row in rows] == [LEDGER]


async def test_hints_change_nothing_that_is_found(opened: Opened, tmp_path: Path) -> None:
    async with opened(tmp_path) as library:
        await library.remember(STORY, 4, "", "Tam mended the bell.")
        library.expect("The bell hangs above the quay.")
        library.embed_soon()
        assert library.trouble == ""
        assert await texts(library, asked("Who mended the bell?")) == ["Tam mended the bell."]
