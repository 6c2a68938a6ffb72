"""Whether, and how well, a sentence of lore answers what was asked or belongs to what was done. Pure.

To share a word is not enough: an answer has most of what the question is about and the form it wants (a number,
a price, a place, a look), and an act brings to mind only what names the thing it is done to. What does not fit is
left unsaid, whoever is speaking. Knows nothing of who asks, or whom; chooses no sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache

from flower.engine.offline.facts import COMMON_FACTS, Fact, Lore
from flower.engine.offline.grammar import stem, stems
from flower.engine.offline.names import Name
from flower.engine.offline.questions import answers
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
COUNT_WORDS = 7  # a number at most so many words before a thing counts it
ASKS_PRICE = re.compile(
    r"\bhow much\b|\b(?:price|cost|costs|afford|charge|fee|expensive|cheap)\b|"
    r"\bwhat (?:do|does|would) [^?]{1,30}\b(?:pay|charge)\b",
    re.IGNORECASE,
)
AMOUNT = re.compile(
    r"\b(?:a|an|one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|sixty|\d+|and) "
    r"(?:pence|penny|pennies|sixpence|shillings?|pounds?|marks?|coins?|silver|gold|credits?|hours?|cup|tokens?)\b"
)
COUNTS = re.compile(r"\bhow (?:many|old|far|long|high|deep)\b", re.IGNORECASE)
NUMBER = re.compile(
    r"\b(?:\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty|hundred|thousand|dozen)\b"
)
HOW_MANY = re.compile(r"\bhow (?:many|much) (?:more |other )?(?P<what>[a-z]+)", re.IGNORECASE)
UNIT = re.compile(
    r"\b(?:miles?|yards?|paces|steps|feet|foot|metres?|minutes|hours|days|weeks|years?|kilos?|pounds|tons?|\w+teen|\w+ty)\b"
)
LOOKS_LIKE = re.compile(r"\blook(?:s|ed)? like\b|\bwhat sort of (?:man|woman|person)\b", re.IGNORECASE)
APPEARANCE = re.compile(
    r"\b(?:small|tall|thin|fat|round|bald|grey|broad|damp|handsome|muddy|freckled|elegant|heavy-browed|quick|neat|"
    r"wears?|hair|eyes|coat|beard|moustache|fingers|granite|glass|stone hall)\b"
)
WHERE = re.compile(r"^\W*where(?:'s|\u2019s)?\b", re.IGNORECASE)
MAY_I = re.compile(r"\b(?:can|could|do|should|may|might|will|am) (?:I|we)\b")  # nobody else is asked of
IS_AT = re.compile(
    r"\b(?:is|are|lives?|lodges|sits|sleeps|lies|stands?|found|office|meets) (?:to be found )?(?:mostly )?"
    r"(?:at|in|on|over|above|by|under|beneath|behind|beside|near|below|between)\b"
)
_SUBJECT, _MENTIONED = 6, 4  # points of a fact that begins with a name, or has it
_RARE_POINTS, _COMMON_POINTS = 4, 2  # of a word that few facts have, and of others
_LEADS = 3
ENOUGH = 6  # for a fact without a name in it: two words, one of them rare, or one that it begins with
_CALLED = re.compile(r"\b(?:the|this|that|our|your) (?P<head>[a-z]{4,})\b", re.IGNORECASE)


def asked_part(text: str) -> str:
    """Returns what is asked in "I ask her what she saw" or "I am lost, who is Bram?"; else the text as it is."""
    text = text[: text.rfind("?") + 1] or text  # "You need not tell me if ..." behind it asks nothing
    match = _ASKING.search(text) or _BY_COMMA.search(text) or ("?" not in text and SEEKING.search(text))
    return match["asked"] if match else text


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
    match = _MEASURES.search(question)
    return stems(match.group(1)) if match else frozenset()


def answers_it(
    fact: Fact, words: frozenset[str], names: Sequence[Name], common: Mapping[str, int]
) -> bool:
    """Whether a fact has enough of what is asked; ``common``: in how many facts a word is.

    A question that says nothing but a name is answered by whatever has that name.
    """
    query = content(words, names)
    if not query:
        return bool(set(names) & set(fact.names))
    share = covered(fact, query, common)
    if not names and len(query) == 1 and common.get(min(query), 0) > 2 * COMMON_FACTS:
        return bool(kindred(min(query)) & stems(" ".join(fact.text.split()[:5])))
    if names and not set(names) & set(fact.names):
        return share >= 1 and len(query) > 1
    return share >= ANSWERED if names else share > ANSWERED


def leads_with(fact: Fact, query: frozenset[str]) -> bool:
    """Whether a sentence begins with what is asked about: it is about that, and does not only mention it."""
    head = stems(" ".join(fact.text.split()[:3]))
    return any(kindred(word) & head for word in query)


def covered(fact: Fact, query: frozenset[str], common: Mapping[str, int]) -> float:
    """Returns how much of the words a fact has, from 0 to 1; a word that few facts have weighs more."""
    weights = {word: _COMMON if common.get(word, 0) > COMMON_FACTS else _RARE for word in query}
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


def counted(question: str) -> frozenset[str]:
    """Returns the stems that may stand for what is counted in "how many guards are there", none without such."""
    match = HOW_MANY.search(question)
    return (
        frozenset[str]().union(*(kindred(word) for word in stems(match["what"])))
        if match
        else frozenset()
    )


def counts(fact: Fact, counted: frozenset[str]) -> bool:
    """Whether a sentence has a number of them, close before the word."""
    words = re.findall(r"[\w'-]+", fact.text)
    return any(
        stem(word) in counted and NUMBER.search(" ".join(words[max(0, at - COUNT_WORDS) : at]))
        for at, word in enumerate(words)
    )


def fit(question: str, fact: Fact, *, named: bool, seeks: bool) -> int:
    """Returns how well the form of a sentence fits a question; a price that nobody asked for fits less.

    ``named``: the question names somebody or something; ``seeks``: the line says what is looked for.
    """
    measure = (
        bool(measured(question))
        and NUMBER.search(fact.text) is not None
        and UNIT.search(fact.text) is not None
    )
    found_at = named and WHERE.search(question) is not None and IS_AT.search(fact.text) is not None
    looks = LOOKS_LIKE.search(question) is not None and APPEARANCE.search(fact.text) is not None
    nobodys = fact.subject is None or fact.subject.kind != "person"
    mine = (seeks or MAY_I.search(question) is not None) and nobodys
    sold = AMOUNT.search(fact.text) is not None and ASKS_PRICE.search(question) is None
    return answers(question, fact.text)[0] + 2 * (measure or found_at or looks) + mine - sold


def by_head(lore: Lore, text: str) -> tuple[Name, ...]:
    """Returns the places and things that a text calls by the head of their name: "the Scale"."""
    called = {stem(match["head"].casefold()) for match in _CALLED.finditer(text)}
    return tuple(
        name
        for name in lore.names
        if name.kind != "person" and " " in name.full and stem(_head(name.full).casefold()) in called
    )


def _head(full: str) -> str:
    """Returns the word that says what a name is a name of: "Warden" of "Warden of Weights"."""
    return full.partition(" of ")[0].split()[-1]


def facts_of_names(
    facts: Iterable[Fact],
    query: frozenset[str],
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
        hits = [word for word in query if kindred(word) & fact.words]
        score = sum(
            _COMMON_POINTS if common.get(word, 0) > COMMON_FACTS else _RARE_POINTS for word in hits
        )
        score += _LEADS * leads_with(fact, frozenset(hits)) if hits else 0
        about = _SUBJECT if fact.subject in names else _MENTIONED if set(names) & set(fact.names) else 0
        half = len(hits) > 1 and 2 * len(hits) >= len(query)
        mine = own in fact.names and any(kindred(word) & fact.core for word in hits)
        if about == _SUBJECT or (about and hits) or score >= ENOUGH or half or mine:
            scored.append((score + about + _LEADS * mine - (fact.rank > 0), fact))
    return [fact for _, fact in sorted(scored, key=lambda pair: -pair[0])]


def rank_facts(
    lore: Lore,
    words: frozenset[str],
    *,
    focus: frozenset[str] = frozenset(),
    names: Sequence[Name] = (),
    who: bool = False,
) -> list[tuple[int, Fact]]:
    """Returns the facts that touch the words or names with their score, best first; others are left out.

    A word that few facts hold counts 8, a common one 4, twice that if it is in ``focus`` (what the act
    or question is about); a name counts 16, or 28 when the fact begins with it. ``who``: somebody is
    asked for, so a fact that begins with a person counts 8 more.
    """
    common = Counter(word for fact in lore.facts for word in fact.words)
    scored: list[tuple[int, Fact]] = []
    for fact in lore.facts:
        score = 0
        for word in words & fact.words:
            points = (8 if common[word] <= COMMON_FACTS else 4) * (2 if word in focus else 1)
            score += points if word in fact.core else points // 2  # the rest only leans on it
        for name in names:
            if name in fact.names:
                score += 28 if fact.subject == name else 16
        if score and who and fact.subject is not None and fact.subject.kind == "person":
            score += 8
        if score:
            scored.append((score - fact.rank, fact))
    return sorted(scored, key=lambda pair: -pair[0])
