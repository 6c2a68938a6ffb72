"""The parts of a line that is an act or is said: its verb, what it is done to, where it leads, what saying it does.

Pure. Works on English, clause by clause; what is not found is an empty string.
"""

from __future__ import annotations

import re
from typing import Literal

from flower.engine.offline.grammar import base_verb, second_person
from flower.engine.offline.tables import vocabulary, word_list

LEAD = re.compile(
    r"^(?:(?:and|then|so|now|okay|ok|well|first|next|finally|instead|suddenly|meanwhile)\b,?\s+)*"
    r"(?:(?:i|we)\s+|(?:let me|let's|let us)\s+)?"
    r"(?:(?:will|shall|would like to|want to|wanna|decide to|decided to|am going to|are going to|try to|"
    r"tried to|attempt to|begin to|start to|need to|have to|going to|can|could|may|would|just|then|also|still|"
    r"(?:[a-z]{2,}ly\s+and\s+)?[a-z]{2,}ly)\s+)*",
    re.IGNORECASE,
)
_ASKING = re.compile(r"\b(?:ask|asks|asked|question|questions)\b", re.IGNORECASE)
_ASKED_FOR = re.compile(
    r"\b(?:about|whether|if|why|where|who|what|how|when|for) (?=[^\n])", re.IGNORECASE
)
_ABOUT = re.compile(r"\babout (?=[^\n])", re.IGNORECASE)
_OBJECT = re.compile(
    r"\b((?:the|a|an|my|your|his|her|its|their|this|that|these|those|some|every)\s+[\w'-]+"
    r"(?:\s+[\w'-]+){0,3})",
    re.IGNORECASE,
)
_PART = re.compile(
    r"the (?:bottom|top|side|back|inside|edge|end|rest|middle|foot) of the [a-z]+\b", re.IGNORECASE
)
_OBJECT_END = re.compile(
    r" (?:and|with|in|on|at|to|from|for|of|by|under|over|behind|beside|into|onto|through|until|while|as|"
    r"about|near|towards?|across|then|but|so|because|before|after|if|who|that|which|what|is|are|was|where|when|how|"
    r"he|she|they|we|i|nobody|somebody|"
    r"carefully|quietly|slowly|quickly|closely|again|open|shut|down|up|out|off|away|back|please|now|"
    r"hard|gently|softly|there|here|him|her|them|it|me|you)\b.*",
    re.IGNORECASE | re.DOTALL,
)
# In a line with several verbs the first of these that occurs gives the kind; else the last verb does.
_WEIGHT = ("fight", "contest", "risk", "speech", "trade", "search")
_MEANWHILE = re.compile(r"[a-z]+ing\b", re.IGNORECASE)  # "I walk on, feeling heavier": not what is done
_WHICH = ("first", "second", "last", "other", "same", "third")
_FEW = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "other", "many", "few")
_INTO = re.compile(
    r"\b(?:to|into|towards?|inside|onto|through|across|aboard|down|up|out to|over to|back to|at|along|under)\s+"
    r"(?P<goal>(?:the|a|an|my|your|his|her|their|that|this)\s+(?:[a-z'-]+\s+){0,2}?[a-z'-]+)"
    r"(?=$|[.,;:!?]|\s+(?:and|with|to|in|on|of|where|while|before|for|again|as|by|then|now|alone|at))",
    re.IGNORECASE,
)
_ENTERS = re.compile(
    r"^(?:enter|climb|board|cross|approach|visit|reach|explore|ascend|descend)\s+"
    r"(?P<goal>(?:the|a|an|my|your|his|her|their|that|this)\s+(?:[a-z'-]+\s+){0,2}?[a-z'-]+)"
    r"(?=$|[.,;:!?]|\s+(?:and|with|to|in|on|of|where|while|before|for|again|as|by|then|now|alone|at))",
    re.IGNORECASE,
)
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


def verb_of(bare: str) -> tuple[str, str]:
    """Returns the verb a clause begins with and its kind, "" for a verb that is in no table."""
    words = re.findall(r"[a-z']+", bare.casefold())
    if not words:
        return "", ""
    verb = base_verb(words[0])
    if verb not in vocabulary().verbs and verb + "e" in vocabulary().verbs:
        verb += "e"
    rest = " ".join(words[1:5])
    for (head, particle), kind in vocabulary().verb_phrases.items():
        if head == verb == "look" and particle in ("for", "through", "under", "behind", "inside"):
            if rest == particle or rest.startswith(particle + " "):
                return verb, kind
        elif head == verb and (
            rest == particle or rest.startswith(particle + " ") or f" {particle} " in f" {rest} "
        ):
            return verb, kind
    return verb, vocabulary().verbs.get(verb, "")


def clauses(bare: str) -> list[str]:
    """Returns the clauses of a line, without what only leads up to their verbs."""
    parts = re.split(r",\s*(?:and |then )?|;\s*|\.\s+| and then | then | and ", bare)
    return [LEAD.sub("", part, count=1) for part in parts if part]


def main_kind(bare: str, first: str) -> str:
    """Returns the kind of the act that matters most in a line."""
    parts = clauses(bare)
    doing = parts[:1] + [part for part in parts[1:] if not _MEANWHILE.match(part)]
    acts_in_order = [(verb, kind) for verb, kind in map(verb_of, doing) if kind]
    acts = [kind for verb, kind in acts_in_order if verb not in word_list("gestures")]
    kinds = acts or [kind for _, kind in acts_in_order] or [first]
    return next((kind for kind in _WEIGHT if kind in kinds), kinds[-1])


def last_verb(bare: str, kind: str) -> str:
    """Returns the last verb of the kind, "" when there is none."""
    return next(
        (
            verb
            for verb, kind_of_part in reversed([verb_of(part) for part in clauses(bare)])
            if kind_of_part == kind
        ),
        "",
    )


_CLAUSE_ENDS = re.compile(
    r",? (?:and|so that|because|even if|just to see|but|if|when|while|where|who)\b|[,;]"
)


def second(bare: str) -> str:
    """Returns the act as it is behind "you", or "" when it is too long to be said back."""
    bare = re.split(r"(?<=[.!?;])\s+|:\s", bare)[0].strip(" .,!?;:")
    words = bare.split(" ")
    if len(words) > 18:  # the first of what is done can be said back
        bare = _within(words)
        words = bare.split(" ")
    if not bare or not bare.isascii():
        return ""
    verb = words[0].lower()
    present = base_verb(verb)
    if present not in vocabulary().verbs and present + "e" in vocabulary().verbs:
        present += "e"
    if present in vocabulary().verbs:
        words[0] = present
    elif verb.endswith(("ed", "ing", "s")):
        return ""
    else:
        words[0] = verb
    return second_person(" ".join(words)).replace('"', "'")


def _within(words: list[str]) -> str:
    """Returns the clauses of an act that are within 18 words, "" when its first alone is longer."""
    text = " ".join(words[:18])
    ends = [match.start() for match in _CLAUSE_ENDS.finditer(text)]
    whole = next(
        (text[:end] for end in reversed(ends) if not text[:end].endswith((" and", " but", ","))), ""
    )
    return whole if len(whole.split()) > 2 else ""


def object_of(text: str) -> str:
    """Returns the first noun phrase with its article, ``the chest``, or ""."""
    match = _OBJECT.search(text)
    if not match:
        return ""
    part = _PART.match(match.group(1))
    if part:
        return part.group().lower()
    noun = _OBJECT_END.sub("", re.sub(r"[.,;:!?].*$", "", match.group(1)))
    words = noun.split(" ")
    second_word = words[1].lower() if len(words) > 1 else ""
    vague = second_word in word_list("stop_words") and (
        len(words) < 3 or second_word not in (*_WHICH, *_FEW)
    )
    if not second_word or vague or not noun.isascii():
        return ""
    first = words[0].lower()
    words[0] = {"a": "the", "an": "the", "my": "your", "some": "the", "every": "the"}.get(first, first)
    return " ".join(words)


def goal_of_act(bare: str) -> str:
    """Returns where a move leads, with an article: ``the harbour``."""
    for clause in clauses(bare):
        if verb_of(clause)[1] != "move":
            continue
        match = _ENTERS.search(clause) or _INTO.search(clause)
        if match and match["goal"].split()[-1].lower() not in word_list("no_goals"):
            words = second_person(match["goal"]).split()
            while len(words) > 2 and words[-1].lower().endswith("ly"):
                words.pop()  # "into the stones quickly"
            if words[-1].endswith("'s") and (
                owned := re.match(r"\s*([a-z]+)", clause[match.end("goal") :])
            ):
                words.append(owned.group(1))  # "the Reeve's office"
            first = words[0].lower()
            words[0] = {"a": "the", "an": "the", "that": "the", "this": "the"}.get(first, first)
            return " ".join(words)
    return ""


def topic_of(text: str) -> str:
    """Returns what a question or a talk is about, or ""."""
    asking = _ASKING.search(text)
    for match in (_ABOUT.search(text), _ASKED_FOR.search(text, asking.end()) if asking else None):
        if match:
            topic = re.split(r"[.,;:!?]", text[match.end() :])[0].strip()
            noun = (
                object_of(topic)
                if re.match(r"(?i)^(the|a|an|my|his|her|this|that)\b", topic)
                else topic
            )
            if noun and len(noun.split(" ")) <= 6 and noun.isascii():
                return second_person(noun)
    return object_of(text)


def speech_act_of(text: str) -> SpeechAct:
    """Returns what is done by saying it; a plain claim when nothing else is seen."""
    return next((act for act, pattern in _SPEECH_ACTS if pattern.search(text)), "claim")


def likely_of(text: str) -> int:
    """Returns how likely a yes is, in percent, by the words of a question."""
    return next((likely for pattern, likely in _LIKELY if pattern.search(text)), 50)
