"""Which kind of reply a line gets: the kind it was read as, or what its words say beyond its verb. Pure.

Owns the order in which the kinds are tried. Writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from flower.engine.offline.context import Context
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

Test = Callable[[Context], bool]


def kind_of(context: Context) -> str:
    """Returns the first kind whose test the line passes, else the kind it was read as.

    A line that goes to see somebody makes them who is spoken to.
    """
    return next((kind for kind, passes in _KINDS if passes(context)), context.line.kind)


def _line(pattern: re.Pattern[str], *kinds: str) -> Test:
    """Returns the test for a line of one of the kinds that has the pattern."""
    return lambda context: context.line.kind in kinds and bool(pattern.search(context.line.text))


def _by_hand(pattern: re.Pattern[str]) -> Test:
    """Returns the test for an act of hand or ear: its result is what is felt or heard."""

    def passes(context: Context) -> bool:
        line = context.line
        acts = line.act and line.kind != "speech" and not line.foreign
        return bool(acts and pattern.search(line.text))

    return passes


def _magic(context: Context) -> bool:
    line = context.line
    if not line.act or line.kind == "speech" or not _MAGIC.search(line.text):
        return False
    return _MAGIC_WORLD.search(f"{context.cue.world_lore} {context.cue.scene}") is None


def _own_things(context: Context) -> bool:
    acts = context.line.kind in ("look", "search", "use", "other")
    return acts and searches_own_things(context.line.text)


def _finds_place(context: Context) -> bool:
    return context.line.kind == "search" and context.line.verb == "find" and bool(context.goal)


def _seeks_somebody(context: Context) -> bool:
    """Whether the line goes to see somebody of the lore, which is the start of a talk with them."""
    text = context.line.text
    if context.line.kind not in ("look", "search", "move") or context.goal:
        return False
    if not _SEEKS.search(text) or _SEES_WHAT.search(text):
        return False
    named = next((name for name in context.named if name.kind == "person"), None)
    pointed = context.last_named(text) if named is None and _SEEKS_THEM.search(text) else None
    sought = named or pointed
    if sought is None or belongs_to_name(sought, text):
        return False
    context.people.sought = sought
    return True


def _calls(context: Context) -> bool:
    return context.line.kind == "speech" and bool(_WHO_GOES.search(context.line.speech))


def _gives(context: Context) -> bool:
    return context.line.kind in ("take", "use", "trade", "other", "look", "move") and is_gift(context)


def _discloses(context: Context) -> bool:
    line = context.line
    to_somebody = line.verb != "write"  # a letter to one's sister is heard by nobody
    acts = line.kind in ("state", "other", "take", "use", "rest")
    return acts and to_somebody and context.sentiment.disclosure in _DISCLOSED


def _lets_talk(context: Context) -> bool:
    return bool(_LETS_TALK.search(context.line.text) and context.line.act)


def _feels_alone(context: Context) -> bool:
    line = context.line
    return bool(context.sentiment.feeling and (_TO_NOBODY.search(line.text) or line.kind == "oracle"))


def _asks_how_i_feel(context: Context) -> bool:
    return bool(_HOW_I_FEEL.search(context.line.text) and not context.line.speech)


def _keeps_on(context: Context) -> bool:
    return context.line.verb == "keep" and bool(_KEEPS_ON.search(context.line.text))


def _feels(context: Context) -> bool:
    acts = context.line.kind in ("state", "think", "other", "rest", "speech")
    return bool(context.sentiment.feeling and acts and not context.line.speech)


def _exclaims(context: Context) -> bool:
    folded = context.line.text.casefold()
    words = re.findall(r"[a-z']+", folded)
    if context.line.foreign or not re.search(r"[a-z]", folded):
        return False
    return all(word in word_list("interjections") for word in words)


# The first that a line passes is its kind: what is narrow is above what is wide.
_KINDS: tuple[tuple[str, Test], ...] = (
    ("magic", _magic),
    ("know", _own_things),  # what one carries is on the sheet
    ("move", _finds_place),
    ("know", _line(_SOMEBODY, "search")),
    ("speech", _seeks_somebody),
    ("call", _calls),
    ("gift", _gives),
    ("speech", _discloses),
    ("let talk", _lets_talk),
    ("move", _line(_TAKES_A_WAY, "take")),
    ("meal", _line(_TO_EAT, "search")),
    ("joke", _line(_WANTS_A_LAUGH, "speech")),
    ("like", _line(_WHATS_IT_LIKE, "know", "recall")),
    ("feel", _feels_alone),
    ("feel", _asks_how_i_feel),
    ("listen", _by_hand(EAR_TO)),
    ("knock", _by_hand(_KNOCKS)),
    ("hide", _by_hand(_HIDES)),
    ("touch", _by_hand(_FEELS_WITH_HAND)),
    ("door", _by_hand(_TRIES_DOOR)),
    ("other", _keeps_on),
    ("feel", _feels),
    ("exclaim", _exclaims),
    ("unclear", lambda context: context.unclear),
)
