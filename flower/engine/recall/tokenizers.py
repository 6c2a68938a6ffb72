"""The tokenizers of embedding models, from their ``tokenizer.json``: WordPiece and Unigram.

WordPiece is BERT's, uncased, and the shipped model's. Text is cleaned, stripped of accents and lowered, cut at spaces,
punctuation and Chinese characters, and every word is spelt with the longest pieces the vocabulary has. Written from the
description in Devlin et al., "BERT" (2018) and held equal, text by text, to the package ``tokenizers`` by a test: the
package would bring a client for model hubs along, 40 MB that nothing here may ever use.

Unigram is that of multilingual models, over words that begin with ``▁``. The most likely way to spell a text is found
by Viterbi's algorithm (Kudo 2018, "Subword Regularization"). Text is made uniform by NFKC, which is what these models'
own tables of characters do but for a few rare ones.
"""

from __future__ import annotations

import json
import math
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from flower import file_io, limits
from flower.errors import EmbedError

WORD_CHARS = 100  # a longer word is unknown
CACHED_WORDS = 20_000  # 4 MiB; a language's common words many times over
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CONTROL = ("Cc", "Cf", "Co", "Cs")
# Ideographs stand for words: each is a token of its own. The gap before 0x2B920 is the original's.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class _Cleaned(dict[int, str]):
    """What becomes of a character before accents are looked at; grows by what texts contain."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char in "\t\n\r":
            made = " "
        elif code in (0, 0xFFFD) or unicodedata.category(char) in _CONTROL:
            made = ""
        elif char.isspace():
            made = " "
        elif any(first <= code <= last for first, last in _IDEOGRAPHS):
            made = f" {char} "
        else:
            made = char
        self[code] = made
        return made


class _Lowered(dict[int, str]):
    """What becomes of a character of decomposed text: accents go, letters are lowered one by one."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        made = "" if unicodedata.category(char) == "Mn" else char.lower()
        self[code] = made
        return made


class PieceTable(Mapping[str, int]):
    """The pieces and their numbers in a tenth of a dict's memory: the texts in one, found by a table of hashes."""

    def __init__(self, pieces: Mapping[str, int]) -> None:
        self.longest = max(map(len, pieces))
        texts = [piece.encode("utf-8", "surrogatepass") for piece in pieces]
        self._texts = b"".join(texts)
        self._ends = array("I", [0, *accumulate(map(len, texts))])
        self._numbers = array("I", pieces.values())
        self._mask = (1 << (2 * len(pieces)).bit_length()) - 1  # at most half of the slots are taken
        self._slots = array("I", bytes(4 * (self._mask + 1)))  # places from 1, 0: free
        for place, text in enumerate(texts):
            slot = hash(text) & self._mask
            while self._slots[slot]:
                slot = slot + 1 & self._mask
            self._slots[slot] = place + 1

    def __getitem__(self, piece: str) -> int:
        text = piece.encode("utf-8", "surrogatepass")
        slot = hash(text) & self._mask
        while place := self._slots[slot]:
            if self._texts[self._ends[place - 1] : self._ends[place]] == text:
                return self._numbers[place - 1]
            slot = slot + 1 & self._mask
        raise KeyError(piece)

    def get(self, piece: str, default: int | None = None) -> int | None:  # type: ignore[override]
        try:
            return self[piece]
        except KeyError:
            return default

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def numbers(self) -> Sequence[int]:
        """Returns the numbers in the order of the pieces; looked up one by one they take 0.1 s."""
        return self._numbers

    def __iter__(self) -> Iterator[str]:
        for first, end in pairwise(self._ends):
            yield self._texts[first:end].decode("utf-8", "surrogatepass")


class WordPiece:
    """Turns text into token ids. Not for several threads at once."""

    def __init__(self, vocabulary: Mapping[str, int], tokens: int) -> None:
        """``tokens``: how many ids a text gets at most, the two around it included."""
        self.vocabulary = PieceTable(vocabulary)
        self._unknown = (vocabulary["[UNK]"],)
        self._first, self._last = vocabulary["[CLS]"], vocabulary["[SEP]"]
        self._room = tokens - 2
        self._cleaned, self._lowered = _Cleaned(), _Lowered()
        self._words: dict[str, tuple[int, ...]] = {}

    @classmethod
    def read(cls, path: Path, tokens: int) -> WordPiece:
        """Returns the tokenizer of a ``tokenizer.json``; raises ``EmbedError``."""
        try:
            vocabulary = json.loads(file_io.read(path, limits.SOURCE_BYTES))["model"]["vocab"]
            return cls(vocabulary, tokens)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EmbedError(f"{path} cannot be used ({error})") from error

    def encode(self, text: str) -> list[int]:
        """Returns the ids of ``text``, cut to what fits."""
        ids = [self._first]
        for piece in self._ids(text):
            ids += piece
            if len(ids) > self._room:
                break
        del ids[self._room + 1 :]
        ids.append(self._last)
        return ids

    def _ids(self, text: str) -> Iterator[tuple[int, ...]]:
        for part, special in self._parts(text):
            for word in self._normal(part).split(" "):
                if word:
                    yield self._spell(word)
            if special:
                yield (self.vocabulary[special],)

    def _parts(self, text: str) -> Iterator[tuple[str, str]]:
        """Cuts at the names of special tokens, which mean themselves wherever they stand."""
        start = 0
        at = text.find("[")
        while at >= 0:
            special = next((name for name in _SPECIAL if text.startswith(name, at)), "")
            if special:
                yield text[start:at], special
                start = at + len(special)
            at = text.find("[", at + max(1, len(special)))
        yield text[start:], ""

    def _normal(self, text: str) -> str:
        cleaned = text.translate(self._cleaned)
        if cleaned.isascii():
            return cleaned.lower()
        return unicodedata.normalize("NFD", cleaned).translate(self._lowered)

    def _spell(self, word: str) -> tuple[int, ...]:
        """Returns the ids of what is between two spaces; remembers what it has seen."""
        ids = self._words.get(word)
        if ids is None:
            ids = tuple(i for part in _cut(word) for i in self._pieces(part))
            if len(self._words) >= CACHED_WORDS:
                self._words.clear()
            self._words[word] = ids
        return ids

    def _pieces(self, word: str) -> Iterable[int]:
        """The longest piece that fits, and so on; a word that cannot be spelt whole is unknown."""
        if len(word) > WORD_CHARS:
            return self._unknown
        ids, start, prefix = [], 0, ""
        while start < len(word):
            end = min(len(word), start + self.vocabulary.longest)
            while (piece := self.vocabulary.get(prefix + word[start:end])) is None:
                end -= 1
                if end == start:
                    return self._unknown
            ids.append(piece)
            start, prefix = end, "##"
        return ids


def _cut(word: str) -> Iterator[str]:
    """Yields the runs between punctuation, and every punctuation mark by itself."""
    start = 0
    for at, char in enumerate(word):
        if not char.isalnum() and _is_punctuation(char):
            if start < at:
                yield word[start:at]
            yield char
            start = at + 1
    if start < len(word):
        yield word[start:]


def _is_punctuation(char: str) -> bool:
    """All of ASCII that is no letter or digit counts, also what Unicode calls a symbol."""
    return char.isascii() or unicodedata.category(char).startswith("P")


# --- Unigram: the tokenizer of multilingual sentence models


_SPACE = "\u2581"
_UNKNOWN_PENALTY = 10.0  # below the least likely piece
UNIGRAM_WORD_CHARS = 400  # a longer word is cut: the search is over all pieces of a word


class Unigram:
    """Turns text into token ids. Not for several threads at once."""

    def __init__(self, pieces: Sequence[tuple[str, float]], unknown: int, tokens: int) -> None:
        """``tokens``: how many ids a text gets at most, the two around it included."""
        self._pieces = {piece: (number, score) for number, (piece, score) in enumerate(pieces)}
        self._unknown = unknown
        self._unknown_score = min(score for _, score in pieces) - _UNKNOWN_PENALTY
        self._longest = max(len(piece) for piece, _ in pieces)
        self._first, self._last = self._pieces["<s>"][0], self._pieces["</s>"][0]
        self._room = tokens - 2

    @classmethod
    def of(cls, file: Mapping[str, Any], tokens: int) -> Unigram:
        """Returns the tokenizer of a ``tokenizer.json`` that was read; raises what is wrong with it."""
        model = file["model"]
        pieces = [(str(piece), float(score)) for piece, score in model["vocab"]]
        return cls(pieces, int(model["unk_id"]), tokens)

    def encode(self, text: str) -> list[int]:
        """Returns the ids of ``text``, cut to what fits."""
        ids = [self._first]
        for word in unicodedata.normalize("NFKC", text).split():
            marked = _SPACE + word
            for start in range(0, len(marked), UNIGRAM_WORD_CHARS):
                ids += self._spell(marked[start : start + UNIGRAM_WORD_CHARS])
            if len(ids) > self._room:
                break
        del ids[self._room + 1 :]
        ids.append(self._last)
        return ids

    def _spell(self, word: str) -> list[int]:
        # best[end]: how likely the best spelling of the first ``end`` letters is; came[end]: its last piece.
        best = [0.0] + [-math.inf] * len(word)
        came: list[tuple[int, int]] = [(0, self._unknown)] * (len(word) + 1)  # (start, id)
        for end in range(1, len(word) + 1):
            for start in range(max(0, end - self._longest), end):
                piece = self._pieces.get(word[start:end])
                if piece is None and end - start > 1:
                    continue
                number, score = piece or (self._unknown, self._unknown_score)
                if best[start] + score > best[end]:
                    best[end], came[end] = best[start] + score, (start, number)
        ids: list[int] = []  # from the end back to the beginning, along the last pieces
        at = len(word)
        while at:
            at, number = came[at]
            if not (number == self._unknown and ids and ids[-1] == number):
                ids.append(number)  # unknown characters in a row are one token
        return ids[::-1]


def read_file(path: Path) -> Mapping[str, Any]:
    """Returns a ``tokenizer.json``; raises ``EmbedError``."""
    try:
        file = json.loads(file_io.read(path, 64 * limits.MIB))
    except (OSError, ValueError) as error:
        raise EmbedError(f"{path} cannot be used ({error})") from error
    if not isinstance(file, dict):
        raise EmbedError(f"{path} is no tokenizer.json")
    return file
