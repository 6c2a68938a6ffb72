"""What is done by saying something: asking, threatening, thanking; and how likely a yes would be. Pure."""

from __future__ import annotations

import re
from typing import Literal

SpeechAct = Literal[
    "greet", "ask", "request", "threat", "thanks", "sorry", "bye", "agree", "refuse", "gesture", "claim",
    "help",
]  # fmt: skip
_LIKELY = (
    (re.compile(r"\b(surely|certainly|of course|obviously|definitely)\b", re.IGNORECASE), 85),
    (re.compile(r"\b(probably|likely|still|usually|supposed)\b", re.IGNORECASE), 70),
    (re.compile(r"\b(maybe|perhaps|any|possibly|chance)\b", re.IGNORECASE), 50),
    (re.compile(r"\b(really|ever|actually|already|unlikely|anyone else)\b", re.IGNORECASE), 35),
    (re.compile(r"\b(impossible|by any chance|somehow|magically|miracle)\b", re.IGNORECASE), 15),
)
_ACT_PATTERNS: tuple[tuple[SpeechAct, str], ...] = (
    (
        "help",
        r"^\W*(?:please,? |somebody,? |someone,? |anybody,? )?help(?: me| us)?\W*$|"
        r"\b(?:shout|call|cry|scream|yell)s? (?:out )?(?:loudly )?for help\b",
    ),
    (
        "request",
        r"^(?!.*\?)(?!.*\b(?:tell|show) (?:me|us)\b)(?:[A-Z][\w'-]+[,!] )?(?:please )?"
        r"(?:sit|rest|eat|sleep|drink|breathe|calm|come|wait|stay|run|hold|stop|"
        r"stand|open|close|keep|leave|lie|follow|fetch|bring)\b(?! you\b)|"
        r"^(?:i |we )?(?:ask|beg|tell|order|command|urge|invite|plead with)s? (?:\w+ ){1,3}?to (?!me\b)",
    ),
    ("greet", r"^(?!.*\b(?:who|what|where|when|why|how)\b).*\bi (?:presume|take it|suppose)\?$"),
    (
        "ask",
        r"\?|\b(ask|asks|asked|question)\b(?! for)|"
        r"\b(?:tell|show) (?:me|us) (?:about|more|what|who|why|how|where|when|everything|all)\b",
    ),
    (
        "threat",
        r"\b(threaten|or else|kill you|hurt you|regret|warn|warned|don't move|last chance|hands up|"
        r"or i(?:'ll| will)? (?:kill|shoot|cut|burn|break|hit|call))\b",
    ),
    ("thanks", r"\b(thank|thanks|grateful|much obliged|cheers)\b"),
    ("sorry", r"\b(sorry|apologi[sz]e|forgive|my fault|pardon)\b"),
    ("bye", r"\b(goodbye|farewell|good night|bye|see you|take my leave|be going)\b"),
    (
        "greet",
        r"\b(hello|hi|hey|greet|good (?:morning|day|evening|afternoon)|well met|introduce|my name is)\b",
    ),
    ("refuse", r"^(no|never|nope|not a chance)\b|\b(refuse|won't do|i can't do)\b"),
    (
        "agree",
        r"^(yes|yeah|aye|sure|fine|agreed|all right|alright|ok|okay|of course)\b|\b(agree|promise|accept|i will)\b",
    ),
    (
        "request",
        r"\bi want (?:the|a|your|my|to)\b|"
        r"\b(please|help me|need|beg|(?:give|tell|show|take|bring|lead|lend|let) me|come with|"
        r"ask .{0,30}for|could you)\b",
    ),
    (
        "gesture",
        r"\band (?:nod|smile|wave|bow|shrug|wink)\b|"
        r"^\W*(?:i\s+)?(shake hand|nod|smile|wave|shrug|bow|laugh|frown|sigh|hum|sing|hug|kiss)s?\b",
    ),
)
_SPEECH_ACTS = tuple((act, re.compile(pattern, re.IGNORECASE)) for act, pattern in _ACT_PATTERNS)


def speech_act_of(text: str) -> SpeechAct:
    """Returns what is done by saying it; a plain claim when nothing else is seen."""
    return next((act for act, pattern in _SPEECH_ACTS if pattern.search(text)), "claim")


def likely_of(text: str) -> int:
    """Returns how likely a yes is, in percent, by the words of a question."""
    return next((likely for pattern, likely in _LIKELY if pattern.search(text)), 50)
