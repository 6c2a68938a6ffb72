"""Reads what a player wrote: what kind of act it is, about what, said to whom.

Pure. Works on English; a line in another script still gets a reading (kind ``other``), never an error.
"""

from __future__ import annotations

import re
from typing import Any, Literal, cast

from msgspec import Struct

from flower import limits
from flower.engine.offline.grammar import IRREGULAR, base_verb, second_person, sentences
from flower.engine.offline.questions import about_me, tells_what_happens, without_adverb
from flower.engine.offline.tables import vocabulary, word_list

Kind = Literal[
    "continue", "dice", "aside", "recall", "know", "oracle", "speech", "fight", "risk", "trade",
    "search", "move", "take", "use", "look", "rest", "think", "state", "other",
]  # fmt: skip
SpeechAct = Literal[
    "greet", "ask", "request", "threat", "thanks", "sorry", "bye", "agree", "refuse", "gesture", "claim"
]


class ParsedLine(Struct, frozen=True):
    """A line, read. Empty strings where the line has no such part."""

    kind: Kind
    text: str
    act: str = ""  # "open the chest with your knife": fits behind "you"
    verb: str = ""  # "open"
    object: str = ""  # "the chest"
    goal: str = ""  # where a move leads: "the harbour"
    speech: str = ""  # the words spoken, when they are given
    beside: str = ""  # what is done while they are spoken: "take her hand"
    speech_act: SpeechAct = "claim"
    topic: str = ""  # "the bell": what a question is about
    words: frozenset[str] = frozenset()  # stems of the words that carry meaning
    likely: int = 50  # percent, for a yes-or-no question
    dice: tuple[int, int, int] = (0, 0, 0)  # count, sides, bonus
    foreign: bool = False  # letters, but none of them Latin


_DICE = re.compile(r"\b(\d{0,2})[dD](\d{1,4})\b(?:\s*([+-])\s*(\d{1,3}))?")
_QUOTED = re.compile('["\u201c\u201d]([^"\u201c\u201d]{1,400})["\u201c\u201d]')
_ASIDE = re.compile(r"^\s*(\(\(|\[\s*ooc|ooc\b|\(ooc)", re.IGNORECASE)
_CONTINUE = re.compile(
    r"^(?:continue|go on|carry on|next|more|and then|what now|then what)?\W*+$", re.IGNORECASE
)
_LEAD = re.compile(
    r"^(?:(?:and|then|so|now|okay|ok|well|first|next|finally|instead|suddenly|meanwhile)\b,?\s+)*"
    r"(?:(?:i|we)\s+|(?:let me|let's|let us)\s+)?"
    r"(?:(?:will|shall|would like to|want to|wanna|decide to|decided to|am going to|are going to|try to|"
    r"tried to|attempt to|begin to|start to|need to|have to|going to|can|could|may|would|just|then|also|still|"
    r"(?:[a-z]{2,}ly\s+and\s+)?[a-z]{2,}ly)\s+)*",
    re.IGNORECASE,
)
_CONTRACTED = re.compile(r"^i'(?:ll|m going to|d like to|m gonna)\s+", re.IGNORECASE)
_WH = re.compile(r"^(who|whom|whose|what|which|where|when|why|how)\b", re.IGNORECASE)
_AUX = re.compile(
    r"^(is|are|was|were|am|do|does|did|can|could|will|would|has|have|had|should|shall|might|may|must|"
    r"isn't|aren't|don't|doesn't|didn't|can't|won't|any|anyone|anybody|anything)\b",
    re.IGNORECASE,
)
_RECALL = re.compile(
    r"\b(do (?:i|you|we) (?:still )?remember|remind me|(?:do i|to) recall|i forgot|i forget|have i|"
    r"had i|did (?:i|we)|was i|were we|am i called|i (?:said|told|hid|left|gave|put|promised|asked|"
    r"mentioned|swore|paid|bought|found)|(?:tell|told|promise|promised|give|gave|say to|warn|warned) me|"
    r"my (?:own )?name|earlier|last time|so far|what (?:has|have) (?:happened|i|we)|we (?:said|agreed|met))\b",
    re.IGNORECASE,
)
_ASKING = re.compile(r"\b(?:ask|asks|asked|question|questions)\b", re.IGNORECASE)
_ASKED_FOR = re.compile(
    r"\b(?:about|whether|if|why|where|who|what|how|when|for) (?=[^\n])", re.IGNORECASE
)
_ABOUT = re.compile(r"\babout (?=[^\n])", re.IGNORECASE)
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
_OBJECT = re.compile(
    r"\b((?:the|a|an|my|your|his|her|its|their|this|that|these|those|some|every)\s+[\w'-]+"
    r"(?:\s+[\w'-]+){0,3})",
    re.IGNORECASE,
)
_OBJECT_END = re.compile(
    r" (?:and|with|in|on|at|to|from|for|of|by|under|over|behind|beside|into|onto|through|until|while|as|"
    r"about|near|towards?|across|then|but|so|because|before|after|if|who|that|which|what|is|are|was|"
    r"carefully|quietly|slowly|quickly|closely|again|open|shut|down|up|out|off|away|back|please|now|"
    r"hard|gently|softly|there|here|him|her|them|it|me|you)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_ADDRESSED = re.compile(r"\b(you|your|yours|you're|you've)\b", re.IGNORECASE)
_TALKS_TO = re.compile(r"\b(?:to|with|ask|tell|greet|thank|warn|call|beg|question)\s+", re.IGNORECASE)

_LIKELY = (
    (re.compile(r"\b(surely|certainly|of course|obviously|definitely)\b", re.IGNORECASE), 85),
    (re.compile(r"\b(probably|likely|still|usually|supposed)\b", re.IGNORECASE), 70),
    (re.compile(r"\b(maybe|perhaps|any|possibly|chance)\b", re.IGNORECASE), 50),
    (re.compile(r"\b(really|ever|actually|already|unlikely|anyone else)\b", re.IGNORECASE), 35),
    (re.compile(r"\b(impossible|by any chance|somehow|magically|miracle)\b", re.IGNORECASE), 15),
)

_ACT_PATTERNS: tuple[tuple[SpeechAct, str], ...] = (
    (
        "request",
        r"^(?:i |we )?(?:ask|beg|tell|order|command|urge|invite|plead with)s? (?:\w+ ){1,3}?to (?!me\b)",
    ),
    (
        "ask",
        r"\?|\b(ask|asks|asked|question)\b(?! for)|"
        r"\b(?:tell|show) (?:me|us) (?:about|more|what|who|why|how|where|when|everything|all)\b",
    ),
    (
        "threat",
        r"\b(threaten|or else|kill you|hurt you|regret|warn|warned|don't move|last chance|hands up)\b",
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
        r"\b(please|help me|need|beg|(?:give|tell|show|take|bring|lead|lend|let) me|come with|"
        r"ask .{0,30}for|could you)\b",
    ),
    ("gesture", r"^\W*(?:i\s+)?(nod|smile|wave|shrug|bow|laugh|frown|sigh|hum|sing|hug|kiss)s?\b"),
)
# In a line with several verbs the first of these that occurs gives the kind; else the last verb does.
_WEIGHT = ("fight", "risk", "speech", "trade", "search")
_BESIDE = ("move", "take", "use", "look", "rest", "other")  # done while something is said
_SPEECH_ACTS = tuple((act, re.compile(pattern, re.IGNORECASE)) for act, pattern in _ACT_PATTERNS)
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


# "order her to stop" is said to somebody, "order a stew" is not; what is left somewhere is no place left.
_ORDERS = re.compile(r"order \w+(?: \w+)? to\b", re.IGNORECASE)
_WEAPON = re.compile(
    r"\b(?:knife|sword|gun|pistol|blade|dagger|bow|axe|weapon|revolver|rifle|cutlass)\b"
)
_LEAVES = re.compile(
    r"leave (?:some |a |an |the |my )(?!room\b|house\b|place\b|town\b|inn\b)[^.]{0,40}?"
    r"\b(?:for|on|in|at|by|beside|behind|there)\b|leave (?:some|a|an) "
    r"|leave [a-z]+ (?:for|on|in|at|by|beside|behind)\b",
    re.IGNORECASE,
)


def stem(word: str) -> str:
    """Returns the part of a word that its forms share, roughly; small letters."""
    word = word.casefold().removesuffix("'s").removesuffix("\u2019s").strip("'\u2019-")
    word = IRREGULAR.get(word, word)
    for ending, put in (("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", "e"), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(ending) + put
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 4 else word


def stems(text: str) -> frozenset[str]:
    """Returns the stems of the words of a text that carry meaning."""
    words = re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.casefold())
    return frozenset(
        stem(word) for word in words if word not in word_list("stop_words") and len(word) > 1
    )


def read(line: str) -> ParsedLine:
    """Returns the reading of any text a player can send."""
    text = _clean(line)
    kind, details = _kind(text)
    letters = [char for char in text if char.isalpha()]
    latin = any(char < "\u0250" for char in letters)
    asked = details.get("speech", "") if details.get("speech_act") == "ask" else ""
    return ParsedLine(
        kind=kind,
        text=text,
        words=stems(_questions(asked) or text),
        foreign=bool(letters) and not latin,
        **details,
    )


def _questions(speech: str) -> str:
    """Returns those sentences of what was said that ask something."""
    return " ".join(one for one in sentences(speech) if one.endswith("?"))


def _clean(line: str) -> str:
    line = "".join(char if char.isprintable() else " " for char in line).replace("\u2019", "'")
    line = _stage_directions(line)
    line = re.sub(r"[*_`#>]+", " ", line)
    line = re.sub(r"\s+", " ", line).strip()
    if len(line) > limits.OFFLINE_READ_CHARS:
        line = line[: limits.OFFLINE_READ_CHARS].rsplit(" ", 1)[0]
    return line


def _stage_directions(line: str) -> str:
    """Returns ``*smiles* Come in.`` as an act and words aloud; a line without directions as it is."""
    if line.count("*") < 2 or "**" in line or '"' in line or "\u201c" in line:
        return line
    parts = line.split("*")[: 2 * (line.count("*") // 2) + 1]
    acts = [part.strip() for part in parts[1::2] if part.strip()]
    aloud = " ".join(part.strip() for part in parts[0::2] if part.strip())
    if not acts or len(aloud) > limits.OFFLINE_READ_CHARS:
        return line
    done = ". ".join(_in_first_person(act) for act in acts).rstrip(".") + "."
    return f'{done} "{aloud}"' if aloud else done


def _in_first_person(act: str) -> str:
    """Returns ``smiles at her`` as ``I smile at her``."""
    first, _, rest = act.partition(" ")
    if first.casefold() in ("i", "we", "the", "a", "my", "his", "her"):
        return act
    rest = re.sub(r"\band ([a-z]+s)\b", lambda found: f"and {base_verb(found.group(1))}", rest)
    return f"I {base_verb(first.lower())} {rest}".strip()


def _kind(text: str) -> tuple[Kind, dict[str, Any]]:
    if _CONTINUE.match(text):
        return "continue", {}
    if _ASIDE.match(text) or text.casefold().strip(" .!?") == "help":
        return "aside", {}
    dice = _DICE.search(text)
    if dice and (re.search(r"\broll", text, re.IGNORECASE) or len(text) <= 12):
        sign = -1 if dice.group(3) == "-" else 1
        bonus = sign * int(dice.group(4) or 0)
        return "dice", {"dice": (int(dice.group(1) or 1), int(dice.group(2)), bonus)}
    quoted = _QUOTED.search(text)
    if quoted:
        words = quoted.group(1).strip()
        said = {"speech": words, "speech_act": _speech_act(words), "topic": _topic(words)}
        outside = " ".join(_QUOTED.sub(" ", text).split()).strip(" ,.")
        kind, details = _act(outside) if outside else ("speech", {})
        if kind in ("fight", "risk"):
            return kind, details | {"speech": words}
        return "speech", said | {"beside": details.get("act", "") if kind in _BESIDE else ""}
    if text.endswith("?") or _WH.match(text):
        return _question(text)
    return _act(text)


def _question(text: str) -> tuple[Kind, dict[str, Any]]:
    bare = _LEAD.sub("", text, count=1)
    verb = base_verb(bare.split(" ", 1)[0]) if bare else ""
    if vocabulary().verbs.get(verb) == "speech" and not _WH.match(text) and not _AUX.match(text):
        return _act(text)
    last = re.split(r"(?<=[.!?])\s+", text)[-1]
    if _RECALL.search(text) or (about_me(last) and not _ADDRESSED.search(last)):
        return "recall", {"topic": _topic(text)}
    if _ADDRESSED.search(last) or re.match(r"^[A-Z][\w'-]+,\s", text):
        return "speech", {"speech": text, "speech_act": "ask", "topic": _topic(last)}
    if _AUX.match(last):
        return "oracle", {"likely": _likely(last), "topic": _topic(last)}
    return "know", {"topic": _topic(last)}


def _act(text: str) -> tuple[Kind, dict[str, Any]]:
    if _RECALL.search(text) and re.match(
        r"^(remind me|i forg[eo]t|tell me again)", text, re.IGNORECASE
    ):
        return "recall", {"topic": _topic(text)}
    happens = tells_what_happens(text)
    text = without_adverb(text)
    parts = sentences(text)
    if len(parts) > 1:
        read_parts = [_act(part) for part in parts[:4]]
        doing = [found for found in read_parts if found[0] not in ("speech", "other", "state")]
        said = [found for found in read_parts if found[0] == "speech"]
        chosen, given = (doing or said or read_parts)[0]
        return chosen, given | {"speech": text} if chosen == "speech" and not doing else given
    if _TALK.match(text) or _GUIDE.match(text):
        return "speech", {"speech": text, "speech_act": _speech_act(text), "topic": _topic(text)}
    if _NEGATED.match(text):
        if _ADDRESSED.search(text):
            return "speech", {"speech": text, "speech_act": "claim", "topic": _topic(text)}
        return "state", {"topic": _object(text)}
    if _BOTH.match(text):
        return "speech", {"speech": text, "speech_act": _speech_act(text), "topic": _topic(text)}
    if _STANDING.match(text):
        return "state", {"topic": _object(text)}
    bare = _LEAD.sub("", _CONTRACTED.sub("", text), count=1)
    verb, kind = _verb(bare)
    if not kind and _main(bare, "") == "speech":
        kind = "speech"  # "I stop him and ask ..."
    if not kind:
        found = _unknown(text, bare, verb)
        return ("other", {"object": _object(bare)}) if happens and found[0] == "speech" else found
    kind = _main(bare, kind)
    noun = _object(bare)
    if verb == "order" and _ORDERS.match(bare):
        kind = "speech"
    elif verb == "leave" and _LEAVES.match(bare):
        kind = "use"
    ready = verb in ("draw", "ready") and _WEAPON.search(noun) is not None
    if ready:
        kind = "use"
    if kind == "risk" and verb in word_list("risky_alone") and noun:
        kind = "use"
    details: dict[str, Any] = {
        "act": _second(bare),
        "object": noun,
        "goal": _goal(bare),
        "verb": "ready" if ready else _last_verb(bare, kind) or verb,
    }
    if kind == "speech" and _speech_act(bare) == "gesture" and noun:
        kind = "other"  # "kiss the mule": nobody is spoken to
    if kind == "speech":
        before = _clauses(bare)[0]
        beside = _second(before) if _verb(before)[1] in ("trade", "take", "use", "rest") else ""
        details |= {"speech_act": _speech_act(bare), "topic": _topic(bare), "beside": beside}
    return cast(Kind, kind), details


def _unknown(text: str, bare: str, verb: str) -> tuple[Kind, dict[str, Any]]:
    """Reads a line whose first verb is in no table."""
    if _STATE.match(text):
        return "state", {"topic": _object(text)}
    if re.match(r"^(i|we|let|i'll)\b", text, re.IGNORECASE):
        return "other", {"act": _second(bare), "object": _object(bare)}
    first = bare.split(" ", 1)[0].casefold()
    if _COMMAND.match(bare) and first not in word_list("stop_words"):
        return "other", {"act": _second(bare), "object": _object(bare)}
    if _spoken(text):
        return "speech", {"speech": text, "speech_act": _speech_act(text), "topic": _topic(text)}
    return "other", {"object": _object(bare)}


def _spoken(text: str) -> bool:
    """A sentence that is no act: English words without an ``I does`` at the front."""
    words = re.findall(r"[a-z']+", text.casefold())
    return len(words) >= 2 and bool(word_list("stop_words").intersection(words))


def _verb(bare: str) -> tuple[str, str]:
    words = re.findall(r"[a-z']+", bare.casefold())
    if not words:
        return "", ""
    verb = base_verb(words[0])
    if verb not in vocabulary().verbs and verb + "e" in vocabulary().verbs:
        verb += "e"
    rest = " ".join(words[1:5])
    for (head, particle), kind in vocabulary().verb_phrases.items():
        if head == verb and (
            rest == particle or rest.startswith(particle + " ") or f" {particle} " in f" {rest} "
        ):
            return verb, kind
    return verb, vocabulary().verbs.get(verb, "")


def _clauses(bare: str) -> list[str]:
    parts = re.split(r",\s*(?:and |then )?|;\s*|\.\s+| and then | then | and ", bare)
    return [_LEAD.sub("", part, count=1) for part in parts if part]


def _main(bare: str, first: str) -> str:
    """Returns the kind of the act that matters most in a line."""
    kinds = [kind for _, kind in map(_verb, _clauses(bare)) if kind] or [first]
    return next((kind for kind in _WEIGHT if kind in kinds), kinds[-1])


def _last_verb(bare: str, kind: str) -> str:
    return next(
        (verb for verb, found in reversed([_verb(part) for part in _clauses(bare)]) if found == kind),
        "",
    )


def _second(bare: str) -> str:
    """Returns the act as it stands behind "you", or "" when it is too long to be said back."""
    bare = re.split(r"(?<=[.!?;])\s+", bare)[0].strip(" .,!?;:")
    words = bare.split(" ")
    if not bare or len(words) > 18 or not bare.isascii():
        return ""
    verb = words[0].lower()
    present = base_verb(verb)
    if present not in vocabulary().verbs and present + "e" in vocabulary().verbs:
        present += "e"
    if present in vocabulary().verbs:
        words[0] = present
    elif verb.endswith(("ed", "ing", "s")):
        return ""
    return second_person(" ".join(words)).replace('"', "'")


def _object(text: str) -> str:
    found = _OBJECT.search(text)
    if not found:
        return ""
    noun = _OBJECT_END.sub("", re.sub(r"[.,;:!?].*$", "", found.group(1)))
    words = noun.split(" ")
    if len(words) < 2 or words[1].lower() in word_list("stop_words") or not noun.isascii():
        return ""
    first = words[0].lower()
    words[0] = {"a": "the", "an": "the", "my": "your", "some": "the", "every": "the"}.get(first, first)
    return " ".join(words)


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


def _goal(bare: str) -> str:
    """Returns where a move leads, with an article: ``the harbour``."""
    for clause in _clauses(bare):
        if _verb(clause)[1] != "move":
            continue
        found = _ENTERS.search(clause) or _INTO.search(clause)
        if found and found["goal"].split()[-1].lower() not in word_list("no_goals"):
            words = second_person(found["goal"]).split()
            first = words[0].lower()
            words[0] = {"a": "the", "an": "the", "that": "the", "this": "the"}.get(first, first)
            return " ".join(words)
    return ""


def _topic(text: str) -> str:
    asking = _ASKING.search(text)
    for found in (_ABOUT.search(text), _ASKED_FOR.search(text, asking.end()) if asking else None):
        if found:
            topic = re.split(r"[.,;:!?]", text[found.end() :])[0].strip()
            noun = (
                _object(topic) if re.match(r"(?i)^(the|a|an|my|his|her|this|that)\b", topic) else topic
            )
            if noun and len(noun.split(" ")) <= 6 and noun.isascii():
                return second_person(noun)
    return _object(text)


def _speech_act(text: str) -> SpeechAct:
    return next((act for act, pattern in _SPEECH_ACTS if pattern.search(text)), "claim")


def _likely(text: str) -> int:
    return next((likely for pattern, likely in _LIKELY if pattern.search(text)), 50)
