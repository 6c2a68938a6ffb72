"""Words, languages and stems; the keyword index of a scope against a plain count; late interaction."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.recall import keyword_index, ranking
from flower.engine.recall.keyword_index import LENGTH_SHARE, SATURATION, KeywordIndex, QueryTerm
from flower.engine.store.term_rows import Terms
from flower.engine.store.words import UNKNOWN, language_of, stem, terms_of, words_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The keeper of the lighthouse is in the tower.", "english"),
        ("Der Wärter ist mit der Laterne auf dem Turm.", "german"),
        ("Le gardien est dans la tour avec une lanterne.", "french"),
        ("El guardián está en la torre con una linterna.", "spanish"),
        ("Смотритель стоит на башне", "russian"),
        ("बूढ़े चक्कीवाले ने सिक्के छिपाए", "hindi"),
        ("Bekçi bu gece kulede ve çok yorgun", "turkish"),
        ("老磨坊主把银币藏在面粉袋里。", UNKNOWN),
        ("หมอรักษาไข้", UNKNOWN),
        ("Mara. 17. Vael!", "english"),
        ("", "english"),
    ],
)
def test_the_language_of_a_text_is_told(text: str, language: str) -> None:
    assert language_of(text) == language


def test_marks_stay_with_their_letters_and_unspaced_scripts_become_pairs() -> None:
    assert words_of("हिन्दी में") == ["हिन्दी", "में"]
    assert words_of("老磨坊 Mara") == ["老磨", "磨坊", "mara"]
    assert words_of("ไข้") == ["ไข", "ข้"]
    assert words_of("Mara's 3rd LEDGER_book") == ["mara", "s", "3rd", "ledger", "book"]
    assert words_of("cafe\u0301") == ["café"]


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("drowned", "drowning", "english"),
        ("schlüssels", "schlüssel", "german"),
        ("монеты", "монета", "russian"),
        ("José".casefold(), "jose", "english"),
    ],
)
def test_forms_of_a_word_share_a_stem(one: str, other: str, language: str) -> None:
    assert stem(one, language) == stem(other, language)


@given(st.text(max_size=80))
def test_every_text_has_words_and_stems(text: str) -> None:
    """Whatever the characters; and words hold no space."""
    language, counts = terms_of("", text)
    assert sum(counts.values()) == len(words_of(text))
    assert all(word.split() == [word] for word in words_of(text))
    assert all(stem(word, language) for word in words_of(text))


# --- the keyword index --------------------------------------------------------------------------

DOCUMENT = st.dictionaries(st.integers(0, 6), st.integers(1, 5), min_size=1, max_size=5)


def terms(number: int, counts: dict[int, int], language: str = "english") -> Terms:
    return Terms(
        number,
        number,
        language,
        np.array(list(counts), np.uint32),
        np.array(list(counts.values()), np.uint8),
    )


@given(
    st.lists(st.lists(DOCUMENT, max_size=6), max_size=8),
    st.sets(st.integers(1, 48)),
    st.dictionaries(st.integers(0, 8), st.floats(0.1, 2), max_size=4),
)
def test_the_index_scores_like_a_plain_count(
    batches: list[list[dict[int, int]]], removed: set[int], query: dict[int, float]
) -> None:
    """However passages came and went."""
    index = KeywordIndex()
    documents: dict[int, dict[int, int]] = {}
    number = 0
    for batch in batches:
        rows = []
        for counts in batch:
            number += 1
            documents[number] = counts
            rows.append(terms(number, counts))
        index.add(rows)
        index.add(rows)  # what is there already is left out
        gone = {i for i in removed if i <= number and i % 3 == len(documents) % 3}
        index.remove(gone)
        for i in gone:
            documents.pop(i, None)
    assert len(index) == len(documents)
    scores, held = index.scores([QueryTerm((key,), weight) for key, weight in query.items()])
    mean = sum(sum(d.values()) for d in documents.values()) / max(1, len(documents))
    tells = {}
    for key, weight in query.items():
        # A removed passage may still count as a holder until its part is made anew.
        (tells[key],) = index.weights([QueryTerm((key,), weight)])
    for passage_id, counts in documents.items():
        expected = 0.0
        for key, tell in tells.items():
            if count := counts.get(key):
                norm = 1 - LENGTH_SHARE + LENGTH_SHARE * sum(counts.values()) / mean
                expected += tell * (SATURATION + 1) * count / (count + SATURATION * norm)
        place = index.place(passage_id)
        assert place is not None
        assert scores[place] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert 0.0 <= held[place] <= 1.0
    assert not scores[~index.alive].any()


def test_a_rare_word_of_this_scope_tells_more_than_a_common_one() -> None:
    index = KeywordIndex()
    index.add([terms(n, {1: 1, 2: 1} if n == 1 else {1: 1}) for n in range(1, 11)])
    common, rare = index.weights([QueryTerm((1,)), QueryTerm((2,))])
    assert rare > 5 * common > 0.0
    assert rare == pytest.approx(math.log(1 + 9.5 / 1.5))


def test_a_scope_knows_its_languages() -> None:
    index = KeywordIndex()
    index.add([terms(n, {1: 1}, "german" if n > 3 else "english") for n in range(1, 10)])
    assert index.languages == ["german", "english"]
    index.remove(range(4, 10))
    assert index.languages == ["english"]


@given(st.lists(st.integers(0, 30), max_size=10))
def test_late_interaction_is_the_mean_of_the_best(sizes: list[int]) -> None:
    """Of signs against numbers; a passage without tokens gets 0."""
    rng = np.random.default_rng(len(sizes))
    question = rng.normal(size=(3, 16)).astype(np.float32)
    documents = [rng.normal(size=(size, 16)).astype(np.float32) for size in sizes]
    ranked, found = ranking.late_scores(question, [ranking.pack_tokens(tokens) for tokens in documents])
    unit = question / np.linalg.norm(question, axis=1, keepdims=True)
    filled = [np.where(tokens > 0, 1.0, -1.0) / 4.0 for tokens in documents if len(tokens)]
    alike = np.array([(unit @ signs.T).max(axis=1) for signs in filled]).reshape(-1, 3)
    telling = 1 - alike.mean(axis=0) if len(filled) else np.zeros(3)
    has = np.array([len(tokens) > 0 for tokens in documents], bool)
    assert found[has].tolist() == pytest.approx(alike.mean(axis=1).tolist(), abs=1e-5)
    assert ranked[has].tolist() == pytest.approx((alike @ telling / telling.sum()).tolist(), abs=1e-5)
    assert not found[~has].any()
    assert not ranked[~has].any()


def test_a_token_that_all_passages_have_tells_little() -> None:
    question = np.eye(2, 16, dtype=np.float32) * 16
    both, first = -np.ones((2, 16), np.float32), -np.ones((1, 16), np.float32)
    first[0, 0] = both[0, 0] = both[1, 1] = 1.0
    ranked, plain = ranking.late_scores(
        question, [ranking.pack_tokens(first)] * 9 + [ranking.pack_tokens(both)]
    )
    assert plain[9] - plain[0] == pytest.approx(0.25)
    assert ranked[9] - ranked[0] > 0.3


def test_damaged_token_vectors_are_left_out() -> None:
    question = np.ones((1, 16), np.float32)
    good = ranking.pack_tokens(np.ones((2, 16), np.float32))
    ranked, plain = ranking.late_scores(question, [b"123", good])
    assert plain.tolist() == ranked.tolist() == [0.0, 1.0]
    assert [part.tolist() for part in ranking.late_scores(question, [b"123"])] == [[0.0], [0.0]]


def test_counts_of_words_are_of_stems() -> None:
    language, counts = terms_of("Bells", "The bell rings; bells ringing.")
    assert language == "english"
    assert Counter(counts) == Counter({"bell": 4, "ring": 2, "the": 1})


def test_parts_of_bounded_size_score_as_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after passages were taken out and the arrays were made anew, and with ids that came late."""
    documents = [{number % 5: 1 + number % 3, 10 + number % 7: 1} for number in range(60)]
    order = [*range(40), *range(50, 60), *range(40, 50)]
    rows = [terms(number + 1, documents[number]) for number in order]
    removed = range(3, 60, 2)
    found = []
    for bound in (1 << 13, 4):
        monkeypatch.setattr(keyword_index, "_PART_PASSAGES", bound)
        index = KeywordIndex()
        for start in range(0, 60, 7):
            index.add(rows[start : start + 7])
        index.remove(removed)
        assert len(index._parts) > 4 or bound > 4
        assert [index.place(i) is None for i in range(1, 61)] == [i in removed for i in range(1, 61)]
        scores, held = index.scores([QueryTerm((2,)), QueryTerm((12,))])
        found.append((dict(zip(index.ids.tolist(), scores.tolist(), strict=True)), held.tolist()))
    assert found[0] == found[1]
    assert max(found[0][0].values()) > 0
