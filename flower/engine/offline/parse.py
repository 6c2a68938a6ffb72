"""Reads what a player wrote: what kind of line it is, and its parts. What is an act is for ``parse_act`` to read.

Pure. Works on English; a line in another script still gets a reading (kind ``other``), never an error.
"""

from __future__ import annotations

import re

from msgspec import Struct

from flower.engine.offline.clauses import (
    LEAD,
    SpeechAct,
    likely_of,
    speech_act_of,
    topic_of,
)
from flower.engine.offline.grammar import base_verb, sentences, stems
from flower.engine.offline.parse_act import ADDRESSED, RECALL, Kind, Reading, act_of
from flower.engine.offline.questions import about_me, is_adverb
from flower.engine.offline.tables import vocabulary, word_list

OFFLINE_READ_CHARS = 600  # of a player's line; what follows is colour

# "Wait, do I have the letter?": not an order to wait.
_HESITATES = re.compile(
    r"^(?:(?:wait|hold on|hang on|hm+|um+|uh+|erm?|oh|ah|right)\b[,.!\u2026]+\s+)+(?=\w)", re.IGNORECASE
)


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
    foreign: bool = False  # not English, as far as its letters and small words show


_DICE = re.compile(r"\b(\d{0,2})[dD](\d{1,4})\b(?:\s*([+-])\s*(\d{1,3}))?")
_QUOTED = re.compile('["\u201c\u201d]([^"\u201c\u201d]{1,400})["\u201c\u201d]')
_ASIDE = re.compile(r"^\s*(\(\(|\[\s*ooc|/?ooc\b|\(ooc|[(\[]?out of character\b)", re.IGNORECASE)
_CONTINUE = re.compile(
    r"^(?:continue|go on|carry on|next|more|and then|what now|then what)?\W*+$", re.IGNORECASE
)

_WH = re.compile(r"^(who|whom|whose|what|which|where|when|why|how)\b", re.IGNORECASE)
_AUX = re.compile(
    r"^(is|are|was|were|am|do|does|did|can|could|will|would|has|have|had|should|shall|might|may|must|"
    r"isn't|aren't|don't|doesn't|didn't|can't|won't|any|anyone|anybody|anything)\b",
    re.IGNORECASE,
)

_SEES = re.compile(
    r"^what (?:do|can) (?:i|we) (?:see|hear|smell)\b(?!.*\b(?:when|if|about|in my)\b)|^what is around (?:me|us)\b|"
    r"^what does (?:it|this place|the (?:room|place)) look like\b",
    re.IGNORECASE,
)
_WHEN = re.compile(
    r"^(?:when|while|once|after|before|until|as soon as) (?:i )?[^?]{2,200}?[ ,](?=i [a-z]+\b[^?]*\Z)",
    re.IGNORECASE,
)
_ASKS_WITHOUT_MARK = re.compile(
    r"^(?:is|are|was|were|does|did|can|could|has|have|do|will|would|should) (?:there|i|you|he|she|it|they|we|this|that|"
    r"any|anyone|anybody)\b",
    re.IGNORECASE,
)
_WHAT_IF = re.compile(
    r"^(?:and |so |but )?what (?:if (?:i|we)\b|(?:would happen|will happen|happens) (?:to \w+ )?(?:if|when)\b)",
    re.IGNORECASE,
)
_TAG = re.compile(
    r", (?:(?:is|are|was|were|does|do|did|has|have|can|could|will|would|should|won|don|can)(?:n'?t|'t)? "
    r"(?:i|you|he|she|it|they|we)|right|no|eh|huh)\?$",
    re.IGNORECASE,
)
_CALLS = re.compile(r"^(?P<who>[A-Z][\w'-]+(?: [A-Z][\w'-]+)?), (?=[a-z]+\b)(?!(?:i|we|and|but)\b)")
_ACT_AND_ASKS = re.compile(
    r"^(?P<act>I [^?\"]{3,160}[.!]) (?:is|are|was|were|does|do|did|can) (?:it|they|that|this|he|she|the|"
    r"there)\b[^?]{0,60}\?$",
    re.IGNORECASE,
)
_HAIL = re.compile(r"^[A-Z][\w'-]+(?: [A-Z][\w'-]+)?\?\s+(?=\S)")

_BESIDE = ("move", "take", "use", "look", "rest", "other")  # done while something is said


def read(line: str) -> ParsedLine:
    """Returns the reading of any text a player can send."""
    text = clean(line)
    letters = [char for char in text if char.isalpha()]
    latin = any(char < "\u0250" for char in letters)
    unread = latin and in_another_language(text)
    nothing: Reading = ("other", {})
    kind, details = nothing if unread else _kind(text)
    question = details.get("speech", "") if details.get("speech_act") == "ask" else ""
    return ParsedLine(
        kind=kind,
        text=text,
        words=stems(_questions(question)) or stems(question or text),
        foreign=bool(letters) and (not latin or unread),
        **details,
    )


def can_be_called(word: str) -> bool:
    """Whether somebody may be called so at the head of a line: no adverb, no verb, no word that opens a sentence."""
    first = word.split()[0].casefold()
    opens = word_list("no_names") | word_list("stop_words") | word_list("interjections")
    return first not in opens and first not in vocabulary().verbs and not is_adverb(first)


def _questions(speech: str) -> str:
    """Returns those sentences of what was said that ask something."""
    return " ".join(one for one in sentences(speech) if one.endswith("?"))


def _kind(text: str) -> Reading:
    if _CONTINUE.match(text):
        return "continue", {}
    called = text.casefold().strip(" .!?") == "help"
    if called and "!" in text:  # in the story; "help" alone is asked of the game
        return "speech", {"speech": text, "speech_act": speech_act_of(text), "topic": ""}
    if called or _ASIDE.match(text):
        return "aside", {}
    dice = _DICE.search(text)
    if dice and (re.search(r"\broll", text, re.IGNORECASE) or len(text) <= 12):
        sign = -1 if dice.group(3) == "-" else 1
        bonus = sign * int(dice.group(4) or 0)
        return "dice", {"dice": (int(dice.group(1) or 1), int(dice.group(2)), bonus)}
    quoted = _QUOTED.search(text)
    if quoted:
        words = quoted.group(1).strip()
        bare = _HAIL.sub("", words)  # "Odo? I think we know each other." asks nothing
        utterance = {"speech": words, "speech_act": speech_act_of(bare), "topic": topic_of(words)}
        outside = " ".join(_QUOTED.sub(" ", text).split()).strip(" ,.")
        kind, details = act_of(outside) if outside else ("speech", {})
        if kind in ("fight", "contest", "risk"):
            return kind, details | {"speech": words}
        beside = details.get("act", "") if kind in _BESIDE else ""
        if written := _WRITTEN_ON.match(outside):  # nobody hears a note
            return "use", act_of(written["done"])[1] | {"verb": "note"}
        return "speech", utterance | {
            "beside": "" if beside.split(" ")[0] in ("lie", "soften") else beside
        }
    condition = _WHEN.match(text)
    if condition:  # "When the tide turns I walk on.": an act, and when
        return act_of(text[condition.end() :])
    if besides := _ACT_AND_ASKS.match(text):  # "I touch the wall. Is it warm?"
        return act_of(besides["act"])
    if text.endswith("?") or _WH.match(text) or _ASKS_WITHOUT_MARK.match(text):
        return _question(text)
    if (name := _CALLS.match(text)) and can_be_called(name["who"]):  # "Echo, open the door."
        return "speech", {"speech": text, "speech_act": "request", "topic": topic_of(text)}
    return act_of(text)


def _question(text: str) -> Reading:
    bare = LEAD.sub("", text, count=1)
    verb = base_verb(bare.split(" ", 1)[0]) if bare else ""
    if (
        vocabulary().verbs.get(verb) in ("speech", "look", "search")
        and not _WH.match(text)
        and not _AUX.match(text)
    ):
        return act_of(text)
    last = re.split(r"(?<=[.!?])\s+", text)[-1]
    if _SEES.search(last):
        return "look", {}
    if _WHAT_IF.match(last):
        return "know", {"topic": topic_of(last), "verb": "what if"}
    if re.search(r", \w+(?:'t)? (?:i|we)\?$", last, re.IGNORECASE):
        return "oracle", {"likely": likely_of(last), "topic": topic_of(last)}
    if _TAG.search(last) and not _WH.match(last):
        return "speech", {"speech": text, "speech_act": "ask", "topic": topic_of(last)}
    if RECALL.search(text) or (about_me(last) and not ADDRESSED.search(last)):
        return "recall", {"topic": topic_of(text)}
    if ADDRESSED.search(last) or re.match(r"^[A-Z][\w'-]+(?: [A-Z][\w'-]+)?,\s", text):
        return "speech", {"speech": text, "speech_act": "ask", "topic": topic_of(last)}
    if _AUX.match(last):
        return "oracle", {"likely": likely_of(last), "topic": topic_of(last)}
    return "know", {"topic": topic_of(last)}


_WRITTEN_ON = re.compile(
    r"^(?P<done>.*\b(?:note|letter|sign|paper|card|label|message|notice|slate|board))(?: that|"
    r" which)? (?:says?|saying|reads?|reading)$",
    re.IGNORECASE,
)


def clean(line: str) -> str:
    """Returns the line as it is read, at most ``OFFLINE_READ_CHARS`` characters long."""
    line = "".join(char if char.isprintable() else " " for char in line).replace("\u2019", "'")
    line = _stage_directions(line)
    line = re.sub(r"[*_`#>]+", " ", line)
    line = re.sub(r"\s+", " ", line).strip()
    line = _HESITATES.sub("", line) or line
    if len(line) > OFFLINE_READ_CHARS:
        line = line[:OFFLINE_READ_CHARS].rsplit(" ", 1)[0]
    return line


def _stage_directions(line: str) -> str:
    """Returns ``*smiles* Come in.`` as an act and words aloud; a line without directions as it is."""
    if line.count("*") < 2 or "**" in line or '"' in line or "\u201c" in line:
        return line
    parts = line.split("*")[: 2 * (line.count("*") // 2) + 1]
    acts = [part.strip() for part in parts[1::2] if part.strip()]
    aloud = " ".join(part.strip() for part in parts[0::2] if part.strip())
    if not acts or len(aloud) > OFFLINE_READ_CHARS:
        return line
    done = ". ".join(_in_first_person(act) for act in acts).rstrip(".") + "."
    return f'{done} "{aloud}"' if aloud else done


def _in_first_person(act: str) -> str:
    """Returns ``smiles at her`` as ``I smile at her``."""
    first, _, rest = act.partition(" ")
    if first.casefold() in ("i", "we", "the", "a", "my", "his", "her"):
        return act
    rest = re.sub(r"\band ([a-z]+s)\b", lambda match: f"and {base_verb(match.group(1))}", rest)
    return f"I {base_verb(first.lower())} {rest}".strip()


def in_another_language(line: str) -> bool:
    """Whether a line has the small words of another European language, and more of them than English ones."""
    words = re.findall(r"[^\W\d_]+", line.casefold())
    theirs = sum(word in word_list("foreign_words") for word in words)
    ours = sum(word in word_list("stop_words") for word in words)
    return theirs >= 2 and theirs > ours
