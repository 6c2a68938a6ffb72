"""Which kind of reply a line gets: the kind it was read as, or what its words say beyond its verb. Pure.

Owns the order in which the kinds are tried. Writes nothing.
"""

from __future__ import annotations

import re

from flower.engine.offline.context import Context
from flower.engine.offline.names import Name
from flower.engine.offline.narration import is_gift
from flower.engine.offline.present import searches_own_things
from flower.engine.offline.relevance import belongs_to_name
from flower.engine.offline.tables import word_list

_MAGIC = re.compile(
    r"\b(?:magic\w*|spells?|teleport\w*|levitate|fireballs?|conjure|enchant|polymorph|telekine\w+|telepath\w*)\b|"
    r"\b(?:turn|become|make myself) invisible\b|\bfly (?:to|over|up|away|through|across)\b|"
    r"\bcast (?:a|an|my|the) (?!line\b|net\b|glance\b|look\b|vote\b|shadow\b|eye\b|anchor\b)",
    re.IGNORECASE,
)
_MAGIC_WORLD = re.compile(
    r"\b(?:magics?|spells|wizards?|sorcer\w+|witch(?:es|craft)?)\b", re.IGNORECASE
)
_SOMEBODY = re.compile(r"\b(?:somebody|someone|anyone|anybody|whoever is) in charge\b", re.IGNORECASE)
_WHO_GOES = re.compile(
    r"^\W*(?:who goes there|who(?:'s| is) there|show yourself|come out|is (?:anybody|anyone|somebody|someone) there|"
    r"hello\?+)",
    re.IGNORECASE,
)
_SEEKS = re.compile(r"\b(?:see|find|meet|visit|seek|approach|look for|go to|call on)\b", re.IGNORECASE)
_SEEKS_THEM = re.compile(
    r"\b(?:find|visit|meet|seek|look for|go to|call on|go see|and see) (?:him|her)\b", re.IGNORECASE
)
_SEES_WHAT = re.compile(r"\b(?:see|look) (?:if|whether|that|how|what|back)\b", re.IGNORECASE)
_LETS_TALK = re.compile(
    r"\b(?:let|leave) (?:him|her|them|[A-Z][a-z]+) (?:to )?(?:talk|speak|go on|finish|have (?:his|her|their) say)\b"
)
_TAKES_A_WAY = re.compile(
    r"\btake (?:the|a) [a-z]+ (?:across|along|up|down|over|through|to|out)\b", re.IGNORECASE
)
_KEEPS_ON = re.compile(r"\bkeep (?:[a-z]+ )?[a-z]+ing\b", re.IGNORECASE)
_TO_NOBODY = re.compile(
    r"\bto (?:myself|nobody|no one|the (?:empty|dark|night|wall|walls|stair|sea|room|air|ceiling))\b",
    re.IGNORECASE,
)
_HOW_I_FEEL = re.compile(
    r"\bhow (?:do|am|would) i (?:really |actually )?(?:feel|feeling|doing|holding up)\b", re.IGNORECASE
)
_DISCLOSED = ("confession", "self", "loss", "name", "affection", "comfort", "praise", "insult")
_TRIES_DOOR = re.compile(
    r"\btry (?:to open )?(?:the|its|his|her|every|that|a) (?:[a-z'-]+ ){0,2}?(?:door|gate|handle|latch|"
    r"hatch|lock|window|shutter)\b",
    re.IGNORECASE,
)
_FEELS_WITH_HAND = re.compile(
    r"\b(?:put|lay|press|rest|run|place) (?:my|one|a|both) (?:[a-z]+ )?(?:hands?|palms?|fingers?|fingertips|"
    r"cheek|forehead) "
    r"(?:on|to|against|over|along|upon)\b|\bfeel (?:the|along|under|for)\b",
    re.IGNORECASE,
)
EAR_TO = re.compile(r"\b(?:put|lay|press|hold) (?:my|an|one) ear\b", re.IGNORECASE)
_KNOCKS = re.compile(r"^\W*(?:i |we )?(?:[a-z]+ )?knock\b", re.IGNORECASE)
_HIDES = re.compile(
    r"\b(?:hide|crouch|duck|conceal myself) (?:behind|under|in|inside|between|among|beside)\b",
    re.IGNORECASE,
)
_TO_EAT = re.compile(
    r"\b(?:find|look for|get|hunt for) (?:something|somewhere|anything|a bite) (?:[a-z]+ )?to (?:eat|drink)\b",
    re.IGNORECASE,
)
_WANTS_A_LAUGH = re.compile(
    r"\b(?:see|wait|whether|if) (?:[a-z]+ ){0,3}?(?:anyone|anybody|they|he|she|somebody|someone|[A-Z][a-z]+) "
    r"(?:laughs?|smiles?|grins?)\b"
)
_WHATS_IT_LIKE = re.compile(
    r"\bwhat(?:'s|\u2019s| is| was| does) (?:it|that|this) (?:feel |smell |taste |sound |look )?like\W*$",
    re.IGNORECASE,
)


def kind_of(context: Context) -> str:
    line, heard = context.line, context.heard
    if line.act and line.kind != "speech" and _MAGIC.search(line.text) and not _has_magic(context):
        return "magic"
    if line.kind in ("look", "search", "use", "other") and searches_own_things(line.text):
        return "know"  # what one carries is on the sheet
    if line.kind == "search" and line.verb == "find" and context.goal:
        return "move"
    if line.kind == "search" and _SOMEBODY.search(line.text):
        return "know"
    if (sought := _seeks_somebody(context)) is not None:
        context.people.sought = sought
        return "speech"
    if line.kind == "speech" and _WHO_GOES.search(line.speech):
        return "call"
    if line.kind in ("take", "use", "trade", "other", "look", "move") and is_gift(context):
        return "gift"
    tells = (
        heard.disclosure in _DISCLOSED and line.verb != "write"
    )  # a letter to one's sister is heard by nobody
    if tells and line.kind in ("state", "other", "take", "use", "rest"):
        return "speech"
    if _LETS_TALK.search(line.text) and line.act:
        return "let talk"
    if line.kind == "take" and _TAKES_A_WAY.search(line.text):
        return "move"
    if told := kind_by_words(context):
        return told
    if heard.feeling and (_TO_NOBODY.search(line.text) or line.kind == "oracle"):
        return "feel"
    if _HOW_I_FEEL.search(line.text) and not line.speech:
        return "feel"
    if line.act and line.kind != "speech" and not line.foreign and (done := done_with_hands(line.text)):
        return done
    if line.verb == "keep" and _KEEPS_ON.search(line.text):
        return "other"
    if heard.feeling and line.kind in ("state", "think", "other", "rest", "speech") and not line.speech:
        return "feel"
    if (
        line.text
        and not line.foreign
        and all(
            word in word_list("interjections") for word in re.findall(r"[a-z']+", line.text.casefold())
        )
        and re.search(r"[a-z]", line.text.casefold())
    ):
        return "exclaim"
    return "unclear" if context.unclear else line.kind


def _seeks_somebody(context: Context) -> Name | None:
    """Returns whom of the lore the line goes to see, which is the start of a talk; None for nobody."""
    text = context.line.text
    if context.line.kind not in ("look", "search", "move") or context.goal:
        return None
    if not _SEEKS.search(text) or _SEES_WHAT.search(text):
        return None
    named = next((name for name in context.named if name.kind == "person"), None)
    meant = context.last_named(text) if named is None and _SEEKS_THEM.search(text) else None
    found = named or meant
    return None if found is None or belongs_to_name(found, text) else found


def _has_magic(context: Context) -> bool:
    return _MAGIC_WORLD.search(f"{context.cue.world_lore} {context.cue.scene}") is not None


def done_with_hands(text: str) -> str:
    """Returns the kind of an act that hand or ear does to something: its result is what is felt or heard."""
    if EAR_TO.search(text):
        return "listen"
    if _KNOCKS.match(text):
        return "knock"
    if _HIDES.search(text):
        return "hide"
    if _TRIES_DOOR.search(text) and not _FEELS_WITH_HAND.search(text):
        return "door"
    return "touch" if _FEELS_WITH_HAND.search(text) else ""


def kind_by_words(context: Context) -> str:
    """Returns the kind of an act or question that its words tell beyond its verb, "" for none."""
    line = context.line
    if line.kind == "search" and _TO_EAT.search(line.text):
        return "meal"
    if line.kind == "speech" and _WANTS_A_LAUGH.search(line.text):
        return "joke"
    return "like" if line.kind in ("know", "recall") and _WHATS_IT_LIKE.search(line.text) else ""
