"""What a line tells of the player: a feeling, a confession, something about themself, affection, an insult.

Pure. Decides only what kind of thing was said, so that whoever hears it can answer in kind; the words
of the answer are phrases. Works on English; what it does not know it leaves alone.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from flower.engine.offline.grammar import second_person, upper_first

Feeling = Literal[
    "", "fear", "grief", "anger", "joy", "shame", "weary", "pain", "lonely", "wonder", "doubt", "disgust",
]  # fmt: skip
Disclosure = Literal[
    "", "confession", "affection", "insult", "praise", "name", "self", "loss", "plan", "love", "hate", "comfort",
]  # fmt: skip
ECHO_WORDS = 14  # a longer sentence is not said back to somebody

_FEELINGS: tuple[tuple[Feeling, str], ...] = (
    (
        "fear",
        r"afraid|scared|frightened|terrified|terror|dread|panic\w*|fear|nervous|uneasy|shaking|shiver\w*|trembl\w+|"
        r"my heart is (?:pounding|racing)",
    ),
    (
        "grief",
        r"grie(?:f|ve|ving)|mourn\w*|sad|sorrow\w*|heartbroken|miss (?:him|her|them|my)|cry|crying|cried|weep|weeping|"
        r"wept|sob|sobbing|tears|break down|broken",
    ),
    (
        "anger",
        r"angry|anger|furious|rage|raging|mad at|hate|seething|livid|fuming|sick of|fed up|scream with|outraged",
    ),
    (
        "shame",
        r"wish (?:i|we) (?:had|were|was|could|did)|ashamed|shame|guilty|guilt|embarrassed|my fault|blush\w*|regret|"
        r"(?:rotten|awful|terrible|bad) about|"
        r"remorse",
    ),
    ("weary", r"tired|weary|exhausted|worn out|sleepy|drained|so much for today|had enough"),
    ("pain", r"hurt|hurts|hurting|pain|in agony|aching|ache|wounded|bleeding|dizzy|sick|ill|feverish"),
    (
        "lonely",
        r"lonely|alone in the world|(?<=feel )alone|small and alone|so alone|homesick|lost everyone|nobody left",
    ),
    ("disgust", r"disgust\w*|revolted|nauseous|nauseated|gag|retch\w*|vomit\w*|throw up"),
    ("doubt", r"unsure|uncertain|confused|lost|don'?t know what to do|at a loss|not sure"),
    ("wonder", r"amazed|astonished|in awe|awestruck|curious|marvel\w*|wonderful|beautiful"),
    (
        "joy",
        r"happy|glad|joy\w*|delighted|relieved|relief|cheerful|laugh\w*|grin\w*|smil\w+|hopeful|hope|proud|excited|"
        r"at peace|content",
    ),
)
_FEELING = tuple((name, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for name, words in _FEELINGS)
# What makes such a word the player's own: "I am afraid", "I feel sick with fear", "I cry".
_MINE = re.compile(
    r"\b(?:i|we)(?:'(?:m|re|ve))?\s+(?:(?:am|are|was|feel|felt|have|begin to|start to|can'?t help but|"
    r"suddenly|more|rather|much|still|just|almost|nearly|really|so|very|too|quite|all|a|bit|little|quietly|softly|bitterly|"
    r"starting to|beginning to|properly|openly|finally|sit down and|stop and|kneel and)\s+){0,4}$",
    re.IGNORECASE,
)
_MY = re.compile(r"\bmy (?:heart|hands?|eyes|knees|voice|stomach|head|legs?|arms?)\b", re.IGNORECASE)
_NOT = re.compile(r"\b(?:not|never|no longer|n't)\s*(?:\w+\s*)?$", re.IGNORECASE)

_CONFESSION = re.compile(
    r"\b(?:a secret: i|confess|admit|i have to tell you something|it was me|i was the one|it was my fault|i lied|"
    r"i(?:'ve| have) (?:lied|killed|stolen|betrayed|never told)|i killed|i stole|i betrayed|i did it|"
    r"i let (?:him|her|them|\w+) (?:die|drown|fall)|i(?:'ve| have) (?:never|not) told|nobody knows (?:that )?i|"
    r"the truth is,? i)\b",
    re.IGNORECASE,
)
_AFFECTION = re.compile(
    r"\b(?:kiss|hug|embrac|caress|cuddl)\w*\s+(?:him|her|them|you|(?-i:[A-Z])\w+)\b"
    r"|\b(?:hold|holding|take|taking|squeeze|squeezing|touch|touching|strok\w+|put(?:ting)? an arm (?:round|around))\s+"
    r"(?:his|her|their|your|(?-i:[A-Z])\w+'s)\s+(?:\w+ )?(?:hands?|cheek|arms?|shoulders?|hair|face|fingers)\b"
    r"|\bi love you\b|\bi (?:tell|told) (?:him|her|them) (?:that )?i love (?:him|her|them)\b"
    r"|\bi(?:'m| am) in love with\b|\bi trust you\b|\bi missed you\b|\bi like you\b",
    re.IGNORECASE,
)
_WITH_FORCE = re.compile(
    r"\b(?:by the throat|prisoner|hostage|down|wrist and twist|knife|gun|blade)\b", re.IGNORECASE
)
_INSULT = re.compile(
    r"\b(?:idiot|fool|liar|coward|bastard|scum|pig|stupid|damn you|go to hell|shut up|worthless|useless|"
    r"i (?:hate|despise) you|you (?:disgust|sicken) me|spit (?:at|on)|(?:throw|toss|pour|empty) .{1,30} (?:in|at|over) "
    r"(?:his|her|their) (?:face|head))\b",
    re.IGNORECASE,
)
_PRAISE = re.compile(
    r"\b(?:well done|you(?:'re| are) (?:(?:so|very|really|quite) )?(?:kind|brave|clever|good|beautiful|wonderful|"
    r"right|funny|smart|wise|strong)|good work|i(?:'m| am) proud of you|i admire)\b",
    re.IGNORECASE,
)
_COMFORT = re.compile(
    r"\b(?:don't (?:worry|cry|be afraid)|it(?:'s| is| will be) (?:all right|okay|ok)|everything will be|"
    r"i(?:'m| am) here|you(?:'re| are) (?:safe|not alone)|condolences|"
    r"sorry (?:for your|about your|to hear)|for your loss|there,? there|comfort)\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"\b(?i:my name is|my name's|call me|they call me|i(?:'m| am) called|the name is|the name's)\s+"
    r"(?P<name>[A-Z][\w'-]*(?:\s+[A-Z][\w'-]*){0,2})"
)
_I_AM_NAME = re.compile(
    r"\bI(?:'m| am)\s+(?P<name>[A-Z][\w'-]+(?:\s+[A-Z][\w'-]+)?)(?=[.,!;]|$| and\b)"
)
_KIN = (
    "brother|sister|mother|father|mum|mom|dad|son|daughter|wife|husband|uncle|aunt|cousin|grandmother|grandfather|"
    "friend|family|child|children|parents|captain|master|teacher|dog|cat|horse|ship|boat|house|home|village|town"
)
_SELF = re.compile(
    rf"\bmy (?:\w+ ){{0,2}}?(?:{_KIN})\b|\bi (?:was born|grew up|come from|came from|used to|once|lost|have always|"
    r"have never|have (?:a|an|one|two|three|no) (?:\w+ )?(?:brother|sister|son|daughter|child|children|wife|husband)|"
    r"was (?:a|an|the)|am (?:a|an|the)|worked|served|married|left home)\b|\bi'm (?:a|an|the)\b|"
    r"\bwhen i was\b|\bmy (?:\w+ )?(?:favou?rite|trade|job|work|life|past|secret|dream)\b",
    re.IGNORECASE,
)
_PLAN = re.compile(
    r"\b(?:i(?:'ll| will| shall| mean to| am going to| plan to| intend to| want to| have to| must)|"
    r"we (?:should|must|have to|need to|could|ought to)|let's|let us)\s+(?!you\b)\w+",
    re.IGNORECASE,
)
_LIKING = re.compile(r"\bi (?:really |do |just )?(?:love|like|adore|enjoy)\b(?! you\b)", re.IGNORECASE)
_HATING = re.compile(
    r"\bi (?:really |do |just )?(?:hate|loathe|can't stand|despise|don't (?:like|trust))\b(?! you\b)",
    re.IGNORECASE,
)
_LOSS = re.compile(
    rf"\b(?:my|our) (?:\w+ ){{0,2}}?(?:{_KIN})\b[^.?!]{{0,40}}\b(?:died|drowned|is dead|was killed|were killed|hanged|"
    rf"lost|gone|vanished|missing|buried|murdered|burned|burnt)\b|"
    rf"\b(?:my|our) (?:dead|late|drowned|lost|poor dead) (?:{_KIN})\b|"
    rf"\bi lost (?:my|our) (?:\w+ ){{0,2}}?(?:{_KIN})\b",
    re.IGNORECASE,
)
_DISCLOSURES: tuple[tuple[Disclosure, re.Pattern[str]], ...] = (
    ("comfort", _COMFORT),
    ("praise", _PRAISE),
    ("loss", _LOSS),
    ("self", _SELF),
    ("hate", _HATING),
    ("love", _LIKING),
    ("plan", _PLAN),
)
_SAYS_THAT = re.compile(
    r"^(?:i |we )?(?:say|tell|confess|admit|explain|whisper|mutter|answer|reply|add|insist)s?\b"
    r"(?:\s+(?:to\s+)?(?:him|her|them|everyone|[A-Z]\w+(?: [A-Z]\w+)?|the \w+))?,?\s+(?:that\s+)?",
    re.IGNORECASE,
)


# An act before the disclosure: what it says back would be the act.
_DOES_AND_TELLS = re.compile(
    r"^i [a-z]+ [^.,\"]{1,60}\band (?:tell|say|confess|admit|whisper|explain|mention)\b", re.IGNORECASE
)
_WRITES = re.compile(r"^(?:i |we )?(?:write|post|send|scribble)s?\b", re.IGNORECASE)  # heard by nobody
_WEEPS = re.compile(r"^i [^\"]{0,40}\band (?:cry|weep|sob)[.!]*$", re.IGNORECASE)
# Is not said back: a greeting, or a sentence that hangs on another.
_NOT_BACK = re.compile(
    r"^(?:hello|hi|hey|good (?:day|morning|evening)|she|he|it|they|his|her|their|its)\b", re.IGNORECASE
)
_ASKS_FOR = re.compile(r"\b(?:please|let me|let us|official business)\b", re.IGNORECASE)
_JOIN = re.compile(r"^(?:and|but|so|well|then|now|because|yes|no)\b,?\s+", re.IGNORECASE)


class Sentiment(Struct, frozen=True):
    """What a line tells of the player. ``name`` is what they call themself, "" if they do not."""

    feeling: Feeling = ""
    disclosure: Disclosure = ""
    name: str = ""
    echo: str = ""  # the player's own words as somebody says them back: "your brother drowned here"
    subject: str = ""  # what a liking is about: "this town"


def hear(text: str, spoken: str) -> Sentiment:
    """Returns what a line tells; ``spoken`` are the words of it that were said aloud, "" if none were."""
    if not spoken and _WRITES.match(text):
        return Sentiment(feeling=_feeling(text))
    speech = spoken or _SAYS_THAT.sub("", text)
    named = _NAME.search(speech) or _I_AM_NAME.search(speech)
    name = " ".join(named.group("name").split()).strip(" .,") if named else ""
    disclosure = _disclosure(text, speech, name)
    return Sentiment(
        feeling=_feeling(text),
        disclosure=disclosure,
        name=name if not name.islower() else "",
        echo="" if _DOES_AND_TELLS.match(speech) else _echo(speech),
        subject=_subject(speech) if disclosure in ("love", "hate") else "",
    )


def _feeling(text: str) -> Feeling:
    if _WEEPS.search(text):
        return "grief"
    for name, pattern in _FEELING:
        for match in pattern.finditer(text):
            before = text[: match.start()]
            if _NOT.search(before):
                continue
            if _MINE.search(before) or _MY.search(before) or _felt(before):
                return name
    return ""


def _felt(before: str) -> bool:
    """ "I feel sick with fear", "I shake with anger": the word belongs to a feeling named before it."""
    return (
        re.search(
            r"\bi (?:feel|am|shake|tremble|scream|sob|burst|freeze)\b[\w\s,]{0,30}$",
            before,
            re.IGNORECASE,
        )
        is not None
    )


def _disclosure(text: str, speech: str, name: str) -> Disclosure:
    if _CONFESSION.search(speech) or re.match(r"^i (?:confess|admit)\b", text, re.IGNORECASE):
        return "confession"
    if _AFFECTION.search(text) and not _WITH_FORCE.search(text):
        return "affection"
    if _INSULT.search(speech):
        return "insult"
    return next(
        (disclosure for disclosure, pattern in _DISCLOSURES if pattern.search(speech)),
        "name" if name else "",
    )


def _subject(speech: str) -> str:
    match = re.search(
        r"\b(?:love|like|adore|enjoy|hate|loathe|stand|despise|trust)\s+((?:this|that|the|these|those|my|your|it)\b[^.,;!?]{0,30})",
        speech,
        re.IGNORECASE,
    )
    return second_person(match.group(1).strip()) if match and len(match.group(1).split()) <= 4 else ""


def _echo(speech: str) -> str:
    """Returns the last sentence that tells something, turned round, without an end mark."""
    for sentence in reversed(re.split(r"(?<=[.!?;])\s+", speech.strip())):
        words = sentence.strip(" .!?;,\u2026").split()
        if (
            not 3 <= len(words) <= ECHO_WORDS
            or "?" in sentence
            or _ASKS_FOR.search(sentence)
            or _NOT_BACK.match(sentence)
        ):
            continue
        text = _JOIN.sub("", " ".join(words)).rpartition(": ")[2]
        if re.search(r"\b(?:you|your|yours)\b", text, re.IGNORECASE):
            to_me = re.fullmatch(r"(?i)(i \w+) you", text)
            return f"{upper_first(second_person(to_me.group(1)))} me" if to_me else ""
        return upper_first(second_person(text)).replace('"', "'")
    return ""
