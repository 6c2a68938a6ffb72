"""Small rules of passages, their vectors and their words as rows, one by one: of one scope, of one model, in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from flower.engine.store import passages, stories, term_rows, vector_rows, world_lore
from flower.engine.store.connection import Connection
from flower.engine.store.passages import Chunk, Passage, content_hash
from tests.engine.store.test_tree import S

WORLD, OTHER = "lore:harbour", "lore:hills"


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    return db


def put(db: Connection, *texts: str, scope: str = WORLD, source: str = "world") -> passages.Changed:
    chunks = [Chunk("Bell", text) for text in texts]
    return passages.replace_source(
        db, "lore", scope, source, chunks, digest=texts[0].encode(), created=1.0
    )


def texts(found: Sequence[Passage]) -> list[str]:
    return [one.text for one in found]


# --- passages -----------------------------------------------------------------------------------


def test_a_source_is_of_one_scope(db: Connection) -> None:
    put(db, "one", "two")
    put(db, "hill", scope=OTHER)
    put(db, "attached", source="attached:1")
    assert passages.list_sources(db, WORLD) == {"world": 2, "attached:1": 1}
    assert [passages.source_digest(db, scope, "world") for scope in (WORLD, OTHER, "x")] == [
        b"one", b"hill", b""
    ]  # fmt: skip
    changed = put(db, "two", "three")
    assert (len(changed.added), len(changed.removed)) == (1, 1)
    assert texts(passages.list_passages(db, WORLD)) == ["two", "attached", "three"]
    assert len(passages.drop_source(db, WORLD, "world").removed) == 2
    assert passages.list_sources(db, WORLD) == {"attached:1": 1}
    assert passages.source_digest(db, WORLD, "world") == b""
    assert len(passages.drop_scope(db, WORLD).removed) == 1
    assert passages.source_digest(db, WORLD, "attached:1") == b""
    assert texts(passages.list_passages(db, OTHER)) == ["hill"]
    assert passages.source_digest(db, OTHER, "world") == b"hill"


def test_passages_come_in_pages_and_pinned_ones_newest_first(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(db, *"abcde")
    put(db, "hill", scope=OTHER)
    ids = [one.id for one in passages.list_passages(db, WORLD)]
    assert texts(passages.list_passages(db, WORLD, limit=2)) == ["a", "b"]
    assert texts(passages.list_passages(db, WORLD, limit=2, after=ids[1])) == ["c", "d"]
    for number in (*ids[:4], *(one.id for one in passages.list_passages(db, OTHER))):
        assert passages.set_pinned(db, number, True)
    passages.set_pinned(db, ids[1], False)
    assert texts(passages.list_pinned(db, WORLD)) == ["d", "c", "a"]
    monkeypatch.setattr(passages, "PINNED_RESULTS", 2)
    assert texts(passages.list_pinned(db, WORLD)) == ["d", "c"]
    assert set(passages.get(db, [ids[0], ids[4], 99])) == {ids[0], ids[4]}
    assert [passages.drop_passage(db, ids[0]).removed for _ in range(2)] == [(ids[0],), ()]


def memory(message: int | None, text: str, title: str = "", *, pinned: bool = False) -> Passage:
    return Passage(
        0, "memory", f"memory:{S}", f"message:{message}", title, text, message, pinned=pinned
    )


def test_a_pin_goes_over_to_the_piece_in_its_place(db: Connection) -> None:
    leaf = stories.active_path(db, S)[0].id
    first = passages.add_memories(db, [memory(leaf, text) for text in ("a", "b", "c")]).added
    passages.set_pinned(db, first[0], True)
    passages.set_pinned(db, first[2], True)
    changed = passages.add_memories(db, [memory(leaf, text) for text in ("A", "b")])
    assert (len(changed.added), changed.removed) == (1, (first[0], first[2]))
    assert {one.text: one.pinned for one in passages.list_passages(db, f"memory:{S}")} == {
        "A": True, "b": True  # the third has the last in its place
    }  # fmt: skip
    assert passages.add_memories(db, []) == passages.Changed()


def test_what_belongs_to_no_message_only_comes_together(db: Connection) -> None:
    for text in ("a", "b", "a"):
        passages.add_memories(db, [memory(None, text)])
    assert texts(passages.list_passages(db, f"memory:{S}")) == ["a", "b"]


def test_memories_without_a_name_get_a_title_a_few_at_a_time(db: Connection) -> None:
    leaf = stories.active_path(db, S)[0].id
    pieces = [memory(leaf, "a"), memory(leaf, "b", "\nthe quay"), memory(leaf, "c", "Ines / Mara"),
              memory(leaf, "d")]  # fmt: skip
    passages.add_memories(db, pieces)
    passages.add_memories(db, [memory(None, "e")])
    scope, after, sizes = f"memory:{S}", 0, []
    for _ in range(2):
        changed, after = passages.title_memories(db, scope, "Ines", after=after, limit=2)
        sizes.append((len(changed.added), len(changed.removed), bool(after)))
    assert sizes == [(2, 2, True), (1, 1, False)]
    assert {one.text: one.title for one in passages.list_passages(db, scope)} == {
        "a": "Ines", "b": "Ines\nthe quay", "c": "Ines / Mara", "d": "Ines", "e": ""
    }  # fmt: skip


def test_another_text_takes_the_place_of_a_passage_and_keeps_what_it_is(db: Connection) -> None:
    leaf = stories.active_path(db, S)[0].id
    (old,) = passages.add_memories(db, [memory(leaf, "a", "Ines", pinned=True)]).added
    changed = passages.rewrite(db, old, "b")
    (new,) = passages.list_passages(db, f"memory:{S}")
    assert changed == passages.Changed((new.id,), (old,))
    assert (new.text, new.title, new.pinned, new.message_id) == ("b", "Ines", True, leaf)
    assert passages.rewrite(db, old, "c") == passages.Changed()
    assert passages.embedded_text("Ines\nthe quay", "b") == "Ines\nb"
    assert passages.embedded_text("\nthe quay", "b") == "b"


# --- vectors ------------------------------------------------------------------------------------


def store(db: Connection, model: str, *found: str, tokens: bool = False) -> dict[str, tuple[int, ...]]:
    hashes = [content_hash("Bell", text) for text in found]
    vectors = np.eye(4, dtype=np.float32)[: len(found)]
    packed = [text.encode() for text in found] if tokens else []
    return vector_rows.store_vectors(db, model, hashes, vectors, packed)


def test_a_text_is_pending_for_each_model_until_it_has_what_is_asked_for(db: Connection) -> None:
    put(db, "a", "b", "c", "a")
    put(db, "a", scope=OTHER)
    assert vector_rows.count_pending(db, "m") == 3  # equal texts once
    store(db, "m", "a")
    store(db, "m", "b", tokens=True)
    assert [vector_rows.count_pending(db, "m", tokens=tokens) for tokens in (False, True)] == [1, 2]
    assert vector_rows.count_pending(db, "other") == 3
    assert vector_rows.list_pending(db, "none", limit=9, after=5) == ((), 5)
    pending, after = vector_rows.list_pending(db, "m", limit=9, tokens=True)
    assert [one.text for one in pending] == ["Bell\na", "Bell\nc"]
    (first,), after = vector_rows.list_pending(db, "other", limit=1)
    assert first.text == "Bell\na"
    assert [one.text for one in vector_rows.list_pending(db, "other", limit=1, after=after)[0]] == [
        "Bell\nb"
    ]
    assert vector_rows.list_pending(db, "other", limit=9, after=99) == ((), 99)
    assert vector_rows.count_pending(db, "other", after=after) == 3  # another row of a comes later


def test_vectors_are_of_one_model_and_one_scope_in_the_order_of_ids(db: Connection) -> None:
    put(db, "a", "b", "c")
    put(db, "b", scope=OTHER)
    ids = [one.id for one in passages.list_passages(db, WORLD)]
    other = passages.list_passages(db, OTHER)[0].id
    assert store(db, "m", "c", "b", "gone", tokens=True) == {WORLD: (ids[2], ids[1]), OTHER: (other,)}
    store(db, "n", "a")
    page = vector_rows.page_of_vectors(db, "m", WORLD, 4, after=0, limit=9)
    assert page.ids.tolist() == ids[1:]
    assert page.vectors.tolist() == np.eye(4)[[1, 0]].tolist()
    assert vector_rows.page_of_vectors(db, "m", WORLD, 4, after=0, limit=1).ids.tolist() == ids[1:2]
    assert vector_rows.page_of_vectors(db, "m", WORLD, 4, after=ids[1], limit=9).ids.tolist() == ids[2:]
    found, marks = vector_rows.page_of_marks(db, "m", WORLD, after=0, limit=9)
    assert (found.tolist(), marks.tolist()) == (ids[1:], page.marks.tolist())
    assert sorted(vector_rows.vectors_of(db, "m", [*ids, other], 4).ids.tolist()) == [*ids[1:], other]
    assert vector_rows.tokens_of(db, "m", ids) == {ids[1]: b"b", ids[2]: b"c"}
    assert vector_rows.tokens_of(db, "n", ids) == {}
    store(db, "m", "b", tokens=False)
    assert vector_rows.vectors_of(db, "m", [ids[1]], 4).vectors.tolist() == [[1.0, 0.0, 0.0, 0.0]]


# --- words --------------------------------------------------------------------------------------


def test_words_of_an_older_version_are_made_anew_so_many_at_a_time(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(db, "a bell", "two bells", "towers")
    put(db, "hill", scope=OTHER)
    assert [term_rows.count_missing(db, scope) for scope in (WORLD, OTHER)] == [0, 0]
    monkeypatch.setattr(term_rows, "VERSION", term_rows.VERSION + 1)
    assert [term_rows.count_missing(db, scope) for scope in (WORLD, OTHER)] == [3, 1]
    assert [term_rows.store_missing(db, WORLD, limit=2) for _ in range(3)] == [2, 1, 0]
    assert [term_rows.count_missing(db, scope) for scope in (WORLD, OTHER)] == [0, 1]


def test_words_come_in_the_order_of_their_passages(db: Connection) -> None:
    put(db, "bell", "bell bell " + "bell " * 300, "towers")
    put(db, "hill", scope=OTHER)
    leaf = stories.active_path(db, S)[0].id
    passages.add_memories(db, [memory(leaf, "hill")])
    ids = [one.id for one in passages.list_passages(db, WORLD)]
    page = term_rows.page_of_terms(db, WORLD, after=0, limit=2)
    assert [one.passage_id for one in page] == ids[:2]
    assert [int(one.counts.max()) for one in page] == [3, 255]  # a word of the title counts twice
    assert [one.passage_id for one in term_rows.page_of_terms(db, WORLD, after=ids[0], limit=9)] == ids[
        1:
    ]
    assert [one.passage_id for one in term_rows.terms_of_ids(db, ids[::-1])] == ids
    assert [one.message_id for one in term_rows.page_of_terms(db, f"memory:{S}", after=0, limit=9)] == [
        leaf
    ]
    assert {one.message_id for one in page} == {0}


# --- lore of worlds -----------------------------------------------------------------------------


def test_texts_and_the_folder_of_a_world_are_its_own(db: Connection) -> None:
    ids = [
        world_lore.attach(db, world, text, 1.0)
        for world, text in (("a", "one"), ("b", "two"), ("a", "three"))
    ]
    assert list(world_lore.listed(db, "a")) == [(ids[0], "one"), (ids[2], "three")]
    world_lore.detach(db, ids[0])
    assert list(world_lore.listed(db, "a")) == [(ids[2], "three")]
    assert list(world_lore.listed(db, "b")) == [(ids[1], "two")]
    for world, path in (("a", "/x"), ("b", "/y"), ("a", "/z")):
        world_lore.follow(db, world, path)
    assert sorted(world_lore.folders(db)) == [("a", "/z"), ("b", "/y")]
    world_lore.unfollow(db, "a")
    assert world_lore.folders(db) == [("b", "/y")]


def test_a_mark_is_the_first_eight_bytes_of_a_hash_and_a_vector_is_whole() -> None:
    marks = vector_rows._marks_of_hashes([bytes(range(1, 33)), b"\x05", bytes([255] * 9)])
    assert marks.tolist() == [int.from_bytes(bytes(range(1, 9)), "little"), 5, -1]
    assert vector_rows._marks_of_hashes([]).tolist() == []
    halves = [np.array(row, "<f2").tobytes() for row in ((0.5, 1.0), (2.0,), (4.0, 8.0))]
    rows = vector_rows._vector_rows([(300 + n, b"\x01", half) for n, half in enumerate(halves)], 2)
    assert (rows.ids.tolist(), rows.vectors.tolist()) == ([300, 302], [[0.5, 1.0], [4.0, 8.0]])
    assert vector_rows._vector_rows([], 2).vectors.shape == (0, 2)
