"""Which of many thousand plain keys stand in a text. Pure.

Looking for each key by itself costs a pass over the text per key. Here the text is cut into its words
once. A key that must be a whole word is then looked up among them. Of any other key one piece of a few
letters is noted, the one that fewest keys share; only keys whose piece is in a word of the text are
looked for in it.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from flower import limits
from flower.engine.lorebook import words

__all__ = ["KeyIndex", "Term"]

_PIECE = 6  # letters: shorter ones are in most texts; measured with tests/bench/lorebook.py
_MANY = 8  # terms that share a piece
_WORD_CHARS = 40  # longer ones are runs of a script without spaces, which do not come again
_PART = re.compile(r"\w+")


class Term(Struct, frozen=True):
    """One way to look for one text. ``text`` is in small letters where ``fold``; ``ascii_only``: what
    parts whole words is all but the letters of ASCII."""

    text: str
    fold: bool = True
    whole: bool = True
    ascii_only: bool = False


class KeyIndex:
    """Finds terms, which are known by their number, in texts.

    What was found in a text is remembered, since most messages of one scan are read again in the next.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self._folded = _Half([(i, t) for i, t in enumerate(terms) if t.fold])
        self._exact = _Half([(i, t) for i, t in enumerate(terms) if not t.fold])
        self._known: OrderedDict[str, frozenset[int]] = OrderedDict()

    def find(self, text: str) -> frozenset[int]:
        """Returns the numbers of the terms that stand in ``text``."""
        numbers = self._known.get(text)
        if numbers is not None:
            self._known.move_to_end(text)
            return numbers
        numbers = frozenset(self._folded.find(text.lower())) | frozenset(self._exact.find(text))
        if len(text) <= limits.LORE_REMEMBERED_CHARS:
            self._known[text] = numbers
            if len(self._known) > limits.LORE_REMEMBERED_TEXTS:
                self._known.popitem(last=False)
        return numbers


class _Half:
    """The terms of one kind of case; texts are given as they are to be compared."""

    def __init__(self, terms: Sequence[tuple[int, Term]]) -> None:
        self._terms = dict(terms)
        self._words: dict[str, int] = {}  # whole words of word letters alone
        self._stems: dict[str, int] = {}  # of them those that may have an ending
        others: list[tuple[int, str]] = []
        for number, term in terms:
            if term.whole and not term.ascii_only and words.is_run(term.text):
                stem = words.cyrillic_end(term.text)
                (self._stems if stem else self._words)[term.text] = number
            else:
                others.append((number, term.text))
        self._pieces: dict[int, dict[str, list[int]]] = {}  # by their length
        self._candidates: dict[str, tuple[int, ...]] = {}
        self._plain: list[int] = []  # that have no letters, like signs and pictures
        self._note(others)

    def find(self, text: str) -> Iterable[int]:
        if not self._terms:
            return ()
        numbers: list[int] = []
        if self._words or self._stems:
            runs = set(words.RUN.findall(text))
            numbers.extend(self._words[word] for word in runs & self._words.keys())
            if self._stems:
                numbers.extend(self._stemmed(runs))
        if self._pieces:
            numbers.extend(self._pieced(text))
        numbers.extend(number for number in self._plain if self._stands(number, text))
        return numbers

    def _stemmed(self, runs: set[str]) -> Iterable[int]:
        for word in runs:
            if words.cyrillic_end(word):
                for stem in (word, *words.stems(word)):
                    number = self._stems.get(stem)
                    if number is not None:
                        yield number

    def _pieced(self, text: str) -> Iterable[int]:
        """Yields the terms that share a piece with a word of the text and do stand in it."""
        candidates: set[int] = set()
        for word in set(_PART.findall(text)):
            known = self._candidates.get(word)
            candidates.update(self._sharing(word) if known is None else known)
        return (number for number in candidates if self._stands(number, text))

    def _sharing(self, word: str) -> Sequence[int]:
        """Returns the terms that share a piece with ``word``, and remembers them: words come again."""
        sharing: list[int] = []
        for size, noted in self._pieces.items():
            pieces = {word[at : at + size] for at in range(len(word) - size + 1)}
            for piece in pieces & noted.keys():
                sharing.extend(noted[piece])
        if len(word) <= _WORD_CHARS:
            if len(self._candidates) >= limits.LORE_REMEMBERED_WORDS:
                self._candidates.clear()
            self._candidates[word] = tuple(sharing)
        return sharing

    def _stands(self, number: int, text: str) -> bool:
        term = self._terms[number]
        if term.text not in text:
            return False
        return not term.whole or words.has_word(text, term.text, term.ascii_only)

    def _note(self, terms: Sequence[tuple[int, str]]) -> None:
        """Chooses for each term the piece to know it by: a long one, but not one that many share."""
        cut = {
            number: [piece for part in _PART.findall(text) for piece in _cut(part)]
            for number, text in terms
        }
        shared = Counter(piece for pieces in cut.values() for piece in set(pieces))
        for number, pieces in cut.items():
            if not pieces:
                self._plain.append(number)
                continue
            piece = min(pieces, key=lambda p: (shared[p] > _MANY, -len(p), shared[p]))
            self._pieces.setdefault(len(piece), {}).setdefault(piece, []).append(number)


def _cut(part: str) -> list[str]:
    """Returns the pieces of a word; the word itself if it is short."""
    if len(part) <= _PIECE:
        return [part]
    return [part[at : at + _PIECE] for at in range(len(part) - _PIECE + 1)]
