"""The tokenizer of multilingual sentence models: Unigram pieces over words that begin with ``▁``.

The most likely way to spell a text with the pieces of ``tokenizer.json`` is found by Viterbi's algorithm (Kudo 2018,
"Subword Regularization"). Text is made uniform by NFKC, which is what these models' own tables of characters do but for
a few rare ones.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flower import file_io, limits
from flower.errors import EmbedError

_SPACE = "\u2581"
_UNKNOWN_PENALTY = 10.0  # below the least likely piece
WORD_CHARS = 400  # a longer word is cut: the search is over all pieces of a word


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
            for start in range(0, len(marked), WORD_CHARS):
                ids += self._spell(marked[start : start + WORD_CHARS])
            if len(ids) > self._room:
                break
        del ids[self._room + 1 :]
        ids.append(self._last)
        return ids

    def _spell(self, word: str) -> list[int]:
        best = [0.0] + [-math.inf] * len(word)
        came: list[tuple[int, int]] = [(0, self._unknown)] * (len(word) + 1)  # (start, id)
        for end in range(1, len(word) + 1):
            for start in range(max(0, end - self._longest), end):
                found = self._pieces.get(word[start:end])
                if found is None and end - start > 1:
                    continue
                number, score = found or (self._unknown, self._unknown_score)
                if best[start] + score > best[end]:
                    best[end], came[end] = best[start] + score, (start, number)
        ids: list[int] = []
        at = len(word)
        while at:
            at, number = came[at]
            if not (number == self._unknown and ids and ids[-1] == number):
                ids.append(number)  # unknown characters in a row are one token
        return ids[::-1]


def read_file(path: Path) -> Mapping[str, Any]:
    """Returns a ``tokenizer.json``; raises ``EmbedError``."""
    try:
        found = json.loads(file_io.read(path, 64 * limits.MIB))
    except (OSError, ValueError) as error:
        raise EmbedError(f"{path} cannot be used ({error})") from error
    if not isinstance(found, dict):
        raise EmbedError(f"{path} is no tokenizer.json")
    return found
