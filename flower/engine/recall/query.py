"""What a query asks for: its words for the keyword index, its text for the model. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flower import limits
from flower.engine.recall.base import Query

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import Vectors

# Words that nearly every passage holds. They cost time in the keyword index and tell nothing.
_COMMON = """
    a about above after again against all also am an and any are as at be because been before being
    below between both but by can could did do does doing down during each few for from further had
    has have having he her here hers herself him himself his how i if in into is it its itself just
    let like me more most my myself no nor not now of off on once only or other our ours ourselves
    out over own s said same say says she should so some such t tell than that the their theirs them
    themselves then there these they this those through to too under until up us very was we were
    what when where which while who whom why will with would you your yours yourself
"""
STOPWORDS = frozenset(_COMMON.split())
_ENDINGS = ("ings", "edly", "ing", "ed", "es", "ly", "s")
_STEM_LETTERS = 3  # an ending is cut only from a word that keeps so many


def words_of(text: str) -> list[str]:
    """Returns the words of a text, case folded, split where the keyword index splits."""
    return "".join(char if char.isalnum() else " " for char in text.casefold()).split()


def keywords(text: str, *, known: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns the telling words of a text, each once, in order, at most ``KEYWORD_TERMS``.

    Common words and ``known`` ones are left out.
    """
    words = dict.fromkeys(words_of(text))
    telling = [word for word in words if word not in STOPWORDS and word not in known]
    return tuple(telling[: limits.KEYWORD_TERMS])


def context_weight(words: Sequence[str]) -> float:
    """Returns the share of the context in a query, from 0 to 1, by the telling words of its line.

    ``What does she say?`` is about whatever was spoken of; a line with words of its own is not.
    """
    return 0.6 if not words else 0.4 if len(words) == 1 else 0.2


def context_of(query: Query) -> str:
    """Returns the end of the context, cut at a word, where the newest lines are."""
    context = query.context.strip()
    if len(context) <= limits.RECALL_CONTEXT_CHARS:
        return context
    return context[-limits.RECALL_CONTEXT_CHARS :].partition(" ")[2].strip()


def words_found(text: str, words: Sequence[str]) -> tuple[str, ...]:
    """Returns the words that a passage holds, endings ignored: near enough for a reader."""
    held = {_stem(word) for word in words_of(text)}
    return tuple(word for word in words if _stem(word) in held)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_LETTERS:
            return word.removesuffix(ending)
    return word


# --- Vectors of texts that are likely to be asked for again, the least recently used ones forgotten. Pure.


class Kept:
    """At most ``most`` vectors by their text."""

    def __init__(self, most: int = limits.QUERY_VECTORS_KEPT) -> None:
        self._most = most
        self._vectors: dict[str, Vectors] = {}  # in order of use

    def __contains__(self, text: str) -> bool:
        return text in self._vectors

    def get(self, text: str) -> Vectors | None:
        """Returns the vector of ``text``, or None; it counts as used now."""
        vector = self._vectors.pop(text, None)
        if vector is not None:
            self._vectors[text] = vector
        return vector

    def put(self, text: str, vector: Vectors) -> None:
        """Keeps a vector; the one that was not used for longest goes."""
        self._vectors.pop(text, None)
        self._vectors[text] = vector
        if len(self._vectors) > self._most:
            del self._vectors[next(iter(self._vectors))]
