"""Small rules of words, one by one: which language a text is in, where words begin and end, how they are kept."""

from __future__ import annotations

import pytest

from flower.engine.store import passages, term_rows, words
from flower.engine.store.connection import Connection
from flower.engine.store.passages import Chunk
from flower.engine.store.words import UNKNOWN, language_of, stem, terms_of, words_of


@pytest.mark.parametrize(
    ("letters", "language"),
    [
        ("\u0370\u03ff", "greek"),
        ("\u0430\u0451", "russian"),
        ("\u0621\u06d3", "arabic"),
        ("\u0905\u0939", "hindi"),
        ("\u0b85\u0bb9", "tamil"),
        ("\u0531\u0587", "armenian"),
        ("\u10d0\u10d1", UNKNOWN),  # Georgian
        ("\u8001\u78e8", UNKNOWN),
        ("z\u00fc\u024f", "english"),
        ("", "english"),
        ("123 456", "english"),
    ],
)
def test_a_script_decides_by_its_first_letter(letters: str, language: str) -> None:
    assert language_of(letters) == language
    assert language_of(f"{letters} Mara") == language
    if language not in {"english", UNKNOWN}:
        assert language_of(f"Mara {letters[0]}") == language
        assert language_of("Mara " * 19 + letters[0]) == language
        assert language_of("Mara " * 20 + letters[0]) == "english"  # only so many words are looked at


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Reiher Schleuse " * 8 + "der", "english"),  # one common word of 17 is no language
        ("Reiher Schleuse " * 3 + "der", "german"),
        ("Heron lock the der", "english"),  # as many of both
        ("Heron lock the der die", "german"),
        ("x" * 2000 + " der die das", "english"),  # the beginning alone is read
    ],
)
def test_a_language_is_believed_by_its_share_of_common_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_words_are_cut_at_what_is_no_letter() -> None:
    assert words_of("It's THE_end, x2: 7!") == ["it", "s", "the", "end", "x2", "7"]
    assert words_of("cafe\u0301 \u00c4") == ["caf\u00e9", "\u00e4"]
    assert words_of("") == words_of("... _ -") == []


def test_what_is_written_without_spaces_is_kept_in_pairs() -> None:
    assert words_of("\u8001") == ["\u8001"]
    assert words_of("\u8001\u78e8\u574a\u524d") == ["\u8001\u78e8", "\u78e8\u574a", "\u574a\u524d"]
    assert words_of("x1\u8001\u78e8\u574a") == ["\u8001\u78e8", "\u78e8\u574a", "x1"]
    assert words_of("\u0e01") == ["\u0e01"]  # the first letter of Thai
    assert words_of("\u0dc6\u0dc6\u0dc6") == ["\u0dc6\u0dc6\u0dc6"]  # Sinhala has spaces


def test_only_words_of_a_known_language_have_a_stem() -> None:
    assert stem("ringing", UNKNOWN) == "ringing"
    assert stem("ringing", "english") == "ring"
    assert stem("\u8001\u78e8", "english") == "\u8001\u78e8"
    assert stem("\u00fcbungen", "german").isascii()
    assert (
        stem("\u043a\u043e\u043b\u043e\u043a\u043e\u043b\u0430", "russian")
        == "\u043a\u043e\u043b\u043e\u043a\u043e\u043b"
    )


def test_a_word_of_the_title_counts_twice() -> None:
    assert terms_of("Bell, bell", "A bell rings.") == ("english", {"bell": 5, "a": 1, "ring": 1})
    assert terms_of("Der Reiher", "und die Schleuse")[0] == "german"


def test_counts_are_kept_as_bytes_each_of_its_own_word(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    passages.replace_source(db, "lore", "s", "world", [Chunk("", "fog")], digest=b"", created=1.0)
    (number,) = db.execute("SELECT id FROM passages").fetchone()
    term_rows.store(db, number, "", "bell " * 300 + "ring heron heron")
    (terms,) = term_rows.terms_of_ids(db, [number])
    kept = dict(zip(terms.hashes.tolist(), terms.counts.tolist(), strict=True))
    assert kept == {
        term_rows.term_hash("bell"): 255, term_rows.term_hash("ring"): 1, term_rows.term_hash("heron"): 2
    }  # fmt: skip
    assert (terms.passage_id, terms.message_id, terms.language) == (number, 0, "english")
    monkeypatch.setattr(term_rows, "term_hash", lambda _: 7)
    term_rows.store(db, number, "", "bell ring")
    (terms,) = term_rows.terms_of_ids(db, [number])
    assert (terms.hashes.tolist(), terms.counts.tolist()) == ([7], [2])
    assert term_rows.count_missing(db, "s") == 0


def test_a_stem_is_made_once() -> None:
    words.stem.cache_clear()
    for _ in range(3):
        stem("herons", "english")
    assert (words.stem.cache_info().hits, words.stem.cache_info().misses) == (2, 1)
