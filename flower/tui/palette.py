"""Fuzzy matching: which entries fit what was typed, best first.

A pattern fits a text when its characters occur in order; words of the pattern are matched on their
own, so "sel world" finds "/world select". Better: at a word's start, next to each other, early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

_WORD_START = 8
_NEXT = 5
_FIRST = 6
_SKIP = -1
_SKIP_MOST = -6
_RECENT = 4


def score(pattern: str, text: str) -> int | None:
    """Returns how well ``pattern`` fits ``text`` (higher is better), None when it does not."""
    text = text.casefold()
    total = 0
    for word in pattern.casefold().split():
        best = _score_word(word, text)
        if best is None:
            return None
        total += best
    return total


def _score_word(word: str, text: str) -> int | None:
    exact = text.find(word)
    if exact >= 0:
        # A whole occurrence beats any scattered one; prefer one at a word's start.
        while exact > 0 and text[exact - 1].isalnum():
            following = text.find(word, exact + 1)
            if following < 0:
                break
            exact = following
        starts = exact == 0 or not text[exact - 1].isalnum()
        return (_NEXT + _WORD_START) * len(word) + (_FIRST if starts else 0) + max(_SKIP_MOST, -exact)
    total = 0
    place = -1
    for char in word:
        found = text.find(char, place + 1)
        if found < 0:
            return None
        if found == place + 1 and place >= 0:
            total += _NEXT
        elif found == 0 or not text[found - 1].isalnum():
            total += _WORD_START
        else:
            total += max(_SKIP_MOST, _SKIP * (found - place))
        place = found
    return total


def rank(
    pattern: str, entries: Iterable[T], text_of: Callable[[T], str], recent: Sequence[str] = ()
) -> list[T]:
    """Returns the entries that fit, best first; ties keep their order.

    Entries whose text is in ``recent`` (newest first) come up a little; with nothing typed they lead.
    """
    ranked: list[tuple[int, int, T]] = []
    for place, entry in enumerate(entries):
        text = text_of(entry)
        points = score(pattern, text)
        if points is None:
            continue
        if text in recent:
            points += _RECENT + len(recent) - recent.index(text)
        ranked.append((-points, place, entry))
    ranked.sort(key=lambda item: item[:2])
    return [entry for _, _, entry in ranked]


def spread(pattern: str, text: str) -> list[int]:
    """Returns the places in ``text`` to mark as matched by ``pattern``."""
    folded = text.casefold()
    if len(folded) != len(text):
        return []
    places: set[int] = set()
    for word in pattern.casefold().split():
        exact = folded.find(word)
        if exact >= 0:
            places.update(range(exact, exact + len(word)))
    return sorted(places)
