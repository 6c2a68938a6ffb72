"""Which of many thousand plain keys are in the texts of a scan. Pure.

Looking for each key by itself costs a pass over the text per key. Here the text is cut into its words
once. A key that must be a whole word is then looked up among them. Of any other key one piece of a few
letters is noted, the one that fewest keys share; only keys whose piece is in a word of the text are
looked for in it.

The texts are messages, further texts, what other entries brought. An entry sees only as many of the newest messages as
its scan depth says, so for every term the newest message with it is noted. Patterns get one text, in which the parts
are parted as other programs do it: a line break and a sign that no key has.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from flower.engine.lorebook import matching
from flower.engine.lorebook.book import TextSource

LORE_REMEMBERED_TEXTS = 256  # messages and entries whose keys are known
LORE_REMEMBERED_CHARS = 20_000  # of each
LORE_REMEMBERED_WORDS = 20_000  # with the keys that may be in them

__all__ = ["KeyIndex", "ScanText", "Term", "View"]

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
        self._terms_of: OrderedDict[str, frozenset[int]] = OrderedDict()

    def find(self, text: str) -> frozenset[int]:
        """Returns the numbers of the terms that stand in ``text``."""
        numbers = self._terms_of.get(text)
        if numbers is not None:
            self._terms_of.move_to_end(text)
            return numbers
        numbers = frozenset(self._folded.find(text.lower())) | frozenset(self._exact.find(text))
        if len(text) <= LORE_REMEMBERED_CHARS:
            self._terms_of[text] = numbers
            if len(self._terms_of) > LORE_REMEMBERED_TEXTS:
                self._terms_of.popitem(last=False)
        return numbers


class _Half:
    """The terms of one kind of case; texts are given as they are to be compared."""

    def __init__(self, terms: Sequence[tuple[int, Term]]) -> None:
        self._terms = dict(terms)
        self._words: dict[str, int] = {}  # whole words of word letters alone
        self._stems: dict[str, int] = {}  # of them those that may have an ending
        others: list[tuple[int, str]] = []
        for number, term in terms:
            if term.whole and not term.ascii_only and matching.is_run(term.text):
                stem = matching.cyrillic_end(term.text)
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
            runs = set(matching.RUN.findall(text))
            numbers.extend(self._words[word] for word in runs & self._words.keys())
            if self._stems:
                numbers.extend(self._stemmed(runs))
        if self._pieces:
            numbers.extend(self._pieced(text))
        numbers.extend(number for number in self._plain if self._stands(number, text))
        return numbers

    def _stemmed(self, runs: set[str]) -> Iterable[int]:
        for word in runs:
            if matching.cyrillic_end(word):
                for stem in (word, *matching.stems(word)):
                    number = self._stems.get(stem)
                    if number is not None:
                        yield number

    def _pieced(self, text: str) -> Iterable[int]:
        """Yields the terms that share a piece with a word of the text and do stand in it."""
        candidates: set[int] = set()
        for word in set(_PART.findall(text)):
            numbers = self._candidates.get(word)
            candidates.update(self._sharing(word) if numbers is None else numbers)
        return (number for number in candidates if self._stands(number, text))

    def _sharing(self, word: str) -> Sequence[int]:
        """Returns the terms that share a piece with ``word``, and remembers them: words come again."""
        sharing: list[int] = []
        for size, noted in self._pieces.items():
            pieces = {word[at : at + size] for at in range(len(word) - size + 1)}
            for piece in pieces & noted.keys():
                sharing.extend(noted[piece])
        if len(word) <= _WORD_CHARS:
            if len(self._candidates) >= LORE_REMEMBERED_WORDS:
                self._candidates.clear()
            self._candidates[word] = tuple(sharing)
        return sharing

    def _stands(self, number: int, text: str) -> bool:
        term = self._terms[number]
        if term.text not in text:
            return False
        return not term.whole or matching.has_word(text, term.text, term.ascii_only)

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


# --- The text that keys are looked for in


_MARK = "\x01"


class View(Struct, frozen=True):
    """What one entry sees."""

    depth: int
    sources: tuple[TextSource, ...]
    recursion: bool  # texts of other entries too


class ScanText:
    """All texts of one scan. ``messages`` are newest first, as they are to be read."""

    def __init__(
        self,
        index: KeyIndex,
        messages: Sequence[str],
        sources: Mapping[TextSource, str],
        injected: Sequence[str],
    ) -> None:
        self._index = index
        self._messages = messages
        self._sources = sources
        self._injected = injected
        self._recursion: list[str] = []
        self._newest: dict[int, int] = {}  # term: first message that has it
        self._read = 0
        self._in_sources = {source: index.find(text) for source, text in sources.items()}
        self._in_injected = frozenset().union(*(index.find(text) for text in injected))
        self._in_recursion: set[int] = set()
        self._texts: dict[View, str] = {}

    def first_terms(self) -> set[int]:
        """Returns the terms of all texts that are there from the beginning but for the messages."""
        return set(self._in_injected).union(*self._in_sources.values())

    def read(self, depth: int) -> set[int]:
        """Reads messages down to ``depth``; returns the terms that come with them."""
        fresh: set[int] = set()
        for at in range(self._read, min(depth, len(self._messages))):
            for term in self._index.find(self._messages[at]):
                if term not in self._newest:
                    self._newest[term] = at
                    fresh.add(term)
        self._read = max(self._read, min(depth, len(self._messages)))
        return fresh

    def add(self, text: str) -> frozenset[int]:
        """Adds what entries brought; returns the terms in it."""
        self._recursion.append(text)
        self._texts.clear()
        terms = self._index.find(text)
        self._in_recursion |= terms
        return terms

    @property
    def grown(self) -> bool:
        """Whether an entry has brought anything."""
        return bool(self._recursion)

    def has(self, term: int, view: View) -> bool:
        """Returns whether the term is in what a view shows. The messages must have been read."""
        return (
            self._newest.get(term, view.depth) < view.depth
            or term in self._in_injected
            or (view.recursion and term in self._in_recursion)
            or any(term in self._in_sources.get(source, ()) for source in view.sources)
        )

    def parts(self, view: View) -> list[str]:
        """Returns the texts of a view, in order."""
        parts = list(self._messages[: view.depth])
        parts += [
            self._sources[source]
            for source in TextSource
            if source in view.sources and self._sources.get(source)
        ]
        parts += self._injected
        return parts + self._recursion if view.recursion else parts

    def text(self, view: View) -> str:
        """Returns a view as one text, for patterns."""
        text = self._texts.get(view)
        if text is None:
            text = self._texts[view] = _MARK + f"\n{_MARK}".join(self.parts(view))
        return text
