"""Turns a yes-or-no question into the statement that answers it. Pure.

Only questions whose subject can be told from its predicate for certain are restated; English does
not mark where "the old door locked" parts, so the rest is answered with a bare yes or no.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from flower.engine.offline.grammar import second_person, stop, upper_first
from flower.engine.offline.names import Name

_QUESTION = re.compile(
    r"^(is|are|was|were|am|do|does|did|can|could|will|would|has|have|had|should|must|might|may)\s++(.++)$",
    re.IGNORECASE,
)
_PRONOUN = re.compile(
    r"^(i|you|he|she|it|they|we|this|that|these|those|someone|anyone|somebody|anybody)\s++(.++)$",
    re.IGNORECASE,
)
# "that crowd dangerous": a noun follows, and where it ends cannot be seen.
_BEFORE_NOUN = re.compile(
    r"^(?:this|that|these|those) (?!(?:a|an|the|my|your|his|her|not|all|really|still|true|right|real|enough|him|it|you|"
    r"me|what|where|how|why|who|so|too|in|on|at|for|from|of|\w+ed|\w+ing|[\w'-]+ (?:still|really|already|in|on|at|"
    r"under|behind|near|here|there|alone|open|closed|shut|empty|dead|alive|safe|asleep|awake|real|true|full|lit|dark|"
    r"gone|ready|\w+ed|\w+en|\w+ing))\b)",
    re.IGNORECASE,
)
_THERE = re.compile(r"^there\s++(?:(?:a|an|any|some)\s++)?(.++)$", re.IGNORECASE)
_NOUN = re.compile(
    r"^((?:the|my|your|his|her|their|this|that)\s+[\w'\u2019-]+)\s+"
    r"((?:still|really|already|in|on|at|under|behind|near|here|there|alone|open|closed|shut|empty|dead|alive|"
    r"safe|asleep|awake|real|true|full|lit|dark|gone|ready|\w+ed|\w+en|\w+ing)\b.*)$",
    re.IGNORECASE,
)


def restate(question: str, positive: bool, names: Iterable[Name]) -> str:
    """Returns ``The door is not locked.`` for ``Is the door locked?``, or "" when it cannot be told."""
    last = re.split(r"(?<=[.!?])\s+", question.strip())[-1].rstrip("?! .")
    match = _QUESTION.match(last)
    if not match:
        return ""
    verb, rest = match.group(1).lower(), match.group(2).strip()
    there = _THERE.match(rest)
    if there:
        return _there(verb, rest, there.group(1), positive)
    parts = _parts(rest, names)
    if parts is None:
        return ""
    subject, predicate = parts
    predicate = re.sub(r"^(really|actually|ever|even|any)\s+", "", predicate, flags=re.IGNORECASE)
    if re.search(r"\b(any|anything|anyone|ever|yet)\b", predicate, re.IGNORECASE) and positive:
        return ""
    if subject.lower() == "you":  # asked of the narrator: who is meant is not clear
        return ""
    if subject.lower() in ("i", "we"):
        verb = {"am": "are", "was": "were"}.get(verb, verb)
        subject = "you"
    if subject.lower() in ("anyone", "anybody", "someone", "somebody"):
        subject = "somebody" if positive else "nobody"
        return upper_first(stop(f"{subject} {verb} {second_person(predicate)}"))
    denied = "" if positive else "no longer " if predicate.startswith("still ") else "not "
    predicate = predicate if positive else predicate.removeprefix("still ")
    return upper_first(stop(f"{second_person(subject)} {verb} {denied}{second_person(predicate)}"))


def _there(verb: str, rest: str, noun: str, positive: bool) -> str:
    if positive:
        rest = re.sub(r"\bany(one|body|thing)\b", r"some\1", re.sub(r"\bany (?!one)", "", rest))
        return upper_first(stop(f"there {verb} {second_person(rest.split(' ', 1)[1])}"))
    noun = re.sub(r"^(?:any|some)(one|body|thing)\b", r"no\1", noun).replace("noone", "no one")
    bare = noun.startswith("no")
    return upper_first(stop(f"there {verb} {'' if bare else 'no '}{second_person(noun)}"))


def _parts(rest: str, names: Iterable[Name]) -> tuple[str, str] | None:
    for pattern in (_PRONOUN, _NOUN):
        match = pattern.match(rest)
        if match and not _BEFORE_NOUN.match(rest):
            return match.group(1), match.group(2)
    for name in names:
        for form in (name.full, name.short):
            for article in ("the ", ""):
                head = article + form + " "
                if rest.casefold().startswith(head.casefold()):
                    return article + form, rest[len(head) :]
    return None
