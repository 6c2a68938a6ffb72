"""What comes of acts whose result is told by their own words: listening, waiting, a hand on something, a door. Pure."""

from __future__ import annotations

import re

from flower.engine.offline.context import Context
from flower.engine.offline.narration import Paragraphs, remark, tell, the_place

_LISTENS = re.compile(
    r"\b(?:listen(?:ing)?|ears? open|overhear|hear (?:people|them|what|who|anything|something|if|whether))\b",
    re.IGNORECASE,
)
_WAITS = re.compile(r"\b(?:wait(?:ing)?|keep (?:still|quiet)|hold still|linger)\b", re.IGNORECASE)
_LOOKS_BACK = re.compile(
    r"\b(?:look(?:ing)?|glance|glancing|peer) (?:back|behind|over my shoulder)\b|\bfollow(?:ing|ed|s) me\b",
    re.IGNORECASE,
)
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
_TO_SEE_INSIDE = re.compile(
    r"\bto see what(?:'s|\u2019s| is) (?:inside|in (?:it|there|them)|under (?:it|them)|behind (?:it|them))\b",
    re.IGNORECASE,
)
_TO_SEE_WHAT = re.compile(
    r"\bto see (?:what happens|what comes of it|if (?:anything|something|it)|whether (?:anything|something|it))\b",
    re.IGNORECASE,
)
_GETS_OPEN = re.compile(
    r"\b(?:get|force|prise|pry|work) (?:it|the [a-z]+) open\b|\b(?:door|gate|hatch)s? is locked\b",
    re.IGNORECASE,
)
_EAR_TO = re.compile(r"\b(?:put|lay|press|hold) (?:my|an|one) ear\b", re.IGNORECASE)
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


def done_with_hands(text: str) -> str:
    """Returns the kind of an act that hand or ear does to something: its result is what is felt or heard."""
    if _EAR_TO.search(text):
        return "listen"
    if _KNOCKS.match(text):
        return "knock"
    if _HIDES.search(text):
        return "hide"
    if _TRIES_DOOR.search(text) and not _FEELS_WITH_HAND.search(text):
        return "door"
    return "touch" if _FEELS_WITH_HAND.search(text) else ""


def heard(context: Context) -> str:
    """Returns what somebody is heard to say, of what the line is about as far as anybody speaks of it."""
    fact = context.near() or context.spare()
    return context.say("overheard", context.fact_slots(fact)) if fact else context.small()


def listen(context: Context) -> Paragraphs:
    first = f"You {context.line.act}." if _EAR_TO.search(context.line.text) else ""
    return [[first or context.say("verb.listen"), heard(context)], [remark(context)]]


def touch(context: Context) -> Paragraphs:
    """What a hand on something tells: how it feels, and what is known of it."""
    felt = [f"You {context.line.act}.", context.say("felt"), tell(context, context.of_thing())]
    return [felt, [remark(context)]]


def knock(context: Context) -> Paragraphs:
    return [[context.say("verb.knock"), tell(context, context.of_thing())], [remark(context)]]


def hide(context: Context) -> Paragraphs:
    waits = context.small() if _WAITS.search(context.line.text) else ""
    return [[f"You {context.line.act}.", context.say("hides")], [waits, remark(context)]]


def meal(context: Context) -> Paragraphs:
    price = context.near(price=True, least=8)
    return [[context.say("meal"), price.text if price else ""], [context.small() or remark(context)]]


def joke(context: Context) -> Paragraphs:
    teller = context.people.at_hand()
    slots = teller.slots if teller else {}
    return [[context.say("joke_heard joke" if teller else "joke", slots), context.air()]]


def like(context: Context) -> Paragraphs:
    return [[context.say("like"), tell(context, context.of_thing())], [remark(context)]]


def door(context: Context) -> Paragraphs:
    there = the_place(context, most=1) if context.goal else ""
    return [[f"You {context.line.act}.", there, context.say("tries_door")], [remark(context)]]


def result_beside(context: Context, kind: str) -> str:
    """Returns what comes of what a line does besides its act: listening, waiting, looking back; or ""."""
    text, verb = context.line.text, context.line.verb
    if _LISTENS.search(text) and verb not in ("listen", "hear"):
        return heard(context)
    if kind == "rest" or _WAITS.search(text):
        return context.small()
    if _TO_SEE_INSIDE.search(text):
        return context.say("inside")
    if _TO_SEE_WHAT.search(text):
        return context.say("happens_then")
    if _GETS_OPEN.search(text):
        return context.say("tries_door")
    return context.say("look_back") if looks_back(text) and kind != "look" else ""


def looks_back(text: str) -> bool:
    """Whether a line looks behind or says that somebody follows."""
    return _LOOKS_BACK.search(text) is not None


def kind_by_words(context: Context) -> str:
    """Returns the kind of an act or question that its words tell beyond its verb, "" for none."""
    line = context.line
    if line.kind == "search" and _TO_EAT.search(line.text):
        return "meal"
    if line.kind == "speech" and _WANTS_A_LAUGH.search(line.text):
        return "joke"
    return "like" if line.kind in ("know", "recall") and _WHATS_IT_LIKE.search(line.text) else ""
