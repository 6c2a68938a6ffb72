"""What is done to somebody, or given to them, without a word: who it is, and how they take it. Pure."""

from __future__ import annotations

import re

from flower.engine.offline.context import Context
from flower.engine.offline.people import Absent
from flower.engine.offline.voice import Speaker

_TO_THEM = re.compile(
    r"\b(?:him|them)\b|\bher\b(?! [a-z]{3,})|"
    r"\b(?:his|her|their) (?:arms?|hands?|shoulders?|sleeves?|"
    r"collar|face|coat|hair|cheek|chin|throat|wrist|back|neck)\b",
    re.IGNORECASE,
)
_GIVES = re.compile(
    r"\b(?:give|offer|hand|pass|lend|show|pour|bring|pay|slip|throw|toss|bribe|buy)s?\s+"
    r"(?:him|her|them|(?:the|this|that) "
    r"(?P<who>[a-z]+)|(?P<name>[A-Z][\w'-]+(?: [A-Z][\w'-]+)?))\s+(?!(?:for|to|over|into|in|at|out|on|off|down|away|"
    r"aside)\b)\w+"
    r"|\b(?:give|offer|hand|pass|lend|show|pour|bring)s?\b[^.]{1,40}\bto (?:him|her|them|[A-Z]\w+)\b"
)
# "I take the letter to the constable": whoever holds that office, as far as somebody does.
_TAKES_TO = re.compile(
    r"\b(?:take|bring|carry|return|deliver|give|hand|show)s?\b[^.]{1,40}\bto (?:the|our) [a-z]+"
)


_TO_SOMEBODY = re.compile(
    r"\b(?:bribe|pay|tip|threaten|comfort|wake) (?:the|an?) [a-z]+\b", re.IGNORECASE
)
_FOR_THEM = re.compile(
    r"\b(?:for|about|like|than) [A-Z][a-z]+"
)  # "I make the move for Lusk": not done to him


def is_gift(context: Context) -> bool:
    """Whether the line gives something to somebody who is there to take it."""
    text = context.line.text
    given = _GIVES.search(text) or (_TAKES_TO.search(text) and _to_a_person(context))
    return bool(context.line.act and given and recipient(context))


def _to_a_person(context: Context) -> bool:
    return any(name.kind == "person" for name in context.named)


def recipient(context: Context) -> Speaker | None:
    """Returns who is meant by the line's name or pronoun, None for somebody gone or nobody at hand."""
    if _to_a_person(context):
        found = context.people.addressed()
        if isinstance(found, Absent) or _FOR_THEM.search(context.line.text):
            return None
        return found
    if _TO_SOMEBODY.search(context.line.text):
        told = context.people.addressed()
        return None if isinstance(told, Absent) else told
    if _TO_THEM.search(context.line.text) or _GIVES.search(context.line.text):
        return context.people.pointed_at(context.line.text) or context.people.at_hand()
    return None


def with_somebody(context: Context) -> str:
    """Returns how somebody takes what the line does to them, "" when it is done to nobody who is there."""
    line = context.line
    done_to = _TO_THEM.search(line.act) or _to_a_person(context)
    speaker = recipient(context) if done_to and line.act else None
    if speaker is None:
        return ""
    context.meet(speaker.name)
    return context.say(f"done_to.{speaker.register} done_to.any", speaker.slots)
