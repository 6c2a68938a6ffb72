"""What a question wants: something of the player's own past, of the place and hour, and in which form.

Pure. "What did I call the boat?" wants a sentence of the player with a boat in it, rather one that names
something. The forms are guesses from English words; a wrong one costs a few points, never an answer.
"""

from __future__ import annotations

import re
from typing import Literal

from flower.engine.offline.grammar import word_set
from flower.engine.offline.tables import word_list
from flower.text import sentences_of

Here = Literal["", "place", "hour", "people"]

_ASKS = re.compile(r"(?:^|, )(?:who|whom|whose|what|which|where|when|why|how)\b", re.IGNORECASE)
_I = re.compile(r"\b(?:i|my|mine|me|we|our|us)\b", re.IGNORECASE)
# Asks what to do, or for a way: nothing that was said answers it.
_ADVICE = re.compile(
    r"^(?:who|what)(?:'s|\u2019s| is) (?:that|this)\b|\bhow (?:long|much time) (?:do|have) (?:i|we)\b|"
    r"\bwhere (?:do|did) (?:i|we) (?:buy|get|find|go)\b|"
    r"\bwhom? do (?:i|we) (?:answer|report|speak|talk|turn|go|write|pay|ask|see)\b|"
    r"\bdo (?:i|we) (?:\w+ ){1,3}(?:now|next|here)\W*$|"
    r"\b(?:can|could|should|shall|must|would|will|may|might)\s+(?:i|we)\b|\bhow (?:do|would) (?:i|we)\b|"
    r"\b(?:i|we) (?:do|go|try) (?:now|next|about)\b|\bmy (?:options|choices)\b",
    re.IGNORECASE,
)
_WHAT_NEXT = re.compile(
    r"\bwhat (?:else )?(?:should|could|can|shall|must|might|would|do) (?:i|we) (?:even )?(?:do|try)"
    r"(?: now| next| here)?\W*$|"
    r"\bwhere (?:should|could|can|shall|do) (?:i|we) go(?: now| next| from here)?\W*$|"
    r"\bwhat are (?:my|our) (?:options|choices)\b|\b(?:any ideas|what next)\W*$|\bi(?: am|'m|\u2019m) stuck\b",
    re.IGNORECASE,
)
_OF_THE_OTHER = re.compile(
    r"\b(?:who are you|your (?:full |real |own |first )?name|about yourself|are you from|do you do|"
    r"what are you(?=\W*$)|"
    r"your (?:life|past|work|story)|why are you here|brings (?:you|her|him|them) here|"
    r"what (?:he|she|they)(?: is| are|'s|\u2019s) doing here)\b",
    re.IGNORECASE,
)
_HERE: tuple[tuple[Here, re.Pattern[str]], ...] = (
    (
        "place",
        re.compile(
            r"^which [a-z]+ (?:is this|are we (?:in|on|at)|am i (?:in|on|at))\W*$|"
            r"^where (?:exactly )?(?:am i|are we)(?: now| exactly)?\W*$|"
            r"^what(?: is|'s|\u2019s)? (?:this|that) (?:place|town|village|city|house|ship|station)"
            r"(?: called)?\W*$|^what place is (?:this|that)\W*$",
            re.IGNORECASE,
        ),
    ),
    (
        "hour",
        re.compile(
            r"^(?:what time|what hour|how late)\b|^what(?:'s|\u2019s| is) the (?:time|hour|weather)\b|^what day is\b|"
            r"^how(?:'s|\u2019s| is) the weather\b",
            re.IGNORECASE,
        ),
    ),
    (
        "people",
        re.compile(
            r"^who(?:'s|\u2019s| is| else is) (?:here|with (?:me|us)|there)(?: \w+)?\W*$|"
            r"^(?:who|is anyone|is anybody)\b[^?]{0,40}\b(?:watching|looking at|staring at|listening to) (?:me|us)\W*$",
            re.IGNORECASE,
        ),
    ),
)
_NUMBER = (
    r"\d+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|"
    r"sixty|seventy|eighty|ninety|hundred|thousand"
)
# question -> what a sentence that answers it has
_FORMS = (
    (
        r"\bnames?\b|\bcall(?:ed)?\b",
        r"\b(?:call(?:ed)?|named?|christened)\b|\bname(?:'s|\u2019s| is| was)\b|"
        r"\bis (?:the )?[A-Z]\w+",
    ),
    (
        r"^(?:.*,\s+)?when\b|\bhow long\b",
        rf"\b(?:ago|yesterday|today|tonight|last|since|before|after|at dawn|at noon|in \d+|years?|(?:{_NUMBER}) \w+)\b",
    ),
    (r"\bhow (?:much|many|old|far)\b", rf"\b(?:{_NUMBER})\b"),
    (
        r"\bwhere(?:'s|\u2019s)?\b",
        r"\b(?:in|at|under|behind|beside|inside|below|above|beneath|near|to|from|on|into)"
        r" (?:the|a|an|my|[A-Z])",
    ),
    (
        r"\bwhy\b",
        r"\b(?:because|since|so that|in order|to (?:find|see|get|meet|learn|help|escape|look))\b",
    ),
    (r"\bwho(?:m|se)?\b", r"(?<=\w )[A-Z]\w+"),
    (r"\b(?:say|said|tell|told)\b", r"\b(?:said?|says|tell|tells|told|promised?|whisper\w*|swore)\b"),
)
# questions whose answer need not share a word with them
_PERSONAL = (
    (
        r"\bwhat(?:'s|\u2019s| is| was) (?:my|the|her|his|its) (?:\w+ ){0,2}?(?:called|\w+'s name)\b|"
        r"\bname of my \w+|\bwhat did i (?:call|name)\b",
        r"\bI (?:will |decide to )?(?:call|name|christen)(?:ed)? (?:the|my|him|her|it|this|that)\b[\w ]{0,24} [A-Z]\w",
    ),
    (
        r"\bwho am i\b|\bwhat(?:'s|\u2019s| is| was) my (?:own )?name\b|\bwhat am i called\b",
        r"\bmy name(?:'s|\u2019s| is)\b|\bcall me\b|\bI(?:'m|\u2019m| am) (?:called )?[A-Z]\w",
    ),
    (r"\bhow old am i\b|\bmy age\b", rf"\bI(?:'m|\u2019m| am) (?:{_NUMBER})\b|\byears old\b"),
    (
        r"\bmy (?:job|trade|profession|work|calling)\b|\bfor a living\b",
        r"\bI(?:'m|\u2019m| am) (?:[A-Z][\w'-]+(?: [A-Z][\w'-]+)?, )?an? \w+|\bby trade\b|\bI work\b",
    ),
    (
        r"\bwhere (?:am|do|did) i (?:come )?from\b|\bwhere was i born\b",
        r"\bI(?:'m|\u2019m| am| come| came| hail) from\b|\bborn in\b",
    ),
    (r"\bam i afraid\b|\bmy fears?\b|\bfrightens me\b", r"\b(?:afraid|scared|frightened|terrified|fear)\b"),
    (r"\bdo i (?:like|love|prefer|enjoy)\b|\bmy favou?rite\b", r"\bI (?:like|love|prefer|enjoy)\b|\bfavou?rite\b"),
    (
        r"\bam i (?:here|looking|after|searching)\b|\bdid i come here\b",
        r"\b(?:came|come|am|'m) (?:here|looking|searching|back) (?:to|for|because)\b",
    ),
)  # fmt: skip
_FORM_OF = tuple((re.compile(asks, re.IGNORECASE), re.compile(has)) for asks, has in _FORMS)
_PERSONAL_OF = tuple((re.compile(asks, re.IGNORECASE), re.compile(has)) for asks, has in _PERSONAL)
_WHERE_IS = re.compile(r"^where(?: is| are|'s|\u2019s)\b", re.IGNORECASE)
_PUTS = re.compile(
    r"\b[Ii] (?:\w+ly )?(?:hide|hid|put|leave|left|drop|dropped|bury|buried|place|placed|lay|laid|stow|stowed|slip|"
    r"slipped|tuck|tucked|give|gave|lend|lent|keep|kept|throw|threw)\b"
)
_CALL = re.compile(r"^\s*[A-Z][\w'-]+(?: [A-Z][\w'-]+)?,\s+(?=\S)")
_ADVERB = re.compile(r"^([A-Za-z]{3,}ly)\b,?\s+(?:and\s+)?(?=\S)")
# These say how the words are meant rather than how something happens: the line is talk.
_OF_TALK = word_set("honestly really frankly actually obviously certainly definitely probably surely")


def about_me(text: str) -> bool:
    """Whether a question wants to know something that only the player can have said."""
    asks = _ASKS.search(text)
    mine = asks is not None and _I.search(text, asks.end()) is not None
    return mine and not _ADVICE.search(text) and not here(text)


def about_the_other(text: str) -> bool:
    """Whether a question is about whoever is asked: their name, their trade, what brings them here."""
    return _OF_THE_OTHER.search(text) is not None


def wants_advice(text: str) -> bool:
    """Whether a question is what to do next."""
    return _WHAT_NEXT.search(text) is not None


def here(text: str) -> Here:
    """Returns what a question about the present moment is about, ``""`` when it is no such question.

    The question may be one sentence of several: "What is this place? I have never been here."
    """
    asking = [one for one in sentences_of(text) if one.endswith("?")] or [text]
    return next((kind for one in asking for kind, pattern in _HERE if pattern.search(one)), "")


def answers(question: str, sentence: str) -> tuple[bool, bool]:
    """Returns whether ``sentence`` has the form that ``question`` wants, and whether it answers it alone.

    "I am thirty-four" answers "How old am I?" without sharing a word with it.
    """
    form = any(asks.search(question) and has.search(sentence) for asks, has in _FORM_OF)
    alone = any(asks.search(question) and has.search(sentence) for asks, has in _PERSONAL_OF)
    return form, alone


def only_i_can_tell(question: str) -> bool:
    """Whether a question is about the player, so that what others have said is no answer: "What is my name?"."""
    return any(asks.search(question) for asks, _ in _PERSONAL_OF)


def put_away(question: str, sentence: str) -> bool:
    """Whether the question is where something is, and the sentence tells where the player put something."""
    return bool(_WHERE_IS.search(question) and _PUTS.search(sentence))


def without_call(text: str) -> str:
    """Returns the line without the name it calls: "Ines, where is it?" -> "where is it?"."""
    return _CALL.sub("", text, count=1)


def is_adverb(word: str) -> bool:
    """Whether a word at the start of a line tells how something is done, and is nobody's name."""
    return (
        len(word) > 4
        and word.casefold().endswith("ly")
        and word.casefold() not in word_list("ly_names")
    )


def without_adverb(text: str) -> str:
    """Returns the line without the adverbs it begins with: "Quickly, I run" -> "I run"."""
    while (match := _ADVERB.match(text)) and is_adverb(match.group(1)):
        text = text[match.end() :]
    return text


def tells_what_happens(text: str) -> bool:
    """Whether a line begins as a story does: "Luckily, nobody sees me"."""
    match = _ADVERB.match(text)
    if not match or not is_adverb(match.group(1)):
        return False
    return match.group(1).casefold() not in _OF_TALK
