"""The embedding model's tokenizer gives the ids that the package ``tokenizers`` gives."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.recall.tokenizers import CACHED_WORDS, PieceTable, WordPiece
from flower.errors import EmbedError
from tests.paths import ROOT

FILE = ROOT / "models" / "all-MiniLM-L6-v2" / "tokenizer.json"
TOKENS = 256
OWN = WordPiece.read(FILE, TOKENS)

# What later versions of Unicode added or call something else, the package and Python may see differently.
STABLE = [
    char
    for char in map(chr, range(0x110000))
    if unicodedata.ucd_3_2_0.category(char) == unicodedata.category(char) not in ("Cn", "Cs")
]
PIECES = [
    *"abcdefg ABC éüÉß İıΣςσ .,!?'\"-[]#\t\n\r0123 中文",
    "the ", "harbour ", "[SEP]", "[CLS]", "[MASK", "🙂", "e\u0301", "\u200b", "\ufffd", "\0", "x" * 101 + " ",
]  # fmt: skip


@pytest.fixture(scope="module")
def reference() -> object:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer.from_file(str(FILE))
    made.no_padding()
    made.enable_truncation(TOKENS)
    return made


def same(reference: object, text: str) -> bool:
    return bool(reference.encode(text).ids == OWN.encode(text))  # type: ignore[attr-defined]


def test_every_character_is_read_alike(reference: object) -> None:
    """In a word, after a letter it may belong to, and alone; a plane at a time."""
    assert len(STABLE) > 200_000
    assert [hex(ord(c)) for c in STABLE if not same(reference, f"a{c}b e{c} {c}")] == []


def test_texts_of_every_kind_are_read_alike(reference: object) -> None:
    rng = random.Random(1)
    for _ in range(3000):
        text = "".join(
            rng.choice(PIECES if rng.random() < 0.8 else STABLE) for _ in range(rng.randrange(120))
        )
        assert same(reference, text), ascii(text)


def test_real_texts_are_read_alike(reference: object) -> None:
    texts = [part for page in (ROOT / "docs").glob("*.md") for part in page.read_text().split("\n\n")]
    assert len(texts) > 100
    assert [text for text in texts if not same(reference, text)] == []


@given(st.text())
def test_any_text_has_an_end_and_known_ids(text: str) -> None:
    ids = OWN.encode(text.encode("utf-8", "replace").decode())
    assert (ids[0], ids[-1]) == (101, 102)
    assert 2 <= len(ids) <= TOKENS
    assert all(0 <= number < 30522 for number in ids)


def test_known_ids() -> None:
    """Of the sentence in the model's own card, and of what is cut away."""
    assert OWN.encode("This is an example sentence") == [101, 2023, 2003, 2019, 2742, 6251, 102]
    assert OWN.encode("") == [101, 102]
    assert len(OWN.encode("word " * 1000)) == TOKENS


def test_the_words_it_remembers_are_bounded() -> None:
    tokenizer = WordPiece({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##a": 4}, 8)
    for number in range(CACHED_WORDS + 10):
        tokenizer.encode(f"w{number}")
    assert len(tokenizer._words) <= CACHED_WORDS


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"model": {"vocab": {"a": 1}}}', b"\xff"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_bytes(content)
    with pytest.raises(EmbedError, match=r"tokenizer\.json cannot be used"):
        WordPiece.read(file, TOKENS)


def test_a_packed_vocabulary_is_what_it_was_made_of() -> None:
    """Every piece has its number, in the order they came in, and nothing else has one."""
    pieces = {"a": 7, "##a": 0, "ab": 3, "é": 4, "漢": 5, "[UNK]": 1_000_000, "": 2} | {
        f"word{number}": number + 100 for number in range(500)
    }
    packed = PieceTable(pieces)
    assert dict(packed) == pieces
    assert list(packed) == list(pieces)
    assert (len(packed), packed.longest) == (507, 7)
    assert packed.get("word500") is packed.get("A") is None
    with pytest.raises(KeyError, match="word500"):
        packed["word500"]
