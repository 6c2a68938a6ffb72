"""What form a question wants its answer in: a number, a price, a place, a look. Pure.

Tells by the words of a sentence alone whether it has that form; knows nothing of who asks, or whom.
"""

from __future__ import annotations

import re

from flower.engine.offline.facts import Fact
from flower.engine.offline.questions import answers
from flower.engine.offline.relevance import kindred, measured
from flower.engine.offline.stems import stem, stems

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


def counted(question: str) -> frozenset[str]:
    """Returns the stems that may stand for what is counted in "how many guards are there", none without such."""
    found = HOW_MANY.search(question)
    return (
        frozenset[str]().union(*(kindred(word) for word in stems(found["what"])))
        if found
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
