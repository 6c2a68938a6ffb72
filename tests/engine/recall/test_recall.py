"""The library as the engine uses it: stored at once, embedded once, recalled within the budget."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from flower import limits
from flower.engine.recall import vector_indexes
from flower.engine.recall.background import EMBED_RETRY_S
from flower.engine.recall.base import Embedder, Query
from flower.engine.recall.library import MEMORIES_TITLED, MEMORY_REST_S, PassageLibrary
from flower.engine.recall.query import context_of
from flower.engine.recall.query_encoder import VectorCache
from flower.engine.recall.search import RECALL_LORE_RESULTS
from flower.engine.store import term_rows, vector_rows
from flower.engine.store.connection import Store
from flower.engine.store.exchanges import memory_of, memory_text, memory_title
from flower.engine.store.transactions import Inline
from flower.errors import EmbedError, StoreError
from flower.protocol.messages import Progress
from tests.fakes import HashEmbedder, without_vectors
from tests.stores import opened

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors

LORE = """# Factions

The Ash Concord burns what it cannot buy.

# Places

The drowned bell of Vael rings when the tide turns.

# People

Captain Ilse Varga keeps a second ledger bound in sharkskin.
"""
T = TypeVar("T")
VAEL, STORY = "lore:vael", "memory:s1"


class Brain:
    """A library on a database file, with what it said."""

    def __init__(
        self, library: PassageLibrary, database: Store, said: list[tuple[str, Progress | None]]
    ):
        self.library = library
        self.database = database
        self._said = said

    @property
    def lines(self) -> list[str]:
        return [line for line, _ in self._said]

    async def settle(self) -> None:
        """Waits until every passage has its vector."""
        self.library.embed_soon()
        while await without_vectors(self.library):
            await trio.testing.wait_all_tasks_blocked()

    async def texts(self, line: str, **more: object) -> list[str]:
        query = Query(line, lore_scope=VAEL, memory_scope=STORY, budget_tokens=500)
        fields = {name: getattr(query, name) for name in Query.__struct_fields__}
        return [found.passage.text for found in await self.library.recall(Query(**{**fields, **more}))]


@asynccontextmanager
async def open_brain(
    folder: Path, embedder: Embedder, run: Inline | None = None, kind: str = "sqlite"
) -> AsyncIterator[Brain]:
    said: list[tuple[str, Progress | None]] = []
    database = await opened(kind, folder / "flower.db", run or Inline())
    library = PassageLibrary(
        database,
        embedder,
        folder / "index",
        notify=lambda line, progress: said.append((line, progress)),
        clock=trio.current_time,
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(library.run)
            yield Brain(library, database, said)
            nursery.cancel_scope.cancel()
    finally:
        await database.aclose()


class BrokenEmbedder(HashEmbedder):
    """A model that cannot run until it is mended."""

    broken = True

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        if self.broken:
            await trio.lowlevel.checkpoint()
            raise EmbedError("the embedding model is missing")
        return await super().embed(texts, urgent=urgent)


async def test_two_questions_of_a_line_each_find_their_passage(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.library.remember(STORY, 1, "", "Tomas hid the brass key below the third step.")
        await brain.settle()
        line = "Where did Tomas hide the brass key? And what keeps captain Varga in sharkskin?"
        found = await brain.texts(line)
        assert any("brass key" in text for text in found)
        assert any("sharkskin" in text for text in found)
        assert len(found) == len(set(found))
        rows = await brain.library.explain(VAEL, line)
        assert "sharkskin" in rows[0].hit.passage.text
        assert len({row.hit.passage.id for row in rows}) == len(rows)


async def test_the_passage_that_fits_comes_first_and_says_why(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        assert await brain.library.sync_source(VAEL, "world", "Vael", LORE) == 3
        await brain.settle()
        query = Query("When does the drowned bell ring?", lore_scope=VAEL, budget_tokens=400)
        found = await brain.library.recall(query)
        assert found[0].passage.title == "Vael > Places"
        assert found[0].keywords == ("drowned", "bell", "ring")
        assert "similar 0." in found[0].why
        assert "words: drowned, bell" in found[0].why


async def test_what_is_stored_is_found_by_words_before_it_has_a_vector(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    class Stuck(HashEmbedder):
        async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
            if not urgent:
                await trio.sleep_forever()
            return await super().embed(texts)

    async with open_brain(tmp_path, Stuck()) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        assert (await brain.texts("the sharkskin ledger"))[0].startswith("Captain Ilse Varga")


async def test_nothing_is_embedded_after_a_restart(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Vectors live in the database; telling the library the same lore again changes nothing."""
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.settle()
    second = HashEmbedder()
    async with open_brain(tmp_path, second) as brain:
        assert await brain.library.sync_source(VAEL, "world", "Vael", LORE) == 0
        await brain.settle()
        await trio.testing.wait_all_tasks_blocked()
        assert second.embedded == []
        found = await brain.library.recall(Query("Ash Concord", lore_scope=VAEL))
        assert (found[0].similarity or 0) > 0


async def test_only_changed_passages_are_embedded_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    embedder = HashEmbedder()
    async with open_brain(tmp_path, embedder) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.settle()
        embedder.embedded.clear()
        changed = LORE.replace("sharkskin", "eelskin")
        assert await brain.library.sync_source(VAEL, "world", "Vael", changed) == 2
        await brain.settle()
        assert len(embedder.embedded) == 1
        texts = await brain.texts("Captain Varga's ledger")
        assert "eelskin" in texts[0]
        assert not any("sharkskin" in text for text in texts)


async def test_ingestion_goes_on_where_it_was_interrupted(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    text = "\n\n".join(f"# Part {n}\n\nParagraph number {n} of the chronicle." for n in range(100))

    class Slow(HashEmbedder):
        async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
            await trio.sleep(1)
            return await super().embed(texts)

    first, second = Slow(), HashEmbedder()
    async with open_brain(tmp_path, first) as brain:
        await brain.library.sync_source(VAEL, "world", "", text)
        await trio.sleep(2.5)
    async with open_brain(tmp_path, second) as brain:
        await brain.settle()
    assert len(first.embedded) == 2 * limits.EMBED_REQUEST_TEXTS
    assert len(first.embedded) + len(second.embedded) == 100
    assert not set(first.embedded) & set(second.embedded)


async def test_long_work_tells_how_far_it_is(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    text = "\n\n".join(f"# Part {n}\n\nParagraph number {n} of the chronicle." for n in range(100))

    class Slow(HashEmbedder):
        async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
            await trio.sleep(1)
            return await super().embed(texts)

    async with open_brain(tmp_path, Slow()) as brain:
        await brain.library.sync_source(VAEL, "world", "", text)
        await trio.sleep(10)
        assert brain._said[0] == (
            "Reading lore: 32 of 100 passages, 32 a second.",
            Progress("lore", 32, 100),
        )
        assert brain._said[-1] == ("✓ Read 100 passages.", None)


async def test_without_a_model_recall_goes_by_words_and_says_so_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    embedder = BrokenEmbedder()
    async with open_brain(tmp_path, embedder) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        for _ in range(3):
            assert (await brain.texts("Who is in the Ash Concord?"))[0].startswith("The Ash Concord")
        assert brain.lines == ["✗ Recall goes by words only: the embedding model is missing"]
        embedder.broken = False
        await trio.sleep(2 * EMBED_RETRY_S)
        assert await without_vectors(brain.library) == 0
        found = await brain.library.recall(Query("Ash Concord", lore_scope=VAEL))
        assert found[0].similarity is not None


async def test_worlds_do_not_leak_into_each_other(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "", "The bell of Vael.")
        await brain.library.sync_source("lore:solin", "world", "", "The bell of Solin.")
        await brain.settle()
        assert await brain.texts("bell") == ["The bell of Vael."]
        assert await brain.texts("bell", lore_scope="lore:solin") == ["The bell of Solin."]


async def test_memories_of_other_branches_and_of_the_window_stay_out(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        for number, what in enumerate(["gate", "wall", "well"], 1):
            await brain.library.remember(STORY, number, "", f"Mara hid the key in the {what}.")
        await brain.settle()
        assert len(await brain.texts("Where did Mara hide the key?")) == 3
        seen = await brain.texts("Where is the key?", visible_messages={1, 3}, recent_messages={3})
        assert seen == ["Mara hid the key in the gate."]


async def test_a_long_exchange_is_remembered_in_one_commit(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """All of it or nothing; and each commit would write the pages of the indexes again."""
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        done: list[str] = []
        await brain.database.read(lambda db: db.set_trace_callback(done.append))
        long = "\n\n".join(f"Room {number}: " + "a door and a lamp. " * 40 for number in range(8))
        await brain.library.remember(STORY, 1, "", long)
        inserts = [n for n, text in enumerate(done) if text.startswith("INSERT INTO passages ")]
        assert len(inserts) > 3
        assert done.index("COMMIT") > inserts[-1]


async def test_deleted_messages_take_their_memories_along(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        for number in (1, 2):
            await brain.library.remember(STORY, number, "", f"Secret number {number} of the keeper.")
        await brain.settle()
        await brain.texts("secret")
        assert await brain.library.forget_messages([2]) == 1
        assert await brain.texts("secret") == ["Secret number 1 of the keeper."]
        await brain.library.drop_scope(STORY)
        assert await brain.texts("secret") == []


async def test_memories_that_say_the_same_come_once_and_the_newest_wins(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.remember(STORY, 1, "", "Mara told me the gate is locked at night.")
        await trio.sleep(10 * 24 * 3600)
        await brain.library.remember(STORY, 9, "", "Mara told me: the gate is locked at night!")
        await brain.settle()
        assert await brain.texts("the gate") == ["Mara told me: the gate is locked at night!"]


async def test_importance_and_recency_lift_a_memory(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.remember(STORY, 1, "", "A lamp on the red quay.")
        await brain.library.remember(STORY, 2, "", "A lamp on the blue quay.", importance=1.0)
        await brain.settle()
        assert (await brain.texts("lamp on the quay"))[0] == "A lamp on the blue quay."
        await trio.sleep(30 * 24 * 3600)
        await brain.library.remember(STORY, 3, "", "A lamp on the grey quay.")
        await brain.settle()
        order = await brain.texts("lamp on the quay")
        assert order.index("A lamp on the grey quay.") < order.index("A lamp on the red quay.")


async def test_pinned_passages_always_go_in_first(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.library.remember(STORY, 1, "", "You owe the ferryman a song.")
        await brain.settle()
        (memory,) = await brain.library.list(STORY)
        assert await brain.library.pin(memory.id)
        texts = await brain.texts("the drowned bell")
        assert texts[0] == "You owe the ferryman a song."
        assert texts.count(texts[0]) == 1
        found = await brain.library.recall(Query("bell", memory_scope=STORY))
        assert found[0].why == "pinned"
        assert not await brain.library.pin(999)


async def test_recall_stays_within_its_budget(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        text = "\n\n".join(f"# P{n}\n\n" + f"The tide of day {n} was high. " * n for n in range(1, 20))
        await brain.library.sync_source(VAEL, "world", "", text)
        await brain.settle()
        for budget in (30, 100, 300):
            found = await brain.library.recall(Query("tide", lore_scope=VAEL, budget_tokens=budget))
            assert sum(item.tokens for item in found) <= budget
        assert len(found) <= RECALL_LORE_RESULTS


async def test_the_context_widens_a_search_that_says_little(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.settle()
        context = "Captain Varga lays the ledger on the table."
        texts = await brain.texts("What does she say?", context=context)
        assert texts[0].startswith("Captain Ilse Varga")


async def test_dropped_sources_and_forgotten_passages_are_gone(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.library.sync_source(VAEL, "attached:1", "", "A tower of salt.")
        assert await brain.library.sources(VAEL) == {"world": 3, "attached:1": 1}
        await brain.settle()
        assert await brain.library.drop_source(VAEL, "world") == 3
        (left,) = await brain.library.list(VAEL)
        assert await brain.library.get(left.id) == left
        assert await brain.library.forget(left.id)
        assert not await brain.library.forget(left.id)
        assert await brain.texts("tower of salt") == []
        assert await brain.library.sync_source(VAEL, "world", "Vael", LORE) == 3


async def test_searching_lists_the_best_of_one_scope(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.settle()
        found = await brain.library.search(VAEL, "tide", limit=1)
        assert [item.passage.title for item in found] == ["Vael > Places"]


class CancelAfter(Inline):
    """Cancels ``scope`` when the n-th call is done: the caller learns nothing of its result."""

    def __init__(self) -> None:
        self.scope: trio.CancelScope | None = None
        self.left = 0

    async def __call__(self, call: Callable[[], T]) -> T:
        result = await super().__call__(call)
        if self.scope is not None:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()
                await trio.lowlevel.checkpoint()
        return result


@pytest.mark.parametrize("calls", [1, 2, 3])
async def test_a_change_cancelled_half_way_is_seen_by_the_next_recall(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, calls: int
) -> None:
    """Rows and index never disagree for long: after a cancel the next recall compares them."""
    run = CancelAfter()
    async with open_brain(tmp_path, HashEmbedder(), run) as brain:
        await brain.library.sync_source(VAEL, "world", "", "The bell.\n\n# A\n\nThe old tide.")
        await brain.library.sync_source(VAEL, "more", "", "The tide of year 7.")
        await brain.settle()
        await brain.texts("tide")
        with trio.CancelScope() as run.scope:
            run.left = calls
            await brain.library.sync_source(
                VAEL, "world", "", "The bell.\n\n# A\n\nThe tide of year 7."
            )
        run.scope = None
        await brain.settle()
        stored = {p.id for p in await brain.library.list(VAEL)}
        found = await brain.library.recall(Query("zebra tide", lore_scope=VAEL))
        assert {item.passage.id for item in found if (item.similarity or 0) > 0} <= stored
        index = brain.library._background.current.indexes._open[VAEL]
        assert set(index.marks().ids.tolist()) == stored


async def test_a_large_world_gets_a_graph_that_survives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real clock: the graph is built in a thread, saved at the end, and loaded by the next engine."""
    monkeypatch.setattr("flower.engine.recall.scope_index.EXACT_ROWS", 50)
    text = "\n\n".join(f"# Part {n}\n\nParagraph number {n} of the chronicle." for n in range(120))
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "", text)
        await brain.settle()
        first = (await brain.texts("paragraph number 77"))[0]
        await brain.library.sync_source(VAEL, "more", "", "Another paragraph.")
        with trio.fail_after(10):
            while not brain.library._background.current.indexes.wants_save:
                await trio.sleep(0.01)
        assert (await brain.texts("paragraph number 77"))[0] == first
    assert list((tmp_path / "index").glob("*.hnsw"))
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        assert (await brain.texts("paragraph number 77"))[0] == first
        assert brain.lines == []
    (graph,) = (tmp_path / "index").glob("*.hnsw")
    graph.write_bytes(graph.read_bytes()[:-1])
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        assert (await brain.texts("paragraph number 77"))[0] == first
        assert len(brain.lines) == 1
        assert "rebuilt in the background" in brain.lines[0]


async def test_a_graph_is_made_once_hnswlib_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be compiled while one plays: until then every answer is exact, and nobody is warned."""
    monkeypatch.setattr("flower.engine.recall.scope_index.EXACT_ROWS", 50)
    there: list[str] = []
    monkeypatch.setattr(vector_indexes, "is_installed", lambda: bool(there))
    text = "\n\n".join(f"# Part {n}\n\nParagraph number {n} of the chronicle." for n in range(120))
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "", text)
        await brain.settle()
        first = (await brain.texts("paragraph number 77"))[0]
        await brain.library.sync_source(VAEL, "more", "", "Another paragraph.")
        await brain.settle()
        assert not brain.library._background.current.indexes.wants_save
        there.append("hnswlib")
        await brain.library.sync_source(VAEL, "most", "", "One more paragraph.")
        with trio.fail_after(10):
            while not brain.library._background.current.indexes.wants_save:
                await trio.sleep(0.01)
        assert (await brain.texts("paragraph number 77"))[0] == first
        assert brain.lines == []


async def test_only_so_many_indexes_stay_open(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        for number in range(limits.INDEXES_OPEN + 3):
            await brain.library.sync_source(
                f"lore:w{number}", "world", "", f"The bell of world {number}."
            )
        await brain.settle()
        for number in range(limits.INDEXES_OPEN + 3):
            await brain.texts("bell", lore_scope=f"lore:w{number}")
        assert len(brain.library._background.current.indexes._open) <= limits.INDEXES_OPEN
        assert await brain.texts("bell", lore_scope="lore:w0") == ["The bell of world 0."]


# --- questions that were expected ---------------------------------------------------------------


async def test_an_expected_context_is_embedded_before_somebody_waits_for_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """What was found is the same; only the line itself is left to be embedded."""

    class Noting(HashEmbedder):
        def __init__(self) -> None:
            super().__init__()
            self.hurried: list[str] = []

        async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
            self.hurried += texts if urgent else ()
            return await super().embed(texts, urgent=urgent)

    embedder = Noting()
    async with open_brain(tmp_path, embedder) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.settle()
        context = "Varga shows you the ledger.\n" * 40
        cold = await brain.texts("What is in it?", context=context)
        assert embedder.hurried == ["What is in it?", context_of(Query("", context))]
        brain.library.expect(context[::-1])
        await trio.testing.wait_all_tasks_blocked()
        embedder.hurried.clear()
        await brain.texts("And what is behind it?", context=context[::-1])
        assert embedder.hurried == ["And what is behind it?"]
        embedder.hurried.clear()
        assert await brain.texts("What is in it?", context=context) == cold
        assert embedder.hurried == [], "a line that is sent again"


async def test_nothing_is_expected_of_a_model_that_fails(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Loading is not tried again after every reply."""
    embedder = BrokenEmbedder()
    async with open_brain(tmp_path, embedder) as brain:
        await brain.texts("anything")
        embedder.broken = False
        brain.library.expect("The bell rings.")
        await trio.testing.wait_all_tasks_blocked()
        assert embedder.embedded == []


@given(st.lists(st.integers(0, 6), max_size=40))
def test_the_vectors_used_last_are_kept(uses: list[int]) -> None:
    kept = VectorCache(3)
    for use in uses:
        if kept.get(str(use)) is None:
            kept.put(str(use), np.array([use]))
    last = list(dict.fromkeys(reversed(uses)))[:3]
    assert {use for use in range(7) if str(use) in kept} == set(last)
    assert all(kept.get(str(use)) == (np.array([use]), None) for use in last)


async def test_memories_get_their_vectors_when_a_prompt_needs_them_or_nobody_plays(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """While the exchange itself is in front of the narrator, nothing is embedded for it."""
    embedder = HashEmbedder()
    async with open_brain(tmp_path, embedder, Inline()) as brain:
        await trio.testing.wait_all_tasks_blocked()
        for number in (1, 2):
            await brain.library.remember(STORY, number, "", f"The player knocks, time {number}.")
            await trio.sleep(MEMORY_REST_S / 2)
        assert embedder.embedded == []
        await trio.sleep(MEMORY_REST_S)
        assert len(embedder.embedded) == 2
        await brain.library.remember(STORY, 3, "", "The player waits.")
        brain.library.embed_soon()
        await trio.testing.wait_all_tasks_blocked()
        assert embedder.embedded[2:] == ["The player waits."]


async def test_memories_without_names_get_them_and_keep_what_they_are(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A few at a time; pins and the order of the story stay, and a name finds what was said."""
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        many = MEMORIES_TITLED + 2
        for number in range(many):
            await brain.library.remember(STORY, number + 1, "", memory_of("I wait.", f"Bell {number}."))
        await brain.library.pin((await brain.library.list(STORY))[0].id)
        title = memory_title("Ines", "Mara")
        last = await brain.library.title_memories(STORY, title)
        assert await brain.library.title_memories(STORY, title, after=last) == 0
        await brain.settle()
        memories = await brain.library.list(STORY)
        assert {memory.title for memory in memories} == {"Ines / Mara"}
        assert sorted(m.message_id or 0 for m in memories) == list(range(1, many + 1))
        assert [m.message_id for m in memories if m.pinned] == [1]
        found = await brain.library.search(STORY, "What did Mara say?", limit=1)
        assert "mara" in found[0].keywords
        assert await brain.library.title_memories(STORY, "Other / Names") == 0


async def test_where_and_when_a_memory_was_is_found_by_words_alone(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """In its vector a place would drown what was said; names that come later leave it there."""
    embedder = HashEmbedder()
    async with open_brain(tmp_path, embedder) as brain:
        for number, place in enumerate(("the quay, dusk", "the lamp room, dawn"), 1):
            title = memory_title("", "", place)
            await brain.library.remember(STORY, number, title, memory_of("I wait.", f"Rain {number}."))
        await brain.settle()
        assert not any("quay" in text for text in embedder.embedded)
        (found, *_) = await brain.library.search(STORY, "What was there in the lamp room?", limit=1)
        assert found.passage.message_id == 2
        await brain.library.title_memories(STORY, memory_title("Ines", "Mara"))
        titles = {memory.title for memory in await brain.library.list(STORY)}
        assert titles == {"Ines / Mara\nthe quay, dusk", "Ines / Mara\nthe lamp room, dawn"}


@pytest.mark.parametrize(
    ("title", "text", "told"),
    [
        ("Ines / Mara", memory_of("I wait.", "Rain."), "Ines: I wait.\nMara: Rain."),
        ("", memory_of("I wait.", "Rain."), memory_of("I wait.", "Rain.")),
        (
            memory_title("Ines", "Mara", "the quay, dusk"),
            memory_of("I wait.", "Rain."),
            "Ines: I wait.\nMara: Rain.",
        ),
        (memory_title("", "", "the quay"), "The player: I wait.", "The player: I wait."),
        ("Ines / Mara", "The narrator: Rain.", "Mara: Rain."),
        ("Ines / Mara", "It goes on raining.", "It goes on raining."),
        (memory_title("", "Mara"), memory_of("I wait.", "Rain."), "The player: I wait.\nMara: Rain."),
        (memory_title("", ""), "The player: I wait.", "The player: I wait."),
    ],
)
def test_a_memory_is_told_with_the_names_of_who_spoke(title: str, text: str, told: str) -> None:
    assert memory_text(title, text) == told


# --- scopes that are read before anybody asks -------------------------------------------------------


async def test_a_large_scope_is_read_before_its_first_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real clock: files are read in a thread. A small one is left to its first question, if there ever is one."""
    monkeypatch.setattr("flower.engine.recall.background.WARM_PASSAGES", 2)
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.library.remember(STORY, 1, "", "Tomas hid the brass key below the third step.")
        await brain.settle()
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        current = brain.library._background.current
        brain.library.warm([STORY, VAEL, "", VAEL])
        with trio.fail_after(20):
            while not current.is_open(VAEL):
                await trio.sleep(0.01)
        assert (current.is_open(VAEL), current.is_open(STORY)) == (True, False)
        assert any("sharkskin" in text for text in await brain.texts("Who wears sharkskin?"))
        assert current.is_open(STORY)
        assert not brain.lines


async def test_a_scope_that_cannot_be_read_early_is_said_by_the_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was read beside the model or by the search: one plain error, and the next question works."""
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.settle()

        def full(*_: object, **__: object) -> None:
            raise StoreError("the disk is gone")

        with monkeypatch.context() as patch:
            patch.setattr(term_rows, "page_of_terms", full)
            patch.setattr(vector_rows, "page_of_marks", full)
            with pytest.raises(StoreError, match="the disk is gone"):
                await brain.texts("Who wears sharkskin?")
        assert any("sharkskin" in text for text in await brain.texts("Who wears sharkskin?"))


async def test_passages_that_have_their_vectors_are_looked_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Not with every line that is expected: of 100,000 that took 0.4 s, for which the next prompt waited."""
    looks: list[int] = []
    list_pending = vector_rows.list_pending

    def noted(*args: object, after: int, **more: object) -> object:
        looks.append(after)
        return list_pending(*args, after=after, **more)  # type: ignore[arg-type]

    async with open_brain(tmp_path, HashEmbedder()) as brain:
        await brain.library.sync_source(VAEL, "world", "Vael", LORE)
        await brain.settle()
        newest = max(p.id for p in await brain.library.list(VAEL))
    monkeypatch.setattr(vector_rows, "list_pending", noted)
    async with open_brain(tmp_path, HashEmbedder()) as brain:
        for line in ("The bell rings.", "The tide turns."):
            await trio.testing.wait_all_tasks_blocked()
            brain.library.expect(line)
        await trio.testing.wait_all_tasks_blocked()
        assert looks == [0, newest, newest]
        await brain.library.sync_source(VAEL, "more", "", "Another paragraph.")
        await brain.settle()
        assert not await without_vectors(brain.library)
