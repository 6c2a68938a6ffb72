"""Passages as rows: equality with their source, vectors by content, terms by passage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower.engine.store import passages, term_rows, vector_rows
from flower.engine.store.connection import Connection
from flower.engine.store.passages import Chunk, Passage, content_hash
from flower.engine.store.term_rows import term_hash
from tests.stores import KINDS, connected

MODEL, DIMENSION = "test-model", 4
VAEL, SOLIN = "lore:vael", "lore:solin"


def put(db: Connection, scope: str, source: str, *texts: str) -> passages.Changed:
    drafts = [Chunk("", text) for text in texts]
    return passages.replace_source(db, "lore", scope, source, drafts, digest=b"", created=1.0)


def embed(db: Connection, *, tokens: bool = False) -> int:
    """Gives every pending text a vector; returns how many there were."""
    pending, _ = vector_rows.list_pending(db, MODEL, limit=1000)
    vectors = np.eye(DIMENSION, dtype=np.float32)[np.arange(len(pending)) % DIMENSION]
    vector_rows.store_vectors(
        db, MODEL, [item.hash for item in pending], vectors, [b"t"] * len(pending) if tokens else ()
    )
    return len(pending)


def count(db: Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_rows_whose_text_stays_keep_their_id(db: Connection) -> None:
    put(db, VAEL, "world", "one", "two", "three")
    before = {p.text: p.id for p in passages.list_passages(db, VAEL)}
    change = put(db, VAEL, "world", "three", "new", "one")
    after = {p.text: p.id for p in passages.list_passages(db, VAEL)}
    assert set(after) == {"one", "three", "new"}
    assert (after["one"], after["three"]) == (before["one"], before["three"])
    assert change == passages.Changed((after["new"],), (before["two"],))


def test_equal_text_is_embedded_once(db: Connection) -> None:
    """Also when it stands in another source, another scope, or moves from one to the other."""
    put(db, VAEL, "a", "same", "other")
    put(db, SOLIN, "b", "same")
    assert embed(db) == 2
    put(db, VAEL, "c", "same")
    put(db, VAEL, "a")
    assert embed(db) == 0
    assert vector_rows.count_pending(db, MODEL) == 0


def test_another_model_embeds_anew(db: Connection) -> None:
    put(db, VAEL, "a", "text")
    embed(db)
    assert vector_rows.count_pending(db, "other-model") == 1


def test_ids_are_never_used_again(db: Connection) -> None:
    """An index file may still hold the id of a deleted row."""
    (first,) = put(db, VAEL, "a", "text").added
    passages.drop_source(db, VAEL, "a")
    (second,) = put(db, VAEL, "a", "text").added
    assert second > first


def test_deleting_takes_vectors_and_words_along(db: Connection) -> None:
    put(db, VAEL, "a", "a drowned bell", "shared")
    put(db, SOLIN, "b", "shared")
    embed(db, tokens=True)
    passages.drop_scope(db, VAEL)
    assert count(db, "vectors") == 1
    assert count(db, "token_vectors") == 1
    assert count(db, "passage_terms") == 1
    assert [p.text for p in passages.list_passages(db, SOLIN)] == ["shared"]


def test_messages_take_their_memories_along(db: Connection) -> None:
    for number in (1, 2, 3):
        memory = Passage(0, "memory", "memory:s", f"message:{number}", "", f"m{number}", number)
        passages.add_memories(db, [memory])
        assert passages.add_memories(db, [memory]) == passages.Changed()
    changes = passages.drop_messages(db, [1, 3, 99])
    assert len(changes["memory:s"].removed) == 2
    assert [p.text for p in passages.list_passages(db, "memory:s")] == ["m2"]


def test_a_longer_memory_takes_the_place_of_the_shorter_one(db: Connection) -> None:
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
    assert count(db, "passage_terms") == 4


def test_every_passage_has_its_terms_from_the_start(db: Connection) -> None:
    """And each is the stem's hash with how often it occurs; a word of the title counts twice."""
    drafts = [Chunk("The tide", "The bells and the drowned bell.")]
    passages.replace_source(db, "lore", VAEL, "a", drafts, digest=b"", created=0.0)
    (terms,) = term_rows.page_of_terms(db, VAEL, after=0, limit=5)
    counts = dict(zip(terms.hashes.tolist(), terms.counts.tolist(), strict=True))
    assert terms.language == "english"
    assert counts[term_hash("bell")] == 2
    assert counts[term_hash("tide")] == 2
    assert counts[term_hash("drown")] == 1
    assert terms.message_id == 0


def test_terms_that_are_missing_are_made_anew(db: Connection) -> None:
    """Those of an older version too, in pages."""
    put(db, VAEL, "a", *(f"bell number {n}" for n in range(5)))
    put(db, SOLIN, "b", "another bell")
    before = term_rows.page_of_terms(db, VAEL, after=0, limit=9)
    db.execute("DELETE FROM passage_terms WHERE passage_id = 1")
    db.execute("UPDATE passage_terms SET version = 0 WHERE passage_id IN (2, 3)")
    assert term_rows.count_missing(db, VAEL) == 3
    assert term_rows.count_missing(db, SOLIN) == 0
    assert term_rows.store_missing(db, VAEL, limit=2) == 2
    assert term_rows.store_missing(db, VAEL, limit=2) == 1
    after = term_rows.page_of_terms(db, VAEL, after=0, limit=9)
    assert [row.hashes.tolist() for row in after] == [row.hashes.tolist() for row in before]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_is_without_terms_that_can_be_read(kind: str, text: str) -> None:
    with connected(kind) as db:
        put(db, VAEL, "a", text)
        (terms,) = term_rows.page_of_terms(db, VAEL, after=0, limit=5)
        assert len(terms.hashes) == len(terms.counts)
        assert all(terms.counts)


def test_token_vectors_are_kept_beside_the_others(db: Connection) -> None:
    """A text that has only one of the two is still pending for a model that makes both."""
    put(db, VAEL, "a", "one", "two")
    embed(db)
    assert vector_rows.count_pending(db, MODEL) == 0
    assert vector_rows.count_pending(db, MODEL, tokens=True) == 2
    pending, _ = vector_rows.list_pending(db, MODEL, limit=9, tokens=True)
    vectors = np.eye(2, DIMENSION, dtype=np.float32)
    vector_rows.store_vectors(db, MODEL, [p.hash for p in pending], vectors, [b"12", b"34"])
    assert vector_rows.count_pending(db, MODEL, tokens=True) == 0
    assert vector_rows.tokens_of(db, MODEL, [1, 2, 3]) == {1: b"12", 2: b"34"}


def test_vectors_come_back_as_stored(db: Connection) -> None:
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
    for rows, after in ((page, 0), (rest, int(page.ids[-1]))):
        ids, marks = vector_rows.page_of_marks(db, MODEL, VAEL, after=after, limit=30)
        assert (ids.tolist(), marks.tolist()) == (rows.ids.tolist(), rows.marks.tolist())


def test_a_vector_for_text_deleted_meanwhile_is_left_out(db: Connection) -> None:
    vector_rows.store_vectors(
        db, MODEL, [content_hash("", "gone")], np.eye(1, DIMENSION, dtype=np.float32)
    )
    assert count(db, "vectors") == 0


def test_vectors_of_another_size_are_left_out(db: Connection) -> None:
    put(db, VAEL, "a", "text")
    vector_rows.store_vectors(db, MODEL, [content_hash("", "text")], np.ones((1, 3), np.float32))
    assert len(vector_rows.page_of_vectors(db, MODEL, VAEL, DIMENSION, after=0, limit=9).ids) == 0


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(versions=st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), max_size=8))
def test_a_source_is_always_equal_to_what_it_was_told_last(
    kind: str, versions: list[list[str]]
) -> None:
    """Any history of texts, repeated paragraphs included, ends with exactly the last one's rows."""
    with connected(kind) as db:
        for version in versions:
            put(db, VAEL, "a", *version)
            embed(db)
            rows = db.execute("SELECT text FROM passages ORDER BY position").fetchall()
            assert [row[0] for row in rows] == version
            assert count(db, "vectors") == len(set(version))
            assert count(db, "passage_terms") == len(version)
