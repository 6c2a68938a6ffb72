"""What the lore says of whoever or whatever a question names, when no sentence answers all of it. Pure.

A name is meant by any part people use: "the Scale" is the Great Scale. Chooses among facts; writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from flower.engine.offline.facts import COMMON_FACTS, Fact, Lore
from flower.engine.offline.names import Name
from flower.engine.offline.relevance import kindred, leads_with
from flower.engine.offline.stems import stem

_SUBJECT, _MENTIONED = 6, 4  # points of a fact that begins with a name, or has it
_RARE, _COMMON = 4, 2  # of a word that few facts have, and of others
_LEADS = 3
ENOUGH = 6  # for a fact without a name in it: two words, one of them rare, or one that it begins with
_CALLED = re.compile(r"\b(?:the|this|that|our|your) (?P<head>[a-z]{4,})\b", re.IGNORECASE)


def by_head(lore: Lore, text: str) -> tuple[Name, ...]:
    """Returns the places and things that a text calls by the head of their name: "the Scale"."""
    called = {stem(found["head"].casefold()) for found in _CALLED.finditer(text)}
    return tuple(
        name
        for name in lore.names
        if name.kind != "person" and " " in name.full and stem(_head(name.full).casefold()) in called
    )


def _head(full: str) -> str:
    """Returns the word that says what a name is a name of: "Warden" of "Warden of Weights"."""
    return full.partition(" of ")[0].split()[-1]


def told_first(
    facts: Iterable[Fact],
    wanted: frozenset[str],
    names: Sequence[Name],
    common: Mapping[str, int],
    own: Name | None = None,
) -> list[Fact]:
    """Returns the open facts about the names or with enough of the words, what is nearest first.

    ``own``: who is asked, of whom one word is enough.
    """
    scored: list[tuple[int, Fact]] = []
    for fact in facts:
        if fact.secret:
            continue
        hits = [word for word in wanted if kindred(word) & fact.words]
        score = sum(_COMMON if common.get(word, 0) > COMMON_FACTS else _RARE for word in hits)
        score += _LEADS * leads_with(fact, frozenset(hits)) if hits else 0
        about = _SUBJECT if fact.subject in names else _MENTIONED if set(names) & set(fact.names) else 0
        half = len(hits) > 1 and 2 * len(hits) >= len(wanted)
        mine = own in fact.names and any(kindred(word) & fact.core for word in hits)
        if about == _SUBJECT or (about and hits) or score >= ENOUGH or half or mine:
            scored.append((score + about + _LEADS * mine - (fact.rank > 0), fact))
    return [fact for _, fact in sorted(scored, key=lambda pair: -pair[0])]
