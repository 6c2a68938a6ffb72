"""Small rules of recall, one by one: what a chance is, what shares a batch, where a window and a passage end."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from flower.engine.lorebook.book import Entry
from flower.engine.recall import candidates, folders, lore_files, native_check
from flower.engine.recall.base import Query
from flower.engine.recall.chunking import _LETTERS_PER_PIECE as LETTERS
from flower.engine.recall.chunking import _windows as windows
from flower.engine.recall.chunking import outline, word_pieces
from flower.engine.recall.embedder import EMBED_BATCH_TOKENS, Job, Pool
from flower.engine.recall.keyword_index import KeywordIndex, QueryTerm
from flower.engine.recall.query import context_weight, split_question
from flower.engine.recall.ranking import Share, Signals, Tuning, rank, rank_again
from flower.engine.recall.scope_index import INDEX_DEAD_SHARE, ScopeIndex
from flower.engine.recall.selection import Evidence, answered, chance
from flower.engine.store.library import books
from flower.engine.store.sqlite.connection import migrate
from flower.engine.store.term_rows import Terms
from flower.errors import EmbedError

# --- chances ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("similarity", "held", "late", "foreign", "value", "likely"),
    [
        (0.6, 0.5, None, False, 0.2717, 0.8248),
        (0.6, 0.5, 0.7, False, 0.4190, 0.8542),
        (0.9, 1.0, 0.9, False, 0.9663, 0.9986),
        (0.2, 0.0, 0.3, False, 0.0043, 0.0202),
        (0.6, 0.5, 0.7, True, 0.9975, 0.9975),
        (0.6, 0.2, None, True, 0.5, 0.5),
        (None, 0.3, None, False, 0.3, 0.3),
    ],
)
def test_chances_are_by_the_weights_that_were_measured(
    similarity: float | None,
    held: float,
    late: float | None,
    foreign: bool,
    value: float,
    likely: float,
) -> None:
    """A change of the weights is to be meant: the thresholds of recall are fitted to these values."""
    known = Evidence(similarity, held, late)
    assert chance(known, foreign=foreign) == pytest.approx(value, abs=0.0001)
    assert answered([known], foreign=foreign) == pytest.approx(likely, abs=0.0001)


def test_the_chance_of_a_passage_that_leads_is_by_weights_of_its_own() -> None:
    assert chance(Evidence(0.6, 0.5, 0.7, 2.0)) == pytest.approx(0.2007, abs=0.0001)
    assert answered([]) == 0.0


def test_the_context_counts_the_less_the_more_a_line_says() -> None:
    assert [context_weight(("bell",) * count) for count in range(4)] == [0.6, 0.4, 0.2, 0.2]


@pytest.mark.parametrize(
    ("line", "question"),
    [
        (
            'I nod. "Where is she?" I ask. "Why?" says Dov. It rains.',
            '"Where is she?" I ask. "Why?" says Dov.',
        ),
        ('"Where is she?" I ask Mara. It rains. It pours.', '"Where is she?" I ask Mara.'),
        ('It rains. "Where is she?"', '"Where is she?"'),
    ],
)
def test_who_is_asked_belongs_to_each_question(line: str, question: str) -> None:
    assert split_question(line)[0] == question


# --- batches of texts ------------------------------------------------------------------------------


def test_a_batch_is_as_full_as_it_may_be() -> None:
    length = 64
    most = EMBED_BATCH_TOKENS // length
    pool = Pool()
    pool.add(Job([(number, *range(length - 1)) for number in range(2 * most + 1)]))
    sizes = []
    while pool:
        sizes.append(len(pool.take().texts))
    assert sizes == [most, most, 1]


def test_a_text_that_is_in_a_full_batch_already_comes_along() -> None:
    length = 64
    most = EMBED_BATCH_TOKENS // length
    texts = [(number, *range(length - 1)) for number in range(most)]
    pool = Pool()
    pool.add(Job([*texts, texts[0]]))
    batch = pool.take()
    assert (len(batch.texts), len(batch.owners)) == (most, most + 1)
    assert not pool


# --- words ----------------------------------------------------------------------------------------


def terms(number: int, message: int = 0) -> Terms:
    return Terms(number, message, "english", np.array([7], np.uint32), np.array([1], np.uint8))


def test_removed_passages_leave_the_arrays_when_they_are_many() -> None:
    index = KeywordIndex()
    index.add([terms(number) for number in range(1, 11)])
    index.remove([1, 2, 3])
    assert (len(index.ids), len(index)) == (10, 7)
    index.remove([4])
    assert (index.ids.tolist(), len(index)) == ([5, 6, 7, 8, 9, 10], 6)
    assert np.count_nonzero(index.scores([QueryTerm((7,))])[0]) == 6


def test_the_pieces_beside_a_memory_are_those_of_the_story() -> None:
    index = KeywordIndex()
    # Ids and messages are in different orders: the story's is that of the messages.
    index.add([terms(1, 30), terms(2, 10), terms(3, 20), terms(4, 40)])
    opened = np.array([True, True, True, False])
    before, after = candidates.beside(index, opened, [0, 1, 2, 3])
    assert before == {0: 2, 2: 1}
    assert after == {1: 2, 2: 0}


def test_a_memory_is_open_on_its_branch_and_outside_of_the_window() -> None:
    index = KeywordIndex()
    index.add([terms(1), terms(2, 10), terms(3, 20), terms(4, 30)])
    query = Query("Who?", visible_messages=frozenset({10, 30}), recent_messages=frozenset({30}))
    assert candidates.open_places(index, query).tolist() == [True, True, False, False]
    everywhere = Query("Who?", recent_messages=frozenset({30}))
    assert candidates.open_places(index, everywhere).tolist() == [True, True, True, False]


@pytest.mark.parametrize("foreign", [True, False])
def test_a_scope_in_another_language_has_shares_of_its_own(foreign: bool) -> None:
    tuning = Tuning(
        words_share=Share(0.0, 0.0),
        late_share=Share(0.0, 0.0),
        foreign_words_share=1.0,
        foreign_late_share=1.0,
    )
    signals = Signals({1: 1.0, 2: 0.0}, {1: 0.0, 2: 1.0}, foreign=foreign)
    scores = rank(signals, tuning)
    assert scores[1].total == pytest.approx(1.0 if foreign else -1.0)
    again = rank_again(scores, {1: 0.0, 2: 1.0}, signals, tuning)
    assert again[2].total == pytest.approx(1.0 if foreign else scores[2].total)


def test_the_line_before_leads_by_its_tokens_as_much_as_tokens_count() -> None:
    tuning = Tuning(late_share=Share(0.5, 0.5), late_before=0.4)
    alone = Signals({1: 1.0, 2: 0.5})
    after_another = Signals({1: 1.0, 2: 0.5}, before={2: 1})
    scores = rank(alone, tuning)
    late = {1: 1.0, 2: 0.0}
    without = rank_again(scores, late, alone, tuning)[2].total
    assert rank_again(scores, late, after_another, tuning)[2].total - without == pytest.approx(0.2)


@pytest.mark.parametrize(("dead", "worn"), [(2, False), (3, False), (4, True)])
def test_a_graph_is_worn_when_more_than_its_share_is_dead(dead: int, worn: bool) -> None:
    assert INDEX_DEAD_SHARE == 0.3
    index = ScopeIndex.__new__(ScopeIndex)
    index._dead, index._marks = dead, dict.fromkeys(range(10 - dead), b"")  # type: ignore[assignment]
    assert index._is_worn == worn


# --- lore -----------------------------------------------------------------------------------------


def test_headings_of_nested_values_go_down_one_by_one_to_the_sixth() -> None:
    value: object = "x" * 80
    for number in range(8, 0, -1):
        value = {f"h{number}": value}
    heads = [line for line in outline(value).splitlines() if line.startswith("#")]
    assert heads == [f"{'#' * min(number, 6)} h{number}" for number in range(1, 9)]
    assert outline({"name": "x" * 59}) == "name: " + "x" * 59
    assert outline({"name": "x" * 60}) == "# name\n\n" + "x" * 60
    assert outline({"a": None, "b": [1, None, 2]}) == "a: \n\n# b\n\n1\n\n\n\n2"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", 0),
        ("a" * LETTERS, 1),
        ("a" * (LETTERS + 1), 2),
        ("a" * (2 * LETTERS), 2),
        ("a" * (2 * LETTERS + 1), 3),
        ("a b", 2),
    ],
)
def test_a_word_has_a_piece_for_every_few_letters(text: str, pieces: int) -> None:
    assert word_pieces(text) == pieces


@pytest.mark.parametrize(("words", "count"), [(10, 1), (11, 2), (15, 2), (16, 3)])
def test_a_long_sentence_is_cut_where_the_last_window_reaches_its_end(words: int, count: int) -> None:
    sentence = " ".join(f"w{number % 10}" for number in range(words))
    found = windows(sentence, 10)
    assert len(found) == count
    assert sentence.startswith(found[0])
    assert sentence.endswith(found[-1])
    assert len(set(found)) == len(found)


def test_the_book_of_a_folder_follows_its_file() -> None:
    def entry(text: str) -> dict[str, Entry]:
        return {"bell.md": Entry(uid="bell", keys=("bell",), content=text)}

    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db)
        for text in ("bone", "brass", "brass"):
            folders._keep_book(db, "harbour", entry(text), 1.0)
            (number,) = books.of_file(db, lore_files.book_of("harbour", {}).name)
            assert [one.content for one in books.read(db, number).entries] == [text]
        folders._keep_book(db, "harbour", {}, 1.0)
        assert not books.of_file(db, lore_files.book_of("harbour", {}).name)


# --- numpy ----------------------------------------------------------------------------------------


def test_a_numpy_that_broke_since_it_was_checked_is_checked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native_check._load(tmp_path)
    marker = tmp_path / "native-numpy.ok"
    assert marker.exists()
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(EmbedError, match="numpy cannot be used: "):
        native_check._load(tmp_path)
    assert not marker.exists()
