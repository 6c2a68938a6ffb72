"""Whether a sentence of lore answers what was asked, or belongs to what was done. Pure.

To share a word is not enough: an answer has most of what the question is about, and an act brings to mind
only what names the thing it is done to. What does not fit is left unsaid, whoever is speaking.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

from flower.engine.offline.facts import COMMON_FACTS, Fact
from flower.engine.offline.names import Name
from flower.engine.offline.stems import stems
from flower.engine.offline.tables import vocabulary, word_list

ANSWERED = 0.5  # so much of the weight of a question must be in its answer
_KINDRED = "kin_"  # word lists whose words may stand for each other
_RARE, _COMMON = 3, 1  # weights of a word that few sentences have, and of others
_ASKING = re.compile(
    r"\b(?:ask|tell|question)s? [^?]{0,60}?\b(?P<asked>(?:about|the way to|whether|if|why|"
    r"where|who|what|how|when|which)\b[^?]*)",
    re.IGNORECASE,
)
SEEKING = re.compile(
    r"\b(?:looking for|searching for|could do with|any chance of|need|would like|i'd like|i want)"
    r" (?!to\b)(?P<asked>[^,.?!]{3,40})",
    re.IGNORECASE,
)
_BY_COMMA = re.compile(
    r"^[^?]{3,80}?, (?P<asked>(?:who|what|where|why|how|when|which)\b[^?,]*\?)$", re.IGNORECASE
)
_WHO_IS = re.compile(
    r"\bwho (?:is|was|are|were)\b|\bwhat (?:is|was|does) [^?]{1,40}\blike\b", re.IGNORECASE
)
_MEASURES = re.compile(
    r"\bhow (far|long|old|big|tall|deep|high|heavy|often|large|wide|fast|strong|thick)\b", re.IGNORECASE
)
_BECAME = re.compile(
    r"\bwhat(?:'s| has| is)? (?:\w+ ){0,3}?(?:happen\w*|became|become|befell)(?: to| of)?\b|"
    r"\bhow (?:did|exactly did|come) [^?]{0,40}\b(?:die|drown|vanish|disappear|end up)|"
    r"\bhow [^?]{1,40} (?:died|was killed|drowned|vanished|disappeared)\b|"
    r"\b(?:what|who|how)\b[^?]{0,30}\bkilled\b|\bmurder\w*\b",
    re.IGNORECASE,
)


def asked_part(text: str) -> str:
    """Returns what is asked in "I ask her what she saw" or "I am lost, who is Bram?"; else the text as it is."""
    text = text[: text.rfind("?") + 1] or text  # "You need not tell me if ..." behind it asks nothing
    found = _ASKING.search(text) or _BY_COMMA.search(text) or ("?" not in text and SEEKING.search(text))
    return found["asked"] if found else text


def asks_what_became(text: str) -> bool:
    """Whether a question is what has become of somebody, or how they died."""
    return _BECAME.search(text) is not None


@lru_cache(maxsize=4096)
def kindred(word: str) -> frozenset[str]:
    """Returns the stems that may stand for a stem: its own and those of the word lists it is in."""
    return frozenset({word}).union(
        *(group for group in (stems(" ".join(words)) for name, words in _groups()) if word in group)
    )


@cache
def _groups() -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple(
        (name, words) for name, words in vocabulary().sets.items() if name.startswith(_KINDRED)
    )


@cache
def _empty_words() -> frozenset[str]:
    return stems(" ".join(word_list("asks_nothing")))


def content(words: frozenset[str], names: Sequence[Name]) -> frozenset[str]:
    """Returns those words of a question that say what it wants to know of the names in it."""
    called = stems(" ".join(name.full for name in names))
    return words - called - _empty_words()


def who_is(question: str) -> bool:
    """Whether a question is who somebody is, or what they are like."""
    return _WHO_IS.search(question) is not None


def measured(question: str) -> frozenset[str]:
    """Returns the stem of what "how far", "how old" measures: no answer has that very word."""
    found = _MEASURES.search(question)
    return stems(found.group(1)) if found else frozenset()


def answers_it(
    fact: Fact, words: frozenset[str], names: Sequence[Name], common: Mapping[str, int]
) -> bool:
    """Whether a fact has enough of what is asked; ``common``: in how many facts a word is.

    A question that says nothing but a name is answered by whatever has that name.
    """
    wanted = content(words, names)
    if not wanted:
        return bool(set(names) & set(fact.names))
    share = covered(fact, wanted, common)
    if not names and len(wanted) == 1 and common.get(min(wanted), 0) > 2 * COMMON_FACTS:
        return bool(kindred(min(wanted)) & stems(" ".join(fact.text.split()[:5])))
    if names and not set(names) & set(fact.names):
        return share >= 1 and len(wanted) > 1
    return share >= ANSWERED if names else share > ANSWERED


def leads_with(fact: Fact, wanted: frozenset[str]) -> bool:
    """Whether a sentence begins with what is asked about: it is about that, and does not only mention it."""
    head = stems(" ".join(fact.text.split()[:3]))
    return any(kindred(word) & head for word in wanted)


def covered(fact: Fact, wanted: frozenset[str], common: Mapping[str, int]) -> float:
    """Returns how much of the words a fact has, from 0 to 1; a word that few facts have weighs more."""
    weights = {word: _COMMON if common.get(word, 0) > COMMON_FACTS else _RARE for word in wanted}
    has = sum(weight for word, weight in weights.items() if kindred(word) & fact.words)
    return has / sum(weights.values()) if weights else 0.0


def belongs_to_name(name: Name, text: str) -> bool:
    """Whether a text speaks of what is somebody's: "the Reeve's letter" is no reeve."""
    return any(
        re.search(rf"\b{re.escape(part)}['\u2019]s\b", text, re.IGNORECASE)
        for part in name.full.split()
    )


def belongs_to(
    fact: Fact,
    words: frozenset[str],
    names: Sequence[Name],
    thing: frozenset[str] = frozenset(),
    *,
    of_people: bool = False,
) -> bool:
    """Whether a fact is about what an act is done to: it begins with a name in the line, or shares two words.

    One word will do beside a name if it is the ``thing`` that the act is done to.

    ``of_people``: the line looks at somebody, so that what they are like belongs to it.
    """
    named = set(names) & set(fact.names)
    shared = len((words - stems(" ".join(name.full for name in names))) & fact.core)
    if not shared and fact.subject is not None and fact.subject.kind == "person" and not of_people:
        return False
    on_it = bool(named) and bool(thing & fact.core)
    return fact.subject in named or on_it or shared > 1
