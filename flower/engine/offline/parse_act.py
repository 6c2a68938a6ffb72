"""Reads a line that is an act: of which kind it is, what is done, to what, where it leads. Pure.

Also finds out that a line which looks like an act is none: words said aloud, something that holds, a plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, cast

from flower.engine.offline.clauses import (
    LEAD,
    clauses,
    goal_of_act,
    last_verb,
    main_kind,
    object_of,
    second,
    speech_act_of,
    topic_of,
    verb_of,
)
from flower.engine.offline.grammar import sentences
from flower.engine.offline.questions import tells_what_happens, without_adverb
from flower.engine.offline.tables import word_list

Kind = Literal[
    "continue", "dice", "aside", "recall", "know", "oracle", "speech", "fight", "contest", "risk", "trade",
    "search", "move", "take", "use", "look", "rest", "think", "resolve", "state", "other",
]  # fmt: skip
Reading = tuple[Kind, dict[str, Any]]  # and the fields of a ``ParsedLine`` that it fills
_CONTRACTED = re.compile(r"^i'(?:ll|m going to|d like to|m gonna)\s+", re.IGNORECASE)
RECALL = re.compile(
    r"\b(do (?:i|you|we) (?:still )?remember|remind me|(?:do i|to) recall|i forgot|i forget|have i|"
    r"had i|did (?:i|we)|was i|were we|am i called|i (?:said|told|hid|left|gave|put|promised|asked|"
    r"mentioned|swore|paid|bought|found)|(?:tell|told|promise|promised|give|gave|say to|warn|warned) me|"
    r"my (?:own )?name|earlier|last time|so far|what (?:has|have) (?:happened|i|we)|we (?:said|agreed|met))\b",
    re.IGNORECASE,
)
_SUM_UP = re.compile(r"^(?:please )?(?:summari[sz]e|recap|sum up)\b", re.IGNORECASE)
# "In the morning I go out", "After supper, I ask her": when it is done, before the act.
_AT_WHAT_TIME = re.compile(
    r"^(?:in|at|on|by|after|before|around|towards?|during|from|with|later|next|the|that|this|early|late|once|one|"
    r"tomorrow|tonight|afterwards|eventually|today)\b[^,.?!\"]{0,40}?,? (?=(?:i|we) [a-z])",
    re.IGNORECASE,
)
_TO_ME = re.compile(r"^(describe)\b (.+?) (?:to|for) (?:me|us)\b", re.IGNORECASE)
_SOMEWHERE = re.compile(
    r"(?:find|look for) (?:somewhere|anywhere|a place|something) to\b", re.IGNORECASE
)
_NEGATED = re.compile(
    r"^(?:i|we)\s+(?:don't|do not|can'?t|cannot|won't|will not|didn't|did not|"
    r"wouldn't|couldn't|shouldn't|never|should|must|might)\b",
    re.IGNORECASE,
)
_COMMAND = re.compile(
    r"^[a-z]+\s+(?:the|a|an|my|it|him|her|them|around|in|into|through|at|on|onto|over|under|up|down|off|out|for|"
    r"with|against|along|past|after)\b",
    re.IGNORECASE,
)
ADDRESSED = re.compile(r"\b(you|your|yours|you're|you've)\b", re.IGNORECASE)
_TALK = re.compile(
    r"^(hello|hi|hey|thanks|thank you|yes|no|yeah|aye|nope|sorry|goodbye|bye|farewell|"
    r"good (?:morning|day|evening|night)|please|fine|agreed|all right|welcome|my name is|never|sure|of course)\b",
    re.IGNORECASE,
)
_GUIDE = re.compile(
    r"^(?:please |then |so |now )?(take|bring|lead|show|give|lend|let|help) (me|us)\b", re.IGNORECASE
)
# What somebody else does is no act of the player.
_OF_OTHERS = re.compile(r"(?:he|she|it|they)\s", re.IGNORECASE)
_STATE = re.compile(
    r"^i(?:\s+(?:am|was|have|had|love|hate|like|miss|wish)\b|'(?:m|ve|d)\b)", re.IGNORECASE
)
# "I will never forget you": said to somebody. "I tell you" is an act, and "you" behind a preposition may be.
_BOTH = re.compile(
    r"^(?:i|we)(?:'\w+)?\s+(?:\w+\s+){0,3}?"
    r"(?:love|like|hate|trust|believe|forgive|forget|miss|need|want|know|owe|"
    r"remember|thank|promise|swear|missed|trusted|loved)\s+you\b",
    re.IGNORECASE,
)
# What holds rather than happens; and what the player tells of the past.
_STANDING = re.compile(
    r"^(?:i|we)\s+(?:always\s+|still\s+|never\s+|also\s+|once\s+|used to\s+)*"
    r"(?:owe|own|need(?! to)|know that|prefer|come from|came (?:here|from|back)|live|lived|grew|used to|met|"
    r"knew|lost|dreamt|dreamed|belong)\b",
    re.IGNORECASE,
)
_CONTEST = re.compile(
    r"challenge [^.,]{1,40}? to (?:a|an|arm|single|draughts|chess|cards|dice)\b", re.IGNORECASE
)
# "order her to stop" is said to somebody, "order a stew" is not; what is left somewhere is no place left.
_ORDERS = re.compile(r"order (?:him|her|them|everyone|everybody|[A-Z]\w+(?: [A-Z]\w+)?|the \w+) to\b")
_WEAPON = re.compile(
    r"\b(?:knife|sword|gun|pistol|blade|dagger|bow|axe|weapon|revolver|rifle|cutlass)\b"
)
_LEAVES = re.compile(
    r"leave (?:some |a |an |the |my )(?!room\b|house\b|place\b|town\b|inn\b)[^.]{0,40}?"
    r"\b(?:for|on|in|at|by|beside|behind|there)\b|leave (?:some|a|an) "
    r"|leave [a-z]+ (?:for|on|in|at|by|beside|behind)\b",
    re.IGNORECASE,
)
_IF = re.compile(r"^(?:if|should|in case|unless) [^?]{2,120}?,? (?:i|we)(?:'ll)? [a-z]", re.IGNORECASE)
_FOR_PEOPLE = re.compile(
    r"look (?!under|behind|inside)[^.]{0,30}?\bfor (?:any|some)(?:one|body)\b|look for (?:people|faces)\b",
    re.IGNORECASE,
)
_ASLEEP = re.compile(r"\bfall asleep\b", re.IGNORECASE)
_FIND = re.compile(r"^(?:find|look for)\b", re.IGNORECASE)
_SPOTS = {
    "bar",
    "bed",
    "bench",
    "chair",
    "corner",
    "fire",
    "place",
    "pub",
    "seat",
    "shelter",
    "shop",
    "spot",
    "table",
}
_GOES_TO_FIND = re.compile(r"(?:,| and| to) (?:look for|find|seek out) (?=(?:the |my )?[A-Z])")
_TELLS = re.compile(r"(?:I|i) (?:tell|confess|admit|explain)\b", re.IGNORECASE)


@cache
def _place_found() -> re.Pattern[str]:
    places = "|".join(sorted(word_list("place_words") | _SPOTS, key=len, reverse=True))
    return re.compile(
        rf"(?:find|look for) (?:a|an|the|my|some) (?:[a-z]+ ){{0,2}}?(?:{places})\b(?! key)",
        re.IGNORECASE,
    )


def act_of(text: str) -> Reading:
    """Returns the kind of a line that asks nothing, and those fields of its ``ParsedLine`` that it fills."""
    if RECALL.search(text) and re.match(r"^(remind me|i forg[eo]t|tell me again)", text, re.IGNORECASE):
        return "recall", {"topic": topic_of(text)}
    if _SUM_UP.match(text):
        return "recall", {"topic": ""}
    happens = tells_what_happens(text)
    text = _TO_ME.sub(r"\1 \2", text)
    text = without_adverb(_AT_WHAT_TIME.sub("", text, count=1))
    parts = sentences(text)
    if len(parts) > 1:
        return _of_several(text, parts)
    reading = next((reads(text) for pattern, reads in _NO_ACTS if pattern.match(text)), None)
    if reading is not None:
        return reading
    bare, verb, kind = _first_act(text)
    if kind:
        return _of_verb(bare, verb, main_kind(bare, kind))
    reading = _of_unknown_verb(text, bare)
    return ("other", {"object": object_of(bare)}) if happens and reading[0] == "speech" else reading


def _of_several(text: str, parts: list[str]) -> Reading:
    """Reads a line of several sentences: the first that does something, else the first that is said."""
    readings = [act_of(part) for part in parts[:4] if not part.endswith("?")]
    doing = [reading for reading in readings if reading[0] not in ("speech", "other", "state")]
    spoken = [reading for reading in readings if reading[0] == "speech"]
    if _TELLS.match(parts[0]):  # what follows "I tell Tam something:" is said, not done
        doing = []
    kind, details = (doing or spoken or readings)[0]
    return kind, details | {"speech": text} if kind == "speech" and not doing else details


def speech_of(text: str) -> Reading:
    """Returns the reading of words that are said as they are written, without quotation marks."""
    return "speech", {"speech": text, "speech_act": speech_act_of(text), "topic": topic_of(text)}


def _state(text: str) -> Reading:
    return "state", {"topic": object_of(text)}


def _denial(text: str) -> Reading:
    if ADDRESSED.search(text):
        return "speech", {"speech": text, "speech_act": "claim", "topic": topic_of(text)}
    return _state(text)


def _resolve(text: str) -> Reading:
    return "resolve", {"topic": object_of(text)}


# What looks like an act and is none; the first whose pattern a line begins with.
_NO_ACTS: tuple[tuple[re.Pattern[str], Callable[[str], Reading]], ...] = (
    (_TALK, speech_of),
    (_GUIDE, speech_of),
    (_NEGATED, _denial),
    (_BOTH, speech_of),
    (_STANDING, _state),
    (_IF, _resolve),  # what one means to do, if it comes to that
)


def _first_act(text: str) -> tuple[str, str, str]:
    """Returns a line from its first verb on, the verb, and the kind of act that it is, "" for none."""
    bare = LEAD.sub("", _CONTRACTED.sub("", text), count=1)
    verb, kind = verb_of(bare)
    if kind == "move" and (sought := _GOES_TO_FIND.search(bare)):
        bare = f"go to {bare[sought.end() :]}"  # whom or what has a name is gone to, not searched for
    if verb in ("find", "look") and _SOMEWHERE.match(bare):
        bare = _FIND.sub("go looking for", bare)
        verb, kind = "go", "move"
    elif verb in ("find", "look") and _place_found().match(bare):
        bare = _FIND.sub("go to", bare)  # "find an inn and eat": nothing is searched for
        verb, kind = verb_of(bare)
    if not kind and not _STATE.match(text) and not _OF_OTHERS.match(text):
        kind = main_kind(bare, "")  # "I stop him and ask ...", "I shoulder the trunk and set off"
    return bare, verb, kind


def _of_verb(bare: str, verb: str, kind: str) -> Reading:
    noun = _object_of_kind(bare, kind)
    ready = verb in ("draw", "ready") and _WEAPON.search(noun) is not None
    kind = "use" if ready else _kind_with_object(bare, verb, kind, noun)
    done = "ready" if ready else "sleep" if _ASLEEP.search(bare) else last_verb(bare, kind) or verb
    details: dict[str, Any] = {
        "act": second(bare),
        "object": noun,
        "goal": goal_of_act(bare),
        "verb": done,
    }
    if kind != "speech":
        return cast(Kind, kind), details
    speech_act = speech_act_of(bare)
    if speech_act == "gesture" and noun:
        return "other", details  # "kiss the mule": nobody is spoken to
    before = clauses(bare)[0]
    beside = second(before) if verb_of(before)[1] in ("trade", "take", "use", "rest") else ""
    return "speech", details | {"speech_act": speech_act, "topic": topic_of(bare), "beside": beside}


def _kind_with_object(bare: str, verb: str, kind: str, noun: str) -> str:
    """Returns the kind of an act, which depends on what it is done to: a stew is ordered, a man is given orders."""
    if verb == "order" and _ORDERS.match(bare):
        return "speech"
    if verb == "challenge" and _CONTEST.match(bare):
        return "contest"
    if verb == "leave" and _LEAVES.match(bare):
        return "use"
    if kind == "search" and (verb in ("watch", "observe", "study") or _FOR_PEOPLE.match(bare)):
        return "look"  # "I watch the crowd, looking for somebody I know"
    if kind == "fight" and noun.rsplit(" ", 1)[-1].casefold() in word_list("things_hit"):
        return "use"  # a stove does not hit back
    return "use" if kind == "risk" and verb in word_list("risky_alone") and noun else kind


def _object_of_kind(bare: str, kind: str) -> str:
    """Returns what the act is done to; of looking, only what is looked at: "hold the rope and look down" has none."""
    if kind != "look":
        return object_of(bare)
    looked = [part for part in clauses(bare) if verb_of(part)[1] == kind]
    return object_of(looked[-1]) if looked else object_of(bare)


def _of_unknown_verb(text: str, bare: str) -> Reading:
    """Reads a line whose first verb is in no table."""
    if _STATE.match(text):
        return _state(text)
    if re.match(r"^(i|we|let|i'll)\b", text, re.IGNORECASE):
        return "other", {"act": second(bare), "object": object_of(bare)}
    first = bare.split(" ", 1)[0].casefold()
    if _COMMAND.match(bare) and first not in word_list("stop_words"):
        return "other", {"act": second(bare), "object": object_of(bare)}
    if _spoken(text):
        return speech_of(text)
    return "other", {"object": object_of(bare)}


def _spoken(text: str) -> bool:
    """A sentence that is no act: English words without an ``I does`` at the front."""
    words = re.findall(r"[a-z']+", text.casefold())
    return len(words) >= 2 and bool(word_list("stop_words").intersection(words))
