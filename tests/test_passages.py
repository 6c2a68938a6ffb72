"""Passages as rows: equality with their source, vectors by content, keyword search by scope."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.store import passages, vector_rows
from flower.engine.store.passages import Draft, Passage, content_hash
from flower.engine.store.schema import PASSAGES_SCHEMA

MODEL, DIMENSION = "test-model", 4
VAEL, SOLIN = "lore:vael", "lore:solin"


def connect() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(PASSAGES_SCHEMA)
    return db


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = connect()
    yield connection
    connection.close()


def put(db: sqlite3.Connection, scope: str, source: str, *texts: str) -> passages.Changed:
    drafts = [Draft("", text) for text in texts]
    return passages.replace_source(db, "lore", scope, source, drafts, digest=b"", created=1.0)


def embed(db: sqlite3.Connection) -> int:
    """Gives every pending text a vector; returns how many there were."""
    pending, _ = vector_rows.list_pending(db, MODEL, limit=1000)
    vectors = np.eye(DIMENSION, dtype=np.float32)[np.arange(len(pending)) % DIMENSION]
    vector_rows.store_vectors(db, MODEL, [item.hash for item in pending], vectors)
    return len(pending)


def count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_rows_whose_text_stays_keep_their_id(db: sqlite3.Connection) -> None:
    put(db, VAEL, "world", "one", "two", "three")
    before = {p.text: p.id for p in passages.list_passages(db, VAEL)}
    change = put(db, VAEL, "world", "three", "new", "one")
    after = {p.text: p.id for p in passages.list_passages(db, VAEL)}
    assert set(after) == {"one", "three", "new"}
    assert (after["one"], after["three"]) == (before["one"], before["three"])
    assert change == passages.Changed((after["new"],), (before["two"],))


def test_equal_text_is_embedded_once(db: sqlite3.Connection) -> None:
    """Also when it stands in another source, another scope, or moves from one to the other."""
    put(db, VAEL, "a", "same", "other")
    put(db, SOLIN, "b", "same")
    assert embed(db) == 2
    put(db, VAEL, "c", "same")
    put(db, VAEL, "a")
    assert embed(db) == 0
    assert vector_rows.count_pending(db, MODEL) == 0


def test_another_model_embeds_anew(db: sqlite3.Connection) -> None:
    put(db, VAEL, "a", "text")
    embed(db)
    assert vector_rows.count_pending(db, "other-model") == 1


def test_ids_are_never_used_again(db: sqlite3.Connection) -> None:
    """An index file may still hold the id of a deleted row."""
    (first,) = put(db, VAEL, "a", "text").added
    passages.drop_source(db, VAEL, "a")
    (second,) = put(db, VAEL, "a", "text").added
    assert second > first


def test_deleting_takes_vectors_and_words_along(db: sqlite3.Connection) -> None:
    put(db, VAEL, "a", "a drowned bell", "shared")
    put(db, SOLIN, "b", "shared")
    embed(db)
    passages.drop_scope(db, VAEL)
    assert count(db, "vectors") == 1
    assert passages.search_keywords(db, VAEL, ["bell"], limit=5) == ()
    assert [p.text for p in passages.list_passages(db, SOLIN)] == ["shared"]
    db.execute("INSERT INTO passages_fts (passages_fts) VALUES ('integrity-check')")


def test_messages_take_their_memories_along(db: sqlite3.Connection) -> None:
    for number in (1, 2, 3):
        memory = Passage(0, "memory", "memory:s", f"message:{number}", "", f"m{number}", number)
        passages.add_memories(db, [memory])
        assert passages.add_memories(db, [memory]) == passages.Changed()
    changes = passages.drop_messages(db, [1, 3, 99])
    assert len(changes["memory:s"].removed) == 2
    assert [p.text for p in passages.list_passages(db, "memory:s")] == ["m2"]


def test_a_longer_memory_takes_the_place_of_the_shorter_one(db: sqlite3.Connection) -> None:
    """Pieces that stay keep their id; pins, words and vectors follow; other messages are left alone."""

    def remember(message_id: int, *texts: str) -> passages.Changed:
        source = f"message:{message_id}"
        return passages.add_memories(
            db, [Passage(0, "memory", "memory:s", source, "", text, message_id) for text in texts]
        )

    remember(1, "other")
    first, second = remember(2, "the bell rings", "the tide").added
    passages.set_pinned(db, second, True)
    embed(db)
    vectors = count(db, "vectors")
    changed = remember(2, "the bell rings", "the tide turns", "a lamp")
    assert changed.removed == (second,)
    stored = passages.list_passages(db, "memory:s")
    assert [p.text for p in stored] == ["other", "the bell rings", "the tide turns", "a lamp"]
    assert [p.pinned for p in stored] == [False, False, True, False]
    assert stored[1].id == first
    assert count(db, "vectors") == vectors - 1
    db.execute("INSERT INTO passages_fts (passages_fts) VALUES ('integrity-check')")


def test_keywords_match_by_stem_within_the_scope_only(db: sqlite3.Connection) -> None:
    put(db, VAEL, "a", "The bells were drowned.", "A lamp.")
    put(db, SOLIN, "b", "Another drowning bell.")
    ((passage_id, score),) = passages.search_keywords(db, VAEL, ["drowning"], limit=5)
    assert passages.get(db, [passage_id])[passage_id].text == "The bells were drowned."
    assert score > 0


def test_a_word_of_the_title_weighs_more(db: sqlite3.Connection) -> None:
    drafts = [Draft("", "the tide and other tales of old"), Draft("The tide", "and other tales of old")]
    passages.replace_source(db, "lore", VAEL, "a", drafts, digest=b"", created=0.0)
    best = passages.search_keywords(db, VAEL, ["tide"], limit=5)[0][0]
    assert passages.get(db, [best])[best].title == "The tide"


@given(st.text(max_size=60), st.text(max_size=30))
def test_no_word_and_no_scope_is_syntax(word: str, scope: str) -> None:
    """Whatever people type or name their worlds, the keyword index is asked, not programmed."""
    db = connect()
    try:
        clean = word.encode("utf-8", "replace").decode()
        passages.search_keywords(db, scope.encode("utf-8", "replace").decode(), [clean, '"'], limit=3)
    finally:
        db.close()


def test_vectors_come_back_as_stored(db: sqlite3.Connection) -> None:
    """float16 keeps a cosine within 0.0005."""
    put(db, VAEL, "a", *(f"text {n}" for n in range(50)))
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(50, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    hashes = [content_hash("", f"text {n}") for n in range(50)]
    vector_rows.store_vectors(db, MODEL, hashes, vectors)
    page = vector_rows.page_of_vectors(db, MODEL, VAEL, DIMENSION, after=0, limit=30)
    rest = vector_rows.page_of_vectors(db, MODEL, VAEL, DIMENSION, after=int(page.ids[-1]), limit=30)
    found = np.concatenate([page.vectors, rest.vectors])
    assert np.abs(found - vectors).max() < 5e-4
    ids, marks = vector_rows.marks_of(db, MODEL, VAEL)
    assert ids.tolist() == [*page.ids.tolist(), *rest.ids.tolist()]
    assert marks.tolist() == [*page.marks.tolist(), *rest.marks.tolist()]


def test_a_vector_for_text_deleted_meanwhile_is_left_out(db: sqlite3.Connection) -> None:
    vector_rows.store_vectors(
        db, MODEL, [content_hash("", "gone")], np.eye(1, DIMENSION, dtype=np.float32)
    )
    assert count(db, "vectors") == 0


def test_vectors_of_another_size_are_left_out(db: sqlite3.Connection) -> None:
    put(db, VAEL, "a", "text")
    vector_rows.store_vectors(db, MODEL, [content_hash("", "text")], np.ones((1, 3), np.float32))
    assert len(vector_rows.page_of_vectors(db, MODEL, VAEL, DIMENSION, after=0, limit=9).ids) == 0


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), max_size=8))
def test_a_source_is_always_equal_to_what_it_was_told_last(versions: list[list[str]]) -> None:
    """Any history of texts, repeated paragraphs included, ends with exactly the last one's rows."""
    db = connect()
    try:
        for version in versions:
            put(db, VAEL, "a", *version)
            embed(db)
            rows = db.execute("SELECT text FROM passages ORDER BY position").fetchall()
            assert [row[0] for row in rows] == version
            assert count(db, "vectors") == len(set(version))
        db.execute("INSERT INTO passages_fts (passages_fts) VALUES ('integrity-check')")
    finally:
        db.close()
