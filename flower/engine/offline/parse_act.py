"""Reads a line that is an act: of which kind it is, what is done, to what, where it leads. Pure.

Also finds out that a line which looks like an act is none: words said aloud, something that holds, a plan.
"""

from __future__ import annotations

import re
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


def act_of(text: str) -> tuple[Kind, dict[str, Any]]:
    if RECALL.search(text) and re.match(r"^(remind me|i forg[eo]t|tell me again)", text, re.IGNORECASE):
        return "recall", {"topic": topic_of(text)}
    if _SUM_UP.match(text):
        return "recall", {"topic": ""}
    happens = tells_what_happens(text)
    text = _TO_ME.sub(r"\1 \2", text)
    text = without_adverb(_AT_WHAT_TIME.sub("", text, count=1))
    parts = sentences(text)
    if len(parts) > 1:
        read_parts = [act_of(part) for part in parts[:4] if not part.endswith("?")]
        doing = [found for found in read_parts if found[0] not in ("speech", "other", "state")]
        said = [found for found in read_parts if found[0] == "speech"]
        if _TELLS.match(parts[0]):  # what follows "I tell Tam something:" is told
            doing = []
        chosen, given = (doing or said or read_parts)[0]
        return chosen, given | {"speech": text} if chosen == "speech" and not doing else given
    if _TALK.match(text) or _GUIDE.match(text):
        return "speech", {"speech": text, "speech_act": speech_act_of(text), "topic": topic_of(text)}
    if _NEGATED.match(text):
        if ADDRESSED.search(text):
            return "speech", {"speech": text, "speech_act": "claim", "topic": topic_of(text)}
        return "state", {"topic": object_of(text)}
    if _BOTH.match(text):
        return "speech", {"speech": text, "speech_act": speech_act_of(text), "topic": topic_of(text)}
    if _STANDING.match(text):
        return "state", {"topic": object_of(text)}
    if _IF.match(text):  # what one means to do, if it comes to that
        return "resolve", {"topic": object_of(text)}
    bare = LEAD.sub("", _CONTRACTED.sub("", text), count=1)
    verb, kind = verb_of(bare)
    if kind == "move" and (sought := _GOES_TO_FIND.search(bare)):
        bare = f"go to {bare[sought.end() :]}"  # whom or what has a name is gone to, not searched for
    if verb in ("find", "look") and _SOMEWHERE.match(bare):
        bare = re.sub(r"^(?:find|look for)\b", "go looking for", bare, flags=re.IGNORECASE)
        verb, kind = "go", "move"
    elif verb in ("find", "look") and _place_found().match(bare):
        bare = re.sub(
            r"^(?:find|look for)\b", "go to", bare, flags=re.IGNORECASE
        )  # "find an inn and eat": nothing is searched for
        verb, kind = verb_of(bare)
    if not kind and not _STATE.match(text):
        kind = main_kind(bare, "")  # "I stop him and ask ...", "I shoulder the trunk and set off"
    if not kind:
        found = _unknown(text, bare, verb)
        return ("other", {"object": object_of(bare)}) if happens and found[0] == "speech" else found
    kind = main_kind(bare, kind)
    noun = _object_of_kind(bare, kind)
    if kind == "search" and (verb in ("watch", "observe", "study") or _FOR_PEOPLE.match(bare)):
        kind = "look"  # "I watch the crowd, looking for a face I know"
    if kind == "fight" and noun.rsplit(" ", 1)[-1].casefold() in word_list("things_hit"):
        kind = "use"  # a stove does not hit back
    if verb == "order" and _ORDERS.match(bare):
        kind = "speech"
    elif verb == "challenge" and _CONTEST.match(bare):
        kind = "contest"
    elif verb == "leave" and _LEAVES.match(bare):
        kind = "use"
    ready = verb in ("draw", "ready") and _WEAPON.search(noun) is not None
    if ready:
        kind = "use"
    if kind == "risk" and verb in word_list("risky_alone") and noun:
        kind = "use"
    details: dict[str, Any] = {
        "act": second(bare),
        "object": noun,
        "goal": goal_of_act(bare),
        "verb": "ready"
        if ready
        else "sleep"
        if _ASLEEP.search(bare)
        else last_verb(bare, kind) or verb,
    }
    if kind == "speech" and speech_act_of(bare) == "gesture" and noun:
        kind = "other"  # "kiss the mule": nobody is spoken to
    if kind == "speech":
        before = clauses(bare)[0]
        beside = second(before) if verb_of(before)[1] in ("trade", "take", "use", "rest") else ""
        details |= {"speech_act": speech_act_of(bare), "topic": topic_of(bare), "beside": beside}
    return cast(Kind, kind), details


def _object_of_kind(bare: str, kind: str) -> str:
    """Returns what the act is done to; of looking, only what is looked at: "hold the rope and look down" has none."""
    if kind != "look":
        return object_of(bare)
    looked = [part for part in clauses(bare) if verb_of(part)[1] == kind]
    return object_of(looked[-1]) if looked else object_of(bare)


def _unknown(text: str, bare: str, verb: str) -> tuple[Kind, dict[str, Any]]:
    """Reads a line whose first verb is in no table."""
    if _STATE.match(text):
        return "state", {"topic": object_of(text)}
    if re.match(r"^(i|we|let|i'll)\b", text, re.IGNORECASE):
        return "other", {"act": second(bare), "object": object_of(bare)}
    first = bare.split(" ", 1)[0].casefold()
    if _COMMAND.match(bare) and first not in word_list("stop_words"):
        return "other", {"act": second(bare), "object": object_of(bare)}
    if _spoken(text):
        return "speech", {"speech": text, "speech_act": speech_act_of(text), "topic": topic_of(text)}
    return "other", {"object": object_of(bare)}


def _spoken(text: str) -> bool:
    """A sentence that is no act: English words without an ``I does`` at the front."""
    words = re.findall(r"[a-z']+", text.casefold())
    return len(words) >= 2 and bool(word_list("stop_words").intersection(words))
