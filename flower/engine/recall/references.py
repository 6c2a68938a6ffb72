"""What a question refers to: whom by she or he, and which end or side of what happened. Pure.

English only. A name is a run of capitalised words; whether one is a person is a guess from where it stands, and whether
she or he fits it from the pronouns that follow it. A wrong guess costs a place in the ranking.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from flower.engine.store.words import COMMON, ENGLISH
from flower.text import sentences_of

_PRONOUNS = {"she": "she", "her": "she", "hers": "she", "he": "he", "him": "he", "his": "he"}
_NOBODY = frozenset(
    [
        "nobody",
        "somebody",
        "everybody",
        "someone",
        "everyone",
        "anyone",
        "nothing",
        "something",
        "everything",
        "outside",
        "inside",
    ]
)
_EDGES = "\"'“”‘’«».,;:!?…()[]*_-–—"


Order = Literal["", "before", "after", "first", "last"]


def order_of(question: str) -> Order:
    """Returns what a question asks of the order of a story: what stands before or after something that happened, or the
    first or last of several; "" if nothing.
    """
    words = [word.casefold() for word in _bare(question)]
    for here, following in itertools.pairwise([*words, ""]):
        if here in ("first", "last") and following == "time":
            return "first" if here == "first" else "last"
        if here in ("before", "after") and following:
            return "before" if here == "before" else "after"
    return ""


class _Name(Struct):
    text: str
    sure: bool  # it stands within a sentence, or does what people do
    they: set[str]  # pronouns that follow it, before another name


def resolve(question: str, before: str) -> str:
    """Returns the name of whom ``question`` calls she or he, from the text ``before`` it; "" if it names somebody
    itself or nobody is meant.
    """
    meant = {they for word in _bare(question) if (they := _PRONOUNS.get(word.casefold()))}
    if len(meant) != 1 or _names(question):
        return ""
    for name in reversed(_names(before)):
        if not name.they or meant <= name.they:
            return name.text
    return ""


def _names(text: str) -> list[_Name]:
    """Returns the names in a text by their last mention."""
    found: dict[str, _Name] = {}
    last: _Name | None = None
    for sentence in sentences_of(text):
        for item in _runs(sentence.split()):
            if isinstance(item, str):
                if last is not None:
                    last.they.add(item)
                continue
            known = found.pop(item.text, None)
            if known is not None:
                item.sure |= known.sure
                item.they |= known.they
            found[item.text] = last = item
    return [name for name in found.values() if name.sure]


def _runs(words: Sequence[str]) -> Iterator[_Name | str]:
    """Yields the names of a sentence, and which pronouns stand between them."""
    run: list[str] = []
    start = 0
    for place, word in enumerate([*words, ""]):
        bare = _without_end(word)
        if _is_capital(bare):
            start = start if run else place
            run.append(bare)
            continue
        if run and (start == 0 or words[start - 1].casefold() != "the"):  # "the Copper Kettle"
            # "Mara nods": at the beginning of a sentence only what people do tells a name.
            yield _Name(" ".join(run), start > 0 or len(run) > 1 or bare.endswith(("s", "ed")), set())
        run = []
        if bare.casefold() in _PRONOUNS:
            yield _PRONOUNS[bare.casefold()]


def _is_capital(word: str) -> bool:
    small = word.casefold()
    return (
        len(word) > 1
        and word[0].isupper()
        and not word.isupper()
        and small not in COMMON[ENGLISH]
        and small not in _NOBODY
        and small not in _PRONOUNS
    )


def _without_end(word: str) -> str:
    """Returns a word without the signs around it and its possessive."""
    bare = word.strip(_EDGES)
    return bare[:-2] if bare.endswith(("'s", "’s")) else bare


def _bare(text: str) -> list[str]:
    return [_without_end(word) for word in text.split()]
